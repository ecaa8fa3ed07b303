"""Where they come in: a scrape whose answer lies ready is answered at the door.

What asyncio and uvicorn make for each connection costs twice what the scrape itself does.
Without it thousands who come at once are answered three times as fast, a few in each turn of the
event loop: those who have kept their connection, as Prometheus does, pass them by. Whoever wants
anything else, or comes by TLS, is let in as if nobody had looked at what they said.
"""

import asyncio
import contextlib
import socket
import ssl
from collections import deque
from collections.abc import Callable

import httptools
from uvicorn.server import ServerState

from biostudio_doctor.daemon.web.protocol import GuardedProtocol, Pairs, Ready, at_once

_TURN = 16  # newcomers before those who are here have their turn
_SEATS = 64  # who are answered and wait to be let in; more are answered and asked to come again
_WORDS = 4096  # bytes of a request that are looked at
_REST = 1.0  # seconds, where no descriptor is left
_HANDSHAKE = 5.0  # seconds for TLS


class Door:
    """Takes those who come to this socket, which does not block."""

    def __init__(
        self,
        sock: socket.socket,
        ready: Ready,
        make: Callable[[], GuardedProtocol],
        state: ServerState,
    ) -> None:
        self.tls: ssl.SSLContext | None = None  # for those who come from now on
        self.ready = ready
        self.state = state
        self._socket = sock
        self._make = make
        self._seats: deque[socket.socket] = deque()
        self._tasks: set[asyncio.Task[None]] = set()

    def open(self) -> None:
        """Let them come."""
        asyncio.get_running_loop().add_reader(self._socket, self._welcome)

    def close(self) -> None:
        """Listen no more."""
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()
        while self._seats:
            self._seats.popleft().close()

    def is_full(self) -> bool:
        """Whether nobody else can wait to be let in."""
        return len(self._seats) >= _SEATS

    def _welcome(self) -> None:
        for _ in range(_TURN):
            try:
                caller, _address = self._socket.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                loop = asyncio.get_running_loop()
                loop.remove_reader(self._socket)
                loop.call_later(_REST, self._open_again)
                why = f"nobody can come in: {error.strerror}"
                loop.call_exception_handler({"message": why, "exception": error})
                return
            caller.setblocking(False)
            self._meet(caller)

    def _open_again(self) -> None:
        if self._socket.fileno() >= 0:
            self.open()

    def _meet(self, caller: socket.socket) -> None:
        answer = None if self.tls else self._answer(caller)
        if answer is None:
            self._let_in(caller)
            return
        whole, stays = answer
        sent = 0
        with contextlib.suppress(OSError):  # which the rest runs into as well
            sent = caller.send(whole)
        if sent < len(whole):
            self._let_in(caller, whole[sent:], stays)
        elif stays:
            if not self._seats:
                asyncio.get_running_loop().call_soon(self._seat)
            self._seats.append(caller)
        else:
            caller.close()

    def _answer(self, caller: socket.socket) -> tuple[bytes, bool] | None:
        """The answer if it lies ready, and whether the caller stays; then their words are taken."""
        words = _Words(self)
        try:
            said = caller.recv(_WORDS, socket.MSG_PEEK)
            words.parser.feed_data(said)
            if words.answer and words.ends == words.begins == 1:
                caller.recv(len(said))
                return words.answer
        except (OSError, httptools.HttpParserError, httptools.HttpParserUpgrade):
            pass  # nothing is said yet, or it is odd
        return None

    def _seat(self) -> None:
        """One a turn, as all others wait while it costs what it does."""
        if len(self._seats) > 1:
            asyncio.get_running_loop().call_soon(self._seat)
        if self._seats:  # none are left at the end
            self._let_in(self._seats.popleft(), b"")

    def _let_in(self, caller: socket.socket, rest: bytes | None = None, stays: bool = True) -> None:
        task = asyncio.get_running_loop().create_task(self._introduce(caller, rest, stays))
        self._tasks.add(task)  # or it could vanish
        task.add_done_callback(self._tasks.discard)

    async def _introduce(self, caller: socket.socket, rest: bytes | None, stays: bool) -> None:
        tls = self.tls if rest is None else None  # which may have come after the answer's beginning
        with contextlib.suppress(OSError):  # the caller has gone, or speaks no TLS
            _, protocol = await asyncio.get_running_loop().connect_accepted_socket(
                self._make,
                caller,
                ssl=tls,
                ssl_handshake_timeout=_HANDSHAKE if tls else None,
            )
            if rest is not None:
                protocol.go_on(rest, stays)


class _Words:
    """What a newcomer says first, as httptools reads it."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self.parser = httptools.HttpRequestParser(self)
        self.begins = self.ends = 0  # of requests
        self.answer: tuple[bytes, bool] | None = None
        self._url = b""
        self._headers: Pairs = []

    def on_message_begin(self) -> None:
        self.begins += 1

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        door = self._door
        self.answer = at_once(
            self.parser, self._url, self._headers, door.ready, door.state, not door.is_full()
        )

    def on_message_complete(self) -> None:
        self.ends += 1
