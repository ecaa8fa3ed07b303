"""Processes of the host: which are large, and what a process belongs to. Never their arguments."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Collection, Iterator
from threading import Lock
from typing import TYPE_CHECKING

from msgspec import Struct

from biostudio_doctor.host.numbers import whole

if TYPE_CHECKING:
    from biostudio_doctor.host import Host

#: Names by process, by root of the host.
_NAMES: dict[str, dict[int, str]] = {}
_SCANNING = Lock()
_COMM_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
_COMM_LIMIT = 64  # bytes; the kernel keeps 15, and more of its own threads
_CONTAINER = re.compile(r"(?:^|[/:-])([0-9a-f]{64})(?:\.scope)?(?=$|/)", re.MULTILINE)
#: What stands in the path of a container's control group, by the program that manages it.
_ENGINES = {"libpod": "podman", "kubepods": "kubernetes", "docker": "docker"}


class Process(Struct, frozen=True, kw_only=True):
    """A process and what it belongs to."""

    pid: int
    name: str  # as the kernel keeps it: no more than 15 characters
    unit: str = ""  # of systemd, such as nginx.service; '' if none is seen
    container: str = ""  # the engine's id of its container; '' if none is seen
    engine: str = ""  # docker, podman, kubernetes, or '' for another


class Resident(Struct, frozen=True, kw_only=True):
    """A process by the memory it holds, what it shares with others included, in bytes."""

    pid: int
    name: str
    size: int


def pids(host: Host) -> list[int]:
    """The processes that may be seen, in the order of their numbers."""
    return sorted(int(name) for name in host.listdir("/proc") if whole(name) is not None)


def largest(host: Host, count: int) -> tuple[Resident, ...]:
    """The processes that hold most memory, the largest first."""
    sizes: list[tuple[int, int]] = []
    for pid in pids(host):
        fields = (host.read_if_any(f"/proc/{pid}/statm") or "").split()
        pages = whole(fields[1]) if len(fields) > 1 else None
        if pages:  # kernel threads have none
            sizes.append((pages, pid))
    page = os.sysconf("SC_PAGE_SIZE")
    return tuple(
        Resident(pid=pid, name=process_name(host, pid), size=pages * page)
        for pages, pid in sorted(sizes, reverse=True)[:count]
    )


def named(host: Host, names: Collection[str]) -> dict[int, str]:
    """The processes with one of these names, of which the kernel keeps 15 characters.

    Those that this user may not see are not among them. Several checks ask, side by side: they
    are looked at once in the life of this process, which ends with its run.
    """
    with _SCANNING:
        if host.root not in _NAMES:
            _NAMES[host.root] = _scan(host)
    return {pid: name for pid, name in _NAMES[host.root].items() if name in names}


def forget() -> None:
    """Look anew when next asked; for tests, that make several hosts at one place."""
    _NAMES.clear()


def _scan(host: Host) -> dict[int, str]:
    """All names, with as few steps for each process as can be: a busy host has thousands."""
    found: dict[int, str] = {}
    with host.doing("look at the names of all processes"):
        try:
            proc = os.open(host.path("/proc"), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            return found
        try:
            for name in os.listdir(proc):
                if whole(name) is not None:
                    found[int(name)] = _comm(proc, name)
        finally:
            os.close(proc)
    return found


def _comm(proc: int, pid: str) -> str:
    try:
        file = os.open(f"{pid}/comm", _COMM_FLAGS, dir_fd=proc)
    except OSError:  # it has ended
        return ""
    try:
        return os.read(file, _COMM_LIMIT).decode("utf-8", "replace").strip()
    except OSError:
        return ""
    finally:
        os.close(file)


def process(host: Host, pid: int) -> Process:
    """What is seen of a process; '' for what is not."""
    groups = host.read_if_any(f"/proc/{pid}/cgroup") or ""
    engine, container = parse_container(groups)
    return Process(
        pid=pid,
        name=process_name(host, pid),
        unit=parse_unit(groups),
        container=container,
        engine=engine,
    )


def process_name(host: Host, pid: int) -> str:
    """Its name, without path and arguments."""
    return (host.read_if_any(f"/proc/{pid}/comm") or "").strip()


def user_name(host: Host, uid: int) -> str:
    """The name of a local user, else the number."""
    for line in (host.read_if_any("/etc/passwd") or "").splitlines():
        fields = line.split(":")
        if len(fields) > 2 and fields[2] == str(uid):
            return fields[0]
    return str(uid)


def parse_unit(groups: str) -> str:
    """The system's service that /proc/PID/cgroup shows; those of a user's session are not meant."""
    for path in _paths(groups):
        top, *below = path.strip("/").split("/")
        services = [part for part in below if part.endswith(".service")]
        if top.endswith(".slice") and top != "user.slice" and services:
            return services[0]
    return ""


def parse_container(groups: str) -> tuple[str, str]:
    """The engine and the container's id that /proc/PID/cgroup shows, '' for none."""
    for path in _paths(groups):
        found = _CONTAINER.search(path)
        if found:
            engine = next((name for mark, name in _ENGINES.items() if mark in path), "")
            return engine, found[1]
    return "", ""


def _paths(groups: str) -> Iterator[str]:
    for line in groups.splitlines():
        path = line.partition(":")[2].partition(":")[2]
        if path.startswith("/"):
            yield posixpath.normpath(path)
