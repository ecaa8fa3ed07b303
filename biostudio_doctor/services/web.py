"""Services that speak HTTP: the front (bioproxy), the app and the notebook hub.

Of each its health path is asked for, once, and nothing is followed: where a redirect leads is told.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct, structs, to_builtins

from biostudio_doctor.endpoints import Endpoint
from biostudio_doctor.probes import http, tls
from biostudio_doctor.probes.direct import Dialler
from biostudio_doctor.probes.failures import ProbeError, one_line
from biostudio_doctor.probes.results import Hop, TlsResult
from biostudio_doctor.services import Answer, Presented, Target, connection

#: Health paths, as the vendor's own Kubernetes probes and checklist have them.
FRONT, BEHIND_FRONT, APP, HUB = "/app_proxy_status", "/server_status", "/status", "/hub/api"

_SHARE = 0.25  # of the target's time: what one request may take
_VERSION_LIMIT = 40  # characters
_NAMES = 5  # of a certificate, that are told

#: A proxy of whom nothing behind it answers (RFC 9110, 15.6.3 to 15.6.5).
_NOBODY_BEHIND = (502, 503, 504)
_OTHER_NAME = (62, 64)  # X509_V_ERR_HOSTNAME_MISMATCH, _IP_ADDRESS_MISMATCH

_HUB_PROXY = "configurable-http-proxy"  # signs its error pages so
_HUB_VERSION = "x-jupyterhub-version"


class _Reply(Struct, frozen=True):
    """What was said to one request."""

    path: str
    hop: Hop
    left_at: str  # where it redirects to

    @property
    def status(self) -> int:
        return self.hop.status or 0

    @property
    def well(self) -> bool:
        """Whether it is what a health path says: well, and no page without end."""
        return 200 <= self.status < 300 and self.hop.whole

    @property
    def server(self) -> str:
        """What answers, as somebody who was not expected."""
        name = self.hop.headers.get("server", "")
        words = f"an HTTP server ({name})" if name else "an HTTP server"
        if self.left_at:
            return f"{words}, which redirects {self.path} to {self.left_at}"
        much = "" if self.hop.whole else " and more than is read of it"
        return f"{words}, which answers {self.path} with {self.status}{much}"


#: Asks the service that is just talked to for a path.
_Get = Callable[[str], Any]


async def ask_front(target: Target, domain: str = "") -> Answer:
    """bioproxy, and BioStudio through it; by HTTPS where `target.tls`.

    The certificate is told as `told["certificate"]` (a `Presented`), and the service is asked
    whether it verifies or not. It is verified for `domain`, else for the target's host. Where it
    is for neither, and no `domain` is given, for a name of its own: so whoever asks an address on
    which any name may be served learns what is to be known.
    """
    if not target.tls:
        return await connection.ask(target, "http", partial(_plain, _front))
    plain = structs.replace(target, tls=False)  # a certificate that fails must not end it
    answer = await connection.ask(plain, "http", partial(_secure_front, domain, target.ca_file))
    if answer.failure and answer.state in _SEEN_FROM_TLS:  # found out after we got no answer
        return structs.replace(answer, state=_SEEN_FROM_TLS[answer.state])
    return answer


#: What is found where TLS is expected, from what would be said where it is not.
_SEEN_FROM_TLS = {"unwell": "plain", "tls": "unwell"}


async def ask_app(target: Target) -> Answer:
    """The app of a BioStudio node."""
    return await connection.ask(target, "http", partial(_plain, _app))


async def ask_hub(target: Target) -> Answer:
    """The notebook hub behind its proxy."""
    return await connection.ask(target, "http", partial(_plain, _hub))


# --- What each says -------------------------------------------------------------------------------


async def _front(target: Target, get: _Get) -> Answer:
    reply: _Reply = await get(FRONT)
    if reply.left_at.startswith("https://") and not target.tls:
        return _answer(target, "healthy", told={"redirect": reply.left_at})
    if reply.status == 404:
        again: _Reply = await get(BEHIND_FRONT)
        return _answer(target, "healthy") if again.well else _foreign(target, reply)
    if reply.status in _NOBODY_BEHIND:
        return _behind(target, reply)
    if not reply.well:
        return _not_well(target, reply)
    try:
        behind: _Reply = await get(BEHIND_FRONT)
    except TimeoutError:
        detail = f"{BEHIND_FRONT} is not answered in time"
        return _answer(target, "unwell", detail=detail, told={"behind": "silent"})
    return (
        _behind(target, behind) if behind.status in _NOBODY_BEHIND else _answer(target, "healthy")
    )


def _behind(target: Target, reply: _Reply) -> Answer:
    detail = f"{reply.path} is answered with HTTP {reply.status}"
    return _answer(target, "unwell", detail=detail, told={"behind": str(reply.status)})


async def _app(target: Target, get: _Get) -> Answer:
    reply: _Reply = await get(APP)
    return _answer(target, "healthy") if reply.well else _not_well(target, reply)


async def _hub(target: Target, get: _Get) -> Answer:
    reply: _Reply = await get(HUB)
    version = reply.hop.headers.get(_HUB_VERSION, "") or (_version(reply) if reply.well else "")
    if version:
        state = "unwell" if reply.status >= 500 else "healthy"
        detail = f"{HUB} is answered with HTTP {reply.status}" if state == "unwell" else ""
        return _answer(target, state, version=version[:_VERSION_LIMIT], detail=detail)
    signed = _HUB_PROXY in reply.hop.first
    unsigned = not reply.hop.headers.get("server") and not reply.hop.length
    if reply.status in _NOBODY_BEHIND or (reply.status == 404 and (signed or unsigned)):
        return _behind(target, reply)
    return _foreign(target, reply) if reply.well else _not_well(target, reply)


def _version(reply: _Reply) -> str:
    try:
        told = json.loads(reply.hop.first)
    except (ValueError, RecursionError):
        return ""
    return one_line(str(told.get("version", ""))) if isinstance(told, dict) else ""


def _not_well(target: Target, reply: _Reply) -> Answer:
    if reply.status < 500:
        return _foreign(target, reply)
    return _answer(target, "unwell", detail=f"{reply.path} is answered with HTTP {reply.status}")


def _foreign(target: Target, reply: _Reply) -> Answer:
    return structs.replace(_answer(target, "foreign"), identity=reply.server)


def _answer(target: Target, state: Any, **more: Any) -> Answer:
    return Answer(host=target.host, port=target.port, state=state, **more)


# --- Asking ---------------------------------------------------------------------------------------


async def _plain(say: Callable[[Target, _Get], Any], dial: Dialler, target: Target) -> Answer:
    base = f"http://{Endpoint(target.host, target.port)}"
    get = partial(_get, dial, base, tls.lenient_context(()), target.timeout * _SHARE)
    answer: Answer = await say(target, get)
    return answer


async def _secure_front(domain: str, ca_file: str | None, dial: Dialler, target: Target) -> Answer:
    secured = await _handshake(domain, ca_file, dial, target)
    if not secured.version:
        raise connection.ForeignError(secured.failure.detail if secured.failure else "")
    base = f"https://{Endpoint(domain or target.host, target.port)}"
    get = partial(_get, dial, base, tls.lenient_context(()), target.timeout * _SHARE)
    answer = await _front(structs.replace(target, tls=True), get)
    told = {**answer.told, "certificate": to_builtins(_presented(secured))}
    return structs.replace(answer, told=told)


async def _handshake(domain: str, ca_file: str | None, dial: Dialler, target: Target) -> TlsResult:
    seconds = target.timeout * _SHARE
    first = await tls.probe(dial, domain or target.host, timeout=seconds, ca_file=ca_file)
    if domain or first.verify_code not in _OTHER_NAME or not first.chain:
        return first
    own = (*first.chain[0].dns_names, *first.chain[0].ip_addresses)
    if not own:
        return first
    name = own[0].replace("*", "biostudio")
    return await tls.probe(dial, name, timeout=seconds, ca_file=ca_file)


def _presented(secured: TlsResult) -> Presented:
    own = secured.chain[0] if secured.chain else None
    return Presented(
        name=secured.server_name,
        verified=secured.verified,
        code=secured.verify_code,
        error=secured.verify_error or (secured.failure.detail if secured.failure else ""),
        made_for=(*own.dns_names, *own.ip_addresses)[:_NAMES] if own else (),
        issuer_urls=own.issuer_urls[:1] if own else (),
    )


async def _get(dial: Dialler, base: str, context: Any, seconds: float, path: str) -> _Reply:
    """One request.

    Raises:
        ForeignError, TimeoutError, EOFError, ProbeError: as `connection.ask` takes them.
    """

    async def connect(_host: str, _port: int) -> Any:
        return await dial()

    done = await http.probe(connect, base + path, context=context, timeout=seconds, redirects=0)
    hop = done.answer
    if hop.failure and hop.failure.reason == "timeout":
        raise TimeoutError
    if hop.failure and hop.failure.phase == "connect":
        raise ProbeError(hop.failure)
    if hop.failure:
        raise connection.ForeignError(hop.failure.detail)
    if hop.status == 400 and base.startswith("http:"):  # as nginx answers where TLS is expected
        secured = await tls.probe(dial, urlsplit(base).hostname or "", timeout=seconds)
        if secured.version:
            raise connection.ForeignError
    return _Reply(path, hop, done.left_at)
