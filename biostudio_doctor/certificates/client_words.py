"""The words in which clients refuse a certificate, so that a colleague's screen is recognised.

Of browsers: those of Chrome and Edge, then of Firefox (Chromium's net_error_list.h, and Mozilla's
"NSS and mozilla::pkix error codes"). Of curl and Python: OpenSSL's X509_verify_cert_error_string(3)
from version 3.0 on; older ones write "self signed" without a hyphen.
"""

from __future__ import annotations

from biostudio_doctor.certificates.inspection import Client

_AUTHORITY = "NET::ERR_CERT_AUTHORITY_INVALID"

_OPENSSL = {
    "self-signed": "self-signed certificate",
    "private-authority": "self-signed certificate in certificate chain",
    "issuer-unknown": "unable to get local issuer certificate",
    "no-authority": "invalid CA certificate",
    "not-for-servers": "unsuitable certificate purpose",
    "expired": "certificate has expired",
    "not-yet-valid": "certificate is not yet valid",
    "weak-key": "EE certificate key too weak",
    "weak-signature": "CA signature digest algorithm too weak",
}
_CURL = "curl: (60) SSL certificate problem: {}"
_PYTHON = "certificate verify failed: {}"

#: By the cause of a reason; {name} is the host that was asked for.
WORDS: dict[Client, dict[str, tuple[str, ...]]] = {
    "browser": {
        "self-signed": (_AUTHORITY, "MOZILLA_PKIX_ERROR_SELF_SIGNED_CERT"),
        "private-authority": (_AUTHORITY, "SEC_ERROR_UNKNOWN_ISSUER"),
        "issuer-unknown": (_AUTHORITY, "SEC_ERROR_UNKNOWN_ISSUER"),
        "intermediate-missing": ("", "SEC_ERROR_UNKNOWN_ISSUER"),
        "no-authority": ("NET::ERR_CERT_INVALID", "SEC_ERROR_CA_CERT_INVALID"),
        "not-for-servers": ("NET::ERR_CERT_INVALID", "SEC_ERROR_INADEQUATE_CERT_TYPE"),
        "expired": ("NET::ERR_CERT_DATE_INVALID", "SEC_ERROR_EXPIRED_CERTIFICATE"),
        "not-yet-valid": (
            "NET::ERR_CERT_DATE_INVALID",
            "MOZILLA_PKIX_ERROR_NOT_YET_VALID_CERTIFICATE",
        ),
        "other-name": ("NET::ERR_CERT_COMMON_NAME_INVALID", "SSL_ERROR_BAD_CERT_DOMAIN"),
        "other-address": ("NET::ERR_CERT_COMMON_NAME_INVALID", "SSL_ERROR_BAD_CERT_DOMAIN"),
        "no-names": ("NET::ERR_CERT_COMMON_NAME_INVALID", "SSL_ERROR_BAD_CERT_DOMAIN"),
        "weak-key": ("NET::ERR_CERT_WEAK_KEY", "MOZILLA_PKIX_ERROR_INADEQUATE_KEY_SIZE"),
        "weak-signature": (
            "NET::ERR_CERT_WEAK_SIGNATURE_ALGORITHM",
            "SEC_ERROR_CERT_SIGNATURE_ALGORITHM_DISABLED",
        ),
        "long-life": ("NET::ERR_CERT_VALIDITY_TOO_LONG",),
        "old-tls": ("ERR_SSL_VERSION_OR_CIPHER_MISMATCH", "SSL_ERROR_UNSUPPORTED_VERSION"),
    },
    "curl": {
        **{cause: (_CURL.format(words),) for cause, words in _OPENSSL.items()},
        # lib/vtls/hostcheck; newer versions write "target hostname".
        "other-name": (
            "curl: (60) SSL: no alternative certificate subject name matches target host name "
            "'{name}'",
        ),
        "other-address": (
            "curl: (60) SSL: no alternative certificate subject name matches target host name "
            "'{name}'",
        ),
        "no-names": (
            "curl: (60) SSL: certificate subject name '{common_name}' does not match target host "
            "name '{name}'",
        ),
        "bad-authorities": ("curl: (77) error setting certificate file",),
    },
    "conda": {
        **{cause: (_PYTHON.format(words),) for cause, words in _OPENSSL.items()},
        "other-name": (
            _PYTHON.format("Hostname mismatch, certificate is not valid for '{name}'."),
        ),
        "other-address": (
            _PYTHON.format("IP address mismatch, certificate is not valid for '{name}'."),
        ),
        "no-names": (_PYTHON.format("Hostname mismatch, certificate is not valid for '{name}'."),),
        "bad-authorities": ("OSError: Could not find a suitable TLS CA certificate bundle",),
    },
}

_FETCHES_NONE = "it fetches no intermediate that a server leaves out"

#: What helps, or what comes of it, where that differs by client: clauses that follow the reason.
ADVICE: dict[Client, dict[str, str]] = {
    "browser": {
        "self-signed": "a warning page comes first, which each colleague must click through",
        "private-authority": "until that root is among the authorities of each colleague's "
        "computer, a warning page comes first",
        "issuer-unknown": "if the issuer is your own, its root must be among the authorities of "
        "each colleague's computer",
        "no-names": "all browsers have ignored the common name for years",
    },
    "curl": {
        "self-signed": "`curl --cacert` with the certificate itself accepts it",
        "private-authority": "`curl --cacert` with that root accepts it",
        "issuer-unknown": _FETCHES_NONE,
    },
    "conda": {
        "self-signed": "REQUESTS_CA_BUNDLE, with the certificate itself in the file, accepts it",
        "private-authority": "REQUESTS_CA_BUNDLE, with that root in the file, accepts it",
        "issuer-unknown": _FETCHES_NONE,
        "no-names": "the common name alone is ignored",
    },
}
