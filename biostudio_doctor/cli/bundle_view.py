"""A bundle for people: what it is, what is missing, its files, and what changed."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click
import msgspec

from biostudio_doctor import text
from biostudio_doctor.bundle.manifest import BundledFile, Collected, Manifest, Outcome
from biostudio_doctor.exporter import Style
from biostudio_doctor.model import Finding, Report, Status

if TYPE_CHECKING:
    from biostudio_doctor.bundle.diff import Changes, Difference
    from biostudio_doctor.bundle.judging import Change

_READABLE = 110  # columns: no sentence is set wider
_FILES = 100  # of one collector; JSON has them all, as the next
_MISSING = 200
_COLORS = {
    Status.FAIL: "red", Status.ERROR: "magenta", Status.WARN: "yellow", Status.PASS: "green",
}  # fmt: skip
_WORDS = {
    Outcome.CUT: "cut", Outcome.PARTIAL: "partial", Outcome.SKIPPED: "skipped",
    Outcome.FAILED: "failed",
}  # fmt: skip


# --- inspect --------------------------------------------------------------------------------------


def heading(manifest: Manifest, style: Style) -> str:
    """What it is, and how far it may be trusted."""
    made = f"{manifest.created_at:%Y-%m-%d %H:%M} UTC" if manifest.created_at else "reproducibly"
    present = [one for one in manifest.files if one.sha256]
    size = text.size(sum(one.size for one in present))
    redacted = _redactions(present) or "nothing"
    lines = [
        f"Bundle of {manifest.hostname or 'a host'}, made {made} by biostudio-doctor "
        f"{manifest.tool_version}",
        f"logs from {manifest.since:%Y-%m-%d %H:%M} until {manifest.until:%Y-%m-%d %H:%M} UTC",
        f"{text.number(len(present), 'file')}, {size}; {redacted} redacted",
        f"obfuscated: {', '.join(manifest.obfuscated) or 'nothing'}",
        "its maker read it back and found no known secret"
        if manifest.verified
        else "its maker did not find it free of secrets",
    ]
    if manifest.allowed:
        lines.append(f"its maker allowed what was found: {', '.join(manifest.allowed[:20])}")
    lines.append(
        "What follows is as the bundle tells it; its commands are for that host, not for this."
    )
    return "\n".join(_wrapped(line, style) for line in lines) + "\n"


def contents(manifest: Manifest, style: Style) -> str:
    """What is missing, and the files by collector."""
    parts = [list(_missing(manifest, style)), ["", _bold("Files", style)]]
    collectors = {one.id: one for one in manifest.collectors}
    files: dict[str, list[BundledFile]] = {}
    for one in manifest.files:
        if one.sha256:
            files.setdefault(one.collector, []).append(one)
    for name, some in files.items():
        parts.append(list(_files(name, collectors.get(name), some, style)))
    return "\n".join(line for part in parts for line in part) + "\n"


def _missing(manifest: Manifest, style: Style) -> Iterator[str]:
    yield _bold("What is missing", style)
    lacking = [
        (one.id, one.outcome, one.reason)
        for one in manifest.collectors
        if one.outcome is not Outcome.WHOLE
    ]
    for file in manifest.files:
        if file.outcome is not Outcome.WHOLE:
            cut = f"{text.size(file.left_out)} left out" if file.left_out else ""
            why = "; ".join(part for part in (file.reason, cut) if part)
            lacking.append((file.path, file.outcome, why))
    for what, outcome, why in lacking[:_MISSING]:
        yield _lacks(what, outcome, why, style)
    if len(lacking) > _MISSING:
        yield f"  and {len(lacking) - _MISSING} more"
    if not lacking:
        yield "- nothing: every collector took all that it looks for"


def _lacks(what: str, outcome: Outcome, why: str, style: Style) -> str:
    said = f": {why}" if why else ""
    return _wrapped(f"- {what} ({_WORDS.get(outcome, outcome)}){said}", style, "  ")


def _files(
    name: str, collector: Collected | None, files: Sequence[BundledFile], style: Style
) -> Iterator[str]:
    title = f": {collector.title}" if collector else ""
    total = text.size(sum(one.size for one in files))
    yield _wrapped(f"{name or 'report'}{title} ({total})", style, "  ")
    for one in files[:_FILES]:
        redacted = _redactions([one])
        said = f"; {redacted} redacted" if redacted else ""
        yield _wrapped(f"  {text.size(one.size):>10}  {one.path}{said}", style, " " * 14)
    if len(files) > _FILES:
        yield f"{'':14}and {len(files) - _FILES} more"


def _redactions(files: Iterable[BundledFile]) -> str:
    """How many of each kind, the most first."""
    counts: Counter[str] = Counter()
    for one in files:
        counts.update(one.redactions)
    return ", ".join(f"{count} {kind}" for kind, count in counts.most_common(20))


# --- judge ----------------------------------------------------------------------------------------


def judged_otherwise(changes: Sequence[Change], old: Report, style: Style) -> str:
    """What today's rules say otherwise."""
    if not changes:
        maker = f"biostudio-doctor {old.tool_version}, which made the bundle"
        return _wrapped(f"Nothing is judged otherwise than by {maker}.", style) + "\n"
    lines = [_bold("Judged otherwise than in the bundle", style)]
    return "\n".join([*lines, *(_change(one, style) for one in changes)]) + "\n"


def _change(one: Change, style: Style) -> str:
    finding = one.now or one.was
    assert finding
    said = f"- {_status(one.was)} -> {_status(one.now)}  {one.check}, {one.subject}: "
    words = _wrapped(said + finding.summary, style, "  ")
    if not (style.color and one.now):
        return words
    colored = click.style(one.now.status, fg=_COLORS.get(one.now.status))
    return words.replace(f"-> {one.now.status}", f"-> {colored}", 1)


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
        ("Files", found.files),
        *((f"Facts of {check}", changes) for check, changes in found.facts.items()),
    ):
        if changes.told:
            sections.append([_bold(title, style), *_changes(changes, style)])
    if not found.any:
        sections.append(["Nothing changed."])
    return "\n\n".join("\n".join(section) for section in sections) + "\n"


def _between(old: Manifest, new: Manifest, style: Style) -> list[str]:
    lines = []
    for sign, one in (("from", old), ("to", new)):
        made = f"{one.created_at:%Y-%m-%d %H:%M} UTC" if one.created_at else "(no time)"
        line = f"{sign:4} {one.hostname or 'a host'}, {made}, biostudio-doctor {one.tool_version}"
        lines.append(_wrapped(line, style))
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
    width = min(style.width, _READABLE)
    return textwrap.fill(words, width, subsequent_indent=indent, break_on_hyphens=False)


def _bold(words: str, style: Style) -> str:
    return click.style(words, bold=True) if style.color else words
