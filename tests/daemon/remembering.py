"""Histories for the tests of them, whole and broken ones."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from biostudio_doctor.daemon.history import History
from biostudio_doctor.model import Run, Status

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

    def noise(path: Path) -> None:
        path.write_bytes(os.urandom(9000))

    def in_the_middle(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[5000:9000] = os.urandom(4000)
        path.write_bytes(data)

    def link(path: Path) -> None:
        os.rename(path, path.with_name("elsewhere"))
        path.symlink_to("elsewhere")

    return {
        "random bytes": noise,
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


def retried(history: History) -> None:
    """As if a minute had passed."""
    history._retry_at = time.monotonic()
    history.flush()


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
