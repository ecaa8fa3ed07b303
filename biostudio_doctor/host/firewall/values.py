"""Expressions of nftables (libnftables-json(5)): their value for a packet, and what it matches."""

from __future__ import annotations

import contextlib
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Final

from biostudio_doctor.host.firewall.model import CLIENT_PORTS, Packet, overlap


class _Absent:
    """The value of what such a packet does not have, which matches nothing."""


ABSENT: Final = _Absent()


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
#: Protocols of which a TCP packet has no header.
_OTHERS = frozenset((
    "udp", "udplite", "icmp", "icmpv6", "igmp", "sctp", "dccp", "esp", "ah", "comp", "arp", "gre",
))  # fmt: skip

_STATES = {"invalid": 1, "established": 2, "related": 4, "new": 8, "untracked": 64}
_FLAGS = {
    "fin": 1, "syn": 2, "rst": 4, "psh": 8, "ack": 16, "urg": 32, "ecn": 64, "cwr": 128,
}  # fmt: skip
_BITS = _STATES | _FLAGS
_OTHER_NAMES: dict[Any, tuple[Any, ...]] = {
    "tcp": (6,), "ipv4": (2,), "ipv6": (10,), "ip": (0x0800,), "ip6": (0x86DD, "ipv6"),
    "host": (0,), "original": (0,), "ether": (1,),
}  # fmt: skip
_BINARY = {"&": operator.and_, "|": operator.or_, "^": operator.xor,
           "<<": operator.lshift, ">>": operator.rshift}  # fmt: skip
_ORDER: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}
_MARK_BITS = 32
_DONT_FRAGMENT = 0x4000  # as every system asks of the first packet; and it is no fragment itself


def evaluate(expression: Any, packet: Packet, sets: Sets) -> Any:
    """The value: a number, an address, a name, a range (first, last), a list of such.

    None where it cannot be told, ABSENT where the packet has no such thing.
    """
    if isinstance(expression, int) and not isinstance(expression, bool):
        return expression
    if isinstance(expression, str):
        return _BITS.get(expression, _address(expression))
    if isinstance(expression, list):
        return _combined(expression)
    if not isinstance(expression, dict) or len(expression) != 1:
        return None
    ((kind, body),) = expression.items()
    if isinstance(body, list):
        values = [evaluate(item, packet, sets) for item in body]
        return values if kind == "concat" else _arithmetic(kind, values)
    return _selected(kind, body, packet) if isinstance(body, dict) else None


def _selected(kind: str, body: Mapping[str, Any], packet: Packet) -> Any:
    """What an expression selects of the packet."""
    key = str(body.get("key", ""))
    if kind == "payload":
        return _payload(str(body.get("protocol")), str(body.get("field")), packet)
    if kind == "meta":
        return _meta(key, packet)
    if kind == "ct":
        return _ct(key, str(body.get("dir", "original")), packet)
    if kind == "fib":
        return _fib(body, packet)
    if kind == "socket":  # of a program on this host that the packet is for already
        return 0 if key == "transparent" else None
    return False if kind == "exthdr" and "field" not in body else None


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
    value = evaluate(key, packet, sets)
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
        bits = _combined(element)
        return None if bits is None else bool(value == bits)
    if isinstance(value, tuple):  # a port of the client's, of which only the range is known
        low, high = value
        return overlap(low, high, element, element) if isinstance(element, int) else None
    if isinstance(value, IPv4Address | IPv6Address):
        return value == _address(str(element))
    if isinstance(value, str):
        return _same_name(value, element)
    if isinstance(element, str):
        element = _BITS.get(element, int(element) if element.isdecimal() else None)
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
        other = _address(str(right))
        return _ORDER[op](left, other) if type(other) is type(left) else None
    if not isinstance(right, int) or not isinstance(left, int | tuple):
        return None
    smallest, largest = left if isinstance(left, tuple) else (left, left)
    answers = {_ORDER[op](smallest, right), _ORDER[op](largest, right)}
    return answers.pop() if len(answers) == 1 else None


def _between(value: Any, first: Any, last: Any) -> bool | None:
    if isinstance(value, IPv4Address | IPv6Address):
        low, high = _address(str(first)), _address(str(last))
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
    bits = _combined(right if isinstance(right, list) else [right])
    return bool(left & bits) if isinstance(left, int) and bits is not None else None


def _combined(names: list[Any]) -> int | None:
    bits = 0
    for name in names:
        if name not in _BITS:
            return None
        bits |= _BITS[name]
    return bits


def _arithmetic(kind: str, operands: list[Any]) -> Any:
    if kind not in _BINARY or not operands:
        return None
    if any(item is ABSENT for item in operands):
        return ABSENT
    result = operands[0]
    for operand in operands[1:]:
        if isinstance(result, IPv4Address | IPv6Address) and type(operand) is type(result):
            result = type(result)(_BINARY[kind](int(result), int(operand)))
        elif isinstance(result, int) and isinstance(operand, int) and _fits(kind, operand):
            result = _BINARY[kind](result, operand)
        else:
            return None
    return result


def _fits(kind: str, operand: int) -> bool:
    return kind not in ("<<", ">>") or 0 <= operand < _MARK_BITS


def _payload(protocol: str, name: str, packet: Packet) -> Any:
    version = {"ip": 4, "ip6": 6}.get(protocol)
    if version:
        if (packet.ipv6 and version == 4) or (not packet.ipv6 and version == 6):
            return ABSENT
        return {
            "saddr": packet.source,
            "daddr": packet.destination,
            "protocol": "tcp",
            "nexthdr": "tcp",
            "version": version,
            "frag-off": _DONT_FRAGMENT,
        }.get(name)
    if protocol in ("tcp", "th"):
        return {"dport": packet.port, "sport": CLIENT_PORTS, "flags": _FLAGS["syn"]}.get(name)
    return ABSENT if protocol in _OTHERS else None


def _meta(key: str, packet: Packet) -> Any:
    known: Mapping[str, Any] = {
        "iifname": packet.interface,
        "iif": packet.interface,
        "oifname": packet.out,
        "oif": packet.out,
        "l4proto": "tcp",
        "nfproto": "ipv6" if packet.ipv6 else "ipv4",
        "protocol": "ip6" if packet.ipv6 else "ip",
        "mark": packet.mark,
        "pkttype": "host",
    }
    return known.get(key)


def _ct(key: str, direction: str, packet: Packet) -> Any:
    if key == "state":
        return _STATES[packet.state]
    if packet.state != "new":
        return ABSENT
    address, port = packet.asked_for
    own_kind = "ip6" if packet.ipv6 else "ip"
    if key == "status":
        return {"dnat": packet.redirected, "confirmed": False, "assured": False}
    if key in ("proto-dst", "proto-src", "saddr", "daddr") or " " in key:
        if direction != "original":
            return None
        family, _, name = key.rpartition(" ")
        if family not in ("", own_kind):
            return ABSENT
        return {
            "proto-dst": port, "proto-src": CLIENT_PORTS, "daddr": address, "saddr": packet.source
        }.get(name)  # fmt: skip
    known = {
        "mark": packet.connection_mark,
        "direction": "original",
        "l3proto": "ipv6" if packet.ipv6 else "ipv4",
        "protocol": "tcp",
    }
    return known.get(key)


def _fib(body: Mapping[str, Any], packet: Packet) -> Any:
    """What the routing table says; packets come in where their answers would go out."""
    flags = body.get("flags")
    names = flags if isinstance(flags, list) else [flags]
    if body.get("result") == "type":
        return packet.kind_of(packet.destination if "daddr" in names else packet.source)
    if "saddr" in names and body.get("result") in ("oif", "oifname"):
        return packet.interface
    if body.get("result") == "check":  # whether there is a route: nft has so called it since 1.1.2
        return True
    return None


@lru_cache(maxsize=1 << 16)  # the same rules are asked again for each caller and port
def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


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
