"""Tables of patterns: looked for all at once by RE2, then told apart by Python's `re`."""

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
        for found in engine.compiled(self._all).finditer(text):
            start, end = found.span()
            for kind, rule in self._rules:
                # Python's is the faster one for what is short, RE2 the safe one for what is not
                exact = (
                    rule if end - start < _SHORT else engine.compiled(rule.pattern, groups=True)
                ).match(text, start, end)
                if exact:
                    yield Hit(kind, *exact.span(rule.groups))
                    break
