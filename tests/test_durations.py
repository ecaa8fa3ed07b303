"""Durations as people write them."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biostudio_doctor import durations
from biostudio_doctor.bundle import window
from biostudio_doctor.errors import DoctorError

NOW = datetime(2026, 11, 27, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("10m", 600), (" 24h ", 86400), ("7d", 604800), ("2w", 1209600), ("0s", 0)],
)
def test_understood(text: str, seconds: int) -> None:
    assert durations.seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "10", "m", "-1m", "1.5h", "1h30m", "10M", "1234567s", "٣m"])
def test_not_understood(text: str) -> None:
    with pytest.raises(ValueError, match="expected a duration such as 90s, 10m, 24h or 7d"):
        durations.seconds(text)


@given(st.text() | st.from_regex(r"[0-9]{1,7}[smhdwx]", fullmatch=True))
def test_no_text_is_any_trouble(text: str) -> None:
    try:
        assert window.understood(text, None, NOW).since < NOW
    except DoctorError as error:
        assert str(error).startswith("--since: ")
