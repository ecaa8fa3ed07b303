"""The written archive read back as a stranger would, and searched for what must not be in it."""

import fnmatch
import os
import selectors
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import BinaryIO

import msgspec
from msgspec import Struct

from biostudio_doctor import expendable
from biostudio_doctor.bundle.errors import BundleError
from biostudio_doctor.bundle.manifest import NAME, Manifest
from biostudio_doctor.bundle.reader import Bundle
from biostudio_doctor.errors import DoctorError
from biostudio_doctor.redaction.redactor import Redactor
from biostudio_doctor.redaction.tokens import out_of_a_name

_PATIENCE = 600.0  # seconds; it takes about as long as the redaction did
_MOST = 1000  # places that are told


class Found(Struct, frozen=True, tag="found"):
    """Where something is that should not be there. Never what it is."""

    entry: str
    kind: str
    line: int = 0  # 0: in the entry's name, or in what the manifest says `of` a collector
    column: int = 0
    of: str = ""

    def __str__(self) -> str:
        where = f":{self.line}:{self.column}" if self.line else ": its name"
        if self.entry == NAME:
            where = f", of {self.of}" if self.of else ""
        return f"{self.entry}{where}: {self.kind}"


class Done(Struct, frozen=True, tag="done"):
    """A process is through; `problem` says what is wrong with the archive, '' if nothing."""

    problem: str = ""


class _Process(expendable.Expendable):
    def __init__(self, handle: int, redactor: Redactor, share: frozenset[str]) -> None:
        self.done = False
        super().__init__(lambda pipe: _read(pipe, handle, redactor, share))


def search(handle: int, manifest: Manifest, redactor: Redactor) -> list[Found]:
    """Check an archive against its sums, and search all that is in it, on all processors.

    Raises:
        DoctorError: if it is not what it should be, or could not be read through.
    """
    count = min(4, len(os.sched_getaffinity(0)))
    processes = [_Process(handle, redactor, share) for share in _shares(manifest, count)]
    found: list[Found] = []
    decoder = msgspec.json.Decoder(Found | Done)
    until = time.monotonic() + _PATIENCE
    try:
        with selectors.DefaultSelector() as selector:
            for process in processes:
                selector.register(process.descriptor, selectors.EVENT_READ, process)
            while selector.get_map():
                ready = selector.select(max(0.0, until - time.monotonic()))
                if not ready:
                    raise DoctorError(f"the bundle could not be verified within {_PATIENCE:g} s")
                for key, _ in ready:
                    lines = key.data.lines()
                    for message in map(decoder.decode, lines or ()):
                        _take(message, key.data, found)
                    if lines is None:
                        selector.unregister(key.fileobj)
                        if not key.data.done:
                            fate = key.data.fate()
                            raise DoctorError(f"the bundle could not be verified: {fate}")
    finally:
        for process in processes:
            process.end()
        expendable.bury(processes, 1.0)
    return sorted(found, key=lambda one: (one.entry, one.line, one.kind))


def unallowed(found: Iterable[Found], allowed: Sequence[str]) -> list[Found]:
    """Those that are in no entry that someone allowed, by its path or a glob."""
    return [
        one for one in found
        if not any(fnmatch.fnmatchcase(one.entry, pattern) for pattern in allowed)
    ]  # fmt: skip


def _take(message: Found | Done, process: _Process, found: list[Found]) -> None:
    if isinstance(message, Found):
        found.append(message)
    elif message.problem:
        raise DoctorError(f"the bundle was not written as it should be: {message.problem}")
    else:
        process.done = True


def _shares(manifest: Manifest, count: int) -> list[frozenset[str]]:
    """The entries in parts of about the same size; the manifest is in the first."""
    shares: list[set[str]] = [{NAME}] + [set() for _ in range(count - 1)]
    sizes = [0] * count
    for file in sorted(manifest.files, key=lambda one: one.size, reverse=True):
        if file.sha256:
            least = sizes.index(min(sizes))
            shares[least].add(file.path)
            sizes[least] += file.size
    return [frozenset(share) for share in shares]


def _read(pipe: int, handle: int, redactor: Redactor, share: frozenset[str]) -> None:
    problem = ""
    try:
        with open(f"/proc/self/fd/{handle}", "rb") as file:  # with an offset of its own
            _search(file, redactor, share, lambda one: _send(pipe, one))
    except BundleError as error:
        problem = str(error)
    except BaseException as error:
        problem = type(error).__name__
    _send(pipe, Done(problem))


def _search(
    file: BinaryIO,
    redactor: Redactor,
    share: frozenset[str],
    tell: Callable[[Found], None],
) -> None:
    told = 0
    bundle = Bundle(file)
    if NAME in share:  # its words, not its numbers beside the names of what they count
        for of, data in _by_collector(bundle.manifest):
            words = "\n".join(_words(data)).encode()
            for kind in sorted({place.kind for place in redactor.scan([out_of_a_name(words)])}):
                tell(Found(NAME, kind, of=of))
    for entry in bundle.entries():
        path = entry.file.path
        if path not in share:
            continue
        in_its_name = list(redactor.scan([out_of_a_name(path.encode())]))
        told_as = f"{entry.file.collector}/(a name)" if in_its_name else path
        for place in in_its_name:
            tell(Found(told_as, place.kind))
        for place in redactor.scan(entry.pieces()):
            told += 1
            if told <= _MOST:
                tell(Found(told_as, place.kind, place.line, place.column))


def _by_collector(manifest: Manifest) -> Iterator[tuple[str, object]]:
    """What the manifest says, by whom it says it of; '' is the bundle itself."""
    whole = msgspec.to_builtins(manifest)
    of: dict[str, list[object]] = {}
    for table, key in (("collectors", "id"), ("files", "collector")):
        for one in whole.pop(table):
            of.setdefault(one[key] or "report", []).append(one)
    yield "", whole
    yield from of.items()


def _words(data: object) -> Iterator[str]:
    if isinstance(data, str):
        yield data
    elif isinstance(data, dict | list | tuple):
        for one in data.values() if isinstance(data, dict) else data:
            yield from _words(one)


def _send(pipe: int, message: Found | Done) -> None:
    expendable.tell(pipe, msgspec.json.encode(message))
