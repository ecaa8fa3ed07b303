"""Facts looked at with care: those of a plug-in or of another version may be of any shape."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any


def known(value: object) -> float | None:
    """A finite number; None for whatever else facts may hold."""
    if not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def amount(value: object) -> float | None:
    """A number that cannot be negative, such as bytes; None for whatever else."""
    number = known(value)
    return number if number is not None and number >= 0 else None


def at(facts: object, *path: str) -> Any:
    """What lies at a path of keys; None where it does not lead on."""
    for key in path:
        if not isinstance(facts, dict):
            return None
        facts = facts.get(key)
    return facts


def each(facts: object, *path: str) -> Iterator[dict[str, Any]]:
    """The objects of the list at a path; nothing where there is none."""
    found = at(facts, *path)
    for one in found if isinstance(found, (list, tuple)) else ():
        if isinstance(one, dict):
            yield one


def word(value: object) -> str:
    """A string or a number as a string; '' for whatever else facts may hold."""
    if isinstance(value, str):
        return value
    plain = isinstance(value, (int, float)) and not isinstance(value, bool)
    return str(value) if plain and known(value) is not None else ""


def place(facts: dict[str, Any]) -> str:
    """host:port of facts that have both."""
    host, port = word(facts.get("host")), word(facts.get("port"))
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def certificate_name(facts: dict[str, Any]) -> str:
    """What people call a certificate, as CertificateFacts.name has it."""
    names = facts.get("dns_names")
    first = names[0] if isinstance(names, (list, tuple)) and names else ""
    told = (word(facts.get("common_name")), word(first), word(facts.get("subject")))
    return next(filter(None, told), "")


def unix(moment: object) -> float | None:
    """Unix time of what facts have as text, in UTC if it does not say."""
    if not isinstance(moment, str):
        return None
    try:
        found = datetime.fromisoformat(moment)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
