"""The machines of a scaled-out BioStudio, as they look from here: one bioproxy and its nodes.

Every port of every machine is knocked at side by side. Besides, who answers is asked for its
version and, by the Date of an HTTP answer, for its clock. Nothing is logged in to.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from msgspec import Struct, structs

from biostudio_doctor.endpoints import Endpoint, is_loopback
from biostudio_doctor.probes import Failure
from biostudio_doctor.probes.results import Attempt, Hop

if TYPE_CHECKING:
    from anyio import CapacityLimiter

Place = Literal["bioproxy", "node"]

#: The health paths of the front, the app and the notebook hub.
_FRONT_STATUS, _APP_STATUS, _HUB_STATUS = "/app_proxy_status", "/status", "/hub/api"
_NOWHERE = "/biostudio-doctor-asks-for-nothing"  # whoever says 200 to this says so to everything
#: The services by which a bioproxy is known.
TELLTALE = ("http", "https", "postgresql", "redis")
_VERSION = re.compile(r'"version"\s*:\s*"([\w.+~-]{1,40})"')
_QUEUE_VERSION = re.compile(r'^version: *"?([\w.+~-]{1,40})', re.MULTILINE)
_OK = 200
_FILES_SHARE = 0.6  # of the files that may be open: other checks, side by side, need some
_DATE_RESOLUTION = 1.0  # seconds: an HTTP Date has whole ones only, rounded down
_ROUNDING = 0.05  # seconds: that the probe rounds an offset by


class Clock(Struct, frozen=True):
    """How far a clock is ahead of this host's, in seconds: no less and no more than this."""

    least: float
    most: float


class Knock(Struct, frozen=True, kw_only=True):
    """One port of a machine, tried at all its addresses."""

    service: str
    port: int
    attempts: tuple[Attempt, ...]

    @property
    def is_open(self) -> bool:
        """Whether it takes connections at one of them."""
        return any(not attempt.failure for attempt in self.attempts)

    @property
    def failure(self) -> Failure | None:
        """Why it takes none; the most telling reason of several addresses."""
        if self.is_open:
            return None
        problems = [attempt.failure for attempt in self.attempts if attempt.failure]
        telling = (problem for problem in problems if problem.reason != "unreachable")
        return next(telling, problems[0] if problems else None)


class Seen(Struct, frozen=True, kw_only=True):
    """One machine, seen from here."""

    name: str  # as configured
    place: Place
    addresses: tuple[str, ...] = ()
    own: bool = False  # it is this host
    failure: Failure | None = None  # of the name
    knocks: tuple[Knock, ...] = ()
    versions: dict[str, str] = {}  # by service, where told
    clock: Clock | None = None
    proxy: tuple[str, ...] = ()  # the services of a bioproxy that answer there
    alike: bool = False  # its front answers every path alike

    def same(self, other: Seen) -> bool:
        """Whether both names lead to one machine."""
        return (self.own and other.own) or bool(set(self.addresses) & set(other.addresses))


class NodesFacts(Struct, frozen=True, kw_only=True):
    """All machines that the configuration names. No bioproxy: it is not told where that runs."""

    bioproxy: Seen | None = None
    nodes: tuple[Seen, ...] = ()


class Machine(Struct, frozen=True, kw_only=True):
    """Whom to look at: the ports (service, number) that it must offer, and others of interest."""

    name: str
    address: str  # a name or an IP address
    place: Place
    offers: tuple[tuple[str, int], ...]
    others: tuple[tuple[str, int], ...] = ()


async def look(machines: Sequence[Machine], *, timeout: float) -> tuple[Seen, ...]:
    """See all machines at once, within `timeout` seconds.

    Resolving, connecting and being answered may each take a third of that.
    """
    from resource import RLIMIT_NOFILE, getrlimit

    import anyio

    looks = [_Look(machine, timeout / 3) for machine in machines]
    async with anyio.create_task_group() as tasks:
        for one in looks:
            tasks.start_soon(one.resolve)
    widest = max((len(one.seen.addresses) for one in looks), default=0)
    files = getrlimit(RLIMIT_NOFILE)[0]
    at_once = _FILES_SHARE * files if files > 0 else 1000  # it may be without a limit (-1)
    limit = anyio.CapacityLimiter(max(1, int(at_once) // max(1, widest)))
    async with anyio.create_task_group() as tasks:
        for one in looks:
            tasks.start_soon(one.knock, limit)
    return tuple(one.seen for one in looks)


class _Look:
    """A look at one machine."""

    def __init__(self, machine: Machine, timeout: float) -> None:
        self.seen = Seen(name=machine.name, place=machine.place)
        self._machine = machine
        self._host = machine.address.strip("[]")
        self._timeout = timeout
        self._knocks: dict[tuple[str, int], Knock] = {}
        self._versions: dict[str, str] = {}
        self._clocks: list[Clock] = []
        self._proxy: set[str] = set()
        self._alike = False

    async def resolve(self) -> None:
        """Learn its addresses."""
        from biostudio_doctor.probes.dns import lookup

        found = await lookup(self._host, timeout=self._timeout)
        self.seen = structs.replace(
            self.seen,
            failure=found.failure,
            addresses=found.addresses,
            own=any(_is_own(address) for address in found.addresses),
        )

    async def knock(self, limit: CapacityLimiter) -> None:
        """Ask at all ports at once, as far as the limit allows."""
        import anyio

        if self.seen.failure:
            return
        async with anyio.create_task_group() as tasks:
            for service, port in (*self._machine.offers, *self._machine.others):
                tasks.start_soon(self._at, service, port, limit)
        self.seen = structs.replace(
            self.seen,
            knocks=tuple(self._knocks[offered] for offered in self._machine.offers),
            versions=dict(sorted(self._versions.items())),
            clock=min(self._clocks, key=lambda clock: clock.most - clock.least, default=None),
            proxy=tuple(sorted(self._proxy)),
            alike=self._alike,
        )

    async def _at(self, service: str, port: int, limit: CapacityLimiter) -> None:
        """Knock at a port; ask who opens what is asked of that service."""
        import anyio

        from biostudio_doctor.probes import tcp

        async with limit:
            attempts = await tcp.probe(self.seen.addresses, port, timeout=self._timeout)
            self._knocks[service, port] = Knock(service=service, port=port, attempts=attempts)
            answering = tcp.quickest(attempts)
            ask = _QUESTIONS.get(service)
            if answering and ask:
                with anyio.move_on_after(self._timeout):
                    await ask(self, service, answering.address, port)

    async def _front(self, service: str, address: str, port: int) -> None:
        hop = await self._get(service, address, port, _FRONT_STATUS)
        if hop.status != _OK:
            return
        self._proxy.add(service)
        if self._machine.place == "bioproxy":  # other answers may come from a node behind it
            self._read_clock(hop)
        else:
            self._alike |= (await self._get(service, address, port, _NOWHERE)).status == _OK

    async def _app(self, service: str, address: str, port: int) -> None:
        self._read(service, await self._get(service, address, port, _APP_STATUS))

    async def _workspace(self, service: str, address: str, port: int) -> None:
        self._read(service, await self._get(service, address, port, _HUB_STATUS))

    async def _job(self, service: str, address: str, port: int) -> None:
        statistics = await self._exchange(address, port, b"stats\r\n", b"\n\r\n")
        found = _QUEUE_VERSION.search(statistics.decode("ascii", "replace"))
        if found:
            self._versions[service] = found[1]

    async def _postgresql(self, service: str, address: str, port: int) -> None:
        from biostudio_doctor.services.identify import SSL_REQUEST

        if await self._exchange(address, port, SSL_REQUEST, b"") in (b"S", b"N"):
            self._proxy.add(service)

    async def _redis(self, service: str, address: str, port: int) -> None:
        from biostudio_doctor.services.identify import recognise

        if recognise(await self._exchange(address, port, b"PING\r\n", b"\n")).kind == service:
            self._proxy.add(service)

    async def _exchange(self, address: str, port: int, question: bytes, end: bytes) -> bytes:
        """What comes back, up to `end` or not much further; b"" where nothing does."""
        from biostudio_doctor.probes.direct import Dialler
        from biostudio_doctor.probes.failures import ProbeError
        from biostudio_doctor.services.streams import exchange

        dial = Dialler(address, port, timeout=self._timeout)
        try:
            return await exchange(dial, question, enough=lambda heard: bool(heard) and end in heard)
        except ProbeError:
            return b""

    async def _get(self, service: str, address: str, port: int, path: str) -> Hop:
        """GET a path, of the address that answers; a certificate is none of our business here."""
        from anyio.abc import ByteStream

        from biostudio_doctor.probes import http, tcp, tls

        async def dial(_host: str, _port: int) -> ByteStream:
            return await tcp.connect(address, port, timeout=self._timeout)

        scheme = "https" if service == "https" else "http"
        place = Endpoint(self._host.partition("%")[0], port)
        context = tls.lenient_context(("http/1.1",))
        url = f"{scheme}://{place}{path}"
        found = await http.probe(dial, url, context=context, timeout=self._timeout, redirects=0)
        return found.answer

    def _read(self, service: str, hop: Hop) -> None:
        self._read_clock(hop)
        version = _VERSION.search(hop.first)
        if version:
            self._versions[service] = version[1]

    def _read_clock(self, hop: Hop) -> None:
        """The Date was written at some time between the request and its answer.

        It counts only where the service itself answers: an error may come from a proxy.
        """
        if hop.status != _OK or hop.clock_offset is None:
            return
        least = hop.clock_offset - _ROUNDING
        span = _DATE_RESOLUTION + hop.seconds.get("request", self._timeout) + 2 * _ROUNDING
        self._clocks.append(Clock(round(least, 3), round(least + span, 3)))


#: What is asked of which service; of the others it is enough that they take connections.
_QUESTIONS: Mapping[str, Callable[[_Look, str, str, int], Awaitable[None]]] = {
    "http": _Look._front,
    "https": _Look._front,
    "app": _Look._app,
    "workspace": _Look._workspace,
    "job": _Look._job,
    "postgresql": _Look._postgresql,
    "redis": _Look._redis,
}


def _is_own(address: str) -> bool:
    """Whether it is an address of this host: to those the kernel sends from themselves."""
    from biostudio_doctor.probes.tcp import source_address

    bare = address.partition("%")[0]
    return is_loopback(bare) or source_address(address, 1).partition("%")[0] == bare
