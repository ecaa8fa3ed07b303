"""What probing costs: TCP against other programs' probes, and the whole way to many hosts.

Run: .venv/bin/python -m tests.bench_probes [ROUNDS]

A thousand loopback listeners are probed by ours, by the TCP module of Prometheus' blackbox exporter
and by nmap, in turns, so that a drift of the machine's speed hits all alike. Ours and the blackbox
exporter run already, and get the same number of probes at once; nmap is started for each round, and
paces itself. Then 16, 60 and 300 HTTPS hosts are reached at once, and 60 of which 20 are silent.
"""

import asyncio
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tabulate import tabulate

from tests.lab.certificates import make
from tests.lab.network import free_port
from tests.lab.peers import server_context
from tests.lab.web import OK
from tests.probes.worker import AT_ONCE, TIMEOUT, Worker, peak

LISTENERS = 1000
BLACKBOX = "prometheus-blackbox-exporter"


class Timing(NamedTuple):
    """One round of one program."""

    seconds: float
    found: int  # of all that it was given
    peak: int  # bytes of its memory


Prober = Callable[[Sequence[int]], Timing]
Look = Callable[[Sequence[object]], Timing]


@contextmanager
def listeners(count: int) -> Iterator[list[int]]:
    """Ports of this host that accept: the kernel alone does, by their backlogs."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=128)).getsockname()[
                1
            ]
            for _ in range(count)
        ]


def ours(worker: Worker) -> Prober:
    """The Worker as one of the programs."""

    def probe(ports: Sequence[int]) -> Timing:
        told = worker.tcp(ports)
        return Timing(told["seconds"], told["found"], told["peak"])

    return probe


# --- The others -----------------------------------------------------------------------------------


@contextmanager
def exporter(config: str, module: str, at_once: int) -> Iterator[Look]:
    """The blackbox exporter, started privately; of its targets `at_once` are asked at a time."""
    port = free_port()
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "blackbox.yml"
        file.write_text(config)
        process = subprocess.Popen(
            [BLACKBOX, f"--config.file={file}", f"--web.listen-address=127.0.0.1:{port}"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            _wait_for(port)

            def probe(targets: Sequence[object]) -> Timing:
                started = time.perf_counter()
                found = asyncio.run(_ask(port, module, targets, at_once))
                return Timing(time.perf_counter() - started, found, peak(process.pid))

            yield probe
        finally:
            process.terminate()
            process.wait()


async def _ask(port: int, module: str, targets: Sequence[object], at_once: int) -> int:
    """How many probes succeeded; the connections to it are kept open, as Prometheus does."""
    left = list(targets)

    async def ask() -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        found = 0
        while left:
            query = f"/probe?module={module}&target={left.pop()}"
            writer.write(f"GET {query} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].split()[0])
            found += b"probe_success 1\n" in await reader.readexactly(length)
        writer.close()
        return found

    return sum(await asyncio.gather(*(ask() for _ in range(at_once))))


@contextmanager
def blackbox() -> Iterator[Prober]:
    """The blackbox exporter, as it probes ports of this host."""
    config = f"modules: {{tcp: {{prober: tcp, timeout: {TIMEOUT:g}s}}}}\n"
    with exporter(config, "tcp", AT_ONCE) as probe:
        yield lambda ports: probe([f"127.0.0.1:{port}" for port in ports])


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            assert time.monotonic() < deadline, f"nothing listens on port {port}"
            time.sleep(0.02)


def nmap(ports: Sequence[int]) -> Timing:
    """The whole of `nmap -sT`, its start included."""
    command = ["nmap", "-sT", "-n", "-Pn", "-oG", "-", "-p" + ",".join(map(str, ports))]
    started = time.perf_counter()
    with subprocess.Popen(
        [*command, "127.0.0.1"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        most = [0]
        threading.Thread(target=_watch, args=(process, most), daemon=True).start()
        out, _ = process.communicate()
        seconds = time.perf_counter() - started
    return Timing(seconds, out.count("/open/tcp/"), most[0])


def _watch(process: "subprocess.Popen[str]", most: list[int]) -> None:
    while process.poll() is None:
        try:
            most[0] = max(most[0], peak(process.pid))
        except OSError:
            return
        time.sleep(0.01)


# --- Many HTTPS hosts -----------------------------------------------------------------------------


class Hosts:
    """HTTPS hosts on loopback addresses, all on one port, and addresses that drop every SYN."""

    def __init__(self, directory: Path, answering: int, silent: int = 0) -> None:
        self.answering = [f"127.9.{n // 250}.{n % 250 + 1}" for n in range(answering)]
        self.silent = [f"127.8.{n // 250}.{n % 250 + 1}" for n in range(silent)]
        authority = make("Lab Root", ca=True)
        self.ca_file = str(directory / "ca.pem")
        Path(self.ca_file).write_bytes(authority.pem)
        made = make("lab", issuer=authority, names=self.answering)
        self._context = server_context(directory, made)
        self.port = free_port()
        self._held: list[socket.socket] = []

    def __enter__(self) -> "Hosts":
        ready = threading.Event()
        threading.Thread(target=self._run, args=(ready,), daemon=True).start()
        for address in self.silent:
            self._drop(address)
        assert ready.wait(20)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        for held in self._held:
            held.close()

    def measured(self, answering: int, silent: int = 0, timeout: float = 5.0) -> dict[str, Any]:
        """What it costs to reach so many, in a process that has reached four before."""
        asked = self.answering[:answering] + self.silent[:silent]
        with Worker() as worker:
            worker.paths(self.answering[:4], self.port, self.ca_file)
            told = worker.paths(asked, self.port, self.ca_file, timeout)
        reached = sum(result["failure"] is None for result in told["results"])
        assert reached == answering, f"{reached} of {answering} were reached"
        return told

    def _drop(self, address: str) -> None:
        """With a full backlog the kernel drops the SYN, as a firewall does (listen(2))."""
        listener = socket.create_server((address, self.port), backlog=0)
        self._held += [listener, socket.create_connection((address, self.port))]

    def _run(self, ready: threading.Event) -> None:
        self._loop = asyncio.new_event_loop()
        self._loop.run_until_complete(
            asyncio.start_server(
                self._serve, self.answering, self.port, ssl=self._context, backlog=128
            )
        )
        ready.set()
        self._loop.run_forever()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(OK)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):  # whoever only shakes hands
            pass
        finally:
            writer.close()


# --- The tables -----------------------------------------------------------------------------------


def tcp_table(worker: Worker, rounds: int) -> str:
    """Ours beside the others'."""
    with ExitStack() as stack:
        programs: dict[str, Prober] = {"biostudio-doctor": ours(worker)}
        absent = [name for name in (BLACKBOX, "nmap") if not shutil.which(name)]
        if BLACKBOX not in absent:
            programs["blackbox exporter"] = stack.enter_context(blackbox())
        if "nmap" not in absent:
            programs["nmap -sT"] = nmap
        ports = stack.enter_context(listeners(LISTENERS))
        timings: dict[str, list[Timing]] = {name: [] for name in programs}
        for turn in range(rounds + 1):
            for name, probe in programs.items():
                timing = probe(ports)
                assert timing.found == LISTENERS, f"{name} found {timing.found} of {LISTENERS}"
                timings[name] += [timing] if turn else []  # the first one warms up
    medians = {
        name: statistics.median(timing.seconds for timing in of_one)
        for name, of_one in timings.items()
    }
    reference = medians["biostudio-doctor"]
    rows = [
        [name, f"{seconds:.3f}", f"{LISTENERS / seconds:.0f}", f"{seconds / reference:.2f}",
         f"{max(timing.peak for timing in timings[name]) / 1e6:.0f} MB"]
        for name, seconds in medians.items()
    ]  # fmt: skip
    headers = [f"{LISTENERS} listeners", "seconds", "probes/s", "ours = 1", "peak memory"]
    table = tabulate(rows, headers=headers, disable_numparse=True, tablefmt="github")
    return "\n".join([table, *(f"{name}: skipped, it is not installed" for name in absent)])


def hosts_table() -> str:
    """The whole way to many hosts at once, each number of them in a process of its own."""
    rows = []
    with tempfile.TemporaryDirectory() as directory, Hosts(Path(directory), 300, 20) as hosts:
        for answering, silent in ((16, 0), (60, 0), (300, 0), (40, 20)):
            told = hosts.measured(answering, silent)
            count = answering + silent
            rows.append([
                f"{count}, {silent} of them silent" if silent else str(count),
                f"{told['seconds']:.2f}",
                *(f"{told[key] / 1e6:.1f} MB, {told[key] / count / 1e3:.0f} kB each"
                  for key in ("growth", "kept")),
                f"{len(json.dumps(told['results'])) / count / 1e3:.1f} kB each",
            ])  # fmt: skip
    headers = ["hosts", "seconds", "memory at its peak", "afterwards", "facts as JSON"]
    return tabulate(rows, headers=headers, disable_numparse=True, tablefmt="github")


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    with Worker() as worker:
        print(f"{os.cpu_count()} cores, {AT_ONCE} probes at once, median of {rounds} rounds\n")
        print(tcp_table(worker, rounds))
    print(f"\n{hosts_table()}")


if __name__ == "__main__":
    main()
