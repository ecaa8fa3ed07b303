"""This tool itself, and its daemon where one runs."""

from __future__ import annotations

import errno
import os
import platform
import shutil
import sqlite3
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from importlib.metadata import distributions
from typing import Any

import msgspec

from biostudio_doctor import __version__, endpoints, scratch
from biostudio_doctor.collector import MIB, Collector, Item, Say
from biostudio_doctor.collectors.shared import files, moment
from biostudio_doctor.host import Host
from biostudio_doctor.host.daemons import http_get_local

_REPORT = "/api/v1/report"
_HISTORY = "history.sqlite3"
_LARGEST = 64 << 20  # bytes of the history
_MOST_RUNS = 200_000  # of them; the daemon keeps 200 of each check


class DoctorCollector(Collector):
    """This tool: versions, and its daemon's report and history.

    From Python's own records; from /etc/biostudio-doctor/config.toml and the unit of systemd; from
    the daemon, where one runs on this host, its whole report with the last runs of each check,
    asked at 127.0.0.1; from a copy of the history in its state directory.
    What it logs is in `journal`.

    Leaves out: this process's environment; files that the configuration names as secrets; the
    daemon's web-config.yml, which has hashes of passwords, and its keys.
    """

    id = "doctor"

    def items(self) -> Iterator[Item]:
        """What this is, then its daemon."""
        yield Say(tell=_versions, name="versions.txt", source="this Python")
        yield from files(
            self.host,
            "/etc/biostudio-doctor/config.toml",
            "/etc/systemd/system/biostudio-doctor.service",
            "/etc/systemd/system/biostudio-doctor.service.d/*.conf",
        )
        daemon = self.surroundings.config.daemon
        if self.host.is_local and self._runs(endpoints.parse(daemon.listen).port):
            source = f"http://{daemon.listen}{_REPORT}"
            yield Say(tell=self._report, name="daemon-report.json", source=source, limit=16 * MIB)
        history = f"{daemon.state}/{_HISTORY}"
        if self.host.exists(history):
            yield Say(tell=self._history, name="daemon-history.jsonl", source=history)

    def _runs(self, port: int) -> bool:
        return http_get_local(self.host, port, "/healthz", 1).state == "answers"

    def _report(self) -> bytes:
        port = endpoints.parse(self.surroundings.config.daemon.listen).port
        answer = http_get_local(self.host, port, _REPORT, 5)
        if answer.state != "answers":  # it may want a login
            raise OSError(errno.EREMOTEIO, answer.detail or answer.state)
        return answer.body

    def _history(self) -> Iterator[bytes]:
        return _rows(self.host, f"{self.surroundings.config.daemon.state}/{_HISTORY}")


def _rows(host: Host, path: str) -> Iterator[bytes]:
    """A line for each run.

    Raises:
        OSError: if it is no history.
    """
    try:
        for check, at, status, seconds in _runs(host, path):
            row = {"at": moment(at), "check": check, "status": status, "seconds": seconds}
            yield msgspec.json.encode(row) + b"\n"
    except (sqlite3.Error, TypeError, ValueError) as error:
        raise OSError(errno.EIO, f"it is no history: {error}", path) from None


def _runs(host: Host, path: str) -> list[tuple[Any, ...]]:
    """All that it tells of runs.

    The daemon holds its file for itself, and what it wrote last is in the log beside it: of both a
    private copy is read, which is gone before anything is made of it. What a run that was killed
    meanwhile left of one is removed.
    """
    us = scratch.owner(Host())
    _sweep(us)
    directory = os.path.join(tempfile.gettempdir(), us.new_name())
    os.mkdir(directory, 0o700)
    try:
        copy = os.path.join(directory, _HISTORY)
        for suffix in ("", "-wal"):
            data = _regular(host, path + suffix)
            with open(copy + suffix, "xb") as file:
                file.write(data)
        with closing(sqlite3.connect(copy)) as connection:
            connection.execute("PRAGMA trusted_schema = OFF")
            query = "SELECT check_id, at, status, duration_seconds FROM run ORDER BY number"
            return connection.execute(query).fetchmany(_MOST_RUNS)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _sweep(us: scratch.Owner) -> None:
    base = os.open(tempfile.gettempdir(), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name, seen in scratch.left_in(base, us, {os.geteuid()}):
            if stat.S_ISDIR(seen.st_mode):
                shutil.rmtree(name, ignore_errors=True, dir_fd=base)
    finally:
        os.close(base)


def _regular(host: Host, path: str) -> bytes:
    """The bytes of a file that is no link and not too large; none where there is none."""
    try:
        directory, name = os.path.split(path)
        if not stat.S_ISREG(os.lstat(os.path.join(host.path(directory), name)).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", path)
        data = host.read_bytes(path, _LARGEST + 1)
    except FileNotFoundError:
        return b""
    if len(data) > _LARGEST:
        raise OSError(errno.EFBIG, "it is too large for a history", path)
    return data


def _versions() -> str:
    packages = sorted(
        {f"{one.metadata['Name']} {one.version}" for one in distributions()}, key=str.casefold
    )
    return "\n".join(
        [
            f"biostudio-doctor {__version__}",
            f"Python {sys.version}",
            f"at {sys.executable}",
            f"on {platform.platform()}",
            f"frozen: {bool(getattr(sys, 'frozen', False))}",
            "",
            *packages,
            "",
        ]
    )
