"""The history survives restarts, kills and damage, and is never the thing that breaks."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biostudio_doctor.daemon import history as module
from biostudio_doctor.daemon.history import History
from biostudio_doctor.model import Run, Status
from tests.lab import filesystems
from tests.lab.filesystems import lab  # noqa: F401  (a fixture)

BEGIN = datetime(2026, 11, 27, tzinfo=UTC)


def run_number(number: int, status: Status = Status.PASS) -> Run:
    return Run(BEGIN + timedelta(seconds=number), status, number / 8)


@contextlib.contextmanager
def opened(directory: Path) -> Iterator[History]:
    history = History.open(str(directory))
    try:
        yield history
    finally:
        history.close()


def fill(directory: Path, check_id: str = "cpu.count", count: int = 3) -> None:
    with opened(directory) as history:
        for number in range(count):
            history.append(check_id, run_number(number))
        assert history.problem == ""


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


def edit(path: Path, *statements: str) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def broken_files() -> dict[str, Callable[[Path], None]]:
    def foreign(path: Path) -> None:
        path.unlink()
        edit(path, "CREATE TABLE mine (x)")

    def sql(statement: str) -> Callable[[Path], None]:
        return lambda path: edit(path, statement)

    def in_the_middle(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[5000:9000] = os.urandom(4000)
        path.write_bytes(data)

    def link(path: Path) -> None:
        os.rename(path, path.with_name("elsewhere"))
        path.symlink_to("elsewhere")

    return {
        "random bytes": lambda path: path.write_bytes(os.urandom(9000)) and None,
        "random in the middle": in_the_middle,
        "truncated": lambda path: os.truncate(path, path.stat().st_size - 1000),
        "another program's": foreign,
        "wrong application": sql("PRAGMA application_id = 7"),
        "a newer version": sql("PRAGMA user_version = 99"),
        "another table": sql("ALTER TABLE run RENAME COLUMN at TO since"),
        "no table": sql("ALTER TABLE run RENAME TO real"),
        "huge": lambda path: os.truncate(path, 1 << 30),
        "a directory": lambda path: path.unlink() or path.mkdir(),  # type: ignore[func-returns-value]
        "a symbolic link": link,
    }


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


def retried(history: History) -> None:
    """As if a minute had passed."""
    history._retry_at = time.monotonic()
    history.flush()


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


def python(directory: Path, code: str, *arguments: str) -> list[str]:
    """A command that has `history` open and does something with it."""
    beginning = f"""
import sys, time
from datetime import UTC, datetime
from biostudio_doctor.daemon.history import History
from biostudio_doctor.model import Run, Status
history = History.open({str(directory)!r})
def append(): history.append("cpu.count", Run(datetime.now(UTC), Status.PASS, 1.0))
"""
    return [sys.executable, "-c", beginning + code, *arguments]


def test_a_second_daemon_is_told_at_once(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        python(tmp_path, "append(); history.flush(); print(history.problem, flush=True); input()"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout and holder.stdout.readline() == "\n"
    began = time.monotonic()
    with opened(tmp_path) as history:
        assert time.monotonic() - began < 0.4  # 0.1 s, and what a loaded machine adds
        assert "is in use, perhaps by another biostudio-doctor daemon" in history.problem
        history.append("os.release", run_number(1))
        holder.communicate("\n", timeout=10)
        retried(history)
        assert history.problem == ""
        assert list(history.load()) == ["cpu.count", "os.release"]


def test_a_forked_child_leaves_the_history_alone(tmp_path: Path) -> None:
    with opened(tmp_path) as history:
        history.append("cpu.count", run_number(1))
        history.flush()
        log = (tmp_path / "history.sqlite3-wal").stat()
        pid = os.fork()
        if pid == 0:
            history.append("cpu.count", run_number(99))
            history.flush()
            history.close()
            os._exit(0)
        os.waitpid(pid, 0)
        left = (tmp_path / "history.sqlite3-wal").stat()
        assert (left.st_ino, left.st_size) == (log.st_ino, log.st_size)
        assert "in use" in subprocess.run(
            python(tmp_path, "print(history.problem)"), capture_output=True, text=True, check=True
        ).stdout  # fmt: skip
        history.append("cpu.count", run_number(2))
    with opened(tmp_path) as again:
        assert again.load() == {"cpu.count": (run_number(1), run_number(2))}


@pytest.mark.parametrize("kind", ["random in the middle", "huge"])
def test_a_log_that_a_killed_daemon_left_is_not_mixed_into_a_new_file(
    tmp_path: Path, kind: str
) -> None:
    fill(tmp_path, "os.release", count=150)
    code = "append(); history.flush(); import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    subprocess.run(python(tmp_path, code), check=False)
    assert (tmp_path / "history.sqlite3-wal").stat().st_size
    broken_files()[kind](tmp_path / "history.sqlite3")
    with opened(tmp_path) as history:
        assert (history.load(), history.problem) == ({}, "")
        assert history.moved_aside


def test_killed_at_any_moment(tmp_path: Path) -> None:
    """Fifty times; each forked child writes as fast as it can until it is killed."""
    known = 0
    for turn in range(50):
        read_end, write_end = os.pipe()
        pid = os.fork()
        if pid == 0:
            with contextlib.suppress(BaseException):
                history = History.open(str(tmp_path))
                while True:
                    history.append("cpu.count", run_number(turn))
                    history.flush()
                    os.write(write_end, b"." if not history.problem else b"!")
            os._exit(1)
        os.close(write_end)
        told = os.read(read_end, 1)
        time.sleep(turn % 10 / 2000)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(read_end)
        assert told == b"."
        with opened(tmp_path) as history:
            runs = history.load()["cpu.count"]
            assert (history.problem, history.moved_aside) == ("", "")
            assert runs[-1].at == BEGIN + timedelta(seconds=turn)  # what was flushed is there
            known += 1
    assert known == 50


FULL = """
problems = []
for _ in range(3000):
    append()
    history.flush()
    problems.append(history.problem)
    if problems[-1]:
        break
assert "is full" in problems[-1] or "disk is full" in problems[-1], problems[-1]
began = time.monotonic()
for _ in range(500):
    append()
    history.flush()
assert time.monotonic() - began < 1
assert len(history.load()["cpu.count"]) == 200
import os
os.unlink(sys.argv[1])
history._retry_at = 0
history.flush()
assert not history.problem, history.problem
history.close()
again = History.open(os.path.dirname(history._path))
assert len(again.load()["cpu.count"]) == 200, again.problem
assert not again.moved_aside
"""


@pytest.mark.parametrize(
    "mount",
    [
        'mkdir -p "$LAB/full"; mount -t tmpfs -o size=256k,mode=755 none "$LAB/full"',
        "loop full 2M defaults mkfs.ext4 -q -O ^has_journal -m 0 -N 32",
    ],
    ids=["tmpfs", "ext4"],
)
def test_a_full_disk(lab: Path, mount: str) -> None:  # noqa: F811
    """It fills up while the history is written; when there is room again, all is written."""
    # A ballast of all but 60 kB is taken away afterwards.
    fill_up = """
free=$(df --output=avail -B1 "$LAB/full" | tail -1)
head -c $((free - 60000)) /dev/zero > "$LAB/full/ballast"
"""
    done = filesystems.run(
        lab, f"{mount}\n{fill_up}", python(lab / "full", FULL, str(lab / "full/ballast"))
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("", "Read-only file system"),
        ("touch $LAB/ro/history.sqlite3; chmod 600 $LAB/ro/history.sqlite3;", "readonly database"),
    ],
)
def test_a_read_only_file_system(lab: Path, state: str, words: str) -> None:  # noqa: F811
    mount = f'mkdir "$LAB/ro"; mount -t tmpfs none "$LAB/ro"; {state} mount -o remount,ro "$LAB/ro"'
    code = "append(); history.flush(); print(history.problem); print(len(history.load()))"
    done = filesystems.run(lab, mount, python(lab / "ro", code))
    problem, count = done.stdout.splitlines()
    assert words in problem
    assert count == "1"


def test_a_disk_that_is_full_from_the_start(lab: Path) -> None:  # noqa: F811
    mount = 'mkdir "$LAB/full"; mount -t tmpfs -o size=4k none "$LAB/full"; echo > "$LAB/full/x"'
    done = filesystems.run(
        lab, mount, python(lab / "full", "append(); history.flush(); print(history.problem)")
    )
    assert "is full" in done.stdout, done.stdout + done.stderr
