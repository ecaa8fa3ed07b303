"""Head and tail: bounded, honest about what is left out, and cut where lines end."""

import bz2
import gzip
import io
import lzma
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biostudio_doctor.bundle.pieces import (
    PATIENCE,
    Cut,
    ends,
    head_and_tail,
    packing,
    read,
    unpacked,
)
from tests.lab.timing import within


def cut(pieces: Iterable[bytes], limit: int) -> tuple[bytes, Cut]:
    told = Cut()
    return b"".join(head_and_tail(pieces, limit, told)), told


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_what_fits_is_whole(pieces: list[bytes]) -> None:
    whole = b"".join(pieces)
    assert cut(pieces, max(1, len(whole)))[0] == whole


@given(st.lists(st.binary(max_size=300), max_size=30), st.integers(2, 500))
def test_no_more_than_the_limit_and_a_line_that_says_so(pieces: list[bytes], limit: int) -> None:
    whole = b"".join(pieces)
    data, told = cut(pieces, limit)
    if told.left_out:
        before, _, after = data.rpartition(b"\n[... ")
        tail = after.partition(b" left out ...]\n")[2]
        assert whole.startswith(before) and whole.endswith(tail)
        assert len(before) + len(tail) + told.left_out == len(whole)
        assert len(before) + len(tail) <= limit
    elif not told.ended:
        assert data == whole


def test_cuts_are_where_lines_end() -> None:
    lines = [b"line %d of many\n" % number for number in range(10_000)]
    data, told = cut(lines, 10_000)
    head, tail = data.split(f"\n[... {145_600 / 1000:.1f} kB left out ...]\n".encode()[:6])
    assert head.endswith(b"of many\n") and tail.partition(b"]\n")[2].startswith(b"line ")
    assert data.endswith(b"line 9999 of many\n") and told.left_out > 140_000


def test_the_rest_of_a_line_is_no_tail() -> None:
    """It may be the end of a secret whose name was cut off."""
    data, told = cut([b"first\n" + b"a" * 1000 + b"secret"], 100)
    assert b"secret" not in data and told.left_out > 900


def test_a_long_line_is_parted_between_words() -> None:
    data, _ = cut([b"word " * 100_000], 200_000)
    assert data.partition(b"\n")[0].endswith(b"word ")


def test_the_middle_of_a_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.log"
    with path.open("wb") as file:
        file.write(b"first line\n" * 100)
        file.seek(1 << 40)  # which would take minutes
        file.write(b"\n" + b"last line\n" * 100)
    size, told = path.stat().st_size, Cut()
    with path.open("rb", buffering=0) as file, within(1):
        data = b"".join(ends(file, size, 2000, told))
    assert data.startswith(b"first line\n") and data.endswith(b"last line\n")
    assert b"[... 1.1 TB left out ...]" in data and len(data) < 2100
    assert told.left_out + len(data) - len(b"\n[... 1.1 TB left out ...]\n") == size


PACKERS = {".gz": gzip.compress, ".xz": lzma.compress, ".bz2": bz2.compress}


def _unpacked(data: bytes, suffix: str, limit: int = 1 << 20) -> tuple[bytes, Cut]:
    told = Cut()
    pieces = unpacked(io.BytesIO(data), suffix, told)
    return b"".join(head_and_tail(pieces, limit, told)), told


@pytest.mark.parametrize("suffix", PACKERS)
def test_unpacking(suffix: str) -> None:
    pack = PACKERS[suffix]
    assert packing(f"/var/log/a.log.1{suffix}") == suffix
    assert _unpacked(pack(b"one\n") + pack(b"two\n"), suffix)[0] == b"one\ntwo\n"
    data, told = _unpacked(pack(b"one\n" * 5000)[:-12], suffix)
    assert told.ended == "its packed data is damaged or cut off"
    assert b"one\n".startswith(data[:4])
    assert _unpacked(b"no such thing", suffix)[1].ended


@pytest.mark.parametrize("suffix", [".gz", ".xz"])  # bzip2 unpacks whole blocks only
def test_what_can_be_unpacked_of_a_cut_file_is_taken(suffix: str) -> None:
    lines = b"".join(b"%d %s\n" % (n, secrets.token_hex(20).encode()) for n in range(800))
    packed = PACKERS[suffix](lines)
    data, told = _unpacked(packed[: len(packed) // 2], suffix)
    assert len(data) > len(lines) // 4 and lines.startswith(data)
    assert told.ended == "its packed data is damaged or cut off"


def test_unpacking_zstd() -> None:
    zstandard = pytest.importorskip("zstandard")
    packed = zstandard.ZstdCompressor().compress(b"one\n")
    assert _unpacked(packed + packed, ".zst")[0] == b"one\none\n"


@pytest.mark.parametrize("suffix", PACKERS)
def test_a_bomb_costs_no_more_than_its_limit_is_worth(suffix: str) -> None:
    bomb = PACKERS[suffix](bytes(64 << 20))
    data, told = _unpacked(bomb, suffix, limit=100_000)
    assert len(data) <= 100_100 and "was not waited for any longer" in told.ended
    assert told.left_out <= 100_000 * (PATIENCE + 1)


def test_a_source_that_has_nothing_for_now() -> None:
    class Silent:
        def __init__(self) -> None:
            self.left: Iterator[bytes | None] = iter((b"a", None))

        def read(self, size: int) -> bytes | None:
            return next(self.left)

    assert list(read(Silent())) == [b"a"]
