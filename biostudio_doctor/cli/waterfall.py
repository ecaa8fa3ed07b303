"""A trace for people: bars of the phases on one scale of time, and the evidence below them."""

import textwrap
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

import click

from biostudio_doctor import text
from biostudio_doctor.certificates import CertificateFacts
from biostudio_doctor.endpoints import is_address
from biostudio_doctor.exporter import Style
from biostudio_doctor.probes import Failure, Phase, wording
from biostudio_doctor.probes.results import Answer, Attempt, Hop, Path, Route, TlsResult
from biostudio_doctor.trace import Trace

_LABEL = 10  # columns, of the phases' and the evidence's names alike
_DURATION = 8  # columns, such as "147 ms"
_SHOWN = 6  # of a list, such as the certificates of a chain; JSON has them all

_Row = tuple[str, str]  # label and words; the label is '' where it is that of the row before


def render(traced: Trace, style: Style, *, blocks: bool = True) -> str:
    """The outcome, the waterfall and the evidence, no line longer than the style's width."""
    width = style.readable
    path = traced.path
    color = "green" if traced.reached else "red"
    parts = [
        _colored(textwrap.fill(text.printable(traced.summary), width), color, style),
        "\n".join(_waterfall(path, width, style, "█" if blocks else "#")),
        "\n".join(_table(_evidence(path, traced.started_at), width, style)),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


# --- The waterfall --------------------------------------------------------------------------------


def _waterfall(path: Path, width: int, style: Style, block: str) -> Iterator[str]:
    """One line a phase, each bar beginning where the one before ended, and the scale."""
    columns = width - _LABEL - _DURATION - 4
    total = sum(path.seconds.values())
    failed = path.failure.phase if path.failure else None
    passed = 0.0
    for phase in _phases(path):
        seconds = path.seconds.get(phase)
        start, end = (
            min(round(columns * moment / total), columns) if total else 0
            for moment in (passed, passed + (seconds or 0.0))
        )
        start = min(start, columns - 1)
        bar = block * max(end - start, 1) if seconds is not None else ""
        spent = wording.duration(seconds) if seconds is not None else "-"
        line = f"{phase:{_LABEL}}{spent:>{_DURATION}}  {' ' * start}{bar}"
        if phase == failed:
            yield _colored(f"{line} x".rstrip(), "red", style)
        else:
            yield line.rstrip()
        passed += seconds or 0.0
    if total:
        scale = f"{'0':<{columns // 2}}{wording.duration(total):>{columns - columns // 2}}"
        yield f"{' ' * (_LABEL + _DURATION + 2)}{scale}"


def _phases(path: Path) -> list[Phase]:
    """Those that were gone through, and the one in which the way ended."""
    phases = list(path.seconds)
    if path.seconds and path.failure and path.failure.phase not in phases:
        phases.append(path.failure.phase)
    return phases


# --- The evidence ---------------------------------------------------------------------------------


def _evidence(path: Path, now: datetime) -> Iterator[_Row]:
    yield "proxy", _proxy(path)
    yield from _names(path)
    yield from _labelled("addresses", map(_attempt, path.attempts))
    if path.tls:
        yield from _tls(path.tls, now)
    if path.exchange:
        yield from _labelled("http", map(_hop, path.exchange.hops))
        if path.exchange.left_at:
            yield "", f"and on to {path.exchange.left_at}, which was not followed"


def _proxy(path: Path) -> str:
    route = path.route
    if not route.proxy:
        return _no_proxy(route)
    words = [f"{route.proxy.url}, from {route.variable}"]
    if route.contradicted_by:
        words.append(f"{route.contradicted_by} has another value")
    if route.exempt_for:
        words.append(f"NO_PROXY exempts this host for {text.listing(route.exempt_for)} only")
    reply = path.reply
    if reply:
        named = f" ({reply.server})" if reply.server else ""
        words.append(
            f"it{named} answered CONNECT with {reply.status} {reply.phrase}".rstrip()
            + f" after {wording.duration(reply.seconds)}"
        )
        if reply.schemes:
            words.append(f"it offers {text.listing(reply.schemes)}")
    return "; ".join(words)


def _no_proxy(route: Route) -> str:
    if route.failure:
        return f"the value of {route.variable} {route.failure.detail}"
    if route.variable:
        return f"none: NO_PROXY exempts this host from {route.variable}"
    return "none: no variable names one"


def _names(path: Path) -> Iterator[_Row]:
    """What this system and each of its name servers say; nothing where there was no name."""
    lookup = path.lookup
    if not lookup or is_address(lookup.name):
        return
    found = _why(lookup.failure) if lookup.failure else ", ".join(lookup.addresses)
    yield "name", f"{lookup.name}: {found}, says this system ({wording.duration(lookup.seconds)})"
    for server in dict.fromkeys(answer.server for answer in path.answers):
        of_server = [answer for answer in path.answers if answer.server == server]
        yield "", f"{server} says: {'; '.join(map(_answer, of_server))}"


def _answer(answer: Answer) -> str:
    by = " by TCP" if answer.over_tcp else ""
    return f"{answer.record} {_said(answer)} ({wording.duration(answer.seconds)}{by})"


def _said(answer: Answer) -> str:
    """The addresses with the aliases that lead to them, or what was said instead."""
    if answer.failure and answer.failure.reason == "no-address":
        return "none"
    if answer.failure:
        told = answer.code or _why(answer.failure)
        return f"{told}: {', '.join(answer.extended)}" if answer.extended else told
    through = f", by way of {_several(answer.aliases)}" if answer.aliases else ""
    return f"{_several(answer.addresses)}{through}"


def _attempt(attempt: Attempt) -> str:
    source = f", from {attempt.source}" if attempt.source else ""
    if attempt.failure:
        found = f"{_why(attempt.failure)} after {wording.duration(attempt.seconds)}"
    else:
        found = f"connected after {wording.duration(attempt.seconds)}"
    return f"{attempt.address} ({attempt.family}): {found}{source}"


def _tls(tls: TlsResult, now: datetime) -> Iterator[_Row]:
    spoken = ", ".join(filter(None, (tls.version, tls.cipher, tls.alpn)))
    if tls.verified:
        trust = "the certificate is trusted"
    elif tls.verify_error:
        trust = f"the certificate is not trusted: {tls.verify_error}"
    else:
        trust = _why(tls.failure) if tls.failure else ""
    yield "tls", "; ".join(filter(None, (spoken, trust)))
    certificates = [_certificate(one, now) for one in tls.chain[:_SHOWN]]
    if len(tls.chain) > _SHOWN:
        certificates.append(f"and {len(tls.chain) - _SHOWN} more")
    yield from _labelled("chain", [*certificates, *filter(None, [tls.unread])])


def _certificate(certificate: CertificateFacts, now: datetime) -> str:
    issuer = "itself" if certificate.self_signed else certificate.issuer
    return f"{certificate.subject or certificate.name}, by {issuer}; {_validity(certificate, now)}"


def _validity(certificate: CertificateFacts, now: datetime) -> str:
    if certificate.not_before > now:
        return f"not valid before {certificate.not_before:%Y-%m-%d %H:%M} UTC"
    left = certificate.not_after - now
    days = text.number(abs(left) // timedelta(days=1), "day")
    if left < timedelta(0):
        return f"expired {days} ago, on {certificate.not_after:%Y-%m-%d}"
    return f"{days} left, until {certificate.not_after:%Y-%m-%d}"


def _hop(hop: Hop) -> str:
    if hop.status is None:
        return f"{hop.url}: {_why(hop.failure) if hop.failure else 'no answer'}"
    words = [f"{hop.status} {hop.phrase}".rstrip()]
    words += [f"{name} {hop.headers[name]}" for name in ("server", "via") if name in hop.headers]
    words.append(f"{text.size(hop.length)}{'' if hop.whole else ' and more'}")
    if hop.clock_offset is not None:
        words.append(f"its clock {hop.clock_offset:+.1f} s")
    if hop.failure:
        words.append(f"then {_why(hop.failure)}")
    return f"{hop.url}: {', '.join(words)}"


def _why(problem: Failure) -> str:
    """As short as a log: the reason, and the words of the kernel or the peer."""
    return f"{problem.reason} ({problem.detail})" if problem.detail else problem.reason


def _several(items: tuple[str, ...]) -> str:
    more = f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
    return ", ".join(items[:_SHOWN]) + more


# --- Setting --------------------------------------------------------------------------------------


def _labelled(label: str, words: Iterable[str]) -> Iterator[_Row]:
    for index, line in enumerate(words):
        yield ("" if index else label), line


def _table(rows: Iterable[_Row], width: int, style: Style) -> Iterator[str]:
    for label, words in rows:
        lines = textwrap.wrap(text.printable(words), width - _LABEL, break_on_hyphens=False)
        for index, line in enumerate(lines):
            shown = f"{'' if index else label:{_LABEL}}"
            yield f"{_bold(shown, style)}{'  ' if index else ''}{line}".rstrip()


def _colored(words: str, color: str, style: Style) -> str:
    return click.style(words, fg=color) if style.color else words


def _bold(words: str, style: Style) -> str:
    return click.style(words, bold=True) if style.color and words.strip() else words
