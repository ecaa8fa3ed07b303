"""What the daemon costs, beside the exporters of Debian that would be on the same host anyhow.

Run: .venv/bin/python -m tests.bench_daemon [--idle SECONDS] [--phase PHASE]

A daemon with all checks, node_exporter and blackbox_exporter run side by side, as they are
installed, and are scraped as Prometheus does it (kept connections, gzip). They take turns, so that
a drift of the machine's speed hits all alike. Then the daemon is scraped 10,000 times, for what
that leaves in its memory, and left alone, for what it costs when nobody asks.
"""

import argparse
import selectors
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import psutil
from tabulate import tabulate

from tests.bench_startup import DOCTOR, ENVIRONMENT
from tests.lab.network import free_port

NODE, BLACKBOX = "prometheus-node-exporter", "prometheus-blackbox-exporter"
CONNECTIONS = 30
LATENCIES = 200  # scrapes of each, one after the other
THROUGHPUT = 3.0  # seconds of each turn
TURNS = 3
SCRAPES = 10_000
SETTLE = 180.0  # seconds: the first runs, and the early retries of what fails
#: What the project promises.
LATENCY_RATIO, THROUGHPUT_RATIO, GROWTH, RESIDENT, IDLE = 1.0, 3.0, 2 << 20, 70 << 20, 0.005
CHECKS = 60
REQUEST = (
    b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n"
    b"Accept: text/plain;version=0.0.4\r\nUser-Agent: Prometheus/2.42.0\r\n\r\n"
)


class Server(NamedTuple):
    """One that is scraped."""

    name: str
    port: int
    process: psutil.Process  # the one that answers


class Connection:
    """A kept connection, as raw as can be, so that the one who asks costs little."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 30)
        self._data = b""

    def ask(self) -> None:
        """Ask for the metrics."""
        self._data = b""
        self.socket.sendall(REQUEST)

    def read(self) -> bool:
        """Read what there is; whether the answer is whole."""
        data = self.socket.recv(1 << 20)
        assert data, "it hung up"
        self._data += data
        head, found, body = self._data.partition(b"\r\n\r\n")
        if not found:
            return False
        assert head.startswith(b"HTTP/1.1 200"), head
        lower = head.lower()
        if b"transfer-encoding: chunked" in lower:
            return body.endswith(b"\r\n0\r\n\r\n")
        return len(body) >= int(lower.partition(b"content-length:")[2].split(b"\r\n")[0])

    def scrape(self) -> int:
        """Ask and wait; the bytes of the answer."""
        self.ask()
        while not self.read():
            pass
        return len(self._data)


def latencies(server: Server, count: int) -> list[float]:
    """Seconds of each scrape, one after the other."""
    connection = Connection(server.port)
    seconds = []
    for _ in range(count):
        start = time.perf_counter()
        connection.scrape()
        seconds.append(time.perf_counter() - start)
    connection.socket.close()
    return seconds


def throughput(server: Server, *, seconds: float = float("inf"), scrapes: int = 1 << 60) -> float:
    """Scrapes a second at so many connections, for a time or a number of scrapes."""
    with selectors.DefaultSelector() as selector:
        connections = [Connection(server.port) for _ in range(CONNECTIONS)]
        for connection in connections:
            selector.register(connection.socket, selectors.EVENT_READ, connection)
            connection.ask()
        start, done = time.perf_counter(), 0
        while time.perf_counter() - start < seconds and done < scrapes:
            for key, _ in selector.select():
                if key.data.read():
                    done += 1
                    key.data.ask()
        took = time.perf_counter() - start
        for connection in connections:
            connection.socket.close()
    return done / took


def cpu(process: psutil.Process) -> float:
    """Seconds of CPU of the daemon: both processes, and the observing ones that have ended."""
    times = [process.cpu_times(), *(child.cpu_times() for child in process.children())]
    return sum(one.user + one.system for one in times) + (
        times[0].children_user + times[0].children_system
    )


@contextmanager
def exporter(name: str) -> Iterator[Server]:
    """One of Debian's, as it is when nothing is configured."""
    port = free_port()
    options = ["--config.file=/etc/prometheus/blackbox.yml"] if name == BLACKBOX else []
    process = subprocess.Popen(
        [name, f"--web.listen-address=127.0.0.1:{port}", *options],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_for(port)
        yield Server(name.removeprefix("prometheus-"), port, psutil.Process(process.pid))
    finally:
        process.terminate()
        process.wait()


@contextmanager
def daemon(phase: str) -> Iterator[tuple[Server, psutil.Process]]:
    """Ours, with all checks; also its main process."""
    port = free_port()
    with tempfile.TemporaryDirectory() as directory:
        config = Path(directory) / "config.toml"
        config.write_text(
            f"phase = '{phase}'\n[daemon]\nlisten = '127.0.0.1:{port}'\nstate = '{directory}'\n"
        )
        process = subprocess.Popen(
            [DOCTOR, "daemon", "--config", str(config)],
            env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            wait_for(port)
            yield Server("biostudio-doctor", port, web_of(process.pid)), psutil.Process(process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()


def web_of(pid: int) -> psutil.Process:
    """The first child of the daemon."""
    return min(psutil.Process(pid).children(), key=lambda child: child.create_time())


def wait_for(port: int) -> None:
    """Until somebody listens there."""
    for _ in range(1000):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise TimeoutError(port)


def checks(port: int) -> int:
    """The checks and targets that have a series."""
    import urllib.request

    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        lines = answer.read().decode().splitlines()
    return sum(line.startswith("biostudio_check_success{") for line in lines)


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--idle", type=float, default=300.0, help="seconds to be left alone")
    arguments.add_argument("--phase", default="running")
    given = arguments.parse_args()
    with ExitStack() as stack:
        ours, supervisor = stack.enter_context(daemon(given.phase))
        others = [stack.enter_context(exporter(name)) for name in (NODE, BLACKBOX)]
        time.sleep(SETTLE)
        missed = beside(ours, others) + memory(ours, supervisor) + idle(supervisor, given.idle)
    for line in missed:
        print(f"MISSED: {line}")
    sys.exit(bool(missed))


def beside(ours: Server, others: list[Server]) -> list[str]:
    """Latency and throughput."""
    servers = [ours, *others]
    medians: dict[str, list[float]] = {server.name: [] for server in servers}
    rates: dict[str, list[float]] = {server.name: [] for server in servers}
    sizes = {server.name: Connection(server.port).scrape() for server in servers}
    for _ in range(TURNS):
        for server in servers:
            medians[server.name] += latencies(server, LATENCIES // TURNS)
        for server in servers:
            rates[server.name].append(throughput(server, seconds=THROUGHPUT))
    median = {name: statistics.median(seconds) for name, seconds in medians.items()}
    rate = {name: statistics.median(found) for name, found in rates.items()}
    node = others[0].name
    rows = [
        [
            server.name,
            f"{sizes[server.name] / 1000:.1f} kB",
            f"{median[server.name] * 1000:.2f} ms",
            f"{max(medians[server.name]) * 1000:.1f} ms",
            f"{median[server.name] / median[node]:.2f}",
            f"{rate[server.name]:.0f}/s",
            f"{rate[server.name] / rate[node]:.2f}",
        ]
        for server in servers
    ]
    headers = ["/metrics of", "gzip", "median", "slowest", "ratio", f"at {CONNECTIONS} connections",
               "ratio"]  # fmt: skip
    print(tabulate(rows, headers=headers, disable_numparse=True), end="\n\n")
    series = checks(ours.port)
    print(f"checks and targets with series: {series} (at least {CHECKS})")
    return [
        said
        for bad, said in (
            (median[ours.name] > LATENCY_RATIO * median[node], "latency"),
            (rate[ours.name] < THROUGHPUT_RATIO * rate[node], "throughput"),
            (series < CHECKS, "checks"),
        )
        if bad
    ]


def memory(ours: Server, supervisor: psutil.Process) -> list[str]:
    """Resident memory before and after many scrapes."""
    throughput(ours, scrapes=100)
    before = ours.process.memory_info().rss
    throughput(ours, scrapes=SCRAPES)
    after = ours.process.memory_info().rss
    for _ in range(SCRAPES):
        connection = Connection(ours.port)
        connection.scrape()
        connection.socket.close()
    anew = ours.process.memory_info().rss
    proportional = sum(one.memory_full_info().pss for one in (ours.process, supervisor))
    print(
        f"resident memory of the web process: {mega(before)} after 100 more scrapes, {mega(after)} "
        f"after {SCRAPES} more (growth at most {mega(GROWTH)}, in all at most {mega(RESIDENT)}), "
        f"{mega(anew)} after {SCRAPES} more, each by a new connection\n"
        f"of the main process: {mega(supervisor.memory_info().rss)}; "
        f"both, what they share counted once: {mega(proportional)}"
    )
    bad = after - before > GROWTH or max(after, anew) > RESIDENT
    return ["memory"] if bad else []


def idle(supervisor: psutil.Process, seconds: float) -> list[str]:
    """CPU while nobody asks."""
    if not seconds:
        return []
    web = web_of(supervisor.pid)
    before, web_before, start = cpu(supervisor), sum(web.cpu_times()[:2]), time.monotonic()
    time.sleep(seconds)
    took = time.monotonic() - start
    share = (cpu(supervisor) - before) / took
    web_share = (sum(web.cpu_times()[:2]) - web_before) / took
    print(
        f"idle CPU over {took:.0f} s: {share:.2%} of a core, of which the web process "
        f"{web_share:.2%} (at most {IDLE:.1%})"
    )
    return ["idle CPU"] if share > IDLE else []


def mega(size: int) -> str:
    return f"{size / (1 << 20):.1f} MiB"


if __name__ == "__main__":
    main()
