"""TLS: what is negotiated with a peer, what it presents, and whether that verifies.

Verification and presentation are kept apart. The first handshake verifies as a careful client
does; only where that fails, a second one without verification, which also puts up with old
versions and weak keys, learns what is presented and negotiated: so the expiry of a certificate is
known although it is not trusted. Nothing is sent to the peer after either handshake.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence

import anyio
from msgspec import Struct

from biostudio_doctor.certificates import CertificateError, CertificateFacts, from_der
from biostudio_doctor.probes import Failure
from biostudio_doctor.probes.results import TlsResult
from biostudio_doctor.probes.tls_contexts import (
    lenient_context,
    old_context,
    trusting_context,
    verifying_context,
)
from biostudio_doctor.probes.tls_handshake import (
    VERIFY_ERRORS,
    Connect,
    Handshake,
    attempt,
    host_name,
    presented,
    speaks_tls,
    verified,
)

__all__ = [
    "VERIFY_ERRORS",
    "Connect",
    "Examined",
    "examine",
    "host_name",
    "lenient_context",
    "oldest_version",
    "presented",
    "probe",
    "verified",
    "verifying_context",
]

_CHAIN_LIMIT = 20  # certificates; honest chains have five at most

#: How a peer says that it does not want a version: by an alert, or by hanging up.
_REFUSALS = ("tls-alert", "tls-protocol", "closed", "reset")

#: Our OpenSSL's word for a peer that speaks TLS 1.2 and 1.0, but not the version in between.
_ONLY_OLDER = "inappropriate fallback"


async def probe(
    connect: Connect,
    server_name: str,
    *,
    timeout: float,
    ca_file: str | None = None,
    alpn: Sequence[str] = (),
) -> TlsResult:
    """Shake hands with a peer, twice where the first time fails for a reason worth another look.

    `connect` is called once for each handshake and opens a fresh stream; what it raises as OSError
    or ProbeError becomes the failure (of the phase `connect`, or the ProbeError's own). `timeout`
    is in seconds and covers everything, connecting included. `ca_file` holds authorities in PEM
    that are trusted besides the system's. `alpn` are protocols to offer, such as h2 and http/1.1.

    Raises:
        OSError: if `ca_file` cannot be read or holds no certificate.
    """
    verifying = verifying_context(ca_file, tuple(alpn))
    return (await _probe(connect, server_name, timeout, verifying, tuple(alpn))).result


class Examined(Struct, frozen=True, kw_only=True):
    """A peer's TLS with the chain itself, for what facts do not tell. It is no fact."""

    result: TlsResult
    chain: tuple[bytes, ...]  # DER, as presented


async def examine(
    connect: Connect, server_name: str, *, timeout: float, ca_file: str | None = None
) -> Examined:
    """As `probe`, but what is verified is the chain's trust alone.

    Names, dates, and weak keys and signatures are left to whoever judges them: what is wrong with
    one must not hide what is wrong with the others.

    Raises:
        OSError: if `ca_file` cannot be read or holds no certificate.
    """
    return await _probe(connect, server_name, timeout, trusting_context(ca_file), ())


async def oldest_version(connect: Connect, server_name: str, *, timeout: float) -> str | None:
    """The oldest of TLS 1.0 and 1.1 that a peer agrees to: '' for neither.

    None where that could not be found out: this host's OpenSSL has no old versions or must not
    speak them (as cryptographic policies have it), or the peer did not answer.
    """
    if not (ssl.HAS_TLSv1 and ssl.HAS_TLSv1_1):
        return None
    deadline = anyio.current_time() + timeout
    found = ""
    for newest in (ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1):
        done = await attempt(connect, old_context(newest), server_name, deadline)
        if done.failure and done.failure.detail == _ONLY_OLDER:
            continue
        if done.failure:
            ours = done.failure.reason == "tls-protocol" and not done.heard  # nothing was refused
            return found if found or (done.failure.reason in _REFUSALS and not ours) else None
        found = done.version
        if found == "TLSv1":
            break
    return found


async def _probe(
    connect: Connect,
    server_name: str,
    timeout: float,
    verifying: ssl.SSLContext,
    alpn: tuple[str, ...],
) -> Examined:
    deadline = anyio.current_time() + timeout
    first = await attempt(connect, verifying, server_name, deadline)
    second = None
    if first.failure and _worth_another_look(first):
        second = await attempt(connect, lenient_context(alpn), server_name, deadline)
    shown = second if second and second.chain else first
    return Examined(result=_result(server_name, first, second or first), chain=shown.chain)


# --- What it means --------------------------------------------------------------------------------


def _worth_another_look(first: Handshake) -> bool:
    """Whether a handshake without verification, and with old versions, may tell more."""
    reasons = ("untrusted", "tls-protocol", "tls-alert")
    return first.failure is not None and first.failure.reason in reasons and speaks_tls(first.heard)


def _result(server_name: str, first: Handshake, second: Handshake | None) -> TlsResult:
    shown = second if second and second.chain else first
    chain, unread = _chain(shown.chain)
    return TlsResult(
        server_name=server_name,
        version=shown.version,
        cipher=shown.cipher,
        alpn=shown.alpn,
        chain=chain,
        unread=unread,
        verified=first.failure is None,
        verify_code=first.verify_code,
        verify_error=first.verify_error,
        seconds=first.seconds,
        failure=_with_what_it_offers(first.failure, second),
    )


def _with_what_it_offers(problem: Failure | None, second: Handshake | None) -> Failure | None:
    """Tell what a peer does speak where no safe handshake could be had."""
    if problem is None or problem.reason == "untrusted" or not (second and second.version):
        return problem
    offer = f"it offers no better than {second.version} with {second.cipher}"
    return Failure("tls", "tls-protocol", f"{problem.detail}: {offer}")


def _chain(presented: Sequence[bytes]) -> tuple[tuple[CertificateFacts, ...], str]:
    """Facts of a chain as far as it can be read: OpenSSL takes more than cryptography does."""
    facts: list[CertificateFacts] = []
    for der in presented:
        if len(facts) == _CHAIN_LIMIT:
            return tuple(facts), f"it has {len(presented)} certificates, which no honest one has"
        try:
            facts.append(from_der(der))
        except CertificateError as error:
            return tuple(facts), f"certificate {len(facts) + 1} of the chain: {error}"
    return tuple(facts), ""
