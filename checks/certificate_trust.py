"""certificate.trust"""

import re
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
_EXTENSIONS = {  # RFC 5280, 4.2
    "2.5.29.14": "subjectKeyIdentifier",
    "2.5.29.15": "keyUsage",
    "2.5.29.17": "subjectAltName",
    "2.5.29.19": "basicConstraints",
    "2.5.29.30": "nameConstraints",
    "2.5.29.35": "authorityKeyIdentifier",
    "2.5.29.37": "extKeyUsage",
}
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
    Where the chain ends below a root, certificate.chain tells what is missing, and nothing is
    judged here. What is trusted is verified once more by the rules of the public web to the letter,
    as Python does from version 3.13 on (VERIFY_X509_STRICT), and with it conda and pip.

    Why: browsers warn of a certificate that they do not trust; programs without a page to click
    through, such as the desktop application, curl and conda, refuse to connect.

    Mend: for a trial a self-signed certificate will do. Otherwise install one of a recognised
    issuer, or distribute your own authority to the computers of all users.
    """

    id = "certificate.trust"
    concerns = "servers' certificates, and no bundles of authorities"
    once = True

    def observe(self, host: Host) -> Seen[Trusted]:
        return self.seen(host, _picked)

    def findings(self, of: tuple[Trusted, ...]) -> Iterator[Finding]:
        for one in of:
            if not one.trust.trusted and not one.chain.is_complete:
                yield _incomplete(one)
            elif not one.trust.trusted:
                yield _untrusted(one)
            elif one.trust.weak:
                yield _unproven(one)
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


def _incomplete(one: Trusted) -> Finding:
    return Finding(
        Status.SKIP,
        one.name,
        f"Whether the certificate of {one.name} is trusted is not judged: its chain is not "
        "complete, as certificate.chain tells.",
        cause="certificate.incomplete",
    )


def _unproven(one: Trusted) -> Finding:
    return Finding(
        Status.SKIP,
        one.name,
        f"Whether the certificate of {one.name} is trusted is not judged: a signature in its chain "
        "is so weak that it proves nothing, as certificate.key tells.",
        cause="certificate.weak-signature",
    )


def _strict(one: Trusted) -> Finding:
    rule = _readable(one.trust.strict)
    return Finding(
        Status.WARN,
        one.name,
        f"The certificate of {one.name} is trusted here, but programs that follow the rules to the "
        f"letter, such as those with Python 3.13 or later, may refuse it: {rule}.",
        observed=one.trust.strict,
        expected="a chain by the rules of the public web",
        remedy=Remedy(
            "Have it issued anew by an authority that keeps to the rules. If that is your own, "
            "its certificate needs the extensions basicConstraints, keyUsage and "
            "subjectKeyIdentifier, and what it issues authorityKeyIdentifier and subjectAltName. "
            "Browsers and curl do without; conda and pip do not, once their Python is that new."
        ),
        cause="certificate.strict",
    )


def _readable(problem: str) -> str:
    """The verifier's words with the names of extensions, which it gives as numbers."""
    found = re.fullmatch(r"invalid extension: ([0-9.]+): Certificate (.+)", problem)
    if not found or found[1] not in _EXTENSIONS:
        return problem
    name = _EXTENSIONS[found[1]]
    if found[2] == "is missing required extension":
        return f"a certificate in its chain lacks the extension {name}"
    return f"the extension {name} of a certificate in its chain is wrong ({found[2]})"


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
