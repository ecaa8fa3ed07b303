"""What environment systemd gives to a service: its unit, the drop-ins, and the files they name.

systemd.exec(5), "Environment=" and "EnvironmentFile="; systemd-system.conf(5),
"DefaultEnvironment=". Only variables that are asked for by name are kept.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from biostudio_doctor.host import programs
from biostudio_doctor.host.machine import parse_os_release

if TYPE_CHECKING:
    from biostudio_doctor.host import Host

#: Of one name the file in the first of these counts (systemd.unit(5)).
_DIRECTORIES = (
    "/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system", "/lib/systemd/system",
)  # fmt: skip
_MANAGER_CONF = "/etc/systemd/system.conf"

#: The engines that pull images, with the services that they run in: packages first, then snap.
ENGINES = {
    "dockerd": ("docker.service", "snap.docker.dockerd.service"),
    "containerd": ("containerd.service",),
}


def engine(host: Host) -> tuple[str, str] | None:
    """dockerd, or else containerd, and its service; None where neither is installed."""
    for name, known in ENGINES.items():
        unit = next((unit for unit in known if exists(host, unit)), "")
        if unit or programs.find(host, name):
            return name, unit or known[0]
    return None


def exists(host: Host, unit: str) -> bool:
    """Whether there is such a unit."""
    return bool(_fragment(host, unit))


def environment(host: Host, unit: str, names: Collection[str]) -> dict[str, str]:
    """Those of some variables that a service is started with; {} where there is no such unit.

    A file that cannot be read counts as one that is not there; `unreadable` tells of it.
    """
    found: dict[str, str] = {}
    for path in (_MANAGER_CONF, *_dropins(host, "system.conf", ("/etc/systemd",))):
        text = host.read_if_any(path) or ""
        found |= parse_environment(text, "Manager", "DefaultEnvironment")
    own: dict[str, str] = {}
    files: dict[str, str] = {}
    for path in (_fragment(host, unit), *_dropins(host, unit)):
        text = (path and host.read_if_any(path)) or ""
        if _is_reset(text, "Environment"):
            own = {}
        own |= parse_environment(text, "Service", "Environment")
        for file in _assignments(text, "Service", "EnvironmentFile"):
            files = {**files, **_environment_file(host, file)} if file else {}
    return {name: value for name, value in {**found, **own, **files}.items() if name in names}


def unreadable(host: Host, unit: str) -> Iterator[str]:
    """The files of a unit that are there and that this user may not read."""
    for path in filter(None, (_fragment(host, unit), *_dropins(host, unit))):
        try:
            text = host.read(path)
            for file in _assignments(text, "Service", "EnvironmentFile"):
                named = file.removeprefix("-")
                if named.startswith("/") and host.exists(named):
                    host.read(named)
        except OSError:
            yield path


def parse_environment(text: str, section: str, key: str) -> dict[str, str]:
    """The variables that Environment= (or the like) of a section sets."""
    found: dict[str, str] = {}
    for value in _assignments(text, section, key):
        try:
            words = shlex.split(value)
        except ValueError:  # no closing quotation: systemd passes over the line as well
            continue
        if not words:
            found = {}
        for word in words:
            name, equals, content = word.partition("=")
            if equals and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
                found[name] = content.replace("%%", "%")  # other specifiers are left as they are
    return found


def _is_reset(text: str, key: str) -> bool:
    return "" in _assignments(text, "Service", key)


def _assignments(text: str, section: str, key: str) -> Iterator[str]:
    """The values of a key in a section, in order; lines may go on after a backslash."""
    current = ""
    for line in re.sub(r"\\\n", " ", text).splitlines():
        stripped = line.strip()
        if stripped.startswith("["):
            current = stripped.strip("[]")
        name, equals, value = stripped.partition("=")
        if equals and current == section and name.strip() == key:
            yield value.strip()


def _environment_file(host: Host, path: str) -> dict[str, str]:
    """A file of assignments such as os-release(5) is one, too; "-" says that it may be missing."""
    path = path.removeprefix("-")
    return parse_os_release(host.read_if_any(path) or "") if path.startswith("/") else {}


def _fragment(host: Host, unit: str) -> str:
    paths = (f"{directory}/{unit}" for directory in _DIRECTORIES)
    return next((path for path in paths if host.exists(path)), "")


def _dropins(host: Host, unit: str, directories: tuple[str, ...] = _DIRECTORIES) -> list[str]:
    """The drop-ins in the order in which they are read: by name, whatever directory they are in."""
    by_name: dict[str, str] = {}
    for directory in directories:
        for name in host.listdir_if_any(f"{directory}/{unit}.d"):
            if name.endswith(".conf"):
                by_name.setdefault(name, posixpath.join(directory, f"{unit}.d", name))
    return [by_name[name] for name in sorted(by_name)]
