"""A time server that is wrong by as much as one likes, and a chronyd that follows it.

chronyd runs with -x, so it never touches this machine's clock, on ports of its own.
"""

import contextlib
import os
import shutil
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.network import free_port

_NTP_EPOCH = 2_208_988_800  # seconds from 1900 to 1970
CHRONYD = shutil.which("chronyd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
CHRONYC = shutil.which("chronyc")


@contextlib.contextmanager
def time_server(ahead: float) -> Iterator[int]:
    """Answer NTP (RFC 5905) on a port of 127.0.0.1, `ahead` seconds wrong."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(0.1)
        stop = threading.Event()
        thread = threading.Thread(target=_serve, args=(server, ahead, stop), daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            stop.set()
            thread.join()


def _serve(server: socket.socket, ahead: float, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            request, client = server.recvfrom(512)
        except TimeoutError:
            continue
        received = _timestamp(time.time() + ahead)
        # Leap 0, version 4, mode 4 (server), stratum 1, and its reference is called LAB.
        head = struct.pack(">BBbbII4s", 0x24, 1, 6, -20, 0, 65, b"LAB\0")
        answer = head + received + request[40:48] + received + _timestamp(time.time() + ahead)
        server.sendto(answer, client)


def _timestamp(seconds: float) -> bytes:
    whole, part = divmod(seconds + _NTP_EPOCH, 1)
    return struct.pack(">II", int(whole), int(part * 2**32))


@contextlib.contextmanager
def chronyd(directory: Path, directives: str) -> Iterator[Path]:
    """Run chronyd; yields a directory with a `chronyc` that asks it, to be first in PATH."""
    if not (CHRONYD and CHRONYC):
        pytest.skip("chrony is not installed")
    if os.geteuid() != 0:
        pytest.skip("chronyd wants to be root")
    port = free_port()
    config = directory / "chrony.conf"
    config.write_text(
        f"{directives}\nport 0\ncmdport {port}\nbindcmdaddress 127.0.0.1\n"
        f"pidfile {directory}/chronyd.pid\n"
    )
    programs = directory / "bin"
    programs.mkdir()
    wrapper = programs / "chronyc"
    wrapper.write_text(f'#!/bin/sh\nexec {CHRONYC} -h 127.0.0.1 -p {port} "$@"\n')
    wrapper.chmod(0o755)
    process = subprocess.Popen(
        [CHRONYD, "-x", "-d", "-u", "root", "-f", str(config)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield programs
    finally:
        process.terminate()
        process.wait(20)


def wait_until(programs: Path, said: str) -> None:
    """Wait until chronyc says something of the tracking, such as ',Normal'."""
    deadline = time.monotonic() + 30
    answer = ""
    while time.monotonic() < deadline:
        asked = [str(programs / "chronyc"), "-n", "-c", "tracking"]
        answer = subprocess.run(asked, capture_output=True, text=True, check=False).stdout
        if said in answer:
            return
        time.sleep(0.05)
    pytest.fail(f"chronyd did not come to '{said}': {answer}")
