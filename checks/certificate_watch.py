"""What the checks of certificates share: one look at all of them in a run, and their settings."""

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Annotated, ClassVar, Generic, TypeVar

from msgspec import Meta, Struct

from biostudio_doctor import config as configuration
from biostudio_doctor.certificates.survey import Survey, survey
from biostudio_doctor.certificates.watched import Watched, sources
from biostudio_doctor.check import Check, Context
from biostudio_doctor.config import AbsolutePath, Settings
from biostudio_doctor.host import Host
from biostudio_doctor.model import NOT_ASKED, Finding, Status
from biostudio_doctor.requirements import Requirements

from .unconfigured import not_configured

_SHARED = "certificate.expiry"  # whose table holds the settings that concern them all

HOW_TO_WATCH = (
    "To watch some, name files and endpoints in the configuration, such as: "
    'certificates = ["/etc/ssl/studio.crt", "studio.example.org:443"]'
)

Days = Annotated[float, Meta(ge=0, le=36500)]
Share = Annotated[float, Meta(ge=0, le=1)]

FactsT = TypeVar("FactsT")
T = TypeVar("T")


class ExpirySettings(Settings, frozen=True, kw_only=True):
    """When to warn, whom to trust, and where bioproxy's certificate is."""

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
        Meta(description="Authorities (PEM) that all checks of certificates trust besides."),
    ] = None
    bioproxy_certificate: Annotated[
        AbsolutePath, Meta(description="Watched as well, once it exists.")
    ] = "/biocolab/configs/tls.crt"


class Seen(Struct, Generic[T], frozen=True, kw_only=True):
    """What a check judges, of all that is watched."""

    watched: int  # sources
    read: int  # of them, those of which a certificate was had
    of: tuple[T, ...] = ()  # what concerns the check


class CertificateLook(Check[FactsT]):
    """A check that judges what one look at all certificates has shown."""

    interval = timedelta(hours=1)
    timeout = timedelta(seconds=30)

    def look(self, host: Host) -> Survey:
        """The look of this run, shared with the other checks of certificates."""
        with host.doing("read and ask for the certificates"):
            return _shared.look(self.context, host, self.allowed_seconds)


class CertificateCheck(CertificateLook[Seen[T]], Generic[T]):
    """A check of those certificates that could be read; certificate.expiry tells of the others."""

    concerns: ClassVar[str]  # what it judges, in words that follow "it concerns only"
    once: ClassVar[bool] = False  # a file whose certificates are served is judged where they are

    def seen(self, host: Host, pick: Callable[[Watched], T | None]) -> Seen[T]:
        """What the look has shown, as far as `pick` finds something to judge in it."""
        watched = self.look(host).watched
        read = [one for one in watched if one.chain]
        picked = (pick(one) for one in read if not (self.once and _is_served(one, read)))
        return Seen(
            watched=len(watched), read=len(read), of=tuple(one for one in picked if one is not None)
        )

    def judge(self, facts: Seen[T], requirements: Requirements) -> Iterator[Finding]:
        found = list(self.findings(facts.of))
        yield from found or [self._nothing(facts)]

    def findings(self, of: tuple[T, ...]) -> Iterator[Finding]:
        """What is found of what concerns this check; nothing of nothing."""
        raise NotImplementedError

    def _nothing(self, facts: Seen[T]) -> Finding:
        if not facts.watched:
            summary = "No certificate is configured to be watched."
            return not_configured(self.id, summary, HOW_TO_WATCH)
        why = f"it concerns only {self.concerns}"
        if not facts.read:
            why = "it needs a certificate that can be read, and certificate.expiry has none"
        return Finding(Status.SKIP, self.id, f"Not asked: {why}.", cause=NOT_ASKED)


def _is_served(file: Watched, read: list[Watched]) -> bool:
    """Whether an endpoint that is asked for the same names presents just what is in a file."""
    return file.is_file and any(
        _prints(one) == _prints(file) and set(file.names) <= set(one.names)
        for one in read
        if not one.is_file
    )


def _prints(watched: Watched) -> list[str]:
    return [one.sha256 for one in watched.chain.certificates] if watched.chain else []


def settings(context: Context) -> ExpirySettings:
    """Those that concern all checks of certificates."""
    table = context.config.checks.get(_SHARED, {})
    return configuration.convert(table, ExpirySettings, "configuration", f"checks.{_SHARED}")


class _Shared:
    """The latest look, by the context of its run: a process observes for one run at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._context: Context | None = None
        self._root = ""
        self._seen: Survey | None = None

    def look(self, context: Context, host: Host, seconds: float) -> Survey:
        """Look, or wait for whoever is looking already."""
        with self._lock:
            if self._seen is None or self._context is not context or self._root != host.root:
                self._seen = _look(context, host, seconds)
                self._context, self._root = context, host.root
            return self._seen


_shared = _Shared()


def _look(context: Context, host: Host, seconds: float) -> Survey:
    told = settings(context)
    running = context.scope.phase == "running"
    return survey(
        host,
        sources(context.config, own=told.bioproxy_certificate, running=running),
        ca_file=told.ca_file,
        offline=context.scope.offline,
        seconds=seconds,
    )
