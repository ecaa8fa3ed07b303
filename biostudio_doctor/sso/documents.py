"""Documents that a provider publishes, fetched by HTTPS as this host's proxies have it.

The way there is measured first, phase by phase (`probes.path`), so that what is wrong with it can
be told. What a redirect leads to is not taken for the document: that is read where it is published.
"""

from __future__ import annotations

from urllib.parse import urlsplit

import anyio
import httpx
from anyio.abc import ByteStream
from msgspec import structs

from biostudio_doctor.endpoints import split_url
from biostudio_doctor.probes import path as paths
from biostudio_doctor.probes import tls
from biostudio_doctor.probes.failures import failure
from biostudio_doctor.probes.http import OUR_HEADERS, Transport
from biostudio_doctor.probes.path import Surroundings, Target, Way
from biostudio_doctor.probes.results import Path
from biostudio_doctor.sso import shown
from biostudio_doctor.sso.facts import Document, Kind

_WAY_SHARE = 0.7  # of the time: for the way there; the rest is for the document


def target(url: str) -> Target:
    """Where an https:// URL leads, its query included.

    Raises:
        ValueError: one line that says what is wrong with it.
    """
    if not url.isprintable() or " " in url:
        raise ValueError("it contains blanks or control characters")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise ValueError("it is no valid URL") from None
    if parts.scheme != "https":
        raise ValueError("it does not begin with https://")
    if not host:
        raise ValueError("it names no host")
    if port == 0:
        raise ValueError("it has no valid port (1 to 65535)")
    if "@" in parts.netloc:
        raise ValueError("it has a user name in it")
    split_url(url)  # raises where a password may have been taken for the path
    tls.host_name(host)  # a ValueError of its own where that is no name
    query = f"?{parts.query}" if parts.query else ""
    return Target(host=host, port=port or 443, path=(parts.path or "/") + query)


async def reach(url: str, around: Surroundings, *, timeout: float) -> Document:
    """Go the way to a URL; what is answered there is only asked for its status."""
    try:
        there = target(url)
    except ValueError as error:
        return Document(url=shown(url), problem=str(error))
    path = _without_bodies(await paths.probe(there, around, timeout=timeout))
    return Document(url=shown(url), path=path, left_at=_left_at(path))


def _without_bodies(path: Path) -> Path:
    """By mistake there may be a private key in them, and facts go into reports."""
    if not path.exchange:
        return path
    hops = tuple(structs.replace(hop, first="") for hop in path.exchange.hops)
    return structs.replace(path, exchange=structs.replace(path.exchange, hops=hops))


async def fetch(
    url: str, around: Surroundings, *, limit: int, timeout: float
) -> tuple[Document, bytes]:
    """A document of at most `limit` bytes, within `timeout` seconds; b"" where it was not had."""
    deadline = anyio.current_time() + timeout
    found = await reach(url, around, timeout=_WAY_SHARE * timeout)
    path = found.path
    answer = path.exchange.answer if path and path.exchange else None
    if not (path and answer and not path.failure and answer.status == 200):
        return found, b""
    body = bytearray()
    problem = None
    try:
        with anyio.fail_after(max(0.0, deadline - anyio.current_time())):
            await _read(target(url), Way.known(path, around, deadline), around, body, limit)
    except Exception as error:  # httpx passes on whatever a stream may raise
        problem = failure("transfer", error)
    if problem:
        found = structs.replace(found, path=structs.replace(path, failure=problem))
        return found, b""
    data = bytes(body)
    kind: Kind = "large" if len(data) > limit else look(data)
    return structs.replace(found, kind=kind, length=len(data)), data if kind != "large" else b""


async def _read(there: Target, way: Way, around: Surroundings, body: bytearray, limit: int) -> None:
    async def dial(_host: str, _port: int) -> ByteStream:
        return await way.open()

    context = tls.verifying_context(around.ca_file, ("http/1.1",))
    async with (
        httpx.AsyncClient(transport=Transport(dial, context), trust_env=False) as client,
        client.stream("GET", there.url, headers=OUR_HEADERS) as response,
    ):
        async for part in response.aiter_raw():
            body += part
            if len(body) > limit:
                return


def look(data: bytes) -> Kind:
    """What bytes begin like."""
    start = data[:2048].removeprefix(b"\xef\xbb\xbf").lstrip()
    lower = start.lower()
    if not start:
        return "empty"
    if lower.startswith((b"<!doctype html", b"<html")) or b"<html" in lower:
        return "html"
    if start[:1] in b"{[":
        return "json"
    return "xml" if start[:1] == b"<" or start[:2] in (b"\xff\xfe", b"\xfe\xff") else "other"


def _left_at(path: Path) -> str:
    """Where the first answer redirects to; '' if it does not."""
    if not path.exchange:
        return ""
    hops = path.exchange.hops
    return hops[1].url if len(hops) > 1 else path.exchange.left_at
