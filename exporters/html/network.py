"""Plots of what is asked of others: the ways to the internet, and when certificates expire."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple, get_args

from biostudio_doctor import text
from biostudio_doctor.model import Report, Status
from biostudio_doctor.probes import Phase
from biostudio_doctor.probes.wording import duration

from ..reading import at, certificate_name, each, place, unix
from .plots import Mark, Plot, Row, Segment, amount, bar, bounded, name, observed, share, status_of

_PHASES: tuple[str, ...] = get_args(Phase)
_DAY = 86400.0
_TICKS = (-365, 0, 365, 730)  # days from now, evenly: what the plot of certificates shows


def plots(report: Report) -> Iterator[Plot]:
    """Those that there are facts for."""
    yield from _waterfall(report)
    yield from _validity(report)


# --- Egress ---------------------------------------------------------------------------------------


def _waterfall(report: Report) -> Iterator[Plot]:
    """All ways on one scale of time: that of the slowest that led to its end."""
    found: dict[str, dict[str, Any]] = {}
    notes: list[str] = []
    for facts in observed(report, "egress.hosts", "activation.server"):
        for path in each(facts, "paths"):
            found.setdefault(name(place(path)), path)
        notes += _download(at(facts, "download"))
    spent = {key: _seconds(path) for key, path in found.items()}
    totals = {key: sum(seconds.values()) for key, seconds in spent.items()}
    arrived = [totals[key] for key, path in found.items() if not path.get("failure")]
    scale = max(arrived, default=0.0) or max(totals.values(), default=0.0)
    rows, more = bounded(
        _way(key, path, spent[key], scale, _outcome(report, path))
        for key, path in sorted(found.items(), key=lambda one: not one[1].get("failure"))
    )
    if rows:
        yield Plot(
            "egress",
            "Ways to the internet",
            "How long each phase of the way to each host took, those that failed first",
            ("Host", "Phases", "In words"),
            rows,
            {**{phase: phase for phase in _PHASES}, "stop": "it ended here", "more": "longer"},
            ("0", duration(scale / 2), duration(scale)) if scale else (),
            [*more, *notes],
        )


def _seconds(path: dict[str, Any]) -> dict[str, float]:
    """What each phase took, in their order."""
    told = path.get("seconds")
    facts = told if isinstance(told, dict) else {}
    phases = ((phase, amount(facts.get(phase))) for phase in _PHASES)
    return {phase: seconds for phase, seconds in phases if seconds is not None}


def _way(
    host: str, path: dict[str, Any], spent: dict[str, float], scale: float, status: Status
) -> Row:
    total = sum(spent.values())
    failure, marks = path.get("failure"), []
    segments = bar(scale, *spent.items())
    if total > scale:
        marks.append(Mark("more", 100))
    elif failure and segments:
        marks.append(Mark("stop", share(total, scale)))
    proxy = name(at(path, "route", "proxy", "host"))
    return Row(
        host,
        f"{_ended(failure) if failure else _answer(path)} after {duration(total)}.",
        segments if spent else None,
        marks,
        f"through the proxy {proxy}" if proxy else "",
        ", ".join(f"{phase} {duration(seconds)}" for phase, seconds in spent.items()),
        status,
    )


def _ended(failure: object) -> str:
    words = f"Ended in {name(at(failure, 'phase')) or 'an unknown phase'}"
    why = [name(at(failure, "reason")), name(at(failure, "detail"))]
    return f"{words}: {', '.join(filter(None, why))}," if any(why) else words


def _outcome(report: Report, path: dict[str, Any]) -> Status:
    """As the check judged it, which knows what need there is of the host."""
    said = status_of(report, "egress.hosts", name(path.get("host")))
    if path.get("failure"):
        return said if said and said is not Status.PASS else Status.FAIL
    return Status.WARN if said is Status.WARN else Status.PASS


def _answer(path: dict[str, Any]) -> str:
    hops = list(each(path, "exchange", "hops"))
    status = amount(hops[-1].get("status")) if hops else None
    if status is None:
        return "Reached"
    by = f" ({text.number(len(hops) - 1, 'redirect')})" if len(hops) > 1 else ""
    return f"Answered {status:.0f}{by}"


def _download(facts: object) -> Iterator[str]:
    length, seconds = amount(at(facts, "length")), amount(at(facts, "seconds"))
    if length and seconds and not at(facts, "failure"):
        host = name(at(facts, "host"))
        yield f"A file came from {host} at {text.size(length / seconds)} per second."


# --- Certificates ---------------------------------------------------------------------------------


class _Span(NamedTuple):
    """The time for which a certificate is good, as Unix time."""

    subject: str
    used: str  # where
    start: float | None
    end: float


def _validity(report: Report) -> Iterator[Plot]:
    now, spans = report.started_at.timestamp(), list(_spans(report))
    for facts in observed(report, "certificate.expiry"):
        now = unix(at(facts, "observed_at")) or now
    rows, more = bounded(_lasting(span, now) for span in sorted(spans, key=lambda one: one.end))
    if rows:
        yield Plot(
            "certificates",
            "Certificates",
            "From when to when certificates are valid, the first to expire on top",
            ("Certificate", "Validity", "In words"),
            rows,
            {"past": "past", "valid": "to come", "over": "expired", "now": "now",
             "more": "goes on"},
            tuple(_day(now + days * _DAY)[:7] for days in _TICKS),
            more,
        )  # fmt: skip


def _spans(report: Report) -> Iterator[_Span]:
    for facts in observed(report, "certificate.expiry", "sso.ldap"):
        for watched in each(facts, "watched"):
            used, chain = name(watched.get("name")), watched.get("chain")
            for index, one in enumerate(each(chain, "certificates")):
                yield from _span(one, used if not index else f"in the chain of {used}")
            until = unix(at(chain, "anchor_until"))
            if until is not None:
                anchor = name(at(chain, "anchor")) or "(unnamed)"
                yield _Span(anchor, f"the authority above {used}", None, until)
    for facts in observed(report, "sso.saml"):
        for asked in each(facts, "asked"):
            for one in each(asked, "metadata", "entity", "certificates"):
                yield from _span(one, f"signs for {name(asked.get('at'))}")


def _span(certificate: dict[str, Any], used: str) -> Iterator[_Span]:
    end = unix(certificate.get("not_after"))
    if end is not None:
        subject = name(certificate_name(certificate)) or "(unnamed)"
        yield _Span(subject, used, unix(certificate.get("not_before")), end)


def _lasting(span: _Span, now: float) -> Row:
    left, right = (now + days * _DAY for days in (_TICKS[0], _TICKS[-1]))
    start = left if span.start is None else span.start
    pieces = [("over" if span.end <= now else "past", start, min(span.end, now)),
              ("valid", max(start, now), span.end)]  # fmt: skip
    segments = []
    for kind, begin, end in pieces:
        at_begin, at_end = (share(moment - left, right - left) for moment in (begin, end))
        if at_end > at_begin:
            segments.append(Segment(kind, at_begin, round(at_end - at_begin, 2)))
    marks = [Mark("now", share(now - left, right - left))]
    if span.end > right:
        marks.append(Mark("more", 100))
    return Row(span.subject, _lifetime(span, now), segments, marks, span.used)


def _lifetime(span: _Span, now: float) -> str:
    since = f"Valid from {_day(span.start)} " if span.start is not None else "Valid "
    days = int(abs(span.end - now) // _DAY)
    if span.end <= now:
        return f"{since}until {_day(span.end)}: expired {text.number(days, 'day')} ago."
    if span.start is not None and span.start > now:
        return f"{since}until {_day(span.end)}: not valid yet."
    return f"{since}until {_day(span.end)}: {text.number(days, 'day')} left."


def _day(moment: float) -> str:
    """The day of a Unix time; that of a certificate may be one that no calendar has."""
    try:
        return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d}"
    except (ValueError, OverflowError, OSError):
        return "beyond all calendars"
