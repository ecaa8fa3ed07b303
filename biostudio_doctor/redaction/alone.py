"""Words that are as random as only keys are, wherever they stand and whatever they are called.

Capitals, small letters and digits in turn make no word of any language and no name of a file; where
letters are of one case only, long words with letters that no hexadecimal number has do not, either.
What is random and known to all is told from keys by its beginning (public keys, certificates,
mangled names), by the word before it (hashes, and what has the name of an id), or by being a line
of a PEM block.
"""

import base64
import re
import string
from collections.abc import Iterator

from biostudio_doctor.redaction import engine, values
from biostudio_doctor.redaction.near_words import names_no_key
from biostudio_doctor.redaction.sieve import Sieved
from biostudio_doctor.redaction.spans import Span

_TURNS = rb"[a-z0-9]{1,4}[A-Z][A-Z0-9]{0,4}"
#: Capitals and small letters that follow each other too soon for words; or letters among digits.
_MAYBE = (
    rb"[A-Z]%b%b[a-z0-9]|[0-9][A-Za-z]{0,6}[g-zG-Z][A-Za-z]{0,6}[0-9]{1,4}[A-Za-z]{1,8}[0-9]"
    rb"|\b(?:[A-Z0-9]{5}-){4,}[A-Z0-9]{5}\b|\b(?:[A-Z0-9]{4}-){5,}[A-Z0-9]{4}\b" % (_TURNS, _TURNS)
)
_LONGEST = 512  # bytes: what is longer is data
_SHORTEST = 20  # bytes
_LETTERS = (string.ascii_letters + string.digits + "_-+/.~").encode()
_URLSAFE = bytes.maketrans(b"-_", b"+/")
_ON = re.compile(rb"[A-Za-z0-9_\-+/.~]*={0,2}")
_SIGNS = b" \t\"'`()[]{}<>=:,;|&?!/\\#*"
_REST = re.compile(rb"[ \t]*[\"']?[\w.\- /+]*")
_KNOWN_TO_ALL = re.compile(
    rb"(?i:sha\d|md5|h1[:\-]|nonce-)|AAAA[A-Z]|MI[IG]|iVBOR|LS0tLS1CRUdJTiB[CQ]|AwEAA|LVM-"
    rb"|_+[ZR][A-Z0-9]|\?\?|(?:[\w\-.]*/)*(?:ata|nvme|scsi|usb|wwn|virtio|dm|md)-"
)
_HASH = re.compile(
    rb"(?i)(?:sha\d{1,3}|md5|h1|base64|nonce|blake\w*)[:,\-]\s?\Z|\|1\|(?:[\w+/]+=\|)?\Z"
)
_NAME = re.compile(rb"[\"'\]]?[ \t]*[:=](?![\w\"'])|[@({\[]")
#: The first half of a pair, such as the name of a key and the key.
_HALF = re.compile(rb"(?<![\w/.\-])([\w\-]{8,64}):\Z")
_LICENCE = re.compile(rb"(?:[A-Z0-9]{4,5}-)+[A-Z0-9]{4,5}")
_SEGMENT = re.compile(rb"[^/]{24,}")
_HEX = re.compile(rb"[0-9a-fA-F]+")


def find(seen: Sieved) -> Iterator[Span]:
    """Keys that nothing but their letters gives away."""
    text, done = seen.text, 0
    for found in engine.compiled(_MAYBE).finditer(text):
        begin, end = found.span()
        if begin < done:
            continue
        low = max(0, begin - _LONGEST)
        start = low + len(text[low:begin].rstrip(_LETTERS))
        end = _ON.match(text, end, end + _LONGEST).end()  # type: ignore[union-attr]
        for at, until in _keys(text, start, end):
            if values.can_be_secret(text[at:until]) and not _is_ordinary(text, at, until):
                paired = text[at - 1 : at] == b":"
                half = _HALF.search(text, max(0, at - 70), at) if paired else None
                random = half and (half[1].isdigit() or values.looks_random(half[1]))
                yield Span(half.start() if half and random else at, until, "secret")
        done = end


def _keys(text: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
    """A word, or the parts of the path of an URL, that can be nothing else than keys."""
    if end - start >= _LONGEST or text[start - 1 : start] in (b"\\", b"@", b"%", b"$"):
        return
    if _is_random(text[start:end]):
        yield start, end
    elif text[start : start + 2] == b"//":
        for part in _SEGMENT.finditer(text, start, end):
            if _is_random(part[0]):
                yield part.span()


def _is_random(word: bytes) -> bool:
    if _LICENCE.fullmatch(word):
        return not word.replace(b"-", b"").isdigit() and not word.replace(b"-", b"").isalpha()
    if len(word) < _SHORTEST:
        return False
    parts = re.split(rb"[-_+/.~]", word.rstrip(b"=."))
    if (b"" in parts and b"//" in word) or b"---" in word:
        return False
    if _HEX.fullmatch(max(parts, key=len)) or not values.is_made_of(parts):
        return False
    if word in (word.lower(), word.upper()):
        return len(word) >= 28  # longer than Docker's ids
    return not values.is_words(word)


def _is_ordinary(text: bytes, start: int, end: int) -> bool:
    if _KNOWN_TO_ALL.match(text, start) or _NAME.match(text, end, end + 20):
        return True
    if _is_text(text[start:end]):
        return True
    line = text.rfind(b"\n", max(0, start - 100), start) + 1 or max(0, start - 100)
    before = text[line:start]
    if not before.strip() and text[end : end + 1] in (b"", b"\r", b"\n"):
        return True  # a line of a PEM block, or of data
    return bool(
        (before.rstrip()[-1:] in b":,-|" and _HASH.search(before[-60:]))
        or names_no_key(before.rstrip(_SIGNS))
        or names_no_key(_assigned_to(before))
    )


def _assigned_to(before: bytes) -> bytes:
    """What ends with the name that this is assigned to, if it is."""
    sign = max(before.rfind(b"="), before.rfind(b":"))
    if sign < 0 or not _REST.fullmatch(before, sign + 1):
        return b""
    return before[:sign].rstrip(_SIGNS)


def _is_text(word: bytes) -> bool:
    """Whether it is base64 of words, which chance makes hardly ever."""
    try:
        plain = base64.b64decode(word.translate(_URLSAFE) + b"===").decode()
    except ValueError:
        return False
    return plain.replace("\n", "").isprintable()
