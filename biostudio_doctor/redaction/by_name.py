"""Secrets that a name gives away: settings in any format, arguments, headers, elements, pairs."""

import re
from collections.abc import Iterable, Iterator

from biostudio_doctor.redaction import assigned, engine, members, parents, values
from biostudio_doctor.redaction.names import STEMS, Telling, telling
from biostudio_doctor.redaction.sieve import Sieved
from biostudio_doctor.redaction.spans import Span

_NAME = rb"[\w.\-]*(?:%b)[\w.\-]*" % STEMS
_FORM = (
    # groups: the name of an element, of an entry, of an option, of anything else with what follows
    # that, and of a directive
    rb"(?i)<(?:[\w.\-]*:)?(NAME)[\s>]"
    rb"|(?:name|key|id)=[\"'](NAME)[\"']"
    rb"|(-NAME)[ \t\x00]+"
    rb"|(NAME)("
    rb"(?:\\*[\"'`])?[\s,]+\\*[\"'`]?(?:default)?val(?:ue)?\\*[\"'`]?\s*[:=]"
    rb"|(?:\[\w*\])?[ \t]*:?[ \t]*[&*]*(?:'static[ ])?(?:optional\[|\w+\.)?(?:string|str|char"
    rb"|bytes)\w*[\[\]?]*[ \t]*=[ \t]*@?[\"'`]"
    rb"|(?:\\*[\"'`][\"']?)?(?:\[\]|\])?[ \t]*(?:=>|->|:=|\?=|\+=|=|:|\xef\xbc\x9a)"
    rb"|</\w+>\s*<(?:string|val|value)(?:\s[^<>]*)?>"
    rb"|\\*[\"']\s*\}"
    rb"|\\*[\"'`]\s*,\s*"
    rb"|[ \t]*\|[ \t]*)"
    rb"|(?m:^|[{;])[ \t]*(?:(?:set|setenv|env|arg|\w+_param|proxy_set_header|http-request"
    rb"|http-response"
    rb"|set-header|add-header|add_header|more_set_headers|requestheader"
    rb"|password)[ \t]+)*\$?(NAME)[ \t]+"
)
_PATTERN = _FORM.replace(b"NAME", _NAME)
#: To tell the parts of what was found, the stems need not be looked for again.
_EXACT = re.compile(
    _FORM.replace(
        b"NAME",
        rb"(?:mot[ ]de[ ]|m(?:\xe1\xba\xad|a)t[ ])?[\w.\-\x80-\xff]+"
        rb"(?:[ ](?:key|string)(?:[ ]base)?)?",
    )
)
_TOKEN = b"<redacted:"  # so far as a token begins, whose kind is no name
_LONGEST = 400  # bytes of a name and what follows it; of a longer one the end counts

#: A word such as the name of a mode, or a reference.
_MODE = re.compile(rb"[A-Za-z]*\Z|\$")
_NESTED = Telling("key", strong=True)  # a key below what has keys
_CODE = re.compile(rb"[0-9]{3}[ -]?[0-9]{3,7}(?:\s.*)?")  # of six digits and more, once
_SIGN = re.compile(rb"\\*[\"']?\s*[:=]\s*")
_TO_THE_NAME = re.compile(rb"\\*[\"']\s*,\s*\\*[\"'](?i:name|key)\\*[\"']\s*:\s*\\*[\"']")
_OPENS_A_PAIR = re.compile(rb"[(\[]\s*b?\\*[\"']\Z")
_CLOSES_A_PAIR = re.compile(rb"\\*[\"']\s*[)\]]")
_CALL = re.compile(rb"\w\(\s*\\*[\"']\Z")
_IDENTIFIER = re.compile(rb"[a-z_]+")
_VALUED = re.compile(rb"(?i)[^<>]*?\b(?:val|value)\s*=\s*")
_INNER = re.compile(rb"(?i)[^<>]*(?<!/)>\s*<(?:val|value|string)(?=[\s>])")
_TAG_LIMIT = 400  # bytes
_BEFORE = 2048  # bytes: as long a value may stand before its name
_LINE = 200  # bytes of a line before a name
_BLANKS = 200  # after a value, before its line ends: of a table, another column comes sooner
#: Of a package, as lists of packages have it beside a name such as base-passwd.
_WORDS = re.compile(rb"[A-Za-z]+(?: [A-Za-z]+)+")
#: A file that is complained of, the tag of an image, and what AWS calls a secret.
_NO_SETTING = re.compile(
    rb"(?s)(?:/etc/[\w.\-]+:.?|/[\w.]+-[\w.\-]+:\S|:secretsmanager:\S*:secret:\S)\Z"
)
_EQUALS = re.compile(rb"=[ \t]+")
_LAST_CELL = re.compile(rb"([^\s|]{8,512})[ \t]*\|?[ \t]*(?=\r?\n|$)")
_WORD = re.compile(rb"(?:[^\s\x00\"'`|&;<>]|&(?=[^\s\x00\"'`|&;<>])){1,4096}+")
_VERSION = re.compile(rb"(?:\d+:)?\d+(?:\.\d+)+(?:[-+~.][\w.]+)*")
_PUBLIC = re.compile(
    rb"(?:ssh-|ecdsa-|sk-ssh|-----BEGIN (?:CERT|PUBLIC|SSH2 PUBLIC)|sha256:|SHA256:)"
)


def find(seen: Sieved) -> Iterator[Span]:
    """Values beside telling names."""
    text = seen.text
    done = 0  # what stands before is looked at; no value is looked at twice
    group = 0  # nor is any group of values
    for found in engine.compiled(_PATTERN).finditer(text):
        start, end = found.span()
        if start < done:
            continue
        exact = _EXACT.match(text, max(start, end - _LONGEST), end)
        if not exact:
            continue
        which = exact.lastindex or 0
        told = telling(exact[_NAMES[which]])
        if told is None or (start >= len(_TOKEN) and text.startswith(_TOKEN, start - len(_TOKEN))):
            continue
        for span in _FINDERS[which](text, exact, told):
            done = max(done, span.end)
            yield span
        if which == 5 and told.strong and end >= group:
            ends, spans = _members(text, exact, told)
            group = max(group, ends)
            yield from spans


def _element(text: bytes, found: re.Match[bytes], told: Telling) -> Iterator[Span]:
    """The text of <password>...</password>."""
    yield from _within(text, found.end() - 1, told)


def _entry(text: bytes, found: re.Match[bytes], told: Telling) -> Iterator[Span]:
    """The value or the text of <property name="password" ...>."""
    valued = _VALUED.match(text, found.end(), found.end() + _TAG_LIMIT)
    place = values.quoted(text, valued.end()) if valued else None
    if place:
        yield from _checked(text, [place], found[2], told)
        return
    inner = _INNER.match(text, found.end(), found.end() + _TAG_LIMIT)
    yield from _within(text, inner.end() if inner else found.end(), told)


def _within(text: bytes, at: int, told: Telling) -> Iterator[Span]:
    """What stands between the end of a tag and the next one, which closes it."""
    end = text.find(b">", at, at + _TAG_LIMIT)
    if end < 0 or b"<" in text[at:end] or text[end - 1 : end] == b"/":
        return
    start = end + 1
    if text.startswith(b"<![CDATA[", start):
        start += len(b"<![CDATA[")
        close = text.find(b"]]>", start, start + values.LIMIT)
    else:
        close = text.find(b"<", start, start + values.LIMIT)
        close = close if text.startswith(b"</", close) else -1
    if close > start:
        inside = text[start:close]
        start += len(inside) - len(inside.lstrip())
        yield from _checked(text, [(start, start + len(inside.strip()))], b"", told)


def _option(text: bytes, found: re.Match[bytes], told: Telling) -> Iterator[Span]:
    """The argument after --password."""
    gap = text[found.end(3) : found.end()]
    if len(gap) > 1 and not gap.strip(b" "):  # a page of help
        return
    if text[max(0, found.start() - 1) : found.start()].isalnum():
        return
    sign = _EQUALS.match(text, found.end())
    at = sign.end() if sign else found.end()
    place = values.quoted(text, at) or _word(text, at)
    if place and not text.startswith(b"-", place[0]):
        yield from _checked(text, [place], b"", told)


def _directive(text: bytes, found: re.Match[bytes], told: Telling) -> Iterator[Span]:
    """A setting whose value follows after a blank, as in files of nginx, HAProxy and Redis."""
    at = found.end()
    if text[at : at + 1] in (b"=", b":"):
        again = _EXACT.match(text, found.start(6), at + 3)
        if again and again.lastindex == 5:
            yield from _named(text, again, told)
        return
    place = values.quoted(text, at)
    if place:
        yield from _checked(text, [place], found[6], told)
        return
    place = _word(text, at)
    following = text[place[1] : place[1] + _BLANKS].lstrip(b" \t;")[:1] if place else b""
    if (
        place
        and following in b"\r\n"
        and not values.PROSE.fullmatch(text[slice(*place)].rstrip(b".,;:!?)"))
        and not _VERSION.fullmatch(text, *place)
    ):
        yield from _checked(text, [place], found[6], told)


def _named(text: bytes, found: re.Match[bytes], told: Telling) -> Iterator[Span]:
    """What follows any other name: what is assigned to it, or comes after it in a list."""
    name, tail = found[4], found[5]
    start, at = found.start(4), found.end()
    nested = told.strict and name.lower() == b"key" and parents.has_keys(text, start)
    joined = tail == b":" and text[start - 1 : start] in (b"/", b":")
    if joined and _NO_SETTING.search(text[max(0, start - _LINE) : at + 1]):
        return
    if tail.startswith(b"</"):
        yield from _within(text, at - 1, told)
    elif tail.strip() == b"|":
        cell = _LAST_CELL.match(text, at, at + 600)
        line = text[max(text.rfind(b"\n", 0, start) + 1, start - _LINE) : start]
        if cell and not line.strip(b" \t|") and values.looks_random(cell[1]):
            yield from _checked(text, [cell.span(1)], name, told)
    elif tail.endswith(b"}"):
        yield from _checked(text, _before(text, start), name, told)
    elif tail[-1:] in b"\"'`":  # behind a type
        place = values.quoted(text, at - 1)
        yield from _checked(text, [place] if place else [], name, told)
    elif tail.rstrip().endswith(b","):
        yield from _paired(text, start, at, name, told)
    else:
        told = _NESTED if nested else told
        places = assigned.places(text, found.start(4), name, tail, at, told)
        if nested:
            places = [one for one in places if not _MODE.match(text[slice(*one)])]
        yield from _checked(text, places, name, told)


def _members(text: bytes, found: re.Match[bytes], told: Telling) -> tuple[int, Iterator[Span]]:
    """Where the group ends that this names, and the keys in it, whatever they are called there."""
    at = found.end()
    if found[5][-1:] not in b":=>":
        return at, iter(())
    line = text.rfind(b"\n", max(0, found.start() - _LINE), found.start()) + 1
    before = text[line : found.start(4)]
    end, places = members.find(text, at, len(before) - len(before.lstrip()), told.kind == "cookie")
    return end, (Span(*place, told.kind) for place in places)


def _before(text: bytes, start: int) -> list[tuple[int, int]]:
    """The value in {"value": "x", "name": "PASSWORD"}."""
    value = text.rfind(b"value", max(0, start - _BEFORE), start)
    sign = _SIGN.match(text, value + 5, start) if value >= 0 else None
    place = values.quoted(text, sign.end()) if sign else None
    return [place] if place and _TO_THE_NAME.fullmatch(text, place[1], start) else []


def _checked(
    text: bytes, places: Iterable[tuple[int, int]], name: bytes, told: Telling
) -> Iterator[Span]:
    for start, end in places:
        value = text[start:end]
        if not values.can_be_secret(value) or _PUBLIC.match(value):
            continue
        if not told.strong and not _is_random(value, told):
            continue
        if told.kind in ("token", "key") and _WORDS.fullmatch(value):
            continue  # token='NSS Certificate DB'
        if (
            told.strict
            and not values.can_be_nothing_else(value)
            and (told.kind != "key" or not values.is_made_of([value]))
        ):
            continue
        if _is_itself(text, end, value, name):
            continue
        if value.isdigit() and _counts(value, name, told):
            continue
        yield Span(start, end, told.kind)


def _is_random(value: bytes, told: Telling) -> bool:
    if told.kind == "key" and values.is_uuid(value):
        return True
    if told.kind == "auth" and values.is_pair(value):
        return True
    if told.kind == "code" and _CODE.fullmatch(value):
        return True
    return b" " not in value and values.looks_random(value)


def _counts(value: bytes, name: bytes, told: Telling) -> bool:
    """Whether it is a number of things: tokens=4096, pass=12 fail=3."""
    if told.kind not in ("token", "key") and name.lower() != b"pass":
        return False
    return len(value) < 6 + 2 * name.lower().endswith(b"s")


def _is_itself(text: bytes, end: int, value: bytes, name: bytes) -> bool:
    """Code, such as connect(password=password) or self.token = token;."""
    bare = value.rstrip(b";,")
    last = name.rpartition(b".")[2]
    return bare == last and (bare != value or last != name or text[end : end + 1] in b"),;")


def _paired(text: bytes, start: int, at: int, name: bytes, told: Telling) -> Iterator[Span]:
    """What follows a quoted name after a comma: the next argument, or the other half of a pair."""
    place = values.quoted(text, at)
    if not place:
        return
    start_of_line = text.rfind(b"\n", max(0, start - 400), start) + 1 or max(0, start - 400)
    before, value = text[start_of_line:start], text[slice(*place)]
    dashed = name.startswith(b"-") or name.lower() in (b"requirepass", b"masterauth")
    after = text[place[1] : place[1] + 8]
    pair = _OPENS_A_PAIR.search(before) and _CLOSES_A_PAIR.match(after)
    call = _CALL.search(before) and not _IDENTIFIER.fullmatch(value)
    row = b"VALUES" in before.upper()
    bare = value.strip(b"\\\"'")
    random = bare.isalnum() and values.looks_random(bare, 16) and b"\n" not in text[start:at]
    sure = pair or call or row or random
    if sure or (dashed and not value.startswith(b"-")):
        start, end = place
        if told.kind == "auth":
            scheme = assigned.SCHEME.match(text, start, end)
            start = scheme.end() if scheme else start
        yield from _checked(text, [(start, end)], name, told)


def _word(text: bytes, at: int) -> tuple[int, int] | None:
    found = _WORD.match(text, at)
    return found.span() if found else None


#: By the last group of the pattern that took part; and the group of the name.
_NAMES = {1: 1, 2: 2, 3: 3, 5: 4, 6: 6}
_FINDERS = {1: _element, 2: _entry, 3: _option, 5: _named, 6: _directive}
