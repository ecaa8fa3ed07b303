"""Whether some bytes look like a token, and if not, what they look like instead.

How BioTuring makes its tokens is not published, so nothing is asked of a token but what any has: it
is one word of printable ASCII, and nobody wrote it by hand. Of the bytes themselves nothing leaves
this module.
"""

import re
from typing import Literal

#: What may be odd.
Oddity = Literal[
    "empty", "encoding", "byte-order-mark", "lines", "control", "quotes", "blanks", "non-ascii",
    "assignment", "variable", "url", "path", "email", "placeholder", "cut", "punctuation", "short",
    "long",
]  # fmt: skip

_SHORTEST, _LONGEST = 8, 4096  # characters; signed tokens have a thousand or two
_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_QUOTES = "\"'`\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb"
# Patterns, compiled when a token is looked at: most runs have none.
_ASSIGNMENT = r"(?i)(?:COLAB_)?TOKEN\s*[=:]|export\s|-e\s|\w+=.{8}"
_VARIABLE = r"\$\w|\$[{(]|%\w+%$|\{\{"
_URL = r"(?i)[a-z][a-z0-9+.-]*://|www\.|[\w.-]+\.(?:com|org|net|io)(?:[:/]|$)"
#: Base64 has slashes, too, so only what begins as files do.
_PATH = (
    r"(?:\.{1,2}|~\w*)/|[A-Za-z]:\\|\\\\"
    r"|/(?:app|bin|biocolab|data|etc|home|mnt|opt|root|run|srv|tmp|usr|var)/"
)
_EMAIL = r"[^@]+@[^@]+\.[A-Za-z]{2,}"
_BRACKETS = ("<>", "[]", "{}", "()")
_CUT = r"\.{3}|\*{3}|\u2026"
_RUNS = "01234567890123456789", "abcdefghijklmnopqrstuvwxyz", "9876543210", "qwertyuiop"

#: What people write where a token belongs: a value made of nothing but these is none.
_WORDS = (
    "a", "access", "activation", "add", "admin", "an", "api", "auth", "biocolab", "biostudio",
    "bioturing", "change", "code", "colab", "default", "demo", "dummy", "empty", "enter", "example",
    "fake", "false", "fixme", "foo", "bar", "from", "get", "goes", "here", "insert", "it", "key",
    "later", "license", "licence", "me", "my", "nil", "none", "null", "of", "password", "paste",
    "placeholder", "private", "put", "real", "replace", "sample", "secret", "server", "set", "some",
    "string", "tbd", "test", "testing", "text", "the", "this", "to", "todo", "token", "true",
    "undefined", "unknown", "value", "with", "xxx", "you", "your",
)  # fmt: skip
_LONGEST_PHRASE = 200


def oddity(kept: bytes) -> Oddity | None:
    """What is odd about the bytes of a token's file or variable; None if they look like one.

    One line break at the end is no oddity: editors put it there.
    """
    if kept.startswith(_MARKS):
        return "byte-order-mark"
    kept = kept.removesuffix(b"\n").removesuffix(b"\r")
    if not kept.strip():
        return "empty"
    try:
        token = kept.decode("utf-8")
    except UnicodeDecodeError:
        return "encoding"
    if not token.strip():
        return "empty"
    return _wrapped(token) or _untypical(token)


def _wrapped(token: str) -> Oddity | None:
    """What does not belong to a token stands around or in it, or it is something else."""
    if len(token.strip().splitlines()) > 1:
        return "lines"
    bare = token.strip()
    if bare[0] in _QUOTES or bare[-1] in _QUOTES:
        return "quotes"
    if re.match(_ASSIGNMENT, bare):
        return "assignment"
    kind = _other_kind(bare)
    if kind:
        return kind
    if any(character.isspace() for character in token):
        return "blanks"
    if re.search(_CUT, token):
        return "cut"
    if not token.isascii():
        return "non-ascii"
    return None if token.isprintable() else "control"


def _other_kind(token: str) -> Oddity | None:
    """It is something, but no token."""
    if re.match(_VARIABLE, token):
        return "variable"
    if re.fullmatch(_EMAIL, token):
        return "email"
    if re.match(_URL, token):
        return "url"
    if re.match(_PATH, token):
        return "path"
    return "placeholder" if _placeholder(token) else None  # may have blanks in it


def _untypical(token: str) -> Oddity | None:
    """It may be one, and nobody would expect it."""
    if len(token) < _SHORTEST:
        return "short"
    if len(token) > _LONGEST:
        return "long"
    return "punctuation" if token[-1] in ",;:" else None


def _placeholder(token: str) -> bool:
    if any(token[0] == pair[0] and token[-1] == pair[1] for pair in _BRACKETS):
        return True
    letters = re.sub(r"[\W_]+", "", token.lower())
    if len(set(letters)) < 3 or any(letters in run for run in _RUNS):
        return True
    phrase = letters.rstrip("0123456789")  # token123
    mostly = len(letters) - len(phrase) <= len(phrase) <= _LONGEST_PHRASE
    return mostly and _made_of_words(phrase)


def _made_of_words(phrase: str) -> bool:
    """Whether words of _WORDS, one after the other, make it up."""
    ends = {0}
    for start in range(len(phrase)):
        if start in ends:
            ends |= {start + len(word) for word in _WORDS if phrase.startswith(word, start)}
    return len(phrase) in ends
