"""Memcached: its version and statistics, in its text protocol (memcached's doc/protocol.txt).

With SASL it speaks its binary protocol only: who is silent to the one is asked once in the other.
"""

import socket
from typing import Any

import anyio

from biostudio_doctor.probes.direct import Dialler
from biostudio_doctor.probes.failures import one_line
from biostudio_doctor.services import Answer, State, Target, connection
from biostudio_doctor.services.connection import ForeignError
from biostudio_doctor.services.loan import Loan
from biostudio_doctor.services.streams import exchange

_VERSION = b"version\r\n"
#: A request of the binary protocol: magic 0x80, opcode 0x0b (version), nothing else.
_BINARY_VERSION = b"\x80\x0b" + bytes(22)
_BINARY_REPLY = b"\x81\x0b"
_AUTHENTICATION_ERROR = 0x20  # status of a binary reply
_SHARE = 0.2  # of the timeout: what either protocol is waited for

#: What is told of its statistics, by their names there.
_COUNTS = {
    "curr_connections": "connections",
    "max_connections": "max_connections",
    "limit_maxbytes": "limit",  # bytes, as the next
    "bytes": "used",
    "evictions": "evictions",
    "uptime": "uptime",  # seconds
}


async def ask(target: Target) -> Answer:
    """Ask anonymously, which is all that most can be asked."""
    return await connection.ask(target, "memcached", _talk)


async def _talk(dial: Dialler, target: Target) -> Answer:
    reply = b""
    with anyio.move_on_after(target.timeout * _SHARE):
        reply = await exchange(dial, _VERSION, limit=512, enough=_is_line)
    line = reply.partition(b"\r\n")[0]
    if line.startswith(b"VERSION "):
        version = one_line(line[8:].decode("ascii", "replace"), 20)
        return await _healthy(dial, target, version)
    if line == b"CLIENT_ERROR unauthenticated":
        return _answer(target, "password-needed", anonymous=False)
    if line.startswith(b"ERROR Too many open connections"):
        return _answer(target, "unwell", detail="it has too many open connections")
    if reply:
        raise ForeignError
    return await _in_binary(dial, target)


async def _healthy(dial: Dialler, target: Target, version: str) -> Answer:
    try:
        told = await Loan().lend(dial, target, _statistics)
    except ImportError:  # it told its version, which is what was asked
        told = {}
    return _answer(target, "healthy", version=version, anonymous=True, told=told)


async def _in_binary(dial: Dialler, target: Target) -> Answer:
    reply = b""
    with anyio.fail_after(target.timeout * _SHARE):
        reply = await exchange(
            dial, _BINARY_VERSION, limit=512, enough=lambda heard: len(heard) >= 24
        )
    if not reply:
        raise EOFError
    if reply[:2] != _BINARY_REPLY or len(reply) < 24:
        raise ForeignError
    if int.from_bytes(reply[6:8], "big") == _AUTHENTICATION_ERROR:
        return _answer(target, "password-needed", anonymous=False)
    version = one_line(reply[24:].decode("ascii", "replace"), 20)
    return _answer(target, "healthy", version=version, anonymous=True)


def _answer(target: Target, state: State, **more: Any) -> Answer:
    return Answer(host=target.host, port=target.port, state=state, identity="memcached", **more)


def _is_line(heard: bytes) -> bool:
    return b"\n" in heard


def _statistics(end: socket.socket) -> dict[str, Any]:
    from pymemcache.client.base import Client
    from pymemcache.exceptions import MemcacheError

    class Lent(Client):  # type: ignore[misc]
        def _connect(self) -> None:
            self.sock = end

    try:
        said = Lent(("lent", 0)).stats()
    except (MemcacheError, OSError, ValueError, KeyError, IndexError):
        return {}  # the version was told, so it is alive
    found = {key.decode("ascii", "replace"): value for key, value in said.items()}
    return {name: found[key] for key, name in _COUNTS.items() if isinstance(found.get(key), int)}
