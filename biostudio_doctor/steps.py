"""What a person reads first: what to act on, worst first, and what was not asked at all.

One cause may have many findings, such as one firewall for twelve hosts, and one remedy may mend
findings of several checks. Every way out for people tells such a thing once.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from biostudio_doctor.model import (
    NOT_ASKED,
    NOT_CONFIGURED,
    Finding,
    Remedy,
    Report,
    Result,
    Status,
)

WORDS = {
    Status.FAIL: "failed", Status.ERROR: "could not be determined", Status.WARN: "warned",
    Status.UNKNOWN: "not asked yet", Status.SKIP: "skipped", Status.PASS: "passed",
}  # fmt: skip


class Step(NamedTuple):
    """Findings that one remedy mends, which may be of several checks."""

    status: Status
    remedy: Remedy | None
    results: dict[str, Result]  # by id
    findings: list[Finding]


def make(report: Report) -> list[Step]:
    """What to act on, worst first. Findings without a remedy are a step for each check."""
    steps: dict[tuple[Status, Remedy | str], Step] = {}
    diagnoses = {result.id: _diagnoses(result) for result in report.results}
    for status in (Status.FAIL, Status.ERROR, Status.WARN):
        for result in report.results:
            for finding in result.findings:
                told = not finding.remedy and finding.cause in diagnoses[result.id]
                if finding.status is not status or told:
                    continue
                key = (status, finding.remedy or result.id)
                step = steps.setdefault(key, Step(status, finding.remedy, {}, []))
                step.results[result.id] = result
                step.findings.append(finding)
    return list(steps.values())


def diagnosis(finding: Finding, result: Result) -> Finding | None:
    """The finding that speaks for this one, if there is one: of its cause, and with a remedy."""
    return None if finding.remedy else _diagnoses(result).get(finding.cause)


def _diagnoses(result: Result) -> dict[str, Finding]:
    """The findings that speak for others, by cause: the first of it that has a remedy."""
    with_remedy = [one for one in result.findings if one.cause and one.remedy]
    return {one.cause: one for one in reversed(with_remedy)}


def spoken_for(findings: Sequence[Finding], result: Result) -> Iterator[Finding]:
    """The findings that some of these speak for."""
    diagnoses = _diagnoses(result)
    for other in result.findings:
        if not other.remedy and diagnoses.get(other.cause) in findings:
            yield other


def unasked(result: Result) -> str:
    """Why this whole check was not asked; '' if it was."""
    if len(result.findings) != 1:
        return ""
    (finding,) = result.findings
    if finding.cause == NOT_CONFIGURED:
        return "nothing is configured for it; `biostudio-doctor check ID` tells how"
    said = finding.summary.removeprefix("Not asked: it ").removesuffix(".")
    return said if finding.cause == NOT_ASKED else ""


def all_unasked(results: Iterable[Result]) -> dict[str, list[str]]:
    """The ids of the checks that were not asked, by the reason."""
    reasons: dict[str, list[str]] = {}
    for result in results:
        reason = unasked(result)
        if reason:
            reasons.setdefault(reason, []).append(result.id)
    return reasons


def verdict(report: Report) -> str:
    """What all of it together means for BioStudio, in one sentence."""
    counts, running = report.summary, report.scope.phase == "running"
    if counts.get(Status.FAIL):
        if running:
            return "Not all is well with BioStudio here."
        return "This host does not meet BioStudio's requirements yet."
    if counts.get(Status.ERROR):
        return "Nothing failed, but not everything could be determined."
    if counts.get(Status.WARN):
        if running:
            return "BioStudio runs here; the warnings are worth a look."
        return "BioStudio can be installed here; the warnings are below its recommendations."
    if not counts.get(Status.PASS):
        return "Nothing was determined: every check was skipped."
    return "Nothing stands against BioStudio in what was checked."
