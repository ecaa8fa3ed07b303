"""What a client asks of a peer's TLS: contexts that are careful, and such as put up with much.

They are prepared once and shared, for as long as the process lives.
"""

from __future__ import annotations

import errno
import functools
import ssl
import warnings

_NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME of OpenSSL's x509_vfy.h, unnamed in Python


@functools.cache
def verifying_context(ca_file: str | None = None, alpn: tuple[str, ...] = ()) -> ssl.SSLContext:
    """A client's context that trusts the system's store, and `ca_file` besides.

    truststore finds that store where OpenSSL was built for another distribution, but reads it anew
    for every connection (some 40 ms). The context that it has prepared for its first connection is
    kept instead, for as long as this process lives. It is shared: who sets protocols to offer on
    it, as httpx does, asks for one of its own by naming them here.

    Raises:
        OSError: if `ca_file` cannot be read or holds no certificate.
    """
    import truststore

    careful = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    careful.minimum_version = ssl.TLSVersion.TLSv1_2
    prepared = careful.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="unused")
    context = prepared.context
    _add_authorities(context, ca_file)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


def _add_authorities(context: ssl.SSLContext, ca_file: str | None) -> None:
    if not ca_file:
        return
    try:
        context.load_verify_locations(cafile=ca_file)
    except ssl.SSLError:  # OSError's own words are good enough, these are not
        raise OSError(errno.EINVAL, "it holds no certificate in PEM", ca_file) from None
    except OSError as error:
        error.filename = ca_file
        raise


@functools.cache
def trusting_context(ca_file: str | None = None) -> ssl.SSLContext:
    """As `verifying_context`, for the chain's trust alone.

    Raises:
        OSError: as `verifying_context`.
    """
    import truststore

    careful = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    careful.check_hostname = False
    context = careful.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="unused").context
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_flags |= _NO_CHECK_TIME
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    _add_authorities(context, ca_file)
    return context


@functools.cache
def old_context(newest: ssl.TLSVersion) -> ssl.SSLContext:
    """A context that speaks TLS 1.0 and what follows up to an old version, without verification."""
    context = _lenient()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that is the purpose
        context.maximum_version = newest
    return context


@functools.cache
def lenient_context(alpn: tuple[str, ...]) -> ssl.SSLContext:
    """Without verification, and for peers that offer only what is no longer safe."""
    context = _lenient()
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


def _lenient() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that is the purpose
        context.minimum_version = ssl.TLSVersion.TLSv1
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.options |= getattr(ssl, "OP_LEGACY_SERVER_CONNECT", 0x4)  # named since Python 3.12
    return context
