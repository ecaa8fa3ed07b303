"""Where the bundle is written: privately beside its place, and there only when it is whole."""

import contextlib
import itertools
import os
import stat
import tempfile
from pathlib import Path
from typing import IO

from biostudio_doctor import scratch
from biostudio_doctor.errors import DoctorError
from biostudio_doctor.host import Host

_PREFIX = ".biostudio-doctor-bundle"


class Destination:
    """A file that is to be, and the private one that becomes it."""

    def __init__(self, path: Path, named: bool) -> None:
        """Make the private file, which only its owner can read, whatever the umask.

        What runs of ours that were killed left beside it is removed. Who did not name the path
        (`named`) does not expect that anything is replaced: another one is found then.

        Raises:
            DoctorError: if nothing can be written there.
        """
        self.path = path
        self._named = named
        self._directory = _opened(path.parent)
        self._temporary = self._reserved = ""
        try:
            if named:
                _refuse(path, self._directory)
            us = scratch.owner(Host())
            _sweep(self._directory, us)
            self._temporary = _PREFIX + us.new_name()
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            handle = os.open(self._temporary, flags, 0o600, dir_fd=self._directory)
        except OSError as error:
            os.close(self._directory)
            raise DoctorError(f"--output: {path}: {error.strerror}") from None
        except DoctorError:
            os.close(self._directory)
            raise
        os.fchmod(handle, 0o600)
        self.file: IO[bytes] = os.fdopen(handle, "w+b")

    def unnamed(self) -> IO[bytes]:
        """A private file on the same disk that has no name, and vanishes with this process."""
        return tempfile.TemporaryFile(dir=f"/proc/self/fd/{self._directory}", buffering=0)

    def keep(self) -> None:
        """Give the file its name, which `path` tells, once it is on the disk.

        A link there is replaced, not followed.

        Raises:
            DoctorError: if it cannot be.
        """
        try:
            self.file.flush()
            os.fsync(self.file.fileno())
            if not self._named:
                self._reserve()
            _refuse(self.path, self._directory)
            if not self._is_ours(self._temporary):
                raise DoctorError(f"--output: {self.path}: another user exchanged the file")
            os.rename(
                self._temporary, self.path.name,
                src_dir_fd=self._directory, dst_dir_fd=self._directory,
            )  # fmt: skip
            self._temporary = self._reserved = ""
            if not self._is_ours(self.path.name):
                raise DoctorError(f"--output: {self.path}: another user exchanged the file")
            os.fsync(self._directory)
        except OSError as error:
            raise DoctorError(f"--output: {self.path}: {error.strerror}") from None

    def discard(self) -> None:
        """Take back what was kept."""
        with contextlib.suppress(OSError):
            if self._is_ours(self.path.name):
                os.unlink(self.path.name, dir_fd=self._directory)

    def close(self) -> None:
        """Leave nothing but a file that was kept."""
        for name in filter(None, (self._temporary, self._reserved)):
            with contextlib.suppress(OSError):
                os.unlink(name, dir_fd=self._directory)
        self._temporary = self._reserved = ""
        with contextlib.suppress(OSError):  # a full disk says so again
            self.file.close()
        os.close(self._directory)

    def _reserve(self) -> None:
        """Make an empty file of this name, or with a number if there is one."""
        stem, suffix, rest = self.path.name.rpartition(".tar.gz")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        for number in itertools.count(2):
            try:
                os.close(os.open(self.path.name, flags, 0o600, dir_fd=self._directory))
                self._reserved = self.path.name
                return
            except FileExistsError:
                self.path = self.path.with_name(f"{stem}-{number}{suffix}{rest}")

    def _is_ours(self, name: str) -> bool:
        found = os.stat(name, dir_fd=self._directory, follow_symlinks=False)
        return os.path.samestat(found, os.fstat(self.file.fileno()))


def place(output: str | None, name: str) -> tuple[Path, bool]:
    """Where a bundle goes: the file that was named (True), or `name` in the directory that was."""
    output = output or "."
    named = not output.endswith("/") and not os.path.isdir(output)
    return Path(output).absolute() / ("" if named else name), named


def _opened(directory: Path) -> int:
    try:
        return os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise DoctorError(f"--output: the directory {directory}: {error.strerror}") from None


def _refuse(path: Path, directory: int) -> None:
    """Replace nothing but a regular file of our own."""
    try:
        found = os.stat(path.name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return
    if stat.S_ISLNK(found.st_mode):
        raise DoctorError(f"--output: {path} is a symbolic link, which is not written through")
    if not stat.S_ISREG(found.st_mode):
        raise DoctorError(f"--output: {path} exists and is no regular file")
    if found.st_uid != os.geteuid():
        raise DoctorError(f"--output: {path} exists and belongs to the user {found.st_uid}")


def _sweep(directory: int, us: scratch.Owner) -> None:
    """Remove what killed runs of this host left: files of ours whose process is gone."""
    for name, found in scratch.left_in(directory, us, {os.geteuid()}, before=_PREFIX):
        if stat.S_ISREG(found.st_mode):
            with contextlib.suppress(OSError):
                os.unlink(name, dir_fd=directory)
