"""Connections that cost no more than they should.

uvicorn waits for ever for a request's head, for the rest of a body, and for a reader that does not
read. Here each of these has its time, a head its size, and where connections run out, the one that
has kept us waiting longest makes room. An answer that lies ready, as that to a scrape does, is
given at once and in one piece.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from biostudio_doctor.daemon.web.security import allows

Pairs = list[tuple[bytes, bytes]]  # the headers of HTTP
#: What lies ready for a GET of this URL with these headers: headers and body of a 200; else None.
Ready = Callable[[bytes, Pairs], tuple[Pairs, bytes] | None]

HEAD_TIMEOUT = 10.0  # seconds from the first byte, or the connection, to the end of the head
READ_TIMEOUT = 30.0  # seconds in which a peer reads nothing of what waits for it
HEAD_LIMIT = 32 << 10  # bytes
_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)


class Guard:
    """The connections that keep us waiting, those that have done so longest first."""

    def __init__(self, connections: int) -> None:
        self.connections = connections  # at most
        self.heads: dict[GuardedProtocol, float] = {}  # -> since when
        self.readers: dict[GuardedProtocol, float] = {}

    async def watch(self) -> None:
        """End, once a second, those whose time is over."""
        while True:
            await asyncio.sleep(1)
            now = time.monotonic()
            for waiting, patience in ((self.heads, HEAD_TIMEOUT), (self.readers, READ_TIMEOUT)):
                for protocol, since in list(waiting.items()):
                    if now - since < patience:
                        break
                    del waiting[protocol]
                    protocol.transport.abort()

    def make_room(self) -> None:
        """There are too many connections."""
        if self.heads:
            protocol = next(iter(self.heads))
            del self.heads[protocol]
            protocol.transport.abort()


class GuardedProtocol(HttpToolsProtocol):
    """uvicorn's protocol, watched."""

    def __init__(
        self, *arguments: Any, guard: Guard, ready: Ready, allowed_sans: tuple[str, ...]
    ) -> None:
        super().__init__(*arguments)
        self.guard = guard
        self._ready = ready
        self._allowed_sans = allowed_sans
        self._is_answered = False  # the request that is being read, because its answer lay ready
        self._unfinished = 0  # bytes since the last whole head

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A peer has come."""
        if len(self.connections) >= self.guard.connections:
            self.guard.make_room()
        assert isinstance(transport, asyncio.Transport)
        super().connection_made(transport)
        # Any rest that the peer has not taken counts as waiting, so that it has its time.
        transport.set_write_buffer_limits(high=1)  # at 0 TLS would count nothing as waiting
        self.guard.heads[self] = time.monotonic()
        if not allows(transport.get_extra_info("peercert"), self._allowed_sans):
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """The peer has gone."""
        self.guard.heads.pop(self, None)
        self.guard.readers.pop(self, None)
        super().connection_lost(exc)
        self._unset_keepalive_if_required()  # which uvicorn leaves to run where exc is set

    def pause_writing(self) -> None:
        """The peer does not read as fast as we write."""
        self.guard.readers[self] = time.monotonic()
        super().pause_writing()

    def resume_writing(self) -> None:
        """It has read everything."""
        self.guard.readers.pop(self, None)
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        """Bytes of a request, or of several."""
        self._unfinished += len(data)
        super().data_received(data)
        if self in self.guard.heads and self._unfinished > HEAD_LIMIT:
            self._refuse_head()

    def on_message_begin(self) -> None:
        """The first bytes of a head."""
        self.guard.heads.setdefault(self, time.monotonic())
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The head is here. No request that we know has a body: what has one is the last."""
        self.guard.heads.pop(self, None)
        self._unfinished = 0
        if sum(len(name) + len(value) for name, value in self.headers) > HEAD_LIMIT:
            self._refuse_head()
            raise ValueError("too large")  # at which the parser stops
        self._is_answered = self._answer_at_once()
        if not self._is_answered:
            super().on_headers_complete()
            if _has_body(self.headers):
                self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        """The whole request is here."""
        if self._is_answered:
            self.on_response_complete()
        else:
            super().on_message_complete()

    def _answer_at_once(self) -> bool:
        """Give the answer if it lies ready and it is its turn; whether that was so."""
        waiting = self.cycle is not None and not self.cycle.response_complete
        if waiting or self.flow.write_paused or self.transport.is_closing():
            return False
        answer = at_once(self.parser, self.url, self.headers, self._ready, self.server_state)
        if answer is None:
            return False
        whole, stays = answer
        self.transport.write(whole)
        if not stays:
            self.transport.close()
        return True

    def go_on(self, rest: bytes, stays: bool) -> None:
        """The first request was answered at the door, but for this rest."""
        self.guard.heads.pop(self, None)
        self.transport.write(rest)
        if stays:
            self.on_response_complete()
        else:
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """This is no request, or one that has been answered."""
        if not self.transport.is_closing():
            super().send_400_response(msg)

    def timeout_keep_alive_handler(self) -> None:
        """The peer has asked for nothing more for a while."""
        self.transport.abort()  # close() would first wait for it to read the last answer

    def _refuse_head(self) -> None:
        self.guard.heads.pop(self, None)
        self.transport.write(_TOO_LARGE)
        self.transport.close()


def at_once(
    parser: httptools.HttpRequestParser,
    url: bytes,
    headers: Pairs,
    ready: Ready,
    state: ServerState,
    may_stay: bool = True,
) -> tuple[bytes, bool] | None:
    """The whole answer to this head if it lies ready, and whether the connection stays; or None."""
    if parser.get_method() != b"GET" or _has_body(headers):
        return None
    answer = ready(url, headers)
    if answer is None:
        return None
    told, body = answer
    stays = may_stay and parser.should_keep_alive() and parser.get_http_version() != "1.0"
    lines = [b"%b: %b\r\n" % each for each in (*state.default_headers, *told)]
    lines.append(b"content-length: %d\r\n" % len(body))
    if not stays:
        lines.append(b"connection: close\r\n")
    return b"".join((b"HTTP/1.1 200 OK\r\n", *lines, b"\r\n", body)), stays


def _has_body(headers: Pairs) -> bool:
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
        for name, value in headers
    )
