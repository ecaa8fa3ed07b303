"""Connections lent to libraries that set no bounds: what a peer costs has an end all the same.

The clients here are those that borrow, MQTT (over TCP and WebSocket) and beanstalkd.
"""

import asyncio
import secrets
import socket
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import pytest

from biostudio_doctor.probes.direct import Dialler
from biostudio_doctor.services import Answer, Login, State, Target, beanstalk, mqtt
from biostudio_doctor.services.loan import Loan
from tests.lab.peers import Behaviour, Peer, endless, saying, silent
from tests.lab.timing import wait_until, within

Ask = Callable[[Target], Coroutine[Any, Any, Answer]]
CLIENTS: dict[str, Ask] = {
    "mqtt-tcp": mqtt.ask,
    "mqtt-websocket": partial(mqtt.ask, transport="websockets"),
    "job": beanstalk.ask,
}
EVERY_CLIENT = pytest.mark.parametrize("ask", CLIENTS.values(), ids=CLIENTS)
UPGRADED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"


def answer_of(ask: Ask, port: int, **more: Any) -> Answer:
    """What it says, in time, and without a thread that goes on."""
    target = Target(host="127.0.0.1", port=port, **{"timeout": 1.5, **more})
    with within(target.timeout):
        said = asyncio.run(ask(target))
    wait_until(
        lambda: not any("AnyIO" in thread.name for thread in threading.enumerate()),
        "the end of its threads",
    )
    return said


def dripping(data: bytes) -> Behaviour:
    """A byte now and then: it never times out between two reads."""

    def serve(connection: socket.socket) -> None:
        connection.recv(4096)
        while True:
            for byte in data:
                connection.sendall(bytes([byte]))
                time.sleep(0.05)

    return serve


HOSTILE: dict[str, Behaviour] = {
    "half an upgrade, dripping": dripping(UPGRADED),
    "a CONNACK without end": endless(b"\x20\xff\xff\xff\x7f" + bytes(8000)),
    "an upgrade without end": endless(UPGRADED),
    "more than was asked for": endless(b"OK 99999999999\r\n---\n"),
    "a length that is none": saying(b"OK many\r\n"),
    "a length below nothing": saying(b"OK -7\r\n---\n"),
    "a length beyond memory": saying(b"OK 9999999999999999999999\r\nx"),
    "no such statistics": saying(b"OK 9\r\n---\na: b\n\r\n"),
    "statistics cut short": saying(b"OK 900\r\n---\ncurrent-connections: 1\n"),
    "a header that is no UTF-8": saying(UPGRADED + b"Sec-WebSocket-Accept: \xff\xfe\r\n\r\n"),
    "a header without a value": saying(UPGRADED + b"Sec-WebSocket-Accept\r\n\r\n"),
    "a frame of a broken length": saying(b"\x20\xff\xff\xff\xff\xff"),
    "a SUBACK before its time": saying(b"\x90\x03\x00\x01\x00"),
    "zeros": endless(bytes(4096)),
}
ODD: tuple[State, ...] = ("foreign", "silent", "closed", "unwell")


@EVERY_CLIENT
@pytest.mark.parametrize("behaviour", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_peer_costs_no_more_than_the_time(behaviour: Behaviour, ask: Ask) -> None:
    with Peer(behaviour) as peer:
        answer = answer_of(ask, peer.port)
    assert answer.state in ODD, answer
    assert len(answer.detail) < 400 and len(answer.identity) < 400


def test_what_comes_is_counted() -> None:
    """A library that reads for ever is given a bounded part of what a peer says for ever."""
    read = []

    def use(end: socket.socket) -> None:
        while data := end.recv(65536):
            read.append(len(data))

    async def lend(port: int) -> bytes:
        loan = Loan()
        target = Target(host="127.0.0.1", port=port)
        await loan.lend(Dialler("127.0.0.1", port, timeout=2), target, use)
        return loan.heard

    with Peer(endless(b"x" * 5000)) as peer:
        heard = asyncio.run(lend(peer.port))
    assert heard == b"x" * 512
    assert 256 << 10 <= sum(read) < 384 << 10


def test_a_library_that_blocks_is_hung_up_when_time_is_up() -> None:
    ended = threading.Event()

    def use(end: socket.socket) -> None:
        assert end.recv(1) == b""
        ended.set()

    async def lend(port: int) -> None:
        async with asyncio.timeout(1):
            target = Target(host="127.0.0.1", port=port)
            await Loan().lend(Dialler("127.0.0.1", port, timeout=2), target, use)

    with Peer(silent) as peer, pytest.raises(TimeoutError):
        asyncio.run(lend(peer.port))
    assert ended.wait(20)


def test_what_is_no_broker_is_not_waited_for() -> None:
    """It says what paho takes for the beginning of a long packet, and stays."""

    def serve(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        connection.recv(4096)

    with Peer(serve) as peer:
        answer = answer_of(mqtt.ask, peer.port, timeout=4.5)
    assert answer.state == "foreign"
    assert answer.seconds < 4.5  # of which 1.5 s are for finding out what it is


def test_a_broker_is_said_goodbye() -> None:
    """CONNECT, SUBSCRIBE and DISCONNECT arrive, in this order, and nothing is published."""
    kinds: list[int] = []

    def broker(connection: socket.socket) -> None:
        while data := connection.recv(4096):
            while data:
                kinds.append(data[0] >> 4)
                data = data[2 + data[1] :]  # short packets all
            if kinds == [1]:
                connection.sendall(b"\x20\x02\x00\x00")

    with Peer(broker) as peer:
        answer = answer_of(mqtt.ask, peer.port)
    assert (answer.state, answer.version, answer.anonymous) == ("healthy", "", True)
    assert kinds == [1, 8, 14]


@pytest.mark.parametrize(
    ("code", "state"),
    [(1, "unwell"), (2, "unwell"), (3, "unwell"), (4, "password-needed"), (5, "password-needed")],
)
def test_how_a_broker_refuses(code: int, state: State) -> None:
    """A made broker: mosquitto cannot be brought to say most of these."""
    with Peer(saying(bytes([0x20, 2, 0, code]))) as peer:
        answer = answer_of(mqtt.ask, peer.port)
    assert (answer.state, answer.identity) == (state, "an MQTT broker")
    assert answer.detail or state == "password-needed"


def test_a_busy_queue_is_unwell() -> None:
    with Peer(saying(b"OUT_OF_MEMORY\r\n")) as peer:
        answer = answer_of(beanstalk.ask, peer.port)
    assert (answer.state, answer.detail) == ("unwell", "by its own words it has run out of memory")


def test_no_password_is_sent_where_tls_is_missing() -> None:
    password, heard = secrets.token_hex(8), []

    def listen(connection: socket.socket) -> None:
        heard.append(connection.recv(4096))
        connection.sendall(b"\x20\x02\x00\x05")

    with Peer(listen) as peer:
        login = Login("lab", password)
        for transport in ("tcp", "websockets"):
            ask = partial(mqtt.ask, transport=transport)
            answer = answer_of(ask, peer.port, tls=True, login=login)  # type: ignore[arg-type]
            assert answer.state in ("plain", "foreign")
            assert password not in repr(answer)
    assert heard and not any(password.encode() in words for words in heard)


def test_a_peer_that_repeats_the_password_is_not_quoted() -> None:
    password = secrets.token_hex(8)

    def refuse_and_repeat(connection: socket.socket) -> None:
        said = connection.recv(4096)
        repeats = password.encode() in said
        connection.sendall(said[2:] * 3 if repeats else b"\x20\x02\x00\x05")
        repeated.append(repeats)

    repeated: list[bool] = []
    with Peer(refuse_and_repeat) as peer:
        answer = answer_of(mqtt.ask, peer.port, login=Login("lab", password))
    assert True in repeated and password not in repr(answer)


@pytest.mark.parametrize(
    ("name", "library"), [("mqtt-tcp", "paho"), ("mqtt-websocket", "paho"), ("job", "greenstalk")]
)
def test_a_library_that_is_missing_is_named(
    name: str, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in [module for module in sys.modules if module.partition(".")[0] == library]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, library, None)
    with Peer(silent) as peer:
        answer = answer_of(CLIENTS[name], peer.port)
    assert (answer.state, answer.library) == ("unasked", library)
