"""Tables of patterns: looked for all at once by RE2, then told apart by Python's `re`.

While one rule still waits for its end, RE2 has to read on before it can say what another one found
after the first one's beginning. So a line of any length is looked at in stretches, lest each match
costs the whole line.
"""

import re
import tomllib
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property, lru_cache
from importlib import resources
from typing import Any, NamedTuple

from biostudio_doctor.redaction import engine
from biostudio_doctor.redaction.sieve import STRETCH, Place, Sieved, lines

_STAND_INS = {
    "<GAP>": r"""(?:[ \t\x00]+|\\*["'],\s*\\*["'])""",
    "<ARG>": r"""("[^"\n]*"|'[^'\n]*'|[^\s"'\x00,\\;|&<>=:][^\s"'\x00\\|&<>]*)""",
}


_SHORT = 500  # bytes
_OVERLAP = 1024  # bytes of pieces that are seen twice
_FARTHEST = 48 << 10  # bytes


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
    def _read(self) -> list[dict[str, Any]]:
        text = resources.files(__package__).joinpath(self._file).read_text("utf-8")
        for name, pattern in _STAND_INS.items():
            text = text.replace(name, pattern)
        return [rule | {"finds": rule["finds"].encode()} for rule in tomllib.loads(text)["rule"]]

    @cached_property
    def _kinds(self) -> dict[bytes, str]:
        return {rule["finds"]: rule["kind"] for rule in self._read}

    @cached_property
    def _order(self) -> dict[bytes, int]:
        return {pattern: index for index, pattern in enumerate(self._kinds)}

    @cached_property
    def sets(self) -> tuple[tuple[bytes, ...], ...]:
        """The rules that are apart, if any are, and the others: see `sieve`."""
        apart = tuple(rule["finds"] for rule in self._read if rule.get("apart"))
        others = tuple(rule["finds"] for rule in self._read if not rule.get("apart"))
        return (apart, others) if apart else (others,)

    def find(self, seen: Sieved) -> Iterator[Hit]:
        """What any of the rules finds; of those that find something at one place the first one."""
        taken: set[int] = set()
        rare = seen.places.keys() & self._kinds.keys()
        for pattern in sorted(rare, key=self._order.__getitem__):
            every, exactly, done = engine.compiled(pattern), _exactly(pattern), 0
            for low, high in _stretches(seen.text, seen.places[pattern]):
                for found in every.finditer(seen.text, low, high):
                    start, end = found.span()
                    if start < done or start in taken:
                        continue
                    # what goes on after the stretch is followed to its end
                    exact = exactly(seen.text, start, end + _FARTHEST * (end == high))
                    if exact:
                        taken.add(start)
                        done = exact.end()
                        yield Hit(self._kinds[pattern], *exact.span(exact.re.groups))


@lru_cache(maxsize=256)
def _exactly(pattern: bytes) -> Callable[[bytes, int, int], Any]:
    """Python's is the faster one for what is short, RE2 the safe one for what is not."""
    short = re.compile(pattern)
    long = engine.compiled(pattern, groups=True)
    return lambda text, start, end: (short if end - start < _SHORT else long).match(
        text, start, end
    )


def _stretches(text: bytes, places: Iterable[Place]) -> Iterator[Place]:
    """All of these places: their lines together, of longer ones pieces that overlap."""
    for low, high in places:
        begin = low
        for start, end in lines(text, low, high):
            if end - start <= STRETCH:
                continue
            if start > begin:
                yield begin, start
            for piece in range(start, end, STRETCH - _OVERLAP):
                yield piece, min(piece + STRETCH, end)
            begin = end
        if begin < high:
            yield begin, high
