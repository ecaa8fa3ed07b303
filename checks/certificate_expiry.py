"""certificate.expiry"""

from collections.abc import Awaitable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated

from msgspec import Meta, Struct, structs

from biostudio_doctor import endpoints, text
from biostudio_doctor.certificates import CertificateFacts
from biostudio_doctor.check import Check
from biostudio_doctor.config import AbsolutePath, Settings
from biostudio_doctor.host import Host
from biostudio_doctor.model import Finding, Remedy, Status
from biostudio_doctor.probes.results import TlsResult
from biostudio_doctor.renewal import INSTALL, chain_renewal, renewal
from biostudio_doctor.requirements import Feature, Requirements
from biostudio_doctor.watched import (
    Watched,
    ask_endpoints,
    is_file,
    missing,
    read_files,
    unasked,
    unread,
    why,
)

_FILES_SHARE, _ENDPOINTS_SHARE = 0.3, 0.6  # of the check's timeout; the rest is for judging
_NAMES_SHOWN, _CHAIN_SHOWN = 5, 6
_DATES = (9, 10)  # X509_V_ERR_CERT_NOT_YET_VALID, _HAS_EXPIRED: the expiry says so already

_SELF_MADE = (18, 19)  # X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, _SELF_SIGNED_CERT_IN_CHAIN
_CHAIN_BROKEN = (20, 21)  # _UNABLE_TO_GET_ISSUER_CERT_LOCALLY, _TO_VERIFY_LEAF_SIGNATURE
_WRONG_NAME = (62, 64)  # _HOSTNAME_MISMATCH, _IP_ADDRESS_MISMATCH
_OWN_CA = (
    "If the issuer is your own, name its certificate (PEM) as ca_file in the table "
    '[checks."certificate.expiry"] of the configuration.'
)

_UNREADABLE_CHAIN = Remedy(
    "Have that certificate made anew by its issuer: other programs may not read it either.",
)

_CLOCK = Remedy(
    "Compare this host's clock with the right time. If it is right, the certificate was made on a "
    "machine whose clock is ahead, or is meant for later.",
    ("date -u",),
    as_root=False,
)

Days = Annotated[float, Meta(ge=0, le=36500)]
Share = Annotated[float, Meta(ge=0, le=1)]


class ExpirySettings(Settings, frozen=True, kw_only=True):
    """When to warn, and whom to trust."""

    warn_days: Annotated[Days, Meta(description="Warn only with fewer days left than this.")] = 30
    warn_share: Annotated[
        Share, Meta(description="Warn only with less than this share of the lifetime left.")
    ] = 0.3
    fail_days: Annotated[Days, Meta(description="Fail only with fewer days left than this.")] = 7
    fail_share: Annotated[
        Share, Meta(description="Fail only with less than this share of the lifetime left.")
    ] = 0.1
    ca_file: Annotated[
        AbsolutePath | None,
        Meta(description="Authorities (PEM) that are trusted besides this host's own."),
    ] = None
    bioproxy_certificate: Annotated[
        AbsolutePath, Meta(description="Watched as well, once it exists.")
    ] = "/biocolab/configs/tls.crt"


class ExpiryFacts(Struct, frozen=True, kw_only=True):
    """What the watched certificates say, and the time of that."""

    observed_at: datetime  # UTC, by this host's clock
    watched: tuple[Watched, ...]
    ca_problem: str = ""  # why the extra authorities could not be used


class CertificateExpiry(Check[ExpiryFacts]):
    """Certificates that expire soon.

    Looks at every certificate named under `certificates` in the configuration: files in PEM or DER,
    and endpoints (host:port, [IPv6]:port) by a TLS handshake that sends nothing more. bioproxy's
    own certificate in its configuration volume is taken besides, once it exists. Of a chain, the
    certificate that stands worst counts, and of several the first to expire. An endpoint that is
    not trusted is read all the same.

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
    interval = timedelta(hours=1)
    timeout = timedelta(seconds=10)
    requirement_ids = ("https.certificate",)
    Settings = ExpirySettings

    def observe(self, host: Host) -> ExpiryFacts | Awaitable[ExpiryFacts]:
        watched = self._read_files(host)
        waiting = any(not one.is_file and not one.problem for one in watched)
        if self.context.scope.offline or not waiting:
            return ExpiryFacts(observed_at=datetime.now(UTC), watched=watched)
        return self._ask_endpoints(host, watched)

    def _read_files(self, host: Host) -> tuple[Watched, ...]:
        """All that is watched, in the order of the configuration."""
        own = self.settings.bioproxy_certificate
        names = dict.fromkeys(endpoints.public(name) for name in self.context.config.certificates)
        paths = {*filter(is_file, names), own}
        files = read_files(host, paths, seconds=_FILES_SHARE * self._allowed())
        return (
            *(files.get(name, missing(name)) if is_file(name) else unasked(name) for name in names),
            *([files[own]] if own in files and own not in names else []),
        )

    async def _ask_endpoints(self, host: Host, watched: tuple[Watched, ...]) -> ExpiryFacts:
        from biostudio_doctor.probes.tls import verifying_context

        ca_file, ca_problem = None, ""
        if self.settings.ca_file:
            try:
                ca_file = host.path(self.settings.ca_file)
                verifying_context(ca_file)
            except (OSError, ValueError) as error:  # ValueError: a NUL byte in the path
                ca_file, ca_problem = None, getattr(error, "strerror", None) or str(error)
        seconds = _ENDPOINTS_SHARE * self._allowed()
        watched = await ask_endpoints(watched, ca_file=ca_file, seconds=seconds)
        return ExpiryFacts(observed_at=datetime.now(UTC), watched=watched, ca_problem=ca_problem)

    def _allowed(self) -> float:
        """Seconds that this check may take."""
        own = self.timeout.total_seconds()
        return min(own, self.context.config.timeout or own)

    def judge(self, facts: ExpiryFacts, requirements: Requirements) -> Iterator[Finding]:
        if not facts.watched:
            yield _nothing_to_watch(self.settings.bioproxy_certificate)
        if facts.ca_problem:
            yield _unusable_authorities(self.settings.ca_file, facts.ca_problem)
        for watched in facts.watched:
            if not watched.chain:
                yield unread(watched, self.context.machine)
                continue
            expiry = self._expiry(watched, facts.observed_at)
            yield structs.replace(
                expiry, requirement=requirements.demand("https.certificate", Feature)
            )
            if watched.tls:
                yield from _beside_expiry(watched.name, watched.tls)

    def _expiry(self, watched: Watched, now: datetime) -> Finding:
        """The certificate of the chain that stands worst; of several, the first to expire."""
        severity = list(Status)
        standings = [(self._standing(one, now), one) for one in watched.chain]
        status, counts = min(
            standings, key=lambda item: (severity.index(item[0]), item[1].not_after)
        )
        leaf = watched.chain[0]
        remedy = None
        if now < counts.not_before:
            remedy = _CLOCK
        elif status is not Status.PASS:
            remedy = renewal(counts) if counts is leaf else chain_renewal(counts)
        return Finding(
            status,
            watched.name,
            f"{_whose(counts, watched)} {_when(counts, now)}{_and_trust(watched, status)}.",
            observed=_described(watched.chain),
            expected=f"{_days(self._warn_at(counts))} left or more",
            remedy=remedy,
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


# --- In words ------------------------------------------------------------------------------------


def _whose(certificate: CertificateFacts, watched: Watched) -> str:
    if certificate is watched.chain[0]:
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


def _described(chain: tuple[CertificateFacts, ...]) -> str:
    """The names that it is for, and the whole chain."""
    names = (*chain[0].dns_names, *chain[0].ip_addresses)
    more = len(names) - _NAMES_SHOWN
    shown = [*names[:_NAMES_SHOWN], *([f"{more} more"] if more > 0 else [])]
    ends = [f"{one.name} until {one.not_after:%Y-%m-%d}" for one in chain[:_CHAIN_SHOWN]]
    if len(chain) > _CHAIN_SHOWN:
        ends.append(f"{len(chain) - _CHAIN_SHOWN} more")
    return f"for {text.listing(shown) if shown else 'no names'}; chain: {', '.join(ends)}"


def _and_trust(watched: Watched, status: Status) -> str:
    if not watched.tls:
        return ", and is self-signed" if watched.chain[0].self_signed else ""
    if watched.tls.verified:
        return ", and is trusted here"
    if watched.tls.verify_code in (0, *_DATES):
        return ""
    return f", {'but' if status is Status.PASS else 'and'} is not trusted here"


def _beside_expiry(name: str, tls: TlsResult) -> Iterator[Finding]:
    """That an endpoint is not trusted, spoke no TLS that can be, or not all of it could be read."""
    if tls.unread:
        unread = f"The chain of {name} could not be read to its end: {tls.unread}."
        yield Finding(Status.ERROR, f"{name} chain", unread, remedy=_UNREADABLE_CHAIN)
    if tls.verified or tls.verify_code in _DATES:
        return
    if tls.verify_code:
        summary = f"This host does not trust {name}: {tls.verify_error}."
    else:
        summary = f"No safe connection to {name} can be made: {why(tls.failure)}."
    yield Finding(Status.WARN, f"{name} trust", summary, remedy=_mend_trust(tls))


def _mend_trust(tls: TlsResult) -> Remedy:
    if tls.verify_code in _SELF_MADE:
        return Remedy(
            "For a trial that will do: browsers warn of it. Otherwise install a certificate from a "
            f"recognised issuer, followed by its intermediate certificates, {INSTALL}. {_OWN_CA}"
        )
    if tls.verify_code in _CHAIN_BROKEN:
        urls = tls.chain[-1].issuer_urls
        where = f" (the next one is at {urls[0]})" if urls else ""
        return Remedy(
            "If a recognised issuer made it, the server does not send its intermediate "
            f"certificates{where}: put them after its own and install all {INSTALL}, or wherever "
            f"it is served. {_OWN_CA}"
        )
    if tls.verify_code in _WRONG_NAME:
        names = (*tls.chain[0].dns_names, *tls.chain[0].ip_addresses)[:_NAMES_SHOWN]
        made_for = text.listing(names) if names else "no name at all"
        return Remedy(
            f"It is made for {made_for}. Watch it under such a name, or have one issued for the "
            "name that your colleagues use."
        )
    if tls.verify_code:
        return Remedy(f"Have another certificate issued, and install it {INSTALL}.")
    return Remedy(
        "Browsers will not connect either, unless the server only asked for a client certificate. "
        "Allow TLS 1.2 and 1.3 with current ciphers in the configuration of that server."
    )


def _nothing_to_watch(own: str) -> Finding:
    return Finding(
        Status.SKIP,
        "certificates",
        f"No certificate is configured to be watched, and bioproxy's own ({own}) is not on this "
        "host.",
        remedy=Remedy(
            "To watch some, name files and endpoints in the configuration, such as: "
            'certificates = ["/etc/ssl/studio.crt", "studio.example.org:443"]'
        ),
    )


def _unusable_authorities(path: str, problem: str) -> Finding:
    return Finding(
        Status.ERROR,
        "ca_file",
        f"The authorities in {path} cannot be used: {problem}.",
        remedy=Remedy(
            'Correct ca_file in the table [checks."certificate.expiry"] of the configuration.'
        ),
    )
