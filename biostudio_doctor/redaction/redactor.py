"""The redactor: bytes in, the same bytes without secrets out."""

import bisect
import itertools
import os
from collections.abc import Iterable, Iterator, Mapping
from functools import cache

from msgspec import Struct

from biostudio_doctor.redaction import (
    alone,
    by_name,
    engine,
    forms,
    kubernetes,
    near_words,
    percent,
    phrases,
    private_keys,
    tables,
    wide,
)
from biostudio_doctor.redaction.literals import Literals
from biostudio_doctor.redaction.obfuscate import Obfuscator
from biostudio_doctor.redaction.sieve import Sieved
from biostudio_doctor.redaction.spans import Span, merged
from biostudio_doctor.redaction.tokens import TOKEN, Tokens, in_a_name
from biostudio_doctor.redaction.windows import Looked, look

_FINDERS = (by_name, forms, private_keys, phrases, near_words, alone, kubernetes, tables)
_WITH_RARE = (private_keys, near_words, kubernetes, tables, percent)
_ROUNDS = 4
_NEAR = 2048  # bytes around a token that are looked at once more, as far as its line goes
_PLACES = 200  # stretches of a text that are looked at one by one
_APART = 1024  # bytes between two such stretches that cost less than to look at each for itself


class Place(Struct, frozen=True, kw_only=True):
    """Where something was found that should not be there. Never what it is."""

    kind: str  # such as "password" or "private-key"
    line: int  # from 1
    column: int  # bytes, from 1


class Redactor:
    """Takes secrets out of texts. One key for a bundle: equal secrets become equal tokens.

    Args:
        key: 32 bytes that nobody outside can guess. Tokens are cut from its HMAC of the secret.
        literals: known secrets, removed wherever they stand, in any usual encoding.
        rules: more patterns, by kind; of one with a group, the group is the secret.
        exempt: patterns whose matches stay, though a rule finds them; known secrets never do.
        obfuscator: replaces hosts, addresses and users in what is left.

    Raises:
        PatternError: if a pattern is none.
        DoctorError: if RE2 is not installed.
    """

    def __init__(
        self,
        key: bytes,
        literals: Iterable[str] = (),
        rules: Mapping[str, str] | None = None,
        exempt: Iterable[str] = (),
        obfuscator: Obfuscator | None = None,
    ) -> None:
        engine.needed()
        self._tokens = Tokens(key)
        self._literals = Literals(literals)
        self._rules = [
            (kind, engine.compiled(text.encode(), groups=True))
            for kind, text in (rules or {}).items()
        ]
        self._exempt = [engine.compiled(text.encode()) for text in exempt]
        self._obfuscator = obfuscator

    def stream(self, pieces: Iterable[bytes], counts: dict[str, int]) -> Iterator[bytes]:
        """The same text redacted, in bounded memory; what was redacted is counted by kind."""
        for looked in look(pieces, self._all):
            after = self._replaced(looked, counts)
            yield self._settled(after, counts) if looked.spans else after

    def name(self, name: str) -> str:
        """A file's name redacted."""
        whole = b"".join(self.stream([os.fsencode(name)], {}))
        return os.fsdecode(in_a_name(whole))

    def scan(self, pieces: Iterable[bytes]) -> Iterator[Place]:
        """What is still to be found in a text that should be clean; tokens are clean.

        With an obfuscator that has learnt all of the map, true names are found, too.
        """
        line, column = 1, 1
        for looked in look(pieces, self._left):
            at = looked.start
            for span in looked.spans:
                line, column = _moved(looked.text, at, span.start, line, column)
                at = span.start
                yield Place(kind=span.kind, line=line, column=column)
            line, column = _moved(looked.text, at, looked.end, line, column)

    def _replaced(self, looked: Looked, counts: dict[str, int]) -> bytes:
        text, at, parts = looked.text, looked.start, []
        for span in looked.spans:
            if span.instead is None:
                plain = span.plain if span.plain is not None else text[span.start : span.end]
                instead = self._tokens.of(span.kind, plain)
                instead = wide.widened(instead) if span.wide else instead
                counts[span.kind] = counts.get(span.kind, 0) + 1
            else:
                instead = span.instead
            parts += [text[at : span.start], instead]
            at = span.end
        parts.append(text[at : looked.end])
        return b"".join(parts)

    def _settled(self, text: bytes, counts: dict[str, int]) -> bytes:
        """The same, until nothing more is found: beside a token other rules may find more.

        Else whoever may write into a log could write what the search of a bundle finds again.
        """
        for _ in range(_ROUNDS):
            spans = [
                span._replace(start=start + span.start, end=start + span.end)
                for start, end in _around_tokens(text)
                for span in merged(self._secrets(text[start:end]))
            ]
            if not spans:
                break
            text = self._replaced(Looked(text, 0, len(text), spans), counts)
        return text

    def _all(self, text: bytes) -> Iterator[Span]:
        yield from self._secrets(text)
        if self._obfuscator:
            yield from self._obfuscator.find(text)

    def _left(self, text: bytes) -> Iterator[Span]:
        yield from self._secrets(text)
        if self._obfuscator:
            yield from self._obfuscator.left(text)

    def _secrets(self, text: bytes) -> Iterator[Span]:
        seen = Sieved(text, _rare())
        yield from self._in_bytes(seen)
        yield from wide.find(text, self._decoded)
        yield from percent.find(seen, self._decoded)

    def _decoded(self, text: bytes) -> Iterator[Span]:
        return self._in_bytes(Sieved(text, _rare()))

    def _in_bytes(self, seen: Sieved) -> Iterator[Span]:
        text = seen.text
        yield from self._literals.find(text)
        spared = [span for pattern in self._exempt for span in _spans(pattern, text)]
        tokens = [found.span() for found in TOKEN.finditer(text)]
        yield from _outside(tokens, _without(spared, self._by_rules(seen)))

    def _by_rules(self, seen: Sieved) -> Iterator[Span]:
        for finder in _FINDERS:
            yield from finder.find(seen)
        for kind, pattern in self._rules:
            for found in pattern.finditer(seen.text):
                start, end = found.span(found.lastindex or 0)
                if end > start:
                    yield Span(start, end, kind)


@cache
def _rare() -> tuple[tuple[bytes, ...], ...]:
    """The patterns that find nothing in most lines, by the automaton that looks for them."""
    first, *others = forms.rare()
    return (
        (*first, *itertools.chain.from_iterable(one.RARE for one in _WITH_RARE)),
        *others,
        *phrases.PATTERNS.sets,
    )


def _around_tokens(text: bytes, apart: int = 0) -> list[tuple[int, int]]:
    """The lines in which tokens are, as far as they are near.

    Of many, those are looked at together that are not farther apart than this.
    """
    found: list[tuple[int, int]] = []
    for token in TOKEN.finditer(text):
        start, end = token.span()
        start = max(start - _NEAR, text.rfind(b"\n", max(0, start - _NEAR), start) + 1, 0)
        newline = text.find(b"\n", end, end + _NEAR)
        end = newline + 1 if newline >= 0 else min(len(text), end + _NEAR)
        if found and start <= found[-1][1] + apart:
            found[-1] = (found[-1][0], end)
        else:
            found.append((start, end))
    return found if apart or len(found) <= _PLACES else _around_tokens(text, _APART)


def _spans(pattern: object, text: bytes) -> Iterator[tuple[int, int]]:
    return (found.span() for found in pattern.finditer(text))  # type: ignore[attr-defined]


def _without(spared: list[tuple[int, int]], spans: Iterable[Span]) -> Iterator[Span]:
    """The spans that touch nothing that is spared."""
    if not spared:
        yield from spans
        return
    ordered = sorted(spared)
    starts = [start for start, _ in ordered]
    ends = list(itertools.accumulate((end for _, end in ordered), max))
    for span in spans:
        before = bisect.bisect_left(starts, span.end)
        if not before or ends[before - 1] <= span.start:
            yield span


def _outside(tokens: list[tuple[int, int]], spans: Iterable[Span]) -> Iterator[Span]:
    """The spans that neither begin nor end within a token."""
    if not tokens:
        yield from spans
        return
    starts = [start for start, _ in tokens]
    for span in spans:
        first = tokens[max(0, bisect.bisect_right(starts, span.start) - 1)]
        last = tokens[max(0, bisect.bisect_left(starts, span.end) - 1)]
        begins_within = first[0] < span.start < first[1] or span[:2] == first
        if not begins_within and not last[0] < span.end < last[1]:
            yield span


def _moved(text: bytes, start: int, end: int, line: int, column: int) -> tuple[int, int]:
    lines = text.count(b"\n", start, end)
    if not lines:
        return line, column + end - start
    return line + lines, end - text.rfind(b"\n", start, end)
