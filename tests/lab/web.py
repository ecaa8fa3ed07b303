"""Web servers and proxies on the loopback interface, real ones and odd ones."""

import os
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from tests.lab.network import free_port
from tests.lab.peers import Behaviour

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nServer: lab\r\n\r\nyes"


def https(
    context: ssl.SSLContext, *answers: bytes, requests: list[bytes] | None = None
) -> Behaviour:
    """Speak TLS; answer one request after the other, the last answer ever again."""
    left = list(answers or (OK,))

    def serve(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as tls:
            head = read_head(tls)
            if not head:  # whoever only shakes hands uses up no answer
                return
            if requests is not None:
                requests.append(head)
            tls.sendall(left.pop(0) if len(left) > 1 else left[0])

    return serve


def https_without_end(context: ssl.SSLContext, head: bytes, more: bytes) -> Behaviour:
    """Speak TLS, and never come to the end of the answer."""

    def serve(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as tls:
            if read_head(tls):
                tls.sendall(head)
                while more:
                    tls.sendall(more)
                tls.recv(1)

    return serve


def read_head(connection: socket.socket) -> bytes:
    """The head of a request, as far as it comes."""
    head = b""
    while b"\r\n\r\n" not in head:
        data = connection.recv(65536)
        if not data:
            break
        head += data
    return head


_SQUID = """
http_port 127.0.0.1:{port}
{https_port}
pid_filename none
access_log stdio:{directory}/access.log
cache_log {directory}/cache.log
cache deny all
coredump_dir {directory}
shutdown_lifetime 0 seconds
visible_hostname squid.lab
netdb_filename none
auth_param basic program {directory}/helper
auth_param basic realm lab
{rules}
"""
_HELPER = """#!/bin/sh
while read given; do [ "$given" = "{login}" ] && echo OK || echo ERR; done
"""


class Squid(NamedTuple):
    """A running squid."""

    port: int
    tls_port: int  # where it is spoken to by TLS; 0 without a certificate


@contextmanager
def squid(rules: str, login: str = "", certificate: bytes = b"") -> Iterator[Squid]:
    """A squid of our own, by the rules of squid.conf; `login` is "user password", for Basic."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o777)  # root's squid becomes the user `proxy`
        (directory / "helper").write_text(_HELPER.format(login=login))
        (directory / "helper").chmod(0o755)
        (directory / "server.pem").write_bytes(certificate)
        service = f"lab{os.getpid()}x{time.monotonic_ns()}"  # names its shared memory
        found = Squid(free_port(), free_port() if certificate else 0)
        https_port = f"https_port 127.0.0.1:{found.tls_port} tls-cert={directory}/server.pem"
        (directory / "squid.conf").write_text(
            _SQUID.format(
                port=found.port, https_port=https_port if certificate else "",
                directory=directory, rules=rules,
            )
        )  # fmt: skip
        process = subprocess.Popen(
            [str(shutil.which("squid")), "-N", "-n", service, "-f", str(directory / "squid.conf")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            for port in filter(None, found):
                _wait_for(port, process, directory / "cache.log")
            yield found
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(5)
            for segment in Path("/dev/shm").glob(f"{service}-*"):
                segment.unlink()


def _wait_for(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        if process.poll() is not None or time.monotonic() > deadline:
            raise AssertionError(f"squid does not start: {log.read_text() if log.exists() else ''}")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.02)
