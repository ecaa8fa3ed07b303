"""The host view: every look at the machine goes through `Host`, below `host.root`.

A container with the host's file system mounted at /host, and a test with a tree of fixtures, run
the same checks with another root. `Host` also keeps, for each thread, what it is just doing, so
that a check that hangs can be told by name ("read /mnt/nfs/app").
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import NamedTuple

from biostudio_doctor.host.cgroups import Cgroups
from biostudio_doctor.host.machine import identify
from biostudio_doctor.host.mounts import Mount, parse_mountinfo
from biostudio_doctor.model import Machine

READ_LIMIT = 1 << 20
_BOOT_ID = "/proc/sys/kernel/random/boot_id"
LINK_LIMIT = 40  # as the kernel's MAXSYMLINKS


class Completed(NamedTuple):
    """What a command said."""

    returncode: int
    stdout: str
    stderr: str


def command_environment() -> dict[str, str]:
    """For the host's own programs: the C locale, and where administrators' programs are."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin", "/usr/bin", "/bin"])
    return {**os.environ, "LC_ALL": "C", "PATH": path}


class Host:
    """A machine, seen read-only through its file system.

    Paths given to the methods are those of the host ("/etc/os-release"); symbolic links are
    followed as that host would follow them, so none leads out of the root. Methods raise OSError
    as the calls they stand for do.
    """

    def __init__(self, root: str = "/", on_activity: Callable[[str], None] | None = None) -> None:
        self.root = os.path.abspath(root)
        self._on_activity = on_activity

    @property
    def is_local(self) -> bool:
        """Whether this is the machine we run on, so that its programs can be asked too."""
        return self.root == "/"

    @contextmanager
    def doing(self, activity: str) -> Iterator[None]:
        """Say what the calling check does, in case it never comes back from it."""
        if self._on_activity:
            self._on_activity(activity)
        try:
            yield
        finally:
            if self._on_activity:
                self._on_activity("")

    @property
    def is_this_kernel(self) -> bool:
        """Whether the host's kernel is the one that this process runs on, whatever its root."""
        return self.is_local or self.read_if_any(_BOOT_ID) == (Host().read_if_any(_BOOT_ID) or "")

    @property
    def process(self) -> str:
        """The /proc directory whose limits and mounts count: our own, or of another root's init.

        What holds for our container says nothing about the host that is mounted beside it.
        """
        return "/proc/self" if self.is_local else "/proc/1"

    def path(self, path: str) -> str:
        """Where a path of the host really lies, its symbolic links followed below the root."""
        return path if self.is_local else self._resolve(path)

    def real_path(self, path: str) -> str:
        """The path in the host's own terms, without symbolic links; what does not exist stays."""
        with self.doing(f"follow {path}"):
            if self.is_local:
                return os.path.realpath(path)
            return self._resolve(path).removeprefix(self.root) or "/"

    def read_bytes(self, path: str, limit: int = READ_LIMIT) -> bytes:
        """The first `limit` bytes of a regular file; never waits on a pipe or a device."""
        with (
            self.doing(f"read {path}"),
            open(self.path(path), "rb", opener=_without_waiting) as file,
        ):
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise OSError(errno.EINVAL, "not a regular file", path)
            return file.read(limit)

    def read(self, path: str, limit: int = READ_LIMIT) -> str:
        """The text of a file; bytes that are no UTF-8 become U+FFFD."""
        return self.read_bytes(path, limit).decode("utf-8", "replace")

    def read_if_any(self, path: str) -> str | None:
        """The text of a file, or None where it cannot be read for whatever reason."""
        try:
            return self.read(path)
        except (OSError, ValueError):
            return None

    def exists(self, path: str) -> bool:
        """Whether the path leads to something, as far as this user may know."""
        with self.doing(f"look for {path}"):
            try:
                return os.path.exists(self.path(path))
            except OSError:  # a loop of links below the root
                return False

    def listdir(self, path: str) -> list[str]:
        """The sorted names in a directory."""
        with self.doing(f"list {path}"):
            return sorted(os.listdir(self.path(path)))

    def listdir_if_any(self, path: str) -> list[str]:
        """The sorted names in a directory; none where it cannot be listed."""
        try:
            return self.listdir(path)
        except OSError:
            return []

    def stat(self, path: str) -> os.stat_result:
        """stat(2)."""
        with self.doing(f"stat {path}"):
            return os.stat(self.path(path))

    def statvfs(self, path: str) -> os.statvfs_result:
        """statvfs(3): sizes are f_blocks, f_bavail times f_frsize bytes."""
        with self.doing(f"statvfs {path}"):
            return os.statvfs(self.path(path))

    def readlink(self, path: str) -> str:
        """The text of a symbolic link, not followed."""
        with self.doing(f"readlink {path}"):
            return os.readlink(
                os.path.join(self.path(os.path.dirname(path)), os.path.basename(path))
            )

    def run(self, command: Sequence[str], timeout: float = 5.0) -> Completed:
        """Run one of the host's own read-only programs, in the C locale and without input.

        Raises:
            OSError: if it cannot be run, also where the host is not the machine we run on.
            TimeoutError: if it takes longer than `timeout` seconds; it is killed then.
        """
        import subprocess

        if not self.is_local:
            raise OSError(errno.EXDEV, "programs of another root cannot be run", command[0])
        with self.doing(f"run {' '.join(command)}"):
            try:
                done = subprocess.run(
                    command,
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    timeout=timeout,
                    env=command_environment(),
                    text=True,
                    errors="replace",
                    check=False,
                )
            except subprocess.TimeoutExpired:
                raise TimeoutError(f"{command[0]} did not answer within {timeout:g} s") from None
        return Completed(done.returncode, done.stdout, done.stderr)

    @cached_property
    def machine(self) -> Machine:
        """Which host this is."""
        return identify(self)

    def mounts(self) -> list[Mount]:
        """The mounted file systems, in the order in which they were mounted."""
        return parse_mountinfo(self.read(f"{self.process}/mountinfo"))

    @property
    def cgroups(self) -> Cgroups:
        """The control groups that this process is in, and their limits."""
        return Cgroups(self)

    def _resolve(self, path: str) -> str:
        """Follow the links of `path` as after chroot(root)."""
        resolved: list[str] = []
        pending = [part for part in reversed(path.split("/")) if part not in ("", ".")]
        links = 0
        while pending:
            part = pending.pop()
            if part == "..":
                del resolved[-1:]
                continue
            candidate = os.path.join(self.root, *resolved, part)
            if not os.path.islink(candidate):
                resolved.append(part)
                continue
            links += 1
            if links > LINK_LIMIT:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
            target = os.readlink(candidate)
            if target.startswith("/"):
                resolved.clear()
            pending += [step for step in reversed(target.split("/")) if step not in ("", ".")]
        return os.path.join(self.root, *resolved)


def _without_waiting(path: str, flags: int) -> int:
    """Open it at once, also a pipe that nobody writes to."""
    return os.open(path, flags | os.O_NONBLOCK)
