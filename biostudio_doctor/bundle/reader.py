"""A bundle read as if it were hostile: by its manifest, every byte against its sum."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import msgspec
from msgspec import Struct

from biostudio_doctor.bundle import harmless, opening, unpacking
from biostudio_doctor.bundle import manifest as bundled
from biostudio_doctor.bundle.errors import BundleError
from biostudio_doctor.bundle.manifest import BundledFile, Manifest
from biostudio_doctor.bundle.unpacking import Member
from biostudio_doctor.collector import MIB
from biostudio_doctor.config import Config
from biostudio_doctor.errors import ConfigError
from biostudio_doctor.model import SCHEMA_VERSION as REPORT_VERSION
from biostudio_doctor.model import Report

_LARGEST_DOCUMENT = 16 * MIB
_MOST_VALUES = 1_000_000  # of a document: each becomes an object, and takes memory as such
_DEEPEST = 100  # of lists within lists; ours come to about ten, and to walk in takes stack
#: Strings as a whole, as brackets may stand in them.
_NESTING = re.compile(rb'"(?:[^"\\]|\\.)*+"|[\[{\]}]')
_LARGEST_KEPT = 64 * MIB
_MOST_FINDINGS = 5000

T = TypeVar("T")


class _Versioned(Struct):
    schema_version: str


class Entry:
    """A file of the bundle. It can be read once, before the next one is asked for."""

    def __init__(self, file: BundledFile, member: Member) -> None:
        self.file = file
        self._member = member
        self._sum = hashlib.sha256()

    def pieces(self) -> Iterator[bytes]:
        """What has not been read of it yet.

        Raises:
            BundleError: at its end, if its sum is wrong.
        """
        for piece in self._member.pieces():
            self._sum.update(piece)
            yield piece
        if self._sum.hexdigest() != self.file.sha256:
            raise BundleError("its SHA-256 is not the one in the manifest", self.file.path)


class Bundle:
    """A bundle that is open, and whose manifest is understood."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        top, self.manifest = self._begin(self._members())
        self._prefix = f"{top}/"
        present = [one for one in self.manifest.files if one.sha256]
        self._expected = {one.path: one for one in present}
        if len(self._expected) != len(present):
            raise BundleError("lists a file twice", bundled.NAME)

    @property
    def handle(self) -> int:
        """The descriptor of the archive in the clear."""
        return self._file.fileno()

    def entries(self) -> Iterator[Entry]:
        """All files but the manifest; when this ends, the bundle is whole and nothing is extra.

        Raises:
            BundleError: for whatever does not agree with the manifest.
        """
        members = self._members()
        next(members)
        missing = dict(self._expected)
        for member in members:
            if not member.name.startswith(self._prefix):
                raise BundleError("is not in the bundle's one directory", member.name)
            path = member.name.removeprefix(self._prefix)
            file = missing.pop(path, None)
            if file is None:
                raise BundleError("is not in the manifest", path)
            if file.size != member.size:
                raise BundleError(f"has {member.size} bytes, and {file.size} by the manifest", path)
            entry = Entry(file, member)
            yield entry
            for _ in entry.pieces():
                pass
        for path in missing:
            raise BundleError("is in the manifest, and not in the archive", path)

    def documents(self, wanted: Callable[[BundledFile], bool]) -> dict[str, bytes]:
        """The content of some files, which are small, by path. All others are checked, too.

        Raises:
            BundleError: for whatever does not agree with the manifest, and for too much content.
        """
        kept: dict[str, bytes] = {}
        left = _LARGEST_KEPT
        for entry in self.entries():
            if wanted(entry.file):
                left -= entry.file.size
                if entry.file.size > _LARGEST_DOCUMENT or left < 0:
                    raise BundleError("is too large to be understood", entry.file.path)
                kept[entry.file.path] = b"".join(entry.pieces())
        return kept

    def _members(self) -> Iterator[Member]:
        self._file.seek(0)
        return unpacking.members(self._file)

    @staticmethod
    def _begin(members: Iterator[Member]) -> tuple[str, Manifest]:
        first = next(members, None)
        if first is None:
            raise BundleError("is empty")
        top, _, path = first.name.partition("/")
        if path != bundled.NAME:
            raise BundleError(f"does not begin with its {bundled.NAME}")
        if first.size > _LARGEST_DOCUMENT:
            raise BundleError("is too large to be understood", path)
        data = b"".join(first.pieces())
        return top, understood(data, Manifest, bundled.NAME, bundled.SCHEMA_VERSION)


@contextmanager
def reading(path: Path, identity: Path | None = None) -> Iterator[Bundle]:
    """Open a bundle, decrypted if need be; what is refused meanwhile is said with its file's name.

    Raises:
        BundleError, DoctorError: if it cannot be read or is not what it must be.
    """
    try:
        with opening.clear(path, identity) as file:
            yield Bundle(file)
    except BundleError as error:
        raise BundleError(f"{harmless.line(path)}: {error}") from None


def report(documents: dict[str, bytes]) -> Report:
    """The report, which every bundle has.

    Raises:
        BundleError: if it has none that this version understands.
    """
    if bundled.REPORT not in documents:
        raise BundleError(f"has no {bundled.REPORT}")
    told = understood(documents[bundled.REPORT], Report, bundled.REPORT, REPORT_VERSION)
    if sum(len(result.findings) for result in told.results) > _MOST_FINDINGS:
        raise BundleError(f"has more than {_MOST_FINDINGS} findings", bundled.REPORT)
    if len({result.id for result in told.results}) < len(told.results):
        raise BundleError("tells of a check twice", bundled.REPORT)
    tables = [table for result in told.results for table in result.tables]
    if any(
        not one.columns or {len(one.columns)} != {len(one.columns), *map(len, one.rows)}
        for one in tables
    ):
        raise BundleError("has a table whose rows do not fit its columns", bundled.REPORT)
    return told


def configuration(documents: dict[str, bytes]) -> Config:
    """The configuration by which it was judged.

    Raises:
        BundleError: if it has none that this version understands.
    """
    from biostudio_doctor.bundle import configured

    if bundled.CONFIG not in documents:
        raise BundleError(f"has no {bundled.CONFIG}")
    data = plain(documents[bundled.CONFIG], bundled.CONFIG)
    try:
        return configured.understood(data)
    except ConfigError as error:
        raise BundleError(str(error), bundled.CONFIG) from None
    except (RecursionError, ValueError, TypeError) as error:
        raise BundleError(f"is not understood: {error}", bundled.CONFIG) from None


def plain(data: bytes, place: str) -> Any:
    """JSON as lists, dicts and scalars.

    Raises:
        BundleError: if it is none.
    """
    return _decoded(data, object, place)


def understood(data: bytes, kind: type[T], place: str, version: str) -> T:
    """A document of a schema of ours. Fields that a newer minor version has are passed over.

    Raises:
        BundleError: if it is no such document, or of another major version.
    """
    theirs = _decoded(data, _Versioned, place).schema_version
    if theirs.partition(".")[0] != version.partition(".")[0]:
        raise BundleError(
            f"has the schema version {harmless.line(theirs)}, and this biostudio-doctor reads "
            f"{version.partition('.')[0]}.x; take a newer one",
            place,
        )
    return _decoded(data, kind, place)


def _decoded(data: bytes, kind: type[T], place: str) -> T:
    if sum(map(data.count, (b",", b"[", b"{"))) > _MOST_VALUES:
        raise BundleError(f"holds more than {_MOST_VALUES} values", place)
    try:
        decoded = msgspec.json.decode(data, type=kind)
    except RecursionError:
        raise BundleError("is nested too deeply", place) from None
    except (msgspec.MsgspecError, ValueError, OverflowError) as error:
        raise BundleError(f"is not understood: {harmless.line(error)}", place) from None
    if _depth(data) > _DEEPEST:
        raise BundleError("is nested too deeply", place)
    return decoded


def _depth(data: bytes) -> int:
    """How deeply lists and objects are nested in what is known to be JSON."""
    depth = deepest = 0
    for found in _NESTING.finditer(data):
        if found[0] in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif found[0] in b"]}":
            depth -= 1
    return deepest
