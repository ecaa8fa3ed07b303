"""The benchmark, small, in real directories."""

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biostudio_doctor.host import Host, disk
from biostudio_doctor.host.disk import measure, percentile


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "FSYNC_LIMIT", 20)
    monkeypatch.setattr(disk, "TRANSFER_LIMIT", 4 << 20)


def test_it_measures_and_leaves_nothing(tmp_path: Path) -> None:
    found = measure(Host(), str(tmp_path))
    assert found.fsyncs == 20 and 0 < found.fsync_p50 <= found.fsync_p99
    assert found.write_rate > 0 and found.read_rate > 0
    assert list(tmp_path.iterdir()) == []


def test_without_nameless_files_the_name_is_taken_away_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really_open, really_unlink, modes = os.open, os.unlink, []

    def refuse(path: str, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, "not supported", path)
        assert flags & os.O_EXCL and flags & os.O_CREAT
        return really_open(path, flags, mode)

    def unlink(path: str) -> None:
        modes.append(os.stat(path).st_mode & 0o777)
        really_unlink(path)

    monkeypatch.setattr(disk.os, "open", refuse)
    monkeypatch.setattr(disk.os, "unlink", unlink)
    monkeypatch.setattr(disk, "_fsyncs", lambda _: [float(len(list(tmp_path.iterdir())))])
    found = measure(Host(), str(tmp_path))
    assert found.fsync_p50 == 0, "no file had a name any more when measuring began"
    assert modes == [0o600]


def test_it_works_through_the_page_cache_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really_pwrite, refused = os.pwrite, []

    def refuse_first(descriptor: int, data: bytes, offset: int) -> int:
        if len(data) == 1 << 20 and not refused:
            refused.append(offset)
            raise OSError(errno.EINVAL, "no direct access")
        return really_pwrite(descriptor, data, offset)

    monkeypatch.setattr(disk.os, "pwrite", refuse_first)
    found = measure(Host(), str(tmp_path))
    assert not found.direct and found.read_rate > 0


def test_what_cannot_be_written_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        measure(Host(), str(tmp_path / "missing"))
    with pytest.raises(OSError, match=r"Read-only|Permission|not supported|No such"):
        measure(Host(), "/proc")


@given(st.lists(st.floats(0, 1e6), min_size=1).map(sorted), st.floats(0.01, 1))
def test_percentiles_are_the_nearest_rank(ordered: list[float], share: float) -> None:
    found = percentile(ordered, share)
    assert found in ordered
    assert sum(value <= found for value in ordered) >= share * len(ordered) - 1e-6
    assert sum(value < found for value in ordered) < share * len(ordered)
