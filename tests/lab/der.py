"""DER with a piece of it put in anew, for demands that no honest library writes."""

from __future__ import annotations

OCTET_STRING, SEQUENCE, INTEGER = 0x04, 0x30, 0x02


def tlv(tag: int, content: bytes) -> bytes:
    """An element of DER."""
    length = len(content)
    if length < 128:
        return bytes([tag, length]) + content
    size = (length.bit_length() + 7) // 8
    return bytes([tag, 0x80 | size]) + length.to_bytes(size, "big") + content


def integer(value: int) -> bytes:
    """A positive INTEGER."""
    return tlv(INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def replaced(der: bytes, old: bytes, new: bytes) -> bytes:
    """The elements of `der`, each that is just `old` exchanged, and all lengths made right."""
    result = b""
    at = 0
    while at < len(der):
        start, end = _content(der, at)
        whole, tag, content = der[at:end], der[at], der[start:end]
        if whole == old:
            result += new
        elif old in content and (tag & 0x20 or tag == OCTET_STRING):
            result += tlv(tag, replaced(content, old, new))
        elif old in content and tag == 0x03:  # BIT STRING without unused bits
            result += tlv(tag, content[:1] + replaced(content[1:], old, new))
        else:
            result += whole
        at = end
    return result


def element_after(der: bytes, before: bytes, count: int = 0) -> bytes:
    """The element that follows some bytes, for the `count`th time."""
    at = -1
    for _ in range(count + 1):
        at = der.index(before, at + 1)
    at += len(before)
    return der[at : _content(der, at)[1]]


def _content(der: bytes, at: int) -> tuple[int, int]:
    length, start = der[at + 1], at + 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(der[at + 2 : start], "big")
    if start + length > len(der):
        raise ValueError("not DER")
    return start, start + length
