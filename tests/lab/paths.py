"""Ways to hosts as they would have been measured, made by hand, for judging them."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import structs

from biostudio_doctor.certificates import CertificateFacts
from biostudio_doctor.check import Context
from biostudio_doctor.checks.egress_facts import EgressFacts, Evidence
from biostudio_doctor.model import Machine, Strength
from biostudio_doctor.probes import Failure
from biostudio_doctor.probes.results import (
    Answer,
    Attempt,
    Exchange,
    Hop,
    Lookup,
    Path,
    Proxy,
    Reply,
    Route,
    SecondLook,
    TlsResult,
)
from biostudio_doctor.requirements import Endpoint, Requirements
from tests.conftest import DEBIAN, context

SERVER, SERVER2 = "10.0.0.53", "10.0.0.54"
V4, V6, OURS4, OURS6 = "192.0.2.7", "2001:db8::7", "10.0.0.5", "fd00::5"
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def endpoint(
    host: str, port: int = 443, strength: Strength = Strength.REQUIRED, path: str = "/",
    **others: Any,
) -> Endpoint:  # fmt: skip
    return Endpoint(
        id=f"egress.{host}:{port}",
        strength=strength,
        section="Network requirements",
        says="*.lab",
        source="test",
        host=host,
        domain=host.partition(".")[2] or host,
        group=others.pop("group", "packages"),
        purpose="the tests come from here",
        path=path,
        port=port,
        **others,
    )


def asked_for(*endpoints: Endpoint, machine: Machine = DEBIAN, **config: object) -> Context:
    wanted = Requirements("test", {item.id: item for item in endpoints})
    return structs.replace(context(machine, **config), requirements=wanted)


def facts(*paths: Path, **others: Any) -> EgressFacts:
    return EgressFacts(
        observed_at=NOW, paths=paths, **{"name_servers": (SERVER,), "sources": (OURS4,), **others}
    )


def evidence(gathered: EgressFacts, endpoints: Iterable[Endpoint] = (), *more: Any) -> Evidence:
    wanted = list(endpoints) or [endpoint(path.host, path.port) for path in gathered.paths]
    return Evidence(gathered, wanted, Requirements("test", {item.id: item for item in more}))


# --- Names ----------------------------------------------------------------------------------------


def answer(server: str, reason: str = "", record: str = "A", **others: Any) -> Answer:
    problem = Failure("resolve", reason) if reason else None  # type: ignore[arg-type]
    found = () if reason else (V4 if record == "A" else V6,)
    told = {"source": "10.0.0.9", **others}
    return Answer(server=server, record=record, seconds=1, addresses=found, failure=problem,
                  **told)  # type: ignore[arg-type]  # fmt: skip


def unresolved(host: str, reason: str, *answers: Answer) -> Path:
    failure = Failure("resolve", reason, "Temporary failure")  # type: ignore[arg-type]
    return Path(
        host=host,
        port=443,
        route=Route(),
        lookup=Lookup(name=host, addresses=(), seconds=6, failure=failure),
        answers=answers or (answer(SERVER, reason),),
        seconds={"resolve": 6.0},
        failure=failure,
    )


# --- Connections ----------------------------------------------------------------------------------


def attempt(address: str = V4, reason: str = "", detail: str = "", source: str = "?") -> Attempt:
    six = ":" in address
    return Attempt(
        address=address,
        family="IPv6" if six else "IPv4",
        seconds=0.1,
        source=(OURS6 if six else OURS4) if source == "?" else source,
        failure=Failure("connect", reason, detail) if reason else None,  # type: ignore[arg-type]
    )


def lookup(host: str, *addresses: str) -> Lookup:
    return Lookup(name=host, addresses=addresses, seconds=0.01)


def unconnected(host: str, reason: str = "timeout", detail: str = "", *attempts: Attempt) -> Path:
    tried = attempts or (attempt(V4, reason, detail),)
    return Path(
        host=host,
        port=443,
        route=Route(),
        lookup=lookup(host, *(one.address for one in tried)),
        attempts=tried,
        failure=Failure("connect", reason, detail),  # type: ignore[arg-type]
    )


# --- TLS ------------------------------------------------------------------------------------------


def certificate(issuer: str = "Lab CA", name: str = "a.lab", days: float = 90) -> CertificateFacts:
    return CertificateFacts(
        subject=f"CN={name}",
        issuer=f"O={issuer}",
        common_name=name,
        issuer_name=issuer,
        serial="1",
        not_before=NOW + timedelta(days=days - 365),
        not_after=NOW + timedelta(days=days),
        sha256="0" * 64,
    )


def untrusted(host: str, code: int, *chain: CertificateFacts, detail: str = "why") -> Path:
    failure = Failure("tls", "untrusted", detail)
    found = TlsResult(
        server_name=host,
        version="TLSv1.3",
        verify_code=code,
        failure=failure,
        chain=chain or (certificate(name=host), certificate(name=host)),
    )
    return connected(host, tls=found, failure=failure)


def connected(host: str, **others: Any) -> Path:
    return Path(
        host=host, port=443, route=Route(), lookup=lookup(host, V4), attempts=(attempt(),), **others
    )


def cut(host: str, reason: str = "timeout", phase: str = "tls", **tls: Any) -> Path:
    failure = Failure(phase, reason, tls.pop("detail", ""))  # type: ignore[arg-type]
    result = TlsResult(server_name=host, failure=failure, **tls) if phase == "tls" else None
    return connected(host, tls=result, failure=failure)


def shaken(host: str = "b.lab") -> TlsResult:
    chain = (certificate("Let's Encrypt", host),)
    return TlsResult(server_name=host, verified=True, chain=chain)


def look(host: str, **found: Any) -> SecondLook:
    return SecondLook(host=host, port=443, **found)


# --- HTTP -----------------------------------------------------------------------------------------


def hop(host: str, status: int | None = 200, scheme: str = "https", **others: Any) -> Hop:
    return Hop(url=f"{scheme}://{host}/", host=host, seconds={}, status=status, **others)


def reached(host: str, *hops: Hop, left_at: str = "", attempts: tuple[Attempt, ...] = ()) -> Path:
    first = () if hops and hops[0].host == host else (hop(host, 302 if hops or left_at else 200),)
    path = connected(
        host, tls=shaken(host), exchange=Exchange(hops=(*first, *hops), left_at=left_at)
    )
    return structs.replace(path, attempts=attempts or path.attempts)


# --- Proxies --------------------------------------------------------------------------------------


def proxied(
    host: str, reason: str, status: int = 0, schemes: tuple[str, ...] = (), *,
    connects: bool = True, **proxy: Any,
) -> Path:  # fmt: skip
    through = Proxy(**{"scheme": "http", "host": "proxy.lab", "port": 3128, **proxy})
    reply = Reply(status=status, phrase="No", seconds=0, schemes=schemes) if status else None
    return Path(
        host=host,
        port=443,
        route=Route(variable="https_proxy", proxy=through),
        attempts=(attempt("10.0.0.9", "" if connects else "timeout"),),
        reply=reply,
        failure=Failure("proxy", reason, f"{status} No" if status else "why"),  # type: ignore[arg-type]
    )
