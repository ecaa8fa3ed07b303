"""Where a value ends, and whether it can be a secret at all."""

import base64
import math
import re
from collections import Counter

from biostudio_doctor.redaction.tokens import TOKEN

LIMIT = 48 << 10  # bytes: no value between quotes or on several lines is longer
_LONG = 512  # bytes

Place = tuple[int, int]  # where something begins, and what comes after it

#: A word of a sentence.
PROSE = re.compile(rb"[A-Za-z][a-z]+")
_QUOTE = re.compile(rb"""[bfrun@]{0,2}(\\*)(["'`])""", re.IGNORECASE)
_ENDS = re.compile(rb"""(\\*)(["'`])""")
_BARE = re.compile(
    rb"""(?:<[\w.\- ]{1,60}>|[^\s"'`\\,;&()\[\]{}<>|\x00]"""
    rb"""|\\(?!\\*["'nrt])"""
    rb"""|[,;](?![\s,;"'\x00]|\\|$|[\w.\-\[\] ]{1,40}[=:])"""
    rb"""|&(?!\s|(?:amp;)?[\w.\-\[\]%]{1,40}=|$)"""
    rb"""|[(\[{](?=[^\s)\]}])"""
    rb"""|[)\]}>|](?=[^\s,;:)\]}"'\\<>.\x00])"""
    rb"""|[(\[{][)\]}]"""
    rb"""|<(?![/!]|redacted:)){1,4096}+"""
)
_STEP = 4096
_LINE = re.compile(rb"[^\r\n\x00]+")
_COMMENT = re.compile(rb"\s+(?:#|//)\s.*$|\s+$")
_ASSIGNS = re.compile(rb"\s[\w.\-]{1,60}=|\s\\$|\s--?\w")

_PLACEHOLDER = re.compile(
    rb"""(?:
      (?:\xe2\x80\xa2)+ | [*x.\-_?\#X]{3,} | \W{1,3} | \*+ | \.+ | <[^<>]{1,80}> | <\w+\(.*
    | \[[\w\s*-]{1,40}\] | \(\w[\w\s]{0,40}\)
    | \$\{[A-Za-z_!\#][\w.:?/@+,\ -]*(?:\}.*)? | \$\{ | \$\(.* | \$\w+ | \$\$.{0,40} | `.*`
    | \$?\{\{[^{}]*\}?\}? | \{\{`.* | \{(?:os|self|settings|config|env)\..*
    | arn:aws[\w\-]*:(?:secretsmanager|ssm):.*
    | \{[\w.\ -]{0,60}\}? | \#\{.*\} | \d+/(?:tcp|udp|sctp) | \d+\ bits?
    | %\(?[\w.]{1,60}\)?s | %[sdvq] | %\w+% | @\w+@
    | \$env:\w+
    | !\w+\b.* | (?:vault|env|file|secret|ref)(?::|://)[\w/.\-\#]+ | &\w+ | \\+
    | null | nil | none | nan | undefined | true | false | yes | no | on | off | y | n | -?[01]
    | \(?\[?(?:redacted|removed|hidden|masked|filtered|sensitive|secret\ removed
        |obfuscated|scrubbed|elided)\]?\)?
    | name | value | file | filename | path | setting | str | string | int | bool | bytes | text
    | object
    | any | optional | required | varchar.*
    | success | invalid | expired | missing | failed | failure | incorrect | wrong | denied
    | accepted
    | not | is | was | ok | enabled | disabled | unset | set | empty | unknown | rejected | and
    | or | the | a | an
    | mismatch | changed | authentication | error | unexpected | expected | must | cannot | could
    | has | for | from | with | in | to | of | by | available | present | absent | valid | found
    | sha256 | md5 | scram-sha-256 | amd64 | arm64 | i386 | noarch | x86_64
    )""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
_PATH = re.compile(
    rb"~/[\w./+-]+$|(?:file://)?(?:\$\w+|\$\{\w+\}|~|\.{1,2})?/(?:(?:etc|run|var|home|root|tmp|usr|opt|mnt|dev"
    rb"|proc|srv|data"
    rb"|appdata|secrets?|config|certs?|s3|app|lib|bin|sbin|boot|sys|media|snap)(?:/[\w.@%+ -]*)*|)$"
    rb"|[A-Z]:\\\\?[\w\\ .-]+$|\.{0,2}/?(?:[\w.-]+/)*[\w.-]+\.(?:pem|key|crt|cer|txt|json|ya?ml"
    rb"|toml|conf|cnf|py|go|js|ts|c|h|rs|java|jks|p12|pfx|env|sh|log)(?::\d+)?$"
)
_URL = re.compile(rb"(?:https?|wss?|ftp|ldaps?|file|s3)://(?!.*@)", re.DOTALL)
_CODE = re.compile(
    rb"(?:[a-zA-Z_]\w*\.)+[a-zA-Z_]\w*\(.*$|(?:str|bytes|int|string|Optional\[.*"
    rb"|SecretStr)\s*[|=,)].*$|(?:[a-zA-Z_]\w*\.)*[a-zA-Z_][\w-]*\((?:.*\))?$"
    rb"|(?:[A-Z][a-z]+){2,}\{.*$|(?:os|self|this|config|settings|request|process|args|env|options"
    rb"|ctx|data|params|kwargs|app|cfg|conf|var|local|module|each)\.[\w.\[\]\"']*$"
    rb"|(?:[A-Z][a-z]+)+\.[A-Z]+(?:_[A-Z]+)+$|[a-z_]\w*\[[\"']?\w*[\"']?\]?$",
    re.DOTALL,
)
#: What ends as a call does, and would be no name of a function.
_ODD_CALL = re.compile(rb"(?=[a-zA-Z]*[0-9])[a-zA-Z0-9]{20,}\(")
_UUID = re.compile(rb"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
_KEYLIKE = re.compile(rb"[A-Za-z0-9+/_\-]+={0,2}")
#: In names of algorithms, such as PBEWithHmacSHA256AndAES_256.
_ALGORITHM = re.compile(rb"SHA\d|Hmac|AES")
_HEX = re.compile(rb"[0-9a-f]+", re.IGNORECASE)
_SYLLABLES = re.compile(rb"[A-Z][a-z]{2,}|[a-z]{4,}")
_NUMBERS = re.compile(rb"[0-9]+")
#: Runs of digits, of capitals or of small letters, and of capitals (of Latin-1) or of none.
_ALIKE = re.compile(rb"[\x00-9]+|[:-Z]+|[\x5b-\xff]+")
_CASES = re.compile(rb"[A-Z\xc0-\xd6\xd8-\xde]+|[^A-Z\xc0-\xd6\xd8-\xde]+")
_DIGIT_AND_LETTER = re.compile(rb"[0-9](?=[A-Za-z])")
_DIGEST = re.compile(
    rb"(?:sha\d+|md5)[:\-=][0-9A-Za-z+/=]+|(?:[0-9a-f]{2}:){7,}[0-9a-f]{2}", re.IGNORECASE
)
#: A token, and after it nothing that could be more of the value it stands for.
_REDACTED = re.compile(TOKEN.pattern + rb"(?=$|[\s\\\"'`,;&)\]}<>|:@/])")


def quoted(text: bytes, at: int, lines: bool = False) -> Place | None:
    r"""The inside of the quotes that open here, be they escaped (\") once or several times.

    Where they never close, it ends with the line. `lines` lets it go over lines.
    """
    opening = _QUOTE.match(text, at)
    if not opening:
        return None
    depth, quote, start = len(opening[1]), opening[2], opening.end()
    limit = min(len(text), start + LIMIT)
    newline = text.find(b"\n", start, limit)
    stop = newline if newline >= 0 else limit
    end = _closing(text, start, stop, depth, quote)
    if end is None and lines:
        end = _closing(text, start, limit, depth, quote)
    if end is None:
        end = stop - (text[stop - 1 : stop] == b"\r")
    return start, end


def _closing(text: bytes, start: int, stop: int, depth: int, quote: bytes) -> int | None:
    skip = start
    for found in _ENDS.finditer(text, start, stop):
        run = len(found[1])
        if found[2] == quote and run % (2 * depth + 2) == depth and found.start() >= skip:
            again = 0 if depth or run else _again(text, found.end(), quote)
            if again:
                skip = found.end() + again
                continue
            return found.start() + run - depth
    return None


def _again(text: bytes, at: int, quote: bytes) -> int:
    """How long what follows a quote is, if it is still within: '' of SQL, '"'"' of shells."""
    if text.startswith(quote, at):
        return 1
    return 4 if quote == b"'" and text.startswith(b"\"'\"'", at) else 0


def closing(text: bytes, at: int, opened: re.Match[bytes]) -> int | None:
    """Where the quote that opened before closes again, within the line."""
    newline = text.find(b"\n", at, at + LIMIT)
    stop = newline if newline >= 0 else min(len(text), at + LIMIT)
    return _closing(text, at, stop, len(opened[1]), opened[2])


def bare(text: bytes, at: int) -> Place | None:
    """A value without quotes within a line of other things."""
    end = at
    while (found := _BARE.match(text, end)) and found.end() > end:
        end = found.end()
        if found.end() - found.start() < _STEP:
            break
    return (at, end) if end > at else None


def rest_of_line(text: bytes, at: int) -> Place | None:
    """A value that has its line for itself, as in files of settings; a comment is none of it."""
    found = _LINE.match(text, at)
    if not found:
        return None
    line = found[0]
    if _ASSIGNS.search(line):
        return bare(text, at)
    if len(line) > _LONG:
        return at, at + len(line.rstrip())
    return at, at + len(_COMMENT.sub(b"", line).removesuffix(b",").removesuffix(b";"))


def can_be_secret(value: bytes) -> bool:
    """Whether it is neither empty nor a stand-in, a reference, a path or a piece of code."""
    value = value.strip().strip(b"'\"")
    if len(value) > _LONG:  # no stand-in is that long, and looking closer would take its time
        return not TOKEN.match(value)
    if len(value) < 2 or _REDACTED.match(value):
        return False
    if _PLACEHOLDER.fullmatch(value) and not _is_in_braces(value):
        return False
    if _URL.match(value) or (_CODE.match(value) and not _ODD_CALL.fullmatch(value)):
        return False
    return not _PATH.match(value) or (b"/" not in value and looks_random(value, 16))


def _is_in_braces(value: bytes) -> bool:
    """Whether it is no template in braces: no name has that many digits among its letters.

    Jenkins writes what it encrypted in braces.
    """
    return value.startswith(b"{") and any(
        len(word) >= 16 and (letters_after_digits(word) > 1 or is_made_of([word], told=True))
        for word in value.strip(b"{}").split()
    )


def letters_after_digits(word: bytes) -> int:
    """How often a letter follows a digit; in names hardly ever twice."""
    return len(_DIGIT_AND_LETTER.findall(word))


def looks_random(value: bytes, shortest: int = 8) -> bool:
    """Whether it looks as if a machine or a careful person had made it, and is no identifier."""
    if (
        len(value) < shortest
        or TOKEN.search(value)
        or _UUID.fullmatch(value)
        or _DIGEST.match(value)
    ):
        return False
    value = value[:_LONG]
    digits = len(value) - len(value.translate(None, b"0123456789"))
    if digits == len(value) or (not digits and _turns(value) < 0.4 * len(value)):
        return False
    enough = 3.0 if _HEX.fullmatch(value) else 3.5
    return entropy(value) >= min(enough, math.log2(len(value)) - 0.8)


def is_uuid(value: bytes) -> bool:
    """Whether it is written as a UUID."""
    return bool(_UUID.fullmatch(value))


def is_made_of(parts: list[bytes], told: bool = False) -> bool:
    """Whether these parts of one word are as random as only keys are.

    Where letters are of one case only, digests, serial numbers and names of files are near: then
    it must be one piece, and have letters that no hexadecimal number has. Where letters are mixed,
    names of samples and of functions are near: their pieces are short, and change seldom between
    capitals, small letters and digits. `told`: something else tells of a key, so less is enough.
    """
    body, longest = b"".join(parts), max(map(len, parts), default=0)
    if not _NUMBERS.search(body) or body.isdigit() or _ALGORITHM.search(body):
        return False
    turns = (len(_ALIKE.findall(body)) - 1) / len(body)
    if body != body.lower() and body != body.upper():
        enough = 0.42 if longest < 20 else 0.33
        return len(body) >= 16 and longest >= (8 if told else 13) and turns >= enough
    enough = 0.2 if len(body) < 40 else 0.12
    return len(parts) == 1 and len(body) >= 24 and turns >= enough and not _HEX.fullmatch(body)


def is_words(value: bytes) -> bool:
    """Whether most of it are words, as in names of code such as Icmp6OutNeighborSolicits."""
    few = len(_NUMBERS.findall(value)) < 3
    return few and sum(map(len, _SYLLABLES.findall(value))) >= 0.7 * len(value)


def is_pair(value: bytes) -> bool:
    """Whether it is base64 of user:password, as HTTP and Docker have it (RFC 7617)."""
    try:
        plain = base64.b64decode(value, validate=True)
    except ValueError:
        return False
    return b":" in plain and plain.isascii() and plain.decode().isprintable()


def can_be_nothing_else(value: bytes) -> bool:
    """Whether it is as random as only keys are: capitals, small letters and digits, and long."""
    return (
        len(value) >= 20 and bool(_KEYLIKE.fullmatch(value)) and entropy(value) > 3.5
        and value != value.lower() and value != value.upper() and any(48 <= b < 58 for b in value)
    )  # fmt: skip


def _turns(value: bytes) -> int:
    """How often capitals and small letters follow each other; not often in words."""
    return len(_CASES.findall(value)) - 1


def entropy(value: bytes) -> float:
    """Shannon's, in bits for each byte."""
    size = len(value)
    return -sum(n / size * math.log2(n / size) for n in Counter(value).values()) if size else 0.0
