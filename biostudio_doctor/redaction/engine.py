"""The regular expressions that look through whole texts: RE2's, whose time is linear in the text.

What they find is then looked at more closely, by Python's own where a look around is needed, and
only ever over a bounded stretch.
"""

from collections.abc import Callable, Iterable
from functools import cache, lru_cache
from typing import Any

from biostudio_doctor.errors import DoctorError

_MEMORY = 16 << 20  # bytes: of the automaton, above which RE2 would become slow


class PatternError(ValueError):
    """A regular expression that is none, in words."""


@cache
def needed() -> Any:
    """RE2, which is no part of the bare installation: there is no wheel of it for each system.

    Raises:
        DoctorError: if it is missing. Nothing is done without redaction, nor with half of it.
    """
    try:
        import re2  # type: ignore[import-untyped]
    except ImportError:
        raise DoctorError(
            "to take out secrets, google-re2 is needed: pip install 'biostudio-doctor[bundle]'"
        ) from None
    return re2


def _options(groups: bool) -> Any:
    options = needed().Options()
    options.max_mem = _MEMORY
    options.log_errors = False
    options.never_capture = not groups
    options.encoding = options.Encoding.LATIN1
    return options


@lru_cache(maxsize=256)
def compiled(pattern: bytes, groups: bool = False) -> Any:
    """A pattern over bytes, as Python's `re` would give it; without `groups` it is much faster.

    Raises:
        PatternError: if it is none that RE2 understands (as none with a look around is).
        DoctorError: see `needed`.
    """
    re2 = needed()
    try:
        return re2.compile(pattern, _options(groups))
    except re2.error as error:
        words = error.args[0] if error.args else "no reason given"
        raise PatternError(words.decode() if isinstance(words, bytes) else str(words)) from None


@lru_cache(maxsize=8)
def among(patterns: tuple[bytes, ...]) -> Callable[[bytes], Iterable[bytes]]:
    """What tells which of several patterns match anywhere in a text.

    Should RE2 give up, for want of memory, any of them may.
    """
    re2 = needed()
    together = re2.Set.SearchSet(_options(groups=False))
    for pattern in patterns:
        together.Add(pattern)
    whole = together.Add(rb"\z")  # matches always, if the text was looked at to its end
    together.Compile()

    def matching(text: bytes) -> Iterable[bytes]:
        found = together.Match(text)
        if not found:
            return patterns
        return [patterns[index] for index in found if index != whole]

    return matching


def check(pattern: str) -> None:
    """Refuse what someone wrote as a pattern and is none, or finds something in nothing.

    Raises:
        PatternError: that says what is wrong.
    """
    try:
        empty = compiled(pattern.encode()).search(b"")
    except PatternError as error:
        raise PatternError(f"{pattern!r} is no regular expression of RE2: {error}") from None
    if empty:
        raise PatternError(f"{pattern!r} would match everywhere, even in an empty text")
