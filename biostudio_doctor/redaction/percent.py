"""What is encoded for a URL once or twice, seen as what it means (RFC 3986, section 2.1)."""

import re
from collections.abc import Callable, Iterable, Iterator

from biostudio_doctor.redaction.sieve import Sieved
from biostudio_doctor.redaction.spans import Span

_RUN = rb"[^\s\"'<>\\\x00%&]*(?:%[0-9A-Fa-f]{2}[^\s\"'<>\\\x00%&]*){2,}"
_CODE = rb"%[0-9A-Fa-f]{2}"
RARE = (_CODE,)
_ONE = re.compile(rb"%(?:25)?([0-9A-Fa-f]{2})|(\+)|[^%+]+|%", re.DOTALL)


def find(seen: Sieved, finder: Callable[[bytes], Iterable[Span]]) -> Iterator[Span]:
    """What a finder finds in the runs that are encoded, of which the tokens are those of plain."""
    for run in seen.finditer(_RUN, within=_CODE):
        plain, places = _decoded(run[0], run.start())
        for span in finder(plain):
            yield Span(
                places[span.start], places[span.end], span.kind,
                span.plain or plain[span.start : span.end],
            )  # fmt: skip


def _decoded(run: bytes, at: int) -> tuple[bytes, list[int]]:
    """A run without its code, and where each byte of it began; and the end."""
    plain, places = bytearray(), []
    for one in _ONE.finditer(run):
        start = at + one.start()
        if one[1]:
            plain.append(int(one[1], 16))
            places.append(start)
        elif one[2]:
            plain += b" "
            places.append(start)
        else:
            plain += one[0]
            places.extend(range(start, start + len(one[0])))
    return bytes(plain), [*places, at + len(run)]
