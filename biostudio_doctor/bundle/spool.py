"""What a collecting process takes, redacted, into a file that has no name."""

import errno
import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import msgspec
from msgspec import Struct

from biostudio_doctor import text
from biostudio_doctor.bundle import harmless
from biostudio_doctor.bundle.entries import Names
from biostudio_doctor.bundle.manifest import BundledFile, Outcome
from biostudio_doctor.bundle.messages import Boards, Message, Taken, Taking
from biostudio_doctor.bundle.pieces import Cut
from biostudio_doctor.redaction.redactor import Redactor
from biostudio_doctor.registry import describe


class FullError(Exception):
    """There is no room left where the bundle is made."""


class Room(Struct, frozen=True, kw_only=True):
    """Where one collecting process writes, and how much."""

    handle: int  # of the file
    boards: Boards
    index: int  # on the boards
    most: int  # bytes that all processes may write together


class Entry(NamedTuple):
    """An entry that was announced."""

    path: str
    source: str


class Spool:
    """The child's end of the file: each entry is announced, and told when it ends."""

    def __init__(
        self, collector_id: str, room: Room, redactor: Redactor, send: Callable[[Message], None]
    ) -> None:
        self.deadline = float("inf")  # by time.monotonic()
        self._id = collector_id
        self._room = room
        self._redactor = redactor
        self._send = send
        self._names = Names(collector_id)

    def begin(self, name: str, source: str) -> Entry:
        """Announce an entry, so that it is known what was being taken if it is never told again."""
        entry = Entry(self._names.new(self._redactor.name(name)), self.clean(source))
        self._send(Taking(entry.path, entry.source))
        return entry

    def put(
        self,
        entry: Entry,
        pieces: Iterable[bytes],
        cut: Cut,
        why_not_all: Callable[[bool], str] = lambda _: "",
    ) -> Outcome:
        """Take a text. What fails on its way leaves what was there before as partial.

        `why_not_all` tells, at its end, why there is nothing in it, or (True) no more; '' if that
        is as it should be.

        Raises:
            FullError: if the disk is full.
        """
        counts: dict[str, int] = {}
        hashed, size, problem = hashlib.sha256(), 0, ""
        try:
            for piece in self._redactor.stream(self._in_time(pieces, cut), counts):
                fitting = self._fitting(piece)
                self._write(fitting)
                hashed.update(fitting)
                size += len(fitting)
                if len(fitting) < len(piece):
                    problem = "the bundle's size limit is reached"
                    break
        except (OSError, MemoryError, ValueError) as error:
            problem = words(error)
        problem = problem or cut.ended or why_not_all(bool(size))
        outcome = Outcome.CUT if cut.left_out else Outcome.WHOLE
        if problem:
            outcome = Outcome.PARTIAL if size else Outcome.FAILED
        elif cut.left_out:
            problem = f"{text.size(cut.left_out)} in the middle are left out"
        file = BundledFile(
            path=entry.path,
            collector=self._id,
            source=entry.source,
            outcome=outcome,
            reason=self.clean(problem),
            size=size,
            left_out=cut.left_out,
            sha256="" if outcome is Outcome.FAILED else hashed.hexdigest(),
            redactions=counts,
        )
        self._send(Taken(file))
        return outcome

    def none(self, entry: Entry, outcome: Outcome, reason: str) -> Outcome:
        """Tell of an entry that could not be had."""
        file = BundledFile(
            path=entry.path,
            collector=self._id,
            source=entry.source,
            outcome=outcome,
            reason=self.clean(reason),
        )
        self._send(Taken(file))
        return outcome

    def unreadable(self, entry: Entry, error: OSError, root: bool) -> Outcome:
        """The same by what the system said; `root` if that was said to root."""
        if error.errno == errno.ENOENT:
            return self.none(entry, Outcome.SKIPPED, "it does not exist")
        only_root = isinstance(error, PermissionError) and not root
        problem = f"{words(error)}{', which root may do' if only_root else ''}"
        return self.none(entry, Outcome.FAILED, problem)

    def clean(self, said: str) -> str:
        """Words for the manifest: redacted, in one line, of bounded length."""
        data = b"".join(self._redactor.stream([said.encode("utf-8", "surrogateescape")], {}))
        return harmless.line(data.decode("utf-8", "replace"))

    def _in_time(self, pieces: Iterable[bytes], cut: Cut) -> Iterator[bytes]:
        """Pieces, until the time of the collector is over."""
        for piece in pieces:
            yield piece
            if time.monotonic() > self.deadline:
                cut.ended = "the time of its collector was over"
                return

    def _fitting(self, piece: bytes) -> bytes:
        """As much of it as there is room for; that is taken at once, as others write, too."""
        room = self._room
        room.boards.takes(room.index, len(piece))
        over = min(len(piece), room.boards.taken() - room.most)
        if over <= 0:
            return piece
        room.boards.takes(room.index, -over)
        return piece[:-over]

    def _write(self, piece: bytes) -> None:
        try:
            while piece:
                piece = piece[os.write(self._room.handle, piece) :]
        except OSError as error:
            raise FullError(error.strerror) from None


def as_json(data: object, redactor: Redactor) -> bytes:
    """Data as JSON that stays JSON when it is redacted as a text, as each text is.

    Where it would not, each string in it is redacted by itself beforehand.
    """
    plain = msgspec.json.format(msgspec.json.encode(data, enc_hook=str))
    try:
        msgspec.json.decode(b"".join(redactor.stream([plain], {})))
        return plain
    except (msgspec.DecodeError, UnicodeDecodeError):

        def change(said: str) -> str:
            return b"".join(redactor.stream([said.encode()], {})).decode("utf-8", "replace")

        each = text.changed_in(msgspec.json.decode(plain), change, of_key=redactor.name)
        return msgspec.json.format(msgspec.json.encode(each))


def words(error: BaseException) -> str:
    """Why something could not be had."""
    if isinstance(error, MemoryError):
        return "there was not enough memory for it"
    return (error.strerror if isinstance(error, OSError) else "") or describe(error)
