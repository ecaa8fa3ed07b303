"""A stream of any length, looked at in bounded windows, whatever pieces it comes in.

Each window overlaps its neighbours by a margin, so that what decides over a place (the name above
its value, the last line of a key) is in sight from both sides. Where one window ends and the next
begins depends on the text alone: the result is the same however the text was cut into pieces.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from biostudio_doctor.redaction.spans import Span, merged

WINDOW = 2 << 20  # bytes that are looked at anew
MARGIN = 64 << 10  # bytes that are seen twice; no rule looks farther


class Looked(NamedTuple):
    """What is now told of a text: its bytes from `start` to `end` of `text`, and what is there."""

    text: bytes
    start: int
    end: int
    spans: list[Span]  # within start and end


def look(
    pieces: Iterable[bytes], find: Callable[[bytes], Iterable[Span]], window: int = WINDOW
) -> Iterator[Looked]:
    """The whole text, one stretch after the other."""
    buffer = bytearray()
    told = 0  # bytes of the buffer that are there only to be seen again
    for piece in pieces:
        for at in range(0, len(piece), window):
            buffer += piece[at : at + window]
            while len(buffer) >= told + window:
                looked = _look(bytes(buffer[: told + window]), told, find, False)
                yield looked
                keep = max(0, looked.end - MARGIN)
                del buffer[:keep]
                told = looked.end - keep
    if len(buffer) > told:
        yield _look(bytes(buffer), told, find, True)


def _look(text: bytes, told: int, find: Callable[[bytes], Iterable[Span]], last: bool) -> Looked:
    spans = merged(span for span in find(text) if span.end > told)
    end = len(text) if last else _cut(text, told, spans)
    inside = [
        span if span.start >= told else span._replace(start=told)
        for span in spans
        if span.start < end
    ]
    return Looked(text, told, end, inside)


def _cut(text: bytes, told: int, spans: list[Span]) -> int:
    """Where a stretch ends: after a line or else a word, and never within a secret."""
    target = max(len(text) - MARGIN, told + 1)
    half = told + (target - told) // 2
    end = text.rfind(b"\n", half, target) + 1 or text.rfind(b" ", half, target) + 1 or target
    for span in reversed(spans):
        if span.start < end < span.end:
            end = span.start if span.start > told else span.end
    return end
