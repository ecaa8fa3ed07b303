"""What the checks datasources.* share: who is left in peace, and secrets that cannot be had."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from shlex import quote
from typing import TypeVar

from msgspec import structs

from biostudio_doctor.config import Secret
from biostudio_doctor.endpoints import is_address
from biostudio_doctor.host import Host
from biostudio_doctor.host.patience import bounded
from biostudio_doctor.model import Finding, Remedy, Status
from biostudio_doctor.requirements import Feature
from biostudio_doctor.secret import reveal
from biostudio_doctor.services import Answer

from .unconfigured import not_configured

SourceT = TypeVar("SourceT")
FactsT = TypeVar("FactsT")

#: Of a check's time: what looking at its sources may take.
_SHARE = 0.9


def no_source(what: str, key: str, example: str) -> Finding:
    """The one row of a kind of which the configuration names none; `example` is its first line."""
    return not_configured(
        key,
        f"No {what} of yours is configured.",
        "If colleagues will use one, name it in the configuration: "
        f"[[datasources.{key}]] with {example}.",
    )


def judge_each(
    facts: Sequence[FactsT],
    names: Sequence[str],
    judge: Callable[[FactsT, str], Iterable[Finding]],
    none: Finding,
    requirement: Feature,
) -> Iterator[Finding]:
    """The findings on each source, which `judge` makes under its name, or `none` without sources.

    Each cites the requirement: what the published document says of such data.
    """
    findings = chain.from_iterable(map(judge, facts, subjects(names))) if facts else [none]
    return (structs.replace(finding, requirement=requirement) for finding in findings)


def revealed(secrets: Mapping[str, Secret | None], host: Host) -> dict[str, str]:
    """What the secrets of one source hold; without those that it has not.

    Raises:
        SecretError: if one cannot be had.
    """
    return {name: reveal(secret, host) for name, secret in secrets.items() if secret}


def no_secret(subject: str, key: str, problem: str) -> Finding:
    """A source that was not asked; `key` is where the secret is named, such as nfs.password."""
    return Finding(
        Status.ERROR,
        subject,
        f"{subject} was not asked, because its secret cannot be had: {problem}.",
        remedy=Remedy(
            f"Correct datasources.{key} in the configuration, or let biostudio-doctor read it."
        ),
        cause="datasource.no-secret",
    )


def advice_unreached(answer: Answer, settings: str) -> Remedy:
    """What to do where a server could not be reached; `settings` is where it is configured."""
    if is_address(answer.host):
        commands = (f"ip route get {answer.host}",)
    else:
        commands = (f"getent hosts {quote(answer.host)}",)
    words = f"See whether a firewall between here and there drops port {answer.port}."
    if answer.failure and answer.failure.phase == "resolve":
        words = f"Correct the name in {settings}, or its entry in DNS or /etc/hosts."
    return Remedy(words, commands, as_root=False)


def look_at_each(
    host: Host,
    sources: Sequence[SourceT],
    look: Callable[[Host, SourceT, float], FactsT],
    lost: Callable[[SourceT, OSError], FactsT],
    seconds: float,
    verb: str,
) -> tuple[FactsT, ...]:
    """Look at sources side by side, for libraries and system calls that may never return.

    Of the `seconds` of the check, each is told those that it may take. For one that raises OSError,
    or does not come back in that time, stands what `lost` makes of it; the others are not held up.
    """
    seconds *= _SHARE
    calls = {
        f"source {number}": partial(_call, look, source, seconds)
        for number, source in enumerate(sources, 1)
    }
    outcomes = bounded(host, calls, seconds, verb).values()
    return tuple(
        lost(source, outcome) if isinstance(outcome, OSError) else outcome
        for source, outcome in zip(sources, outcomes, strict=True)
    )


def _call(
    look: Callable[[Host, SourceT, float], FactsT], source: SourceT, seconds: float, host: Host
) -> FactsT:
    return look(host, source, seconds)


def subjects(names: Sequence[str]) -> list[str]:
    """The names, of which one that stands there again is numbered."""
    return [
        f"{name} ({names[: index + 1].count(name)})" if name in names[:index] else name
        for index, name in enumerate(names)
    ]
