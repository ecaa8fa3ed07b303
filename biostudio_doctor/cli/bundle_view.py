"""A bundle for people: what it is, what is missing, its files, and what changed."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click
import msgspec

from biostudio_doctor import steps, text
from biostudio_doctor.bundle.manifest import BundledFile, Manifest, Outcome
from biostudio_doctor.exporter import COLORS, Style
from biostudio_doctor.model import SEVERITY, Finding, Report, Status

if TYPE_CHECKING:
    from biostudio_doctor.bundle.diff import Changes, Difference
    from biostudio_doctor.bundle.judging import Change

_FINDINGS = 100  # report.txt has them all
_FILES = 100  # of one collector; JSON has them all, as the next
_MISSING = 200


# --- inspect --------------------------------------------------------------------------------------


def inspection(manifest: Manifest, report: Report | None, style: Style, each_file: bool) -> str:
    """Of which host it is, what is wrong there, what is missing; then how far it may be trusted."""
    sections = [
        _host(manifest, report, style),
        *([_wrong(report, style)] if report else []),
        _missing(manifest, style),
        _trust(manifest, style),
        _files(manifest, style, each_file),
    ]
    return "\n\n".join("\n".join(section) for section in sections) + "\n"


def _host(manifest: Manifest, report: Report | None, style: Style) -> Iterator[str]:
    host, asked = manifest.hostname or "a host", "without a whole report of the checks"
    made = f"{manifest.created_at:%Y-%m-%d %H:%M} UTC" if manifest.created_at else "reproducibly"
    if report:
        machine, scope = report.machine, report.scope
        system = machine.os_name or "an unknown distribution"
        host += f": {system}, Linux {machine.kernel or '(unknown)'}"
        asked = f"{'as root' if machine.root else 'not as root'}; role {scope.role}, "
        asked += f"phase {scope.phase}, platform {scope.platform}"
        asked += ", offline" if scope.offline else ""
    yield _wrapped(host, style)
    said = f"Bundle made {made} by biostudio-doctor {manifest.tool_version}, {asked}"
    yield _wrapped(said, style)
    yield _wrapped(_in_short(manifest), style, "  ")


def _in_short(manifest: Manifest) -> str:
    """What is missing, in a line or two."""
    by_outcome: dict[Outcome, list[str]] = {}
    for one in manifest.collectors[:_FILES]:
        by_outcome.setdefault(one.outcome, []).append(one.id or "report")
    files = sum(one.outcome in (Outcome.FAILED, Outcome.PARTIAL) for one in manifest.files)
    wanted = (Outcome.FAILED, Outcome.PARTIAL, Outcome.SKIPPED)
    parts = [f"{one}: {', '.join(by_outcome[one])}" for one in wanted if one in by_outcome]
    parts += [f"{text.number(files, 'file')} failed or partial"] if files else []
    return f"Missing: {'; '.join(parts)}" if parts else "No collector misses anything."


def _wrong(report: Report, style: Style) -> Iterator[str]:
    counts = [f"{report.summary[one]} {steps.WORDS[one]}" for one in SEVERITY
              if report.summary.get(one)]  # fmt: skip
    yield _bold(_wrapped(steps.verdict(report), style), style)
    found = steps.make(report)
    for step in found[:_FINDINGS]:
        more = f" (and {len(step.findings) - 1} more)" if len(step.findings) > 1 else ""
        said = f"{', '.join(step.results)}: {step.findings[0].summary}{more}"
        if step.status is Status.WARN:  # so that what is missing is on the first screen, too
            room = style.readable - 6
            said = textwrap.shorten(said, room, placeholder=" ...", break_on_hyphens=False)
        lines = _wrapped(f"{step.status:5} {said}", style, " " * 6)
        yield lines.replace(step.status, _colored(step.status, style), 1)
    if len(found) > _FINDINGS:
        yield f"and {len(found) - _FINDINGS} more"
    told = text.listing(counts) or "nothing was asked"
    told += "; `bundle show FILE report.txt` has all, and what to do."
    yield _wrapped(told, style)


def _missing(manifest: Manifest, style: Style) -> Iterator[str]:
    """What was wanted and is not there first; then what there was nothing to take of."""
    yield _bold("What is missing", style)
    lacking = [
        (one.id or "report", one.outcome, one.reason)
        for one in manifest.collectors
        if one.outcome is not Outcome.WHOLE
    ]
    for file in manifest.files:
        if file.outcome is not Outcome.WHOLE:
            lacking.append((file.path, file.outcome, file.reason))
    lacking.sort(key=lambda one: one[1] is Outcome.SKIPPED)
    for what, outcome, why in lacking[:_MISSING]:
        said = f": {why}" if why else ""
        yield _wrapped(f"- {what} ({outcome}){said}", style, "  ")
    if len(lacking) > _MISSING:
        yield f"  and {len(lacking) - _MISSING} more"
    if not lacking:
        yield "- nothing: every collector took all that it looks for"


def _trust(manifest: Manifest, style: Style) -> Iterator[str]:
    present = [one for one in manifest.files if one.sha256]
    size = text.size(sum(one.size for one in present))
    yield _bold("What it holds", style)
    lines = [
        f"logs from {manifest.since:%Y-%m-%d %H:%M} until {manifest.until:%Y-%m-%d %H:%M} UTC",
        f"{text.number(len(present), 'file')}, {size}; redacted: "
        f"{_redactions(present) or 'nothing'}",
        f"obfuscated: {', '.join(manifest.obfuscated) or 'nothing'}",
        "its maker read it back and found no known secret"
        if manifest.verified
        else "its maker did not find it free of secrets",
    ]
    if manifest.allowed:
        lines.append(f"its maker allowed what was found: {', '.join(manifest.allowed[:20])}")
    for line in lines:
        yield _wrapped(f"- {line}", style, "  ")


def _files(manifest: Manifest, style: Style, each: bool) -> Iterator[str]:
    titles = {one.id: one.title for one in manifest.collectors}
    files: dict[str, list[BundledFile]] = {}
    for one in manifest.files:
        if one.sha256:
            files.setdefault(one.collector, []).append(one)
    yield _bold("Files" if each else "Files (all of them: --files)", style)
    for name, some in files.items():
        title = f": {titles[name]}" if titles.get(name) else ""
        size = f"{text.number(len(some), 'file')}, {text.size(sum(one.size for one in some))}"
        yield _wrapped(f"- {name or 'report'}{title} ({size})", style, "  ")
        for one in some[:_FILES] if each else ():
            redacted = _redactions([one])
            said = f"; redacted: {redacted}" if redacted else ""
            yield _wrapped(f"{text.size(one.size):>12}  {one.path}{said}", style, " " * 14)
        if each and len(some) > _FILES:
            yield f"{'':14}and {len(some) - _FILES} more"


def _redactions(files: Iterable[BundledFile]) -> str:
    """How many of each kind, the most first."""
    counts: Counter[str] = Counter()
    for one in files:
        counts.update(one.redactions)
    return ", ".join(f"{count} {kind}" for kind, count in counts.most_common(20))


# --- judge ----------------------------------------------------------------------------------------


def judged_otherwise(
    changes: Sequence[Change], old: Report, obfuscated: Sequence[str], style: Style
) -> str:
    """What today's rules say otherwise."""
    maker = f"biostudio-doctor {old.tool_version}, which made the bundle"
    lines = [_wrapped(f"Nothing is judged otherwise than by {maker}.", style)]
    if changes:
        title = _bold("Judged otherwise than in the bundle", style)
        lines = [title, *(_change(one, style) for one in changes)]
    if obfuscated:
        said = (
            f"In this bundle {text.listing(obfuscated)} are obfuscated. Trust its own findings "
            "where it counts what a name or an address is, such as whether a domain is public."
        )
        lines.append(_wrapped(said, style))
    return "\n".join(lines) + "\n"


def _change(one: Change, style: Style) -> str:
    finding = one.now or one.was
    assert finding
    said = f"- {_status(one.was)} -> {_status(one.now)}  {one.check}, {one.subject}: "
    words = _wrapped(said + finding.summary, style, "  ")
    if one.now:
        words = words.replace(f"-> {one.now.status}", f"-> {_colored(one.now.status, style)}", 1)
    return words


def _status(finding: Finding | None) -> str:
    return finding.status if finding else "none"


# --- diff -----------------------------------------------------------------------------------------


def difference(found: Difference, old: Manifest, new: Manifest, style: Style) -> str:
    """All that changed, a section for each kind."""
    sections = [_between(old, new, style)]
    if found.findings:
        changed = [_change(one, style) for one in found.findings]
        sections.append([_bold("Findings", style), *changed])
    for title, changes in (
        ("Configuration", found.configuration),
        ("Packages", found.packages),
        ("Collectors", found.collectors),
        *((f"Facts of {check}", changes) for check, changes in found.facts.items()),
        ("Files", found.files),
    ):
        if changes.told:
            sections.append([_bold(title, style), *_changes(changes, style)])
    if not found.any:
        sections.append(["Nothing changed."])
    if found.moved:
        counts = ", ".join(f"{count} of {check}" for check, count in found.moved.items())
        said = f"Not told: measurements, and large numbers that moved by less than 5 %: {counts}."
        sections.append([_wrapped(said, style)])
    return "\n\n".join("\n".join(section) for section in sections) + "\n"


def _between(old: Manifest, new: Manifest, style: Style) -> list[str]:
    lines = []
    for sign, one in (("from", old), ("to", new)):
        made = f"{one.created_at:%Y-%m-%d %H:%M} UTC" if one.created_at else "(no time)"
        line = f"{sign:4} {one.hostname or 'a host'}, {made}, biostudio-doctor {one.tool_version}"
        lines.append(_wrapped(line, style))
    if any(one.obfuscated and one.created_at for one in (old, new)):
        said = "Each bundle obfuscates in its own way: what is the same may have two names here."
        lines.append(_wrapped(said, style))
    return lines


def _changes(changes: Changes, style: Style) -> Iterator[str]:
    for one in changes.told:
        if one.was is None:
            said = f"+ {one.what}: {_value(one.now)}"
        elif one.now is None:
            said = f"- {one.what}: {_value(one.was)}"
        else:
            said = f"~ {one.what}: {_value(one.was)} -> {_value(one.now)}"
        yield _wrapped(said, style, "  ")
    if changes.more:
        yield f"  and {changes.more} more"


def _value(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


# --- setting --------------------------------------------------------------------------------------


def _wrapped(words: str, style: Style, indent: str = "") -> str:
    return textwrap.fill(words, style.readable, subsequent_indent=indent, break_on_hyphens=False)


def _colored(status: Status, style: Style) -> str:
    return click.style(status, fg=COLORS[status]) if style.color else status


def _bold(words: str, style: Style) -> str:
    return click.style(words, bold=True) if style.color else words
