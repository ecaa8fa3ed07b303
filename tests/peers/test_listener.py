"""The listening end: it proves itself to who has the code, and to nobody else, whatever comes."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import socket
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biostudio_doctor.peers import listener, protocol
from biostudio_doctor.peers.client import knock
from biostudio_doctor.peers.listener import Listener
from tests.lab.timing import within

KEY = protocol.key(protocol.new_code())


class House:
    """A listener on a free port of 127.0.0.1, and what it has witnessed."""

    def __init__(self, **options: Any) -> None:
        sockets, unopened = listener.open_ports([0], ["127.0.0.1"])
        assert not unopened
        self.port: int = sockets[0].getsockname()[1]
        self.seen: Counter[str] = Counter()
        self.listener = Listener(
            sockets, KEY, role="bioproxy", witness=lambda *what: self._note(what[2]), **options
        )

    def _note(self, outcome: str) -> None:
        self.seen[outcome] += 1

    async def proves(self) -> bool:
        found = await knock("127.0.0.1", self.port, "redis", KEY, 5)
        return found.proof is not None and found.proof.listener.port == self.port

    async def hears(self, data: bytes) -> bytes:
        """Say something, and read until it hangs up."""
        loop = asyncio.get_running_loop()
        heard = b""
        with socket.socket() as channel, contextlib.suppress(ConnectionError):
            channel.setblocking(False)
            await loop.sock_connect(channel, ("127.0.0.1", self.port))
            await loop.sock_sendall(channel, data)
            while more := await asyncio.wait_for(loop.sock_recv(channel, 4096), 30):
                heard += more  # each by itself: what came before a RST counts
        return heard


@contextmanager
def house(**options: Any) -> Iterator[House]:
    made = House(**options)
    try:
        yield made
    finally:
        made.listener.close()


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(test())  # type: ignore[arg-type]


def test_the_code_is_proven_again_and_again() -> None:
    async def test() -> None:
        with house() as here:
            assert all([await here.proves() for _ in range(5)])
            assert here.seen == {"proved": 5}

    run(test)


# Whatever begins as a hello does is the garbage that comes furthest.
garbage = st.one_of(
    st.binary(min_size=1, max_size=400),
    st.binary(max_size=200).map(lambda data: protocol.HELLO + data),
    st.binary(min_size=104, max_size=104).map(lambda data: protocol.HELLO + data),
    st.sampled_from([b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00", b"PING\r\n", b"\0" * 128]),
    st.just(protocol.hello(bytes(10), 80)),  # with another code
    st.just(protocol.hello(KEY, 80) + b"x"),  # a right one, and more
    st.just(protocol.hello(KEY, 80)[:-1]),
)


@settings(max_examples=20)
@given(st.lists(garbage, min_size=1, max_size=20))
def test_without_the_code_not_one_byte_is_answered(sent: list[bytes]) -> None:
    async def test() -> None:
        with house(patience=0.3) as here:
            assert set(await asyncio.gather(*map(here.hears, sent))) == {b""}
            assert here.seen["proved"] == 0 and await here.proves()

    run(test)


def test_a_first_wrong_byte_ends_it_at_once_and_silence_after_a_while() -> None:
    async def test() -> None:
        with house(patience=60) as here, within(0.1):
            assert await here.hears(b"x") == b""
            assert here.seen == {"no code": 1}
        with house(patience=1.5) as here:
            started = time.monotonic()
            with within(1.5):
                assert await here.hears(protocol.HELLO) == b""  # a beginning, and nothing more
            assert time.monotonic() - started > 1.4
            assert here.seen == {"no code": 1}

    run(test)


def test_one_byte_now_and_then_does_not_buy_time() -> None:
    async def test() -> None:
        with house(patience=0.3) as here:
            _, writer = await asyncio.open_connection("127.0.0.1", here.port)
            with pytest.raises(ConnectionError):
                for byte in protocol.HELLO:
                    writer.write(bytes([byte]))
                    await writer.drain()
                    await asyncio.sleep(0.05)

    run(test)


def test_a_hello_is_answered_once() -> None:
    async def test() -> None:
        with house(patience=1) as here:
            greeting = protocol.hello(KEY, here.port)
            first = await here.hears(greeting)
            assert protocol.understood(KEY, greeting, first)
            assert await here.hears(greeting) == b""

    run(test)


def test_who_is_not_allowed_is_not_heard() -> None:
    async def test() -> None:
        with house(allowed=[ip_network("192.0.2.0/24"), ip_network("::/0")]) as here:
            assert not await here.proves() and here.seen == {"not allowed": 1}
        with house(allowed=[ip_network("127.0.0.0/8")]) as here:
            assert await here.proves()

    run(test)


async def opened(count: int, port: int) -> list[socket.socket]:
    """Connections that say nothing."""
    loop = asyncio.get_running_loop()
    sockets = []
    for number in range(count):
        channel = socket.socket()
        channel.setblocking(False)
        await loop.sock_connect(channel, ("127.0.0.1", port))
        sockets.append(channel)
        if number % 50 == 0:
            await asyncio.sleep(0)
    return sockets


def test_of_a_crowd_the_oldest_goes_first_and_others_stay() -> None:
    async def test() -> None:
        with house(connections=4, patience=60) as here:
            other = socket.socket()
            other.setblocking(False)
            other.bind(("127.0.0.2", 0))
            await asyncio.get_running_loop().sock_connect(other, ("127.0.0.1", here.port))
            crowd = await opened(8, here.port)
            assert await here.proves()
            with pytest.raises(BlockingIOError):
                other.recv(1)  # still open, although the oldest
            with pytest.raises(ConnectionResetError):
                crowd[0].recv(1)
            with pytest.raises(BlockingIOError):
                crowd[-1].recv(1)
            for channel in (other, *crowd):
                channel.close()

    run(test)


def test_nothing_is_left_of_it() -> None:
    async def test() -> None:
        with house() as here:
            silent = await opened(20, here.port)
            assert await here.proves()
            port = here.port
        for channel in silent:
            with pytest.raises(ConnectionResetError):
                channel.recv(1)
            channel.close()
        with socket.socket() as taken, socket.socket() as again:
            taken.bind(("127.0.0.1", port))  # at once, without SO_REUSEADDR: nothing lingers
            assert again.connect_ex(("127.0.0.1", port))

    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    run(test)
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) <= before


@pytest.mark.parametrize(
    ("limits", "raised", "room"),
    [((1024, 4096), None, 512), ((256, 4096), 640, 512), ((128, 128), 128, 64), ((20, 20), 20, 4),
     ((-1, -1), None, 512), ((256, -1), 640, 512)],
)  # fmt: skip
def test_the_room_keeps_below_the_limit_of_open_files(
    limits: tuple[int, int], raised: int | None, room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[int] = []
    monkeypatch.setattr(listener.resource, "getrlimit", lambda _: limits)
    monkeypatch.setattr(listener.resource, "setrlimit", lambda _, both: given.append(both[0]))
    assert listener.room() == room
    assert given == ([] if raised is None else [raised])


def test_what_cannot_be_opened_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        sockets, (problem,) = listener.open_ports([port, 0], ["127.0.0.1"])
    assert len(sockets) == 1 and (problem.port, problem.address) == (port, "127.0.0.1")
    sockets[0].close()
