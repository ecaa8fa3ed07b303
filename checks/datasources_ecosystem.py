"""datasources.ecosystem"""

from __future__ import annotations

from collections.abc import Awaitable, Iterator, Sequence
from datetime import timedelta
from functools import partial

from msgspec import Struct

from biostudio_doctor import endpoints, text
from biostudio_doctor.check import Check
from biostudio_doctor.config import EcosystemSource
from biostudio_doctor.host import Host
from biostudio_doctor.model import Finding, Remedy, Status
from biostudio_doctor.requirements import Feature, Requirements
from biostudio_doctor.services import Answer

from .datasources import judge_each, no_source
from .datasources_ecosystem_words import advice, saying

_SHARE = 0.8  # of the check's timeout: what one server may take
_NAMES = {"bbrowserx": "BBrowserX", "talk2data": "Talk2Data"}

#: As certificate.expiry has them: warned is only where both are short.
_WARN_DAYS, _WARN_SHARE = 30, 0.3


class AskedServer(Struct, frozen=True, kw_only=True):
    """One server, and how it answered."""

    url: str  # without user, password and query
    product: str  # for a person
    answer: Answer | None = None
    problem: str = ""  # why the URL is none


class EcosystemFacts(Struct, frozen=True):
    """All servers, in the order of the configuration."""

    asked: tuple[AskedServer, ...] = ()


class DatasourcesEcosystem(Check[EcosystemFacts]):
    """Your own BBrowserX and Talk2Data servers.

    Asks every server named under [[datasources.ecosystem]] for its health page (/btstatus), without
    credentials and without a proxy: whether it answers from here by HTTPS, whether its certificate
    verifies on this host and for how long it is valid, and its version where the health page tells
    one. A redirect is told and not followed. A server that does not know that page is asked for its
    start page, since some other server may answer at that address.

    Why: notebooks take data from these servers, with the credentials of their users: over http://
    whoever sits between can read both.

    Mend: what the finding says; certificates are installed on that server.
    """

    id = "datasources.ecosystem"
    requirement_ids = ("datasources.ecosystem",)
    interval = timedelta(minutes=5)
    timeout = timedelta(seconds=10)
    network = True

    def observe(self, host: Host) -> EcosystemFacts | Awaitable[EcosystemFacts]:
        sources = self.context.config.datasources.ecosystem
        return self._ask_all(sources, host) if sources else EcosystemFacts()

    async def _ask_all(self, sources: Sequence[EcosystemSource], host: Host) -> EcosystemFacts:
        from biostudio_doctor.probes.side_by_side import side_by_side

        with host.doing("ask BBrowserX and Talk2Data"):
            return EcosystemFacts(await side_by_side(partial(self._ask_one, host=host), sources))

    async def _ask_one(self, source: EcosystemSource, host: Host) -> AskedServer:
        from biostudio_doctor.services import ecosystem

        product = _NAMES[source.product]
        try:
            place = ecosystem.parse(source.url)
        except ValueError as error:
            shown = text.printable(endpoints.without_user(source.url).partition("?")[0])
            return AskedServer(url=shown, product=product, problem=str(error))
        answer = await ecosystem.ask(
            place,
            ca_file=host.path(source.ca_file) if source.ca_file else None,
            timeout=_SHARE * self.allowed_seconds,
        )
        return AskedServer(url=place.url, product=product, answer=answer)

    def judge(self, facts: EcosystemFacts, requirements: Requirements) -> Iterator[Finding]:
        none = no_source("BBrowserX or Talk2Data server", "ecosystem", 'url = "https://NAME"')
        names = [f"{one.product} {one.url}" for one in facts.asked]
        said = requirements.demand("datasources.ecosystem", Feature)
        return judge_each(facts.asked, names, _judge, none, said)


def _judge(asked: AskedServer, subject: str) -> Iterator[Finding]:
    if asked.answer:
        yield _judge_answer(asked, asked.answer, subject)
        return
    yield Finding(
        Status.ERROR,
        subject,
        f"{subject} was not asked, because that is no URL: {asked.problem}.",
        remedy=Remedy("Correct url under [[datasources.ecosystem]]."),
        cause="datasource.url",
    )


def _judge_answer(asked: AskedServer, answer: Answer, subject: str) -> Finding:
    status, cause = _standing(asked, answer)
    return Finding(
        status,
        subject,
        saying(asked.product, asked.url, answer),
        observed=_observed(answer),
        expected="answers by HTTPS, with a certificate that verifies",
        remedy=None if status is Status.PASS else advice(asked.product, answer, cause),
        cause="" if status is Status.PASS else f"datasource.{cause}",
    )


def _standing(asked: AskedServer, answer: Answer) -> tuple[Status, str]:
    """The status, and the word for what is to be said against it."""
    told = answer.told
    if answer.state in ("unasked", "ca-file"):
        return Status.ERROR, answer.state
    if answer.state != "healthy":
        return Status.FAIL, answer.state
    if not asked.url.startswith("https:"):
        return Status.WARN, "readable-on-the-way"
    if not told["known"]:
        return Status.WARN, "another-server"
    lead = min(_WARN_DAYS, _WARN_SHARE * told.get("lifetime_days", 0))
    if "days" in told and told["days"] < lead:
        return Status.WARN, "certificate-ends"
    return Status.PASS, ""


def _observed(answer: Answer) -> str:
    told = answer.told
    words = [answer.identity or answer.state]
    if told.get("status"):
        words.append(f"HTTP {told['status']}")
    if told.get("tls"):
        words.append(told["tls"])
    if told.get("until"):
        words.append(f"certificate until {told['until']}")
    return ", ".join(words)
