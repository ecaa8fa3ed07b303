"""Members of what a telling name heads: `api_keys: {ci: ..., prod: ...}`, in braces or indented.

The names of the members tell nothing, so only what is as random as keys are is taken; of cookies
those of sessions are, too.
"""

import re
from collections.abc import Iterator

from biostudio_doctor.redaction import values
from biostudio_doctor.redaction.near_words import names_no_key

_LONGEST = 2048  # bytes of a group that are looked at
_OPENS = re.compile(rb"[ \t]*(?:\\*[\"'])?[ \t]*[\[{(]|[ \t]*\r?\n(?=([ \t]+)[\"'\w])")
_BRACE = re.compile(rb"[\[{(]|[\]})]")
_MEMBER = re.compile(
    rb"(?:([\w.\-]+)\\*[\"']?\s*(?:=>|[:=,])\s*)?(\\*[\"']|[ \t,])([\w\-+/.~]{8,200}={0,2})"
    rb"(?=[\"'\\,;\s)\]}]|$)"
)
_SESSION = re.compile(
    rb"(?i)[\"'][\w.\-]*(?:sess|sid|csrf|xsrf|auth|token|jwt)[\w.\-]*\\*[\"']\s*(?:=>|:)\s*(?=\\*[\"'])"
)
_ITSELF = re.compile(rb"(?i)code|value|key|secret|token|plain(?:text)?")
_HEX = re.compile(rb"[0-9a-fA-F]{32,}")


def find(text: bytes, at: int, indent: int, cookies: bool) -> tuple[int, Iterator[values.Place]]:
    """Where a group that begins here ends (`at` if none does), and the random values in it.

    Args:
        at: after the sign that follows the name.
        indent: how far the line of the name is indented; lines below that are more are members.
        cookies: take what is called as the cookies of a session are, too.
    """
    opened = _OPENS.match(text, at, at + 200)
    if not opened:
        return at, iter(())
    begin = opened.end()
    if opened[1] is None:
        end = _closed(text, begin)
        if cookies:
            return end, _sessions(text, begin, end)
    elif len(opened[1]) > indent:
        end = _outdented(text, begin, indent)
    else:
        return at, iter(())
    return end, _keys(text, begin, end)


def _closed(text: bytes, at: int) -> int:
    depth = 1
    for brace in _BRACE.finditer(text, at, at + _LONGEST):
        depth += 1 if brace[0] in b"[{(" else -1
        if not depth:
            return brace.start()
    return min(len(text), at + _LONGEST)


def _outdented(text: bytes, at: int, indent: int) -> int:
    end = text.find(b"\n", at, at + _LONGEST)
    while end >= 0:
        line = text[end + 1 : end + 2 + indent]
        if line.strip() and len(line) - len(line.lstrip(b" \t")) <= indent:
            return end
        end = text.find(b"\n", end + 1, at + _LONGEST)
    return min(len(text), at + _LONGEST)


def _keys(text: bytes, begin: int, end: int) -> Iterator[values.Place]:
    for member in _MEMBER.finditer(text, begin, end):
        name, value = member[1], member[3]
        if name and _ITSELF.fullmatch(name) and values.looks_random(value):
            yield member.span(3)
        elif name and names_no_key(name):
            continue
        elif _HEX.fullmatch(value) or values.is_uuid(value) or _is_key(value):
            yield member.span(3)


def _sessions(text: bytes, begin: int, end: int) -> Iterator[values.Place]:
    for name in _SESSION.finditer(text, begin, end):
        place = values.quoted(text, name.end())
        if place and place[1] <= end and values.can_be_secret(text[slice(*place)]):
            yield place


def _is_key(value: bytes) -> bool:
    parts = re.split(rb"[-_+/.~]", value)
    return (
        len(value) >= 16
        and values.is_made_of(parts)
        and not values.is_words(value)
        and values.can_be_secret(value)
    )
