"""TCP: which addresses of a host accept a connection, each measured by itself."""

import asyncio
import socket
import time
from collections.abc import Sequence
from typing import Any

import anyio
from anyio.abc import ByteStream

from biostudio_doctor.probes.failures import failure
from biostudio_doctor.probes.results import Attempt
from biostudio_doctor.probes.side_by_side import side_by_side

SMALL_SEGMENT = 536  # bytes: the least that every path carries (RFC 9293, 3.7.1)


async def probe(addresses: Sequence[str], port: int, *, timeout: float) -> tuple[Attempt, ...]:
    """Connect to every address at once, IPv4 and IPv6 side by side, and hang up again."""
    return await side_by_side(lambda address: _attempt(address, port, timeout), addresses)


async def connect(address: str, port: int, *, timeout: float) -> ByteStream:
    """A connection to an IP address.

    Raises:
        OSError: as connect(2); TimeoutError after `timeout` seconds.
    """
    with anyio.fail_after(timeout):
        return await anyio.connect_tcp(address, port)


async def connect_in_small_segments(address: str, port: int, *, timeout: float) -> ByteStream:
    """A connection on which neither side sends segments of more than SMALL_SEGMENT bytes.

    Raises:
        OSError: as `connect`.
    """
    family, where = socket_address(address, port)
    channel = socket.socket(family, socket.SOCK_STREAM)
    try:
        channel.setblocking(False)
        channel.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SMALL_SEGMENT)  # tcp(7)
        with anyio.fail_after(timeout):
            await asyncio.get_running_loop().sock_connect(channel, where)
    except BaseException:
        channel.close()
        raise
    return _Stream(channel)


class _Stream(ByteStream):
    """A socket of our own as anyio has them: connect_tcp() takes no options."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel

    async def receive(self, max_bytes: int = 65536) -> bytes:
        data = await asyncio.get_running_loop().sock_recv(self._channel, max_bytes)
        if not data:
            raise anyio.EndOfStream
        return data

    async def send(self, item: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self._channel, item)

    async def send_eof(self) -> None:
        self._channel.shutdown(socket.SHUT_WR)

    async def aclose(self) -> None:
        self._channel.close()


def quickest(attempts: Sequence[Attempt]) -> Attempt | None:
    """The attempt that connected first, or None if none did."""
    connected = [attempt for attempt in attempts if not attempt.failure]
    return min(connected, key=lambda attempt: attempt.seconds, default=None)


def socket_address(address: str, port: int) -> tuple[socket.AddressFamily, tuple[Any, ...]]:
    """Family and socket address of an IP address, its zone included; no name server is asked.

    Raises:
        OSError: if it is none.
    """
    flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    family, *_, where = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM, flags=flags)[0]
    return family, where


async def _attempt(address: str, port: int, timeout: float) -> Attempt:
    """Connect by a bare socket: a stream, which is not wanted here, takes twice as long."""
    started = time.perf_counter()
    problem = None
    source = ""
    try:
        family, where = socket_address(address, port)
        with socket.socket(family, socket.SOCK_STREAM) as channel:
            channel.setblocking(False)
            with anyio.fail_after(timeout):
                await asyncio.get_running_loop().sock_connect(channel, where)
            source = str(channel.getsockname()[0])
    except (OSError, ValueError) as error:
        problem = failure("connect", error)
    return Attempt(
        address=address,
        family="IPv6" if ":" in address else "IPv4",
        seconds=round(time.perf_counter() - started, 6),
        source=source or source_address(address, port),
        failure=problem,
    )


def source_address(address: str, port: int) -> str:
    """Our address that the kernel would send from, '' without a route; nothing is sent for it."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probing:  # connect(2) only looks it up
            probing.connect((address, port))
            return str(probing.getsockname()[0])
    except OSError:
        return ""
