"""BBrowserX and Talk2Data servers: whether they answer by HTTP, and with which certificate."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import partial

from anyio.abc import ByteStream
from msgspec import Struct, structs

from biostudio_doctor import endpoints
from biostudio_doctor.probes import http, tls
from biostudio_doctor.probes.direct import Dialler
from biostudio_doctor.probes.failures import ProbeError, one_line
from biostudio_doctor.probes.results import Hop, TlsResult
from biostudio_doctor.services import Answer, State, Target, connection

#: The health path of BioTuring's ecosystem server, as its Kubernetes chart asks it.
HEALTH = "/btstatus"

_SHARE = 0.3  # of the target's time: what one handshake or request may take
_VERSION_LIMIT = 40  # characters

#: What is found where TLS is expected, from what would be said where it is not.
_SEEN_FROM_TLS: dict[str, State] = {"unwell": "plain", "tls": "unwell"}


class Place(Struct, frozen=True):
    """A URL, taken apart; without user and password, which may be in it."""

    secure: bool
    host: str
    port: int
    path: str  # that it begins with, without a slash at its end

    @property
    def url(self) -> str:
        """For a person."""
        scheme, usual = ("https", 443) if self.secure else ("http", 80)
        host = f"[{self.host}]" if ":" in self.host else self.host
        at = host if self.port == usual else str(endpoints.Endpoint(self.host, self.port))
        return f"{scheme}://{at}{self.path}"


def parse(url: str) -> Place:
    """Understand a URL.

    Raises:
        ValueError: if it names no host, or no port that there can be.
    """
    parts = endpoints.split_url(url)
    secure = parts.scheme == "https"
    if not parts.hostname:
        raise ValueError("it names no host")
    return Place(
        secure, parts.hostname, parts.port or (443 if secure else 80), parts.path.rstrip("/")
    )


async def ask(place: Place, *, ca_file: str | None, timeout: float) -> Answer:
    """Ask for the health path, and for the start page where that is not known."""
    target = Target(host=place.host, port=place.port, timeout=timeout, ca_file=ca_file)
    answer = await connection.ask(target, "http", partial(_talk, place))
    if place.secure and answer.failure and answer.state in _SEEN_FROM_TLS:
        return structs.replace(answer, state=_SEEN_FROM_TLS[answer.state])
    return answer


async def _talk(place: Place, dial: Dialler, target: Target) -> Answer:
    secured = None
    if place.secure:
        secured = await tls.probe(
            dial, target.host, timeout=target.timeout * _SHARE, ca_file=target.ca_file
        )
        if not secured.version:
            raise _problem(secured)
    hop, left_at = await _get(dial, place.url + HEALTH, target)
    known = hop.status != 404
    if not known:
        hop, left_at = await _get(dial, f"{place.url}/", target)
    return _answer(target, secured, hop, left_at, known)


def _problem(secured: TlsResult) -> Exception:
    failure = secured.failure
    if failure and failure.reason == "timeout":
        return TimeoutError()
    return connection.ForeignError(failure.detail if failure else "")


async def _get(dial: Dialler, url: str, target: Target) -> tuple[Hop, str]:
    """One request, and where its answer redirects to.

    Raises:
        ForeignError, TimeoutError, ProbeError: as `connection.ask` takes them.
    """

    async def connect(_host: str, _port: int) -> ByteStream:
        return await dial()

    done = await http.probe(
        connect, url, context=tls.lenient_context(()), timeout=target.timeout * _SHARE, redirects=0
    )
    hop = done.answer
    if hop.failure and hop.status is None:
        if hop.failure.reason == "timeout":
            raise TimeoutError
        if hop.failure.phase == "connect":
            raise ProbeError(hop.failure)
        raise connection.ForeignError(hop.failure.detail)
    if hop.status == 400 and url.startswith("http:"):  # as nginx answers where TLS is expected
        secured = await tls.probe(dial, target.host, timeout=target.timeout * _SHARE)
        if secured.version:
            raise connection.ForeignError
    return hop, done.left_at


def _answer(
    target: Target, secured: TlsResult | None, hop: Hop, left_at: str, known: bool
) -> Answer:
    status = hop.status or 0
    state: State = "unwell" if status >= 500 else "healthy"
    detail = f"it answers with HTTP {status}" if status >= 500 else ""
    server = hop.headers.get("server", "")
    told: dict[str, object] = {"status": status, "known": known, "left_at": left_at}
    if secured:
        told |= _certificate(secured)
        if not secured.verified:
            state = "untrusted"
            detail = secured.verify_error or (secured.failure.detail if secured.failure else "")
    return Answer(
        host=target.host,
        port=target.port,
        state=state,
        seconds=round(sum(hop.seconds.values()), 6),
        identity="an HTTP server" + (f" ({server})" if server else ""),
        version=_version(hop) if known and status < 300 else "",
        detail=detail,
        told=told,
    )


def _certificate(secured: TlsResult) -> dict[str, object]:
    """How long it is valid: days that are left, and of how many."""
    if not secured.chain:
        return {"tls": secured.version}
    own = secured.chain[0]
    left = own.not_after - datetime.now(UTC)
    return {
        "tls": secured.version,
        "days": round(left.total_seconds() / 86400, 2),
        "lifetime_days": round(own.lifetime.total_seconds() / 86400, 2),
        "until": f"{own.not_after:%Y-%m-%d}",
        "made_for": [*own.dns_names, *own.ip_addresses][:5],
    }


def _version(hop: Hop) -> str:
    """A health page in JSON may tell a version."""
    try:
        said = json.loads(hop.first)
    except (ValueError, RecursionError):
        return ""
    version = said.get("version", "") if isinstance(said, dict) else ""
    return one_line(str(version), _VERSION_LIMIT) if isinstance(version, str | int | float) else ""
