"""UTF-16 within bytes, with or without its mark: seen as if each unit of it were one byte."""

import re
from collections.abc import Callable, Iterable, Iterator

from biostudio_doctor.redaction.spans import Span

#: Units of the first 256 characters, low byte first or, from the second byte on, high byte first;
#: and among them up to eight in a row of other characters.
_RUN = re.compile(rb"(?s)(?:[^\x00]\x00){4,}+(?:(?:..){0,8}?(?:[^\x00]\x00){2,}+)*+")
_OTHER = 0x80  # stands for any other character: no rule asks which it is


def find(text: bytes, finder: Callable[[bytes], Iterable[Span]]) -> Iterator[Span]:
    """What a finder of bytes finds in the runs of UTF-16."""
    if b"\0" not in text:
        return
    for run in _RUN.finditer(text):
        low, high = run[0][::2], run[0][1::2]
        narrow = low
        if high.strip(b"\0"):
            narrow = bytes(a if not b else _OTHER for a, b in zip(low, high, strict=True))
        for span in finder(narrow):
            yield Span(
                run.start() + 2 * span.start, run.start() + 2 * span.end, span.kind,
                span.plain or narrow[span.start : span.end], wide=True,
            )  # fmt: skip


def widened(ascii_text: bytes) -> bytes:
    """A token as it stands in UTF-16, in whose units it was found."""
    return b"".join(b"%c\0" % byte for byte in ascii_text)
