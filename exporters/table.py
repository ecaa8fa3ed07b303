"""The report for people: a table of all findings, then what to do next, worst first.

Some checks find one cause for many findings, such as one firewall for twelve hosts. The finding
that has the remedy for it, the diagnosis, speaks for all of the same cause that have none: those
of one status share a row of the table, and its step below is theirs, too.

Checks that were not asked are named together under the table, so that it holds what was looked at.
"""

import textwrap
from collections.abc import Iterable, Iterator, Sequence

import click
from tabulate import SEPARATING_LINE, tabulate

from biostudio_doctor import steps, tables, text
from biostudio_doctor.exporter import COLORS, Style
from biostudio_doctor.model import (
    NOT_CONFIGURED,
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
    asked = _by_family([result for result in report.results if not steps.unasked(result)])
    wanting = [] if asked else [one for one in report.results if _needs_configuration(one)]
    shown = asked or wanting
    parts = [_heading(report, style)]
    parts += [_table(shown, style)] if shown else []
    parts += _not_asked(report, [result.id for result in shown], style)
    parts += _how_to_ask(wanting, style)
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


def _not_asked(report: Report, shown: Sequence[str], style: Style) -> Iterator[str]:
    """One line for each reason, with the checks that were not asked for it."""
    reasons = steps.all_unasked(one for one in report.results if one.id not in shown)
    if not reasons:
        return
    lines = ["Not asked:"]
    for reason, ids in reasons.items():
        others = [*shown, *(one for why, some in reasons.items() if why != reason for one in some)]
        lines.append(_wrapped(f"- {', '.join(_families(ids, others))}: {reason}", style, "  "))
    yield "\n".join(lines)


def _needs_configuration(result: Result) -> bool:
    return any(finding.cause == NOT_CONFIGURED for finding in result.findings)


def _how_to_ask(results: Iterable[Result], style: Style) -> Iterator[str]:
    """What to configure for those who asked for nothing else."""
    ways: dict[str, list[str]] = {}
    for result in results:
        for finding in result.findings:
            if finding.remedy:
                ways.setdefault(finding.remedy.text, []).append(result.id)
    if ways:
        lines = ["To have more asked (`biostudio-doctor config init FILE` writes a configuration):"]
        lines += [f"- {', '.join(_families(ids, ()))}: {way}" for way, ids in ways.items()]
        yield "\n".join(_wrapped(line, style, "  ") for line in lines)


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


def _by_family(results: Sequence[Result]) -> list[Result]:
    """Those of a family, such as ports.*, one after the other."""
    families: dict[str, list[Result]] = {}
    for result in results:
        families.setdefault(result.id.partition(".")[0], []).append(result)
    return [result for members in families.values() for result in members]


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
        for index, (status, said) in enumerate(_said_in_rows(result)):
            indent = "  " if said.startswith("- ") else ""
            lines = _wrapped(said, style, indent, finding_width).split("\n")
            shown = _styled(status, status, style)
            rows.append([shown, result.id if not index else "", lines[0]])
            rows += [["", "", line] for line in lines[1:]]
    table = tabulate(rows, headers=_HEADERS, disable_numparse=True)
    return "\n".join(line.rstrip() for line in table.splitlines())


def _said_in_rows(result: Result) -> Iterator[tuple[Status, str]]:
    """The status and the words of each row."""
    together: dict[tuple[Status, str], list[str]] = {}
    for finding in result.findings:
        if steps.diagnosis(finding, result):  # which has said it all
            together.setdefault((finding.status, finding.cause), []).append(finding.subject)
    for finding in result.findings:
        if not steps.diagnosis(finding, result):
            yield finding.status, finding.summary
        elif subjects := together.pop((finding.status, finding.cause), None):
            yield finding.status, f"- {', '.join(subjects)} ({finding.cause})"


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
    said = list(dict.fromkeys(finding.summary for finding in findings))
    if len(said) == 1:
        return _wrapped(lead + said[0], style, "   ").split("\n")
    lines = _wrapped(f"{lead}{len(findings)} findings", style, "   ").split("\n")
    return lines + [_wrapped(f"   - {summary}", style, "     ") for summary in said]


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
    took = f"{report.duration_seconds:.1f}\xa0s"
    line = _wrapped(f"{text.listing(said.values())} in {took}.", style)
    for status, phrase in said.items():
        line = line.replace(phrase, _styled(phrase, status, style))
    line = line.replace("\xa0", " ")
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
