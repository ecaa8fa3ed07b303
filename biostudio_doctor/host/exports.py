"""What an NFS server exports, as showmount(8) lists it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from biostudio_doctor.host.programs import find
from biostudio_doctor.text import printable

if TYPE_CHECKING:
    from biostudio_doctor.host import Host

_LISTED = 200  # exports that are kept


class Exports(Struct, frozen=True, kw_only=True):
    """What the server says that it exports (mountd, which NFS 4 does without)."""

    listed: tuple[str, ...] = ()
    problem: str = ""  # why it could not be asked


def exports(host: Host, server: str, seconds: float) -> Exports:
    """Ask a server for its exports, with the host's showmount, for `seconds` at most."""
    program = find(host, "showmount")
    if not program:
        return Exports(problem="showmount is not installed here")
    if server.startswith("-"):
        return Exports(problem="the server's name cannot be one")
    try:
        done = host.run([program, "-e", "--no-headers", server], timeout=seconds)
    except (OSError, TimeoutError) as error:
        return Exports(problem=str(error.strerror or error))
    if done.returncode:
        return Exports(
            problem=_first_line(done.stderr) or f"showmount ended with {done.returncode}"
        )
    return Exports(listed=parse_exports(done.stdout))


def parse_exports(listing: str) -> tuple[str, ...]:
    """The directories that `showmount -e --no-headers` lists, each before who may mount it."""
    listed = []
    for line in listing.splitlines()[:_LISTED]:
        path = line.rstrip().rpartition(" ")[0].strip() or line.strip()
        if path.startswith("/"):
            listed.append(printable(path)[:200])
    return tuple(listed)


def _first_line(words: str) -> str:
    return printable(next(iter(words.strip().splitlines()), ""))[:200]
