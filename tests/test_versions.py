"""Versions are compared by their numbers, and whatever a file holds is no error."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biostudio_doctor.versions import at_least, numbers


@given(st.text())
def test_any_text_has_numbers_or_none(version: str) -> None:
    assert all(number >= 0 for number in numbers(version))
    assert (at_least(version, "0") is None) == (numbers(version) == ())


@given(st.lists(st.integers(0, 10**9 - 1), min_size=1, max_size=10), st.sampled_from(["", "-rc1"]))
def test_numbers_are_read_back(parts: list[int], rest: str) -> None:
    assert numbers(".".join(map(str, parts)) + rest) == tuple(parts)


@pytest.mark.parametrize(
    ("version", "minimum", "enough"),
    [
        ("6.10", "6.5", True),
        ("6.4", "6.5", False),
        ("7", "6.5", True),
        ("18.04", "18.04", True),
        ("9.13", "10", False),
        ("10", "10", True),
        ("4", "4.0", True),
        ("5.15.167.4-microsoft-standard-WSL2", "4.0", True),
        ("", "10", None),
        ("sid", "10", None),
        ("1" * 5000, "10", True),
    ],
)
def test_comparisons(version: str, minimum: str, enough: bool | None) -> None:
    assert at_least(version, minimum) is enough
