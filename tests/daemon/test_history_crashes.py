"""The history where processes are killed, disks are full and others have the file."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from datetime import timedelta
from pathlib import Path

import pytest

from biostudio_doctor.daemon.history import History
from tests.daemon.remembering import BEGIN, broken_files, fill, opened, python, retried, run_number
from tests.lab import filesystems
from tests.lab.filesystems import lab  # noqa: F401  (a fixture)


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
        assert time.monotonic() - began < 4  # SQLite itself waits for 5 s
        assert "is in use, perhaps by another biostudio-doctor daemon" in history.problem
        history.append("os.release", run_number(1))
        holder.communicate("\n", timeout=60)
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
began = time.process_time()
for _ in range(500):
    append()
    history.flush()
assert time.process_time() - began < 2
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
