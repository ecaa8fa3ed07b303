"""Secrets in tables: a column that a telling name heads, and rows of a name and its value."""

import re
from collections.abc import Iterator

from biostudio_doctor.redaction import values
from biostudio_doctor.redaction.names import STEMS, telling
from biostudio_doctor.redaction.sieve import Sieved
from biostudio_doctor.redaction.spans import Span

_LONGEST = 48 << 10  # bytes of a table that are looked at
_HEAD = (
    rb"(?im)^[ \t|]*(?:\"?[a-z][\w .\-]*\"?[ \t]*[,;\t|][ \t]*)*\"?[\w.\-]*(?:%b|value"
    rb"|val)[\w.\-]*\"?"
    rb"(?:[ \t]*[,;\t|][ \t]*\"?[a-z][\w .\-]*\"?)*[ \t|]*\r?$" % STEMS
)
#: A line of which such a head can be one, told with much less: nothing but words and separators.
_ROW = rb"(?m)^[\w .\-,;\t|\"\x80-\xff]*[,;\t|][\w .\-,;\t|\"\x80-\xff]*\r?$"
RARE = (_ROW,)
_SEPARATOR = re.compile(rb"[,;\t|]")
_NAMES = {b"name", b"key", b"setting", b"variable", b"parameter", b"option", b"property"}
_VALUES = {b"value", b"val", b"setting", b"current_value"}


def find(seen: Sieved) -> Iterator[Span]:
    """The cells of tables, as CSV or as a database prints them."""
    text, told = seen.text, -1
    for found in seen.finditer(_HEAD, within=_ROW):
        start, end = found.span()
        separator = _SEPARATOR.search(text, start, end)
        if start < told or not separator:
            continue
        heads = [text[a:b].lower() for a, b in _cells(text, start, end, separator[0])]
        columns = [
            (index, told_by) for index, head in enumerate(heads) if (told_by := telling(head))
        ]
        named = next((index for index, head in enumerate(heads) if head in _NAMES), None)
        valued = next((index for index, head in enumerate(heads) if head in _VALUES), None)
        if not columns and (named is None or valued is None):
            continue
        line = end + 1
        while line < len(text) and line - start < _LONGEST:
            stop = text.find(b"\n", line)
            stop = len(text) if stop < 0 else stop
            cells = list(_cells(text, line, stop, separator[0]))
            if len(cells) < 2 and not text.startswith((b"---", b"+-"), line):
                break
            for index, kind in [(index, one.kind) for index, one in columns]:
                if index < len(cells) and len(cells) == len(heads):
                    yield from _cell(text, *cells[index], kind)
            if named is not None and valued is not None and max(named, valued) < len(cells):
                one = telling(text[slice(*cells[named])])
                if one:
                    yield from _cell(text, *cells[valued], one.kind)
            line = stop + 1
        told = line


def _cells(text: bytes, start: int, end: int, separator: bytes) -> Iterator[tuple[int, int]]:
    """Where the cells of a row are, without quotes and blanks around them."""
    at = start
    while at <= end:
        quote = re.compile(rb"[ ]*\"").match(text, at, end)
        if quote:
            begin = close = quote.end()
            while True:
                close = text.find(b'"', close, end)
                if close < 0 or text[close + 1 : close + 2] != b'"':
                    break
                close += 2
            close = end if close < 0 else close
            yield begin, close
            following = text.find(separator, close, end)
        else:
            following = text.find(separator, at, end)
            stop = end if following < 0 else following
            cell = text[at:stop]
            begin = at + len(cell) - len(cell.lstrip())
            yield begin, begin + len(cell.strip())
        if following < 0:
            return
        at = following + 1


def _cell(text: bytes, start: int, end: int, kind: str) -> Iterator[Span]:
    if values.can_be_secret(text[start:end]) and not re.fullmatch(rb"[-+=]+", text[start:end]):
        yield Span(start, end, kind)
