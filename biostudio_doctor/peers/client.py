"""The asking end: each port of each peer, all at once. Nothing is sent but the hello."""

import asyncio
import contextlib
import socket
import struct
import time
from collections.abc import Mapping, Sequence
from ipaddress import ip_address

import anyio

from biostudio_doctor.peers import Peer, protocol
from biostudio_doctor.peers.facts import Knock, Stop, Visit
from biostudio_doctor.probes import Failure, Reason
from biostudio_doctor.probes.dns import lookup
from biostudio_doctor.probes.failures import failure
from biostudio_doctor.probes.side_by_side import side_by_side
from biostudio_doctor.probes.tcp import socket_address, source_address
from biostudio_doctor.services.identify import recognise

Ports = Mapping[int, str]  # the service of each port

_ADDRESSES = 4  # of one name: more are not tried
_AT_ONCE = 400  # connections

#: ip(7), ipv6(7): the queue of errors has the ICMP message that one came from. For IPv6 that must
#: be asked for, by a number that Python has no name for.
_IPV6_RECVERR = 25
_EXTENDED = struct.Struct("@IBBBBII")  # struct sock_extended_err: errno, origin, type, code ...
_ICMP, _ICMP6 = 2, 3  # SO_EE_ORIGIN_*
_FROM_ADDRESS = {_ICMP: (socket.AF_INET, slice(4, 8)), _ICMP6: (socket.AF_INET6, slice(8, 24))}

#: Type and code: RFC 792, RFC 1812 (5.2.7.1), RFC 4443 (3.1).
_MESSAGES = {
    (_ICMP, 3, 0): "network unreachable",
    (_ICMP, 3, 1): "host unreachable",
    (_ICMP, 3, 2): "protocol unreachable",
    (_ICMP, 3, 3): "port unreachable",
    (_ICMP, 3, 9): "network administratively prohibited",
    (_ICMP, 3, 10): "host administratively prohibited",
    (_ICMP, 3, 13): "communication administratively prohibited",
    (_ICMP6, 1, 0): "no route",
    (_ICMP6, 1, 1): "communication administratively prohibited",
    (_ICMP6, 1, 3): "address unreachable",
    (_ICMP6, 1, 4): "port unreachable",
    (_ICMP6, 1, 5): "source address refused by policy",
    (_ICMP6, 1, 6): "route rejected",
}


async def visit(
    peers: Sequence[Peer], ports: Mapping[str, Ports], secret: bytes, patience: float
) -> tuple[Visit, ...]:
    """See all peers at once; `ports` are those of each role.

    Resolving a name, and connecting to a port and being answered there, may each take `patience`
    seconds. A lost SYN is sent again after 1 and 3.
    """
    limit = anyio.CapacityLimiter(_AT_ONCE)
    found = await side_by_side(
        lambda peer: _visit(peer, ports[peer.role], secret, patience, limit), peers
    )
    return tuple(visit for visits in found for visit in visits)


async def _visit(
    peer: Peer, ports: Ports, secret: bytes, patience: float, limit: anyio.CapacityLimiter
) -> tuple[Visit, ...]:
    resolved = await lookup(peer.address, timeout=patience)
    if resolved.failure:
        return (Visit(role=peer.role, name=peer.address, address="", failure=resolved.failure),)
    addresses = resolved.addresses[:_ADDRESSES]
    found: dict[tuple[str, int], Knock] = {}

    async def one(address: str, service: str, port: int) -> None:
        async with limit:
            found[address, port] = await knock(address, port, service, secret, patience)

    async with anyio.create_task_group() as tasks:
        for address in addresses:
            for port, service in ports.items():
                tasks.start_soon(one, address, service, port)
    return tuple(
        Visit(
            role=peer.role,
            name=peer.address,
            address=address,
            knocks=tuple(found[address, port] for port in ports),
        )
        for address in addresses
    )


async def knock(address: str, port: int, service: str, secret: bytes, patience: float) -> Knock:
    """Try one port: connect, say the hello, and see what comes back."""
    started = time.perf_counter()

    def ended(problem: Failure, stop: Stop | None = None, heard: str = "") -> Knock:
        return Knock(
            port=port, service=service, source=source or source_address(address, port),
            seconds=round(time.perf_counter() - started, 6),
            failure=problem, stop=stop, heard=heard,
        )  # fmt: skip

    source = ""
    family, where = socket_address(address, port)
    with socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as channel:
        if family == socket.AF_INET6:
            channel.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
        try:
            with anyio.fail_after(patience):
                await asyncio.get_running_loop().sock_connect(channel, where)
            source = str(channel.getsockname()[0])
        except OSError as error:
            return ended(failure("connect", error), _stop(channel))
        greeting = protocol.hello(secret, port)
        started = time.perf_counter()
        try:
            with anyio.fail_after(patience):
                answer = await _exchange(channel, greeting)
        except OSError as error:
            return ended(failure("request", error))
        proof = protocol.understood(secret, greeting, answer)
        if not proof:
            reason: Reason = "bad-response" if answer else "closed"
            heard = recognise(answer).words if answer else ""
            return ended(Failure("request", reason), heard=heard)
        return Knock(
            port=port, service=service, source=source, proof=proof,
            seconds=round(time.perf_counter() - started, 6),
        )  # fmt: skip


async def _exchange(channel: socket.socket, greeting: bytes) -> bytes:
    """What is answered: a proof, or the beginning of anything else; b"" if it hangs up."""
    loop = asyncio.get_running_loop()
    heard = b""
    with contextlib.suppress(ConnectionError):  # it may have spoken before it hung up
        await loop.sock_sendall(channel, greeting)
    while len(heard) < protocol.SIZE:
        try:
            data = await loop.sock_recv(channel, protocol.SIZE - len(heard))
        except ConnectionError:
            data = b""
        heard += data
        if not data or not heard.startswith(protocol.PROOF[: len(heard)]):
            break
    return heard


def _stop(channel: socket.socket) -> Stop | None:
    """The ICMP message that ended a connect; None without one, and before Linux 5.18."""
    try:
        _, messages, _, _ = channel.recvmsg(0, 512, socket.MSG_ERRQUEUE)
    except OSError:
        return None
    for _, _, data in messages:
        if len(data) < _EXTENDED.size:
            continue
        _, origin, kind, code, *_ = _EXTENDED.unpack_from(data)
        if origin in _FROM_ADDRESS:
            family, where = _FROM_ADDRESS[origin]
            packed = data[_EXTENDED.size :][where]
            says = _MESSAGES.get((origin, kind, code), f"type {kind}, code {code}")
            with contextlib.suppress(ValueError):
                sender = socket.inet_ntop(family, packed)
                return Stop(str(ip_address(sender)), says)
    return None
