"""The report for people, as one file to look at, to print and to send: `report.html`.

It holds everything that it needs and asks for nothing: its Content-Security-Policy, which stands in
the page itself, allows its own style and nothing else, so that no script runs and no address is
asked, whatever a check found on this host.

plots.py     what a plot is
machine.py   those of the host
network.py   those of the ways to others, and of certificates
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from jinja2 import Template
from markupsafe import Markup
from msgspec import structs

from biostudio_doctor import pages, steps
from biostudio_doctor.exporter import Style
from biostudio_doctor.model import SEVERITY, Finding, Report, Result, Status, Table

from . import machine, network

_STYLE = pages.LOOK + pages.file(__package__, "report.css")
_POLICY = (
    f"default-src 'none'; style-src {pages.source(_STYLE)}; base-uri 'none'; form-action 'none'"
)
_LEVELS = (Status.FAIL, Status.ERROR, Status.WARN, Status.PASS)  # of the verdict
#: What is more of one kind is only counted: a report of ours has a tenth of it.
_FINDINGS, _ROWS, _COLUMNS, _TABLES = 300, 200, 30, 20  # of a check, the middle two of a table


class _Check(NamedTuple):
    """A check as it is shown."""

    anchor: str
    result: Result
    findings: Sequence[tuple[Finding, bool]]  # worst first; whether another one speaks for it


def render(report: Report, style: Style) -> str:
    """The whole page. The style tells only how our own commands are called there."""
    bounded, left_out = _bounded(report)
    checks = [
        _check(number, result)
        for number, result in enumerate(bounded.results, 1)
        if not steps.unasked(result)
    ]
    found = steps.make(bounded)
    return _template().render(
        report=report,
        style=Markup(_STYLE),  # our own file
        policy=_POLICY,
        verdict=steps.verdict(report),
        level=next((one for one in _LEVELS if report.summary.get(one)), Status.SKIP),
        counts={one: report.summary[one] for one in SEVERITY if report.summary.get(one)},
        words=steps.WORDS,
        steps=[(step, list(_also(step))) for step in found],
        checks=checks,
        anchors={check.result.id: check.anchor for check in checks},
        unasked=steps.all_unasked(bounded.results),
        plots=[*machine.plots(report), *network.plots(report)],
        tables=[table for result in bounded.results for table in result.tables],
        left_out=left_out,
        about=list(_about(report)),
        as_called=style.as_called,
    )


def _about(report: Report) -> Iterator[tuple[str, Any]]:
    """Of which host it is, what was asked, by which version; what is unknown is left out."""
    machine, scope = report.machine, report.scope
    yield "Host", machine.hostname
    yield "Distribution", machine.os_name or "unknown"
    yield "Kernel", f"Linux {machine.kernel or '(unknown)'}, {machine.architecture}"
    if machine.container:
        yield "Container", machine.container
    if machine.host_root != "/":
        yield "Looked at below", machine.host_root
    yield "Ran as", "root" if machine.root else "an ordinary user"
    yield "Role", scope.role
    yield "Phase", scope.phase
    yield "Platform", scope.platform
    yield "Requirements", scope.profile
    left = (word for word, given in (("offline", scope.offline), ("deep", scope.deep)) if given)
    yield "Options", ", ".join(left) or "none"
    yield "Began", pages.time(report.started_at)
    yield "Took", pages.duration(report.duration_seconds)
    yield "Version", f"biostudio-doctor {report.tool_version}, report {report.schema_version}"
    if report.daemon:
        yield "Daemon since", pages.time(report.daemon.started_at)


def _check(number: int, result: Result) -> _Check:
    told = frozenset(id(one) for one in steps.spoken_for(result.findings, result))
    ordered = pages.by_severity(result.findings)
    return _Check(f"check-{number}", result, [(one, id(one) in told) for one in ordered])


def _also(step: steps.Step) -> list[Finding]:
    """The findings that those of a step speak for."""
    return [
        finding
        for result in step.results.values()
        for finding in steps.spoken_for(step.findings, result)
    ]


def _bounded(report: Report) -> tuple[Report, int]:
    """A report that fits a page, and how many findings it lacks; ours fit as they are."""
    results = tuple(
        structs.replace(
            result,
            findings=tuple(pages.by_severity(result.findings))[:_FINDINGS]
            if len(result.findings) > _FINDINGS
            else result.findings,
            tables=tuple(map(_fitting, result.tables[:_TABLES])),
        )
        for result in report.results
    )
    kept = sum(len(result.findings) for result in results)
    left_out = sum(len(result.findings) for result in report.results) - kept
    return structs.replace(report, results=results), left_out


def _fitting(table: Table) -> Table:
    rows = tuple(row[:_COLUMNS] for row in table.rows[:_ROWS])
    more = len(table.rows) - len(rows)
    title = f"{table.title} ({more} more rows are left out here)" if more else table.title
    return structs.replace(table, title=title, columns=table.columns[:_COLUMNS], rows=rows)


@functools.cache
def _template() -> Template:
    return pages.environment(percent=_percent).from_string(pages.file(__package__, "report.html"))


def _percent(value: Any) -> str:
    """A place in an SVG."""
    return f"{value:.6g}%"
