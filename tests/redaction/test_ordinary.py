"""Ordinary lines survive unchanged: all of them, alone and in their file."""

import os
import random

import pytest

from . import ordinary
from .corpus import Redact, redactor

SEED = 7 if os.environ.get("CI") else random.randrange(10**6)


@pytest.fixture(scope="module")
def redact() -> Redact:
    return redactor()


def test_each_ordinary_line_stays_as_it_is(redact: Redact) -> None:
    lines = [line.encode() for line in ordinary.lines(SEED)]
    assert len(lines) >= 1_000
    changed = [
        (line, redact(line + b"\n")) for line in lines if redact(line + b"\n") != line + b"\n"
    ]
    assert not changed, f"seed {SEED}: {len(changed)} of {len(lines)}: {changed[:40]}"


def test_so_does_a_file_of_them(redact: Redact) -> None:
    whole = "\n".join(ordinary.lines(SEED)).encode()
    after = redact(whole)
    changed = [
        pair
        for pair in zip(whole.splitlines(), after.splitlines(), strict=False)
        if pair[0] != pair[1]
    ]
    assert after == whole, f"seed {SEED}: {changed[:20]}"
