"""The expiry of certificates that sign-in relies on, judged as certificate.expiry judges others."""

from __future__ import annotations

from datetime import datetime

from msgspec import structs

from biostudio_doctor.certificates import CertificateFacts
from biostudio_doctor.certificates.chains import Chain
from biostudio_doctor.certificates.watched import Watched
from biostudio_doctor.check import Context
from biostudio_doctor.model import Finding, Remedy

from .certificate_expiry import CertificateExpiry, ExpiryFacts
from .certificate_watch import settings


def expiry(
    name: str,
    certificate: CertificateFacts,
    now: datetime,
    context: Context,
    remedy: Remedy,
    what: str = "",
) -> Finding:
    """How long one certificate lasts; `what` stands before the name in the sentence."""
    alone = Watched(
        name=f"{what}{name}",
        is_file=True,
        chain=Chain(certificates=(certificate,), issuers=((),)),
    )
    judging = CertificateExpiry(context, settings(context))
    (finding,) = judging.judge(ExpiryFacts(observed_at=now, watched=(alone,)), context.requirements)
    mend = remedy if finding.remedy and finding.cause != "certificate.not-yet-valid" else None
    return structs.replace(finding, remedy=mend or finding.remedy, requirement=None)
