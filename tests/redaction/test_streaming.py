"""Streams of any length, cut anywhere: the same result, and memory that stays small."""

import itertools
import random
import secrets
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biostudio_doctor.redaction import windows
from biostudio_doctor.redaction.redactor import Redactor
from biostudio_doctor.redaction.spans import Span, merged

ENGINE = Redactor(secrets.token_bytes(32), [secrets.token_hex(16)])
LINE = b"2026-11-24 08:00:00 INFO row=4711 is an ordinary line of a log\n"


def secret() -> bytes:
    return f"pw{secrets.token_urlsafe(18)}7".encode()


def redact(pieces: list[bytes]) -> bytes:
    return b"".join(ENGINE.stream(pieces, {}))


@given(st.data())
def test_where_it_is_cut_does_not_matter(data: st.DataObject) -> None:
    value = secret()
    text = (
        LINE * 3
        + b"PASSWORD="
        + value
        + b'\n{"token": "'
        + value
        + b'"}\npassword: |\n  '
        + value
        + b"\n-----BEGIN PRIVATE KEY-----\n"
        + b"QUJDREVG" * 8
        + b"\n-----END PRIVATE KEY-----\n"
    )
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=20)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert redact(pieces) == redact([text])


def test_where_it_is_cut_does_not_matter_over_many_windows() -> None:
    values = [secret() for _ in range(90)]
    text = b"".join(
        LINE * random.randrange(300, 3000) + b"PASSWORD=" + one + b"\n" for one in values
    )
    assert len(text) > 3 * windows.WINDOW
    whole = redact([text])
    assert not any(one in whole for one in values)
    assert whole.count(LINE) == text.count(LINE)
    for size in (1000, 65_537, windows.WINDOW - 1, windows.WINDOW + 1):
        assert redact([text[at : at + size] for at in range(0, len(text), size)]) == whole


@pytest.mark.parametrize("offset", range(-40, 41, 8))
def test_secrets_at_the_ends_of_windows(offset: int) -> None:
    value, key = secret(), b"\n".join(secrets.token_hex(32).encode() for _ in range(40))
    for edge in (windows.WINDOW, windows.WINDOW - windows.MARGIN):
        for hidden in (
            b"PASSWORD=" + value, b'"password":\n  "' + value + b'"', b"password: |\n  " + value,
            b"-----BEGIN PRIVATE KEY-----\n" + key + b"\n-----END PRIVATE KEY-----",
        ):  # fmt: skip
            padding = LINE * (edge // len(LINE) + 1)
            text = padding[: edge + offset] + b"\n" + hidden + b"\n" + LINE * 3000
            after = redact([text])
            assert value not in after
            assert key[:64] not in after
            assert key[-64:] not in after


def test_a_line_without_end_is_redacted_in_little_memory() -> None:
    value = secret()

    def pieces() -> Iterator[bytes]:
        for _ in range(20):
            yield b"row=4711 " * 100_000
            yield b'"password":"' + value + b'",'

    tracemalloc.start()
    told = sum(len(piece) for piece in ENGINE.stream(pieces(), {}) if value not in piece)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert told > 18_000_000
    assert peak < 12 * windows.WINDOW


def test_one_huge_piece_is_taken_in_parts() -> None:
    text = LINE * (5 * windows.WINDOW // len(LINE))
    assert max(len(piece) for piece in ENGINE.stream([text], {})) <= windows.WINDOW + windows.MARGIN


def test_places_over_many_windows_are_told_by_line() -> None:
    lines = 2 * windows.WINDOW // len(LINE)
    text = LINE * lines + b"x PASSWORD=" + secret() + b"\n"
    (place,) = ENGINE.scan([text])
    assert (place.line, place.column) == (lines + 1, 12)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 9)), max_size=12))
def test_merged_spans_cover_all_and_never_overlap(pairs: list[tuple[int, int]]) -> None:
    spans = [Span(start, start + size, "x") for start, size in pairs]
    together = merged(spans)
    assert {at for one in spans for at in range(one.start, one.end)} == {
        at for one in together for at in range(one.start, one.end)
    }
    assert all(a.end <= b.start for a, b in itertools.pairwise(together))
