"""A process that probes what it is told, so that its own memory and time can be measured."""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

AT_ONCE = 50  # TCP probes
TIMEOUT = 2.0  # seconds of a TCP probe


class Worker:
    """Such a process, for as long as the context lasts."""

    def __enter__(self) -> "Worker":
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.probes.worker"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def tcp(self, ports: Sequence[int]) -> dict[str, Any]:
        """Probe listeners on loopback."""
        return self._do("tcp", ports=list(ports))

    def paths(
        self, hosts: Sequence[str], port: int, ca_file: str, timeout: float = 5.0, **environ: str
    ) -> dict[str, Any]:
        """Go the whole way to every host at once."""
        return self._do("paths", hosts=list(hosts), port=port, ca_file=ca_file, timeout=timeout,
                        environ=environ)  # fmt: skip

    def ask(self, port: int, timeout: float) -> dict[str, Any]:
        """Ask a name server on loopback."""
        return self._do("ask", port=port, timeout=timeout)

    def _do(self, job: str, **arguments: Any) -> dict[str, Any]:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps([job, arguments]) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


def peak(pid: int | str = "self") -> int:
    """The most memory that a process has had, in bytes (VmHWM of proc_pid_status(5))."""
    return _status("VmHWM", pid)


def _status(field: str, pid: int | str = "self") -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    return 0


async def _tcp(ports: list[int]) -> dict[str, Any]:
    import anyio

    from biostudio_doctor.probes import tcp

    limit = anyio.CapacityLimiter(AT_ONCE)
    found = 0

    async def one(port: int) -> None:
        nonlocal found
        async with limit:
            attempts = await tcp.probe(["127.0.0.1"], port, timeout=TIMEOUT)
        found += not attempts[0].failure

    async with anyio.create_task_group() as tasks:
        for port in ports:
            tasks.start_soon(one, port)
    return {"found": found}


async def _paths(
    hosts: list[str], port: int, ca_file: str, timeout: float, environ: dict[str, str]
) -> dict[str, Any]:
    import anyio
    import msgspec

    from biostudio_doctor.probes import path

    around = path.Surroundings(environ, (), ca_file)
    found: list[path.Path] = []

    async def one(host: str) -> None:
        target = path.Target(host=host, port=port)
        found.append(await path.probe(target, around, timeout=timeout))

    async with anyio.create_task_group() as tasks:
        for host in hosts:
            tasks.start_soon(one, host)
    return {"results": msgspec.to_builtins(found)}


async def _ask(port: int, timeout: float) -> dict[str, Any]:
    import msgspec

    from biostudio_doctor.probes import dns

    answer = await dns.ask("studio.lab", "A", "127.0.0.1", timeout=timeout, port=port)
    return {"results": [msgspec.to_builtins(answer)]}


def main() -> None:
    """Do one job a line: its outcome, seconds, and growth of memory in bytes."""
    import anyio

    jobs = {"tcp": _tcp, "paths": _paths, "ask": _ask}
    for line in sys.stdin:
        name, arguments = json.loads(line)
        Path("/proc/self/clear_refs").write_text("5")  # VmHWM begins anew
        before = _status("VmRSS")
        started = time.perf_counter()
        told = anyio.run(lambda: jobs[name](**arguments))  # noqa: B023
        told["seconds"] = time.perf_counter() - started
        told |= {"growth": peak() - before, "kept": _status("VmRSS") - before, "peak": peak()}
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
