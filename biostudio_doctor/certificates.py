"""Certificates, read into plain facts: PEM with one or many of them, or DER.

X.509 itself is parsed by `cryptography`, which is imported only once there is something to parse.
What is no certificate is named for what it is, with the command that makes one of it.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from msgspec import Struct

from biostudio_doctor.text import printable

if TYPE_CHECKING:
    from cryptography import x509

#: Bytes. A whole system's bundle of some 150 authorities is a quarter of that.
SIZE_LIMIT = 1 << 20
_LINE_LIMIT = 500  # characters of a name; honest ones have 64 (RFC 5280, ub-common-name)
#: Certificates in one file; more is a trust store and no server's chain.
COUNT_LIMIT = 1000

T = TypeVar("T")


class CertificateError(Exception):
    """What was given is no certificate that can be read: one line that says why."""


class CertificateFacts(Struct, frozen=True, kw_only=True):
    """One certificate. What it does not say, or what could not be read of it, is empty."""

    subject: str  # RFC 4514, as issuer
    issuer: str
    common_name: str = ""
    issuer_name: str = ""  # the issuer's organisation, else its common name
    serial: str  # hexadecimal
    not_before: datetime  # UTC, as not_after
    not_after: datetime
    dns_names: tuple[str, ...] = ()  # subject alternative names; IDNs as A-labels (xn--...)
    ip_addresses: tuple[str, ...] = ()
    is_ca: bool = False  # by its basic constraints
    self_signed: bool = False
    key_type: str = ""  # RSA, EC, DSA, Ed25519, Ed448
    key_bits: int | None = None
    signature_hash: str = ""  # sha256, sha1 ...; '' for the Edwards curves, which have none apart
    sha256: str  # fingerprint, hexadecimal
    issuer_urls: tuple[str, ...] = ()  # where the issuer's certificate can be had (AIA)
    unread: tuple[str, ...] = ()  # parts that could not be read, each with the reason

    @property
    def name(self) -> str:
        """What people call it: its common name, else its first alternative name."""
        alternatives = (*self.dns_names, *self.ip_addresses, self.subject)
        return self.common_name or next(filter(None, alternatives), f"serial {self.serial}")

    def covers(self, host: str) -> bool:
        """Whether it is for a host: by its alternative names, by the common name without any.

        A wildcard stands for one label, the first (RFC 6125, 6.4.3).
        """
        wanted = host.lower().rstrip(".")
        names = (*self.dns_names, *self.ip_addresses) or (self.common_name,)
        any_first = f"*.{wanted.partition('.')[2]}"
        return any(name.lower().rstrip(".") in (wanted, any_first) for name in names)

    @property
    def lifetime(self) -> timedelta:
        """From its first to its last moment; negative where the issuer mixed them up."""
        return self.not_after - self.not_before


def read(data: bytes) -> tuple[CertificateFacts, ...]:
    """The certificates in the bytes of a file, in their order there; at least one.

    Text and private keys around them are passed over.

    Raises:
        CertificateError: if there is none, or one of them is broken.
    """
    if len(data) > SIZE_LIMIT:
        raise CertificateError(f"it is larger than {SIZE_LIMIT >> 20} MiB, so no certificate")
    if not data.strip():
        raise CertificateError("it is empty")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or b"-\0-\0-" in data:
        raise CertificateError("it is text in UTF-16; save it as plain text (ASCII or UTF-8)")
    if b"-----BEGIN " in data:
        return _read_pem(data)
    try:
        return (from_der(data),)
    except CertificateError as error:
        raise CertificateError(_what_else(data) or str(error)) from None


def from_der(der: bytes) -> CertificateFacts:
    """One certificate in DER.

    Raises:
        CertificateError: if it is none.
    """
    from cryptography import x509

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of old sins, such as a negative serial number
        try:
            return _facts(x509.load_der_x509_certificate(der))
        except Exception as error:  # cryptography names no closed list
            raise CertificateError(f"it is no certificate: {_words(error)}") from None


def pem_certificates(data: bytes) -> Iterator[bytes]:
    """The DER of each certificate in PEM, in their order there, none of them parsed.

    Raises:
        CertificateError: if one is cut off, or is no base64.
    """
    for label, body in _blocks(data):
        if label in _CERTIFICATE_LABELS:
            yield _decode(body)


# --- PEM ------------------------------------------------------------------------------------------

_BOUNDARY = re.compile(rb"-----(BEGIN|END) ([A-Z0-9 ]{1,40})-----")
_CERTIFICATE_LABELS = (b"CERTIFICATE", b"X509 CERTIFICATE")

_KEY = "it holds a private key and no certificate; name the certificate file beside it"
_REQUEST = "it is a certificate signing request (CSR); name the certificate that its issuer sent"
_PKCS7 = (
    "it is a PKCS#7 bundle; convert it with: "
    "openssl pkcs7 -inform {form} -in FILE -print_certs -out tls.crt"
)
_PKCS12 = "it is a PKCS#12 file; convert it with: openssl pkcs12 -in FILE -nokeys -out tls.crt"
_PUBLIC_KEY = "it holds a public key and no certificate"
_REVOCATIONS = "it is a revocation list (CRL) and no certificate"
_TRUSTED = (
    "it is in OpenSSL's own 'trusted' form; convert it with: openssl x509 -in FILE -out tls.crt"
)


def _read_pem(data: bytes) -> tuple[CertificateFacts, ...]:
    found: list[CertificateFacts] = []
    labels: list[bytes] = []
    for label, body in _blocks(data):
        labels.append(label)
        if label not in _CERTIFICATE_LABELS:
            continue
        if len(found) == COUNT_LIMIT:
            raise CertificateError(f"it holds more than {COUNT_LIMIT} certificates")
        try:
            found.append(from_der(_decode(body)))
        except CertificateError as error:
            raise CertificateError(f"certificate {len(found) + 1} in it: {error}") from None
    if not found:
        raise CertificateError(_what_label(labels))
    return tuple(found)


def _blocks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Label and body of each PEM block (RFC 7468)."""
    begun: re.Match[bytes] | None = None
    for boundary in _BOUNDARY.finditer(data):
        if boundary[1] == b"BEGIN":
            if begun and begun[2] in _CERTIFICATE_LABELS:
                break
            begun = boundary
        elif begun and begun[2] == boundary[2]:
            yield begun[2], data[begun.end() : boundary.start()]
            begun = None
    if begun and begun[2] in _CERTIFICATE_LABELS:
        raise CertificateError("a certificate in it is cut off: its END line is missing")


def _decode(body: bytes) -> bytes:
    import base64

    try:
        return base64.b64decode(b"".join(body.split()), validate=True)
    except ValueError:
        raise CertificateError("what stands between BEGIN and END is no base64") from None


def _what_label(labels: list[bytes]) -> str:
    """What a PEM file without a certificate holds instead."""
    words = b" ".join(labels).decode("ascii")
    for sign, problem in (
        ("TRUSTED CERTIFICATE", _TRUSTED),
        ("CERTIFICATE REQUEST", _REQUEST),
        ("PKCS7", _PKCS7.format(form="PEM")),
        ("CMS", _PKCS7.format(form="PEM")),
        ("PRIVATE KEY", _KEY),
        ("PUBLIC KEY", _PUBLIC_KEY),
        ("CRL", _REVOCATIONS),
    ):
        if sign in words:
            return problem
    return f"it holds no certificate, but {words[:60]}" if words else "it holds no certificate"


# --- DER ------------------------------------------------------------------------------------------


def _what_else(data: bytes) -> str:
    """What a binary file is that is no certificate; '' where it is like nothing known."""
    start = data[:32]
    if b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02" in start:  # OID of signedData, RFC 2315
        return _PKCS7.format(form="DER")
    if b"\x02\x01\x03\x30" in start[:12]:  # PFX: a sequence that begins with version 3, RFC 7292
        return _PKCS12
    if _is_base64(data):
        return "it holds no certificate: base64 without the lines -----BEGIN CERTIFICATE-----"
    if not data.startswith(b"\x30"):  # the tag that all of DER's structures here begin with
        return "it holds no certificate"
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    for load, problem in (
        (x509.load_der_x509_csr, _REQUEST),
        (x509.load_der_x509_crl, _REVOCATIONS),
        (lambda der: serialization.load_der_private_key(der, None), _KEY),
        (serialization.load_der_public_key, _PUBLIC_KEY),
    ):
        if _loads(load, data):
            return problem
    return ""


def _is_base64(data: bytes) -> bool:
    return len(data) > 64 and re.fullmatch(rb"[A-Za-z0-9+/\s]+=*\s*", data) is not None


def _loads(load: Callable[[bytes], object], data: bytes) -> bool:
    try:
        load(data)
    except TypeError:  # a private key that wants its password
        return True
    except Exception:  # cryptography names no closed list
        return False
    return True


# --- X.509 ----------------------------------------------------------------------------------------


class _Key(NamedTuple):
    kind: str
    bits: int | None


class _Names(NamedTuple):
    dns: tuple[str, ...]
    ip: tuple[str, ...]


def _facts(certificate: x509.Certificate) -> CertificateFacts:
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import NameOID

    unread: list[str] = []

    def part(what: str, get: Callable[[], T], otherwise: T) -> T:
        """One part, by itself: what cannot be read must not hide the dates."""
        try:
            return get()
        except Exception as error:  # cryptography names no closed list
            unread.append(f"{what}: {_words(error)}")
            return otherwise

    def subject(oid: x509.ObjectIdentifier) -> str:
        return part("subject", lambda: _attribute(certificate.subject, oid), "")

    def issuer(oid: x509.ObjectIdentifier) -> str:
        return part("issuer", lambda: _attribute(certificate.issuer, oid), "")

    extensions: list[x509.Extension[Any]] = part(
        "extensions", lambda: list(certificate.extensions), []
    )
    key = part("key", lambda: _key(certificate), _Key("", None))
    names = part("names", lambda: _alternatives(extensions), _Names((), ()))
    return CertificateFacts(
        subject=part("subject", lambda: _line(certificate.subject.rfc4514_string()), ""),
        issuer=part("issuer", lambda: _line(certificate.issuer.rfc4514_string()), ""),
        common_name=subject(NameOID.COMMON_NAME),
        issuer_name=issuer(NameOID.ORGANIZATION_NAME) or issuer(NameOID.COMMON_NAME),
        serial=f"{certificate.serial_number:x}",
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        dns_names=names.dns,
        ip_addresses=names.ip,
        is_ca=part("constraints", lambda: _is_ca(extensions), False),
        self_signed=part("signature", lambda: _signed_itself(certificate), False),
        key_type=key.kind,
        key_bits=key.bits,
        signature_hash=part("signature", lambda: _hash(certificate), ""),
        sha256=certificate.fingerprint(hashes.SHA256()).hex(),
        issuer_urls=part("issuer address", lambda: _issuer_urls(extensions), ()),
        unread=tuple(unread),
    )


def _attribute(name: x509.Name, oid: x509.ObjectIdentifier) -> str:
    found = name.get_attributes_for_oid(oid)
    return _line(str(found[0].value)) if found else ""


def _extension(extensions: list[x509.Extension[Any]], kind: type[T]) -> T | None:
    return next((item.value for item in extensions if isinstance(item.value, kind)), None)


def _alternatives(extensions: list[x509.Extension[Any]]) -> _Names:
    """DNS names and IP addresses that the certificate is for."""
    from cryptography import x509

    names = _extension(extensions, x509.SubjectAlternativeName)
    if names is None:
        return _Names((), ())
    return _Names(
        tuple(_line(name) for name in names.get_values_for_type(x509.DNSName)),
        tuple(str(address) for address in names.get_values_for_type(x509.IPAddress)),
    )


def _is_ca(extensions: list[x509.Extension[Any]]) -> bool:
    from cryptography import x509

    constraints = _extension(extensions, x509.BasicConstraints)
    return constraints is not None and constraints.ca


def _issuer_urls(extensions: list[x509.Extension[Any]]) -> tuple[str, ...]:
    from cryptography import x509
    from cryptography.x509.oid import AuthorityInformationAccessOID as Access

    return tuple(
        _line(description.access_location.value)
        for description in _extension(extensions, x509.AuthorityInformationAccess) or ()
        if description.access_method == Access.CA_ISSUERS
        and isinstance(description.access_location, x509.UniformResourceIdentifier)
    )


def _key(certificate: x509.Certificate) -> _Key:
    """Kind and size; the kinds are told by the names of cryptography's classes."""
    key = certificate.public_key()
    for interface in type(key).__mro__:
        if interface.__name__.endswith("PublicKey"):
            kind = interface.__name__.removesuffix("PublicKey").replace("EllipticCurve", "EC")
            return _Key(kind, getattr(key, "key_size", None))
    return _Key(type(key).__name__, None)


def _hash(certificate: x509.Certificate) -> str:
    algorithm = certificate.signature_hash_algorithm
    return algorithm.name if algorithm else ""


def _signed_itself(certificate: x509.Certificate) -> bool:
    """Signed by its own key; by name alone where the algorithm is none we can verify."""
    from cryptography.exceptions import InvalidSignature

    if certificate.subject != certificate.issuer:
        return False
    try:
        certificate.verify_directly_issued_by(certificate)
    except InvalidSignature:
        return False
    except Exception:  # an old or unknown algorithm
        return True
    return True


def _words(error: Exception) -> str:
    """An exception's own words, in short."""
    return _line(str(error))[:200] or type(error).__name__


def _line(words: str) -> str:
    """Another's words, on one harmless line."""
    return printable(" ".join(words.split()))[:_LINE_LIMIT]
