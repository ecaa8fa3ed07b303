"""Where the value is that was assigned to a name, in whatever language.

Readers are asked in turn; the first that knows how this is written tells where the values are, or
that there are none.
"""

import re
from collections.abc import Callable, Iterator
from functools import cache

from biostudio_doctor.redaction import values
from biostudio_doctor.redaction.names import Telling, telling
from biostudio_doctor.redaction.values import Place

_BLANK = re.compile(rb"[ \t]*")
_WHITE = re.compile(rb"\s*")
_BLOCK = re.compile(rb"[|>][+\-\d]{0,2}[ \t]*(?:#[^\n]*)?\r?\n")
_SETTING = re.compile(
    rb"[ \t]*(?:-[ \t]+|export[ \t]+|set[ \t]+|setenv[ \t]+|ENV[ \t]+|ARG[ \t]+|\$?env:"
    rb"|[+>#;/*]+[ \t]*)*[\"']?$"
)
_COMPARED = re.compile(rb"={1,2}\s*(?=[fbru]?[\"'])")
_OBJECT = re.compile(rb"\{\s*(?:[\"'}\\]|$|[\w.\-]+\s*[:=])")
#: Between quotes, where YAML goes on on the next line.
_FOLDED = re.compile(rb"\\\r?\n[ \t]*\\[ \t]+")
_TAG = re.compile(rb"!!\w+[ \t]+")
#: getenv("NAME", "value") and get("NAME") or "value"
_FALLBACK = re.compile(
    rb"[\w.]+\((?:[^()\n]*,\s*[\"']([^\"'\n]+)[\"']\)|[^()\n]*\)\s*(?:or|\?\?"
    rb"|\|\|)\s*[\"']([^\"'\n]+)[\"'])"
)
_SNAKE = re.compile(rb"[a-z]+(?:_[a-z]+)+")
_TO_THE_END = re.compile(rb"""([)\]}>(\[{|][^\s"'\\=:,]{0,100})\s*(?:\n|$)""")
#: Quotes within quotes: of YAML, SQL and CSV, and two ways of shells.
_DOUBLED = re.compile(rb"""(?:''|""|'"'"'|'\\'')(?=[^\s,;)\]}"'])""")
_A_QUOTE = re.compile(rb"[\"'`]")
_OPENED = re.compile(rb"""(\\*)(["'`])(?:-[eEH]\s*)?\Z""")
#: Of the header Authorization.
SCHEME = re.compile(
    rb"\s*(?:Basic|Bearer|Digest|Token|Negotiate|NTLM|ApiKey|Api-Key|GenieKey|Splunk|OAuth|Hawk"
    rb"|MAC|JWT|SSWS"
    rb"|AWS4-HMAC-SHA256|AWS|GoogleLogin auth=|key=|SharedKey|token)[ \t]+",
    re.IGNORECASE,
)
_HEADER = re.compile(
    rb"""(?:="[^"\r\n]*"|=\\"[^"\\\r\n]*\\"|[^\r\n"'\\\x00\]&]|\\(?![nr"'])|&(?![\w.\-]+=))*"""
)
#: What Open vSwitch calls the cookie of a flow.
_SWITCH = re.compile(rb"0x[0-9a-f]{1,16}\b")
_WITH_QUOTES = re.compile(rb"""[^\r\n'\x00\]]*""")
_WORDS = re.compile(rb"[A-Za-z][a-z']*[.,!?]?(?:[ \t]+[A-Za-z][a-z']*[.,:!?]?)*$")
_ITEM = re.compile(rb"([ \t]*)-[ \t]+(?![\w.\-]+:\s)(?=\S)")
_INDENT = re.compile(rb"[ \t]*(?:-[ \t]+)*")
_LINES_OF_A_LIST = re.compile(rb"\[\s*\n")
_SENTENCE = re.compile(rb"[A-Za-z][a-z]+ [a-z]+ [a-z]+")
_WORD = re.compile(rb"[A-Za-z][a-z]+(?:[ .,)]|$)")
_COMMAS = re.compile(rb"[\s,]*")
_QUOTE = re.compile(rb"""\\*["'`]?""")
#: Another assignment after the first.
_MORE = re.compile(rb"[&;,\s][\w.\-\[\]]{1,40}[=:]|\\+[nr]")
_QUOTES = b"\"'`\\"
_PREFIX = 200  # bytes before a name that are looked at


class Assignment:
    """A name, and the sign after it.

    Args:
        start: of the name.
        tail: from the end of the name to the sign, and the sign itself.
        at: where the value may begin.
    """

    def __init__(
        self, text: bytes, start: int, name: bytes, tail: bytes, at: int, told: Telling
    ) -> None:
        self.text, self.start, self.name, self.tail, self.told = text, start, name, tail, told
        self._alone: bool | None = None
        self.at = _BLANK.match(text, at).end()  # type: ignore[union-attr]
        self.after_blank = self.at > at
        self.in_quotes = tail[:1] in _QUOTES  # the name has quotes of its own
        sign = text[self.at : self.at + 1]
        if sign in b"!\\":
            tag = _TAG.match(text, self.at)
            self.at = tag.end() if tag else self.at
            folded = _FOLDED.match(text, self.at)
            self.at = folded.end() if folded else self.at

    @property
    def line(self) -> int:
        """Where its line begins, or far enough before it."""
        return self.text.rfind(b"\n", max(0, self.start - _PREFIX), self.start) + 1

    @property
    def alone(self) -> bool:
        """Whether it has its line for itself, as settings have."""
        if self._alone is None:
            begin = self.line
            self._alone = self.start - begin < _PREFIX and bool(
                _SETTING.match(self.text, begin, self.start)
            )
        return self._alone

    @property
    def opened(self) -> re.Match[bytes] | None:
        """The quote right before a name that has no quotes of its own: "password=..."."""
        before = self.text[max(0, self.start - 12) : self.start]
        if self.in_quotes or not _A_QUOTE.search(before):
            return None
        return _OPENED.search(self.text, max(0, self.start - 12), self.start)


def places(
    text: bytes, start: int, name: bytes, tail: bytes, at: int, told: Telling
) -> list[Place]:
    """Where the values of an assignment are."""
    one = Assignment(text, start, name, tail, at, told)
    for reader in _readers(text[one.at : one.at + 1]):
        found = reader(one)
        if found is not None:
            return found
    return []


def _block_scalar(one: Assignment) -> list[Place] | None:
    """YAML: all lines below that are indented more, as one."""
    block = _BLOCK.match(one.text, one.at)
    if not block or not one.alone:
        return None
    indent = _indent(one)
    first = last = None
    for start, end in _lines(one.text, block.end()):
        line = one.text[start:end]
        content = line.strip()
        depth = len(line) - len(line.lstrip(b" \t"))
        if content and depth <= indent:
            break
        if content:
            first = start + depth if first is None else first
            last = start + len(line.rstrip())
    return [] if first is None or last is None else [(first, last)]


def _header(one: Assignment) -> list[Place] | None:
    """Authorization: Bearer ..., Cookie: a=b; c=d."""
    if one.told.kind not in ("auth", "cookie") or not one.told.strong:
        return None
    text, at = one.text, one.at
    if _LINES_OF_A_LIST.match(text, at):
        return None
    if _SWITCH.match(text, at):
        return []
    at += text.startswith((b"[", b"("), at)  # as Go and Python print the values of a header
    start, end = values.quoted(text, at) or _bare_header(text, at)
    scheme = SCHEME.match(text, start, end)
    if scheme:
        start = scheme.end()
    elif one.told.kind == "auth":
        if _WORDS.match(text[start:end]):
            return []
    elif b"=" not in text[start:end] and not values.looks_random(text[start:end]):
        return []  # a sentence about cookies
    return [(start, start + len(text[start:end].rstrip()))]


def _bare_header(text: bytes, at: int) -> Place:
    scheme = SCHEME.match(text, at)
    wide = scheme and scheme[0].strip().lower() in (b"digest", b"hawk", b"mac")
    found = (_WITH_QUOTES if wide else _HEADER).match(text, at, at + values.LIMIT)
    return found.span() if found else (at, at)


def _comparison(one: Assignment) -> list[Place] | None:
    """`password == "x"`; a comparison with another variable has no value."""
    if not one.text.startswith(b"=", one.at):
        return None
    compared = _COMPARED.match(one.text, one.at)
    place = values.quoted(one.text, compared.end()) if compared else None
    return [place] if place else []


def _prompt(one: Assignment) -> list[Place] | None:
    """`input("Password: ")`: the name alone is quoted."""
    opened = one.opened
    return [] if opened and one.text.startswith(opened[1] + opened[2], one.at) else None


def _default(one: Assignment) -> list[Place] | None:
    """The default in ${NAME:-default}."""
    if one.text[max(0, one.start - 2) : one.start] != b"${":
        return None
    close = one.text.find(b"}", one.at, one.at + 400)
    return [(one.at + 1, close)] if one.text.startswith(b"-", one.at) and close > 0 else []


def _below(one: Assignment) -> list[Place] | None:
    """JSON: the value may begin on another line; YAML: the members of a list do."""
    text = one.text
    if text[one.at : one.at + 1] not in b"\r\n":
        return None
    if one.in_quotes:
        there = _WHITE.match(text, one.at, one.at + 400).end()  # type: ignore[union-attr]
        place = values.quoted(text, there)
        return [place] if place else _listed(text, there) or []
    if not one.alone:
        return []
    indent, found = _indent(one), []
    for start, end in _lines(text, text.find(b"\n", one.at) + 1 or len(text)):
        item = _ITEM.match(text, start, end)
        if not item or len(item[1].expandtabs()) < indent:
            break
        last = start + len(text[start:end].rstrip())
        found.append(values.quoted(text, item.end()) or (item.end(), last))
    return found


def _doubled(one: Assignment) -> list[Place] | None:
    """Three quotes of Python and TOML, and quotes within quotes."""
    text, at = one.text, one.at
    triple = text[at : at + 3]
    if triple in (b'"""', b"'''"):
        close = text.find(triple, at + 3, at + values.LIMIT)
        return [(at + 3, close)] if close > 0 else None
    doubled = _DOUBLED.match(text, at)
    if not doubled:
        return None
    close = text.find(doubled[0], doubled.end(), at + values.LIMIT)
    return [(doubled.end(), close)] if close > 0 and b"\n" not in text[at:close] else []


def _quoted(one: Assignment) -> list[Place] | None:
    place = values.quoted(one.text, one.at)
    if place and place[1] - place[0] and one.text[place[1] : place[1] + 1] in b"\r\n" and one.alone:
        place = values.quoted(one.text, one.at, lines=True)  # closed on a later line only
    return [place] if place else None


def _in_brackets(one: Assignment) -> list[Place] | None:
    return _listed(one.text, one.at)


def _listed(text: bytes, at: int) -> list[Place] | None:
    """Values in brackets: a list of strings, or as Go prints the values of a header."""
    if not text.startswith((b"[", b"("), at):
        return None
    close = text.find(b"]" if text.startswith(b"[", at) else b")", at, at + values.LIMIT)
    if close < 0:
        return []
    found: list[Place] = []
    position = at + 1
    while position < close:
        position = _COMMAS.match(text, position).end()  # type: ignore[union-attr]
        place = values.quoted(text, position)
        if not place:
            break
        found.append(place)
        position = _QUOTE.match(text, place[1]).end()  # type: ignore[union-attr]
    return found or ([] if b"{" in text[at:close] else [(at + 1, close)])


def _object(one: Assignment) -> list[Place] | None:
    """What is in braces are other names and values."""
    return [] if _OBJECT.match(one.text, one.at) else None


def _fallback(one: Assignment) -> list[Place] | None:
    fallback = _FALLBACK.match(one.text, one.at, one.at + 400)
    if not fallback:
        return None
    start, end = fallback.span(fallback.lastindex or 0)
    # such as get("section", "password")
    return [] if telling(one.text[start:end]) else [(start, end)]


def _unquoted(one: Assignment) -> list[Place] | None:
    text = one.text
    place = _without_quotes(one)
    if not place:
        return []
    if b"(" in text[place[0] : place[1]] and text.startswith(b")", place[1]):
        place = place[0], place[1] + 1
    value = text[place[0] : place[1]]
    if one.in_quotes and _SNAKE.fullmatch(value) and telling(value):
        return []  # code, as no format of data has names for values
    code = one.tail == b":" and not one.after_blank and b"." in one.name
    if code and _SNAKE.fullmatch(value):
        return []  # package.module:attribute
    return [] if _is_prose(one, value) else [place]


def _without_quotes(one: Assignment) -> Place | None:
    """To the quote that opened before the name, to the end of the line, or of the word."""
    text, at = one.text, one.at
    opened = one.opened
    if opened:
        close = values.closing(text, at, opened)
        if close and not _MORE.search(text, at, close):
            return at, close
    elif one.alone and not one.in_quotes:
        return values.rest_of_line(text, at)
    place = values.bare(text, at)
    if not place or opened:
        return place
    more = _TO_THE_END.match(text, place[1], place[1] + 200)
    return place[0], more.end(1) if more and more[1].strip(b")]}>,;.'\"") else place[1]


def _is_prose(one: Assignment, value: bytes) -> bool:
    """Whether what follows are words about a password, and no password."""
    colon, several = one.tail.endswith(b":"), b" " in value
    if one.after_blank and one.tail == b"=" and _WORD.match(value):
        return True  # the Token= setting
    if colon and _SENTENCE.match(value):
        return b"phrase" not in one.name.lower()
    if one.tail == b"=" and several:  # NAME=two words, as an environment has it
        return False
    if several or (colon and one.told.kind != "password"):
        return bool(_WORDS.match(value)) and (several or not one.alone)
    return colon and not one.alone and bool(values.PROSE.fullmatch(value))


def _indent(one: Assignment) -> int:
    """How far a setting is indented, the dash of a list counted as a blank."""
    found = _INDENT.match(one.text, one.line, one.start)
    return len(found[0]) if found else 0


def _lines(text: bytes, at: int) -> Iterator[Place]:
    """The lines from here on, as far as a value may reach."""
    start = at
    while start < len(text) and start - at < values.LIMIT:
        end = text.find(b"\n", start)
        end = len(text) if end < 0 else end
        yield start, end
        start = end + 1


_Reader = Callable[[Assignment], list[Place] | None]
#: In turn; and with what the values begin of which they know anything, if that matters.
_READERS: tuple[tuple[_Reader, bytes | None], ...] = (
    (_block_scalar, b"|>"), (_header, None), (_comparison, b"="), (_prompt, _QUOTES),
    (_default, None), (_below, b"\r\n"), (_doubled, _QUOTES), (_quoted, _QUOTES + b"bBrRuUfFnN@"),
    (_in_brackets, b"[("), (_object, b"{"), (_fallback, None), (_unquoted, None),
)  # fmt: skip


@cache
def _readers(sign: bytes) -> tuple[_Reader, ...]:
    """Those for a value that begins so; all at the end of a text."""
    return tuple(reader for reader, signs in _READERS if signs is None or sign in signs)
