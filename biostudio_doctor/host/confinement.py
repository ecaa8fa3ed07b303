"""What confines programs beside file permissions: SELinux and AppArmor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from biostudio_doctor.host.docker import parse_config
from biostudio_doctor.host.programs import find

if TYPE_CHECKING:
    from biostudio_doctor.host import Host


class Confinement(Struct, frozen=True, kw_only=True):
    """Which of the two is active, and what containers need of it."""

    selinux: Literal["enforcing", "permissive", "absent"] = "absent"
    selinux_docker: bool = False  # Docker labels its containers, so they are held to it
    apparmor: bool = False
    apparmor_parser: bool = False  # the program that loads profiles is there


def confinement(host: Host) -> Confinement:
    """Look at both; none of this needs root."""
    enforce = (host.read_if_any("/sys/fs/selinux/enforce") or "").strip()
    enabled = host.read_if_any("/sys/module/apparmor/parameters/enabled") or ""
    return Confinement(
        selinux="enforcing" if enforce == "1" else "permissive" if enforce == "0" else "absent",
        selinux_docker=_labels_containers(host),
        apparmor=enabled.startswith("Y"),
        apparmor_parser=bool(find(host, "apparmor_parser")),
    )


def _labels_containers(host: Host) -> bool:
    """Whether Docker is told to use SELinux, in its configuration or as CentOS's package does."""
    if "--selinux-enabled" in (host.read_if_any("/etc/sysconfig/docker") or ""):
        return True
    try:
        config = parse_config(host.read_if_any("/etc/docker/daemon.json") or "{}")
    except ValueError:  # runtime.engine says so
        return False
    return config.get("selinux-enabled") is True
