"""The supervisor's end of the web process, whatever the web process does."""

import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from biostudio_doctor.config import Config, DaemonConfig
from biostudio_doctor.daemon import web_process
from biostudio_doctor.daemon.log import Log
from biostudio_doctor.daemon.messages import Beat, Listening, Snapshot, ToSupervisor
from biostudio_doctor.daemon.web_process import Serve, WebProcess
from biostudio_doctor.model import Status
from tests.conftest import report
from tests.lab.timing import PATIENCE, within

Make = Callable[[Serve], WebProcess]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    with selectors.DefaultSelector() as selector, open(tmp_path / "log", "w") as log:
        made: list[WebProcess] = []

        def start(serve: Serve, hear: Callable[[ToSupervisor], None] = print) -> WebProcess:
            web = WebProcess(selector, serve, Log(descriptor=log.fileno()), hear, lambda: None)
            web.start(DaemonConfig())
            made.append(web)
            return web

        yield start
        for web in made:
            web.end()


def snapshot(number: int) -> Snapshot:
    """One of about 100 kB."""
    return Snapshot(report(Status.PASS, tool_version=str(number) + "x" * 100_000), Config())


def turn(web: WebProcess, until: Callable[[], object]) -> None:
    """Go on as the supervisor does."""
    start = time.monotonic()
    while not until():
        assert time.monotonic() - start < PATIENCE
        for key, events in web._selector.select(0.02):
            key.data(events)
        web.tend(DaemonConfig())


def test_one_that_reads_nothing_costs_no_time_and_is_told_the_latest(
    make: Make, tmp_path: Path
) -> None:
    def serve(connection: socket.socket, config: DaemonConfig) -> None:
        connection.sendall(msgspec.json.encode(Listening("there")) + b"\n")
        signal.sigwait({signal.SIGUSR1})
        with open(tmp_path / "told", "ab") as file:
            for line in connection.makefile("rb"):
                file.write(line)
                file.flush()

    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    try:
        web = make(serve)
        start = time.process_time()  # if it waited for whom it tells, it would for ever
        for number in range(300):
            web.tell(snapshot(number))
            web.tell(Beat())
        assert time.process_time() - start < 2 and not web.told
        os.kill(web.pid, signal.SIGUSR1)
        turn(web, lambda: web.told)
        told = tmp_path / "told"
        turn(web, lambda: b'"beat"' in told.read_bytes().partition(b'"299x')[2])
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})
    versions = [
        message.report.tool_version.rstrip("x")
        for line in told.read_bytes().splitlines()
        if isinstance(message := msgspec.json.decode(line, type=Snapshot | Beat), Snapshot)
    ]
    assert versions[-1] == "299" and len(versions) < 10, "and nothing of what was between"


def test_one_that_is_deaf_is_replaced(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_process, "_DEAF", 0.3)
    web = make(lambda connection, config: time.sleep(60))
    first = web.pid
    for number in range(10):
        web.tell(snapshot(number))
    turn(web, lambda: web.pid not in (0, first))


def test_one_that_always_dies_is_started_less_and_less_often(make: Make) -> None:
    web = make(lambda connection, config: None)
    seen = [(web.pid, time.monotonic())]
    start = time.monotonic()
    while time.monotonic() - start < 4:
        for key, events in web._selector.select(0.02):
            key.data(events)
        web.tend(DaemonConfig())
        if web.pid and web.pid != seen[-1][0]:
            seen.append((web.pid, time.monotonic()))
    assert 2 <= len(seen) <= 3, "after 1, 2, 4 ... seconds"


def test_one_that_does_not_heed_sigterm_is_killed_in_time(make: Make) -> None:
    def serve(connection: socket.socket, config: DaemonConfig) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        connection.sendall(b"nonsense\n" + msgspec.json.encode(Listening("there")) + b"\n")
        time.sleep(60)

    heard: list[ToSupervisor] = []
    web = make(serve, heard.append)  # type: ignore[call-arg]
    turn(web, lambda: heard)
    assert heard == [Listening("there")], "nonsense is no message"
    pid = web.pid
    with within(1.5):  # in which it may drain
        web.end()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
