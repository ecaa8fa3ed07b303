"""Writing the archive: a gzipped tar whose bytes depend on nothing but what it holds."""

import io
import os
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from typing import IO

from msgspec import Struct

_PIECE = 1 << 18
#: RFC 1952: deflated, no name, no time, of Unix.
_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"
_LEVEL = 6


class Piece(Struct, frozen=True):
    """An entry's content: bytes in memory, or a part of a file."""

    name: str
    data: bytes = b""
    handle: int = -1  # of the file, if any
    at: int = 0
    size: int = 0

    def read(self) -> Iterator[bytes]:
        """The content."""
        if self.handle < 0:
            yield self.data
            return
        at, left = self.at, self.size
        while left > 0:
            piece = os.pread(self.handle, min(_PIECE, left), at)
            if not piece:
                raise OSError(f"{self.name}: what was gathered is gone")
            yield piece
            at, left = at + len(piece), left - len(piece)

    @property
    def length(self) -> int:
        """Bytes."""
        return len(self.data) if self.handle < 0 else self.size


def write(file: IO[bytes], directory: str, entries: Iterable[Piece], moment: int) -> None:
    """Write all entries, in this order, below one directory; `moment` is when all were made.

    Raises:
        OSError: if the disk is full, or broken.
    """
    deflate = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    checked, length = 0, 0
    file.write(_GZIP_HEADER)
    for piece in _tar(directory, entries, moment):
        checked, length = zlib.crc32(piece, checked), length + len(piece)
        file.write(deflate.compress(piece))
    file.write(deflate.flush())
    file.write(checked.to_bytes(4, "little") + (length & 0xFFFFFFFF).to_bytes(4, "little"))
    file.flush()


def _tar(directory: str, entries: Iterable[Piece], moment: int) -> Iterator[bytes]:
    held = io.BytesIO()  # so that small entries are not many small pieces
    for entry in entries:
        header = tarfile.TarInfo(f"{directory}/{entry.name}")
        header.size, header.mode, header.mtime = entry.length, 0o600, moment
        held.write(header.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict"))
        for piece in entry.read():
            held.write(piece)
            if held.tell() >= _PIECE:
                yield held.getvalue()
                held = io.BytesIO()
        held.write(bytes(-entry.length % tarfile.BLOCKSIZE))
    held.write(bytes(2 * tarfile.BLOCKSIZE))
    yield held.getvalue()
