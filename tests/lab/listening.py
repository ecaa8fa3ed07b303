"""`listen` and `check ports.peers` as users run them, in the namespaces of a lab."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from pathlib import Path
from subprocess import CompletedProcess, Popen
from typing import Any

from biostudio_doctor.peers import CODE_VARIABLE
from tests.lab.network import Network

DOCTOR = [str(Path(sys.executable).with_name("biostudio-doctor"))]
_CODE = re.compile(r"The code: (\S+)")


class Listening:
    """A listener in a namespace; with a code, it shares that one."""

    def __init__(
        self,
        net: Network,
        name: str,
        *arguments: str,
        code: str = "",
        wrapper: tuple[str, ...] = (),
    ) -> None:
        self._log = net.directory / f"listen-{name}-{time.monotonic_ns()}.txt"
        into_log = ["sh", "-c", 'exec "$@" >"$0" 2>&1', str(self._log)]
        self._log.touch()
        self.process: Popen[bytes] = net.start(
            name, [*into_log, *wrapper, *DOCTOR, "listen", *arguments], env=environment(code)
        )
        deadline = time.monotonic() + 60
        while not _CODE.search(self.said):
            assert self.process.poll() is None, self.said
            assert time.monotonic() < deadline, self.said
            time.sleep(0.02)
        self.code = code or _CODE.search(self.said)[1]  # type: ignore[index]

    @property
    def said(self) -> str:
        """All that it has printed."""
        return self._log.read_text()


def environment(code: str = "") -> dict[str, str]:
    """Ours, with this code and no other."""
    ours = {name: value for name, value in os.environ.items() if name != CODE_VARIABLE}
    return {**ours, CODE_VARIABLE: code} if code else ours


def ask(net: Network, name: str, code: str, *peers: str) -> CompletedProcess[str]:
    """The check, asked in a namespace; the report is in JSON."""
    arguments = [word for peer in peers for word in ("--peer", peer)]
    command = [*DOCTOR, "check", "ports.peers", *arguments, "--output", "json"]
    return net.run(name, command, check=False, env=environment(code))


def findings(done: CompletedProcess[str]) -> dict[str, dict[str, Any]]:
    """The findings of a report, by subject."""
    assert done.stdout, done.stderr
    (result,) = json.loads(done.stdout)["results"]
    return {finding["subject"]: finding for finding in result["findings"]}


def save(done: CompletedProcess[str], file: Path) -> str:
    """A report in a file, as --output-file would have written it."""
    file.write_text(done.stdout)
    return str(file)
