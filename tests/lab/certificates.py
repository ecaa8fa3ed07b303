"""Certificates made at run time, good and odd, for tests."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

DAY = timedelta(days=1)


class Made(NamedTuple):
    """A certificate and its key."""

    certificate: x509.Certificate
    key: Any

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )


def make(
    name: str = "studio.lab",
    *,
    issuer: Made | None = None,
    days: tuple[float, float] = (-10, 80),
    start: datetime | None = None,
    end: datetime | None = None,
    names: Sequence[str] = ("studio.lab",),
    organisation: str = "",
    ca: bool = False,
    key: Any = None,
    serial: int | None = None,
    extensions: Sequence[x509.ExtensionType] = (),
    algorithm: hashes.HashAlgorithm | None = None,
) -> Made:
    """A certificate, self-signed without an issuer; `days` from now where no dates are given."""
    now = datetime.now(UTC)
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = _name(name, organisation)
    builder = x509.CertificateBuilder(
        subject_name=subject,
        issuer_name=issuer.certificate.subject if issuer else subject,
        public_key=key.public_key(),
        serial_number=serial or x509.random_serial_number(),
        not_valid_before=start or now + days[0] * DAY,
        not_valid_after=end or now + days[1] * DAY,
    ).add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    if names and not ca:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([_general(name) for name in names]), critical=False
        )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    signer = issuer.key if issuer else key
    if not isinstance(signer, ed25519.Ed25519PrivateKey):
        algorithm = algorithm or hashes.SHA256()
    return Made(builder.sign(signer, algorithm), key)


def proper(
    name: str = "studio.lab",
    *,
    issuer: Made | None = None,
    ca: bool = False,
    key: Any = None,
    aia: str = "",
    crl: str = "",
    purpose: x509.ObjectIdentifier = ExtendedKeyUsageOID.SERVER_AUTH,
    **options: Any,
) -> Made:
    """A certificate by the rules of the public web (CA/Browser Forum), as `make` takes options."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    above = (issuer.key if issuer else key).public_key()
    usage = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
         "encipher_only", "decipher_only"), False,
    )  # fmt: skip
    extensions: list[x509.ExtensionType] = [
        x509.SubjectKeyIdentifier.from_public_key(key.public_key()),
        x509.AuthorityKeyIdentifier.from_issuer_public_key(above),
        x509.KeyUsage(digital_signature=not ca, key_cert_sign=ca, crl_sign=ca, **usage),
    ]
    if not ca:
        extensions.append(x509.ExtendedKeyUsage([purpose]))
    if aia:
        extensions.append(x509.AuthorityInformationAccess([_at(aia)]))
    if crl:
        point = x509.DistributionPoint([x509.UniformResourceIdentifier(crl)], None, None, None)
        extensions.append(x509.CRLDistributionPoints([point]))
    extensions += options.pop("extensions", ())
    return make(name, issuer=issuer, ca=ca, key=key, extensions=extensions, **options)


def _at(url: str) -> x509.AccessDescription:
    return x509.AccessDescription(
        AuthorityInformationAccessOID.CA_ISSUERS, x509.UniformResourceIdentifier(url)
    )


def _name(common_name: str, organisation: str) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else []
    if organisation:
        attributes.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation))
    return x509.Name(attributes)


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def patched(der: bytes, old: bytes, new: bytes) -> bytes:
    """The same DER with bytes of equal length put in: what no honest library would make."""
    assert len(old) == len(new) and old in der
    return der.replace(old, new)
