"""The history survives restarts and damage, and is never the thing that breaks."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biostudio_doctor.daemon import history as module
from biostudio_doctor.daemon.history import History
from biostudio_doctor.model import Run, Status
from tests.daemon.remembering import BEGIN, broken_files, edit, fill, opened, retried, run_number
from tests.lab import filesystems


def test_runs_survive_a_restart(tmp_path: Path) -> None:
    with opened(tmp_path) as history:
        assert history.load() == {}
        history.append("cpu.count", run_number(1, Status.FAIL))
        history.append("os.release", run_number(2))
        history.flush()
        history.append("cpu.count", run_number(3))
        assert history.problem == "" and history.moved_aside == ""
    with opened(tmp_path) as again:
        assert again.load() == {
            "cpu.count": (run_number(1, Status.FAIL), run_number(3)),
            "os.release": (run_number(2),),
        }
    (file,) = tmp_path.iterdir()  # no log is left behind
    assert file.stat().st_mode & 0o777 == 0o600


def test_load_knows_what_is_not_written_yet(tmp_path: Path) -> None:
    fill(tmp_path, count=1)
    with opened(tmp_path) as history:
        history.append("cpu.count", run_number(7))
        assert history.load() == {"cpu.count": (run_number(0), run_number(7))}


def test_the_last_of_each_check_are_kept(tmp_path: Path) -> None:
    with opened(tmp_path) as history:
        history.append("weekly", run_number(0))
        for number in range(3 * module.LIMIT):
            history.append("busy", run_number(number))
            if number % 7 == 0:
                history.flush()
    last = tuple(map(run_number, range(2 * module.LIMIT, 3 * module.LIMIT)))
    with opened(tmp_path) as again:
        assert again.load() == {"weekly": (run_number(0),), "busy": last}
    with contextlib.closing(sqlite3.connect(tmp_path / "history.sqlite3")) as connection:
        assert connection.execute("SELECT count(*) FROM run").fetchone() == (module.LIMIT + 1,)


def test_checks_that_are_gone_do_not_pile_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHECKS", 3)
    with opened(tmp_path) as history:
        for number in range(9):
            history.append(f"gone.{number}", run_number(number))
    with opened(tmp_path) as again:
        assert sorted(again.load()) == ["gone.6", "gone.7", "gone.8"]


@given(check_id=st.text(), seconds=st.floats(), status=st.sampled_from(Status))
def test_any_id_and_any_figure(
    tmp_path_factory: pytest.TempPathFactory, check_id: str, seconds: float, status: Status
) -> None:
    directory = tmp_path_factory.mktemp("state")
    with opened(directory) as history:
        history.append(check_id, Run(BEGIN, status, seconds))
        history.append("other", run_number(1))
        history.flush()
        assert history.problem == ""
    with opened(directory) as again:
        loaded = again.load()
        assert loaded["other"][-1] == run_number(1)
        if check_id.isprintable():
            assert loaded[check_id][0].status is status


@pytest.mark.parametrize("kind", broken_files())
def test_a_file_that_is_no_history_is_moved_aside_once(tmp_path: Path, kind: str) -> None:
    fill(tmp_path, count=150)
    path = tmp_path / "history.sqlite3"
    broken_files()[kind](path)
    with opened(tmp_path) as history:
        history.load()
        history.append("cpu.count", run_number(9))
        history.flush()
        assert history.problem == ""
        assert history.moved_aside == f"{path}.damaged"
        assert os.path.lexists(history.moved_aside)
    with opened(tmp_path) as again:
        assert again.load() == {"cpu.count": (run_number(9),)}
        assert again.moved_aside == ""


def test_an_empty_file_is_a_new_history(tmp_path: Path) -> None:
    (tmp_path / "history.sqlite3").touch(0o666)
    fill(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["history.sqlite3"]
    assert (tmp_path / "history.sqlite3").stat().st_mode & 0o777 == 0o600


def test_rows_that_make_no_sense_are_left_out(tmp_path: Path) -> None:
    fill(tmp_path, count=1)
    rows = ["1e300, 'pass', 1", "1, 'odd', 1", "'x', 'pass', 1", "1, 'pass', 'x'"]
    rows += ["1, x'ff', 1", "1, CAST(x'ff' AS TEXT), 1"]
    rows += ["1, 'pass', 'inf'", "1, 'pass', 9e999", "1, 'pass', -1", "1, 'pass', 'nan'"]
    columns = "check_id, at, status, duration_seconds"
    edit(
        tmp_path / "history.sqlite3",
        *(f"INSERT INTO run ({columns}) VALUES ('a', {row})" for row in rows),
    )
    with opened(tmp_path) as history:
        assert history.load() == {"cpu.count": (run_number(0),)}


def test_damage_that_shows_only_later(tmp_path: Path) -> None:
    with opened(tmp_path) as history:
        history.append("cpu.count", run_number(1))
        history.flush()
        assert history._connection
        history._connection.execute("DROP TABLE run")
        history.append("cpu.count", run_number(2))
        history.flush()
        assert history.problem == "" and history.moved_aside
        assert history.load() == {"cpu.count": (run_number(2),)}


def test_a_missing_directory_costs_nothing_but_the_file(tmp_path: Path) -> None:
    directory = tmp_path / "state"
    with opened(directory) as history:
        assert history.problem == (
            f"The history is kept in memory only: {directory}: No such file or directory."
        )
        for number in range(2 * module.LIMIT):
            history.append("cpu.count", run_number(number))
            history.flush()
        assert len(history.load()["cpu.count"]) == module.LIMIT  # bounded in memory, too
        directory.mkdir()
        history.flush()
        assert history.problem  # it is not tried again at once
        retried(history)
        assert history.problem == ""
    with opened(directory) as again:
        assert len(again.load()["cpu.count"]) == module.LIMIT


def test_a_directory_that_goes_away_meanwhile(tmp_path: Path) -> None:
    with opened(tmp_path) as history:
        history.append("cpu.count", run_number(1))
        history.flush()
        for file in tmp_path.iterdir():
            file.unlink()
        history.append("cpu.count", run_number(2))
        history.flush()
        assert history.problem == ""
    with opened(tmp_path) as again:
        assert again.load() == {"cpu.count": (run_number(2),)}


@filesystems.needs_root
def test_who_may_not_write_there_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)

    def denied() -> bool:
        history = History.open(str(tmp_path))
        history.append("cpu.count", run_number(1))
        history.close()
        return "Permission denied" in history.problem

    assert filesystems.as_nobody(tmp_path, denied)


@filesystems.needs_root
def test_a_file_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "history.sqlite3").write_text("theirs")
    os.chown(tmp_path / "history.sqlite3", 65534, 65534)
    with opened(tmp_path) as history:
        assert "belongs to the user 65534" in history.problem
    assert (tmp_path / "history.sqlite3").read_text() == "theirs"


@filesystems.needs_root
def test_root_leaves_nothing_in_the_directory_of_the_service(tmp_path: Path) -> None:
    os.chown(tmp_path, 65534, 65534)
    with opened(tmp_path) as history:
        assert "belongs to the user 65534, who could not use root's files" in history.problem
    assert not list(tmp_path.iterdir())
