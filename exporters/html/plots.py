"""What a plot is: rows of bars on one line each, every one with its name before and words after it.

All places are percents of a row's scale, so that a bar is as wide as the reader's window. Whoever
sees no bar has the same from the words.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from biostudio_doctor import text
from biostudio_doctor.model import Report, Result, Status

from ..reading import known

MOST_ROWS = 100  # of one plot; more are only counted
_NAME_LIMIT = 160  # characters of a name out of facts
_MOST = 1e18  # bytes, inodes, tasks or seconds: what is more was not measured


class Segment(NamedTuple):
    """A part of a bar."""

    kind: str  # its class, which the legend explains
    start: float
    width: float


class Mark(NamedTuple):
    """A place on a bar."""

    kind: str  # need, now: a line; stop: a cross; more: an arrow, where the bar would go on
    at: float


class Row(NamedTuple):
    """One bar; where `segments` is None there is none, and the words say why."""

    name: str
    words: str
    segments: Sequence[Segment] | None = None
    marks: Sequence[Mark] = ()
    detail: str = ""  # below the name
    figures: str = ""  # below the words
    status: Status | None = None


class Plot(NamedTuple):
    """Bars that are compared with each other."""

    key: str
    title: str
    says: str  # what is to be seen, as the caption
    columns: tuple[str, str, str]
    rows: Sequence[Row]
    legend: dict[str, str]  # the meaning of each kind of segment and of mark
    scale: tuple[str, ...] = ()  # what stands at the left, in between and at the right
    notes: Sequence[str] = ()

    @property
    def explained(self) -> dict[str, str]:
        """The legend, of what is there to be seen."""
        seen = {part.kind for row in self.rows for part in row.segments or ()}
        seen |= {mark.kind for row in self.rows for mark in row.marks}
        return {kind: words for kind, words in self.legend.items() if kind in seen}

    def said(self, row: Row) -> str:
        """A row's bar in words, part by part."""
        parts = [
            f"{self.legend.get(part.kind, part.kind)} {_percent(part.width)}"
            for part in row.segments or ()
        ]
        parts += [
            f"{self.legend.get(mark.kind, mark.kind)} at {_percent(mark.at)}" for mark in row.marks
        ]
        return f"{'; '.join(parts)} of the width." if parts else "Nothing."


def bar(scale: float, *parts: tuple[str, float]) -> list[Segment]:
    """Amounts one after the other on a scale; what is nothing has no segment."""
    segments, start = [], 0.0
    for kind, much in parts:
        width = min(share(much, scale), 100 - start)
        if width > 0:
            segments.append(Segment(kind, start, width))
        start += width
    return segments


def share(much: float, scale: float) -> float:
    """A place on a scale that begins with zero, in percent of it, two decimals."""
    if not (scale > 0 and math.isfinite(much) and math.isfinite(scale)):
        return 0.0
    return round(min(max(much / scale, 0.0), 1.0) * 100, 2)


def amount(value: object) -> float | None:
    """A number that can have been measured; None for whatever else facts may hold."""
    number = None if isinstance(value, bool) else known(value)
    return number if number is not None and 0 <= number <= _MOST else None


def name(value: object) -> str:
    """A name out of facts: one line of bounded length; '' for what is no text."""
    if not isinstance(value, str):
        return ""
    line = " ".join(text.printable(value[: 2 * _NAME_LIMIT]).split())
    return line if len(line) <= _NAME_LIMIT else f"{line[:_NAME_LIMIT]}\u2026"


def bounded(rows: Iterable[Row]) -> tuple[list[Row], list[str]]:
    """The first rows, and a note of how many more there are."""
    every = list(rows)
    more = len(every) - MOST_ROWS
    note = [f"{text.number(more, 'more row')} {'is' if more == 1 else 'are'} left out here."]
    return every[:MOST_ROWS], note if more > 0 else []


def observed(report: Report, *checks: str) -> Iterator[object]:
    """The facts of these checks, as far as there are any."""
    by_id: dict[str, Result] = {result.id: result for result in report.results}
    for check in checks:
        if check in by_id and by_id[check].observation is not None:
            yield by_id[check].observation


def status_of(report: Report, check: str, subject: str) -> Status | None:
    """What a check said of a subject."""
    found = (
        finding.status
        for result in report.results
        if result.id == check
        for finding in result.findings
        if finding.subject == subject
    )
    return next(found, None)


def _percent(value: float) -> str:
    return f"{value:.0f} %" if value >= 1 or not value else "less than 1 %"
