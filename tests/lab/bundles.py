"""Bundles written by hand, honest or hostile: a tar made entry by entry, of whatever there is."""

import gzip
import hashlib
import io
import tarfile
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import strategies as st
from msgspec import structs

from biostudio_doctor.bundle.manifest import BundledFile, Collected, Manifest, Outcome
from biostudio_doctor.model import Report
from tests.conftest import report as sample_report

TOP = "biostudio-doctor-bundle-lab-20261124T000000Z"
AT = datetime(2026, 11, 24, tzinfo=UTC)
LOG = "logs/bioproxy.log"

Entry = tuple[tarfile.TarInfo, bytes]


def entry(name: str, content: bytes = b"", **changes: Any) -> Entry:
    """A regular file; keywords are attributes of its TarInfo, such as type or linkname."""
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = len(content), 0o600, int(AT.timestamp())
    for key, value in changes.items():
        setattr(info, key, value)
    return info, content


def archive(entries: Iterable[Entry], form: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar of these."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as tar:
        for info, content in entries:
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def packed(tar: bytes) -> bytes:
    """A tar gzipped."""
    return gzip.compress(tar, compresslevel=1, mtime=0)


def listed(path: str, content: bytes, **changes: Any) -> BundledFile:
    """What an honest manifest says of a file."""
    sha256 = hashlib.sha256(content).hexdigest()
    collector = path.partition("/")[0] if "/" in path else ""
    file = BundledFile(
        path=path, collector=collector, source=f"/{path}", outcome=Outcome.WHOLE,
        size=len(content), sha256=sha256,
    )  # fmt: skip
    return structs.replace(file, **changes)


def manifest(files: Iterable[BundledFile], /, **changes: Any) -> Manifest:
    """An honest one."""
    whole = Manifest(
        tool_version="1.0", created_at=AT, hostname="lab", since=AT, until=AT, obfuscated=(),
        verified=True, allowed=(), files=tuple(files),
        collectors=(Collected(id="logs", title="Logs of BioStudio", outcome=Outcome.WHOLE),),
    )  # fmt: skip
    return structs.replace(whole, **changes)


def contents(report: Report | None = None, config: Any = None) -> dict[str, bytes]:
    """The files of a small bundle, by path."""
    return {
        "report.json": msgspec.json.encode(report or sample_report()),
        "config.json": msgspec.json.encode(config or {}),
        LOG: b"all is well\n" * 100,
    }


def entries(
    files: Mapping[str, bytes], *, of: Manifest | None = None, top: str = TOP
) -> list[Entry]:
    """The entries of an honest bundle of these files, its manifest first."""
    told = of or manifest(listed(path, content) for path, content in files.items())
    first = entry(f"{top}/manifest.json", packed_manifest(told))
    return [first, *(entry(f"{top}/{path}", content) for path, content in files.items())]


def honest() -> list[Entry]:
    """The entries of a small honest bundle."""
    return entries(contents())


def write(path: Path, files: Mapping[str, bytes] | None = None, /, **changes: Any) -> Path:
    """An honest bundle; keywords are what its manifest says otherwise."""
    files = contents() if files is None else files
    told = manifest((listed(name, content) for name, content in files.items()), **changes)
    path.write_bytes(packed(archive(entries(files, of=told))))
    return path


def packed_manifest(told: Manifest) -> bytes:
    """As it stands in the archive."""
    return msgspec.json.encode(told)


def with_manifest(directory: Path, change: Callable[[dict[str, Any]], Any]) -> Path:
    """A bundle whose manifest was changed, as data or as bytes, by hand."""
    files = contents()
    honest = manifest(listed(path, content) for path, content in files.items())
    told = change(msgspec.to_builtins(honest))
    data = told if isinstance(told, bytes) else msgspec.json.encode(told)
    first, *others = entries(files)
    path = directory / "changed.tar.gz"
    path.write_bytes(packed(archive([entry(first[0].name, data), *others])))
    return path


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


def mutate(document: Any, data: st.DataObject) -> None:
    """Replace something, anywhere in plain data, by something else."""
    while keys := sorted(document) if isinstance(document, dict) else list(range(len(document))):
        key = data.draw(st.sampled_from(keys))
        if not isinstance(document[key], dict | list) or not data.draw(st.booleans()):
            document[key] = data.draw(ANY_JSON)
            return
        document = document[key]
