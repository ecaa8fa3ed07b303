"""What changed between two bundles."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import msgspec
from msgspec import Struct

from biostudio_doctor.bundle import harmless, judging, reader
from biostudio_doctor.bundle import manifest as bundled
from biostudio_doctor.bundle.manifest import Manifest, Outcome
from biostudio_doctor.bundle.reader import Bundle
from biostudio_doctor.model import SEVERITY, Report
from biostudio_doctor.redaction.tokens import TOKEN

PACKAGES = "packages.txt"  # what a collector calls a list of packages
_MOST = 100  # changes told of one kind, or of one check's facts
_DEEPEST = 50
#: What tells the members of a list apart, where all have one of these.
_IDENTITIES = ("name", "id", "path", "host", "target", "mount_point", "device", "address", "port")
#: Of facts: when they were had, and how long that took, which is never the same twice.
_TIMES = re.compile(r"(?:^|[.\]])(?:observed_at|seconds|duration\w*)(?:$|[.\[])")
#: Bytes and inodes come and go: of a number so large, a change so small says nothing ...
_LARGE, _LITTLE = 100_000, 0.05


class Changed(Struct, frozen=True, kw_only=True):
    """One thing that differs. What only one bundle has is None in the other."""

    what: str  # a path in facts, a package, a key, a file
    was: Any = None
    now: Any = None


class Changes(Struct, frozen=True, kw_only=True):
    """What differs, as far as it is told."""

    told: tuple[Changed, ...] = ()
    more: int = 0  # that are not told, since there are many


class Difference(Struct, frozen=True, kw_only=True):
    """What changed from one bundle to another."""

    findings: tuple[judging.Change, ...]  # what is worst now comes first
    configuration: Changes
    packages: Changes
    collectors: Changes  # how each fared, where that differs
    facts: dict[str, Changes]  # by the id of the check
    moved: dict[str, int]  # how many numbers of its facts only moved, as they always do
    files: Changes  # what only one has, or fared otherwise in it

    @property
    def any(self) -> bool:
        """Something changed."""
        told = (self.packages, self.configuration, self.collectors, self.files)
        return bool(self.findings or self.facts) or any(changes.told for changes in told)


class Side(Struct, frozen=True, kw_only=True):
    """What of a bundle is compared."""

    manifest: Manifest
    report: Report
    config: Any
    packages: dict[str, str]  # versions by name


def side(bundle: Bundle) -> Side:
    """Read it, while all of it is checked.

    Raises:
        BundleError: if it is not what it must be.
    """
    documents = bundle.documents(
        lambda file: file.path in (bundled.REPORT, bundled.CONFIG) or _lists_packages(file.path)
    )
    if bundle.manifest.created_at:  # else its tokens are keyed by the host, and can be compared
        documents = {path: _without_keys(content) for path, content in documents.items()}
    config = documents.get(bundled.CONFIG)
    return Side(
        manifest=bundle.manifest,
        report=reader.report(documents),
        config=reader.plain(config, bundled.CONFIG) if config is not None else {},
        packages=dict(
            package
            for path, content in documents.items()
            if _lists_packages(path)
            for package in _packages(content.decode("utf-8", "replace"))
        ),
    )


def compare(old: Side, new: Side) -> Difference:
    """What is otherwise in the new one, but for the times that observing took."""
    facts, moved = {}, {}
    for check, was, now in _pairs(_observations(old), _observations(new)):
        if was is None or now is None:  # the findings tell it
            continue
        changed = [one for one in paths(was, now) if not _TIMES.search(one.what)]
        telling = [one for one in changed if not _only_moved(one)]
        if telling:
            facts[check] = _bounded(telling)
        if len(telling) < len(changed):
            moved[check] = len(changed) - len(telling)
    return Difference(
        findings=tuple(sorted(judging.changes(old.report, new.report), key=_severity)),
        facts=facts,
        moved=moved,
        packages=_bounded(_changed(old.packages, new.packages)),
        configuration=_bounded(paths(old.config, new.config)),
        collectors=_bounded(_changed(_collectors(old), _collectors(new))),
        files=_bounded(_changed(_files(old), _files(new))),
    )


def paths(was: Any, now: Any, path: str = "", depth: int = 0) -> Iterator[Changed]:
    """Where two pieces of plain data differ, as paths such as mounts[/data].size."""
    if was == now:
        return
    if isinstance(was, dict) and isinstance(now, dict) and depth < _DEEPEST:
        for key, before, after in _pairs(was, now):
            yield from paths(before, after, f"{path}.{key}" if path else str(key), depth + 1)
    elif isinstance(was, list) and isinstance(now, list) and depth < _DEEPEST:
        yield from _members(was, now, path, depth)
    else:
        yield Changed(what=path or "all", was=_short(was), now=_short(now))


def _members(was: list[Any], now: list[Any], path: str, depth: int) -> Iterator[Changed]:
    identity = _identity([*was, *now])
    if identity:
        before, after = ({str(item[identity]): item for item in items} for items in (was, now))
        if len(before) == len(was) and len(after) == len(now):
            for key, one, other in _pairs(before, after):
                yield from paths(one, other, f"{path}[{key}]", depth + 1)
            return
    gone, new = (Counter(map(_written, items)) for items in (was, now))
    if any(isinstance(item, dict | list) for item in [*was, *now]) and len(was) == len(now):
        for index, (one, other) in enumerate(zip(was, now, strict=True)):
            yield from paths(one, other, f"{path}[{index}]", depth + 1)
        return
    for item in (gone - new).elements():
        yield Changed(what=f"{path}[]", was=_short(msgspec.json.decode(item)))
    for item in (new - gone).elements():
        yield Changed(what=f"{path}[]", now=_short(msgspec.json.decode(item)))


def _identity(items: Sequence[Any]) -> str:
    if not all(isinstance(item, dict) for item in items):
        return ""
    return next((key for key in _IDENTITIES if all(item.get(key) for item in items)), "")


def _only_moved(one: Changed) -> bool:
    """Whether it is a measurement, or a large number that is nearly the same."""
    if float in (type(one.was), type(one.now)):  # seconds, shares, loads
        return {type(one.was), type(one.now)} <= {float, int, type(None)}
    if not type(one.was) is type(one.now) is int:
        return False
    larger = max(abs(one.was), abs(one.now))
    return larger >= _LARGE and abs(one.now - one.was) <= _LITTLE * larger


def _severity(one: judging.Change) -> int:
    return SEVERITY.index(one.now.status) if one.now else len(SEVERITY)


def _short(value: Any) -> Any:
    """The value, or the beginning of how it is written."""
    written = value if isinstance(value, str) else _written(value).decode()
    return value if len(written) <= 200 else harmless.line(written)


def _written(value: Any) -> bytes:
    return msgspec.json.encode(value)


def _pairs(was: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for key in dict.fromkeys((*was, *now)):
        yield key, was.get(key), now.get(key)


def _changed(was: Mapping[str, str], now: Mapping[str, str]) -> Iterator[Changed]:
    for key, before, after in _pairs(was, now):
        if before != after:
            yield Changed(what=key, was=before, now=after)


def _bounded(changes: Iterable[Changed]) -> Changes:
    rest = iter(changes)
    return Changes(told=tuple(islice(rest, _MOST)), more=sum(1 for _ in rest))


def _observations(one: Side) -> dict[str, Any]:
    return {result.id: result.observation for result in one.report.results}


def _collectors(one: Side) -> dict[str, str]:
    return {item.id: _fared(item.outcome, item.reason) for item in one.manifest.collectors}


def _files(one: Side) -> dict[str, str]:
    return {item.path: _fared(item.outcome, item.reason) for item in one.manifest.files}


def _fared(outcome: Outcome, reason: str) -> str:
    return f"{outcome}: {reason}" if reason else outcome


def _without_keys(content: bytes) -> bytes:
    """The same with equal tokens for all secrets of a kind: each bundle has its own for them."""
    return TOKEN.sub(lambda found: b"<redacted:%b>" % found[0].split(b":")[1], content)


def _lists_packages(path: str) -> bool:
    return path.rpartition("/")[2] == PACKAGES


def _packages(listing: str) -> Iterator[tuple[str, str]]:
    """Name and version of each, as `dpkg-query -W`, `rpm -qa` or `apk info -v` list them."""
    for line in listing.splitlines():
        name, tab, version = line.partition("\t")
        if tab:
            yield name.strip(), version.strip()
            continue
        words = line.split()
        parts = words[0].rsplit("-", 2) if words else []  # name-version-release
        if len(parts) == 3:
            yield parts[0], f"{parts[1]}-{parts[2]}"
