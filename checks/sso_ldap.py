"""sso.ldap"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from msgspec import Struct, structs

from biostudio_doctor import endpoints, text
from biostudio_doctor.certificates.watched import Source, Watched
from biostudio_doctor.certificates.wording import why
from biostudio_doctor.check import Check
from biostudio_doctor.host import Host
from biostudio_doctor.model import Finding, Remedy, Status
from biostudio_doctor.requirements import Requirements

from .certificate_watch import settings
from .sso import SHARE, named, no_provider, unusable
from .sso_expiry import expiry

_RENEW = Remedy("Have whoever runs the directory renew its certificate.")
_NAMES = 5


class LdapFacts(Struct, frozen=True, kw_only=True):
    """What was seen of each directory, and the time of that."""

    observed_at: datetime  # UTC, by this host's clock
    watched: tuple[Watched, ...] = ()
    bad: dict[str, str] = {}  # URLs that make no sense, and why
    ca_problems: dict[str, str] = {}  # why authorities could not be used, by their file


class SsoLdap(Check[LdapFacts]):
    """LDAP directories by TLS.

    Connects to every directory under [[sso.ldap]], with TLS from the start (ldaps://) or by
    StartTLS (ldap://), and judges whether TLS comes about, and whether the certificate is trusted
    here, is for that name, and lasts. It is connected to directly: LDAP goes through no proxy of
    the web.

    What cannot be seen from here: nobody is bound and nothing is searched, so no account or
    password is needed; whether an account may log in is not verified.

    Why: without TLS passwords of your people would cross the network readably; with a certificate
    that is not trusted, sign-in software refuses the directory, and nobody signs in.

    Mend: what the finding says, in the directory's settings.
    """

    id = "sso.ldap"
    interval = timedelta(hours=1)
    timeout = timedelta(seconds=15)
    network = True

    def observe(self, host: Host) -> LdapFacts:
        directories = self.context.config.sso.ldap
        if not directories:
            return LdapFacts(observed_at=datetime.now(UTC))
        from biostudio_doctor.certificates.survey import survey

        sources: dict[str, Source] = {}
        bad: dict[str, str] = {}
        for one in directories:
            at = text.printable(endpoints.without_user(one.url).strip())
            try:
                endpoints.watched(at)
                sources[at] = Source(at=at, ca_file=one.ca_file)
            except ValueError as error:
                bad[at] = str(error)
        with host.doing("ask the LDAP directories"):
            seen = survey(
                host,
                tuple(sources.values()),
                ca_file=settings(self.context).ca_file,
                offline=False,
                seconds=SHARE * self.allowed_seconds,
            )
        return LdapFacts(
            observed_at=seen.observed_at, watched=seen.watched, bad=bad,
            ca_problems=seen.ca_problems,
        )  # fmt: skip

    def judge(self, facts: LdapFacts, requirements: Requirements) -> Iterator[Finding]:
        if not facts.watched and not facts.bad:
            yield no_provider("LDAP directory", "ldap", '[[sso.ldap]] with url = "ldaps://HOST"')
        for at, problem in facts.bad.items():
            yield unusable(at, problem, "url under [[sso.ldap]]")
        for path, problem in facts.ca_problems.items():
            yield structs.replace(
                unusable(f"ca_file {path}", problem, "ca_file under [[sso.ldap]]"),
                summary=f"The authorities in {path} cannot be used: {problem}.",
            )
        for watched in facts.watched:
            yield _tls(watched)
            leaf = watched.leaf
            if leaf:
                yield _trust(watched)
                yield _name(watched, leaf.names)
                last = expiry(watched.name, leaf, facts.observed_at, self.context, _RENEW)
                yield structs.replace(last, subject=f"{watched.name} expiry")


def _tls(watched: Watched) -> Finding:
    name = watched.name
    if watched.leaf:
        return Finding(
            Status.PASS,
            name,
            f"{name} speaks TLS. Nobody was bound, so no account was verified.",
            observed=watched.tls.version if watched.tls else "",
        )
    failure = watched.tls.failure if watched.tls else None
    place, prelude = endpoints.watched(name)
    from shlex import quote

    if failure and failure.phase == "resolve":
        words, command = (
            "Correct the name, or its entry in DNS.",
            f"getent hosts {quote(place.host)}",
        )
        cause = "sso.no-name"
    else:
        starttls = " -starttls ldap" if prelude else ""
        command = f"openssl s_client -connect {quote(str(place))}{starttls} < /dev/null"
        cause = "sso.no-tls"
        words = "Turn TLS on in the directory's settings, with a certificate."
        if failure and failure.phase == "connect":
            cause = "sso.no-connection"
            words = (
                f"See whether the directory runs, and whether a firewall lets this host through to "
                f"TCP port {place.port}."
            )
    return Finding(
        Status.FAIL,
        name,
        f"No TLS comes about with {name}: {why(failure)}.",
        observed=f"{failure.phase}: {failure.reason}" if failure else "no certificate",
        expected="StartTLS" if prelude else "TLS from the start",
        remedy=Remedy(words, (command,), as_root=False),
        cause=cause,
    )


def _trust(watched: Watched) -> Finding:
    subject = f"{watched.name} trust"
    trust = watched.trust
    if trust and trust.trusted:
        return Finding(Status.PASS, subject, f"The certificate of {watched.name} is trusted here.")
    problem = trust.problem if trust else ""
    return Finding(
        Status.FAIL,
        subject,
        f"This host does not trust the certificate of {watched.name}"
        + (f": {problem}." if problem else "."),
        observed=problem or "no chain to an authority that is trusted here",
        expected="a chain to an authority that is trusted here",
        remedy=Remedy(
            "If an authority of your own issued it, name that in PEM as ca_file under "
            "[[sso.ldap]], and let the BioStudio containers trust it too."
        ),
        cause="sso.untrusted",
    )


def _name(watched: Watched, names: tuple[str, ...]) -> Finding:
    subject = f"{watched.name} name"
    wanted = watched.names[0] if watched.names else ""
    if watched.leaf and watched.leaf.covers(wanted):
        return Finding(Status.PASS, subject, f"The certificate of {watched.name} is for that name.")
    return Finding(
        Status.FAIL,
        subject,
        f"The certificate of {watched.name} is not for {wanted}.",
        observed=named(names, _NAMES) or "no names",
        expected=wanted,
        remedy=Remedy(
            "Configure the directory by a name that its certificate has, or have it issued anew "
            "with this one."
        ),
        cause="sso.other-name",
    )
