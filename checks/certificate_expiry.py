"""certificate.expiry"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from msgspec import Struct, structs

from biostudio_doctor import text
from biostudio_doctor.certificates import CertificateFacts
from biostudio_doctor.certificates.chains import Chain
from biostudio_doctor.certificates.watched import Watched
from biostudio_doctor.certificates.wording import unread
from biostudio_doctor.host import Host
from biostudio_doctor.model import Finding, Remedy, Status
from biostudio_doctor.renewal import INSTALL, chain_renewal, renewal
from biostudio_doctor.requirements import Feature, Requirements

from .certificate_watch import HOW_TO_WATCH, CertificateLook, ExpirySettings
from .unconfigured import not_configured

_NAMES_SHOWN, _CHAIN_SHOWN = 5, 6

_UNREADABLE_CHAIN = Remedy(
    "Have that certificate made anew by its issuer: other programs may not read it either.",
)

_CLOCK = Remedy(
    "Compare this host's clock with the right time. If it is right, the certificate was made on a "
    "machine whose clock is ahead, or is meant for later.",
    ("date -u",),
    as_root=False,
)


class ExpiryFacts(Struct, frozen=True, kw_only=True):
    """What the watched certificates say, and the time of that."""

    observed_at: datetime  # UTC, by this host's clock
    watched: tuple[Watched, ...]
    ca_problems: dict[str, str] = {}  # why extra authorities could not be used, by their file


class CertificateExpiry(CertificateLook[ExpiryFacts]):
    """Certificates that expire soon.

    Looks at every certificate named under `certificates` in the configuration. Files hold PEM, DER,
    PKCS#7, PKCS#12 or a Kubernetes secret in JSON; of a directory, tls.crt is read. Endpoints are
    host:port, [IPv6]:port, or a URL of https, mqtts, rediss, ldaps, smtps, and of postgresql, smtp
    and ldap, which begin without TLS; nothing is sent after the handshake. bioproxy's own
    certificate in its configuration volume is taken besides, once it exists, and in the phase
    'running' what is served under the configured domain. Of a chain, the certificate that stands
    worst counts, and of several the first to expire. What is sent along without need counts only
    as a hint once it has expired, where another way leads to an authority that is known here. An
    endpoint that is not trusted is read all the same.

    All checks of certificates share one look in a run: 32 endpoints at a time, 5 seconds for each
    at most, and none waits for its turn longer than 3 seconds. So 500 endpoints take 10 seconds at
    most, whatever they do, and some 100 MB of memory.

    A certificate is judged by the days that are left and by their share of its lifetime, and only
    where both are short: 30 days are late for a certificate of a year, but one of six days is
    renewed every few days, and one of 24 hours every few hours. Automatic renewal begins with a
    third of the lifetime left, so a warning below three tenths says that it has not worked.

    Why: on the day of expiry browsers, the desktop application and notebooks refuse to connect, all
    at once.

    Mend: renew the certificate in the way that it was made (self-signed, Let's Encrypt inside
    bioproxy, or bought), and install it on the dashboard under Settings > Update SSL.
    """

    id = "certificate.expiry"
    requirement_ids = ("https.certificate",)
    Settings = ExpirySettings

    def observe(self, host: Host) -> ExpiryFacts:
        seen = self.look(host)
        return ExpiryFacts(
            observed_at=seen.observed_at, watched=seen.watched, ca_problems=seen.ca_problems
        )

    def judge(self, facts: ExpiryFacts, requirements: Requirements) -> Iterator[Finding]:
        if not facts.watched:
            yield _nothing_to_watch(self.settings.bioproxy_certificate)
        for path, problem in facts.ca_problems.items():
            yield _unusable_authorities(path, problem)
        demand = requirements.demand("https.certificate", Feature)
        for watched in facts.watched:
            if not watched.chain:
                yield unread(watched, self.context.machine)
                continue
            expiry = self._expiry(watched, watched.chain, facts.observed_at)
            yield structs.replace(expiry, requirement=demand)
            if watched.tls and watched.tls.unread:
                yield _unread_chain(watched.name, watched.tls.unread)

    def _expiry(self, watched: Watched, chain: Chain, now: datetime) -> Finding:
        """The certificate of the chain that stands worst; of several, the first to expire."""
        severity = list(Status)
        standings = [(self._standing(one, now), one) for one in _needed(chain)]
        status, counts = min(
            standings, key=lambda item: (severity.index(item[0]), item[1].not_after)
        )
        if status is not Status.FAIL and chain.anchor_until and chain.anchor_until <= now:
            return _dead_authority(watched.name, chain, chain.anchor_until, now)
        needless = [one for one in _needless(chain) if one.not_after <= now]
        if status is Status.PASS and needless:
            return _needless_expired(watched, chain, needless[0], now)
        remedy = None
        if now < counts.not_before:
            remedy = _CLOCK
        elif status is not Status.PASS:
            remedy = renewal(counts) if counts is chain.leaf else chain_renewal(counts)
        return Finding(
            status,
            watched.name,
            f"{_whose(counts, watched, chain)} {_when(counts, now)}.",
            observed=_described(chain),
            expected=f"{_days(self._warn_at(counts))} left or more",
            remedy=remedy,
            cause=_cause(status, counts, now),
        )

    def _standing(self, certificate: CertificateFacts, now: datetime) -> Status:
        left = certificate.not_after - now
        if now < certificate.not_before or left <= timedelta(0):
            return Status.FAIL
        if left < _lead(certificate, self.settings.fail_days, self.settings.fail_share):
            return Status.FAIL
        return Status.WARN if left < self._warn_at(certificate) else Status.PASS

    def _warn_at(self, certificate: CertificateFacts) -> timedelta:
        return _lead(certificate, self.settings.warn_days, self.settings.warn_share)


def _lead(certificate: CertificateFacts, days: float, share: float) -> timedelta:
    """How long before its end a certificate is short of time: the less of the two."""
    return min(timedelta(days=days), share * certificate.lifetime)


def _needed(chain: Chain) -> list[CertificateFacts]:
    """Those on which trust depends; of a bundle of authorities, all."""
    if chain.is_store:
        return list(chain.certificates)
    return [chain.certificates[at] for at in chain.path]


def _needless(chain: Chain) -> list[CertificateFacts]:
    """Those of another way upwards; of strangers certificate.chain tells."""
    if chain.is_store:
        return []
    needed = {one.sha256 for one in _needed(chain)}
    related = (one for at, one in enumerate(chain.certificates) if at not in chain.unrelated)
    return [one for one in related if one.sha256 not in needed]


# --- In words ------------------------------------------------------------------------------------


def _dead_authority(name: str, chain: Chain, until: datetime, now: datetime) -> Finding:
    return Finding(
        Status.FAIL,
        name,
        f"The authority '{chain.anchor}' above the certificate of {name} expired "
        f"{_days(now - until)} ago, on {_moment(until, now - until)}.",
        observed=_described(chain),
        expected="an authority that is valid",
        remedy=Remedy(
            "Get its successor from whoever runs it, and put that among the authorities of this "
            "host and of users' computers, or into the ca_file that names it. If it has none, have "
            f"a new certificate issued by another authority, and install it {INSTALL}."
        ),
        cause="certificate.expired",
    )


def _needless_expired(
    watched: Watched, chain: Chain, needless: CertificateFacts, now: datetime
) -> Finding:
    return Finding(
        Status.WARN,
        watched.name,
        f"{_whose(needless, watched, chain)} {_when(needless, now)}. It is not needed: another way "
        f"leads to '{chain.anchor}', which is known here.",
        observed=_described(chain),
        expected="no certificate that has expired",
        remedy=Remedy(
            "Take it out of the chain: current programs pass over it, but old ones, such as those "
            "with OpenSSL 1.0.2, follow it and refuse the whole."
        ),
        cause="certificate.expired-needless",
    )


def _cause(status: Status, certificate: CertificateFacts, now: datetime) -> str:
    if status is Status.PASS:
        return ""
    if now < certificate.not_before:
        return "certificate.not-yet-valid"
    return "certificate.expired" if certificate.not_after <= now else "certificate.expiring"


def _whose(certificate: CertificateFacts, watched: Watched, chain: Chain) -> str:
    if certificate is chain.leaf:
        return f"The certificate '{certificate.name}' of {watched.name}"
    kind = "root" if certificate.self_signed else "intermediate"
    return f"The {kind} certificate '{certificate.name}' in the chain of {watched.name}"


def _when(certificate: CertificateFacts, now: datetime) -> str:
    if now < certificate.not_before:
        wait = certificate.not_before - now
        return f"becomes valid only in {_days(wait)}, on {_moment(certificate.not_before, wait)}"
    left = certificate.not_after - now
    if left <= timedelta(0):
        return f"expired {_days(-left)} ago, on {_moment(certificate.not_after, -left)}"
    return f"has {_days(left)} left, until {_moment(certificate.not_after, left)}"


def _days(span: timedelta) -> str:
    """A span in the unit that suits it, rounded down."""
    minutes = int(span.total_seconds() // 60)
    if minutes >= 2 * 24 * 60:
        return text.number(minutes // (24 * 60), "day")
    if minutes >= 2 * 60:
        return text.number(minutes // 60, "hour")
    return text.number(minutes, "minute")


def _moment(moment: datetime, span: timedelta) -> str:
    """The day, and the time too where it is near."""
    if span >= timedelta(days=2):
        return f"{moment:%Y-%m-%d}"
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _described(chain: Chain) -> str:
    """The names that it is for, and the whole chain."""
    names = chain.leaf.names
    more = len(names) - _NAMES_SHOWN
    shown = [*names[:_NAMES_SHOWN], *([f"{more} more"] if more > 0 else [])]
    held = chain.certificates
    ends = [f"{one.name} until {one.not_after:%Y-%m-%d}" for one in held[:_CHAIN_SHOWN]]
    if len(held) > _CHAIN_SHOWN:
        ends.append(f"{len(held) - _CHAIN_SHOWN} more")
    return f"for {text.listing(shown) if shown else 'no names'}; chain: {', '.join(ends)}"


def _unread_chain(name: str, problem: str) -> Finding:
    return Finding(
        Status.ERROR,
        f"{name} chain",
        f"The chain of {name} could not be read to its end: {problem}.",
        remedy=_UNREADABLE_CHAIN,
        cause="certificate.unread",
    )


def _nothing_to_watch(own: str) -> Finding:
    return not_configured(
        "certificates",
        f"No certificate is configured to be watched, and bioproxy's own ({own}) is not on this "
        "host.",
        HOW_TO_WATCH,
    )


def _unusable_authorities(path: str, problem: str) -> Finding:
    return Finding(
        Status.ERROR,
        f"ca_file {path}",
        f"The authorities in {path} cannot be used: {problem}.",
        remedy=Remedy("Correct ca_file in the configuration, or put authorities in PEM there."),
        cause="certificate.bad-authorities",
    )
