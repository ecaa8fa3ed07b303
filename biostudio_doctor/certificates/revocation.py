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

    if not url.lower().startswith("http://"):
        return "only http:// addresses are asked"
    try:
        with anyio.fail_after(seconds):
            async with (
                httpx.AsyncClient(
                    follow_redirects=True, max_redirects=_REDIRECTS, timeout=seconds, verify=False
                ) as client,
                client.stream("GET", url) as response,
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
    if entry:
        try:
            extension = entry.extensions.get_extension_for_oid(CRLEntryExtensionOID.CRL_REASON)
            reason = str(extension.value.reason.value)  # type: ignore[attr-defined]
        except Exception:  # most lists give none
            reason = ""
        return Revocation(
            certificate=name, url=url, standing="revoked", reason=reason,
            revoked_at=entry.revocation_date_utc, next_update=next_update,
        )  # fmt: skip
    stale = next_update is not None and next_update < now
    return Revocation(
        certificate=name, url=url, standing="stale" if stale else "good", next_update=next_update
    )


def _signed(crl: x509.CertificateRevocationList, issuer: x509.Certificate) -> bool:
    try:
        return crl.is_signature_valid(issuer.public_key())  # type: ignore[arg-type]
    except Exception:  # a key that signs no lists
        return False
