"""Files that hold a certificate wrapped: PKCS#7, PKCS#12, and Kubernetes' TLS secrets."""

from __future__ import annotations

import base64
import warnings
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from biostudio_doctor.certificates.facts import CertificateError, from_der, key_print
from biostudio_doctor.certificates.formats import (
    COUNT_LIMIT,
    SIZE_LIMIT,
    is_pkcs7,
    is_pkcs12,
    pem_bundles,
    read,
    single_or_pem,
)
from biostudio_doctor.certificates.private_keys import KeyFacts
from biostudio_doctor.certificates.private_keys import of as key_of
from biostudio_doctor.confined import ConfinedError, confined

if TYPE_CHECKING:
    from cryptography import x509


class Contents(Struct, kw_only=True):
    """What a file holds. It is no fact by itself: certificates are still in DER."""

    certificates: list[bytes]  # in their order there
    kind: str  # PEM, DER, PKCS#7, PKCS#12, Kubernetes secret
    key: KeyFacts | None = None  # of the private key inside
    authorities: list[bytes] = []  # ca.crt of a Kubernetes secret


def load(data: bytes, *, path: str = "", password: str | None = None) -> Contents:
    """The certificates in the bytes of a file of whatever kind; at least one.

    `password` opens PKCS#12 files; those without one need none. `path` names the file in facts.

    Raises:
        CertificateError: if there is none, or one of them is broken.
    """
    if len(data) > SIZE_LIMIT:
        raise CertificateError(f"it is larger than {SIZE_LIMIT >> 20} MiB, so no certificate")
    if data.lstrip()[:1] == b"{":
        return _secret(data, path)
    if _is_yaml_secret(data):
        raise CertificateError(
            "it is a Kubernetes manifest in YAML; get it as JSON with: "
            "kubectl get secret NAME --output json"
        )
    if is_pkcs12(data):
        return _pkcs12(data, path, password)
    bundles = [data] if is_pkcs7(data) else list(pem_bundles(data))[:1]
    if bundles:
        return Contents(certificates=_pkcs7(bundles[0]), kind="PKCS#7")
    read(data)  # whatever is wrong is said in its words
    if b"-----BEGIN " not in data:
        return Contents(certificates=[data], kind="DER")
    key = key_of(path, data) if b"PRIVATE KEY-----" in data else None  # as haproxy wants it
    return Contents(certificates=single_or_pem(data), kind="PEM", key=key)


# --- PKCS#7 (RFC 2315), the certificates of it ----------------------------------------------------


def _pkcs7(der: bytes) -> list[bytes]:
    from cryptography.hazmat.primitives.serialization import pkcs7

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of BER, and of old sins of certificates
        try:
            found = pkcs7.load_der_pkcs7_certificates(der)
        except Exception:  # cryptography names no closed list
            raise CertificateError("it is a PKCS#7 bundle that cannot be read") from None
    if not found:
        raise CertificateError("it is a PKCS#7 bundle without a certificate")
    if len(found) > COUNT_LIMIT:
        raise CertificateError(f"it holds more than {COUNT_LIMIT} certificates")
    return _checked([_der(one) for one in found])


# --- PKCS#12 (RFC 7292) ---------------------------------------------------------------------------


class _Opened(Struct):
    """What comes back from the process that opened it."""

    trouble: str = ""
    certificates: list[bytes] = []
    public_key: bytes = b""


def _pkcs12(data: bytes, path: str, password: str | None) -> Contents:
    from cryptography.hazmat.primitives.serialization import pkcs12  # noqa: F401 - for the fork

    try:
        opened = msgspec.json.decode(confined(lambda: _open(data, password)), type=_Opened)
    except ConfinedError as error:
        raise CertificateError(f"it is a PKCS#12 file, but {error}") from None
    if opened.trouble:
        raise CertificateError(opened.trouble)
    key = None
    if opened.public_key:
        key = KeyFacts(path=path, public_sha256=key_print(opened.public_key))
    return Contents(certificates=_checked(opened.certificates), kind="PKCS#12", key=key)


def _open(data: bytes, password: str | None) -> bytes:
    """Runs confined. Libraries' words are not passed on: they have seen the password."""
    return msgspec.json.encode(_opened(data, password))


def _opened(data: bytes, password: str | None) -> _Opened:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.serialization import pkcs12

    warnings.simplefilter("ignore")
    try:
        found = pkcs12.load_pkcs12(data, password.encode() if password else None)
    except Exception as error:  # cryptography names no closed list
        locked = "password" in str(error).lower()
        if locked and password:
            return _Opened("it is a PKCS#12 file, which the password given does not open")
        if locked:
            return _Opened("it is a PKCS#12 file, which wants a password; name it as `password`")
        return _Opened("it is a PKCS#12 file that cannot be read")
    held = [one for one in (found.cert, *found.additional_certs) if one]
    if not held:
        return _Opened("it is a PKCS#12 file without a certificate")
    public = found.key.public_key() if found.key else None
    return _Opened(
        certificates=[_der(one.certificate) for one in held[:COUNT_LIMIT]],
        public_key=public.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        if public
        else b"",
    )


# --- Kubernetes' secrets (kubernetes.io/docs/concepts/configuration/secret, "TLS Secrets") --------


class _Manifest(Struct):
    """A secret as `kubectl get secret --output json` prints it."""

    kind: str = ""
    type: str = ""
    data: dict[str, str] = {}
    stringData: dict[str, str] = {}  # noqa: N815 - its name there


def _secret(data: bytes, path: str) -> Contents:
    try:
        manifest = msgspec.json.decode(data, type=_Manifest)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise CertificateError("it is JSON, but no Kubernetes secret") from None
    if manifest.kind != "Secret":
        what = f", but of the kind {manifest.kind[:40]!a}" * bool(manifest.kind)
        raise CertificateError(f"it is JSON{what}, and no Kubernetes secret")
    parts = {name: _decoded(name, value) for name, value in manifest.data.items()}
    parts |= {name: value.encode() for name, value in manifest.stringData.items()}
    if "tls.crt" not in parts:
        raise CertificateError("it is a Kubernetes secret without tls.crt")
    read(parts["tls.crt"])
    key = key_of(path, parts["tls.key"]) if parts.get("tls.key") else None
    return Contents(
        certificates=single_or_pem(parts["tls.crt"]),
        kind="Kubernetes secret",
        key=key,
        authorities=authorities(parts.get("ca.crt", b"")),
    )


def _decoded(name: str, value: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except ValueError:
        raise CertificateError(
            f"it is a Kubernetes secret, but {name[:40]!a} is no base64"
        ) from None


def authorities(data: bytes) -> list[bytes]:
    """The certificates of a ca.crt; none where it holds nothing that can be read."""
    try:
        read(data)
    except CertificateError:
        return []
    return single_or_pem(data)


def _is_yaml_secret(data: bytes) -> bool:
    return b"\nkind: Secret" in b"\n" + data[:65536] and b"tls.crt" in data


def _checked(ders: list[bytes]) -> list[bytes]:
    """The same, if each of them is read.

    Raises:
        CertificateError: for one that is not.
    """
    for der in ders:
        from_der(der)
    return ders


def _der(certificate: x509.Certificate) -> bytes:
    from cryptography.hazmat.primitives import serialization

    return certificate.public_bytes(serialization.Encoding.DER)
