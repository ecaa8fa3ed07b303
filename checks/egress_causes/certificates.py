"""Certificates that do not verify here, and those that only this site's authority makes verify."""

import re
from shlex import quote

from biostudio_doctor import distribution
from biostudio_doctor.endpoints import Endpoint
from biostudio_doctor.model import Remedy
from biostudio_doctor.probes.results import Path

from ..egress_facts import Evidence, ended, presented, site, validity
from ..egress_targets import GROUP as OWN_HOSTS
from .case import Case, off_by

#: X509_V_ERR_... of openssl-verification-options(1).
_OUT_OF_TIME = (9, 10)
_UNKNOWN_ISSUER = (19, 20, 21)
_OTHER_NAME = (62, 64)

#: Organisations above the certificates of public hosts: whole words of an issuer's name.
_PUBLIC_AUTHORITIES = (
    "actalis", "amazon", "apple inc", "asseco data systems", "baltimore", "buypass", "certainly",
    "certum", "cloudflare", "comodo", "d-trust", "digicert", "entrust", "geotrust", "globalsign",
    "godaddy.com", "google trust services", "harica", "hellenic academic", "identrust",
    "internet security research group", "let's encrypt", "microsoft corporation", "quovadis",
    "rapidssl", "sectigo", "ssl corp", "ssl corporation", "ssl.com", "starfield", "swisssign",
    "symantec", "t-systems", "telia", "teliasonera", "thawte", "trustasia", "usertrust",
    "verisign", "zerossl",
)  # fmt: skip
_ANY_OF_THEM = "|".join(map(re.escape, _PUBLIC_AUTHORITIES))
_PUBLIC = re.compile(rf"(?<![\w.-])(?:{_ANY_OF_THEM})(?![\w-]|\.\w)")
#: Devices that look into TLS, also those that public authorities sell.
_DEVICE = re.compile(r"\b(?:firewall|gateway|inspection|proxy)\b")
_SEVERAL = 3  # issuers: one interceptor has one name, or two

#: The system's bundle of authorities, by family (distribution.FAMILIES).
_BUNDLES = {
    "rhel": "/etc/pki/tls/certs/ca-bundle.crt",
    "suse": "/etc/ssl/ca-bundle.pem",
}
_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"


# --- Evidence -------------------------------------------------------------------------------------


def wrong_clock(path: Path, evidence: Evidence) -> bool:
    """Out of time by our clock, and in time by the other end's.

    Where no clock can be asked: several authorities' certificates are out of time at once, and none
    is in time.
    """
    if not _untrusted(path, _OUT_OF_TIME):
        return False
    in_time = evidence.valid_by_other_clock(path)
    if in_time is not None:
        return in_time
    late = [one for one in evidence.paths if _untrusted(one, _OUT_OF_TIME)]
    return not evidence.verified and len(evidence.issuers(late)) > 1


def expired(path: Path, evidence: Evidence) -> bool:
    """Out of time, and our clock is right as far as is known."""
    return _untrusted(path, _OUT_OF_TIME)


def wrong_name(path: Path, evidence: Evidence) -> bool:
    """A certificate of someone else, trusted or not: to trust its issuer would not help."""
    return _untrusted(path, _OTHER_NAME) or (_unknown(path) and evidence.misnamed(path))


def intermediate_missing(path: Path, evidence: Evidence) -> bool:
    """A public authority's certificate comes alone, while others verify."""
    alone = path.tls is not None and len(path.tls.chain) == 1
    return _unknown(path) and _is_public(path) and alone and bool(evidence.verified)


def bad_bundle(path: Path, evidence: Evidence) -> bool:
    """The issuer is a public authority by its name, or several hosts have as many issuers."""
    unknown = [one for one in evidence.paths if _unknown(one)]
    several = len(evidence.issuers(unknown)) >= _SEVERAL
    public = _is_public(path) and not _issues_everything(unknown, evidence)
    return _unknown(path) and (public or several)


def intercepted(path: Path, evidence: Evidence) -> bool:
    """The issuer is no public authority, or is the only one for unrelated hosts."""
    return _unknown(path)


def intercepted_and_trusted(path: Path, evidence: Evidence) -> bool:
    """The authority above is no public one, and the same for published hosts of several sites."""
    if not _privately_verified(path):
        return False
    sites = {
        site(one.host)
        for one in evidence.paths
        if _privately_verified(one)
        and _top_issuer(one) == _top_issuer(path)
        and evidence.endpoint(one).group != OWN_HOSTS
    }
    return len(sites) > 1


def _privately_verified(path: Path) -> bool:
    trusted = path.failure is None and path.tls is not None and path.tls.verified
    return trusted and bool(presented(path)) and not _is_public(path)


def _top_issuer(path: Path) -> str:
    """Who stands above the last certificate that was presented."""
    last = path.tls.chain[-1] if path.tls and path.tls.chain else None
    return (last.issuer_name or last.issuer) if last else ""


def _issues_everything(unknown: list[Path], evidence: Evidence) -> bool:
    """Whether hosts of several sites, and all that show a certificate, have one issuer."""
    unrelated = {site(path.host) for path in unknown}
    return len(unrelated) > 1 and len(evidence.issuers(evidence.paths)) == 1


def invalid_certificate(path: Path, evidence: Evidence) -> bool:
    """A certificate that no client may accept."""
    return ended(path, "tls", "untrusted")


def _untrusted(path: Path, codes: tuple[int, ...]) -> bool:
    return ended(path, "tls", "untrusted") and path.tls is not None and (
        path.tls.verify_code in codes
    )  # fmt: skip


def _unknown(path: Path) -> bool:
    return _untrusted(path, _UNKNOWN_ISSUER)


def _is_public(path: Path) -> bool:
    """Whether the name of an authority above the certificate is that of a public one."""
    chain = path.tls.chain if path.tls else ()
    return any(
        _PUBLIC.search(one.issuer_name.lower() or one.issuer.lower())
        and not _DEVICE.search(one.issuer.lower())
        for one in chain
    )


# --- What was seen --------------------------------------------------------------------------------


def clock_seen(case: Case) -> str:
    """How far it is off, where the other end's clock is known."""
    offset = case.evidence.clock_offset(case.first)
    if not offset:
        return "this host's clock is wrong: no certificate is in time by it"
    side = "behind" if offset > 0 else "ahead of"
    return f"this host's clock is {off_by(offset).rpartition(' ')[0]} {side} the servers'"


def expired_seen(case: Case) -> str:
    """Who issued it, and until when it was valid."""
    when = validity(case.first, case.evidence.facts.observed_at)
    known = f"issued by {case.issuers}{f'; {when}' if when else ''}"
    return f"the certificate is out of time ({known})"


def wrong_name_seen(case: Case) -> str:
    """Which name."""
    leaf = presented(case.first)
    return f"a certificate of another name is presented ('{leaf.name if leaf else '?'}')"


def intercepted_seen(case: Case) -> str:
    """Whose certificates are shown instead."""
    unrelated = len({case.evidence.endpoint(path).domain for path in case.paths}) > 1
    of = "unrelated hosts" if unrelated else "the host"
    public = _is_public(case.first)
    why = "and by no one else" if public else "which is no public authority"
    return f"TLS is intercepted: the certificates of {of} are issued by {case.issuers}, {why}"


def intercepted_and_trusted_seen(case: Case) -> str:
    """The same, and who does not trust it yet."""
    return (
        f"TLS is intercepted by '{_top_issuer(case.first)}', which this host trusts; conda "
        "and containers do not know it by themselves"
    )


# --- What to do -----------------------------------------------------------------------------------


def install_authority(case: Case) -> Remedy:
    """A device looks into TLS."""
    return Remedy(
        f"Have the certificate of {case.issuers} from the network team, as site-ca.crt in PEM, and "
        f"install it on this host as below. {_beyond_the_host(case)} "
        f"`{_shown(case, '-showcerts')}` shows what is presented.\n"
        + case.request(
            "exempt these hosts from TLS inspection, or give us the certificate of the inspecting "
            "device's authority",
        ),
        distribution.trust_authority(case.machine, "site-ca.crt"),
    )


def pass_authority_on(case: Case) -> Remedy:
    """This host trusts the device already."""
    return Remedy(
        f"{_beyond_the_host(case)} Or have the hosts exempted.\n"
        + case.request("exempt these hosts from TLS inspection"),
        (_shown(case, "-showcerts"),),
        as_root=False,
    )


def _beyond_the_host(case: Case) -> str:
    """What has authorities of its own, and how it is given the host's."""
    bundle = _BUNDLES.get(distribution.family(case.machine), _BUNDLE)
    return (
        f"conda has a list of its own: `conda config --system --set ssl_verify {bundle}`. "
        f"Containers do not see the host's: give them `--volume {bundle}:/site-ca.crt:ro --env "
        "REQUESTS_CA_BUNDLE=/site-ca.crt --env SSL_CERT_FILE=/site-ca.crt`."
    )


def update_bundle(case: Case) -> Remedy:
    """The system's authorities are old or broken."""
    update = distribution.update_trust(case.machine)
    rebuild = distribution.rebuild_trust(case.machine)
    return Remedy(
        "Bring this system's public authorities up to date (package ca-certificates) and write "
        "their bundle anew; `biostudio-doctor check egress.trust` tells what is wrong with it. If "
        "the issuers' names are not to be trusted, a device on the way uses them: ask the network "
        "team.",
        (*update, *rebuild),
    )


def set_clock(case: Case) -> Remedy:
    """This host's clock."""
    return Remedy(
        "Set this host's clock right, and keep it so: `biostudio-doctor check os.time` tells how.",
        ("date -u", "biostudio-doctor check os.time"),
        as_root=False,
    )


def tell_owner(case: Case) -> Remedy:
    """A certificate that is at fault at the other end, or on the way."""
    return Remedy(
        f"The certificate itself is at fault, issued by {case.issuers}. If that is your "
        "site's name, its TLS inspection is out of order; if not, tell support@bioturing.com.\n"
        + case.request("see that nothing on the way replaces these certificates"),
        (_shown(case),),
        as_root=False,
    )


def ask_for_intermediate(case: Case) -> Remedy:
    """The other end sends its own certificate alone."""
    return Remedy(
        f"The other end must send the intermediate certificate of {case.issuers} as well. If no "
        "device of your site answers here, tell support@bioturing.com.\n"
        + case.request(
            "see whether a device on the way answers here, and have it send the whole chain of "
            "certificates"
        ),
        (_shown(case, "-showcerts"),),
        as_root=False,
    )


def _shown(case: Case, *options: str) -> str:
    """The command that shows the certificates, through the proxy if there is one."""
    through = case.first.route.proxy
    by = ("-proxy", quote(str(Endpoint(through.host, through.port)))) if through else ()
    words = ("openssl s_client", *options, *by, "-connect", quote(case.place), "</dev/null")
    return " ".join(words)
