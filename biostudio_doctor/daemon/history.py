"""The last runs of each check, across restarts: an SQLite file in the daemon's state directory.

The history is a convenience, and the daemon never suffers for it: whatever is wrong with the file,
the disk or the directory becomes one line in `problem`, runs are kept in memory meanwhile, and
writing is tried again now and then. Only the supervisor uses this, from its one thread; locks are
waited for at most `_BUSY` seconds. The directory should be on a local disk: a network mount that
hangs would hang the supervisor in a system call, until the watchdog restarts it.
"""

import contextlib
import math
import os
import sqlite3
import stat
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from biostudio_doctor.model import Run, Status

#: Runs that are kept of each check, and checks whose runs are kept.
LIMIT = 200
CHECKS = 1000
#: Seconds between two tries while the history cannot be written.
RETRY = 60.0

_NAME = "history.sqlite3"
_BUSY = 0.1
_APPLICATION = 0x42446F63  # "BDoc", in the file's header: it is ours
_VERSION = 1
_LARGEST = 64 << 20  # bytes; ours stays below 20 MB
_SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE run (
    number INTEGER PRIMARY KEY,
    check_id TEXT NOT NULL,
    at REAL NOT NULL,
    status TEXT NOT NULL,
    duration_seconds REAL NOT NULL
);
CREATE INDEX run_of_check ON run (check_id, number);
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {_VERSION};
COMMIT;
"""
_COLUMNS = "check_id, at, status, duration_seconds"

Answer = TypeVar("Answer")


class _NotOursError(Exception):
    """The file is damaged, or another program's, or a newer version's."""


class History:
    """The last runs. No method raises, whatever the disk does."""

    def __init__(self, directory: str) -> None:
        self.problem = ""  # why runs are kept in memory only, in one line; '' while they are not
        self.moved_aside = ""  # where a damaged or foreign file was moved to; '' if none was
        self._path = Path(directory) / _NAME
        self._pid = os.getpid()
        self._connection: sqlite3.Connection | None = None
        self._inode = 0
        self._retry_at = 0.0
        self._pending: dict[str, deque[Run]] = {}

    @classmethod
    def open(cls, directory: str) -> "History":
        """The history of a directory, which must exist and belong to who runs the daemon."""
        history = cls(directory)
        history._attempt(lambda connection: None)
        return history

    def load(self) -> dict[str, tuple[Run, ...]]:
        """The last runs of each check, oldest first, at most `LIMIT` of each."""
        runs = self._attempt(_read) or {}
        for check_id, pending in self._pending.items():
            runs.setdefault(check_id, deque(maxlen=LIMIT)).extend(pending)
        return {check_id: tuple(kept) for check_id, kept in runs.items()}

    def append(self, check_id: str, run: Run) -> None:
        """Remember a run; it is written by the next `flush`."""
        with contextlib.suppress(UnicodeEncodeError):  # no registered check is called so
            check_id.encode()
            self._pending.setdefault(check_id, deque(maxlen=LIMIT)).append(run)

    def flush(self) -> None:
        """Write what was appended, in one transaction; to be called every few seconds."""
        if os.getpid() != self._pid:
            return  # a forked child has the supervisor's connection, and no business with it
        if self._connection and not self._is_there():
            self._close()
        if not self._connection and time.monotonic() < self._retry_at:
            return
        pending = self._pending
        if self._attempt(lambda connection: _write(connection, pending)):
            self._pending = {}

    def close(self) -> None:
        """Write what was appended, and let go of the file."""
        self.flush()
        if os.getpid() == self._pid:
            self._close()

    def _attempt(self, work: Callable[[sqlite3.Connection], Answer]) -> Answer | None:
        """Do something with the file, opening it if need be; a file that is not ours is replaced.

        None if it could not be done: `problem` tells why.
        """
        for fresh in (False, True):
            try:
                if self._connection is None:
                    self._connect()
                assert self._connection
                answer = work(self._connection)
                self.problem = ""
                return answer
            except (sqlite3.Error, OSError, _NotOursError) as error:
                self._close()
                self.problem = f"The history is kept in memory only: {self._words(error)}."
                self._retry_at = time.monotonic() + RETRY
                if fresh or not _is_damage(error) or not self._move_aside():
                    break
        return None

    def _connect(self) -> None:
        self._claim()
        uri = f"{self._path.absolute().as_uri()}?mode=rw"
        connection = sqlite3.connect(uri, uri=True, timeout=_BUSY, isolation_level=None)
        self._connection = connection
        connection.text_factory = lambda data: data.decode("utf-8", "replace")
        # One process has the file for itself: a second daemon is told so at once, and no shared
        # memory file is needed. What is in the write-ahead log survives a kill; only checkpoints
        # wait for the disk.
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA journal_size_limit = 1048576")
        _understand(connection)
        self._inode = os.stat(self._path).st_ino

    def _claim(self) -> None:
        """Make the file, readable by us only, or make sure that the one there is ours.

        It is never opened here: closing it would take away the locks that SQLite may hold on it.
        """
        owner = os.stat(self._path.parent).st_uid
        if os.geteuid() == 0 and owner != 0:
            problem = f"belongs to the user {owner}, who could not use root's files"
            raise PermissionError(0, problem, self._path.parent)
        with contextlib.suppress(FileExistsError):
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        found = os.lstat(self._path)
        if found.st_uid != os.geteuid():
            raise PermissionError(0, f"belongs to the user {found.st_uid}", self._path)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1 or found.st_size > _LARGEST:
            raise _NotOursError
        if stat.S_IMODE(found.st_mode) != 0o600:
            os.chmod(self._path, 0o600)

    def _is_there(self) -> bool:
        """Whether the open file is still the one that has the name: not deleted, not replaced."""
        try:
            return os.stat(self._path).st_ino == self._inode
        except OSError:
            return False

    def _move_aside(self) -> bool:
        """Keep the damaged file for whoever wonders, in the place of an earlier one.

        SQLite itself deletes a log that it finds beside a new, empty file.
        """
        aside = f"{self._path}.damaged"
        try:
            os.replace(self._path, aside)
        except OSError:
            return False
        self.moved_aside = aside
        return True

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection:
            with contextlib.suppress(sqlite3.Error):
                connection.close()

    def _words(self, error: Exception) -> str:
        if isinstance(error, OSError):
            return f"{error.filename or self._path}: {error.strerror}"
        code = _code(error)
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return f"{self._path} is in use, perhaps by another biostudio-doctor daemon"
        if code == sqlite3.SQLITE_FULL:
            return f"the file system of {self._path} is full"
        if _is_damage(error):
            return f"{self._path} is damaged or no history of this version"
        return f"{self._path}: {error}"


def _understand(connection: sqlite3.Connection) -> None:
    """Make sure that the file is a whole history of this version; a new one becomes one.

    Raises:
        _NotOursError: if it is not.
    """
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    marks = tuple(
        connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("application_id", "user_version")
    )
    if not tables and marks == (0, 0):
        connection.executescript(_SCHEMA)
        return
    if marks != (_APPLICATION, _VERSION):
        raise _NotOursError
    if connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
        raise _NotOursError
    # Checks that are gone for long do not pile up.
    connection.execute(
        "DELETE FROM run WHERE check_id NOT IN "
        "(SELECT check_id FROM run GROUP BY check_id ORDER BY max(number) DESC LIMIT ?)",
        (CHECKS,),
    )


def _read(connection: sqlite3.Connection) -> dict[str, deque[Run]]:
    runs: dict[str, deque[Run]] = {}
    for check_id, at, status, seconds in connection.execute(
        f"SELECT {_COLUMNS} FROM run ORDER BY number"
    ):
        with contextlib.suppress(ValueError, TypeError, OverflowError, OSError):
            run = Run(datetime.fromtimestamp(at, UTC), Status(status), float(seconds))
            if run.duration_seconds == _sane(run.duration_seconds):
                runs.setdefault(str(check_id), deque(maxlen=LIMIT)).append(run)
    return runs


def _write(connection: sqlite3.Connection, pending: dict[str, deque[Run]]) -> bool:
    if not pending:
        return True
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany(
        f"INSERT INTO run ({_COLUMNS}) VALUES (?, ?, ?, ?)",
        (
            (check_id, run.at.timestamp(), run.status.value, _sane(run.duration_seconds))
            for check_id, runs in pending.items()
            for run in runs
        ),
    )
    connection.executemany(
        "DELETE FROM run WHERE check_id = ?1 AND number <= "
        "(SELECT number FROM run WHERE check_id = ?1 ORDER BY number DESC LIMIT 1 OFFSET ?2)",
        ((check_id, LIMIT) for check_id in pending),
    )
    connection.execute("COMMIT")
    return True


def _sane(seconds: float) -> float:
    """What JSON, in which the web process is told of it, can say."""
    return seconds if 0 <= seconds < math.inf else 0.0


def _code(error: Exception) -> int:
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def _is_damage(error: Exception) -> bool:
    """The file itself is at fault: not its disk, not a lock, not a permission."""
    # SQLITE_ERROR is what a table of another shape gives.
    damage = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)
    return isinstance(error, _NotOursError) or _code(error) in damage
