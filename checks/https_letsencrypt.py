"""https.letsencrypt

Its parts are in the modules beside this one: the name, the addresses, the CAA records, and the
words of the other findings.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Iterator, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, structs

from biostudio_doctor.check import Check
from biostudio_doctor.config import AbsolutePath, Settings
from biostudio_doctor.host import Host
from biostudio_doctor.model import Finding, Remedy, Status, Strength
from biostudio_doctor.requirements import Endpoint, Feature, Requirements

from .https_letsencrypt_facts import LetsencryptFacts, read_report
from .unconfigured import not_configured

if TYPE_CHECKING:
    from biostudio_doctor.probes.path import Surroundings

    from .https_letsencrypt_name import Name

_REQUIREMENT = "https.letsencrypt"
_DNS_SHARE = 0.6  # of the check's time

#: Where certificates are asked for (letsencrypt.org, "ACME Protocol").
ISSUER = Endpoint(
    id="https.letsencrypt.issuer",
    strength=Strength.REQUIRED,
    section="Setup HTTPS workflow",
    says="Let's Encrypt: Inside bioproxy",
    host="acme-v02.api.letsencrypt.org",
    domain="acme-v02.api.letsencrypt.org",
    group="HTTPS",
    purpose="certificates are asked for here",
    path="/directory",
)


#: letsencrypt.org, "Rate Limits".
_ATTEMPTS = (
    "Mend this before bioproxy asks for a certificate: after five failed validations of a name in "
    "an hour Let's Encrypt refuses more. What one cannot be sure of is tried with its staging "
    "environment."
)


class LetsencryptSettings(Settings, frozen=True, kw_only=True):
    """Evidence from outside."""

    name_server: Annotated[
        str | None,
        Meta(
            description="IP address of a name server that answers as the internet sees the domain, "
            "to be asked instead of those of /etc/resolv.conf."
        ),
    ] = None
    outside_report: Annotated[
        AbsolutePath | None,
        Meta(description="A JSON report of ports.peers, made by a machine outside of this site."),
    ] = None

    def __post_init__(self) -> None:
        """Refuse what is no address; a ValueError here becomes one line for a person."""
        from ipaddress import ip_address

        if self.name_server is not None:
            try:
                ip_address(self.name_server)
            except ValueError:
                raise ValueError("name_server: expected an IP address") from None


class HttpsLetsencrypt(Check[LetsencryptFacts]):
    """Let's Encrypt can issue a certificate for the domain.

    Asked with `method = "letsencrypt"` in the table [https]. Looks whether `domain` is a name of
    the public DNS; whether its A and AAAA records, aliases followed, are this host's public
    addresses or those of public_addresses; whether its CAA records, or those of the names above
    it, let letsencrypt.org issue by HTTP-01; and whether the issuer is reached from here without
    a proxy. Nothing is ordered, and no attempt is used up.

    From inside nobody sees what the internet sees. Port 80 counts as open by a report that a
    machine outside made with ports.peers, or by your own statement. DNS is asked as this host sees
    it, unless name_server names another server. docs/https.md tells how.

    Why: Let's Encrypt counts attempts. After five failed validations of a name within an hour it
    refuses more, and five certificates of the same names within seven days are all that it issues:
    a container that is made anew again and again without its volume uses them up.

    Mend: mend what is found before bioproxy asks for its first certificate, and keep bioproxy's
    configuration volume, which holds the certificate.
    """

    id = "https.letsencrypt"
    interval = timedelta(hours=6)
    timeout = timedelta(seconds=15)
    roles = ("all-in-one", "bioproxy")
    network = True
    requirement_ids = (_REQUIREMENT, "port.http")
    Settings = LetsencryptSettings

    def observe(self, host: Host) -> LetsencryptFacts | Awaitable[LetsencryptFacts]:
        if not self._asked:
            return LetsencryptFacts()
        name = self._name()
        if name.problem:
            return LetsencryptFacts()
        return self._look(host, name.ascii)

    async def _look(self, host: Host, name: str) -> LetsencryptFacts:
        import anyio

        from biostudio_doctor.host import addresses
        from biostudio_doctor.probes import caa, dns

        from . import egress_one

        seconds = self.allowed_seconds
        chosen = self.settings.name_server
        servers = (chosen,) if chosen else dns.name_servers(host)
        facts = LetsencryptFacts(name=name, servers=servers)
        found: dict[str, object] = {}

        async def ask_addresses() -> None:
            found["answers"] = await dns.ask_all(name, servers, timeout=_DNS_SHARE * seconds)

        async def ask_caa() -> None:
            found["caa"] = await caa.climb(name, servers, timeout=_DNS_SHARE * seconds)

        async def reach(key: str, around: Surroundings) -> None:
            found[key] = await egress_one.look(ISSUER, around, timeout=seconds)

        with host.doing(f"ask for the records of {name}, and reach {ISSUER.host}"):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ask_addresses)
                tasks.start_soon(ask_caa)
                for key, around in self._ways(host).items():
                    tasks.start_soon(reach, key, around)
        facts = structs.replace(facts, **found)
        try:
            facts = structs.replace(facts, own=addresses.own(host))
        except OSError as error:
            facts = structs.replace(facts, own_unknown=error.strerror or "they cannot be listed")
        if self.settings.outside_report:
            wanted = {name, *(one for answer in facts.answers for one in answer.addresses)}
            wanted |= set(self.context.config.https.public_addresses)
            report = read_report(host, self.settings.outside_report, frozenset(wanted))
            facts = structs.replace(facts, outside=report)
        return facts

    def judge(self, facts: LetsencryptFacts, requirements: Requirements) -> Iterator[Finding]:
        demanded = requirements.get(_REQUIREMENT)
        feature = demanded if isinstance(demanded, Feature) else None
        warned = False
        for finding in self._findings(facts, requirements):
            remedy = finding.remedy
            if finding.status is Status.FAIL and remedy and not warned:
                remedy, warned = structs.replace(remedy, text=f"{remedy.text} {_ATTEMPTS}"), True
            yield structs.replace(finding, remedy=remedy, requirement=feature)

    def _findings(self, facts: LetsencryptFacts, requirements: Requirements) -> Iterator[Finding]:
        config = self.context.config
        if not self._asked:
            yield _not_asked(config.https.method)
            return
        from . import https_letsencrypt_addresses as addresses
        from . import https_letsencrypt_words as words
        from .https_letsencrypt_caa import permission

        name = self._name()
        yield _about_name(name, config.domain)
        if name.problem:
            return
        outer_view = self.settings.name_server is not None
        site = addresses.Site(facts, config.https.public_addresses, outer_view)
        yield from addresses.judge(site)
        yield words.port_80(config.ports.http, config.https.port_80_leads_here, facts.outside)
        yield words.caa(permission(facts.caa), name.ascii, site.is_seen_from_outside)
        if facts.direct:
            yield self._issuer(facts, requirements)

    def _issuer(self, facts: LetsencryptFacts, requirements: Requirements) -> Finding:
        from . import egress_one
        from . import https_letsencrypt_words as words

        assert facts.direct
        machine, other = self.context.machine, facts.by_proxy
        direct = egress_one.verdict(facts.direct, ISSUER, machine, requirements)
        by_proxy = egress_one.verdict(other, ISSUER, machine, requirements) if other else None
        proxy = other.paths[0].route.proxy if other and other.paths else None
        return words.issuer(
            ISSUER.host, direct, by_proxy if proxy else None, proxy.url if proxy else ""
        )

    @property
    def _asked(self) -> bool:
        return self.context.config.https.method == "letsencrypt"

    def _name(self) -> Name:
        from .https_letsencrypt_name import Name, examine

        domain = self.context.config.domain
        return examine(domain) if domain else Name("", "is not set", "https.no-domain")

    def _ways(self, host: Host) -> dict[str, Surroundings]:
        """To the issuer, by the name of the fact; what is wrong with a proxy, egress.hosts says."""
        from . import egress_one

        told = egress_one.settings(self.context)
        ways = {"direct": egress_one.direct(host)}
        if told.proxy or _proxy_is_set(os.environ):
            with suppress(OSError):
                ways["by_proxy"] = egress_one.surroundings(told, host)
        return ways


def _proxy_is_set(environ: Mapping[str, str]) -> bool:
    from biostudio_doctor.probes import proxy

    return any(environ.get(one) or environ.get(one.upper()) for one in proxy.VARIABLES)


def _not_asked(method: str | None) -> Finding:
    other = f"HTTPS is configured to be by another way ({method})"
    return not_configured(
        "name",
        f"{other if method else 'How HTTPS will be set up is not configured'}.",
        'If Let\'s Encrypt shall issue the certificate, set method = "letsencrypt" in the table '
        "[https] of the configuration, and domain.",
    )


def _about_name(name: Name, domain: str | None) -> Finding:
    if not name.problem:
        encoded = f" (in DNS {name.ascii})" if domain and not domain.isascii() else ""
        said = f"The domain {domain}{encoded} is a name that the public DNS can have."
        return Finding(Status.PASS, "name", said, observed=name.ascii)
    subject = f"The domain {domain}" if domain else "The domain by which BioStudio is opened"
    return Finding(
        Status.FAIL,
        "name",
        f"{subject} {name.problem}.",
        observed=domain or "",
        expected="a public name, such as biostudio.your-institute.edu",
        remedy=Remedy(
            "Set as domain in the configuration the public name by which colleagues open "
            "BioStudio. Where there is none, use a bought certificate, or one of your own "
            "authority."
        ),
        cause=name.cause,
    )
