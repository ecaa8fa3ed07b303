"""Durations as people write them on the command line: 90s, 10m, 24h, 7d, 2w."""

import re

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def seconds(text: str) -> int:
    """Understand a duration.

    Raises:
        ValueError: one line that says what was expected.
    """
    found = re.fullmatch(r"([0-9]{1,6})([smhdw])", text.strip())
    if not found:
        raise ValueError(f"{text!r}: expected a duration such as 90s, 10m, 24h or 7d")
    return int(found[1]) * _SECONDS[found[2]]
