"""The daemon as a process of its own, with a web process that only writes down what it is told.

Run by `running`: python -m tests.lab.daemon CONFIG TOLD
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import psutil

from biostudio_doctor import config as configuration
from biostudio_doctor import plan as planning
from biostudio_doctor.config import DaemonConfig
from biostudio_doctor.daemon.messages import Listening, Reload
from biostudio_doctor.daemon.supervisor import Supervisor
from tests.lab.timing import PATIENCE


class Running:
    """A daemon, and what its web process was told so far."""

    def __init__(self, process: "subprocess.Popen[str]", told: Path) -> None:
        self.process = process
        self.psutil = psutil.Process(process.pid)
        self._told = told

    def told(self) -> list[dict[str, Any]]:
        """All messages, with the process that was told in `pid`."""
        return [json.loads(line) for line in self._told.read_text().splitlines(keepends=True)
                if line.endswith("\n")]  # fmt: skip

    def report(self) -> dict[str, Any]:
        """The last one."""
        reports = [each["report"] for each in self.told() if each["type"] == "snapshot"]
        return reports[-1] if reports else {"results": [], "daemon": {}}

    def results(self) -> dict[str, dict[str, Any]]:
        """The last ones, by check."""
        return {result["id"]: result for result in self.report()["results"]}

    def statuses(self) -> dict[str, str]:
        """The last ones, by check."""
        return {check_id: result["status"] for check_id, result in self.results().items()}

    def until(self, true: Callable[[], object], patience: float = PATIENCE) -> float:
        """Wait until something is so; the seconds that it took."""
        start = time.monotonic()
        while not true():
            assert self.process.poll() is None, "the daemon has ended"
            assert time.monotonic() - start < patience, self.report()
            time.sleep(0.02)
        return time.monotonic() - start

    def web(self) -> int:
        """The web process that was told something last."""
        pid: int = self.told()[-1]["pid"]
        return pid

    def observers(self) -> list[psutil.Process]:
        """The observing processes of now."""
        return [child for child in self.psutil.children() if child.pid != self.web()]

    def end(self, number: int = signal.SIGTERM) -> tuple[float, str]:
        """Have it end; how long that took, and its log."""
        start = time.monotonic()
        if self.process.poll() is None:
            self.process.send_signal(number)
        _, log = self.process.communicate(timeout=PATIENCE)
        return time.monotonic() - start, log


@contextmanager
def running(
    directory: Path, config: str, *, site: Path | None = None, env: dict[str, str] | None = None,
    prefix: tuple[str, ...] = (),
) -> Iterator[Running]:  # fmt: skip
    """Start one in a directory, whose config.toml it reads; `site` has plug-ins."""
    told = directory / "told"
    told.write_text("")
    state = directory / "state"
    state.mkdir(exist_ok=True)
    write(directory, config)
    path = os.pathsep.join(filter(None, (str(site) if site else "", os.getcwd())))
    process = subprocess.Popen(
        [*prefix, sys.executable, "-m", "tests.lab.daemon", str(directory / "config.toml"), told],
        env={**os.environ, "PYTHONPATH": path, **(env or {})},
        stderr=subprocess.PIPE,
        text=True,
    )
    daemon = Running(process, told)
    try:
        daemon.until(lambda: daemon.report()["results"])
        yield daemon
    finally:
        daemon.end()


def write(directory: Path, config: str) -> None:
    """Write the configuration, with a place for the history unless it names one."""
    if "state = " not in config:
        head, _, tail = config.partition("[daemon]\n")
        config = f"{head}[daemon]\nstate = '{directory}/state'\n{tail}"
    (directory / "config.toml").write_text(config)


def _serve(told: str, connection: socket.socket, config: DaemonConfig) -> None:
    connection.sendall(msgspec.json.encode(Listening(config.listen)) + b"\n")
    ask = msgspec.json.encode(Reload()) + b"\n"
    signal.signal(signal.SIGUSR1, lambda *_: connection.sendall(ask))
    with open(told, "a") as file:
        for line in connection.makefile():
            file.write(json.dumps({**json.loads(line), "pid": os.getpid()}) + "\n")
            file.flush()


def main() -> None:
    config, told = sys.argv[1:]

    def load() -> planning.Plan:
        return planning.make(configuration.load(Path(config)), source=config)

    def serve(connection: socket.socket, settings: DaemonConfig) -> None:
        _serve(told, connection, settings)

    sys.exit(Supervisor(load, serve).run())


if __name__ == "__main__":
    main()
