"""The web process's door: a scrape is answered there as it would be inside."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from uvicorn.server import ServerState

from biostudio_doctor.daemon.web import door as door_module
from biostudio_doctor.daemon.web.door import Door
from biostudio_doctor.daemon.web.protocol import Guard
from tests.lab.timing import PATIENCE
from tests.lab.web_process import WebProcess, asked, sixty_checks

KEPT = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
LAST = KEPT.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")


def steady(answer: bytes) -> bytes:
    """What does not change from second to second."""
    head, _, body = answer.partition(b"\r\n\r\n")
    head = re.sub(rb"(?mi)^(date|content-length):.*\r\n", b"", head + b"\r\n")
    return head + body.partition(b"# HELP process_")[0]


def one_answer(sock: socket.socket) -> bytes:
    """The next answer of a connection that may be kept."""
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = sock.recv(1 << 16)
        assert chunk, data
        data += chunk
    length = re.search(rb"(?i)content-length: (\d+)", data)
    assert length
    whole = data.index(b"\r\n\r\n") + 4 + int(length[1])
    while len(data) < whole:
        chunk = sock.recv(1 << 16)
        assert chunk, len(data)
        data += chunk
    return data


@pytest.mark.parametrize(
    "request_",
    [
        LAST,
        LAST.replace(b"1.1", b"1.0"),
        LAST.replace(b"Host", b"Accept: application/openmetrics-text\r\nHost"),
        LAST.replace(b"GET", b"HEAD"),
        LAST.replace(b"GET", b"POST"),
        LAST.replace(b"localhost", b"evil.example"),
        LAST.replace(b"/metrics", b"/readyz"),
        LAST.replace(b"Host", b"Content-Length: 4\r\nHost") + b"body",
        LAST.replace(b"Host", b"Transfer-Encoding: chunked\r\nHost") + b"0\r\n\r\n",
        LAST.replace(b"Host", b"X: " + b"y" * 5000 + b"\r\nHost"),
        LAST.replace(b"close", b"close, Upgrade\r\nUpgrade: h2c"),
        LAST.replace(b"Host", b"Host: localhost\r\nHost"),
        LAST.replace(b"Host: localhost\r\n", b""),
        LAST.replace(b"Host: localhost\r\n", b"").replace(b"1.1", b"1.0"),
        LAST.replace(b"Host", b"Authorization: a\r\nAuthorization: b\r\nHost"),
        LAST.replace(b"Host", b"Accept: a/b\r\nAccept: application/openmetrics-text\r\nHost"),
        b"nonsense\r\n\r\n",
    ],
    ids=lambda request: request[:12].decode() + f" {len(request)}",
)
def test_the_first_request_is_answered_as_a_later_one(web: WebProcess, request_: bytes) -> None:
    first, later = asked(web.port, request_, PATIENCE), b""
    with socket.create_connection(("127.0.0.1", web.port), PATIENCE) as sock:
        sock.sendall(KEPT)
        assert one_answer(sock).startswith(b"HTTP/1.1 200 ")
        sock.sendall(request_)
        while chunk := sock.recv(1 << 16):
            later += chunk
    assert first.startswith(b"HTTP/1.1 ")
    assert steady(first) == steady(later)


@pytest.mark.parametrize(
    ("headers", "version", "status"),
    [
        (b"", b"1.1", b"400"),
        (b"", b"1.0", b"200"),
        (b"Host: localhost\r\nHost: localhost\r\n", b"1.1", b"400"),
        (b"Host: localhost\r\nAuthorization: a\r\nAuthorization: a\r\n", b"1.1", b"400"),
        (b"Host: localhost\r\nAccept: a/b\r\nAccept: text/plain\r\n", b"1.1", b"200"),
    ],
)
@pytest.mark.parametrize("path", [b"/metrics", b"/readyz"])
def test_nothing_is_left_open(
    web: WebProcess, headers: bytes, version: bytes, status: bytes, path: bytes
) -> None:
    """Whom, and as whom, a request asks (RFC 9112, 3.2; RFC 9110, 5.3)."""
    head = b"GET %b HTTP/%b\r\n%bConnection: close\r\n\r\n" % (path, version, headers)
    assert asked(web.port, head).startswith(b"HTTP/1.1 %b " % status)


def test_several_lines_of_a_list_are_one(web: WebProcess) -> None:
    wanted = b"Accept: application/openmetrics-text\r\nAccept: text/plain;q=0.1\r\nHost"
    for lines in (wanted, b"\r\n".join(reversed(wanted.split(b"\r\n")[:2])) + b"\r\nHost"):
        assert b"\n# EOF\n" in asked(web.port, LAST.replace(b"Host", lines))


def test_all_that_is_said_is_heard(web: WebProcess) -> None:
    """Several requests at once, half of one, and one in pieces."""
    ready = LAST.replace(b"/metrics", b"/readyz")
    assert asked(web.port, KEPT + KEPT + LAST).count(b"HTTP/1.1 200 ") == 3
    assert asked(web.port, KEPT + ready).count(b"HTTP/1.1 200 ") == 2
    with socket.create_connection(("127.0.0.1", web.port), PATIENCE) as sock:
        for part in (KEPT + KEPT[:20], KEPT[20:]):
            sock.sendall(part)
            assert one_answer(sock).startswith(b"HTTP/1.1 200 ")
    with socket.create_connection(("127.0.0.1", web.port), PATIENCE) as sock:
        for byte in KEPT:
            sock.send(bytes([byte]))
            time.sleep(0.005)
        assert one_answer(sock).startswith(b"HTTP/1.1 200 ")


def test_who_stays_has_the_time_of_who_is_inside() -> None:
    patched = "import biostudio_doctor.daemon.web.protocol as p; p.HEAD_TIMEOUT = 1\n"
    with WebProcess(before=patched) as web:
        web.show(sixty_checks())
        web.wait_for()
        with socket.create_connection(("127.0.0.1", web.port), PATIENCE) as sock:
            for pause in (4.0, 0.0):
                sock.sendall(KEPT)
                answer = one_answer(sock)
                assert answer.startswith(b"HTTP/1.1 200 ") and b"connection: close" not in answer
                time.sleep(pause)


@pytest.mark.parametrize("request_", [KEPT, LAST])
def test_a_long_answer_arrives_as_a_whole(request_: bytes) -> None:
    """Of which the kernel takes a part only, at the door."""
    patched = "import biostudio_doctor.daemon.web.server as s; s._SEND_BUFFER = 4096\n"
    with WebProcess(before=patched) as web:
        web.show(sixty_checks())
        whole = web.wait_for().content.partition(b"# HELP process_")[0]
        with socket.socket() as sock:
            sock.settimeout(PATIENCE)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.connect(("127.0.0.1", web.port))
            sock.sendall(request_)
            time.sleep(0.3)
            answer = one_answer(sock)
            assert answer.partition(b"\r\n\r\n")[2].startswith(whole)
            if request_ is KEPT:
                sock.sendall(LAST)
                one_answer(sock)
            assert sock.recv(1) == b""


def test_a_crowd_that_wants_to_stay_is_answered(web: WebProcess) -> None:
    """Some may be asked to come again; all others may ask again."""
    with contextlib.ExitStack() as stack:
        address = ("127.0.0.1", web.port)
        crowd = [
            stack.enter_context(socket.create_connection(address, PATIENCE)) for _ in range(300)
        ]
        for sock in crowd:
            sock.sendall(KEPT)
        answers = [one_answer(sock) for sock in crowd]
        assert all(answer.startswith(b"HTTP/1.1 200 ") for answer in answers)
        for sock, answer in zip(crowd, answers, strict=True):
            if b"connection: close\r\n" in answer:
                assert sock.recv(1) == b""
            else:
                sock.sendall(KEPT)
                assert one_answer(sock).startswith(b"HTTP/1.1 200 ")


def test_who_finds_no_seat_is_asked_to_come_again() -> None:
    with WebProcess(before="import biostudio_doctor.daemon.web.door as d; d._SEATS = 0\n") as web:
        web.show(sixty_checks())
        web.wait_for()
        assert b"connection: close\r\n" in asked(web.port, KEPT)


@contextlib.contextmanager
def door_of(ready: Any, make: Callable[[], Any]) -> Iterator[tuple[Door, tuple[str, int]]]:
    """A door that is still closed, and where it is; `make` is what becomes of those let in."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as sock:
        sock.setblocking(False)
        yield Door(sock, ready, Guard(64), make, ServerState()), sock.getsockname()


def test_a_crowd_is_met_in_turns_and_in_order() -> None:
    asked: list[bytes] = []

    def ready(url: bytes, headers: list[tuple[bytes, bytes]]) -> Any:
        asked.append(dict(headers)[b"x"])
        return [], b"body"

    async def crowded() -> None:
        with door_of(ready, SimpleNamespace) as (door, place):
            callers = [socket.create_connection(place, PATIENCE) for _ in range(40)]
            for number, caller in enumerate(callers):
                caller.sendall(LAST.replace(b"Host", b"X: %d\r\nHost" % number))
            door.open()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert 0 < len(asked) < len(callers), "others have their turn meanwhile"
            async with asyncio.timeout(PATIENCE):
                while len(asked) < len(callers):
                    await asyncio.sleep(0.01)
            door.close()
            for caller in callers:
                assert caller.recv(1 << 16).endswith(b"body")
                caller.close()

    asyncio.run(crowded())
    assert asked == [b"%d" % number for number in range(40)]


def test_nothing_of_an_answer_remains() -> None:
    """Answers that the garbage collector had to find would be many megabytes until it runs."""

    async def answered() -> None:
        with door_of(lambda *_: ([], b"body"), Inside) as (door, place):
            door.open()
            for request in (LAST, KEPT):
                with socket.create_connection(place, PATIENCE) as caller:
                    caller.sendall(request)
                    await asyncio.to_thread(caller.recv, 1 << 16)
            door.close()

    gc.disable()
    try:
        asyncio.run(answered())
        assert not [each for each in gc.get_objects() if isinstance(each, door_module._Words)]
    finally:
        gc.enable()


class Inside(asyncio.Protocol):
    """What becomes of those who are let in: they hear the rest of their answer."""

    owed = (b"", False)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(self.owed[0])
        transport.close()


def test_what_began_without_tls_goes_on_without(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though web-config.yml changes meanwhile; and those who read slowly take nobody's seat."""
    monkeypatch.setattr(door_module, "_SEATS", 1)
    body = b"x" * (32 << 20)  # more than the kernel takes

    async def changed() -> None:
        with door_of(lambda *_: ([], body), Inside) as (door, place):
            callers = [socket.create_connection(place, PATIENCE) for _ in range(3)]
            for caller in callers:
                caller.sendall(KEPT)
            door.open()
            while not door._tasks:
                await asyncio.sleep(0)
            assert not door.is_full()
            door.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            for caller in callers:
                assert (await asyncio.to_thread(one_answer, caller)).endswith(body)
                caller.close()
            door.close()

    asyncio.run(changed())


def test_who_waits_to_be_let_in_is_not_waited_for_at_the_end() -> None:
    async def ended() -> None:
        with door_of(lambda *_: ([], b"body"), Inside) as (door, place):
            callers = [socket.create_connection(place, PATIENCE) for _ in range(9)]
            for caller in callers:
                caller.sendall(KEPT)
            door.open()
            while not door._seats:
                await asyncio.sleep(0)
            door.close()
            await asyncio.sleep(0)
            assert not door._tasks
            for caller in callers:
                assert one_answer(caller).endswith(b"body") and caller.recv(1) == b""
                caller.close()

    asyncio.run(ended())


def test_where_no_descriptor_is_left_they_wait() -> None:
    broken = """
import errno, socket
real, failures = socket.socket.accept, [1, 2]
def accept(self):
    if failures:
        failures.pop()
        raise OSError(errno.EMFILE, "Too many open files")
    return real(self)
socket.socket.accept = accept
"""
    with WebProcess(before=broken) as web:
        assert httpx.get(f"{web.url}/healthz", timeout=PATIENCE).status_code == 200
        assert "nobody can come in: Too many open files" in web.log
