"""The whole way to one host, as a program of this system would go it, measured phase by phase."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager

import anyio
from anyio.abc import ByteStream
from msgspec import Struct, structs

from biostudio_doctor import endpoints
from biostudio_doctor.probes import Failure, Phase, dns, http, proxy, tcp, tls
from biostudio_doctor.probes.failures import ProbeError, failure
from biostudio_doctor.probes.results import (
    Answer,
    Attempt,
    Exchange,
    Lookup,
    Path,
    Proxy,
    Reply,
    Route,
    TlsResult,
)
from biostudio_doctor.probes.turns import Turns

# Seconds. The C library turns to its second name server after 5; a SYN that was lost is sent again
# after 1 and 3.
_LOOKUP = 6.0
_ASK = 4.0
_CONNECT = 4.0
_TUNNEL = 4.0
_TLS = 4.0
_REQUEST = 5.0

_AT_ONCE = 32  # hosts that are spoken with
_TURN = 2.0  # seconds that another one waits for its turn at most: silent hosts hold theirs

_SHARE = 0.95  # of the time is planned with: then phases end by themselves, and say what they know

_ALPN = ("h2", "http/1.1")  # as browsers, curl and conda do


class Target(Struct, frozen=True, kw_only=True):
    """What is to be reached, by HTTPS."""

    host: str
    port: int = 443
    path: str = "/"

    @property
    def url(self) -> str:
        """Its URL."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == 443 else f":{self.port}"
        return f"https://{host}{port}{self.path}"


class Surroundings:
    """What of this host decides about its ways out. It knows secrets, so it is no Struct."""

    def __init__(
        self,
        environ: Mapping[str, str],
        name_servers: tuple[str, ...],
        ca_file: str | None = None,
        proxy: str = "",
    ) -> None:
        self.environ = environ
        self.name_servers = name_servers
        self.ca_file = ca_file  # authorities that are trusted besides the system's
        self.proxy = proxy  # goes before the environment's; with user name and password, if any
        self._turns = Turns(_AT_ONCE, _TURN)

    def turn(self) -> AbstractAsyncContextManager[None]:
        """Wait until this is one of few that speak with their hosts, or for long enough."""
        return self._turns.turn()

    def proxy_value(self, route: Route) -> str:
        """The setting that a route was made of, secrets included."""
        return self.proxy or self.environ[route.variable]


async def probe(target: Target, around: Surroundings, *, timeout: float) -> Path:
    """Go the way to a host; whatever happens, the answer is a Path, within `timeout` seconds.

    Raises:
        OSError: if the file of authorities cannot be read.
    """
    now = anyio.current_time()
    walk = _Walk(target, around, now + _SHARE * timeout)
    with anyio.CancelScope(deadline=now + timeout):
        await walk.go()
    return walk.path()


class _Walk:
    """Goes the way and keeps what was found on it."""

    def __init__(self, target: Target, around: Surroundings, deadline: float) -> None:
        self._deadline = deadline
        self._target = target
        self._around = around
        self._way = Way(target.host, target.port, around, deadline)
        self._answers: tuple[Answer, ...] = ()
        self._tls: TlsResult | None = None
        self._exchange: Exchange | None = None
        self._arrived = False
        self._failure: Failure | None = None

    async def go(self) -> None:
        """All phases, and beside them each name server's own answer."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._ask_name_servers)
            try:
                await self._walk()
                self._arrived = True
            except ProbeError as error:
                self._failure = error.failure

    def path(self) -> Path:
        """What was found, also where time was up before the end."""
        way, problem, lookup = self._way, self._failure, self._way.lookup
        if lookup and lookup.failure:
            lookup = dns.explained(lookup, self._answers, self._around.name_servers)
            problem = way.located(lookup.failure)
        if not self._arrived and not problem:
            problem = Failure(way.phase, "timeout")
        return Path(
            host=self._target.host,
            port=self._target.port,
            route=way.route,
            lookup=lookup,
            answers=self._answers,
            attempts=way.attempts,
            reply=way.reply,
            tls=self._tls,
            exchange=self._exchange,
            seconds=way.seconds,
            failure=problem,
        )

    async def _ask_name_servers(self) -> None:
        if not self._way.route.failure and not endpoints.is_address(self._way.peer):
            servers = self._around.name_servers
            patience = self._way.patience(_ASK)
            self._answers = await dns.ask_all(self._way.peer, servers, timeout=patience)

    async def _walk(self) -> None:
        await self._way.find()
        async with self._around.turn():
            await self._shake_hands()
            await self._request()

    async def _shake_hands(self) -> None:
        self._way.phase = "tls"
        self._tls = await tls.probe(
            self._way.open,
            self._target.host,
            timeout=self._way.patience(_TLS),
            ca_file=self._around.ca_file,
            alpn=_ALPN,
        )
        self._way.seconds["tls"] = self._tls.seconds
        if self._tls.failure:
            raise ProbeError(self._tls.failure)

    async def _request(self) -> None:
        self._way.phase = "request"
        self._exchange = await http.probe(
            self._dial,
            self._target.url,
            context=tls.verifying_context(self._around.ca_file, ("http/1.1",)),
            timeout=self._way.patience(_REQUEST),
        )
        answer = self._exchange.answer
        for phase in ("request", "transfer"):
            if phase in answer.seconds:
                self._way.seconds[phase] = answer.seconds[phase]
        if answer.failure:
            raise ProbeError(answer.failure)

    async def _dial(self, host: str, port: int) -> ByteStream:
        """A stream to the host, or to another one that it redirects to."""
        if (host, port) == (self._target.host, self._target.port):
            return await self._way.open()
        other = Way(host, port, self._around, self._deadline)
        await other.find()
        return await other.open()


class Way:
    """How a host is reached: found out once, then opened as often as is wanted."""

    def __init__(self, host: str, port: int, around: Surroundings, deadline: float) -> None:
        self._host, self._port = host, port
        self._around = around
        self._deadline = deadline
        self.route = proxy.route(around.environ, host, port, around.proxy)
        self.phase: Phase = "proxy" if self.route.proxy else "resolve"
        self.lookup: Lookup | None = None
        self.attempts: tuple[Attempt, ...] = ()
        self.reply: Reply | None = None
        self.seconds: dict[Phase, float] = {}

    @classmethod
    def known(cls, path: Path, around: Surroundings, deadline: float) -> Way:
        """The way that a Path found, to be gone again."""
        way = cls(path.host, path.port, around, deadline)
        way.lookup, way.attempts = path.lookup, path.attempts
        return way

    @property
    def address(self) -> str:
        """The address that `open` connects to: the host's own or, with a proxy, the proxy's."""
        return self._chosen.address

    @property
    def peer(self) -> str:
        """Whom we connect to: the proxy, or the host itself."""
        return self.route.proxy.host if self.route.proxy else self._host

    def patience(self, seconds: float) -> float:
        """So many seconds, or those that are left."""
        return max(0.0, min(seconds, self._deadline - anyio.current_time()))

    def located(self, problem: Failure | None) -> Failure | None:
        """The failure with its phase: what goes wrong on the way to a proxy is the proxy's."""
        return structs.replace(problem, phase="proxy") if problem and self.route.proxy else problem

    async def find(self) -> None:
        """Find an address that connects and, with a proxy, see whether it opens a tunnel.

        Raises:
            ProbeError: where the way ends.
        """
        if self.route.failure:
            raise ProbeError(self.route.failure)
        with self._timed("resolve"):
            self.lookup = await dns.lookup(self.peer, timeout=self.patience(_LOOKUP))
        self._demand(self.lookup.failure)
        with self._timed("connect"):
            port = self.route.proxy.port if self.route.proxy else self._port
            self.attempts = await tcp.probe(
                self.lookup.addresses, port, timeout=self.patience(_CONNECT)
            )
        self._demand(_telling(self.attempts))
        if self.route.proxy:
            with self._timed("proxy"):
                await anyio.aclose_forcefully(await self.open())
        else:
            self.seconds["connect"] = self._chosen.seconds

    async def open(self) -> ByteStream:
        """A fresh connection to the host, through the proxy if that is the way.

        Raises:
            ProbeError, OSError: if it cannot be had any more.
        """
        address = self._chosen.address
        if not self.route.proxy:
            return await tcp.connect(address, self._port, timeout=self.patience(_CONNECT))
        try:
            with anyio.fail_after(self.patience(_TUNNEL)):
                return await self._tunnel(address, self.route.proxy)
        except OSError as error:
            raise ProbeError(failure("proxy", error)) from None

    async def _tunnel(self, address: str, through: Proxy) -> ByteStream:
        stream = await tcp.connect(address, through.port, timeout=_CONNECT)
        try:
            opened, self.reply = await proxy.connect(
                stream,
                through,
                self._host,
                self._port,
                secret=proxy.authorization(self._around.proxy_value(self.route)),
                context=tls.verifying_context(self._around.ca_file),
            )
            self._demand(_refusal(self.reply))
        except BaseException:
            await anyio.aclose_forcefully(stream)
            raise
        return opened

    @property
    def _chosen(self) -> Attempt:
        chosen = tcp.quickest(self.attempts)
        assert chosen, "open() comes after find()"
        return chosen

    def _demand(self, problem: Failure | None) -> None:
        located = self.located(problem)
        if located:
            raise ProbeError(located)

    @contextmanager
    def _timed(self, phase: Phase) -> Iterator[None]:
        """Count the time of a phase; all that it takes to get past a proxy is one phase."""
        self.phase = "proxy" if self.route.proxy else phase
        started = time.perf_counter()
        try:
            yield
        finally:
            spent = self.seconds.get(self.phase, 0.0) + time.perf_counter() - started
            self.seconds[self.phase] = round(spent, 6)


def _telling(attempts: tuple[Attempt, ...]) -> Failure | None:
    """Why no address connected; IPv4's reason, where the families differ and there is one."""
    if tcp.quickest(attempts):
        return None
    first = sorted(attempts, key=lambda attempt: attempt.family)[:1]
    return first[0].failure if first else Failure("connect", "no-address")


def _refusal(reply: Reply) -> Failure | None:
    if 200 <= reply.status < 300:
        return None
    said = f"{reply.status} {reply.phrase}".strip()
    return Failure("proxy", "proxy-auth" if reply.status == 407 else "proxy-denied", said)
