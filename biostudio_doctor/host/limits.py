"""Resource limits: of a process (/proc/PID/limits), and those that systemd gives to services."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from msgspec import Struct

from biostudio_doctor.host.numbers import whole

if TYPE_CHECKING:
    from biostudio_doctor.host import Host

#: Where system.conf and its drop-ins are, the first winning (systemd-system.conf(5)).
_SYSTEMD = ("/etc/systemd", "/run/systemd", "/usr/local/lib/systemd", "/usr/lib/systemd")
_OPEN_FILES = "Max open files"
_NOFILE = "DefaultLimitNOFILE"
#: What services get of a systemd before 240, which has no default of its own (the kernel's).
_KERNELS_OWN = "1024:4096"


class FileLimit(Struct, frozen=True):
    """How many files a process may open: at first, and at most. None is no limit."""

    soft: int | None
    hard: int | None


def open_files(host: Host, process: str) -> FileLimit | None:
    """The limit of a process, given as /proc/PID; None where it cannot be seen."""
    return parse_limits(host.read_if_any(f"{process}/limits") or "").get(_OPEN_FILES)


def parse_limits(text: str) -> dict[str, FileLimit]:
    """/proc/PID/limits by name (proc_pid_limits(5)); lines that hold no two limits are left out."""
    limits: dict[str, FileLimit] = {}
    for line in text.split("\n"):
        name, rest = line[:26].strip(), line[26:].split()
        limit = _limit(*rest[:2]) if len(rest) > 1 else None
        if limit:
            limits[name] = limit
    return limits


def service_default(host: Host) -> FileLimit | None:
    """The limit of open files of services that set none; None where it cannot be told.

    The distributed system.conf shows, commented out, the default that systemd was built with.
    """
    told = False
    built_in, configured = _KERNELS_OWN, ""
    for path in _configuration(host):
        for line in (host.read_if_any(path) or "").split("\n"):
            comment, setting = line.strip().startswith("#"), line.strip().lstrip("# ")
            name, equals, value = setting.partition("=")
            if not equals or name.strip() != _NOFILE:
                continue
            told = True
            if comment:
                built_in = value.strip() or built_in
            else:
                configured = value.strip()  # the last one holds; empty is the default again
    return parse_nofile(configured or built_in) if told else None


def parse_nofile(value: str) -> FileLimit | None:
    """A limit as systemd.exec(5) writes it: "1024:524288", or one number for both."""
    soft, colon, hard = value.partition(":")
    return _limit(soft, hard if colon else soft)


def _configuration(host: Host) -> list[str]:
    """The main file, then drop-ins in the order of their names, of whatever directory."""
    main = next((f"{d}/system.conf" for d in _SYSTEMD if host.exists(f"{d}/system.conf")), "")
    drop_ins: dict[str, str] = {}
    for directory in _SYSTEMD:
        for name in host.listdir_if_any(f"{directory}/system.conf.d"):
            if name.endswith(".conf"):
                drop_ins.setdefault(name, posixpath.join(directory, "system.conf.d", name))
    return [path for path in (main, *(drop_ins[name] for name in sorted(drop_ins))) if path]


def _limit(soft: str, hard: str) -> FileLimit | None:
    unlimited = ("unlimited", "infinity")
    numbers = [None if part.strip() in unlimited else whole(part) for part in (soft, hard)]
    readable = all(
        number is not None or part.strip() in unlimited
        for number, part in zip(numbers, (soft, hard), strict=True)
    )
    return FileLimit(numbers[0], numbers[1]) if readable else None
