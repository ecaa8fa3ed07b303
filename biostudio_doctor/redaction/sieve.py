"""In which lines of a text rare patterns may match, told of all of them in one pass.

Each pattern that looks through a whole text for itself costs as much as all of these together, and
hardly any line of a log holds what one of them looks for.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from biostudio_doctor.redaction import engine

STRETCH = 4096  # bytes of lines that are looked at together, as far as no line is longer
_BEYOND = 256  # bytes after these lines that are looked at, too: what begins in them may go on
_GOES_ON = re.compile(rb"(?:[^\n]*\\\r?\n)*+[^\n]*")

Place = tuple[int, int]


class Sieved:
    """A text, and where in it rare patterns may match.

    Args:
        text: what they look through.
        patterns: RE2's, those together that one automaton looks for without growing too large.
            None finds what goes on for more than 256 bytes of the lines after its first one.
    """

    def __init__(self, text: bytes, patterns: Iterable[tuple[bytes, ...]]) -> None:
        self.text = text
        #: Of those that may match: the lines, with the break before and some lines after them.
        self.places: dict[bytes, list[Place]] = {}
        automata, units = list(map(engine.among, patterns)), list(lines(text, 0, len(text)))
        for index, (low, high) in enumerate(units):
            seen, following = text[low : high + _BEYOND], units[index + 1 : index + 2]
            for among in automata:
                for pattern in among(seen):
                    self._add(pattern, low, following[0][1] if following else high)

    def _add(self, pattern: bytes, low: int, high: int) -> None:
        places = self.places.setdefault(pattern, [])
        start = places.pop()[0] if places and places[-1][1] >= low else max(0, low - 1)
        places.append((start, high))

    def finditer(self, pattern: bytes, groups: bool = False, within: bytes = b"") -> Iterator[Any]:
        """What it finds; `within` the places of another one, which finds some of all it does."""
        compiled = engine.compiled(pattern, groups)
        for low, high in self.places.get(within or pattern, ()):
            yield from compiled.finditer(self.text, low, high)


def lines(text: bytes, low: int, high: int) -> Iterator[Place]:
    """All of a stretch of a text: as many lines together as are short, and each longer one.

    Lines that end with a backslash go on.
    """
    at = low
    while high - at > STRETCH:
        newline = text.rfind(b"\n", at, at + STRETCH)
        while newline > at and text[max(at, newline - 2) : newline].rstrip(b"\r").endswith(b"\\"):
            newline = text.rfind(b"\n", at, newline)
        start = at
        at = newline + 1 if newline >= at else _GOES_ON.match(text, at, high).end()  # type: ignore[union-attr]
        yield start, at
    if at < high:
        yield at, high
