"""The web process's places: whoever takes them and keeps it waiting, others still come in."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from biostudio_doctor.daemon.web.protocol import Guard, GuardedProtocol
from tests.daemon.test_web_door import KEPT, LAST, one_answer
from tests.daemon.test_web_security import Tls, written
from tests.lab.scraping import descriptors
from tests.lab.timing import PATIENCE, within
from tests.lab.web_process import WebProcess, sixty_checks

#: So that who keeps it waiting would do so for longer than any test waits.
FOR_EVER = "import biostudio_doctor.daemon.web.protocol as p; p.HEAD_TIMEOUT = 600\n"
FEW = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (120, 120))\n"


@pytest.fixture
def tls(tmp_path: Path) -> Tls:
    return Tls(tmp_path)


def hello(client: ssl.SSLContext) -> bytes:
    """What a TLS client says first."""
    heard, said = ssl.MemoryBIO(), ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        client.wrap_bio(heard, said, server_hostname="127.0.0.1").do_handshake()
    return said.read()


def shake_hands(sock: socket.socket, client: ssl.SSLContext) -> ssl.SSLSocket:
    return client.wrap_socket(sock, server_hostname="127.0.0.1")


def scrape(port: int, client: ssl.SSLContext | None) -> None:
    """Anew, within a second."""
    with (
        within(1),
        socket.create_connection(("127.0.0.1", port), PATIENCE) as sock,
        shake_hands(sock, client) if client else sock as speaking,
    ):
        speaking.sendall(LAST)
        assert one_answer(speaking).startswith(b"HTTP/1.1 200 ")


def says_nothing(sock: socket.socket, client: ssl.SSLContext) -> None:
    pass


def says_half(sock: socket.socket, client: ssl.SSLContext) -> None:
    sock.sendall(hello(client)[:100])


def never_ends_the_handshake(sock: socket.socket, client: ssl.SSLContext) -> None:
    sock.sendall(hello(client))


def says_nothing_after_it(sock: socket.socket, client: ssl.SSLContext) -> socket.socket:
    return shake_hands(sock, client)


def stays(sock: socket.socket, client: ssl.SSLContext) -> socket.socket:
    speaking = shake_hands(sock, client)
    speaking.sendall(KEPT)
    one_answer(speaking)
    return speaking


def does_not_go(sock: socket.socket, client: ssl.SSLContext) -> socket.socket:
    speaking = shake_hands(sock, client)
    speaking.sendall(LAST)
    one_answer(speaking)
    return speaking


@pytest.mark.parametrize(
    "annoys",
    [
        says_nothing, says_half, never_ends_the_handshake, says_nothing_after_it, stays,
        does_not_go,
    ],
)  # fmt: skip
def test_who_comes_by_tls_finds_a_place(
    tls: Tls, tmp_path: Path, annoys: Callable[[socket.socket, ssl.SSLContext], Any]
) -> None:
    """Beside 300 for whom there are no descriptors."""
    path, client = written(tmp_path, tls_server_config=tls.settings), tls.trusting()
    with (
        WebProcess(before=FEW + FOR_EVER, web_config=path) as web,
        contextlib.ExitStack() as stack,
    ):
        web.show(sixty_checks())
        for number in range(300):
            sock = socket.create_connection(("127.0.0.1", web.port), PATIENCE)
            stack.callback(sock.close)
            with contextlib.suppress(ConnectionError):
                stack.callback((annoys(sock, client) or sock).close)
            if number % 100 == 99:
                scrape(web.port, client)
        time.sleep(1.5)  # until the kernel shows those who say nothing
        for _ in range(5):
            scrape(web.port, client)
        assert web.log == ""


def test_who_trickles_is_heard_out_and_holds_nobody_up(tls: Tls, tmp_path: Path) -> None:
    """A handshake's beginning, a byte at a time, beside a hundred who never come to its end."""
    path, client = written(tmp_path, tls_server_config=tls.settings), tls.trusting()
    with (
        WebProcess(before=FOR_EVER, web_config=path) as web,
        contextlib.ExitStack() as stack,
    ):
        web.show(sixty_checks())
        address = ("127.0.0.1", web.port)
        one, *others = (
            stack.enter_context(socket.create_connection(address, PATIENCE)) for _ in range(101)
        )
        heard, said = ssl.MemoryBIO(), ssl.MemoryBIO()
        speaker = client.wrap_bio(heard, said, server_hostname="127.0.0.1")
        with contextlib.suppress(ssl.SSLWantReadError):
            speaker.do_handshake()
        first = said.read()
        for number in range(len(first)):
            one.sendall(first[number : number + 1])
            others[number % 100].sendall(first[:1])
            if number % 100 == 0:
                scrape(web.port, client)
        heard.write(one.recv(1 << 16))
        with contextlib.suppress(ssl.SSLWantReadError):
            speaker.do_handshake()
        assert speaker.version()


@pytest.mark.parametrize("said", [b"GET / HTTP/1.1\r\n\r\n", b"\0" * 100, b"\x16\x03", b""])
def test_who_speaks_no_tls_is_told_at_once(tls: Tls, tmp_path: Path, said: bytes) -> None:
    path = written(tmp_path, tls_server_config=tls.settings)
    with WebProcess(before=FOR_EVER, web_config=path) as web, within(1):
        sock = socket.create_connection(("127.0.0.1", web.port), PATIENCE)
        with sock, contextlib.suppress(ConnectionError):
            sock.sendall(said)
            if said in (b"", b"\x16\x03"):  # which could go on
                sock.shutdown(socket.SHUT_WR)
            while sock.recv(100):
                pass
        assert web.log == ""


def test_who_begins_no_handshake_costs_no_memory(tls: Tls, tmp_path: Path) -> None:
    """Inside, each would take 0.3 MB."""
    path, client = written(tmp_path, tls_server_config=tls.settings), tls.trusting()
    with (
        descriptors(),
        WebProcess(before=FOR_EVER, web_config=path) as web,
        contextlib.ExitStack() as stack,
    ):
        web.show(sixty_checks())
        scrape(web.port, client)
        before = web.resident
        half = hello(client)[:100]
        for _ in range(500):
            sock = stack.enter_context(socket.create_connection(("127.0.0.1", web.port), PATIENCE))
            sock.sendall(half)
        scrape(web.port, client)
        assert web.resident - before < 20e6


@pytest.mark.parametrize("said", [b"", b"G", KEPT[:-2], KEPT])
def test_who_comes_without_tls_finds_a_place(said: bytes) -> None:
    with WebProcess(before=FEW + FOR_EVER) as web, contextlib.ExitStack() as stack:
        web.show(sixty_checks())
        web.wait_for()
        for _ in range(300):
            sock = stack.enter_context(socket.create_connection(("127.0.0.1", web.port), PATIENCE))
            sock.sendall(said)
        time.sleep(1.5)  # until the kernel shows those who say nothing
        for _ in range(5):
            scrape(web.port, None)
        assert web.log == ""


def test_who_says_nothing_is_ended_at_sigterm() -> None:
    with (
        WebProcess(before=FOR_EVER) as web,
        socket.create_connection(("127.0.0.1", web.port), PATIENCE) as sock,
    ):
        time.sleep(1.5)
        web.process.terminate()
        assert sock.recv(1) == b""
        assert web.process.wait(PATIENCE) == 0


def test_the_largest_crowd_makes_room() -> None:
    class Peer:
        def __init__(self, name: str) -> None:
            self.name = name

        def end(self) -> None:
            ended.append(self.name)

    ended: list[str] = []
    guard = Guard(5)
    silent = [Peer(f"silent {number}") for number in range(3)]
    for one in silent:
        guard.admit(one, silent=True)  # type: ignore[arg-type]
    for name in ("asks", "asks too", "comes", "comes too"):
        guard.admit(Peer(name))  # type: ignore[arg-type]
    assert ended == ["silent 0", "asks"]
    guard.admit(silent[1])  # type: ignore[arg-type]
    assert ended == ["silent 0", "asks"], "it was here already"


class Wire(asyncio.Transport):
    """A connection of which the test hears what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        return False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass


def test_what_is_owed_is_given_before_anything_else_is_heard() -> None:
    """Whenever the event loop lets the door know that it has connected the peer."""

    async def owing() -> list[bytes]:
        protocol = GuardedProtocol(
            uvicorn.Config(lambda scope: None, log_config=None),
            ServerState(),
            {},
            guard=Guard(8),
            ready=lambda *_: ([], b"the second"),
            allowed_sans=(),
        )
        protocol.owed = (b"the first", True)
        wire = Wire()
        protocol.connection_made(wire)
        protocol.data_received(KEPT)
        protocol.connection_lost(OSError())
        return wire.written

    first, second = asyncio.run(owing())
    assert first == b"the first" and second.endswith(b"the second")
