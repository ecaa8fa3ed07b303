"""A gzipped tar unpacked as what a stranger may have made of it: little at a time, nothing to disk.

A bundle needs little of what tar can do, so all else is refused: links, devices, directories,
sparse files, GNU's long names, global headers, and pax records but the few below. Headers are read
by tarfile; what follows them is not, since tarfile takes as much as a header claims into memory.
"""

import tarfile
import unicodedata
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from biostudio_doctor.bundle.errors import BundleError
from biostudio_doctor.collector import MIB

#: What no bundle of ours comes near.
MOST_ENTRIES = 20_000
LARGEST_ENTRY = 512 * MIB
LARGEST_WHOLE = 4096 * MIB
LARGEST_RATIO = 250  # of what has been unpacked to what it was packed in ...
_RATIO_COUNTS_FROM = 64 * MIB  # ... since a little of anything may be packed well
_LONGEST_NAME = 1024  # bytes
_DEEPEST = 32
_LARGEST_PAX = 16 << 10
_LARGEST_PADDING = MIB  # after the last entry

_PIECE = 64 << 10
_BLOCK = 512
_RECORDS = ("path", "mtime", "size")
_CONTROLS = ("Cc", "Cf", "Cs", "Zl", "Zp")  # of Unicode: they could steer a terminal
_KINDS = {
    b"1": "a hard link", b"2": "a symbolic link", b"3": "a character device",
    b"4": "a block device", b"5": "a directory", b"6": "a FIFO", b"S": "a sparse file",
    b"L": "a long name in GNU's form", b"K": "a long link in GNU's form",
    b"g": "a global pax header",
}  # fmt: skip


class Member:
    """A regular file of the archive. It can be read once, before the next one is asked for."""

    def __init__(self, name: str, size: int, stream: "_Stream") -> None:
        self.name = name
        self.size = size
        self._stream = stream
        self._left = size

    def pieces(self) -> Iterator[bytes]:
        """What has not been read of it yet."""
        while self._left:
            piece = self._stream.some(min(self._left, _PIECE))
            self._left -= len(piece)
            yield piece


def members(file: BinaryIO) -> Iterator[Member]:
    """The entries one after the other; the archive has ended well when this ends.

    Raises:
        BundleError: for whatever a bundle may not be or have.
    """
    stream = _Stream(file)
    seen: set[str] = set()
    while header := _header(stream):
        records: dict[str, str] = {}
        if header.type == tarfile.XHDTYPE:
            records = _pax(stream, header)
            following = _header(stream)
            if following is None:
                raise BundleError("ends after a pax header")
            header = following
        name = records.get("path", header.name)
        if header.type != tarfile.REGTYPE:
            kind = _KINDS.get(header.type, f"an entry of type {header.type!r}")
            raise BundleError(f"is {kind}; a bundle holds nothing but regular files", name)
        _check_name(name)
        if name in seen:
            raise BundleError("stands in the archive twice", name)
        seen.add(name)
        if len(seen) > MOST_ENTRIES:
            raise BundleError(f"holds more than {MOST_ENTRIES} entries")
        size = _number(records["size"], "size") if "size" in records else header.size
        if not 0 <= size <= LARGEST_ENTRY:
            raise BundleError(f"claims {size} bytes; at most {LARGEST_ENTRY} are read", name)
        member = Member(name, size, stream)
        yield member
        for _ in member.pieces():
            pass
        stream.padding(size, name)
    stream.end()


def _header(stream: "_Stream") -> tarfile.TarInfo | None:
    """The next header, or None at the end of the archive."""
    block = stream.exactly(_BLOCK)
    if not any(block):
        if any(stream.exactly(_BLOCK)):
            raise BundleError("has an empty block between its entries")
        return None
    try:
        return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.TarError as error:
        raise BundleError(f"is no tar archive, or damaged: {error}") from None


def _pax(stream: "_Stream", header: tarfile.TarInfo) -> dict[str, str]:
    """The records of a pax header: LENGTH KEY=VALUE (POSIX.1-2001, pax Interchange Format)."""
    if not 0 < header.size <= _LARGEST_PAX:
        raise BundleError(f"has a pax header of {header.size} bytes")
    data = stream.exactly(header.size)
    stream.padding(header.size, "pax header")
    records: dict[str, str] = {}
    while data:
        digits = data[:6].partition(b" ")[0]
        length = _number(digits.decode("ascii", "replace"), "length of a record")
        record, data = data[:length], data[length:]
        key, equals, value = record[len(digits) + 1 : -1].partition(b"=")
        if len(record) != length or not equals or record[-1:] != b"\n":
            raise BundleError("has a malformed pax header")
        keyword = key.decode("utf-8", "replace")
        if keyword not in _RECORDS or keyword in records:
            raise BundleError("has a pax header that no bundle has", keyword)
        records[keyword] = value.decode("utf-8", "surrogateescape")
    return records


def _number(digits: str, what: str) -> int:
    if not (digits.isascii() and digits.isdigit() and 0 < len(digits) < 20):
        raise BundleError(f"has a pax header whose {what} is no number")
    return int(digits)


def _check_name(name: str) -> None:
    parts = name.split("/")
    if name.startswith("/"):
        raise BundleError("is an absolute path", name)
    if "\\" in name:
        raise BundleError("has a backslash in its name", name)
    if any(unicodedata.category(character) in _CONTROLS for character in name):
        raise BundleError("has control characters, or bytes that are no UTF-8, in its name", name)
    if ".." in parts:
        raise BundleError("leads out of its directory", name)
    if "" in parts or "." in parts:
        raise BundleError("has an empty part in its name", name)
    if len(name.encode()) > _LONGEST_NAME or len(parts) > _DEEPEST:
        raise BundleError("has a name that is too long or too deep", name)


class _Stream:
    """What is in a gzip file of one member, within the limits above."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._engine = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)  # gzip's own frame
        self._packed = self._unpacked = 0

    def some(self, most: int) -> bytes:
        """The next bytes, at least one."""
        while not (piece := self._inflate(most)):
            if self._engine.eof:
                raise BundleError("ends before its archive does")
        return piece

    def exactly(self, count: int) -> bytes:
        """So many bytes, which are few."""
        data = b""
        while len(data) < count:
            data += self.some(count - len(data))
        return data

    def padding(self, size: int, name: str) -> None:
        """Skip to the end of a block, where nothing may be hidden."""
        if (rest := -size % _BLOCK) and any(self.exactly(rest)):
            raise BundleError("has something hidden behind its end", name)

    def end(self) -> None:
        """Nothing but a little padding may follow."""
        padding = 0
        while not self._engine.eof:
            piece = self._inflate(_PIECE)
            padding += len(piece)
            if any(piece) or padding > _LARGEST_PADDING:
                raise BundleError("has something behind the end of its archive")
        if self._engine.unused_data or self._file.read(1):
            raise BundleError("has something behind its end")

    def _inflate(self, most: int) -> bytes:
        data = self._engine.unconsumed_tail
        if not data and not self._engine.eof:
            data = self._file.read(_PIECE)
            self._packed += len(data)
        try:
            piece = self._engine.decompress(data, most)
        except zlib.error as error:
            raise BundleError(f"is no gzip file, or damaged: {error}") from None
        if not (data or piece or self._engine.eof):
            raise BundleError("is cut off")
        self._unpacked += len(piece)
        if self._unpacked > LARGEST_WHOLE:
            raise BundleError(f"unpacks to more than {LARGEST_WHOLE} bytes")
        if self._unpacked > max(_RATIO_COUNTS_FROM, LARGEST_RATIO * self._packed):
            raise BundleError(f"unpacks to more than {LARGEST_RATIO} times its size")
        return piece
