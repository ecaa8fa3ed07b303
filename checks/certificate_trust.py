"""certificate.trust"""

from collections.abc import Iterator

from msgspec import Struct

from biostudio_doctor.certificates.chains import Chain
from biostudio_doctor.certificates.watched import Trust, Watched
from biostudio_doctor.host import Host
from biostudio_doctor.model import Finding, Remedy, Status
from biostudio_doctor.renewal import INSTALL

from .certificate_watch import CertificateCheck, Seen

_UNKNOWN_ISSUER = (2, 20, 21)  # X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, _LOCALLY, _VERIFY_LEAF
_PRIVATE = 19  # X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN
_OWN_CA = (
    "If the issuer is your own, name its certificate (PEM) as ca_file beside this one in the "
    'configuration, or for all in the table [checks."certificate.expiry"].'
)


class Trusted(Struct, frozen=True, kw_only=True):
    """Whether one source is trusted."""

    name: str
    chain: Chain
    trust: Trust


class CertificateTrust(CertificateCheck[Trusted]):
    """Certificates that this host trusts.

    The chain of every watched certificate is verified against this host's authorities, and those
    that are named as ca_file: of endpoints by OpenSSL in the handshake, of files by their verified
    signatures. Names, dates and weak keys are judged by other checks, so that none hides another.
    What is trusted is verified once more by the rules of the public web to the letter, as the
    newest programs do.

    Why: browsers warn of a certificate that they do not trust; programs without a page to click
    through, such as the desktop application, curl and conda, refuse to connect.

    Mend: for a trial a self-signed certificate will do. Otherwise install one of a recognised
    issuer, or distribute your own authority to the computers of all users.
    """

    id = "certificate.trust"
    concerns = "servers' certificates, and no bundles of authorities"

    def observe(self, host: Host) -> Seen[Trusted]:
        return self.seen(host, _picked)

    def findings(self, of: tuple[Trusted, ...]) -> Iterator[Finding]:
        for one in of:
            if not one.trust.trusted:
                yield _untrusted(one)
            elif one.trust.strict:
                yield _strict(one)
            else:
                yield _trusted(one)


def _picked(watched: Watched) -> Trusted | None:
    if not watched.chain or not watched.trust:
        return None
    return Trusted(name=watched.name, chain=watched.chain, trust=watched.trust)


def _trusted(one: Trusted) -> Finding:
    chain = one.chain
    by = {
        "system": f"by '{chain.anchor}' of this host's authorities",
        "given": f"by '{chain.anchor}' of the authorities that were given for it",
        "": "by this host's authorities",
    }[chain.above]
    return Finding(
        Status.PASS, one.name, f"The certificate of {one.name} is trusted here.", observed=by
    )


def _strict(one: Trusted) -> Finding:
    return Finding(
        Status.WARN,
        one.name,
        f"The certificate of {one.name} is trusted here, but not by programs that follow the rules "
        f"to the letter: {one.trust.strict}.",
        observed=one.trust.strict,
        expected="a chain by the rules of the public web",
        remedy=Remedy(
            "Have it issued anew by an authority that keeps to them. If the authority is your own, "
            "its certificate needs the extensions basicConstraints, keyUsage and "
            "subjectKeyIdentifier, and what it issues authorityKeyIdentifier and subjectAltName."
        ),
        cause="certificate.strict",
    )


def _untrusted(one: Trusted) -> Finding:
    cause, status, why, remedy = _diagnosis(one)
    return Finding(
        status,
        one.name,
        f"This host does not trust the certificate of {one.name}: {why}.",
        observed=one.trust.problem or why,
        expected="a chain to an authority that is trusted here",
        remedy=remedy,
        cause=f"certificate.{cause}",
    )


def _diagnosis(one: Trusted) -> tuple[str, Status, str, Remedy]:
    chain, code = one.chain, one.trust.code
    if chain.leaf.self_signed:
        return "self-signed", Status.WARN, "it is self-signed", _self_signed()
    if code == _PRIVATE or (not code and not chain.above and chain.top.self_signed):
        root = chain.top.name
        why = f"it was issued by the private authority '{root}', which is not trusted here"
        return "private-authority", Status.WARN, why, _unknown()
    if code in _UNKNOWN_ISSUER or (not code and not chain.above):
        why = f"the issuer '{chain.top.issuer}' is not known here"
        return "issuer-unknown", Status.WARN, why, _unknown()
    why = one.trust.problem or "it was issued by a certificate that may issue none"
    again = Remedy(f"Have another certificate issued, and install it {INSTALL}.")
    return "refused", Status.FAIL, why, again


def _self_signed() -> Remedy:
    return Remedy(
        "For a trial that will do: every browser shows a warning page first ('Your connection is "
        "not private'), which each user must click through, and programs without such a page, such "
        "as the desktop application, curl and conda, refuse it until this certificate is added to "
        "the authorities of each computer. Otherwise install a certificate from a recognised "
        f"issuer, followed by its intermediate certificates, {INSTALL}."
    )


def _unknown() -> Remedy:
    return Remedy(
        f"{_OWN_CA} Users' computers must trust it as well. If a recognised issuer made it, "
        "certificate.chain tells which certificate is missing, or this host's authorities are old."
    )
