"""The report for people: a table of all findings, then what to do next, worst first.

Some checks find one cause for many findings, such as one firewall for twelve hosts. The finding
that has the remedy for it, the diagnosis, speaks for all of the same cause that have none: they
take one line each in the table, and its step below is theirs, too.

Checks that were not asked are named together under the table, so that it holds what was looked at.
"""

import textwrap
from collections.abc import Iterable, Iterator, Sequence

import click
from tabulate import SEPARATING_LINE, tabulate

from biostudio_doctor import steps, tables, text
from biostudio_doctor.exporter import COLORS, Style
from biostudio_doctor.model import (
    SEVERITY,
    Finding,
    Remedy,
    Report,
    Result,
    Status,
)

_HEADERS = ("STATUS", "CHECK", "FINDING")
_PADDING = 2  # what tabulate adds to the width of a header, and puts between columns


def render(report: Report, style: Style) -> str:
    """The table, the remedies and the verdict, no line longer than the style's width."""
    asked = [result for result in report.results if not steps.unasked(result)]
    parts = [_heading(report, style), _table(asked or report.results, style)]
    if asked:
        parts += _not_asked(report, style)
    for result in report.results:
        parts += [tables.render(table, style.width) for table in result.tables]
    parts += _next_steps(report, style)
    return "\n\n".join([*parts, _verdict(report, style)]) + "\n"


def _heading(report: Report, style: Style) -> str:
    machine, scope = report.machine, report.scope
    system = machine.os_name or "an unknown distribution"
    lines = [
        f"biostudio-doctor {report.tool_version} on {machine.hostname or 'this host'}: {system}, "
        f"Linux {machine.kernel or '(unknown)'}, {'as root' if machine.root else 'not as root'}",
        f"role {scope.role}, phase {scope.phase}, platform {scope.platform}, "
        f"requirements {scope.profile}" + (", offline" if scope.offline else ""),
    ]
    return "\n".join(_wrapped(line, style) for line in lines)


def _not_asked(report: Report, style: Style) -> Iterator[str]:
    """One line for each reason, with the checks that were not asked for it."""
    reasons = steps.all_unasked(report.results)
    if not reasons:
        return
    asked = [result.id for result in report.results if not steps.unasked(result)]
    lines = ["Not asked:"]
    for reason, ids in reasons.items():
        others = [*asked, *(one for why, some in reasons.items() if why != reason for one in some)]
        lines.append(_wrapped(f"- {', '.join(_families(ids, others))}: {reason}", style, "  "))
    yield "\n".join(lines)


def _families(ids: Sequence[str], others: Sequence[str]) -> list[str]:
    """The checks by their ids, whole families of several as `family.*`."""
    family = [one.partition(".")[0] for one in ids]
    known = {one.partition(".")[0] for one in others}
    return list(
        dict.fromkeys(
            f"{name}.*" if family.count(name) > 1 and name not in known else one
            for one, name in zip(ids, family, strict=True)
        )
    )


def _table(results: Sequence[Result], style: Style) -> str:
    ids = [result.id for result in results]
    check_width = max([len(_HEADERS[1]) + _PADDING, *(len(check_id) for check_id in ids)])
    taken = len(_HEADERS[0]) + check_width + 3 * _PADDING
    finding_width = max(20, min(style.readable, style.width - taken))
    rows: list[str | list[str]] = []
    group = ""
    for result in results:
        if rows and result.id.partition(".")[0] != group:
            rows.append(SEPARATING_LINE)
        group = result.id.partition(".")[0]
        for index, finding in enumerate(result.findings):
            said, indent = finding.summary, ""
            if steps.diagnosis(finding, result):  # which has said it all
                said, indent = f"- {finding.subject} ({finding.cause})", "  "
            lines = _wrapped(said, style, indent, finding_width).split("\n")
            status = _styled(finding.status, finding.status, style)
            rows.append([status, result.id if not index else "", lines[0]])
            rows += [["", "", line] for line in lines[1:]]
    table = tabulate(rows, headers=_HEADERS, disable_numparse=True)
    return "\n".join(line.rstrip() for line in table.splitlines())


def _next_steps(report: Report, style: Style) -> Iterator[str]:
    found = steps.make(report)
    if found:
        yield _bold("What to do next", style)
    for number, step in enumerate(found, 1):
        status = step.status
        lead = f"{number}. {status.upper()} {', '.join(step.results)}: "
        lines = _said(step.findings, lead, style)
        lines[0] = lines[0].replace(status.upper(), _styled(status.upper(), status, style), 1)
        if step.remedy:
            lines += _remedy_lines(step.remedy, style)
        spoken_for = [
            finding
            for result in step.results.values()
            for finding in steps.spoken_for(step.findings, result)
        ]
        lines += _sources([*step.findings, *spoken_for], style)
        yield "\n".join(lines)


def _said(findings: list[Finding], lead: str, style: Style) -> list[str]:
    if len(findings) == 1:
        return _wrapped(lead + findings[0].summary, style, "   ").split("\n")
    lines = _wrapped(f"{lead}{len(findings)} findings", style, "   ").split("\n")
    for finding in findings:
        lines.append(_wrapped(f"   - {finding.summary}", style, "     "))
    return lines


def _remedy_lines(remedy: Remedy, style: Style) -> Iterator[str]:
    for paragraph in remedy.text.split("\n"):  # lines of a text to hand on keep their indent
        indent = "   " + " " * (len(paragraph) - len(paragraph.lstrip()))
        yield _wrapped(f"   {paragraph}", style, indent)
    if remedy.commands:
        yield "   As root:" if remedy.as_root else "   Run:"
        for command in remedy.commands:  # never wrapped: a command must survive being copied
            said = text.printable(style.as_called(command))
            yield from textwrap.indent(said, " " * 6).split("\n")


def _sources(findings: Iterable[Finding], style: Style) -> Iterator[str]:
    """Where it says so; of several lines of one section only the section is named."""
    said: dict[str, set[str]] = {}
    for finding in findings:
        if finding.requirement:
            section = f"{finding.requirement.source}, {finding.requirement.section}"
            said.setdefault(section, set()).add(finding.requirement.says)
    for section, words in sorted(said.items()):
        quote = f": {next(iter(words))}" if len(words) == 1 else ""
        yield _wrapped(f"   Source: {section}{quote}", style, "   ")


def _verdict(report: Report, style: Style) -> str:
    counts = report.summary
    said = {
        status: f"{counts[status]} {steps.WORDS[status]}".replace(" ", "\xa0")  # kept on one line
        for status in SEVERITY
        if counts.get(status)
    }
    line = _wrapped(f"{text.listing(said.values())} in {report.duration_seconds:.1f} s.", style)
    for status, phrase in said.items():
        line = line.replace(phrase, _styled(phrase.replace("\xa0", " "), status, style))
    return f"{line}\n{_bold(_wrapped(steps.verdict(report), style), style)}"


def _wrapped(words: str, style: Style, indent: str = "", width: int | None = None) -> str:
    return textwrap.fill(
        text.printable(style.as_called(words)),
        min(style.readable, width or style.readable),
        subsequent_indent=indent,
        break_on_hyphens=False,
    )


def _styled(words: str, status: Status, style: Style) -> str:
    return click.style(words, fg=COLORS[status]) if style.color else str(words)


def _bold(words: str, style: Style) -> str:
    return click.style(words, bold=True) if style.color else words
