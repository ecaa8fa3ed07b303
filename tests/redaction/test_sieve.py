"""Nothing is missed for not having been looked for: rare patterns are told in which lines to be."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biostudio_doctor.redaction import engine, sieve
from biostudio_doctor.redaction.redactor import Redactor
from biostudio_doctor.redaction.sieve import Sieved

from . import ordinary
from .material import CHANCE, pick

ENGINE = Redactor(bytes(32))
RARE = (rb"(?i)\bneedle[ =]+\w+", rb"(?m)^only\r?$", rb"(?:^|\n)begin\s+end")
STRAW = [line.encode() for line in ordinary.lines(3)]


def hay(rnd: random.Random, size: int) -> bytes:
    """Lines, some of them continued, some long, and needles here and there."""
    parts: list[bytes] = []
    while sum(map(len, parts)) < size:
        parts.append(rnd.choice(STRAW))
        if rnd.random() < 0.1:
            parts.append(
                rnd.choice([b" needle=4", b"\nonly", b"\nbegin \n\n end", b" \\", b"x" * 9000])
            )
        parts.append(rnd.choice([b"\n", b"\n", b"\n", b"\r\n", b" "]))
    return b"".join(parts)


@pytest.mark.parametrize("size", [0, 1, 5_000, 60_000])
def test_finds_what_a_look_at_the_whole_text_finds(size: int) -> None:
    for _ in range(5):
        text = hay(CHANCE, size)
        seen = Sieved(text, (RARE[:2], RARE[2:]))
        for pattern in RARE:
            whole = [found.span() for found in engine.compiled(pattern).finditer(text)]
            assert [found.span() for found in seen.finditer(pattern)] == whole


@given(st.binary(max_size=300), st.integers(0, 40))
def test_lines_are_all_of_a_text(text: bytes, times: int) -> None:
    text *= times
    assert b"".join(text[low:high] for low, high in sieve.lines(text, 0, len(text))) == text


class Exhausted:
    """In place of RE2's sets: one that gives up, as none does here.

    RE2 tells no difference between nothing found and no memory left.
    """

    def __init__(self, options: object) -> None:
        pass

    def Add(self, pattern: bytes) -> int:  # noqa: N802
        return 0

    def Compile(self) -> None:  # noqa: N802
        pass

    def Match(self, text: bytes) -> None:  # noqa: N802
        pass


def test_what_there_is_no_memory_for_is_looked_for_everywhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engine.needed().Set, "SearchSet", Exhausted)
    seen = Sieved(b"a needle in no hay\n", ((b"other", b"needle", b"made for this test"),))
    assert set(seen.places) == {b"other", b"needle", b"made for this test"}


#: What goes on over lines, wherever the lines that are looked at together end.
LONG = {
    "Ansible": "v: !vault |\n$ANSIBLE_VAULT;1.1;AES256\n{}\n",
    "JupyterHub": "c.JupyterHub.api_tokens = {{\n" + "  # a word\n" * 40 + "  '{}': 'lab'\n}}\n",
    "curl": "curl \\\r\n"
    + "  -H 'X-Number: 1' \\\r\n" * 30
    + "  -u lab:{} \\\r\n  https://lab/\r\n",
    "netrc": "machine lab\n  login hub\n  password {}\n",
    "OpenVPN": "-----BEGIN OpenVPN Static key V1-----\n{}\n-----END OpenVPN Static key V1-----\n",
}


@pytest.mark.parametrize("form", LONG)
@pytest.mark.parametrize("before", [0, 20, 40, 60, 100, 400, 3000])
def test_what_goes_on_over_lines_is_seen_whole(form: str, before: int) -> None:
    row = "2026-11-24 08:00:00 INFO row is a line of a log\n"
    digits = "\n".join(pick(CHANCE, "0123456789abcdef", 64) for _ in range(300))
    secret = digits if form == "Ansible" else digits[:64] if form == "OpenVPN" else digits[-40:]
    text = f"{row * 400}"[: 2 * sieve.STRETCH - before].rpartition("\n")[0] + "\n"
    after = b"".join(ENGINE.stream([(text + LONG[form].format(secret) + row * 400).encode()], {}))
    assert not [part for part in secret.split("\n") if part.encode() in after]
