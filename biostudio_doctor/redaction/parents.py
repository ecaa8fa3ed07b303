"""What stands above a name in YAML, JSON or TOML, where the name alone tells little: a `key`."""

import re

_ABOVE = 2048  # bytes before a name that are looked at
_KEYED = re.compile(
    rb"(?i)(?:^|[_.\-])(?:(?:en|de)crypt(?:ion|ed)?|cipher|crypto?|cryptography|sign(?:ing|ature)"
    rb"|private|master|jwt|hmac|aes|api|auth(?:entication)?|licen[sc]e|fernet|unseal|webhook)\Z"
)
_HEAD = re.compile(rb"[ \t]*(?:-[ \t]+)?[\"']?([\w.\-]+)[\"']?[ \t]*:[ \t]*(?:#.*)?\r?\Z")
_SECTION = re.compile(rb"[ \t]*\[+[ \t]*([\w.\-]+)[ \t]*\]+")
_OPENED = re.compile(rb"([\w.\-]+)\\*[\"']?[ \t]*(?::|=>|=)\s*\Z")


def has_keys(text: bytes, start: int) -> bool:
    """Whether what a name that begins here is a member of is one that has keys: `encryption`."""
    above = _parent(text[max(0, start - _ABOVE) : start])
    return bool(above and _KEYED.search(above))


def _parent(before: bytes) -> bytes | None:
    brace = before.rfind(b"{")
    if brace > before.rfind(b"}"):
        opened = _OPENED.search(before[max(0, brace - 100) : brace])
        return opened[1] if opened else None
    *lines, own = before.split(b"\n")
    if own.strip(b" \t\"'"):
        return None
    indent = len(own.rstrip(b"\"'"))
    for line in reversed(lines):
        section = _SECTION.match(line)
        if section:
            return section[1]
        depth = len(line) - len(line.lstrip(b" \t"))
        if line.strip() and depth < indent:
            head = _HEAD.match(line)
            return head[1] if head else None
    return None
