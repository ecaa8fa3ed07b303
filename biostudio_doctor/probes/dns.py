"""DNS: what the system's resolver says of a name, and what each name server says by itself."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

import anyio
import dns.exception
import dns.flags
import dns.message
import dns.rcode
from msgspec import structs

from biostudio_doctor.endpoints import is_address
from biostudio_doctor.host import Host
from biostudio_doctor.probes import Failure, Reason
from biostudio_doctor.probes.failures import ProbeError, failure, one_line
from biostudio_doctor.probes.results import Answer, Lookup, Record
from biostudio_doctor.probes.side_by_side import side_by_side
from biostudio_doctor.probes.tcp import connect, socket_address, source_address

RECORDS: tuple[Record, ...] = ("A", "AAAA")

_NAMESERVERS = 3  # as many as the C library uses (MAXNS of resolv.h)
_ADDRESSES = 16  # of one name: more are not tried
_ALIASES = 16  # a longer CNAME chain is cut off
_AGAIN = 0.5  # seconds until a question is sent again, then twice as many: some get lost
_PAYLOAD = 1232  # bytes of UDP that pass every path (DNS flag day 2020)
_DATAGRAM = 65535

#: getaddrinfo(3). EAI_AGAIN stands for silence and SERVFAIL alike: the name servers' own answers
#: tell which (see `explained`).
_RESOLVER_REASONS: dict[int, Reason] = {
    socket.EAI_NONAME: "nxdomain",
    socket.EAI_NODATA: "no-address",
    socket.EAI_ADDRFAMILY: "no-address",
    socket.EAI_FAIL: "servfail",
}

_CODES: dict[str, Reason] = {
    "NXDOMAIN": "nxdomain",
    "SERVFAIL": "servfail",
    "REFUSED": "refused",
}

#: Where servers differ, the first of these is what a person should hear.
_TELLING: tuple[Reason, ...] = ("servfail", "refused", "timeout", "unreachable", "bad-response")


def name_servers(host: Host) -> tuple[str, ...]:
    """The name servers of /etc/resolv.conf (resolv.conf(5)): the first three that are addresses."""
    servers = []
    for line in (host.read_if_any("/etc/resolv.conf") or "").splitlines():
        words = line.split()
        if len(words) > 1 and words[0] == "nameserver" and is_address(words[1]):
            servers.append(words[1])
    return tuple(dict.fromkeys(servers[:_NAMESERVERS]))


async def lookup(name: str, *, timeout: float) -> Lookup:
    """Resolve as every program does, by getaddrinfo(3), waiting at most `timeout` seconds."""
    started = time.perf_counter()
    addresses: tuple[str, ...] = ()
    problem = None
    try:
        with anyio.fail_after(timeout):
            addresses = await _in_thread(partial(_getaddrinfo, name))
    except socket.gaierror as error:
        reason = _RESOLVER_REASONS.get(error.errno or 0, "other")
        problem = Failure("resolve", reason, one_line(error.strerror or ""))
    except (OSError, UnicodeError) as error:
        problem = failure("resolve", error)
    seconds = round(time.perf_counter() - started, 6)
    return Lookup(name=name, addresses=addresses, seconds=seconds, failure=problem)


async def ask_all(name: str, servers: Sequence[str], *, timeout: float) -> tuple[Answer, ...]:
    """Ask every name server by itself for A and AAAA, all at once."""
    questions = [(server, record) for server in servers for record in RECORDS]
    return await side_by_side(
        lambda question: ask(name, question[1], question[0], timeout=timeout), questions
    )


async def ask(name: str, record: Record, server: str, *, timeout: float, port: int = 53) -> Answer:
    """Ask one name server one question: by UDP, and by TCP where the answer is truncated."""
    started = time.perf_counter()
    answer = Answer(server=server, record=record, seconds=0, source=source_address(server, port))
    try:
        reply, truncated = await question(name, record, server, timeout=timeout, port=port)
        answer = _read(structs.replace(answer, over_tcp=truncated), reply)
    except UNANSWERED as error:
        answer = structs.replace(answer, failure=unanswered(error))
    return structs.replace(answer, seconds=round(time.perf_counter() - started, 6))


#: What `question` and the reading of its answer may raise.
UNANSWERED = (
    dns.exception.DNSException,
    OSError,
    ValueError,
    ProbeError,
    anyio.EndOfStream,
    anyio.IncompleteRead,
)


async def question(
    name: str,
    record: str,
    server: str,
    *,
    timeout: float,
    port: int = 53,
    over_tcp: bool = False,
) -> tuple[dns.message.Message, bool]:
    """One answer of a name server, and whether it came by TCP: so asked, or too long for UDP.

    Raises:
        UNANSWERED: if none comes, or none that can be read; `unanswered` says what that means.
    """
    query = dns.message.make_query(name, record, use_edns=0, payload=_PAYLOAD)
    wire = query.to_wire()
    with anyio.fail_after(timeout):
        if not over_tcp:
            reply = dns.message.from_wire(await _datagram(wire, server, port), ignore_trailing=True)
            over_tcp = bool(reply.flags & dns.flags.TC)
        if over_tcp:
            reply = dns.message.from_wire(await _over_tcp(wire, server, port, timeout))
    if not query.is_response(reply):
        raise ProbeError(Failure("resolve", "bad-response", "an answer to another question"))
    return reply, over_tcp


def unanswered(error: BaseException) -> Failure:
    """What an exception of UNANSWERED means."""
    if isinstance(error, dns.exception.DNSException):
        detail = one_line(f"{type(error).__name__}: {error}")
        return Failure("resolve", "bad-response", detail)
    return failure("resolve", error)


def verdict(reply: dns.message.Message) -> tuple[str, tuple[str, ...], Failure | None]:
    """The RCODE of an answer, its extended errors, and the failure that the RCODE stands for."""
    code = dns.rcode.to_text(reply.rcode())
    extended = tuple(one_line(error.to_text()) for error in reply.extended_errors()[:4])
    failed = Failure("resolve", _CODES.get(code, "bad-response"), code)
    return code, extended, None if code == "NOERROR" else failed


def explained(looked_up: Lookup, answers: Sequence[Answer], servers: Sequence[str]) -> Lookup:
    """The lookup with the reason that getaddrinfo(3) keeps to itself, from the servers' answers."""
    problem = looked_up.failure
    if not problem or problem.reason not in ("other", "timeout"):
        return looked_up
    told = {answer.failure.reason if answer.failure else None for answer in answers}
    if None in told:  # a server does know the name, so what failed is not known
        return looked_up
    reasons = [reason for reason in _TELLING if reason in told] if servers else ["no-resolver"]
    reason = reasons[0] if reasons else problem.reason
    return structs.replace(looked_up, failure=structs.replace(problem, reason=reason))


def _getaddrinfo(name: str, again: bool = True) -> tuple[str, ...]:
    """The addresses; a temporary failure is tried a second time, as its name (EAI_AGAIN) asks."""
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if again and error.errno == socket.EAI_AGAIN:
            return _getaddrinfo(name, again=False)
        raise
    addresses = dict.fromkeys(str(address[0]) for *_, address in found)
    return tuple(addresses)[:_ADDRESSES]


T = TypeVar("T")


async def _in_thread(call: Callable[[], T]) -> T:
    """Run what cannot be interrupted in a thread of its own, which is left behind when cancelled.

    It is a daemon thread, unlike those of asyncio's and anyio's pools: neither the end of the
    event loop nor that of the interpreter waits for a name server that is silent.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(setter: Callable[[Any], None], outcome: Any) -> None:
        if not future.done():
            setter(outcome)

    def work() -> None:
        try:
            outcome = partial(settle, future.set_result, call())
        except Exception as error:
            outcome = partial(settle, future.set_exception, error)
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(outcome)

    threading.Thread(target=work, daemon=True).start()
    return await future


async def _datagram(wire: bytes, server: str, port: int) -> bytes:
    """The datagram that comes back, if ever; a connected socket hears of ICMP errors, too."""
    family, address = socket_address(server, port)
    loop = asyncio.get_running_loop()
    with socket.socket(family, socket.SOCK_DGRAM) as channel:
        channel.setblocking(False)
        channel.connect(address)
        patience = _AGAIN
        while True:
            await loop.sock_sendall(channel, wire)
            with anyio.move_on_after(patience):
                return await loop.sock_recv(channel, _DATAGRAM)
            patience *= 2


async def _over_tcp(wire: bytes, server: str, port: int, timeout: float) -> bytes:
    """RFC 1035, 4.2.2: the message with its length in two bytes before it."""
    from anyio.streams.buffered import BufferedByteReceiveStream

    async with await connect(server, port, timeout=timeout) as stream:
        await stream.send(len(wire).to_bytes(2, "big") + wire)
        incoming = BufferedByteReceiveStream(stream)
        length = int.from_bytes(await incoming.receive_exactly(2), "big")
        return await incoming.receive_exactly(length)


def _read(answer: Answer, reply: Any) -> Answer:
    code, extended, failed = verdict(reply)
    answer = structs.replace(answer, code=code, extended=extended, failure=failed)
    if failed:
        return answer
    chain = reply.resolve_chaining()
    aliases = [str(item.target) for rrset in chain.cnames for item in rrset]
    return structs.replace(
        answer,
        addresses=tuple(str(item.address) for item in chain.answer or ())[:_ADDRESSES],
        aliases=tuple(one_line(alias).rstrip(".") for alias in aliases[:_ALIASES]),
        failure=None if chain.answer else Failure("resolve", "no-address", code),
    )
