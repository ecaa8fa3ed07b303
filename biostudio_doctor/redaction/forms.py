"""Secrets that their form gives away, whatever stands beside them."""

import base64
import itertools
import re
from collections.abc import Callable, Iterator

from biostudio_doctor.redaction import engine, values
from biostudio_doctor.redaction.patterns import Hit, Patterns
from biostudio_doctor.redaction.sieve import Sieved
from biostudio_doctor.redaction.spans import Span

_PATTERNS = Patterns("forms.toml")
_SERVICES = Patterns("services.toml")

#: A secret key of AWS has no mark of its own: 40 characters beside a word of AWS.
_AWS = (
    rb"(?i:aws|amazon|s3|secret.?access.?key|AKIA[A-Z2-7]{16}).{0,60}?"
    rb"[^A-Za-z0-9+/=]([A-Za-z0-9+/]{40})(?:[^A-Za-z0-9+/=]|$)"
)

#: What most vendors' tokens look like today: words and signs that say whose it is, and a body.
_PREFIXED = rb"\b[A-Za-z][A-Za-z0-9]{0,15}[_\-][A-Za-z0-9_\-]{16,}"
_MORE = re.compile(rb"[A-Za-z0-9_\-+/=.~%]*")
_WORD = re.compile(rb"[A-Za-z]?[a-z]{0,11}\d?|[A-Z]{1,12}\d?|[a-z][a-z0-9]{1,4}")
_TELLS = {b"api", b"key", b"apikey", b"token", b"secret", b"pat", b"live", b"test", b"prod", b"sk"}
_NO_VENDOR = re.compile(rb"(?i)sha\d*|md5|lvm|uuid|h1|integrity|data|image|ssh|ecdsa")


def rare() -> tuple[tuple[bytes, ...], ...]:
    """The patterns that find nothing in most lines, by the automaton that shall look for them."""
    apart, others = _PATTERNS.sets
    return (_AWS, *_SERVICES.sets[0], *apart), others


def find(seen: Sieved) -> Iterator[Span]:
    """Tokens, keys, hashes and passwords in URLs."""
    text = seen.text
    for found in engine.compiled(_PREFIXED).finditer(text):
        if _is_prefixed(found[0]):
            yield Span(found.start(), _MORE.match(text, found.end()).end(), "token")  # type: ignore[union-attr]
    for hit in itertools.chain(_PATTERNS.find(seen), _SERVICES.find(seen)):
        yield from _span(text, hit)
    for found in seen.finditer(_AWS, groups=True):
        value = found.group(1)
        if _mixed(value) and values.entropy(value) > 4:
            yield Span(found.start(1), found.end(1), "aws-secret")


def _is_prefixed(run: bytes) -> bool:
    """Whether what follows the words at the beginning is as random as only a token's body is."""
    if not _DIGIT.search(run):
        return False
    parts = re.split(rb"[_\-]", run)
    words = list(itertools.takewhile(_WORD.fullmatch, parts))
    if not words or any(map(_NO_VENDOR.fullmatch, words)):
        return False
    told = bool(_TELLS & {one.lower() for one in words})
    body = b"-".join(parts[len(words) :])
    return values.is_made_of(parts[len(words) :], told) or (told and values.is_uuid(body[-36:]))


def _mixed(value: bytes) -> bool:
    return value != value.lower() and value != value.upper() and any(48 <= b < 58 for b in value)


def _span(text: bytes, hit: Hit) -> Iterator[Span]:
    kind, start, end = hit
    if kind == "url-password":
        end = _end_of_password(text, start, end)
        if text.startswith(b"@sha256:", end):
            return  # the tag and the digest of an image
    judge = _JUDGES.get(kind)
    if end > start and (judge is None or judge(text, start, text[start:end])):
        yield Span(start, end, _NAMES.get(kind, kind))


def _end_of_password(text: bytes, start: int, end: int) -> int:
    """Where a password in a URL ends: a path that follows may have an @, too."""
    slash = text.find(b"/", start, end)
    if slash < 0:
        return end
    at = text.rfind(b"@", start, slash)
    if at >= 0:
        return at
    return start if text[start:slash].isdigit() else end  # a port, and a path with an @


def _is_bearer(text: bytes, start: int, value: bytes) -> bool:
    return len(value) >= 20 or any(48 <= byte < 58 for byte in value)


def _is_basic(text: bytes, start: int, value: bytes) -> bool:
    return b":" in _decoded(value)


def _is_private_key(text: bytes, start: int, value: bytes) -> bool:
    return b"PRIVATE KEY" in _decoded(value[:120])


def _is_signature(text: bytes, start: int, value: bytes) -> bool:
    name = text[max(0, start - 20) : start].lower()
    if name.endswith((b"code=", b"&p=", b"?p=")) and (
        (value.isalpha() and value[1:] in (value[1:].lower(), value[1:].upper())) or len(value) < 6
    ):
        return False
    told = _SIGNED.search(name) or values.looks_random(value, 12)
    return bool(told) and values.can_be_secret(value)


def _is_token(text: bytes, start: int, value: bytes) -> bool:
    """Proteins are words of capitals, too; and kubeadm's tokens look as names of files do."""
    if value.isalpha() and (value.isupper() or value.islower()):
        return False
    if _KUBEADM.fullmatch(value):
        return values.looks_random(value)
    return _is_key(text, start, value)


def _is_key(text: bytes, start: int, value: bytes) -> bool:
    """gsk_reference_genome_hg38 is a file's name, and sk-ssh-ed25519-cert-v01 an algorithm's."""
    if value != value.lower() or values.is_uuid(value[-36:]):
        return True
    longest = max(map(len, re.findall(rb"[a-z0-9]+", value)), default=0)
    return longest >= 16


def _is_pair(text: bytes, start: int, value: bytes) -> bool:
    """user:password@host:port, which addresses of mail and of telephones look like."""
    name = text[max(0, start - 40) : start - 1].lower()
    if _PATH.match(text, start + len(value)) and value.isalpha():
        return False
    return not _ADDRESS.search(name) and values.can_be_secret(value)


def _is_hook(text: bytes, start: int, value: bytes) -> bool:
    """Whether any part of a path is as random as what stands for a key there."""
    return any(_is_random(text, start, part) for part in re.split(rb"[/@]", value))


def _is_of_a_service(text: bytes, start: int, value: bytes) -> bool:
    return _is_random(text, start, value) or values.letters_after_digits(value) > 2


def _is_random(text: bytes, start: int, value: bytes) -> bool:
    return (
        bool(_HEX.fullmatch(value))
        or values.is_uuid(value)
        or values.is_made_of(re.split(rb"[-_]", value), told=True)
    )


def _is_in_url(text: bytes, start: int, value: bytes) -> bool:
    return values.can_be_secret(value)


def _is_token_in_url(text: bytes, start: int, value: bytes) -> bool:
    return values.can_be_secret(value) and (values.looks_random(value) or value.isdigit())


_SIGNED = re.compile(rb"(?:sig|code|token|pwd|pw|apikey|jwt|signature)(?:=|%3d|%253d)$")
_ADDRESS = re.compile(rb"(?:\b(?:sips?|mailto|e?mail|xmpp|from|to|c?cc|tel|h323|acct|ssh|git))$")
_DIGIT = re.compile(rb"[0-9]")
_HEX = re.compile(rb"[0-9a-fA-F]{20,}")
_PATH = re.compile(rb"@[\w.\-]+/")
_KUBEADM = re.compile(rb"[a-z0-9]{6}\.[a-z0-9]{16}")
#: Kinds that say how something was found, and what it is.
_NAMES = {"user-password": "url-password", "hook": "webhook", "service-key": "key"}
#: A second look at what a form finds, by kind.
_JUDGES: dict[str, Callable[[bytes, int, bytes], bool]] = {
    "bearer-token": _is_bearer,
    "basic-auth": _is_basic,
    "private-key": _is_private_key,
    "signature": _is_signature,
    "token": _is_token,
    "openai-key": _is_key,
    "hook": _is_hook,
    "service-key": _is_of_a_service,
    "url-password": _is_in_url,
    "user-password": _is_pair,
    "azure-key": _is_in_url,
    "url-token": _is_token_in_url,
}


def _decoded(value: bytes) -> bytes:
    try:
        return base64.b64decode(value.translate(bytes.maketrans(b"-_", b"+/")) + b"===")
    except ValueError:
        return b""
