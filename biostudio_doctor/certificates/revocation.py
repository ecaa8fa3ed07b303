"""Whether a certificate was revoked, by its issuer's list (CRL, RFC 5280, 5).

Lists are fetched over plain HTTP, as the standard has it: their signature is what protects them.
OCSP is not asked: issuers give it up, and it would tell them who is being looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from biostudio_doctor.certificates.facts import words

if TYPE_CHECKING:
    from cryptography import x509

#: Bytes. Lists of large issuers are split, and have some hundred KiB each.
CRL_LIMIT = 10 << 20
_REDIRECTS = 3

Standing = Literal["good", "revoked", "stale", "unreached", "unreadable", "foreign", "unasked"]


class Revocation(Struct, frozen=True, kw_only=True):
    """What the list at one address says of one certificate."""

    certificate: str  # its name
    url: str
    standing: Standing
    problem: str = ""  # of a list that was not had, or cannot be relied on
    revoked_at: datetime | None = None
    reason: str = ""  # as the list has it, such as key_compromise
    next_update: datetime | None = None  # when the list is out of date


async def fetch(url: str, *, seconds: float) -> bytes | str:
    """The bytes at an address, as the environment's proxies have it, or why they were not had."""
    import anyio
    import httpx

    try:
        with anyio.fail_after(seconds):
            async with (
                httpx.AsyncClient(
                    follow_redirects=True, max_redirects=_REDIRECTS, timeout=seconds, verify=False
                ) as client,
                # as it is: what is packed is no list, and may unpack to anything
                client.stream("GET", url, headers={"Accept-Encoding": "identity"}) as response,
            ):
                if response.status_code != 200:
                    return f"the answer was {response.status_code}"
                data = bytearray()
                async for part in response.aiter_raw():
                    data += part
                    if len(data) > CRL_LIMIT:
                        return f"it is larger than {CRL_LIMIT >> 20} MiB"
                return bytes(data)
    except TimeoutError:
        return "nothing came back in time"
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        reasons: dict[type[Exception], str] = {
            httpx.ConnectError: "connecting failed",
            httpx.ConnectTimeout: "nothing came back in time",
            httpx.ReadTimeout: "nothing came back in time",
            httpx.TooManyRedirects: "it is redirected again and again",
        }
        return reasons.get(type(error), "it could not be fetched")


def look_up(
    data: bytes,
    url: str,
    certificate: x509.Certificate,
    issuers: Sequence[x509.Certificate],
    name: str,
    now: datetime,
) -> Revocation:
    """What a list says of a certificate; `issuers` are those that may have signed it."""
    from cryptography import x509
    from cryptography.x509.oid import CRLEntryExtensionOID

    pem = b"-----BEGIN" in data[:64]
    try:
        crl = (x509.load_pem_x509_crl if pem else x509.load_der_x509_crl)(data)
        same_name = crl.issuer == certificate.issuer
        next_update = crl.next_update_utc
        entry = crl.get_revoked_certificate_by_serial_number(certificate.serial_number)
    except Exception as error:  # cryptography names no closed list
        return Revocation(certificate=name, url=url, standing="unreadable", problem=words(error))
    if not same_name or not any(_signed(crl, issuer) for issuer in issuers):
        problem = "its signature is not by the issuer of the certificate"
        if same_name and not issuers:
            problem = "the issuer's certificate is not at hand, so its signature cannot be verified"
        return Revocation(certificate=name, url=url, standing="foreign", problem=problem)
    if entry and not _is_withdrawn(entry):
        try:
            extension = entry.extensions.get_extension_for_oid(CRLEntryExtensionOID.CRL_REASON)
            reason = str(extension.value.reason.value)  # type: ignore[attr-defined]
        except Exception:  # most lists give none
            reason = ""
        return Revocation(
            certificate=name, url=url, standing="revoked", reason=reason,
            revoked_at=entry.revocation_date_utc, next_update=next_update,
        )  # fmt: skip
    limits = _limits(crl, certificate)
    if limits:  # it can revoke, but its silence says nothing
        return Revocation(certificate=name, url=url, standing="foreign", problem=limits)
    stale = next_update is not None and next_update < now
    return Revocation(
        certificate=name, url=url, standing="stale" if stale else "good", next_update=next_update
    )


def _signed(crl: x509.CertificateRevocationList, issuer: x509.Certificate) -> bool:
    from cryptography import x509

    try:
        if not crl.is_signature_valid(issuer.public_key()):  # type: ignore[arg-type]
            return False
        return issuer.extensions.get_extension_for_class(x509.KeyUsage).value.crl_sign
    except x509.ExtensionNotFound:
        return True
    except Exception:  # a key that signs no lists, or extensions that cannot be read
        return False


def _is_withdrawn(entry: x509.RevokedCertificate) -> bool:
    """An entry of a list of changes that takes a revocation back (RFC 5280, 5.3.1)."""
    from cryptography import x509

    try:
        reason = entry.extensions.get_extension_for_class(x509.CRLReason).value.reason
    except Exception:  # most have none
        return False
    return reason is x509.ReasonFlags.remove_from_crl


def _limits(crl: x509.CertificateRevocationList, certificate: x509.Certificate) -> str:
    """Why a certificate that is not in a list may have been revoked all the same; '' if not.

    A list tells in critical extensions that it is not about everything (RFC 5280, 5.2); of these
    issuingDistributionPoint is understood.
    """
    from cryptography import x509

    try:
        critical = [one.value for one in crl.extensions if one.critical]
        is_ca = _is_authority(certificate)
    except Exception:  # cryptography names no closed list
        return "its extensions cannot be read"
    for value in critical:
        if not isinstance(value, x509.IssuingDistributionPoint):
            return "it holds changes or demands that this program does not know"
        if value.indirect_crl or value.only_some_reasons or value.only_contains_attribute_certs:
            return "it tells only a part of what was revoked"
        if value.only_contains_ca_certs if not is_ca else value.only_contains_user_certs:
            return "it is about certificates of another kind"
        wanted = _point_names(value, crl.issuer)
        if wanted and not wanted & _points(certificate):
            return "it is about certificates with another address of a list"
    return ""


def _is_authority(certificate: x509.Certificate) -> bool:
    from cryptography import x509

    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _points(certificate: x509.Certificate) -> set[x509.GeneralName]:
    """The names of the places at which a certificate says that lists are."""
    from cryptography import x509

    try:
        points = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    except Exception:  # there is none, or it cannot be read
        return set()
    return {name for one in points for name in _point_names(one, certificate.issuer)}


def _point_names(
    point: x509.DistributionPoint | x509.IssuingDistributionPoint, issuer: x509.Name
) -> set[x509.GeneralName]:
    """The full names of a place; a relative one stands below its issuer."""
    from cryptography import x509

    if point.relative_name is not None:
        return {x509.DirectoryName(x509.Name([*issuer.rdns, point.relative_name]))}
    return set(point.full_name or ())
