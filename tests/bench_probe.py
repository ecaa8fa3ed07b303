"""How many tcp_connect probes a second /probe answers, beside Debian's blackbox exporter.

python -m tests.bench_probe
"""

import asyncio
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.daemon.probing import application, blackbox
from tests.lab.certificates import make
from tests.lab.network import free_port
from tests.lab.servers import listens
from tests.lab.tls_servers import Site, nginx

_CONNECTIONS = 16
_SECONDS = 3.0
_ROUNDS = 5


class Load(NamedTuple):
    """What came of it."""

    rate: float  # answers a second
    median: float  # milliseconds
    slowest: float


async def _load(port: int, target: str) -> Load:
    asked = f"/probe?module=tcp_connect&target={target}"
    request = f"GET {asked} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    waits: list[float] = []
    until = time.perf_counter() + _SECONDS

    async def ask() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while (started := time.perf_counter()) < until:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head.lower())
            body = await reader.readexactly(int(length[1]) if length else 0)
            assert re.search(rb"^probe_success 1(.0)?$", body, re.MULTILINE), body
            waits.append((time.perf_counter() - started) * 1000)
        writer.close()

    await asyncio.gather(*(ask() for _ in range(_CONNECTIONS)))
    return Load(len(waits) / _SECONDS, statistics.median(waits), max(waits))


@contextmanager
def _ours() -> Iterator[int]:
    port = free_port()
    command = [sys.executable, "-c", f"import tests.bench_probe as b; b.serve({port})"]
    process = subprocess.Popen(command, cwd=Path(__file__).parents[1])
    try:
        while not listens(port):
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait(10)


def serve(port: int) -> None:
    """The application by itself, as the daemon's web process serves it."""
    import uvicorn

    uvicorn.run(application("127.0.0.1"), port=port, http="httptools", log_level="error")


def main() -> None:
    """Print the median of rounds in turns, and the ratio. nginx takes the connections."""
    certificate = make("lab", ca=True)
    with (
        nginx({"lab": Site([certificate])}) as ports,
        _ours() as own,
        blackbox(certificate.pem) as url,
    ):
        target = f"127.0.0.1:{ports['lab']}"
        exporters = {"blackbox": int(url.split(":")[2].partition("/")[0]), "ours": own}
        loads: dict[str, list[Load]] = {name: [] for name in exporters}
        for _ in range(_ROUNDS):
            for name, port in exporters.items():
                loads[name].append(asyncio.run(_load(port, target)))
    middle = {name: sorted(rounds)[_ROUNDS // 2] for name, rounds in loads.items()}
    for name, load in middle.items():
        print(f"{name}: {load.rate:.0f}/s, median {load.median:.1f} ms, max {load.slowest:.0f} ms")
    print(f"ours / blackbox: {middle['ours'].rate / middle['blackbox'].rate:.2f}")


if __name__ == "__main__":
    main()
