"""The web process of the daemon as it really runs, told by a test what a supervisor would tell."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
from msgspec import Struct

from biostudio_doctor import config as configuration
from biostudio_doctor.config import Config
from biostudio_doctor.daemon.messages import Beat, Reload, Reloaded, Snapshot, ToSupervisor
from biostudio_doctor.model import (
    NOT_CONFIGURED,
    Daemon,
    Finding,
    Remedy,
    Report,
    Result,
    Run,
    Schedule,
    Status,
    worst,
)
from tests.conftest import report as base_report
from tests.lab.network import free_port
from tests.lab.timing import PATIENCE, wait_until

NOW = datetime(2026, 11, 27, 0, 30, tzinfo=UTC)
#: Words of a finding that would do harm in a page.
HOSTILE = (
    "</code></script><script>document.title='owned'</script><img src=x onerror=alert(1)>\x1b[2J"
)

_SERVE = """
import os, socket, sys, msgspec
from biostudio_doctor.config import DaemonConfig
from biostudio_doctor.daemon.log import Log
from biostudio_doctor.daemon.web.server import serve
from biostudio_doctor.errors import DoctorError
Log().take_over()
config = msgspec.json.decode(sys.argv[2], type=DaemonConfig)
try:
    serve(socket.socket(fileno=int(sys.argv[1])), config)
except DoctorError as error:
    Log().error("web.failed", problem=str(error))
    os._exit(1)
os._exit(0)
"""


class WebProcess:
    """A web process on a free port; a context that leaves nothing behind."""

    def __init__(self, *, before: str = "", host: str = "127.0.0.1", **config: Any) -> None:
        """`before` is Python that runs first in the process; the rest are keys of [daemon]."""
        self.port = free_port()
        self.config = configuration.convert(
            {"daemon": {"listen": f"{host}:{self.port}", **config}}, Config, "test"
        )
        self._peer, theirs = socket.socketpair()
        self._heard = b""
        self._log = tempfile.NamedTemporaryFile(suffix=".log")  # noqa: SIM115
        arguments = [str(theirs.fileno()), msgspec.json.encode(self.config.daemon).decode()]
        self.process = subprocess.Popen(
            [sys.executable, "-c", before + _SERVE, *arguments],
            pass_fds=[theirs.fileno()],
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        theirs.close()

    def __enter__(self) -> WebProcess:
        deadline = time.monotonic() + PATIENCE
        while True:
            assert self.process.poll() is None, self.log
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            assert time.monotonic() < deadline, self.log
            time.sleep(0.02)

    def __exit__(self, *_: object) -> None:
        self._peer.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._log.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return Path(self._log.name).read_text()

    @property
    def resident(self) -> int:
        """Bytes of memory that it holds."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def tell(self, message: Struct) -> None:
        self.tell_bytes(msgspec.json.encode(message) + b"\n")

    def tell_bytes(self, data: bytes) -> None:
        self._peer.sendall(data)

    def beat(self) -> None:
        self.tell(Beat())

    def show(self, report: Report, **daemon: Any) -> None:
        """Tell a report, and that the supervisor lives."""
        config = msgspec.structs.replace(
            self.config, daemon=msgspec.structs.replace(self.config.daemon, **daemon)
        )
        self.tell(Snapshot(report=report, config=config))
        self.beat()

    def serve(self, report: Report) -> None:
        """Tell a report, and wait until it is what is served."""
        self.show(report)
        told = msgspec.json.decode(msgspec.json.encode(report))
        wait_until(lambda: httpx.get(f"{self.url}/api/v1/report").json() == told, "served")

    def wait_for(self, path: str = "/metrics", status: int = 200, **options: Any) -> httpx.Response:
        """Ask until the answer has this status."""
        deadline = time.monotonic() + PATIENCE
        while True:
            answer = httpx.get(self.url + path, **options)
            if answer.status_code == status:
                return answer
            assert time.monotonic() < deadline, answer
            time.sleep(0.02)

    def asked_to_reload(self, answer: Reloaded | None = None, patience: float = PATIENCE) -> bool:
        """Whether a Reload came, which is then answered."""
        self._peer.settimeout(patience)
        try:
            while True:
                while b"\n" not in self._heard:
                    self._heard += self._peer.recv(65536)
                line, _, self._heard = self._heard.partition(b"\n")
                if isinstance(msgspec.json.decode(line, type=ToSupervisor), Reload):
                    break
        except TimeoutError:
            return False
        finally:
            self._peer.settimeout(None)
        if answer is not None:
            self.tell(answer)
        return True

    def leave(self) -> None:
        """Be gone, as a supervisor that died."""
        self._peer.close()


def result(
    check: str, *findings: Finding, status: Status | None = None, runs: int = 24, **changes: Any
) -> Result:
    """A check with these findings, that ran every five minutes."""
    found = status or worst(finding.status for finding in findings)
    history = tuple(
        Run(
            at=NOW - timedelta(minutes=5 * (runs - number)),
            status=Status.FAIL if found is Status.FAIL and number > runs - 4 else Status.PASS,
            duration_seconds=0.02 + (number * 7 % 11) / 20,
        )
        for number in range(runs)
    )
    schedule = Schedule(
        interval_seconds=300,
        timeout_seconds=10,
        runs=runs,
        last_run=NOW - timedelta(minutes=1) if runs else None,
        history=history,
    )
    told = {"title": f"The check {check}", "schedule": schedule, **changes}
    return Result(id=check, status=found, findings=findings, **told)


def whole_report(*results: Result, **daemon: Any) -> Report:
    """A daemon's report of these checks."""
    statuses = [finding.status for one in results for finding in one.findings]
    return base_report(
        status=worst(one.status for one in results),
        results=results,
        summary={status: statuses.count(status) for status in Status},
        daemon=Daemon(started_at=NOW - timedelta(days=2), reloaded_at=NOW, **daemon),
    )


def sixty_checks() -> Report:
    """A full daemon: 60 checks, of which a few have something to say."""
    remedy = Remedy(
        "Start it, and see why it stopped.", ("docker start bioproxy", "docker logs -n 50 bioproxy")
    )
    failed = Finding(
        Status.FAIL, "bioproxy", "Nothing answers on port 443.", "refused", "a TLS server", remedy
    )
    results = [result("services.https", failed)]
    results.append(result("memory.total", Finding(Status.WARN, "memory", "Memory is below 64 GB.")))
    results.append(
        result("cpu.load", Finding(Status.ERROR, "load", "The load could not be read."), runs=3)
    )
    fine = [Finding(Status.PASS, f"disk {one}", f"Disk {one} has room.") for one in range(4)]
    results.append(result("storage.capacity", *fine))
    for number in range(36):
        results.append(
            result(f"lab.check-{number}", Finding(Status.PASS, "it", f"Number {number} is fine."))
        )
    skipped = Finding(Status.SKIP, "it", "Not configured.", cause=NOT_CONFIGURED)
    results += [result(f"none.check-{number}", skipped) for number in range(20)]
    return whole_report(*results)


def hostile() -> Report:
    """A report in which every word is hostile."""
    remedy = Remedy(HOSTILE, (HOSTILE,))
    finding = Finding(Status.FAIL, HOSTILE, HOSTILE, HOSTILE, HOSTILE, remedy)
    return whole_report(
        result('a."><script>', finding, finding, title=HOSTILE),
        reload_succeeded=False,
        reload_problem=HOSTILE,
    )


def asked(port: int, data: bytes, timeout: float = PATIENCE) -> bytes:
    """What comes for these bytes until the connection ends."""
    with socket.create_connection(("127.0.0.1", port), timeout) as sock:
        with contextlib.suppress(ConnectionError):  # it had heard enough
            sock.sendall(data)
        received = b""
        with contextlib.suppress(ConnectionError):
            while chunk := sock.recv(65536):
                received += chunk
        return received
