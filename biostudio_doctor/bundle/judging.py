"""Today's judgements over a bundle's observations: offline, on any machine."""

import functools
import operator
import time
import types
import typing
from collections.abc import Awaitable, Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct, structs

from biostudio_doctor import __version__, registry, requirements
from biostudio_doctor import config as configuration
from biostudio_doctor.bundle import harmless
from biostudio_doctor.bundle.errors import BundleError
from biostudio_doctor.check import Check, Context
from biostudio_doctor.config import Config
from biostudio_doctor.confined import ConfinedError, confined
from biostudio_doctor.errors import DoctorError
from biostudio_doctor.model import Finding, Remedy, Report, Result, Status, worst
from biostudio_doctor.observer import failed_to_load

_SECONDS = 5.0  # for one judgement, which takes a thousandth of one second
_ALL_SECONDS = 30.0
_MEMORY = 512 << 20  # bytes
_ANOTHER_VERSION = Remedy(
    "The bundle's own finding stands in its report.json. Judge with the version that made it, or "
    "make a new bundle with this one.",
    as_root=False,
)


class Change(Struct, frozen=True, kw_only=True):
    """A subject that is judged otherwise than in the bundle; None where there was or is none."""

    check: str
    subject: str
    was: Finding | None
    now: Finding | None


def judge(report: Report, config: Config) -> Report:
    """The same report with findings of today, from the same observations.

    What was not observed, such as a check that was not asked or timed out, is as it was.

    Raises:
        BundleError: if this version has no requirements of the bundle's profile.
    """
    try:
        demanded = requirements.load(report.scope.profile)
    except DoctorError as error:
        raise BundleError(str(error)) from None
    context = Context(
        scope=report.scope, machine=report.machine, requirements=demanded, config=config
    )
    deadline = time.monotonic() + _ALL_SECONDS
    results = tuple(_judged(result, context, deadline) for result in report.results)
    return settled(structs.replace(report, results=results, tool_version=__version__))


def settled(report: Report) -> Report:
    """The same with statuses and counts that follow from its findings."""
    results = tuple(
        structs.replace(result, status=worst(one.status for one in result.findings))
        for result in report.results
    )
    statuses = [finding.status for result in results for finding in result.findings]
    summary = {status: statuses.count(status) for status in Status}
    return structs.replace(report, results=results, status=worst(statuses), summary=summary)


def changes(old: Report, new: Report) -> Iterator[Change]:
    """What is judged otherwise: another status, or a subject that only one of them has."""
    before, after = _findings(old), _findings(new)
    for key in dict.fromkeys((*before, *after)):
        was, now = before.get(key), after.get(key)
        if not (was and now and was.status is now.status):
            yield Change(check=key[0], subject=key[1], was=was, now=now)


def _findings(report: Report) -> Mapping[tuple[str, str], Finding]:
    return {
        (result.id, finding.subject): finding
        for result in report.results
        for finding in result.findings
    }


def _judged(result: Result, context: Context, deadline: float) -> Result:
    if result.observation is None:
        return result
    plugin = registry.find(registry.CHECKS).get(result.id)
    if plugin is None:
        return _undetermined(result, "This biostudio-doctor has no check of this id.")
    try:
        kind = registry.load_check(plugin)
    except registry.PluginError as error:
        return failed_to_load(plugin, str(error))
    seconds = max(0.0, min(_SECONDS, deadline - time.monotonic()))
    try:  # facts made for it could keep a judgement busy for ever, and take all memory
        told = confined(
            lambda: msgspec.json.encode(_apart(kind, result, context)), seconds, _MEMORY
        )
        return msgspec.json.decode(told, type=Result)
    except ConfinedError:
        problem = "to judge them takes too long, or too much memory"
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        problem = harmless.line(error)
    return _undetermined(result, f"The facts in the bundle could not be judged: {problem}.")


def _apart(kind: type[Check[Any]], result: Result, context: Context) -> Result:
    """What is done in a process of its own."""
    try:
        facts = _facts(kind, result.observation)
    except (msgspec.MsgspecError, ValueError, TypeError, RecursionError) as error:
        return _undetermined(
            result,
            "The facts in the bundle are not those that this version of the check knows: "
            f"{harmless.line(error)}.",
        )
    try:
        return _told(kind(context, _settings(kind, context.config)), facts, result)
    except Exception as error:  # of facts that no machine has
        problem = harmless.line(registry.describe(error))
        return _undetermined(result, f"The facts in the bundle could not be judged: {problem}.")


def _told(check: Check[Any], facts: Any, result: Result) -> Result:
    findings = tuple(check.judge(facts, check.context.requirements))
    if not findings:
        raise ValueError("it gave no finding")
    tables = tuple(check.tables(facts))
    return structs.replace(result, title=check.title(), findings=findings, tables=tables)


def _undetermined(result: Result, summary: str) -> Result:
    finding = Finding(Status.ERROR, result.id, summary, remedy=_ANOTHER_VERSION)
    return structs.replace(result, findings=(finding,), tables=())


def _facts(check: type[Check[Any]], observation: Any) -> Any:
    """The observation as the type that `observe` is annotated to return."""
    told = typing.get_type_hints(check.observe)["return"]
    several = typing.get_origin(told) in (typing.Union, types.UnionType)
    kinds = typing.get_args(told) if several else (told,)
    kind = functools.reduce(operator.or_, map(_awaited, kinds))
    return msgspec.json.decode(msgspec.json.encode(observation), type=kind)


def _awaited(kind: Any) -> Any:
    return typing.get_args(kind)[0] if typing.get_origin(kind) is Awaitable else kind


def _settings(check: type[Check[Any]], config: Config) -> Any:
    table = config.checks.get(check.id)
    if table is None:
        return None
    return configuration.convert(table, check.Settings, "the bundle", f"checks.{check.id}")
