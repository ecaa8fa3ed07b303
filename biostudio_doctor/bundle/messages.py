"""What a collecting process tells: lines in a pipe, and what it just does, in shared memory."""

import contextlib
import mmap
import os
import signal
import struct

from msgspec import Struct

from biostudio_doctor.bundle.manifest import BundledFile, Outcome
from biostudio_doctor.expendable import Activities

_NUMBERS = struct.Struct("<qq")  # bytes written, process group under way


class Began(Struct, frozen=True, tag="began"):
    """The collector was imported; its title and its time are known now."""

    title: str
    seconds: float
    leaves_out: str = ""


class Taking(Struct, frozen=True, tag="taking"):
    """An entry is begun, at the end of the file."""

    path: str
    source: str


class Taken(Struct, frozen=True, tag="taken"):
    """An entry ended, or could not be had. What it takes up begins where the last one ended."""

    file: BundledFile


class Listed(Struct, frozen=True, tag="listed"):
    """What would be taken, in a dry run."""

    source: str
    size: int | None  # bytes; None if nobody knows before


class Ended(Struct, frozen=True, tag="ended"):
    """The collector is through, and how."""

    outcome: Outcome
    reason: str = ""


class Full(Struct, frozen=True, tag="full"):
    """There is no room for what is taken, so that no bundle can be written."""

    reason: str


class Replaced(Struct, frozen=True, tag="replaced"):
    """Names that were replaced since the last one: by kind, the true one and the other."""

    names: dict[str, dict[str, str]]


Message = Replaced | Began | Taking | Taken | Listed | Ended | Full


class Boards(Activities):
    """What collecting processes show in shared memory, also when they cannot answer any more."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self._shown = mmap.mmap(-1, _NUMBERS.size * max(1, count))
        self._count = count

    def takes(self, index: int, count: int) -> None:
        """Count bytes that are about to be written."""
        written, group = self._numbers(index)
        self._show(index, written + count, group)

    def taken(self) -> int:
        """Bytes, of all together."""
        return sum(self._numbers(index)[0] for index in range(self._count))

    def begin(self, index: int, group: int) -> None:
        """Name the process group of the command that is under way; 0 for none."""
        written, _ = self._numbers(index)
        self._show(index, written, group)

    def end(self, index: int) -> None:
        """End the command that is under way."""
        _, group = self._numbers(index)
        if group > 1:
            with contextlib.suppress(OSError):  # it ended meanwhile
                os.killpg(group, signal.SIGKILL)

    def _show(self, index: int, written: int, group: int) -> None:
        _NUMBERS.pack_into(self._shown, index * _NUMBERS.size, written, group)

    def _numbers(self, index: int) -> tuple[int, int]:
        written, group = _NUMBERS.unpack_from(self._shown, index * _NUMBERS.size)
        return written, group
