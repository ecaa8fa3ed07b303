"""https.letsencrypt: do the name's addresses lead to this site?"""

from collections.abc import Iterator
from ipaddress import ip_address

from biostudio_doctor import text
from biostudio_doctor.model import Finding, Remedy, Status
from biostudio_doctor.probes import Reason
from biostudio_doctor.probes.results import Record

from .egress_facts import is_public_address
from .https_letsencrypt_facts import LetsencryptFacts

_FAMILY: dict[Record, str] = {"A": "IPv4", "AAAA": "IPv6"}
_STATE = "set public_addresses in the table [https] of the configuration"
_SPLIT = (
    "Names often differ inside and outside. Name a server that answers as the internet sees it, "
    'with name_server in the table [checks."https.letsencrypt"], and check again.'
)


class Site:
    """The name's addresses, and those that are known to lead here."""

    def __init__(self, facts: LetsencryptFacts, stated: tuple[str, ...], outer_view: bool) -> None:
        self.facts = facts
        self.outer_view = outer_view  # a server was named that answers as the internet sees it
        self.stated = {str(ip_address(address)) for address in stated}
        self.own = {
            one.address for one in facts.own if not one.guests and is_public_address(one.address)
        }

    def addresses(self, record: Record) -> list[str]:
        """What any server gives."""
        found = (one for one in self.facts.answers if one.record == record)
        return list(dict.fromkeys(address for one in found for address in one.addresses))

    def public(self, record: Record) -> list[str]:
        """Those of them that the internet can reach."""
        return [address for address in self.addresses(record) if is_public_address(address)]

    def known(self, record: Record) -> set[str]:
        """The addresses of a family that lead here."""
        six = record == "AAAA"
        return {address for address in self.stated | self.own if (":" in address) == six}

    @property
    def is_seen_from_outside(self) -> bool:
        """Whether the servers tell what the internet is told, as far as can be seen."""
        return self.outer_view or bool(self.public("A") or self.public("AAAA"))

    @property
    def alias(self) -> str:
        """ " by way of the alias x", or ''."""
        chain = next((one.aliases for one in self.facts.answers if one.aliases), ())
        return f" by way of the alias {text.listing(chain)}" if chain else ""

    @property
    def asked(self) -> str:
        """The servers, for a person."""
        return text.listing(self.facts.servers) or "no name server"


def judge(site: Site) -> Iterator[Finding]:
    """One finding for each family that the name has, or one for the name."""
    if not (site.addresses("A") or site.addresses("AAAA")):
        yield _no_address(site)
        return
    if not (site.public("A") or site.public("AAAA")):
        yield _private(site)
        return
    for record in _FAMILY:
        if site.public(record):
            yield _family(site, record)
        yield from _private_too(site, record)


# --- The name has none that is of use -------------------------------------------------------------


def _no_address(site: Site) -> Finding:
    name, asked = site.facts.name, site.asked
    failures = [one for one in site.facts.answers if one.failure]
    reasons = {one.failure.reason for one in failures if one.failure}
    if "servfail" in reasons:
        told = next((one.extended[0] for one in failures if one.extended), "")
        return Finding(
            Status.FAIL,
            "addresses",
            f"{asked} cannot find {name} out (SERVFAIL{f': {told}' if told else ''}); Let's "
            "Encrypt will most likely fail the same way.",
            observed="SERVFAIL",
            remedy=Remedy(
                "Have those who run the domain's DNS see to it: broken DNSSEC and name servers "
                "that do not answer are the usual reasons.",
                (f"dig +dnssec {name} A", f"dig +cd {name} A"),
                as_root=False,
            ),
            cause="https.dns-servfail",
        )
    if reasons & {"nxdomain", "no-address"}:
        what = "does not exist" if "nxdomain" in reasons else "has no address"
        return Finding(
            Status.FAIL if site.outer_view else Status.ERROR,
            "addresses",
            f"The name {name} {what}, says {asked}{_if_outside(site)}.",
            observed="no address",
            remedy=Remedy(
                "Have an A record entered for it in the public DNS, with this site's public "
                f"address.{'' if site.outer_view else f' {_SPLIT}'}"
            ),
            cause="https.no-address",
        )
    return Finding(
        Status.ERROR,
        "addresses",
        f"Where {name} leads is not known: {_unanswered(reasons, asked)}.",
        remedy=Remedy(
            "See that the name servers of /etc/resolv.conf answer, or name another one with "
            'name_server in the table [checks."https.letsencrypt"].',
            ("cat /etc/resolv.conf",),
            as_root=False,
        ),
        cause="https.dns-unknown",
    )


def _if_outside(site: Site) -> str:
    return "" if site.outer_view else "; whether it does for the internet cannot be told from that"


def _unanswered(reasons: set[Reason], asked: str) -> str:
    if not reasons:
        return "/etc/resolv.conf names no name server"
    said: dict[Reason, str] = {
        "timeout": f"no answer came from {asked}",
        "refused": f"{asked} refuses to answer",
        "unreachable": f"{asked} cannot be reached",
    }
    return next((said[one] for one in said if one in reasons), f"{asked} gives no proper answer")


def _private(site: Site) -> Finding:
    found = [*site.addresses("A"), *site.addresses("AAAA")]
    said = f"{site.facts.name} leads{site.alias} to {text.listing(found)} only"
    if site.outer_view:
        return Finding(
            Status.FAIL,
            "addresses",
            f"{said}: Let's Encrypt cannot reach private addresses.",
            observed=text.listing(found),
            expected="a public address of this site",
            remedy=Remedy(
                "Have the public DNS lead to a public address whose port 80 leads here. Where "
                "there is none, use a bought certificate, or one of your own authority."
            ),
            cause="https.private-address",
        )
    return Finding(
        Status.ERROR,
        "addresses",
        f"{said}, say this host's name servers. If the public DNS says the same, Let's Encrypt "
        "cannot reach it.",
        observed=text.listing(found),
        expected="a public address of this site",
        remedy=Remedy(_SPLIT),
        cause="https.split-view",
    )


def _private_too(site: Site, record: Record) -> Iterator[Finding]:
    public = site.public(record)
    private = [address for address in site.addresses(record) if address not in public]
    if private:
        yield Finding(
            Status.WARN,
            f"{_FAMILY[record]} private",
            f"{site.facts.name} also leads to {text.listing(private)}, which is no public address: "
            "Let's Encrypt passes it over, and browsers outside may wait for it.",
            observed=text.listing(private),
            remedy=Remedy("Have the public DNS lead to public addresses only."),
            cause="https.private-too",
        )


# --- A family with public addresses ---------------------------------------------------------------


def _family(site: Site, record: Record) -> Finding:
    family, name = _FAMILY[record], site.facts.name
    public, known = site.public(record), site.known(record)
    leads = f"{name} leads{site.alias} to {text.listing(public)}"
    strays = [address for address in public if address not in known]
    if not strays:
        whose = "as stated" if set(public) <= site.stated else "which this host has"
        said = f"{leads}, {whose}."
        return Finding(Status.PASS, family, said, observed=text.listing(public))
    if not known:
        return _unknown(site, record, leads)
    some = "" if len(strays) == len(public) else f"; {text.listing(strays)} is none of these"
    return Finding(
        Status.FAIL,
        family,
        f"{leads}, and this site's {family} is {text.listing(sorted(known))}{some}.",
        observed=text.listing(public),
        expected=text.listing(sorted(known)),
        remedy=Remedy(
            f"Have the {record} records name this site's addresses only. If {text.listing(strays)} "
            f"is a load balancer or router that passes port 80 on to here, {_STATE}."
        ),
        cause="https.elsewhere",
    )


def _unknown(site: Site, record: Record, leads: str) -> Finding:
    family, public = _FAMILY[record], text.listing(site.public(record))
    if record == "AAAA" and site.known("A") and not site.facts.own_unknown:
        return Finding(
            Status.FAIL,
            family,
            f"{leads}, and this host has no public IPv6 address. Let's Encrypt asks by IPv6 first, "
            "and takes IPv4 only where no answer comes at all.",
            observed=public,
            expected="a public IPv6 address of this site, or no AAAA record",
            remedy=Remedy(
                "Have the AAAA record removed, or give this host that address. If it is a load "
                f"balancer or router that passes port 80 on to here, {_STATE}."
            ),
            cause="https.ipv6",
        )
    why = site.facts.own_unknown or "this host has private addresses only, as behind NAT"
    instead = " If not, have the AAAA records removed: Let's Encrypt asks by IPv6 first."
    return Finding(
        Status.ERROR,
        family,
        f"{leads}; whether that leads here cannot be told: {why}.",
        observed=public,
        remedy=Remedy(
            f"If that is this site's public address, {_STATE}: [{_quoted(site, record)}]."
            + instead * (record == "AAAA")
        ),
        cause="https.behind-nat",
    )


def _quoted(site: Site, record: Record) -> str:
    return ", ".join(f'"{address}"' for address in site.public(record))
