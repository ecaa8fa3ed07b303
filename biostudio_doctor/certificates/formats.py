"""What certificate files hold: PEM with one or many certificates, or DER.

What is no certificate is named for what it is, with the command that makes one of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from biostudio_doctor.certificates.facts import CertificateError, CertificateFacts, from_der

#: Bytes. A whole system's bundle of some 150 authorities is a quarter of that.
SIZE_LIMIT = 1 << 20
#: Certificates in one file; more is a trust store and no server's chain.
COUNT_LIMIT = 1000


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


def single_or_pem(data: bytes) -> list[bytes]:
    """The DER of each certificate of a file that was `read`."""
    return list(pem_certificates(data)) if b"-----BEGIN " in data else [data]


def pem_bundles(data: bytes) -> Iterator[bytes]:
    """The DER of each PKCS#7 bundle in PEM.

    Raises:
        CertificateError: if a block is cut off, or is no base64.
    """
    for label, body in _blocks(data):
        if label in (b"PKCS7", b"CMS"):
            yield _decode(body)


def is_pkcs7(data: bytes) -> bool:
    """Whether bytes begin like PKCS#7 in DER, with the OID of signedData (RFC 2315)."""
    return b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02" in data[:32]


def is_pkcs12(data: bytes) -> bool:
    """Whether bytes begin like PKCS#12: a sequence that begins with version 3 (PFX, RFC 7292)."""
    return data[:1] == b"\x30" and b"\x02\x01\x03\x30" in data[:12]


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
_JAVA = (
    "it is a Java keystore (JKS); have its certificates with: "
    "keytool -list -rfc -keystore FILE > tls.crt"
)
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
    if data.startswith((b"\xfe\xed\xfe\xed", b"\xce\xce\xce\xce")):  # JKS, JCEKS
        return _JAVA
    if is_pkcs7(data):
        return _PKCS7.format(form="DER")
    if is_pkcs12(data):
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
