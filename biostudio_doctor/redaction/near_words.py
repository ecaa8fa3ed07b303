"""Secrets that nothing but their randomness gives away.

Beside a word that tells of one, or as what is assigned to a name, whatever the name (that of a
vendor, mostly) if it is none of those that random values usually have.
"""

import re
from collections.abc import Iterator

from biostudio_doctor.redaction import engine, values
from biostudio_doctor.redaction.sieve import Sieved
from biostudio_doctor.redaction.spans import Span

_WORD = (
    rb"(?i:\b(?:pass(?:word|phrase|wd|code)?|secret|token|credentials?|bearer|jwt"
    rb"|(?:api|access|secret|private|license|licence|activation|encryption|signing|master|auth"
    rb"|account)[-_ ]?(?:key|code|secret|token))s?\b)"
)
_MAYBE = (
    _WORD
    + rb"[\"'\]]?(?:[\s:=>\"'(\[`-]+[A-Za-z]{1,14}){0,3}"
    + rb"[\s:=>\"'(\[`-]{1,6}[A-Za-z0-9+/_\-!@#$%^*~]{16}"
)
_STARTS = re.compile(_WORD)
_NEAR = re.compile(
    rb"[\"'\]]?(?:[\s:=>\"'(\[`-]+[A-Za-z]{1,14}){0,3}?[\s:=>\"'(\[`-]{1,6}"
    rb"([A-Za-z0-9+/_\-!@#][A-Za-z0-9+/_\-!@#$%^*~]{15,511}={0,2})(?![\w+/@.:=])"
)
_ASSIGNED = (
    rb"(?m)[A-Za-z][\w.\-]*[\"']?[ \t]*(?:=>|:=|={1,3}|:)[ \t]*"
    rb"(?:[\"'][A-Za-z0-9_\-+/]{0,20}[g-zG-Z][A-Za-z0-9_\-+/]{10,}[\"']"
    rb"|[A-Za-z0-9_\-+/]{0,20}[g-zG-Z][A-Za-z0-9_\-+/]{10,}[;,&]?\r?$)"
)
RARE = (_MAYBE,)
_NAME_AND_VALUE = re.compile(rb"([\w.\-]+)[\"']?[ \t]*[=:>]{1,3}[ \t]*[\"']?([\w\-+/]+)")
#: Ends of names of what is random, and no secret.
_NO_KEY = re.compile(
    rb"(?i)(?:id(?:[-_]?\d)?|uid|uuid|name|hash|digest|sum|etag|sha\d*|md5|fingerprint|version|rev"
    rb"|revision|ref|commit|cursor|nonce|serial|label|wwn|model|path|file|dir|host|node|image|build|public|pub"
    rb"|cert|certificate|key|handle|request|trace|span|session|integrity|thumbprint|pv|vg|lv|data|accept|challenge|iv|tag|(?<![A-Za-z])(?-i:x|y|n))$"
)
_NAME_ENDS = 24  # bytes: none of these words is longer
_DIGIT = re.compile(rb"[0-9]")
_HEX = re.compile(rb"[0-9a-fA-F]+$")
_MANGLED = re.compile(rb"_+[ZR][A-Z0-9]")  # a name of C++ or Rust
_ID = re.compile(rb"(?:[a-zA-Z]+[-_.])+[\w.\-]*$|[\w-]*/[\w/-]*$|\d[\d\-:TZ+.]*$")


def find(seen: Sieved) -> Iterator[Span]:
    """Random-looking words at most three words after the telling one."""
    text = seen.text
    for found in seen.finditer(_MAYBE):
        word = _STARTS.match(text, found.start())
        near = _NEAR.match(text, word.end(), word.end() + 640) if word else None
        if not word or not near:
            continue
        value = near[1]
        between = text[word.end() : near.start(1)]
        if _HEX.match(value):
            if len(value) < 32 or re.search(
                rb"(?i)sha|md5|hash|digest|commit|sum|finger|id\b|uid", between
            ):
                continue
        elif _ID.match(value) or not _mixed(value) or values.entropy(value) < 3.4:
            continue
        if values.can_be_secret(value) and values.looks_random(value, 16):
            yield Span(near.start(1), near.end(1), "secret")
    yield from _assigned(text)


def _assigned(text: bytes) -> Iterator[Span]:
    for found in engine.compiled(_ASSIGNED).finditer(text):
        exact = _NAME_AND_VALUE.search(text, max(found.start(), found.end() - 640), found.end())
        if not exact or not 16 <= len(exact[2]) <= 100 or not _DIGIT.search(exact[2]):
            continue
        if names_no_key(exact[1]):
            continue
        parts = re.split(rb"[-_+/]", exact[2])
        mangled = _MANGLED.match(exact[2])
        if values.is_made_of(parts) and not values.is_words(exact[2]) and not mangled:
            yield Span(exact.start(2), exact.end(2), "secret")


def names_no_key(name: bytes) -> bool:
    """Whether what ends with this name is random and no secret, mostly."""
    return bool(_NO_KEY.search(name[-_NAME_ENDS:]))


def _mixed(value: bytes) -> bool:
    return value != value.lower() and value != value.upper()
