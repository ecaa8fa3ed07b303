"""Versions, compared by their numbers."""

import re

_LEADING = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9}){0,9}")


def numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version: 5.15.0-rc1 as (5, 15, 0); () where it begins with none."""
    found = _LEADING.match(version.strip())
    return tuple(int(part) for part in found[0].split(".")) if found else ()


def at_least(version: str, minimum: str) -> bool | None:
    """Whether a version is no older than another; None where it has no number to compare."""
    found, wanted = numbers(version), numbers(minimum)
    if not found:
        return None
    return found + (0,) * (len(wanted) - len(found)) >= wanted
