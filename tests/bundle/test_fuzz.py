"""Mutated bundles: whatever is changed in one, no command ever ends in a traceback."""

import json
import tempfile
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from biostudio_doctor.cli import bundle_read
from tests.bundle.test_hostile_documents import shown
from tests.lab import bundles
from tests.lab.bundles import archive, contents, entries, entry, honest, packed

_TAR = archive(honest())
_GZIP = packed(_TAR)
_COMMANDS = (bundle_read.inspect, bundle_read.judge)


def _mutated(data: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    for place, length, new in edits:
        at = place % (len(data) + 1)
        data = data[:at] + new + data[at + length :]
    return data


_EDITS = st.lists(
    st.tuples(
        st.integers(0, len(_TAR)),
        st.integers(0, 600),
        st.one_of(st.binary(max_size=8), st.sampled_from([b"\0" * 512, _TAR[:512], b"[" * 99])),
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=250)
@given(_EDITS)
@example([(0, 512, b"")])
def test_a_mutated_tar_never_ends_in_a_traceback(edits: list[tuple[int, int, bytes]]) -> None:
    _never_a_traceback(packed(_mutated(_TAR, edits)))


@settings(max_examples=150)
@given(_EDITS)
def test_a_mutated_file_never_ends_in_a_traceback(edits: list[tuple[int, int, bytes]]) -> None:
    _never_a_traceback(_mutated(_GZIP, edits))


@settings(max_examples=200)
@given(st.data())
def test_mutated_documents_never_end_in_a_traceback(data: st.DataObject) -> None:
    """The sums are right, and what they are of is not."""
    files = contents()
    name = data.draw(st.sampled_from(["report.json", "config.json"]))
    document = json.loads(files[name])
    bundles.mutate(document, data)
    files[name] = json.dumps(document).encode()
    _never_a_traceback(packed(archive(entries(files))))


@settings(max_examples=150)
@given(st.data())
def test_mutated_manifests_never_end_in_a_traceback(data: st.DataObject) -> None:
    first, *others = honest()
    document = json.loads(first[1])
    bundles.mutate(document, data)
    manifest = entry(first[0].name, json.dumps(document).encode())
    _never_a_traceback(packed(archive([manifest, *others])))


def _never_a_traceback(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as directory:
        bad, good = Path(directory, "bad"), Path(directory, "good")
        bad.write_bytes(data)
        good.write_bytes(_GZIP)
        for command in _COMMANDS:
            shown(command, str(bad))
        shown(bundle_read.diff, str(good), str(bad))
        shown(bundle_read.show, str(bad), bundles.LOG)
