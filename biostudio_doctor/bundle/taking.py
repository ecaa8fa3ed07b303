"""Files of the host, opened so that no link, pipe or device is ever taken for one.

The directory that a collector names may itself lie behind a link, as /var/log does on some hosts.
Everything beyond it (what a glob matches, what lies below `Take.below`) may have been put there by
others: a link there could lead to anything that root can read, so it is told and not followed.
"""

import errno
import os
import re
import stat
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import IO, NamedTuple

from biostudio_doctor import text
from biostudio_doctor.collector import Take
from biostudio_doctor.host import Host

_SCAN_LIMIT = 100_000  # names that are looked at for one glob
_DEPTH = 16  # directories beyond the base
_GLOB = re.compile(r"[*?[]")
_PATH_ONLY = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_KINDS = {
    stat.S_IFLNK: "a link, which is not followed", stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}  # fmt: skip


class Match(NamedTuple):
    """A file that a glob or a path leads to."""

    path: str  # on the host
    beyond: tuple[str, ...]  # what of it lies beyond the base, one name each
    size: int
    changed: float
    why_not: str  # why it cannot be taken; '' if it can
    leads_to: str = ""  # of a link: the path that it names


class Matches:
    """What one `Take` means on this host."""

    def __init__(self, host: Host, take: Take) -> None:
        parts = tuple(part for part in take.path.split("/") if part)
        parts += ("*",) if parts[-1] == "**" else ()
        fixed = next((i for i, part in enumerate(parts) if _GLOB.search(part)), len(parts))
        self.is_glob = fixed < len(parts)
        count = min(fixed, len(parts) - 1)
        if take.below:
            count = min(count, len([part for part in take.below.split("/") if part]))
        self.base = "/" + "/".join(parts[:count])
        self._beyond = parts[count:]
        self._host = host
        self._seen = 0

    def find(self) -> list[Match]:
        """All of them, by name.

        Raises:
            OSError: if the base cannot be looked into.
        """
        with self._host.doing(f"look into {self.base}"):
            base = self._open_base()
            try:
                return list(self._walk(base, (), self._beyond, 0))
            finally:
                os.close(base)

    def open(self, match: Match) -> IO[bytes]:
        """Open a match for reading, unbuffered.

        Raises:
            OSError: if it is not there any more, or something else now.
        """
        with self._host.doing(f"open {match.path}"):
            directory = self._open_base()
            try:
                for name in match.beyond[:-1]:
                    inner = os.open(name, _PATH_ONLY | os.O_DIRECTORY, dir_fd=directory)
                    os.close(directory)
                    directory = inner
                handle = os.open(match.beyond[-1], _PATH_ONLY, dir_fd=directory)
            finally:
                os.close(directory)
            try:
                why_not = _why_not(os.fstat(handle).st_mode)
                if why_not:
                    raise OSError(errno.EINVAL, f"it is {why_not}", match.path)
                # By its handle: whatever has its name by now stays unopened.
                flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
                return open(os.open(f"/proc/self/fd/{handle}", flags), "rb", buffering=0)
            finally:
                os.close(handle)

    def _open_base(self) -> int:
        return os.open(self._host.path(self.base), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def _walk(
        self, directory: int, above: tuple[str, ...], parts: tuple[str, ...], depth: int
    ) -> Iterator[Match]:
        part, rest = parts[0], parts[1:]
        if part == "**":
            yield from self._walk(directory, above, rest, depth)
        below = parts if part == "**" else rest
        for name in self._names(directory, part):
            try:
                found = os.stat(name, dir_fd=directory, follow_symlinks=False)
            except FileNotFoundError:
                if name == part and not self.is_glob:
                    raise
                continue
            match = Match(
                path=os.path.join(self.base, *above, name),
                beyond=(*above, name),
                size=found.st_size,
                changed=found.st_mtime,
                why_not=_why_not(found.st_mode),
            )
            if stat.S_ISLNK(found.st_mode):
                match = match._replace(leads_to=_leads_to(match.path, directory))
            if below and stat.S_ISDIR(found.st_mode):
                if depth < _DEPTH:
                    yield from self._descend(directory, match, below, depth + 1)
            elif self._means(found.st_mode, part, last=not below):
                yield match

    def _means(self, mode: int, part: str, last: bool) -> bool:
        """Whether this is worth a word: what is asked for, or a link on the way to it."""
        if stat.S_ISLNK(mode):
            return part != "**"
        return last and not (self.is_glob and stat.S_ISDIR(mode))

    def _descend(
        self, directory: int, at: Match, parts: tuple[str, ...], depth: int
    ) -> Iterator[Match]:
        try:
            inner = os.open(at.beyond[-1], _PATH_ONLY | os.O_DIRECTORY, dir_fd=directory)
        except OSError as error:
            yield at._replace(why_not=error.strerror or "cannot be opened")
            return
        try:
            yield from self._walk(inner, at.beyond, parts, depth)
        except OSError as error:
            if error.errno != errno.ENOENT:
                yield at._replace(why_not=error.strerror or "cannot be read")
        finally:
            os.close(inner)

    def _names(self, directory: int, part: str) -> list[str]:
        if not _GLOB.search(part):
            return [part]
        names = []
        listed = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=directory)
        try:
            with os.scandir(listed) as entries:
                for entry in entries:
                    self._seen += 1
                    if self._seen > _SCAN_LIMIT:
                        break
                    hidden = entry.name.startswith(".") and not part.startswith(".")
                    if not hidden and fnmatchcase(entry.name, part):
                        names.append(entry.name)
        finally:
            os.close(listed)
        return sorted(names)


def chosen(matches: list[Match], take: Take, since: float) -> tuple[list[Match], str]:
    """Those that are to be taken, and what is to be said of the others, such as too old ones."""
    if take.within:
        matches = [match for match in matches if match.changed >= since or match.why_not]
    newest = sorted(matches, key=lambda match: match.changed, reverse=True)[: take.newest]
    left = len(matches) - len(newest)
    said = f"{text.number(left, 'older file')} left out: {take.newest} are taken" if left else ""
    return sorted(newest, key=lambda match: match.path), said


def _leads_to(path: str, directory: int) -> str:
    """What a link in an open directory names, whether or not that is there."""
    try:
        named = os.readlink(os.path.basename(path), dir_fd=directory)
    except OSError:  # it is gone, or no link any more
        return ""
    return os.path.normpath(os.path.join(os.path.dirname(path), named))


def _why_not(mode: int) -> str:
    return "" if stat.S_ISREG(mode) else _KINDS.get(stat.S_IFMT(mode), "no regular file")
