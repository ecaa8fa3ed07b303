"""What datasources.postgresql and datasources.mysql share: databases asked, and judged."""

from __future__ import annotations

from collections.abc import Awaitable, Iterator, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, ClassVar

from msgspec import Struct

from biostudio_doctor import endpoints
from biostudio_doctor.check import Check
from biostudio_doctor.config import DatabaseSource
from biostudio_doctor.host import Host
from biostudio_doctor.model import Finding, Remedy, Status
from biostudio_doctor.requirements import Feature, Requirements
from biostudio_doctor.secret import SecretError
from biostudio_doctor.services import Answer, Login, Target
from biostudio_doctor.text import printable

from .datasources import judge_each, no_secret, no_source, revealed
from .datasources_database_words import FULL, advice, reading, saying, sees_nothing

_SHARE = 0.7  # of the check's timeout: what one source may take
_CROWDED = 0.9  # of the connections that a server allows

_STATUS = {
    "healthy": Status.PASS,
    "password-needed": Status.PASS,
    "unasked": Status.ERROR,
    "ca-file": Status.ERROR,
}


class Asked(Struct, frozen=True, kw_only=True):
    """One source, and how it answered."""

    kind: str  # the table of the configuration: postgresql, mysql, mariadb
    user: str = ""
    database: str = ""
    place: str  # host:port
    tls: bool = False  # was expected
    answer: Answer | None = None
    no_secret: str = ""  # why it was not asked

    @property
    def subject(self) -> str:
        """Its name, without secrets."""
        name = f"{self.kind} {self.user}".rstrip()
        return printable(f"{name} at {self.place}" + (f"/{self.database}" * bool(self.database)))


class DatabaseFacts(Struct, frozen=True):
    """All sources, in the order of the configuration."""

    asked: tuple[Asked, ...] = ()


class DatabaseCheck(Check[DatabaseFacts]):
    """Databases of the customer's own. Derived checks say which."""

    interval = timedelta(minutes=5)
    timeout = timedelta(seconds=10)
    network = True
    requirement_ids = ("datasources.databases",)
    kinds: ClassVar[tuple[str, ...]]  # tables of the configuration
    product: ClassVar[str]  # for a person
    port: ClassVar[int]

    async def ask(self, target: Target) -> Answer:
        """Ask one; derived checks call their client here, and import it only now."""
        raise NotImplementedError

    def observe(self, host: Host) -> DatabaseFacts | Awaitable[DatabaseFacts]:
        sources = [
            (kind, source)
            for kind in self.kinds
            for source in getattr(self.context.config.datasources, kind)
        ]
        return self._ask_all(sources, host) if sources else DatabaseFacts()

    async def _ask_all(
        self, sources: Sequence[tuple[str, DatabaseSource]], host: Host
    ) -> DatabaseFacts:
        from biostudio_doctor.probes.side_by_side import side_by_side

        with host.doing(f"ask {', '.join(source.host for _, source in sources)}"):
            return DatabaseFacts(await side_by_side(partial(self._ask_one, host=host), sources))

    async def _ask_one(self, named: tuple[str, DatabaseSource], host: Host) -> Asked:
        kind, source = named
        port = source.port or self.port
        about: dict[str, Any] = {
            "kind": kind,
            "user": source.user or "",
            "database": source.database or "",
            "place": str(endpoints.Endpoint(source.host, port)),
            "tls": source.tls,
        }
        try:
            login = _login(source, host)
        except SecretError as error:
            return Asked(**about, no_secret=str(error))
        seconds = self.allowed_seconds
        target = Target(
            host=source.host,
            port=port,
            timeout=seconds * _SHARE,
            tls=source.tls,
            ca_file=host.path(source.ca_file) if source.ca_file else None,
            login=login,
            database=source.database or "",
        )
        return Asked(**about, answer=await self.ask(target))

    def judge(self, facts: DatabaseFacts, requirements: Requirements) -> Iterator[Finding]:
        none = no_source(f"{self.product} database", self.kinds[0], 'host = "ADDRESS"')
        names = [asked.subject for asked in facts.asked]
        said = requirements.demand("datasources.databases", Feature)
        return judge_each(facts.asked, names, self._source, none, said)

    def _source(self, asked: Asked, subject: str) -> Iterator[Finding]:
        if asked.answer is None:
            yield no_secret(subject, f"{asked.kind}.password", asked.no_secret)
        else:
            yield self._finding(subject, asked, asked.answer)

    def _finding(self, subject: str, asked: Asked, answer: Answer) -> Finding:
        status = _STATUS.get(answer.state, Status.FAIL)
        if answer.state == "password-needed" and asked.user:
            status = Status.WARN  # who may log in was to be found out, and was not
        product = answer.identity if answer.identity in ("MariaDB", "MySQL") else self.product
        summary = saying(product, answer, asked.user, asked.database)
        remedy: Remedy | None = advice(product, answer, asked.kind)
        cause = f"datasource.{answer.state}"
        if status is Status.PASS:
            remedy = None
            remark = _remark(asked, answer)
            if remark:
                cause, words, remedy = remark
                status, summary = Status.WARN, _joined(summary, words)
        return Finding(
            status,
            subject,
            summary,
            observed=_observed(answer),
            expected="answers from here, and lets the user read",
            remedy=remedy,
            cause="" if status is Status.PASS else cause,
        )


def _login(source: DatabaseSource, host: Host) -> Login | None:
    """With whose credentials to ask; a password without a user is of no use.

    Raises:
        SecretError: if the password cannot be had.
    """
    if not source.user:
        return None
    secrets = revealed({"password": source.password}, host)
    return Login(source.user, secrets.get("password", ""))


def _remark(asked: Asked, answer: Answer) -> tuple[str, str, Remedy] | None:
    """What is to be said against a source that answers: cause, half a sentence, remedy.

    The half sentence is empty where the summary says it already.
    """
    told = answer.told
    if answer.anonymous:
        return (
            "datasource.open",
            "it lets anyone in without a password",
            Remedy("Have the database's administrator demand a password of every account."),
        )
    if answer.logged_in and sees_nothing(told):
        grant = "give the user the right to read (GRANT SELECT), or name the database that holds "
        role = "make that role the user's default (SET DEFAULT ROLE)"
        give = role if told.get("roles") else f"{grant}the data"
        return "datasource.nothing-to-read", "", Remedy(f"Have its administrator {give}.")
    used, limit = told.get("used_connections"), told.get("max_connections")
    if used and limit and used >= _CROWDED * limit:
        return (
            "datasource.crowded",
            f"{used} of its {limit} connections are taken",
            FULL,
        )
    encrypted = asked.tls or told.get("tls")
    if answer.logged_in and not encrypted and not endpoints.is_loopback(answer.host):
        return (
            "datasource.readable-on-the-way",
            "without TLS, so whoever sits between can read along",
            Remedy(
                f"Set tls = true for it under datasources.{asked.kind}: it offers TLS."
                if told.get("offers_tls")
                else "Have its administrator turn TLS on, and set tls = true for it under "
                f"datasources.{asked.kind}."
            ),
        )
    return None


def _joined(summary: str, words: str) -> str:
    return f"{summary.removesuffix('.')}; {words}." if words else summary


def _observed(answer: Answer) -> str:
    told = answer.told
    words = [f"{answer.identity or answer.state} {answer.version}".rstrip(), *reading(told)]
    if told.get("max_connections") and told.get("used_connections") is not None:
        words.append(f"{told['used_connections']} of {told['max_connections']} connections")
    if told.get("server_read_only") or told.get("in_recovery"):
        words.append("the whole server is read-only")
    if told.get("tls"):
        words.append(told["tls"])
    return ", ".join(words)
