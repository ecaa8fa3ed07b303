"""X.509 certificates as plain facts.

They are parsed by `cryptography`, which is imported only once there is something to parse.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from msgspec import Struct

from biostudio_doctor.text import printable

if TYPE_CHECKING:
    from cryptography import x509

BROKEN_HASHES = ("md2", "md4", "md5", "sha1")
_LINE_LIMIT = 500  # characters of a name; honest ones have 64 (RFC 5280, ub-common-name)

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
    key_sha256: str = ""  # of its public key (SubjectPublicKeyInfo in DER), hexadecimal
    issuer_urls: tuple[str, ...] = ()  # where the issuer's certificate can be had (AIA)
    crl_urls: tuple[str, ...] = ()  # where its issuer says what it has revoked
    unread: tuple[str, ...] = ()  # parts that could not be read, each with the reason

    @property
    def name(self) -> str:
        """What people call it: its common name, else its first alternative name."""
        alternatives = (*self.dns_names, *self.ip_addresses, self.subject)
        return self.common_name or next(filter(None, alternatives), f"serial {self.serial}")

    @property
    def names(self) -> tuple[str, ...]:
        """All that it is for, names before addresses."""
        return (*self.dns_names, *self.ip_addresses)

    def covers(self, host: str) -> bool:
        """Whether it is for a host: by its alternative names, by the common name without any."""
        from biostudio_doctor.certificates.names import matches

        return any(matches(name, host) for name in self.names or (self.common_name,))

    @property
    def is_signed_weakly(self) -> bool:
        """By an issuer, with a hash that is broken: a root's own signature does not count."""
        return not self.self_signed and self.signature_hash in BROKEN_HASHES

    @property
    def lifetime(self) -> timedelta:
        """From its first to its last moment; negative where the issuer mixed them up."""
        return self.not_after - self.not_before


def from_der(der: bytes) -> CertificateFacts:
    """One certificate in DER.

    Raises:
        CertificateError: if it is none.
    """
    from cryptography import x509

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of old sins, such as a negative serial number
        try:
            return of(x509.load_der_x509_certificate(der))
        except Exception as error:  # cryptography names no closed list
            raise CertificateError(f"it is no certificate: {words(error)}") from None


class _Key(NamedTuple):
    kind: str
    bits: int | None


class _Names(NamedTuple):
    dns: tuple[str, ...]
    ip: tuple[str, ...]


def of(certificate: x509.Certificate) -> CertificateFacts:
    """The facts of a certificate that was loaded already."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import NameOID

    unread: list[str] = []

    def part(what: str, get: Callable[[], T], otherwise: T) -> T:
        """One part, by itself: what cannot be read must not hide the dates."""
        try:
            return get()
        except Exception as error:  # cryptography names no closed list
            unread.append(f"{what}: {words(error)}")
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
        key_sha256=part("key", lambda: _key_print(certificate), ""),
        crl_urls=part("revocation address", lambda: _crl_urls(extensions), ()),
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


def _crl_urls(extensions: list[x509.Extension[Any]]) -> tuple[str, ...]:
    from cryptography import x509

    return tuple(
        _line(name.value)
        for point in _extension(extensions, x509.CRLDistributionPoints) or ()
        for name in point.full_name or ()
        if isinstance(name, x509.UniformResourceIdentifier)
    )


def _key_print(certificate: x509.Certificate) -> str:
    from cryptography.hazmat.primitives import serialization

    return key_print(
        certificate.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )


def key_print(spki: bytes) -> str:
    """The fingerprint of a public key, given as SubjectPublicKeyInfo in DER."""
    import hashlib

    return hashlib.sha256(spki).hexdigest()


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


def words(error: BaseException) -> str:
    """An exception's own words, in short: of what parses certificates, which hold no secret."""
    return _line(str(error))[:200] or type(error).__name__


def _line(words: str) -> str:
    """Another's words, on one harmless line."""
    return printable(" ".join(words.split()))[:_LINE_LIMIT]
