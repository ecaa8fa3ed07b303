"""HTTP over TLS: status, headers, redirects and first bytes, each phase timed by httpx's trace.

httpx is given streams that the caller dials, so that the request goes the very way that was
probed, through the proxy and past no second name resolution.
"""

import ssl
import time
from collections.abc import Awaitable, Callable
from datetime import UTC
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpcore
import httpx
from anyio.abc import ByteStream
from anyio.streams.tls import TLSAttribute, TLSStream

from biostudio_doctor import __version__
from biostudio_doctor.probes import Failure, Phase
from biostudio_doctor.probes.failures import failure, one_line
from biostudio_doctor.probes.results import Exchange, Hop

#: Opens a stream to a host and port; raises ProbeError.
Dial = Callable[[str, int], Awaitable[ByteStream]]

_REDIRECTS = 5
_BODY_LIMIT = 16384  # bytes that are read of an answer; the rest is not waited for
_CHUNKS = 256  # that the body may come in until then
_FIRST = 1024  # characters of the body that are kept, to know a block page by
_HEADERS = (
    "content-type", "content-length", "server", "via", "retry-after", "cf-ray", "cf-mitigated",
    "x-cache", "x-amz-cf-id", "x-amz-request-id", "x-jupyterhub-version",
)  # fmt: skip
_HEADER_LIMIT = 120

#: The phase that each of httpx's trace events ends, and what began it.
_TRACED: dict[str, Phase] = {
    "connection.connect_tcp": "connect",
    "connection.start_tls": "tls",
    "http11.send_request_headers": "request",
    "http11.receive_response_headers": "request",
    "http11.receive_response_body": "transfer",
}


async def probe(
    dial: Dial, url: str, *, context: ssl.SSLContext, timeout: float, redirects: int = _REDIRECTS
) -> Exchange:
    """GET a URL and follow its redirects, as long as they stay HTTPS; `timeout` covers them all."""
    deadline = anyio.current_time() + timeout
    hops: list[Hop] = []
    following: str | None = url
    while following and len(hops) <= redirects:
        left = max(0.0, deadline - anyio.current_time())
        hop, following = await _get(dial, following, context, left)
        hops.append(hop)
        if following and not following.startswith("https://"):
            break
    return Exchange(hops=tuple(hops), left_at=_public(following) if following else "")


async def _get(
    dial: Dial, url: str, context: ssl.SSLContext, timeout: float
) -> tuple[Hop, str | None]:
    """One hop, and where it redirects to."""
    told: dict[str, Any] = {}
    trace = Trace()
    problem, following = None, None
    try:
        with anyio.fail_after(timeout):
            async with httpx.AsyncClient(
                transport=Transport(dial, context), trust_env=False, timeout=timeout
            ) as client:
                request = client.build_request(
                    "GET", url, headers=OUR_HEADERS, extensions={"trace": trace}
                )
                response = await client.send(request, stream=True)
                told = _told(response)
                following = str(response.next_request.url) if response.next_request else None
                told |= await _body(response)
    except httpx.InvalidURL as error:
        problem = Failure("request", "bad-response", one_line(str(error)))
    except (httpx.ProtocolError, httpcore.ProtocolError) as error:
        problem = Failure(trace.phase, "bad-response", one_line(str(error)))
    except Exception as error:  # httpx passes on whatever a stream may raise
        problem = failure(trace.phase, error)
    host = one_line(urlsplit(url).hostname or "")
    return Hop(
        url=_public(url), host=host, seconds=trace.seconds, failure=problem, **told
    ), following


OUR_HEADERS = {
    "User-Agent": f"biostudio-doctor/{__version__}",
    "Accept": "*/*",
    "Accept-Encoding": "identity",
    "Connection": "close",
}


def _told(response: httpx.Response) -> dict[str, Any]:
    headers = {
        name: one_line(response.headers[name])[:_HEADER_LIMIT]
        for name in _HEADERS
        if name in response.headers
    }
    return {
        "status": response.status_code,
        "phrase": one_line(response.reason_phrase)[:_HEADER_LIMIT],
        "headers": headers,
        "clock_offset": _clock_offset(response.headers.get("date", "")),
    }


async def _body(response: httpx.Response) -> dict[str, Any]:
    """Read to the end or to a limit, then hang up."""
    body = bytearray()
    chunks, whole = 0, True
    async for chunk in response.aiter_raw():
        body += chunk
        chunks += 1
        if len(body) >= _BODY_LIMIT or chunks >= _CHUNKS:
            whole = False
            break
    first = one_line(bytes(body[:_FIRST]).decode("utf-8", "replace"), _FIRST)
    return {"first": first, "length": len(body), "whole": whole}


def _clock_offset(date: str) -> float | None:
    """How far ahead the server's clock is; its Date has whole seconds only."""
    from email.utils import parsedate_to_datetime

    try:
        told = parsedate_to_datetime(date)
        return round(told.replace(tzinfo=told.tzinfo or UTC).timestamp() - time.time(), 1)
    except (ValueError, TypeError, OverflowError):
        return None


def _public(url: str) -> str:
    """A URL without user info, query and fragment: signed links carry secrets there.

    It is one that httpx has understood, so an @ beyond the host is no end of a password here.
    """
    try:
        parts = urlsplit(url)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return ""
    return one_line(f"{parts.scheme}://{host}{port}{parts.path}")


class Trace:
    """Adds up the seconds of each phase from httpx's events, and knows the phase that runs."""

    def __init__(self) -> None:
        self.seconds: dict[Phase, float] = {}
        self.phase: Phase = "connect"
        self._started = 0.0

    async def __call__(self, event: str, _info: dict[str, Any]) -> None:
        """What httpx calls for each event."""
        name, _, moment = event.rpartition(".")
        phase = _TRACED.get(name)
        if not phase:
            return
        if moment == "started":
            self.phase, self._started = phase, time.perf_counter()
            return
        spent = self.seconds.get(phase, 0.0) + time.perf_counter() - self._started
        self.seconds[phase] = round(spent, 6)


class Transport(httpx.AsyncHTTPTransport):
    """httpx's own transport over streams that we dial: its pool takes a network backend."""

    def __init__(self, dial: Dial, context: ssl.SSLContext) -> None:
        super().__init__(verify=context, trust_env=False)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=context, network_backend=_Backend(dial), max_keepalive_connections=0
        )


class _Backend(httpcore.AsyncNetworkBackend):
    def __init__(self, dial: Dial) -> None:
        self._dial = dial

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> httpcore.AsyncNetworkStream:
        return _Stream(await self._dial(host, port))


class _Stream(httpcore.AsyncNetworkStream):
    """An anyio stream for httpcore; time is kept by `_get` for the whole."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            return await self._stream.receive(max_bytes)
        except anyio.EndOfStream:
            return b""

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self._stream.send(buffer)

    async def aclose(self) -> None:
        await anyio.aclose_forcefully(self._stream)

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        return _Stream(
            await TLSStream.wrap(
                self._stream,
                hostname=server_hostname,
                ssl_context=ssl_context,
                standard_compatible=False,
            )
        )

    def get_extra_info(self, info: str) -> Any:
        return self._stream.extra(TLSAttribute.ssl_object, None) if info == "ssl_object" else None
