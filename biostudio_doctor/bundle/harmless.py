"""What others wrote into a bundle, or said while it was made, fit to be shown."""

from typing import Any, TypeVar

import msgspec

from biostudio_doctor import text

_LONGEST = 4000  # characters of one text

T = TypeVar("T")


def line(words: object, longest: int = 200) -> str:
    """One line without control characters, no longer than so many characters."""
    said = str(words)
    clean = text.printable(" ".join(said[: 4 * longest].split()))
    whole = len(clean) <= longest and len(said) <= 4 * longest
    return clean if whole else f"{clean[:longest]}..."


def clean(data: Any) -> Any:
    """The same data (of lists, dicts and scalars) with all its texts so, though not in one line."""
    return text.changed_in(
        data,
        lambda said: text.printable(said if len(said) <= _LONGEST else f"{said[:_LONGEST]}..."),
    )


def cleaned(whole: T) -> T:
    """A Struct with all its texts so."""
    return msgspec.convert(clean(msgspec.to_builtins(whole)), type(whole))
