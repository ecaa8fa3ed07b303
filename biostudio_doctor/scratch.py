"""Scratch objects: what a check writes to try a storage, and how a later run knows its own.

Files in a directory and objects in a bucket have the same names and the same content. A run that
is killed leaves its object behind; the next run on this host finds it by its name, which tells who
made it, and removes it only when that process is gone and the content is what this module writes.
Another host's objects, a live run's, and whatever merely has a similar name are never touched.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import time
from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from biostudio_doctor.host import Host

PREFIX = ".biostudio-doctor-scratch-"
#: A second name, for trying to rename a file. Its content stays.
RENAMED = ".renamed"
#: The owner that a file is given for a moment, to see whether root may give files away.
TRIAL_UID = 1000
#: Seconds that an object may be in use: the most that a configuration allows any check to take.
_LONGEST_USE = 86400
_SCAN_LIMIT = 100_000  # names in a directory that are looked at
_NAME = re.compile(
    re.escape(PREFIX)
    + r"(?P<origin>(?P<host>[0-9a-f]{16})-(?P<boot>[0-9a-f]{8})-(?P<space>[0-9]{1,20})"
    r"-(?P<pid>[0-9]{1,10})-(?P<start>[0-9]{1,20})-(?P<made>[0-9]{1,12})-[0-9a-f]{16})"
    r"-(?P<seal>[0-9a-f]{8})(?:\.renamed)?",
    re.ASCII,
)


class Owner(Struct, frozen=True, kw_only=True):
    """A process, as the names of its scratch objects tell it."""

    host: str  # a hash of /etc/machine-id and the host's name: clones differ in the latter
    boot: str  # a hash of the kernel's boot id
    space: int  # the namespace that its pid counts in
    pid: int
    start: int  # when the process started, in clock ticks since boot: pids are given anew

    @property
    def prefix(self) -> str:
        """How the names of all objects of this host begin."""
        return f"{PREFIX}{self.host}-"

    def new_name(self) -> str:
        """A name for an object, which nothing else has."""
        origin = "-".join(
            (self.host, self.boot, str(self.space), str(self.pid), str(self.start),
             str(_uptime()), os.urandom(8).hex())
        )  # fmt: skip
        return f"{PREFIX}{origin}-{_hash(origin, 8)}"

    def abandoned(self, names: Iterable[str]) -> list[str]:
        """Those of some names that a process of this host gave, which has ended since."""
        return [name for name in names if self._is_abandoned(name)]

    def _is_abandoned(self, name: str) -> bool:
        found = _understood(name)
        if not found or found["host"] != self.host:
            return False
        if found["boot"] != self.boot:
            return True  # no process outlives its kernel
        if int(found["space"]) != self.space:  # of another container: its pids say nothing here
            return _uptime() - int(found["made"]) > _LONGEST_USE
        return _start_of(int(found["pid"])) != int(found["start"])


def owner(host: Host) -> Owner:
    """Ourselves."""
    identity = host.read_if_any("/etc/machine-id") or ""
    boot = _read("/proc/sys/kernel/random/boot_id")
    return Owner(
        host=_hash(f"{identity.strip()}\n{host.machine.hostname}", 16),
        boot=_hash(boot.strip(), 8),
        space=int(re.sub(r"\D", "", os.readlink("/proc/self/ns/pid"))),
        pid=os.getpid(),
        start=_start_of(os.getpid()) or 0,
    )


def content(name: str) -> bytes:
    """What an object of this name consists of. The second name of a file changes nothing in it."""
    plain = name.removesuffix(RENAMED)
    return f"A scratch object of biostudio-doctor, which may be deleted: {plain}\n".encode()


def is_ours(name: str, data: bytes) -> bool:
    """Whether an object holds what this module writes, or as much as was written of it."""
    return bool(_understood(name)) and content(name).startswith(data)


def left_in(
    directory: int, us: Owner, uids: Collection[int], before: str = ""
) -> Iterator[tuple[str, os.stat_result]]:
    """What ended runs of this host left in an open directory that belongs to one of `uids`.

    Args:
        before: with what such names begin, before what `Owner.new_name` gave.

    Raises:
        OSError: if the directory cannot be read.
    """
    with os.scandir(directory) as entries:
        names = [entry.name for entry, _ in zip(entries, range(_SCAN_LIMIT), strict=False)]
    ours = [name.removeprefix(before) for name in names if name.startswith(before)]
    for name in us.abandoned(ours):
        with contextlib.suppress(OSError):  # gone in the meantime, or not ours to remove
            seen = os.stat(before + name, dir_fd=directory, follow_symlinks=False)
            if seen.st_uid in uids:
                yield before + name, seen


def sweep(directory: str, us: Owner, uids: Collection[int]) -> int:
    """Remove what ended runs of this host left in a directory; how many files were removed.

    Only regular files of one link that belong to one of `uids` are looked into.

    Raises:
        OSError: if the directory cannot be read.
    """
    removed = 0
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name, seen in left_in(handle, us, uids):
            if stat.S_ISREG(seen.st_mode) and seen.st_nlink == 1:
                removed += _remove(handle, name, seen)
    finally:
        os.close(handle)
    return removed


def _remove(directory: int, name: str, seen: os.stat_result) -> bool:
    """Look into a file, close it, and then remove it: NFS would keep an open one by a new name."""
    with contextlib.suppress(OSError):
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with open(os.open(name, flags, dir_fd=directory), "rb", buffering=0) as file:
            same = os.path.samestat(seen, os.fstat(file.fileno()))
            is_one = same and is_ours(name, file.read(len(content(name)) + 1))
        now = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if is_one and os.path.samestat(seen, now):
            os.unlink(name, dir_fd=directory)
            return True
    return False


def _understood(name: str) -> re.Match[str] | None:
    """A name whose seal fits: one that was typed or made up does not pass for ours."""
    found = _NAME.fullmatch(name)
    return found if found and found["seal"] == _hash(found["origin"], 8) else None


def _hash(text: str, digits: int) -> str:
    import hashlib

    return hashlib.sha256(f"biostudio-doctor scratch\n{text}".encode()).hexdigest()[:digits]


def _uptime() -> int:
    return int(time.clock_gettime(time.CLOCK_BOOTTIME))


def _start_of(pid: int) -> int | None:
    """When a process started, in clock ticks since boot (proc(5), /proc/PID/stat); None: it ended.

    One that has ended and is only waited for can use nothing any more.
    """
    fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return int(fields[19]) if len(fields) > 19 and fields[0] not in ("Z", "X") else None


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
