"""TCP peers on loopback, well-behaved and hostile: a thread each connection, gone with the test."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from tests.lab.certificates import Made

Behaviour = Callable[[socket.socket], object]


class Peer:
    """Listens on 127.0.0.1 (or another address) and does one thing with each connection."""

    def __init__(self, behaviour: Behaviour, address: str = "127.0.0.1") -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._behaviour = behaviour
        self._listener = socket.create_server((address, 0), family=family)
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0  # in all
        self.open = 0
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def __enter__(self) -> Peer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self.connections += 1
                self.open += 1
            threading.Thread(target=self._handle, args=(connection,), daemon=True).start()

    def _handle(self, connection: socket.socket) -> None:
        connection.settimeout(60)  # longer than any test waits for one
        try:
            self._behaviour(connection)
        except OSError:  # the other side has seen enough
            pass
        finally:
            connection.close()
            with self._lock:
                self.open -= 1


def server_context(directory: Path, *chain: Made, **options: object) -> ssl.SSLContext:
    """A server's context that presents `chain`, whose first member is its own certificate."""
    file = directory / f"server-{len(list(directory.iterdir()))}.pem"
    file.write_bytes(chain[0].key_pem + b"".join(made.pem for made in chain))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of old versions, wanted here
        for name, value in options.items():
            setattr(context, name, value)
    return context


def tls(context: ssl.SSLContext) -> Behaviour:
    """Shake hands, and wait for the other side to hang up."""

    def serve(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secured:
            secured.recv(1)

    return serve


def reset(connection: socket.socket) -> None:
    """Read once, then cut the connection with a RST."""
    connection.recv(4096)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def saying(data: bytes, *, first: bool = False) -> Behaviour:
    """Answer (or greet) with some bytes, and hang up."""

    def serve(connection: socket.socket) -> None:
        if not first:
            connection.recv(4096)
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        connection.recv(4096)

    return serve


def endless(data: bytes) -> Behaviour:
    """Say the same for ever."""

    def serve(connection: socket.socket) -> None:
        while True:
            connection.sendall(data)

    return serve


def silent(connection: socket.socket) -> None:
    """Listen, and say nothing until the other side hangs up."""
    while connection.recv(4096):
        pass


def dripping(connection: socket.socket) -> None:
    """A byte of a handshake's beginning now and then: it never times out between two reads."""
    connection.recv(4096)
    hello = iter(b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc\x03\x03" + bytes(16000))
    pause = threading.Event()
    for byte in hello:
        connection.sendall(bytes([byte]))
        pause.wait(0.02)
