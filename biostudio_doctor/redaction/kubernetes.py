"""The data of Kubernetes Secrets, in YAML and in JSON: all of it, whatever its keys are called."""

import re
from base64 import b64decode
from collections.abc import Iterator

from biostudio_doctor.redaction import values
from biostudio_doctor.redaction.sieve import Sieved
from biostudio_doctor.redaction.spans import Span

_KIND = rb"\\*[\"']?kind\\*[\"']?:\s*\\*[\"']?[Ss]ecret\\*[\"']?(?:[\s,}]|$)"
RARE = (_KIND,)
_LONGEST = 64 << 10  # bytes of one object that are looked at
_DATA = re.compile(rb"\\*\"(?:data|stringData)\\*\"\s*:\s*\{([^{}]*)\}")
_PAIR = re.compile(rb"\\*\"[\w.\-]+\\*\"\s*:\s*")
_BLOCK = re.compile(rb"(?m)^([ \t]*)(?:- )?(?:data|stringData):[ \t]*\r?$")
_ENTRY = re.compile(rb"([ \t]+)[\"']?[\w.\-]+[\"']?:[ \t]*([^\r\n]*)")


def find(seen: Sieved) -> Iterator[Span]:
    """Values below `data` and `stringData` of objects whose kind is Secret."""
    text = seen.text
    kinds = [found.start() for found in seen.finditer(_KIND)]
    if not kinds:
        return
    for start, end in _objects(text, kinds):
        for data in _DATA.finditer(text, start, end):
            for pair in _PAIR.finditer(text, *data.span(1)):
                place = values.quoted(text, pair.end())
                if place:
                    yield from _span(text, *place)
    for start, end in _documents(text, kinds):
        yield from _blocks(text, start, end)


def _objects(text: bytes, kinds: list[int]) -> Iterator[tuple[int, int]]:
    """The innermost braces around each place, in one pass."""
    stack: list[int] = []
    waiting = iter(kinds)
    kind = next(waiting, None)
    wanted: list[int] = []  # beginnings of objects that are Secrets
    for brace in re.finditer(rb"[{}]", text):
        at = brace.start()
        while kind is not None and kind < at:
            if stack and stack[-1] not in wanted[-1:]:
                wanted.append(stack[-1])
            kind = next(waiting, None)
        if brace[0] == b"{":
            stack.append(at)
        elif stack:
            begin = stack.pop()
            if wanted and begin == wanted[-1]:
                wanted.pop()
                if at - begin <= _LONGEST:
                    yield begin, at
        if kind is None and not wanted:
            return


def _documents(text: bytes, kinds: list[int]) -> Iterator[tuple[int, int]]:
    """The YAML documents, or the members of a list, in which the places are."""
    told = -1
    for kind in kinds:
        if kind < told:
            continue
        line = text.rfind(b"\n", 0, kind) + 1
        found = re.compile(rb"[ \t]*(?:- )?[\"']?$").match(text, line, kind)
        if not found:
            continue
        indent = kind - line
        floor, ceiling = max(0, told, kind - _LONGEST), min(len(text), kind + _LONGEST)
        start = max(text.rfind(b"\n---", floor, kind), floor)
        end = text.find(b"\n---", kind, ceiling)
        end = ceiling if end < 0 else end
        if indent >= 2:  # perhaps a member of a list
            dash = b"\n" + b" " * (indent - 2) + b"- "
            start = max(start, text.rfind(dash, floor, line + indent))
            following = text.find(dash, kind, end)
            end = following if following >= 0 else end
        yield start, end
        told = end


def _blocks(text: bytes, start: int, end: int) -> Iterator[Span]:
    for block in _BLOCK.finditer(text, start, end):
        indent = len(block[1])
        line = block.end() + 1
        while line < end:
            stop = text.find(b"\n", line, end)
            stop = end if stop < 0 else stop
            content = text[line:stop]
            depth = len(content) - len(content.lstrip(b" \t"))
            entry = _ENTRY.match(text, line, stop)
            if content.strip() and depth <= indent:
                break
            if entry:
                at = entry.start(2)
                place = values.quoted(text, at)
                if place:
                    yield from _span(text, *place)
                elif entry[2][:1] not in (b"|", b">"):
                    yield from _span(text, at, at + len(entry[2].rstrip()))
            elif content.strip():
                first = line + depth
                yield Span(first, first + len(content.strip()), "secret")
            line = stop + 1


def _span(text: bytes, start: int, end: int) -> Iterator[Span]:
    value = text[start:end]
    if not values.can_be_secret(value):
        return
    try:
        plain = b64decode(value, validate=True)
    except ValueError:
        plain = None
    yield Span(start, end, "secret", plain)
