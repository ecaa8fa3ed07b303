"""Long texts in pieces: head and tail of what is too long, and what is packed unpacked."""

import io
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any

from biostudio_doctor import text

PIECE = 1 << 16  # bytes
#: How many times its limit may be read of a source whose end is not known, to find its tail.
PATIENCE = 64
_LONG_LINE = 1 << 16  # bytes of a line that is kept whole at a cut


class Cut:
    """What became of a text on its way."""

    def __init__(self) -> None:
        self.left_out = 0  # bytes
        self.ended = ""  # why the rest was not waited for; '' if the end was reached


def marker(left_out: int) -> bytes:
    """The line between head and tail."""
    return f"\n[... {text.size(left_out)} left out ...]\n".encode()


def head_and_tail(pieces: Iterable[bytes], limit: int, cut: Cut) -> Iterator[bytes]:
    """At most `limit` bytes: of more, the first and the last whole lines.

    The head is handed on as it comes, the tail is kept in memory. Who writes without end is
    listened to for `PATIENCE` times the limit.
    """
    half = limit // 2
    given = seen = 0
    held = bytearray()  # of the head: an unfinished line
    tail: deque[bytes] = deque()
    kept = 0  # bytes in the tail
    for piece in pieces:
        seen += len(piece)
        rest = piece
        if not tail:
            fitting = piece[: half - given - len(held)]
            end = _end_of_line(fitting, len(held))
            held += fitting
            yield bytes(held[:end])
            given += end
            del held[:end]
            if len(fitting) == len(piece):
                continue
            rest = bytes(held) + piece[len(fitting) :]
            held.clear()
        tail.append(rest)
        kept += len(rest)
        while kept - len(tail[0]) >= limit - given:
            kept -= len(tail.popleft())
        if seen > limit * PATIENCE:
            cut.ended = f"it had written {text.size(seen)} and was not waited for any longer"
            break
    rest = bytes(held) + b"".join(tail)
    if given + len(rest) < seen or given + len(rest) > limit:
        rest = _from_line(rest[-half:])
        cut.left_out = seen - given - len(rest)
        yield marker(cut.left_out)
    yield rest


def ends(file: IO[bytes], size: int, limit: int, cut: Cut) -> Iterator[bytes]:
    """The same of a file that is longer, whose middle is not even read."""
    half = limit // 2
    head = file.read(half)
    head = head[: _end_of_line(head) or len(head)]
    file.seek(size - half)
    tail = _from_line(file.read(half))
    cut.left_out = size - len(head) - len(tail)
    yield head
    yield marker(cut.left_out)
    yield tail


def read(file: Any) -> Iterator[bytes]:
    """A file in pieces, until its end or until there is nothing more for now."""
    while piece := file.read(PIECE):
        yield piece


def _end_of_line(data: bytes, before: int = 0) -> int:
    """How far whole lines reach; a very long one is parted between two words.

    `before` are bytes that stand before `data`, in which no line ends.
    """
    end = data.rfind(b"\n") + 1
    if not end and before + len(data) > _LONG_LINE:
        end = max(data.rfind(separator) for separator in (b" ", b",", b";", b"&")) + 1
    return before + end if end else 0


def _from_line(data: bytes) -> bytes:
    """From the first line that begins in it: what is before may be the end of a secret."""
    _, newline, lines = data.partition(b"\n")
    return lines if newline else b""


def _gzip(file: IO[bytes]) -> Any:
    import gzip

    return gzip.GzipFile(fileobj=file)


def _xz(file: IO[bytes]) -> Any:
    import lzma

    return lzma.LZMAFile(file)


def _bzip2(file: IO[bytes]) -> Any:
    import bz2

    return bz2.BZ2File(file)


def _zstd(file: IO[bytes]) -> Any:
    import zstandard

    return zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)


_PACKED: dict[str, Callable[[IO[bytes]], Any]] = {
    ".gz": _gzip, ".xz": _xz, ".bz2": _bzip2, ".zst": _zstd,
}  # fmt: skip


def packing(name: str) -> str:
    """The suffix of a packed file that can be unpacked; '' if it is to be taken as it is."""
    return next((suffix for suffix in _PACKED if name.endswith(suffix)), "")


def unpacked(file: IO[bytes], suffix: str, cut: Cut) -> Iterator[bytes]:
    """What is packed in a file, as far as it is whole.

    A file that unpacks to far more than it can be worth is stopped by `head_and_tail`, and never
    stands in memory.
    """
    try:
        reader = _PACKED[suffix](
            io.BufferedReader(file) if isinstance(file, io.RawIOBase) else file
        )
        while piece := reader.read1(PIECE):  # what there is, before what may be damaged
            yield piece
    except ImportError:
        cut.ended = "the Python package zstandard, which unpacks it, is not installed"
    except OSError as error:
        if error.errno:
            raise
        cut.ended = "its packed data is damaged"
    except Exception as error:  # each of the formats has errors of its own
        if isinstance(error, MemoryError):
            raise
        cut.ended = "its packed data is damaged or cut off"
