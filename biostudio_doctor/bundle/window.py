"""The time that logs are wanted of, as it is written on the command line."""

import os
import re
from datetime import UTC, datetime, timedelta

from biostudio_doctor.collector import Window
from biostudio_doctor.errors import DoctorError

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_AGO = re.compile(r"(\d{1,6})([smhdw])")


def understood(since: str, until: str | None, now: datetime) -> Window:
    """From "24h" (ago) or a time such as 2026-11-24T10:00, which is local if it has no zone.

    Raises:
        DoctorError: if it is neither, or the end is not after the beginning.
    """
    window = Window(
        since=_moment("--since", since, now),
        until=_moment("--until", until, now) if until else now,
    )
    if window.since >= window.until:
        raise DoctorError(f"--since: {since} is not before {until or 'now'}")
    return window


def _moment(option: str, text: str, now: datetime) -> datetime:
    ago = _AGO.fullmatch(text)
    if ago:
        return now - timedelta(seconds=int(ago[1]) * _UNITS[ago[2]])
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        expected = "expected 90m, 24h, 7d or a time such as 2026-11-24T10:00"
        raise DoctorError(f"{option}: {text!r} is not understood; {expected}") from None


def fixed_moment() -> datetime:
    """The time of everything in a reproducible bundle: SOURCE_DATE_EPOCH, or 1970.

    Raises:
        DoctorError: if the variable holds no such number.
    """
    given = os.environ.get("SOURCE_DATE_EPOCH", "0")
    try:
        return datetime.fromtimestamp(int(given), UTC)
    except (ValueError, OverflowError, OSError):
        raise DoctorError("SOURCE_DATE_EPOCH is no number of seconds") from None
