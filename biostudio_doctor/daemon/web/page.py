"""The status page: what is wrong now and how to mend it, and how each check fared lately.

One document without anything external. Its style and script are named by their hashes in the
Content-Security-Policy, so that nothing that a check found, whatever it holds, is ever run.
"""

import functools
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from jinja2 import Template
from markupsafe import Markup
from starlette.datastructures import QueryParams

from biostudio_doctor import pages, steps, text
from biostudio_doctor.model import SEVERITY, Report, Result, Run, Status

_SHOWN_RUNS = 24
_BAR, _HEIGHT = 4, 18  # the sparkline's units
_QUERY_LIMIT = 100  # characters


_STYLE = pages.LOOK + pages.file(__package__, "page.css")
_SCRIPT = pages.file(__package__, "page.js")

HEADERS = {
    "content-type": "text/html; charset=utf-8",
    "content-security-policy": "; ".join(
        (
            "default-src 'none'",
            f"style-src {pages.source(_STYLE)}",
            f"script-src {pages.source(_SCRIPT)}",
            "connect-src 'self'",
            "img-src data:",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        )
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "deny",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


class Filter(NamedTuple):
    """Which checks are shown."""

    words: str = ""
    statuses: frozenset[Status] = frozenset()

    @classmethod
    def of(cls, asked: QueryParams) -> "Filter":
        """Of a URL; what is no status asks for nothing."""
        known = {status.value: status for status in Status}
        statuses = frozenset(known[one] for one in asked.getlist("status") if one in known)
        return cls(asked.get("q", "")[:_QUERY_LIMIT].strip(), statuses)

    def shows(self, result: Result) -> bool:
        """Whether a check is among them: all words stand in what is said of it."""
        said = " ".join(
            (result.id, result.title, *(finding.summary for finding in result.findings))
        ).lower()
        return (not self.statuses or result.status in self.statuses) and all(
            word in said for word in self.words.lower().split()
        )


def render(report: Report, asked: Filter, alive: bool) -> bytes:
    """The whole page; `alive` tells whether the schedule moves."""
    shown = [result for result in report.results if not steps.unasked(result)]
    counted = {status: [one.status for one in shown].count(status) for status in SEVERITY}
    return (
        _template()
        .render(
            report=report,
            alive=alive,
            asked=asked,
            style=Markup(_STYLE),
            script=Markup(_SCRIPT),
            counts={status: count for status, count in counted.items() if count},
            level=next((one for one in SEVERITY if counted[one] and one in _TROUBLE), Status.PASS),
            headline=_headline(counted),
            steps=_keyed(steps.make(report)),
            rows=[one for one in shown if asked.shows(one)],
            total=len(shown),
            unasked=steps.all_unasked(report.results),
        )
        .encode("utf-8", "replace")
    )


_TROUBLE = (Status.FAIL, Status.ERROR, Status.WARN, Status.UNKNOWN)


def _headline(counts: Mapping[Status, int]) -> str:
    """The state of everything in one sentence."""
    said = (*_TROUBLE, Status.PASS)
    parts = [f"{counts[status]} {steps.WORDS[status]}" for status in said if counts[status]]
    if not parts:
        return "Nothing was determined."
    if not any(counts[status] for status in _TROUBLE):
        return f"All is well: {text.number(counts[Status.PASS], 'check')} passed."
    number, _, word = parts[0].partition(" ")
    parts[0] = f"{text.number(int(number), 'check')} {word}"
    return f"{text.listing(parts)}."


def _keyed(found: Iterable[steps.Step]) -> dict[str, steps.Step]:
    """Each step with a name that it keeps, by which the script knows it again."""
    keyed: dict[str, steps.Step] = {}
    numbers = Counter[str]()
    for step in found:
        name = f"{step.status}-{'-'.join(step.results)}"
        numbers[name] += 1
        keyed[f"{name}-{numbers[name]}"] = step
    return keyed


def _sparkline(history: tuple[Run, ...]) -> Markup:
    """A bar for each of the last runs: its colour and its foot are the status, its height the
    duration beside the longest. Those that went wrong reach below the line, for who sees no colour.
    """
    runs = history[-_SHOWN_RUNS:]
    if not runs:
        return Markup('<span class="none">no run yet</span>')
    longest = max(run.duration_seconds for run in runs) or 1.0
    paths: dict[str, list[str]] = {}
    for number, run in enumerate(runs, _SHOWN_RUNS - len(runs)):
        height = max(2, round((_HEIGHT - 5) * (run.duration_seconds / longest)))
        foot = 4 if run.status in (Status.FAIL, Status.ERROR) else 0
        bar = f"M{number * _BAR + 2} {_HEIGHT - 4 + foot}v-{height + foot}"
        paths.setdefault(run.status.value, []).append(bar)
    drawn = Markup("").join(
        Markup('<path class="{}" d="{}"/>').format(status, "".join(bars))
        for status, bars in paths.items()
    )
    return Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        _SHOWN_RUNS * _BAR, _HEIGHT, _told(runs), drawn
    )


def _told(runs: tuple[Run, ...]) -> str:
    """The sparkline in words."""
    durations = [run.duration_seconds for run in runs]
    took = " to ".join(dict.fromkeys(map(pages.duration, (min(durations), max(durations)))))
    if len(runs) == 1:
        return f"Last run: {steps.WORDS[runs[0].status]}; {took}"
    counts = [(steps.WORDS[one], sum(run.status is one for run in runs)) for one in SEVERITY]
    fates = text.listing(f"{count} {word}" for word, count in counts if count)
    return f"Last {len(runs)} runs: {fates}; {took}"


@functools.cache
def _template() -> Template:
    made = pages.environment(sparkline=_sparkline)
    return made.from_string(pages.file(__package__, "page.html"))
