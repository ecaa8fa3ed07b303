"""Secrets that stand where a language or a program has them: SQL, command lines, login files."""

from collections.abc import Iterator

from biostudio_doctor.redaction import values
from biostudio_doctor.redaction.patterns import Hit, Patterns
from biostudio_doctor.redaction.sieve import Sieved
from biostudio_doctor.redaction.spans import Span

PATTERNS = Patterns("phrases.toml")
_PROSE = ("said", "random")  # kinds of rules for sentences, where most words are no secrets


def find(seen: Sieved) -> Iterator[Span]:
    """What stands in the place of a secret."""
    for hit in PATTERNS.find(seen):
        yield from _span(seen.text, hit)


def _span(text: bytes, hit: Hit) -> Iterator[Span]:
    kind, start, end = hit
    value = text[start:end]
    if value.startswith(b"E'"):  # PostgreSQL's string with escapes
        start, value = start + 1, value[1:]
    if len(value) > 1 and value[:1] in b"'\"`" and value[-1:] == value[:1]:
        start, end, value = start + 1, end - 1, value[1:-1]
    elif value[:1] in b"'\"":
        start, value = start + 1, value[1:]
    elif kind in _PROSE or kind == "password":
        value = value.rstrip(b",.);'\"`")
        end = start + len(value)
        if kind == "said" and value.isalpha() and value.islower():
            return
    if kind == "random" and not (
        values.looks_random(value) and (value != value.lower() or len(value) > 20)
    ):
        return
    if values.can_be_secret(value) and not _is_option(text, start):
        yield Span(start, end, {"said": "password", "random": "secret"}.get(kind, kind))


def _is_option(text: bytes, start: int) -> bool:
    """Whether it is the next option of a command, as -u is in -p -u and in "-p", "-u"."""
    before = text[max(0, start - 4) : start]
    quoted = before[-1:] in b"\"'" and b"," not in before
    return text.startswith(b"-", start) and not quoted and before[-1:] not in b":%=>"
