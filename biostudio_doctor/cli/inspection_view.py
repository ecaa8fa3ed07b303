"""An inspection for people: the outcome, the chain, and what each client says."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from datetime import timedelta

import click

from biostudio_doctor import text
from biostudio_doctor.certificates.inspection import Inspected, Inspection, Link, Reason, Verdict
from biostudio_doctor.certificates.names import readable
from biostudio_doctor.exporter import Style

_LABEL = 14  # columns; what is left of 80 holds a fingerprint
_NAMES = 8  # of a certificate; JSON has them all, as the next
_LINKS = 8  # of a chain

_CALLED = {"browser": "a browser", "curl": "curl", "conda": "conda"}
_LABELS = {"browser": "browser", "curl": "curl", "conda": "conda, pip"}
_COLORS = {
    "accepts": "green", "partly": "yellow", "refuses": "red", "unknown": "magenta",
    "fine": "green", "wrong": "red", "undetermined": "magenta", "unreached": "magenta",
    "unread": "magenta",
}  # fmt: skip
_ANCHORED = {
    "system": "an authority that this host trusts",
    "given": "an authority that was given",
}

_Row = tuple[str, str, str]  # label, words, and a colour or ''


def render(inspection: Inspection, style: Style) -> str:
    """All targets, no line longer than the style's width."""
    return "\n".join(_target(one, style) for one in inspection.inspected)


def _target(one: Inspected, style: Style) -> str:
    width = style.readable
    headline = textwrap.fill(text.printable(_headline(one)), width, break_on_hyphens=False)
    shown = click.style(headline, fg=_COLORS[one.state], bold=True) if style.color else headline
    blocks = [list(_certificate(link)) for link in one.chain[:_LINKS]]
    if len(one.chain) > _LINKS:
        blocks.append([("", f"and {len(one.chain) - _LINKS} more", "")])
    blocks.append(list(_around(one)))
    blocks += [list(_verdict(verdict)) for verdict in one.verdicts]
    lines = [_set(block, width, style) for block in blocks if block]
    return "\n\n".join([shown, *lines]) + "\n"


# --- The outcome ----------------------------------------------------------------------------------


def _headline(one: Inspected) -> str:
    where = f"{one.target}, asked for {readable(one.name)}" if _other_name(one) else one.target
    if one.problem:
        what = "read" if one.state == "unread" else "had"
        return f"{where}: no certificate could be {what}: {one.problem}."
    if not one.verdicts:
        count = text.number(len(one.chain), "authority", "authorities")
        return f"{where} holds {count} to trust, and no server's certificate."
    parts = [
        f"{word} {text.listing(who)}"
        for says, word in (
            ("refuses", "refused by"),
            ("partly", "accepted in part by"),
            ("unknown", "not known of"),
            ("accepts", "accepted by"),
        )
        if (who := [_CALLED[item.client] for item in one.verdicts if item.says == says])
    ]
    refused = any(item.says != "accepts" for item in one.verdicts)
    besides = ("; and it has another fault" if refused else "; but it has a fault") * bool(
        one.remarks
    )
    return f"{where}: {', '.join(parts)}{besides}."


def _other_name(one: Inspected) -> bool:
    return bool(one.name) and one.name not in one.target


# --- The chain ------------------------------------------------------------------------------------


def _certificate(link: Link) -> Iterator[_Row]:
    one = link.certificate
    yield link.role, one.subject or one.name, "bold"
    if not link.related:
        yield "", "it issued nothing in this chain", "yellow"
    if one.names:
        more = len(one.names) - _NAMES
        shown = [readable(name) for name in one.names[:_NAMES]]
        yield "  for", ", ".join([*shown, *([f"{more} more"] if more > 0 else [])]), ""
    yield "  issued by", "itself" if one.self_signed else one.issuer, ""
    yield "  valid", _validity(link), _urgency(link)
    yield "  key", _key(link), ""
    yield "  serial", one.serial, ""
    yield "  sha256", one.sha256, ""
    for problem in one.unread:
        yield "  unread", problem, "yellow"


def _validity(link: Link) -> str:
    one, left = link.certificate, timedelta(seconds=link.seconds_left)
    span = f"from {one.not_before:%Y-%m-%d} until {one.not_after:%Y-%m-%d %H:%M} UTC"
    if left <= timedelta(0):
        return f"expired {_span(-left)} ago; {span}"
    if left > one.lifetime:  # it has more left than its whole life
        return f"not yet; {span}"
    return f"{_span(left)} left; {span}"


def _urgency(link: Link) -> str:
    left = timedelta(seconds=link.seconds_left)
    return "red" if left <= timedelta(0) or left > link.certificate.lifetime else ""


def _span(span: timedelta) -> str:
    """In days, or hours where it is short."""
    hours = int(span.total_seconds() // 3600)
    return text.number(hours // 24, "day") if hours >= 48 else text.number(hours, "hour")


def _key(link: Link) -> str:
    one = link.certificate
    bits = f", {one.key_bits} bits" if one.key_bits else ""
    signed = f"; signed with {text.hash_name(one.signature_hash)}" if one.signature_hash else ""
    return f"{one.key_type or 'of unknown kind'}{bits}{signed}"


def _around(one: Inspected) -> Iterator[_Row]:
    """What belongs to all of the chain."""
    if not one.chain:
        return
    if one.verdicts:
        ends = f"ends at '{one.anchor}', {_ANCHORED.get(one.anchored_by, '')}"
        yield "trust", ends if one.anchored_by else "ends at no authority that is known here", ""
    if one.kind == "TLS":
        yield "spoken", one.spoken, ""
    else:
        yield "read from", f"{one.path or one.target} ({one.kind})", ""
    if one.key == "matches":
        yield "private key", "belongs to the server's certificate", ""
    elif one.key == "unreadable":
        yield "private key", "cannot be read, so whether it belongs to it is not known", "magenta"
    for remark in one.remarks:
        yield "fault", remark.text, "red"


# --- The clients ----------------------------------------------------------------------------------


def _verdict(verdict: Verdict) -> Iterator[_Row]:
    said = {"accepts": "accepts it", "partly": "accepts it in part", "refuses": "refuses it",
            "unknown": "not known"}[verdict.says]  # fmt: skip
    yield _LABELS[verdict.client], said, _COLORS[verdict.says]
    for reason in verdict.reasons:
        yield "", _because(reason), ""
        for words in _words(verdict, reason):
            yield "", words, ""
    if verdict.says == "accepts" and verdict.anchor:
        yield "", f"trust ends at '{verdict.anchor}'", ""
    yield "", f"verified with: {verdict.trusts}", "bright_black"


def _because(reason: Reason) -> str:
    advice = f"; {reason.advice}" if reason.advice else ""
    return f"- {reason.text}{advice}{' (a rule of thumb)' if reason.rule else ''}"


def _words(verdict: Verdict, reason: Reason) -> Iterator[str]:
    """The client's own; only the first reason is one that it names."""
    if reason is not verdict.reasons[0]:
        return
    if verdict.client != "browser":
        yield from (f"  {one}" for one in reason.words)
        return
    for program, words in zip(("Chrome, Edge", "Firefox"), reason.words, strict=False):
        if words:
            yield f"  {program}: {words}"


# --- Setting --------------------------------------------------------------------------------------


def _set(rows: list[_Row], width: int, style: Style) -> str:
    return "\n".join(line for row in rows for line in _lines(row, width, style))


def _lines(row: _Row, width: int, style: Style) -> Iterator[str]:
    label, words, color = row
    indent = "  " if words.startswith(("- ", "  ")) else ""
    wrapped = textwrap.wrap(
        text.printable(words), width - _LABEL, subsequent_indent=indent, break_on_hyphens=False
    )
    for index, line in enumerate(wrapped or [""]):
        shown = f"{'' if index else label:{_LABEL}}"
        yield f"{shown}{_colored(line, color) if style.color else line}".rstrip()


def _colored(words: str, color: str) -> str:
    if color == "bold":
        return click.style(words, bold=True)
    return click.style(words, fg=color) if color else words
