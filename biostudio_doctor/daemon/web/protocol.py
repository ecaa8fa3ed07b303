"""Connections that cost no more than they should.

uvicorn waits for ever for a request's head, for the rest of a body, and for a reader that does not
read. Here each of these has its time, a head its size, and where places run out, one of those who
keep us waiting makes room. An answer that lies ready, as that to a scrape does, is given at once
and in one piece.
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

HEAD_TIMEOUT = 10.0  # seconds from the connection, or a later head's first byte, to a head's end
READ_TIMEOUT = 30.0  # seconds in which a peer reads nothing of what waits for it
HEAD_LIMIT = 32 << 10  # bytes
_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)


class Guard:
    """Who is here, and of these, who keeps us waiting, those that have done so longest first."""

    def __init__(self, places: int) -> None:
        self.places = places
        self._here: set[GuardedProtocol] = set()
        self.silent: dict[GuardedProtocol, float] = {}  # who waits outside -> since when
        self.heads: dict[GuardedProtocol, float] = {}  # who has to say or to do something
        self.readers: dict[GuardedProtocol, float] = {}  # who does not take the answer
        self.idle: dict[GuardedProtocol, float] = {}  # who may ask more; uvicorn has their time

    def admit(self, protocol: "GuardedProtocol", silent: bool = False) -> None:
        """Someone has come. Where no place is left, the oldest of the largest crowd makes room."""
        if len(self._here) >= self.places and protocol not in self._here:
            crowd = max(self.silent, self.heads, self.readers, self.idle, key=len)
            if crowd:
                self.end(next(iter(crowd)))
        self._here.add(protocol)
        if silent:
            self.silent.setdefault(protocol, time.monotonic())
        else:
            self.silent.pop(protocol, None)
            self.expect(protocol)

    def expect(self, protocol: "GuardedProtocol") -> None:
        """They are to say, or to do, something now."""
        if protocol in self._here:
            self.heads.setdefault(protocol, time.monotonic())

    def dismiss(self, protocol: "GuardedProtocol") -> None:
        """They are gone."""
        self._here.discard(protocol)
        for waiting in (self.silent, self.heads, self.readers, self.idle):
            waiting.pop(protocol, None)

    async def watch(self) -> None:
        """End, once a second, those whose time is over."""
        while True:
            await asyncio.sleep(1)
            now = time.monotonic()
            for waiting, patience in (
                (self.silent, HEAD_TIMEOUT),
                (self.heads, HEAD_TIMEOUT),
                (self.readers, READ_TIMEOUT),
            ):
                for protocol, since in list(waiting.items()):
                    if now - since < patience:
                        break
                    self.end(protocol)

    def end(self, protocol: "GuardedProtocol") -> None:
        """Be rid of them."""
        self.dismiss(protocol)
        end, protocol.end = protocol.end, _nothing  # or what it was lives on in a circle
        end()


class GuardedProtocol(HttpToolsProtocol):
    """uvicorn's protocol, watched."""

    def __init__(
        self, *arguments: Any, guard: Guard, ready: Ready, allowed_sans: tuple[str, ...]
    ) -> None:
        super().__init__(*arguments)
        self.limit_concurrency = guard.places + 1  # where nobody could make room
        self.guard = guard
        #: How to be rid of the peer; until it is connected, whoever connects it says how.
        self.end: Callable[[], object] = _nothing
        #: What is left of the answer to the first request, and whether the peer may stay then.
        self.owed: tuple[bytes, bool] | None = None
        self._ready = ready
        self._allowed_sans = allowed_sans
        self._is_answered = False  # the request that is being read, because its answer lay ready
        self._unfinished = 0  # bytes since the last whole head

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A peer has come."""
        assert isinstance(transport, asyncio.Transport)
        super().connection_made(transport)
        self.end = transport.abort
        # Any rest that the peer has not taken counts as waiting, so that it has its time.
        transport.set_write_buffer_limits(high=1)  # at 0 TLS would count nothing as waiting
        if not allows(transport.get_extra_info("peercert"), self._allowed_sans):
            transport.abort()
        elif self.owed:
            self.guard.heads.pop(self, None)
            self._give(*self.owed)
            self.on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """The peer has gone."""
        self.guard.dismiss(self)
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
        self.guard.idle.pop(self, None)
        self.guard.expect(self)
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
            if _is_ambiguous(self.headers, self.parser.get_http_version()):
                raise ValueError("not what RFC 9112 allows")
            super().on_headers_complete()
            if _has_body(self.headers):
                self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        """The whole request is here."""
        if self._is_answered:
            self.on_response_complete()
        else:
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """An answer is given. Who shall go, and does not, keeps us waiting like one who is silent.

        With TLS that is for the peer to do.
        """
        super().on_response_complete()
        if self.transport.is_closing():
            if self not in self.guard.readers:
                self.guard.expect(self)
        elif not self._is_busy() and self not in self.guard.heads:
            self.guard.idle[self] = time.monotonic()

    def _is_busy(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _answer_at_once(self) -> bool:
        """Give the answer if it lies ready and it is its turn; whether that was so."""
        if self._is_busy() or self.flow.write_paused or self.transport.is_closing():
            return False
        answer = at_once(self.parser, self.url, self.headers, self._ready, self.server_state)
        if answer is None:
            return False
        self._give(*answer)
        return True

    def _give(self, answer: bytes, stays: bool) -> None:
        self.transport.write(answer)
        if not stays:
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


def _nothing() -> None:
    pass


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
    version = parser.get_http_version()
    if _is_ambiguous(headers, version):
        return None
    answer = ready(url, headers)
    if answer is None:
        return None
    told, body = answer
    stays = may_stay and parser.should_keep_alive() and version != "1.0"
    lines = [b"%b: %b\r\n" % each for each in (*state.default_headers, *told)]
    lines.append(b"content-length: %d\r\n" % len(body))
    if not stays:
        lines.append(b"connection: close\r\n")
    return b"".join((b"HTTP/1.1 200 OK\r\n", *lines, b"\r\n", body)), stays


def _is_ambiguous(headers: Pairs, version: str) -> bool:
    """Whether it is left open whom or as whom they ask (RFC 9112, 3.2; RFC 9110, 5.3)."""
    names = [name for name, _ in headers]
    hosts = names.count(b"host")
    return hosts > 1 or (not hosts and version == "1.1") or names.count(b"authorization") > 1


def _has_body(headers: Pairs) -> bool:
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
        for name, value in headers
    )
