"""What the checks services.* share: whom to ask, and from an answer to a finding."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import ClassVar

from msgspec import Struct

from biostudio_doctor.check import Check
from biostudio_doctor.config import LoginServiceConfig, Secret, ServiceConfig
from biostudio_doctor.endpoints import is_loopback
from biostudio_doctor.host import Host
from biostudio_doctor.host.containers import Startup
from biostudio_doctor.model import Finding, Remedy, Status
from biostudio_doctor.ports import numbers_of
from biostudio_doctor.requirements import Port, Requirements
from biostudio_doctor.secret import SecretError, reveal
from biostudio_doctor.services import Answer, Login, Target

from .services_words import advice, saying

_SHARE = 0.7  # of the check's timeout: what one target may take

#: A status for each state; the rest fails.
_STATUS = {
    "healthy": Status.PASS,
    "password-needed": Status.PASS,
    "denied": Status.WARN,
    "unasked": Status.ERROR,
    "ca-file": Status.ERROR,
}

#: From a state to a stable word, where they are not the same.
_CAUSES = {"tls": "tls-unexpected", "plain": "tls-missing"}


class ServiceFacts(Struct, frozen=True, kw_only=True):
    """How the ports of one service answered, in the order in which they were asked."""

    answers: tuple[Answer, ...] = ()
    no_password: str = ""  # why the configured password could not be had
    startup: Startup | None = None  # of its container, where it does not answer as it should


class ServiceCheck(Check[ServiceFacts]):
    """A service of BioStudio, asked in its own protocol. Derived checks say which."""

    interval = timedelta(minutes=1)
    timeout = timedelta(seconds=10)
    phases = ("running",)
    service: ClassVar[str]  # as requirements.Port has it
    name: ClassVar[str]  # for a person

    async def ask(self, target: Target) -> Answer:
        """Ask one target; derived checks call their client here, and import it only now."""
        raise NotImplementedError

    def remarks(self, answer: Answer, finding: Finding) -> Iterator[Finding]:
        """What else there is to say of a service that answers; derived checks may."""
        yield from ()

    async def observe(self, host: Host) -> ServiceFacts:
        places = self.places()
        if isinstance(places, Finding):
            return ServiceFacts()
        from biostudio_doctor.probes.side_by_side import side_by_side

        login, problem = self._login(host)
        targets = [self._target(address, port, login, host) for address, port in places]
        with host.doing(f"ask {self.name} at {targets[0].host}"):
            answers = await side_by_side(self.ask, targets)
        return ServiceFacts(answers=answers, no_password=problem)

    def judge(self, facts: ServiceFacts, requirements: Requirements) -> Iterator[Finding]:
        places = self.places()
        if isinstance(places, Finding):
            yield places
            return
        answer = best(facts.answers)
        finding = self._finding(answer, facts)
        if facts.no_password and finding.status is Status.PASS:
            finding = self._without_password(finding, facts.no_password)
        yield finding
        if answer.state in ("healthy", "denied"):
            yield from self.remarks(answer, finding)

    # --- Whom to ask ------------------------------------------------------------------------------

    @property
    def port(self) -> Port:
        """The published port."""
        return self.context.requirements.demand(f"port.{self.service}", Port)

    @property
    def settings_of_service(self) -> ServiceConfig:
        """Its table in the configuration; the fronts, whose ports are in [ports], have none."""
        found = getattr(self.context.config.services, self.service.replace("-", "_"), None)
        return found if isinstance(found, ServiceConfig) else ServiceConfig()

    def places(self) -> list[tuple[str, int]] | Finding:
        """Address and ports, or why nobody is asked."""
        config, scope = self.context.config, self.context.scope
        own = scope.role in ("all-in-one", self.port.image)
        address = config.services.address if own else config.bioproxy
        if not address:
            return Finding(
                Status.SKIP,
                self.subject(),
                f"{self.name} is bioproxy's, and the configuration does not say where bioproxy is.",
                remedy=Remedy('Set bioproxy = "ADDRESS" in the configuration.'),
                requirement=self.port,
            )
        if scope.offline and not is_loopback(address):
            said = f"{self.name} is asked over the network, at {address}, and --offline was given."
            return Finding(Status.SKIP, self.subject(), said, requirement=self.port)
        return [(address, port) for port in self.numbers()]

    def numbers(self) -> tuple[int, ...]:
        """The port that the configuration gives to it, or else the published ones."""
        return numbers_of(self.context.config, self.port)

    def subject(self) -> str:
        """The row of the table: one for each published port."""
        return f"{self.numbers()[0]} ({self.service})"

    def _target(self, address: str, port: int, login: Login | None, host: Host) -> Target:
        settings = self.settings_of_service
        seconds = self.allowed_seconds
        ca_file: str | None = getattr(settings, "ca_file", None)
        return Target(
            host=address,
            port=port,
            timeout=seconds * _SHARE,
            tls=getattr(settings, "tls", False),
            ca_file=host.path(ca_file) if ca_file else None,
            login=login,
            database=getattr(settings, "database", ""),
        )

    def _login(self, host: Host) -> tuple[Login | None, str]:
        """With whose credentials to ask, and why that password cannot be had."""
        settings = self.settings_of_service
        password: Secret | None = getattr(settings, "password", None)
        user = getattr(settings, "user", None) or ""
        if not password:
            return (Login(user) if user else None), ""
        try:
            return Login(user, reveal(password, host)), ""
        except SecretError as error:
            return None, str(error)

    # --- What it means ----------------------------------------------------------------------------

    def _finding(self, answer: Answer, facts: ServiceFacts) -> Finding:
        others = [one for one in facts.answers if one is not answer]
        has_login = isinstance(self.settings_of_service, LoginServiceConfig)
        summary = saying(self.name, answer, self.port, others, has_login)
        status = _STATUS.get(answer.state, Status.FAIL)
        cause = (
            "" if status is Status.PASS else f"service.{_CAUSES.get(answer.state, answer.state)}"
        )
        remedy = advice(answer, self.port, self.context.scope, self.context.machine, has_login)
        return Finding(
            status,
            self.subject(),
            summary,
            observed=answer.identity or answer.state,
            expected=f"{self.name} answers",
            remedy=None if status is Status.PASS else remedy,
            requirement=self.port,
            cause=cause,
        )

    def _without_password(self, finding: Finding, problem: str) -> Finding:
        """It is alive, but what was to be asked with the password was not."""
        key = self.service.replace("-", "_")
        return Finding(
            Status.ERROR,
            finding.subject,
            f"{finding.summary.rstrip('.')}; the configured password cannot be had: {problem}.",
            observed=finding.observed,
            expected=finding.expected,
            remedy=Remedy(
                f"Correct services.{key}.password in the configuration, or let biostudio-doctor "
                "read that file."
            ),
            requirement=finding.requirement,
            cause="service.no-password",
        )


def best(answers: Iterable[Answer]) -> Answer:
    """The answer that counts where a service may be at either of several ports."""
    ranks = ("healthy", "password-needed", "denied", "password-wrong", "unwell", "unasked",
             "ca-file", "untrusted", "tls", "plain", "foreign", "silent", "closed", "unreachable",
             "refused")  # fmt: skip
    return min(answers, key=lambda answer: ranks.index(answer.state))


def remark(
    about: Finding,
    subject: str,
    cause: str,
    summary: str,
    remedy: Remedy,
) -> Finding:
    """A warning about a service that answers, in a row of its own."""
    return Finding(
        Status.WARN,
        f"{about.subject}: {subject}",
        summary,
        remedy=remedy,
        requirement=about.requirement,
        cause=cause,
    )
