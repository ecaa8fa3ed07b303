"""Where they come in: a scrape whose answer lies ready is answered at the door.

What asyncio and uvicorn make for each connection costs twice what the scrape itself does.
Without it thousands who come at once are answered three times as fast, a few in each turn of the
event loop: those who have kept their connection, as Prometheus does, pass them by. Whoever wants
anything else, or comes by TLS, is let in as if nobody had looked at what they said; but who says
nothing, or begins no TLS handshake, waits outside, where they cost next to nothing.
"""

import asyncio
import contextlib
import functools
import socket
import ssl
from collections import deque
from collections.abc import Callable

import httptools
from uvicorn.server import ServerState

from biostudio_doctor.daemon.web.protocol import Guard, GuardedProtocol, Pairs, Ready, at_once

_TURN = 16  # newcomers before those who are here have their turn
_SEATS = 64  # who are answered and wait to be let in; more are answered and asked to come again
_WORDS = 4096  # bytes of a request that are looked at
_REST = 1.0  # seconds, where no descriptor is left
_RECORD = 5  # bytes in which a record of TLS tells what it is, and how long (RFC 8446, 5.1)
_HANDSHAKE = b"\x16"  # the first of these, for a handshake


class Door:
    """Takes those who come to this socket, which does not block."""

    def __init__(
        self,
        sock: socket.socket,
        ready: Ready,
        guard: Guard,
        make: Callable[[], GuardedProtocol],
        state: ServerState,
    ) -> None:
        self.tls: ssl.SSLContext | None = None  # for those who come from now on
        self.ready = ready
        self.state = state
        self._socket = sock
        self._guard = guard
        self._make = make
        self._silent: dict[socket.socket, GuardedProtocol] = {}  # and what they will speak with
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
        for protocol in list(self._silent.values()):
            self._guard.end(protocol)

    def is_full(self) -> bool:
        """Whether nobody else can wait to be let in."""
        return len(self._seats) >= min(_SEATS, self._guard.places // 4)

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
        said = _said(caller)
        needed = self._needed(said)
        if len(said) < needed:
            self._wait(caller, self._make(), needed)
            return
        answer = None if self.tls else self._answer(caller, said)
        if answer is None:
            self._let_in(caller, self._make())
            return
        whole, stays = answer
        sent = 0
        with contextlib.suppress(OSError):  # which the rest runs into as well
            sent = caller.send(whole)
        if sent < len(whole):
            self._let_in(caller, self._make(), (whole[sent:], stays))
        elif stays:
            if not self._seats:
                asyncio.get_running_loop().call_soon(self._seat)
            self._seats.append(caller)
        else:
            caller.close()

    def _needed(self, said: bytes) -> int:
        """How many bytes a newcomer must have said: one, or a TLS handshake's first record."""
        if not self.tls or not _HANDSHAKE.startswith(said[:1]):
            return 1
        if len(said) < _RECORD:
            return _RECORD
        return min(_RECORD + int.from_bytes(said[3:5]), _WORDS)

    def _wait(self, caller: socket.socket, protocol: GuardedProtocol, needed: int) -> None:
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, needed)
        asyncio.get_running_loop().add_reader(caller, self._hear, caller, protocol, needed)
        self._silent[caller] = protocol
        protocol.end = functools.partial(self._turn_away, caller)
        self._guard.admit(protocol, silent=True)

    def _hear(self, caller: socket.socket, protocol: GuardedProtocol, needed: int) -> None:
        self._part(caller)
        said = _said(caller)
        further = self._needed(said)
        if needed <= len(said) < further:
            self._wait(caller, protocol, further)
        else:  # where they have said less, no more will come
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
            self._let_in(caller, protocol)

    def _part(self, caller: socket.socket) -> None:
        del self._silent[caller]
        asyncio.get_running_loop().remove_reader(caller)

    def _turn_away(self, caller: socket.socket) -> None:
        self._part(caller)
        caller.close()

    def _answer(self, caller: socket.socket, said: bytes) -> tuple[bytes, bool] | None:
        """The answer if it lies ready, and whether the caller stays; then their words are taken."""
        words = _Words(self)
        try:
            words.parser.feed_data(said)
            if words.answer and words.ends == words.begins == 1:
                caller.recv(len(said))
                return words.answer
        except (OSError, httptools.HttpParserError, httptools.HttpParserUpgrade):
            pass  # it is odd
        finally:
            del words.parser  # each holds the other, and the answer would stay until they are found
        return None

    def _seat(self) -> None:
        """One a turn, as all others wait while it costs what it does."""
        if len(self._seats) > 1:
            asyncio.get_running_loop().call_soon(self._seat)
        if self._seats:  # none are left at the end
            self._let_in(self._seats.popleft(), self._make(), (b"", True))

    def _let_in(
        self,
        caller: socket.socket,
        protocol: GuardedProtocol,
        owed: tuple[bytes, bool] | None = None,
    ) -> None:
        protocol.owed = owed
        # TLS may have come after the answer's beginning.
        entering = self._enter(caller, protocol, None if owed else self.tls)
        task = asyncio.get_running_loop().create_task(entering)
        self._tasks.add(task)  # or it could vanish
        task.add_done_callback(self._tasks.discard)
        protocol.end = task.cancel
        self._guard.admit(protocol)

    async def _enter(
        self, caller: socket.socket, protocol: GuardedProtocol, tls: ssl.SSLContext | None
    ) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.connect_accepted_socket(lambda: protocol, caller, ssl=tls)
        except OSError:  # the caller has gone, or speaks no TLS
            self._guard.dismiss(protocol)


def _said(caller: socket.socket) -> bytes:
    """What a newcomer has said first; it stays to be read."""
    try:
        return caller.recv(_WORDS, socket.MSG_PEEK)
    except OSError:  # nothing yet, or they are gone
        return b""


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
