"""TLS: what is negotiated with a peer, what it presents, and whether that verifies.

Verification and presentation are kept apart. The first handshake verifies as a careful client
does; only where that fails, a second one without verification, which also puts up with old
versions and weak keys, learns what is presented and negotiated: so the expiry of a certificate is
known although it is not trusted. Nothing is sent to the peer after either handshake.
"""

from __future__ import annotations

import re
import ssl
import sys
import time
from collections.abc import Awaitable, Callable, Sequence

import anyio
from anyio.abc import ByteStream
from msgspec import Struct

from biostudio_doctor.certificates import CertificateError, CertificateFacts, from_der
from biostudio_doctor.probes import Failure
from biostudio_doctor.probes.failures import ProbeError, failure, one_line
from biostudio_doctor.probes.results import TlsResult
from biostudio_doctor.probes.tls_contexts import (
    lenient_context,
    old_context,
    trusting_context,
    verifying_context,
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

#: Bytes read from the peer in one handshake. OpenSSL itself takes no chain above 100 KiB
#: (SSL_CTX_set_max_cert_list(3)); this also ends a handshake of endless small messages.
HANDSHAKE_LIMIT = 256 << 10
_CHAIN_LIMIT = 20  # certificates; honest chains have five at most
_HEARD_LIMIT = 64  # first bytes of the peer, to tell what it speaks if it is no TLS

#: How a peer says that it does not want a version: by an alert, or by hanging up.
_REFUSALS = ("tls-alert", "tls-protocol", "closed", "reset")

#: Our OpenSSL's word for a peer that speaks TLS 1.2 and 1.0, but not the version in between.
_ONLY_OLDER = "inappropriate fallback"

_ENCODING_DER = 2  # of the C module _ssl, for Python before 3.13
_BROKEN = (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError)

#: OpenSSL's reasons for an alert that the peer sent, such as SSLV3_ALERT_HANDSHAKE_FAILURE.
_ALERT = re.compile(r"(?:(?:SSLV3|TLSV1|TLSV13)_ALERT|TLSV1)_(.+)")

#: By an alert, or by our own OpenSSL where the peer chose an old version.
_VERSION_REFUSED = ("TLSV1_ALERT_PROTOCOL_VERSION", "UNSUPPORTED_PROTOCOL", "VERSION_TOO_LOW")

#: X509_V_ERR_... (openssl-verification-options(1)) in plain words.
VERIFY_ERRORS = {
    9: "it is not valid yet",
    10: "it has expired",
    18: "it is self-signed, and not among the authorities trusted here",
    19: "it was issued by a private authority that is not trusted here",
    20: "its issuer is not known here, or an intermediate certificate is missing",
    21: "its issuer is not known here, and no intermediate certificate was sent",
    24: "it was issued by a certificate that may issue none",
    26: "it is not made for servers",
    62: "it is for another name",
    64: "it is for another IP address",
    66: "its key is too weak",
    67: "its issuer's key is too weak",
    68: "its signature is too weak",
}

#: Opens a fresh connection to the peer, direct or through a proxy.
Connect = Callable[[], Awaitable[ByteStream]]


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
        done = await _attempt(connect, old_context(newest), server_name, deadline)
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
    first = await _attempt(connect, verifying, server_name, deadline)
    second = None
    if first.failure and _worth_another_look(first):
        second = await _attempt(connect, lenient_context(alpn), server_name, deadline)
    shown = second if second and second.chain else first
    return Examined(result=_result(server_name, first, second or first), chain=shown.chain)


# --- One handshake --------------------------------------------------------------------------------


class _Handshake(Struct, kw_only=True):
    """How one attempt went."""

    seconds: float = 0.0
    version: str = ""
    cipher: str = ""
    alpn: str = ""
    chain: tuple[bytes, ...] = ()  # DER
    heard: bytes = b""
    verify_code: int = 0
    verify_error: str = ""
    failure: Failure | None = None


class _Incoming:
    """What a peer sends in one handshake, counted."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._count = 0
        self.heard = b""

    async def receive(self) -> bytes:
        data = await self._stream.receive()
        self.heard = (self.heard + data)[:_HEARD_LIMIT]
        self._count += len(data)
        if self._count > HANDSHAKE_LIMIT:
            detail = f"it sent more than {HANDSHAKE_LIMIT >> 10} KiB in one handshake"
            raise ProbeError(Failure("tls", "too-large", detail))
        return data


async def _attempt(
    connect: Connect, context: ssl.SSLContext, server_name: str, deadline: float
) -> _Handshake:
    """Connect and shake hands, both by the deadline; always hang up."""
    done = _Handshake()
    stream: ByteStream | None = None
    try:
        with anyio.fail_after(max(0.0, deadline - anyio.current_time())):
            stream = await connect()
            await _shake_hands(stream, context, server_name, done)
    except (OSError, ValueError, ProbeError, *_BROKEN) as error:
        done.failure = _failure(error, done) if stream else failure("connect", error)
    finally:
        if stream:
            await anyio.aclose_forcefully(stream)
    return done


async def _shake_hands(
    stream: ByteStream, context: ssl.SSLContext, server_name: str, done: _Handshake
) -> None:
    """One handshake over memory buffers, so that it can be cancelled; `done` is filled in."""
    received, to_send = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(received, to_send, server_hostname=host_name(server_name))
    incoming = _Incoming(stream)
    started = time.perf_counter()
    try:
        while True:
            finished = _advance(tls)
            if to_send.pending:
                await stream.send(to_send.read())
            if finished:
                break
            received.write(await incoming.receive())
        done.version = tls.version() or ""
        done.cipher = (tls.cipher() or ("",))[0]
        done.alpn = tls.selected_alpn_protocol() or ""
    finally:
        done.seconds = round(time.perf_counter() - started, 6)
        done.heard = incoming.heard
        done.chain = presented(tls)


def _advance(tls: ssl.SSLObject) -> bool:
    """Go on with a handshake as far as what was received allows; whether it is finished."""
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True


def host_name(name: str) -> str:
    """A name as certificates and SNI have it: IDNs as A-labels, addresses without their zone.

    OpenSSL sends no SNI for an IP address, and looks it up among the addresses of a certificate.

    Raises:
        ValueError: for what is no name.
    """
    name = name.strip("[]").partition("%")[0].removesuffix(".")
    if not name.isascii():  # others are left alone: idna would refuse underscores
        import idna

        name = idna.encode(name, uts46=True).decode("ascii")
    if not all(0 < len(label) < 64 and label.isprintable() for label in name.split(".")):
        raise ValueError(f"{name!r} is no host name")
    return name


def presented(tls: ssl.SSLObject) -> tuple[bytes, ...]:
    """The chain as the peer sent it, in DER; known also where a later step failed.

    Public since Python 3.13, where it gives bytes; before, only the C object inside has it, and it
    gives objects.
    """
    return _chain_of(tls, "get_unverified_chain")


def verified(tls: ssl.SSLObject) -> tuple[bytes, ...]:
    """The chain up to the authority that is trusted, in DER, after a handshake that verified."""
    return _chain_of(tls, "get_verified_chain")


def _chain_of(tls: ssl.SSLObject, method: str) -> tuple[bytes, ...]:
    if sys.version_info >= (3, 13):
        return tuple(getattr(tls, method)())
    found = getattr(tls._sslobj, method)() or ()  # type: ignore[attr-defined]
    return tuple(certificate.public_bytes(_ENCODING_DER) for certificate in found)


# --- What it means --------------------------------------------------------------------------------


def _failure(error: BaseException, done: _Handshake) -> Failure:
    """Why a handshake failed, from OpenSSL's reason and from what the peer sent first."""
    if isinstance(error, ssl.SSLCertVerificationError):
        done.verify_code = error.verify_code
        done.verify_error = VERIFY_ERRORS.get(error.verify_code, one_line(error.verify_message))
        return Failure("tls", "untrusted", done.verify_error)
    if not isinstance(error, ssl.SSLError) or isinstance(error, ssl.SSLEOFError):
        return failure("tls", error)
    if done.heard and not _speaks_tls(done.heard):
        return Failure("tls", "tls-protocol", f"no TLS: it says {_quoted(done.heard)}")
    reason = error.reason or ""
    alert = _ALERT.match(reason)
    if reason in _VERSION_REFUSED:
        return Failure("tls", "tls-protocol", "it speaks neither TLS 1.2 nor 1.3")
    if reason == "EXCESSIVE_MESSAGE_SIZE":
        return Failure("tls", "too-large", "it sent a chain of certificates of more than 100 KiB")
    if alert:
        return Failure("tls", "tls-alert", alert[1].replace("_", " ").lower())
    return failure("tls", error)


def _speaks_tls(heard: bytes) -> bool:
    """Whether bytes begin like a record of TLS: an alert or a handshake, version 3.x."""
    return heard[:1] in (b"\x15", b"\x16") and heard[1:2] == b"\x03"


def _quoted(heard: bytes) -> str:
    line = heard.splitlines()[0] if heard.splitlines() else b""
    text = line.decode("ascii", "replace")
    return f"'{text}'" if text.isprintable() and text.isascii() else f"bytes {heard[:8].hex(' ')}"


def _worth_another_look(first: _Handshake) -> bool:
    """Whether a handshake without verification, and with old versions, may tell more."""
    reasons = ("untrusted", "tls-protocol", "tls-alert")
    return (
        first.failure is not None and first.failure.reason in reasons and _speaks_tls(first.heard)
    )


def _result(server_name: str, first: _Handshake, second: _Handshake | None) -> TlsResult:
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


def _with_what_it_offers(problem: Failure | None, second: _Handshake | None) -> Failure | None:
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
