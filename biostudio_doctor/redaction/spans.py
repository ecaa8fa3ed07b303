"""Stretches of a text that are to be replaced."""

from collections.abc import Iterable
from typing import NamedTuple


class Span(NamedTuple):
    """From `start` to before `end` stands something of this kind; `plain` is it, decoded."""

    start: int
    end: int
    kind: str
    plain: bytes | None = None
    instead: bytes | None = None  # what shall stand there, if it is no token
    wide: bool = False  # it is UTF-16


def merged(spans: Iterable[Span]) -> list[Span]:
    """In order, and none in another: of those that overlap the first and longest names the kind."""
    kept: list[Span] = []
    for span in sorted(spans, key=lambda one: (one.start, -one.end)):
        if not kept or span.start >= kept[-1].end:
            kept.append(span)
        elif span.end > kept[-1].end:
            kept[-1] = Span(kept[-1].start, span.end, kept[-1].kind)
    return kept
