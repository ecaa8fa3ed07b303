"""The life of the web process: it listens, answers, and ends with the supervisor or at SIGTERM."""

import asyncio
import contextlib
import functools
import gc
import logging
import os
import resource
import signal
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import uvicorn

from biostudio_doctor.config import DaemonConfig
from biostudio_doctor.daemon.listening import listening
from biostudio_doctor.daemon.messages import Listening, Snapshot, ToWeb
from biostudio_doctor.daemon.web import security
from biostudio_doctor.daemon.web.access import Access
from biostudio_doctor.daemon.web.app import App
from biostudio_doctor.daemon.web.door import Door
from biostudio_doctor.daemon.web.link import Link
from biostudio_doctor.daemon.web.protocol import Guard, GuardedProtocol
from biostudio_doctor.daemon.web.state import State
from biostudio_doctor.errors import ConfigError

_FILES = 16384  # descriptors to ask for
_SPARE_FILES = 256  # descriptors that are no connections, but probes of /probe and files
_CONNECTIONS = 8192  # at most
_TLS_CONNECTIONS = 256  # at most; each takes 0.3 MB
_BACKLOG = 4096
_KEEP_ALIVE = 75  # seconds: longer than most scrape intervals
_DRAIN = 1.2  # seconds for answers under way when this process has to end
_LAST_MOMENT = 1.4  # seconds after which it is gone in any case
_TICK = 1.0  # seconds between the looks at the clock, for the header Date
#: Bytes of an answer that the kernel holds for a slow reader, so that it costs us no memory.
_SEND_BUFFER = 256 << 10
#: Seconds for which the kernel keeps to itself those who have come and say nothing.
_SILENCE = 1
_LOOK_AGAIN = 2.0  # seconds between two looks at the files of TLS and logins
_log = logging.getLogger("web.config")  # its name is the event's


def serve(connection: socket.socket, config: DaemonConfig) -> None:
    """Serve until the supervisor at the other end of `connection` is gone, or until SIGTERM.

    Answers under way are given first; where they take too long, the process ends here.

    Raises:
        ConfigError: if it cannot listen, or web-config.yml is wrong: nothing is served then.
    """
    for number in (signal.SIGHUP, signal.SIGINT):  # of a terminal: the supervisor ends us
        signal.signal(number, signal.SIG_IGN)
    asyncio.run(_Web(config).run(connection))


def _listener(listen: str) -> socket.socket:
    sock = listening(listen, _BACKLOG)
    # What it accepts has these, too. Without the second the end of an answer may come 40 ms late.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, _SILENCE)
    sock.setblocking(False)
    return sock


class _Web:
    """The parts of the web process, put together."""

    def __init__(self, config: DaemonConfig) -> None:
        self._config = config
        self._state = State()
        self._heeding: asyncio.Task[str] | None = None
        settings = security.load(config.web_config)
        tls = security.context(settings, config.web_config)
        self._most = _connections()
        app = App(self._state, self._heed)
        self._access = Access(app.starlette(), app.scrape, config.listen)
        self._guard = Guard(self._most)
        self._server = _Server(self._access, self._guard, _listener(config.listen))
        self._configure(settings, tls)

    async def run(self, connection: socket.socket) -> None:
        """Until the end."""
        loop = asyncio.get_running_loop()
        connection.setblocking(False)
        make = functools.partial(Link, self._hear, self._server.end)
        _, self._state.link = await loop.create_connection(make, sock=connection)
        loop.add_signal_handler(signal.SIGTERM, self._server.end)
        self._state.link.tell(Listening(at=self._config.listen))
        tasks = [loop.create_task(self._guard.watch()), loop.create_task(self._look())]
        gc.freeze()  # what is here now stays
        await self._server.serve()
        for task in tasks:
            task.cancel()

    def _hear(self, message: ToWeb) -> None:
        self._state.hear(message)
        if isinstance(message, Snapshot):
            before, self._config = self._config, message.config.daemon
            if before.web_config != self._config.web_config:
                self._heeding = asyncio.get_running_loop().create_task(self._heed())

    async def _look(self) -> None:
        """Certificates are renewed, and passwords changed, without anyone telling us."""
        while True:
            await asyncio.sleep(_LOOK_AGAIN)
            if _stamps(self._settings, self._config.web_config) != self._stamps:
                await self._heed()

    async def _heed(self) -> str:
        """Take web-config.yml and its files as they are now; what is wrong with them, or ''."""
        path = self._config.web_config
        before = self._state.web_config_problem
        self._stamps = _stamps(self._settings, path)
        try:
            settings = security.load(path)
            tls = security.context(settings, path)
        except ConfigError as error:
            problem = f"{error}; logins and TLS stay as they were"
            if problem != before:
                _log.error("%s", problem)
            self._state.web_config_problem = problem
            return problem
        self._state.web_config_problem = ""
        self._configure(settings, tls)
        return ""

    def _configure(self, settings: security.WebConfig, tls: ssl.SSLContext | None) -> None:
        """For those who come from now on."""
        self._settings, self._stamps = settings, _stamps(settings, self._config.web_config)
        self._access.configure(settings)
        self._server.allowed_sans = _allowed(settings)
        self._server.door.tls = tls
        self._guard.places = min(self._most, _TLS_CONNECTIONS) if tls else self._most


class _Server(uvicorn.Server):
    """uvicorn's server, which has a door of ours, and ends in time."""

    def __init__(self, app: Access, guard: Guard, sock: socket.socket) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=GuardedProtocol,
                ws="none",
                lifespan="off",
                loop="asyncio",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=_KEEP_ALIVE,
                timeout_graceful_shutdown=_DRAIN,  # type: ignore[arg-type]
            )
        )
        logging.getLogger("uvicorn").setLevel(logging.CRITICAL + 1)  # what matters, we log
        self._access = app
        self._guard = guard
        self.door = Door(sock, app.ready, guard, self._protocol, self.server_state)
        self.allowed_sans: tuple[str, ...] = ()
        self.servers: list[asyncio.Server] = []  # of uvicorn, which ends them
        self._ended = asyncio.Event()

    def end(self) -> None:
        """Give the answers under way, and be gone soon."""
        if not self.should_exit:
            self.should_exit = True
            self._ended.set()
            asyncio.get_running_loop().call_later(_LAST_MOMENT, os._exit, 0)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        await self.lifespan.startup()
        self.door.open()
        self.started = True

    async def main_loop(self) -> None:
        """As uvicorn's, but once a second and not ten times: who waits shall cost nothing."""
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), _TICK)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen no more, and wait for the answers under way."""
        self.door.close()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the event loop's here."""
        yield

    def _protocol(self) -> GuardedProtocol:
        return GuardedProtocol(
            self.config,
            self.server_state,
            self.lifespan.state,
            guard=self._guard,
            ready=self._access.ready,
            allowed_sans=self.allowed_sans,
        )


def _connections() -> int:
    """How many there may be at once, once as many descriptors are asked for as we may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):  # a sandbox forbids it: then fewer will do
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    room = _FILES if soft == resource.RLIM_INFINITY else soft
    return min(_CONNECTIONS, max(room - _SPARE_FILES, room // 3))


def _allowed(settings: security.WebConfig) -> tuple[str, ...]:
    tls = settings.tls_server_config
    return tls.client_allowed_sans if tls else ()


def _stamps(settings: security.WebConfig, path: str | None) -> list[tuple[int, ...]]:
    """What changes when web-config.yml or a file of it does."""
    if path is None:
        return []
    stamps: list[tuple[int, ...]] = []
    for name in (path, *security.watched(settings, path)):
        try:
            status = Path(name).stat()
            stamps.append((status.st_mtime_ns, status.st_size, status.st_ino))
        except OSError:
            stamps.append(())
    return stamps
