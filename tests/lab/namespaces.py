"""Network namespaces that a test makes, and the servers that run in them."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any


class Namespaces:
    """Namespaces by short names; what is started in them is ended by its id."""

    def __init__(self, directory: Path, prefix: str) -> None:
        self.directory = directory
        self._prefix = f"{prefix}{os.getpid()}"
        self._processes: list[subprocess.Popen[bytes]] = []

    def namespace(self, name: str) -> str:
        """The name that `ip netns` knows it by."""
        return f"{self._prefix}{name}"

    def run(
        self, name: str, command: Sequence[str], *, check: bool = True, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in a namespace to its end."""
        done: subprocess.CompletedProcess[str] = subprocess.run(
            ["ip", "netns", "exec", self.namespace(name), *command],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            **options,
        )
        assert not check or done.returncode == 0, f"{command}: {done.stderr}{done.stdout}"
        return done

    def spawn(
        self, name: str, command: Sequence[str], log: Path, **options: Any
    ) -> subprocess.Popen[bytes]:
        """Start a server in a namespace, its words in `log`; it is ended by `stop`."""
        with log.open("wb") as output:
            process: subprocess.Popen[bytes] = subprocess.Popen(
                ["ip", "netns", "exec", self.namespace(name), *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **options,
            )
        self._processes.append(process)
        return process

    def stop(self, process: subprocess.Popen[bytes]) -> None:
        """End a server and what it started."""
        if process in self._processes:
            self._processes.remove(process)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(5)

    def stop_all(self) -> None:
        """End all servers."""
        for process in list(self._processes):
            self.stop(process)

    def _add(self, names: Iterable[str]) -> None:
        for name in names:
            subprocess.run(["ip", "netns", "add", self.namespace(name)], check=True)
            self.run(name, ["ip", "link", "set", "lo", "up"])
            # Without duplicate address detection IPv6 works at once.
            self.run(name, ["sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0"])

    def _delete(self, names: Iterable[str]) -> None:
        for name in names:
            subprocess.run(
                ["ip", "netns", "delete", self.namespace(name)], capture_output=True, check=False
            )
