"""One TLS handshake: made over memory buffers, so that it can be cancelled, and what it showed.

Nothing is sent to the peer after it.
"""

from __future__ import annotations

import re
import ssl
import sys
import time
from collections.abc import Awaitable, Callable

import anyio
from anyio.abc import ByteStream
from msgspec import Struct

from biostudio_doctor.probes import Failure
from biostudio_doctor.probes.failures import ProbeError, failure, one_line

#: Bytes read from the peer in one handshake. OpenSSL itself takes no chain above 100 KiB
#: (SSL_CTX_set_max_cert_list(3)); this also ends a handshake of endless small messages.
HANDSHAKE_LIMIT = 256 << 10
_HEARD_LIMIT = 64  # first bytes of the peer, to tell what it speaks if it is no TLS

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


class Handshake(Struct, kw_only=True):
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


async def attempt(
    connect: Connect, context: ssl.SSLContext, server_name: str, deadline: float
) -> Handshake:
    """Connect and shake hands, both by the deadline; always hang up."""
    done = Handshake()
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
    stream: ByteStream, context: ssl.SSLContext, server_name: str, done: Handshake
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


def _failure(error: BaseException, done: Handshake) -> Failure:
    """Why a handshake failed, from OpenSSL's reason and from what the peer sent first."""
    if isinstance(error, ssl.SSLCertVerificationError):
        done.verify_code = error.verify_code
        done.verify_error = VERIFY_ERRORS.get(error.verify_code, one_line(error.verify_message))
        return Failure("tls", "untrusted", done.verify_error)
    if not isinstance(error, ssl.SSLError) or isinstance(error, ssl.SSLEOFError):
        return failure("tls", error)
    if done.heard and not speaks_tls(done.heard):
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


def speaks_tls(heard: bytes) -> bool:
    """Whether bytes begin like a record of TLS: an alert or a handshake, version 3.x."""
    return heard[:1] in (b"\x15", b"\x16") and heard[1:2] == b"\x03"


def _quoted(heard: bytes) -> str:
    line = heard.splitlines()[0] if heard.splitlines() else b""
    text = line.decode("ascii", "replace")
    return f"'{text}'" if text.isprintable() and text.isascii() else f"bytes {heard[:8].hex(' ')}"
