"""Whether values match what rules of nftables ask for, and what their maps give for them."""

from __future__ import annotations

import contextlib
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Any

from biostudio_doctor.host.firewall.model import Packet, overlap
from biostudio_doctor.host.firewall.values import ABSENT, BITS, address_of, bits_of, evaluate


@dataclass
class NamedSet:
    """A set or map of a table, as it is now."""

    elements: list[Any]
    answers: dict[Any, bool | None] = field(default_factory=dict)  # of tens of thousands, often

    def holds(self, value: Any) -> bool | None:
        """Whether a value is an element of it."""
        key = tuple(value) if isinstance(value, list) else value
        try:
            return self.answers[key]
        except (KeyError, TypeError):  # not asked before, or not to be kept, such as a status
            answer = _any(_equals(value, element) for element in self.elements)
        with contextlib.suppress(TypeError):
            self.answers[key] = answer
        return answer


#: The sets and maps of a table by "@name".
Sets = dict[str, NamedSet]
_OTHER_NAMES: dict[Any, tuple[Any, ...]] = {
    "tcp": (6,), "ipv4": (2,), "ipv6": (10,), "ip": (0x0800,), "ip6": (0x86DD, "ipv6"),
    "host": (0,), "original": (0,), "ether": (1,),
}  # fmt: skip
_ORDER: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}


def is_absent(value: Any) -> bool:
    """Whether the packet has no such thing, or lacks a part of it."""
    return value is ABSENT or (isinstance(value, list) and ABSENT in value)


def matches(left: Any, op: str, right: Any, packet: Packet, sets: Sets) -> bool | None:
    """Whether a value is what a match statement wants it to be."""
    if is_absent(left):
        return False
    if left is None:
        return None
    if op == "in":  # any of these bits
        return _has_bits(left, right)
    if op in _ORDER:
        return _ordered(left, op, right)
    # Whether something exists is asked with true and false.
    found = bool(left) == right if isinstance(right, bool) else contains(right, left, packet, sets)
    if op == "!=":
        return None if found is None else not found
    return found if op == "==" else None


def lookup(key: Any, data: Any, packet: Packet, sets: Sets) -> list[tuple[Any, bool]]:
    """What a map may give for this packet, and whether that is certain; (None, ...) is nothing."""
    value = evaluate(key, packet)
    if value is ABSENT:
        return [(None, True)]
    elements = _elements(data, sets)
    found: list[tuple[Any, bool]] = []
    pairs = [item for item in elements if isinstance(item, list) and len(item) == 2]
    for element, result in sorted(pairs, key=lambda pair: pair[0] == "*"):  # "*" is for the rest
        answer = None if value is None else _equals(value, element)
        if answer:
            return [*found, (result, not found)]
        if answer is None:
            found.append((result, False))
    known = not isinstance(data, str) or (data in sets and data not in packet.noted)
    return [*found, (None, known and not found)]


def contains(right: Any, value: Any, packet: Packet, sets: Sets) -> bool | None:
    """Whether a value is the one given, or in the range, network or set given.

    Sets that rules add to are taken as they are now; whoever has not called yet is in none of
    them, unless by a rule that was met on the way.
    """
    if isinstance(right, str) and right.startswith("@"):
        answer = sets[right].holds(value) if right in sets else None
        return None if right in packet.noted and not answer else answer
    if isinstance(right, dict) and "set" in right:
        elements = right["set"] if isinstance(right["set"], list) else [right["set"]]
        return _any(_equals(value, element) for element in elements)
    return _equals(value, right)


def prefix(body: Any) -> IPv4Network | IPv6Network | None:
    """A network as {"addr", "len"} give it."""
    try:
        return ip_network(f"{body['addr']}/{body['len']}", strict=False)
    except (KeyError, TypeError, ValueError):
        return None


def _elements(data: Any, sets: Sets) -> list[Any]:
    if isinstance(data, str):
        return sets[data].elements if data in sets else []
    elements = data.get("set") if isinstance(data, dict) else None
    return elements if isinstance(elements, list) else [elements]


def _equals(value: Any, element: Any) -> bool | None:
    """Whether a value is an element, or within it; None where that cannot be told."""
    if element == "*":
        return True
    if value is None or value is ABSENT:
        return None if value is None else False
    if isinstance(element, dict):
        ((kind, body),) = element.items() if len(element) == 1 else (("", None),)
        return _within(value, kind, body)
    if isinstance(element, list):
        bits = bits_of(element)
        return None if bits is None else bool(value == bits)
    if isinstance(value, tuple):  # a port of the client's, of which only the range is known
        low, high = value
        return overlap(low, high, element, element) if isinstance(element, int) else None
    if isinstance(value, IPv4Address | IPv6Address):
        return value == address_of(str(element))
    if isinstance(value, str):
        return _same_name(value, element)
    if isinstance(element, str):
        element = BITS.get(element, int(element) if element.isdecimal() else None)
    return None if element is None else bool(value == element)


def _within(value: Any, kind: str, body: Any) -> bool | None:
    """Whether a value is what a compound element of a set holds."""
    if kind == "elem" and isinstance(body, dict):
        return _equals(value, body.get("val"))
    if kind == "prefix":
        network = prefix(body)
        if network is None or not isinstance(value, IPv4Address | IPv6Address):
            return None
        return value.version == network.version and value in network
    if not isinstance(body, list):
        return None
    if kind == "concat" and isinstance(value, list):
        return _all(_equals(v, e) for v, e in zip(value, body, strict=False))
    if kind == "range" and len(body) == 2:
        return _between(value, *body)
    return _equals(value, body) if kind == "|" else None


def _same_name(value: str, element: Any) -> bool:
    if isinstance(element, str) and element.endswith("*"):
        return value.startswith(element[:-1])
    return value == element or element in _OTHER_NAMES.get(value, ())


def _ordered(left: Any, op: str, right: Any) -> bool | None:
    if isinstance(left, IPv4Address | IPv6Address):
        other = address_of(str(right))
        return _ORDER[op](left, other) if type(other) is type(left) else None
    if not isinstance(right, int) or not isinstance(left, int | tuple):
        return None
    smallest, largest = left if isinstance(left, tuple) else (left, left)
    answers = {_ORDER[op](smallest, right), _ORDER[op](largest, right)}
    return answers.pop() if len(answers) == 1 else None


def _between(value: Any, first: Any, last: Any) -> bool | None:
    if isinstance(value, IPv4Address | IPv6Address):
        low, high = address_of(str(first)), address_of(str(last))
        if low is None or high is None or low.version != high.version:
            return None
        return value.version == low.version and int(low) <= int(value) <= int(high)
    if not isinstance(first, int) or not isinstance(last, int):
        return None
    smallest, largest = value if isinstance(value, tuple) else (value, value)
    return overlap(smallest, largest, first, last) if isinstance(smallest, int) else None


def _has_bits(left: Any, right: Any) -> bool | None:
    if isinstance(left, dict):  # of a connection's status only that much is known
        names = right if isinstance(right, list) else [right]
        known = [left.get(name) for name in names]
        return _any(known)
    bits = bits_of(right if isinstance(right, list) else [right])
    return bool(left & bits) if isinstance(left, int) and bits is not None else None


def _any(answers: Any) -> bool | None:
    unknown = False
    for answer in answers:
        if answer:
            return True
        unknown = unknown or answer is None
    return None if unknown else False


def _all(answers: Any) -> bool | None:
    unknown = False
    for answer in answers:
        if answer is False:
            return False
        unknown = unknown or answer is None
    return None if unknown else True
