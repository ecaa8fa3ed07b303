"""Where programs are installed, without running any."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from biostudio_doctor.host import Host

_DIRECTORIES = (
    "/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin", "/bin", "/sbin",
)  # fmt: skip


def find(host: Host, *names: str, also: Sequence[str] = (), only: Sequence[str] = ()) -> str:
    """The path of the first of some programs that is there, '' if none is.

    `also` are directories to look in too, `only` those to look in instead of the usual ones.
    """
    for name in names:
        for directory in only or (*_DIRECTORIES, *also):
            if host.exists(f"{directory}/{name}"):
                return f"{directory}/{name}"
    return ""


def starts_at_boot(host: Host, unit: str) -> bool | None:
    """Whether a systemd target wants a unit ("docker.service"); None where there is no systemd."""
    if not host.exists("/run/systemd/system"):
        return None
    for directory in ("/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"):
        for name in host.listdir_if_any(directory):
            wanted = f"{directory}/{name}"
            # A link's target need not exist below another root, so links are listed, not followed.
            if name.endswith((".target.wants", ".target.requires")) and (
                unit in host.listdir_if_any(wanted)
            ):
                return True
    return False
