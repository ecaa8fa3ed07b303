"""Private keys: whole ones, and ones whose beginning or end was cut off."""

import re
from collections.abc import Iterator

from biostudio_doctor.redaction.sieve import Sieved
from biostudio_doctor.redaction.spans import Span

_LONGEST = 32 << 10  # bytes: a key of RSA with 16384 bits has 13 kB
_MARKS = (
    rb"-{4,5} ?BEGIN[ +][A-Z0-9 +]*PRIVATE[ +]KEY(?:[ +]BLOCK)? ?-{4,5}"
    rb"|-{4,5} ?END[ +][A-Z0-9 +]*PRIVATE[ +]KEY(?:[ +]BLOCK)? ?-{4,5}"
    rb"|PuTTY-User-Key-File-\d|Private-MAC: ?[0-9a-f]{32,}|Private-Lines: ?\d+"
)
RARE = (_MARKS,)
_BREAK = re.compile(rb"\r?\n|\\+r\\+n|\\+n")
_BODY = re.compile(
    rb"""[\s>#*"'|+,]*(?:[A-Za-z0-9+/=]*[\s"',\\]*|(?:Proc-Type|DEK-Info|Version|Comment|Hash"
    rb"|Subject|X-\w+):[^\n\\]*)"""
)
_LINE = re.compile(rb"""[\s>#*"'|+,]*+([A-Za-z0-9+/=]++)[\s"',\\]*+""")

_AROUND = b" \t\r\n\\\"',>|"
_TAIL = re.compile(rb"[A-Za-z0-9+/=]{40,}[\s\"',\\]*$")


def find(seen: Sieved) -> Iterator[Span]:
    """From the first mark to the last, or as far as the lines look as those of a key."""
    text = seen.text
    marks = [found.span() for found in seen.finditer(_MARKS)]
    told = 0  # up to where all is told
    for index, (start, end) in enumerate(marks):
        if start < told:
            continue
        following = marks[index + 1 : index + 3]
        if b"END" in text[start:end]:
            begin, told = _begin_of_body(text, told, start), end
            found = Span(begin, end, "private-key") if begin < start else None
        else:
            told = _closed(text, start, following)
            told = told or _end_of_body(text, end, following[0][0] if following else len(text))
            found = Span(start, told, "private-key") if told > end else None
        if found:
            yield found


def _closed(text: bytes, start: int, following: list[tuple[int, int]]) -> int:
    """The end of the last mark of a key that begins here, or 0."""
    if text.startswith(b"PuTTY", start):
        last = [one for one in following if text.startswith(b"Private-MAC", one[0])][:1]
    else:
        last = [one for one in following[:1] if b"END" in text[slice(*one)]]
    return last[0][1] if last and last[0][0] - start <= _LONGEST else 0


def _end_of_body(text: bytes, at: int, limit: int) -> int:
    """Where the lines after a first mark are no longer a key's: after the first short one."""
    limit, end, position, width = min(limit, at + _LONGEST), at, at, 0
    while position < limit:
        line_break = _BREAK.search(text, position, limit)
        stop = line_break.start() if line_break else limit
        line = _BODY.match(text, position, stop)
        if not line or line.end() < stop:
            cut = _LINE.match(text, position, stop)
            return cut.end(1) if cut and len(cut[1]) >= 40 else end
        content = line[0].strip(_AROUND)
        if content:
            end = position + len(text[position:stop].rstrip(_AROUND))
        if content and b":" not in content:
            if len(content) < width:
                return end
            width = len(content)
        position = line_break.end() if line_break else limit
    return end


def _begin_of_body(text: bytes, floor: int, end: int) -> int:
    """Where the lines before a last mark begin to be those of a key."""
    floor = max(floor, end - _LONGEST)
    breaks = [(floor, floor), *(found.span() for found in _BREAK.finditer(text, floor, end))]
    begin, stop = end, end
    for broken, start in reversed(breaks):
        part = text[start:stop]
        line = _LINE.fullmatch(part)
        if line and (len(line[1]) >= 16 or begin == end):
            begin = start + line.start(1)
        elif part.strip():
            tail = _TAIL.search(part[-200:])
            if tail:
                begin = stop - len(part[-200:]) + tail.start()
            break
        stop = broken
    return begin
