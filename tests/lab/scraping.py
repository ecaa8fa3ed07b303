"""Somebody who scrapes a daemon without a pause, and writes down how that went.

A process of its own, so that what a test is busy with does not count as slowness of the daemon.
Every second scrape is by a kept connection, as Prometheus's are; the others come anew.

Run by `scraping`: python -m tests.lab.scraping PORT
"""

import http.client
import resource
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from msgspec import Struct

EVERY = 0.1  # seconds
_GIVE_UP = 10.0  # seconds
_TIMEVAL = struct.pack("ll", int(_GIVE_UP), 0)  # as the kernel has it


class Scrape(Struct, frozen=True):
    """One that has ended, well or not."""

    began: float  # of the monotonic clock, which all processes share
    seconds: float
    kept: bool  # whether by the kept connection
    problem: str = ""


class Scraping:
    """The scrapes so far."""

    def __init__(self, written: Path) -> None:
        self._written = written

    def since(self, began: float) -> list[Scrape]:
        """Those that began after this, and have ended."""
        lines = self._written.read_bytes().splitlines(keepends=True)
        whole = [line for line in lines if line.endswith(b"\n")]
        found = [msgspec.json.decode(line, type=Scrape) for line in whole]
        return [scrape for scrape in found if scrape.began >= began]


@contextmanager
def scraping(port: int, written: Path) -> Iterator[Scraping]:
    """Scrape 127.0.0.1 all the while."""
    with written.open("wb") as file:
        process = subprocess.Popen([sys.executable, "-m", __name__, str(port)], stdout=file)
    try:
        yield Scraping(written)
    finally:
        process.kill()
        process.wait()


def crowd(port: int, count: int) -> list[tuple[bytes, float]]:
    """So many scrapes at once, each by a connection of its own: the answers and their seconds.

    All are connected before anyone asks, and all have asked before anyone's answer is read. Whoever
    asks costs as little as can be, since on a small machine the daemon waits for them meanwhile.
    """
    request = (
        b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n"
        b"Connection: close\r\n\r\n"
    )
    sockets = [socket.socket() for _ in range(count)]
    began = []
    for one in sockets:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _TIMEVAL)
        began.append(time.monotonic())
        one.connect(("127.0.0.1", port))
    for one in sockets:
        one.send(request)
    found = []
    for one, start in zip(sockets, began, strict=True):
        with one:
            answer = b"".join(iter(lambda one=one: one.recv(1 << 16), b""))
        found.append((answer, time.monotonic() - start))
    return found


@contextmanager
def descriptors(wanted: int = 8192) -> Iterator[None]:
    """Have so many meanwhile, or as many as may be had."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _scrape(connection: http.client.HTTPConnection, kept: bool) -> Scrape:
    began, problem = time.monotonic(), ""
    try:
        connection.request("GET", "/metrics", headers={"Accept-Encoding": "gzip"})
        answer = connection.getresponse()
        if answer.status != 200 or not answer.read():
            problem = f"status {answer.status}"
    except (OSError, http.client.HTTPException) as error:
        problem = type(error).__name__
        connection.close()
    return Scrape(began, time.monotonic() - began, kept, problem)


def main() -> None:
    port = int(sys.argv[1])
    kept = http.client.HTTPConnection("127.0.0.1", port, timeout=_GIVE_UP)
    while True:
        once = http.client.HTTPConnection("127.0.0.1", port, timeout=_GIVE_UP)
        for connection in (kept, once):
            scrape = _scrape(connection, connection is kept)
            sys.stdout.buffer.write(msgspec.json.encode(scrape) + b"\n")
            sys.stdout.buffer.flush()
            time.sleep(max(0.0, EVERY - scrape.seconds))
        once.close()


if __name__ == "__main__":
    main()
