"""Tables of patterns: looked for all at once by RE2, then told apart by Python's `re`.

While one rule still waits for its end, RE2 has to read on before it can say what another one found
after the first one's beginning. So a line of any length is looked at in stretches, lest each match
costs the whole line.
"""

import re
import tomllib
from collections.abc import Iterator
from functools import cached_property
from importlib import resources
from typing import NamedTuple

from biostudio_doctor.redaction import engine

_STAND_INS = {
    "<GAP>": r"""(?:[ \t\x00]+|\\*["'],\s*\\*["'])""",
    "<ARG>": r"""("[^"\n]*"|'[^'\n]*'|[^\s"'\x00,\\;|&<>=:][^\s"'\x00\\|&<>]*)""",
}


_SHORT = 500  # bytes
_STRETCH = 4096  # bytes of a line that are looked at together, as far as lines are longer
_GOES_ON = re.compile(rb"(?:[^\n]*\\\n)*+[^\n]*")
_OVERLAP = 1024  # bytes of these that are seen twice


class Hit(NamedTuple):
    """Where a secret may be, of which kind."""

    kind: str
    start: int
    end: int


class Patterns:
    """The rules of one file, such as forms.toml."""

    def __init__(self, file: str) -> None:
        self._file = file

    @cached_property
    def _rules(self) -> list[tuple[str, re.Pattern[bytes]]]:
        text = resources.files(__package__).joinpath(self._file).read_text("utf-8")
        for name, pattern in _STAND_INS.items():
            text = text.replace(name, pattern)
        rules = tomllib.loads(text)["rule"]
        return [(rule["kind"], re.compile(rule["finds"].encode())) for rule in rules]

    @cached_property
    def _all(self) -> bytes:
        return b"|".join(b"(?:%b)" % rule.pattern for _, rule in self._rules)

    def find(self, text: bytes) -> Iterator[Hit]:
        """What any of the rules finds, each place once."""
        every = engine.compiled(self._all)
        for low, high in _stretches(text):
            for found in every.finditer(text, low, high):
                start, end = found.span()
                # what goes on after the stretch is followed to its end
                yield from self._hit(text, start, end + _STRETCH * (end == high))

    def _hit(self, text: bytes, start: int, end: int) -> Iterator[Hit]:
        for kind, rule in self._rules:
            # Python's is the faster one for what is short, RE2 the safe one for what is not
            exact = (
                rule if end - start < _SHORT else engine.compiled(rule.pattern, groups=True)
            ).match(text, start, end)
            if exact:
                yield Hit(kind, *exact.span(rule.groups))
                return


def _stretches(text: bytes) -> Iterator[tuple[int, int]]:
    """All of a text: its lines together, of longer ones pieces that overlap."""
    begin = at = 0
    while len(text) - at > _STRETCH:
        newline = text.rfind(b"\n", at, at + _STRETCH)
        while newline > at and text[newline - 1 : newline] == b"\\":  # a line that goes on
            newline = text.rfind(b"\n", at, newline)
        if newline >= at:
            at = newline + 1
            continue
        if at > begin:
            yield begin, at
        end = _GOES_ON.match(text, at).end()  # type: ignore[union-attr]
        for low in range(at, end, _STRETCH - _OVERLAP):
            yield low, min(low + _STRETCH, end)
        begin = at = end
    if begin < len(text):
        yield begin, len(text)
