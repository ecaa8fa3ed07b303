"""Numbers and lists in words, the same everywhere; and texts within data."""

from collections.abc import Callable, Iterable
from typing import Any

_DECIMAL = (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3))
_BINARY = {
    "TB": ("TiB", 1 << 40),
    "GB": ("GiB", 1 << 30),
    "MB": ("MiB", 1 << 20),
    "kB": ("KiB", 1 << 10),
}


def size(count: float) -> str:
    """Bytes as the requirements count them: 33.3 GB (10^9)."""
    for unit, factor in _DECIMAL:
        if abs(count) >= factor:
            return f"{_short(count / factor)} {unit}"
    return f"{count:.0f} bytes"


def both_sizes(count: float) -> str:
    """Bytes in both families of units, as df -H and df -h would say: 33.3 GB (31.0 GiB)."""
    for unit, factor in _DECIMAL:
        if abs(count) >= factor:
            binary, binary_factor = _BINARY[unit]
            return f"{_short(count / factor)} {unit} ({_short(count / binary_factor)} {binary})"
    return f"{count:.0f} bytes"


def printable(words: str) -> str:
    """Words that cannot steer a terminal: control characters but line ends become U+FFFD."""
    if words.isprintable():
        return words
    return "".join(
        character if character.isprintable() or character in "\n\xa0" else "\ufffd"
        for character in words
    )


def number(count: int, noun: str, plural: str = "") -> str:
    """A count with its noun: 1 core, 2 cores."""
    return f"{count} {noun if count == 1 else plural or noun + 's'}"


def hash_name(name: str) -> str:
    """A hash as standards write it: SHA-256 for sha256, SHA3-256 for sha3-256, MD5 for md5."""
    return name.upper().replace("SHA", "SHA-") if "-" not in name else name.upper()


def listing(items: Iterable[object], conjunction: str = "and") -> str:
    """a, b and c."""
    *most, last = [str(item) for item in items] or [""]
    return f"{', '.join(most)} {conjunction} {last}" if most else last


def changed_in(
    data: Any, change: Callable[[str], str], of_key: Callable[[str], str] | None = None
) -> Any:
    """The same data (of lists, dicts and scalars) with all its texts changed, keys as well.

    Keys are changed by `of_key` where these need something else.
    """
    if isinstance(data, str):
        return change(data)
    if isinstance(data, dict):
        of_key = of_key or change
        return {
            of_key(key) if isinstance(key, str) else key: changed_in(value, change, of_key)
            for key, value in data.items()
        }
    if isinstance(data, list | tuple):
        return [changed_in(item, change, of_key) for item in data]
    return data


def _short(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0") if abs(value) < 1000 else f"{value:.0f}"
