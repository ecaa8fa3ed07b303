"""Certificates: what they say, how they hang together, and whether they are trusted.

What is imported here costs little; each module asks `cryptography` only once there is something to
parse.
"""

from biostudio_doctor.certificates.facts import CertificateError, CertificateFacts, from_der
from biostudio_doctor.certificates.formats import (
    COUNT_LIMIT,
    SIZE_LIMIT,
    pem_certificates,
    read,
)

__all__ = [
    "COUNT_LIMIT",
    "SIZE_LIMIT",
    "CertificateError",
    "CertificateFacts",
    "from_der",
    "pem_certificates",
    "read",
]
