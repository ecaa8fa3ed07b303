"""The time that logs are wanted of, as it is written on the command line."""

import os
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from biostudio_doctor import durations
from biostudio_doctor.collector import Window
from biostudio_doctor.errors import DoctorError


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
    with suppress(ValueError, OverflowError, OSError):
        return datetime.fromisoformat(text).astimezone(UTC)
    try:
        return now - timedelta(seconds=durations.seconds(text))
    except OverflowError:
        raise DoctorError(f"{option}: {text!r} is too long ago") from None
    except ValueError as error:
        raise DoctorError(f"{option}: {error}, or a time such as 2026-11-24T10:00") from None


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
