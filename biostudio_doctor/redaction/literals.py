"""Known secrets, in whatever form a text may repeat them."""

import base64
import json
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache, partial
from html import escape
from urllib.parse import quote, quote_plus

from biostudio_doctor.redaction import engine
from biostudio_doctor.redaction.spans import Span

#: What is shorter could stand in any sentence; a password of five letters protects nothing anyhow.
SHORTEST = 6
_LONGEST_WORD = 12


@lru_cache
def forms(value: str) -> tuple[bytes, ...]:
    r"""How a value may be repeated: first as it is, then the other ways, longer ones first.

    In a URL, with either case of hexadecimal digits; in a string of JSON, also in one within one,
    with \/ and \uXXXX; in XML, by names or numbers; as Python shows it; as hexadecimal digits; in
    UTF-16; in base64 and its URL-safe alphabet, within which it may begin anywhere.
    """
    plain = value.encode("utf-8", "surrogateescape")
    json_bytes = {json.dumps(value, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False)}
    once = json_bytes | {text.replace("/", r"\/") for text in json_bytes}
    twice = {json.dumps(text, ensure_ascii=False)[1:-1] for text in once}
    texts = once | twice | _in_xml(value)
    texts |= {repr(value)[1:-1], ascii(value)[1:-1], repr(plain)[2:-1]}
    texts |= {value.replace("'", "'\\''"), value.replace("'", "''")}
    encoded = {text.encode("utf-8", "surrogateescape") for text in texts}
    urls = {quote(plain, safe=safe) for safe in ("", "/", "!*'()", "!$&'()*+,;=:@/")}
    urls.add(quote_plus(plain))
    encoded |= {url.encode() for url in urls} | {_lower_hex(url).encode() for url in urls}
    encoded |= {_upper_unicode(text) for text in encoded if rb"\u" in text}
    encoded |= {plain.hex().encode(), plain.hex().upper().encode()}
    encoded.add(value.encode("utf-16-le", "surrogatepass"))
    for before in range(3):
        core = _within_base64(plain, before)
        encoded |= {core, core.translate(bytes.maketrans(b"+/", b"-_"))}
    encoded -= {plain}
    return (plain, *sorted((one for one in encoded if len(one) >= SHORTEST), key=len, reverse=True))


def is_word(value: str) -> bool:
    """Whether a value, as "postgres", is taken out as it is only where it stands alone."""
    return (
        value.isalpha() and len(value) <= _LONGEST_WORD and (value[1:].islower() or value.isupper())
    )


class Literals:
    """Finds known secrets."""

    def __init__(self, values: Iterable[str]) -> None:
        usable = sorted({one for one in values if len(one) >= SHORTEST}, key=len, reverse=True)
        self._plain = {form: one for one in reversed(usable) for form in forms(one)}
        self._words = {forms(one)[0] for one in usable if is_word(one)}
        longest_first = sorted(self._plain, key=len, reverse=True)
        self._pattern = b"|".join(re.escape(form) for form in longest_first)

    def find(self, text: bytes) -> Iterator[Span]:
        """Every place of a known secret; all its forms become the same token."""
        if not self._pattern:
            return
        for found in engine.compiled(self._pattern).finditer(text):
            start, end = found.span()
            form = text[start:end]
            if form not in self._words or not _within_word(text, start, end):
                plain = self._plain[form].encode("utf-8", "surrogateescape")
                yield Span(start, end, "known", plain)


def _within_word(text: bytes, start: int, end: int) -> bool:
    return text[max(0, start - 1) : start].isalnum() or text[end : end + 1].isalnum()


def _within_base64(value: bytes, before: int) -> bytes:
    """The characters of base64 (RFC 4648) that a value decides alone, after `before` bytes."""
    first, last = -(-before * 4 // 3), (before + len(value)) * 4 // 3
    return base64.b64encode(bytes(before) + value)[first:last]


def _in_xml(value: str) -> set[str]:
    """With names or numbers, decimal or hexadecimal, for what is special or beyond ASCII."""
    found = {escape(value), escape(value, quote=False)}
    found |= {escape(value).replace("&#x27;", mark) for mark in ("&#39;", "&apos;", "'")}
    for number in ("&#{};", "&#x{:x};", "&#x{:X};"):
        beyond = "[^\\x00-\\x7f]"
        in_numbers = partial(_numbered, number)
        found |= {re.sub(beyond, in_numbers, text) for text in found | {value}}
        found |= {re.sub(f"[&<>\"']{also}", in_numbers, value) for also in ("", f"|{beyond}")}
    return found


def _numbered(number: str, found: re.Match[str]) -> str:
    return number.format(ord(found[0]))


def _lower_hex(url: str) -> str:
    return re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), url)


def _upper_unicode(text: bytes) -> bytes:
    return re.sub(rb"(?<=\\u)[0-9a-f]{4}", lambda found: found[0].upper(), text)
