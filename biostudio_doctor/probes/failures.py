"""From an exception of the network to a `Failure`: one mapping for all probes."""

import errno
import os
import ssl

import anyio

from biostudio_doctor.probes import Failure, Phase, Reason
from biostudio_doctor.text import printable

_DETAIL_LIMIT = 300  # characters: a peer must not fill the report

_UNREACHABLE = {
    errno.ENETUNREACH,
    errno.EHOSTUNREACH,
    errno.ENETDOWN,
    errno.EHOSTDOWN,
    errno.EADDRNOTAVAIL,  # no address of our own in that family
    errno.EAFNOSUPPORT,
    errno.EPERM,  # this host's own packet filter forbids it
    errno.EACCES,
}

_CLOSED = (
    ssl.SSLEOFError,
    ssl.SSLZeroReturnError,
    anyio.EndOfStream,
    anyio.ClosedResourceError,
)


class ProbeError(Exception):
    """A measurement that ended early, carried to whoever began it."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.detail)
        self.failure = failure


def failure(phase: Phase, error: BaseException) -> Failure:
    """What an exception means, in a phase of the measurement."""
    if isinstance(error, ProbeError):
        return error.failure
    error = _root(error)
    reason = _reason(error)
    detail = "" if reason in ("timeout", "closed") else _detail(error)
    return Failure(phase, reason, one_line(detail))


def one_line(words: str, limit: int = _DETAIL_LIMIT) -> str:
    """A peer's words, made harmless: one line, bounded, printable."""
    return printable(" ".join(words.split()))[:limit]


def _root(error: BaseException) -> BaseException:
    """Below anyio's wrapping: "All connection attempts failed" says nothing, its cause does."""
    wraps = isinstance(error, anyio.BrokenResourceError) or (
        isinstance(error, OSError) and error.errno is None
    )
    return _root(error.__cause__) if wraps and error.__cause__ else error


def _reason(error: BaseException) -> Reason:
    if isinstance(error, ssl.SSLCertVerificationError):
        return "untrusted"
    if isinstance(error, _CLOSED):
        return "closed"
    if isinstance(error, ssl.SSLError):
        return "tls-alert" if "ALERT" in (error.reason or "") else "tls-protocol"
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, ConnectionRefusedError):
        return "refused"
    if isinstance(error, ConnectionError | anyio.BrokenResourceError):
        return "reset"
    if isinstance(error, OSError) and error.errno in _UNREACHABLE:
        return "unreachable"
    return "other"


def _detail(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, ssl.SSLError):
        return (error.reason or str(error)).replace("_", " ").lower()
    if isinstance(error, OSError) and (error.errno or 0) > 0:
        return os.strerror(error.errno or 0)  # asyncio has words of its own, with the address
    return f"{type(error).__name__}: {error}"
