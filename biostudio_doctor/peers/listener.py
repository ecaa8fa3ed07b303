"""The listening end: many ports, one process, and nothing is said to who has not the code.

Whatever comes, it is bounded: the connections that are open at once (of a crowd from one network,
the oldest goes first, so that it does not crowd others out), the time and the bytes of each, and
the number of proofs in all. Connections are cut with a RST and never closed first in good order, so
that none of them lingers on a port (TIME_WAIT) when a service is to take it.
"""

import asyncio
import contextlib
import resource
import socket
import struct
from collections.abc import Callable, Iterable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any, Literal

from msgspec import Struct

from biostudio_doctor.peers import protocol
from biostudio_doctor.peers.facts import Place
from biostudio_doctor.probes.tcp import socket_address

Network = IPv4Network | IPv6Network
Outcome = Literal["proved", "wrong code", "no code", "not allowed"]
Witness = Callable[[str, int, Outcome], None]  # address, port, outcome

CONNECTIONS = 512  # at once, and fewer where fewer files may be open
PATIENCE = 5.0  # seconds for a hello
_PROOFS = 100_000  # in all: a nonce is remembered, lest it be used again
_BACKLOG = 1024  # connections that the kernel keeps for us meanwhile
_ACCEPTED_AT_ONCE = 16
_SPARE_FILES = 64  # for all but connections
_CUT = struct.pack("ii", 1, 0)  # SO_LINGER: close(2) sends a RST


class Unopened(Struct, frozen=True):
    """A port that cannot be listened on."""

    port: int
    address: str
    error: int  # errno


def open_ports(
    ports: Iterable[int], addresses: Sequence[str]
) -> tuple[list[socket.socket], list[Unopened]]:
    """Listen on each port of each address; what cannot be had is told."""
    opened: list[socket.socket] = []
    unopened: list[Unopened] = []
    for port in ports:
        for address in addresses:
            try:
                opened.append(_listen(address, port))
            except OSError as error:
                unopened.append(Unopened(port, address, error.errno or 0))
    return opened, unopened


def _listen(address: str, port: int) -> socket.socket:
    family, where = socket_address(address, port)
    channel = socket.create_server(where, family=family, backlog=_BACKLOG)  # of IPv6 only, if so
    channel.setblocking(False)
    return channel


def room() -> int:
    """How many connections may be open at once, under the limit of open files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS + 2 * _SPARE_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return CONNECTIONS if soft < 0 else max(4, min(CONNECTIONS, soft - _SPARE_FILES))


class Connection:
    """One that has not proved anything yet."""

    def __init__(self, channel: socket.socket, address: str, port: int) -> None:
        self.channel = channel
        self.address = address
        self.port = port  # of ours
        self.network = _network(address)
        self.heard = b""
        self.proved = False
        self.timer: asyncio.TimerHandle | None = None


class Listener:
    """Answers on open sockets until `close`. It is made, and works, in a running event loop."""

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        secret: bytes,
        *,
        role: str,
        witness: Witness,
        allowed: Sequence[Network] = (),
        connections: int = CONNECTIONS,
        patience: float = PATIENCE,
    ) -> None:
        self._sockets = sockets
        self._secret = secret
        self._role = role
        self._witness = witness
        self._allowed = allowed
        self._limit = connections
        self._patience = patience
        self._nonces: set[bytes] = set()
        self._crowds: dict[str, dict[Connection, None]] = {}  # by network, oldest first
        self._open: set[Connection] = set()
        self._loop = asyncio.get_running_loop()
        for channel in sockets:
            self._loop.add_reader(channel, self._accept, channel)

    def close(self) -> None:
        """End all connections, and listen no longer."""
        for channel in self._sockets:
            self._loop.remove_reader(channel)
            channel.close()
        for connection in list(self._open):
            self._end(connection)

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(_ACCEPTED_AT_ONCE):
            try:
                channel, peer = listening.accept()
            except BlockingIOError:
                return
            except OSError:  # it is gone already, or no more files may be open
                self._evict()
                return
            self._welcome(channel, peer, listening.getsockname()[1])

    def _welcome(self, channel: socket.socket, peer: Any, port: int) -> None:
        channel.setblocking(False)
        channel.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _CUT)
        address = str(peer[0]).partition("%")[0]
        if self._allowed and not any(ip_address(address) in network for network in self._allowed):
            channel.close()
            self._witness(address, port, "not allowed")
            return
        if len(self._open) >= self._limit:
            self._evict()
        connection = Connection(channel, address, port)
        self._open.add(connection)
        self._crowds.setdefault(connection.network, {})[connection] = None
        self._loop.add_reader(channel, self._read, connection)
        connection.timer = self._loop.call_later(self._patience, self._end, connection)

    def _read(self, connection: Connection) -> None:
        try:
            data = connection.channel.recv(protocol.SIZE + 1 - len(connection.heard))
        except BlockingIOError:
            return
        except OSError:
            data = b""
        connection.heard += data
        beginning = connection.heard[: len(protocol.HELLO)]
        astray = not protocol.HELLO.startswith(beginning) or len(connection.heard) > protocol.SIZE
        if not data or connection.proved or astray:
            self._end(connection)
        elif len(connection.heard) == protocol.SIZE:
            self._answer(connection)

    def _answer(self, connection: Connection) -> None:
        """Answer a right hello. The client is to hang up; if it does not, its time runs out."""
        greeting = connection.heard
        if not protocol.is_hello(self._secret, greeting):
            self._end(connection, "wrong code")
            return
        nonce = protocol.nonce(greeting)
        if nonce in self._nonces or len(self._nonces) >= _PROOFS:
            self._end(connection)
            return
        self._nonces.add(nonce)
        try:
            peer, own = connection.channel.getpeername(), connection.channel.getsockname()
            answer = protocol.proof(
                self._secret, greeting, role=self._role, client=Place(*peer[:2]),
                listener=Place(*own[:2]), ports=self._ports(connection.channel.family),
            )  # fmt: skip
            connection.channel.send(answer)  # it always fits into the empty buffer
        except OSError:
            self._end(connection)
            return
        connection.proved = True
        self._leave_crowd(connection)
        self._witness(connection.address, connection.port, "proved")

    def _ports(self, family: int) -> set[int]:
        """Those that are open to whoever comes so: the other family's may be another program's."""
        return {one.getsockname()[1] for one in self._sockets if one.family == family}

    def _evict(self) -> None:
        """Make room: of those who have proved nothing, the oldest of the greatest crowd goes."""
        crowd = max(self._crowds.values(), key=len, default=None)
        if crowd:
            self._end(next(iter(crowd)))
        elif self._open:
            self._end(next(iter(self._open)))

    def _end(self, connection: Connection, outcome: Outcome = "no code") -> None:
        if connection not in self._open:
            return
        self._open.remove(connection)
        self._leave_crowd(connection)
        if connection.timer:
            connection.timer.cancel()
        self._loop.remove_reader(connection.channel)
        with contextlib.suppress(OSError):
            connection.channel.close()
        if not connection.proved:
            self._witness(connection.address, connection.port, outcome)

    def _leave_crowd(self, connection: Connection) -> None:
        crowd = self._crowds.get(connection.network, {})
        crowd.pop(connection, None)
        if not crowd:
            self._crowds.pop(connection.network, None)


def _network(address: str) -> str:
    """Whom an address belongs to: a host of IPv6 has a whole /64 to come from."""
    if ":" not in address:
        return address
    return str(IPv6Network((ip_address(address).packed, 64), strict=False))
