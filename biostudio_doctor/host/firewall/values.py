"""Expressions of nftables (libnftables-json(5)): their value for a packet."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, Final

from biostudio_doctor.host.firewall.model import CLIENT_PORTS, Packet


class _Absent:
    """The value of what such a packet does not have, which matches nothing."""


ABSENT: Final = _Absent()
#: Protocols of which a TCP packet has no header.
_OTHERS = frozenset((
    "udp", "udplite", "icmp", "icmpv6", "igmp", "sctp", "dccp", "esp", "ah", "comp", "arp", "gre",
))  # fmt: skip

_STATES = {"invalid": 1, "established": 2, "related": 4, "new": 8, "untracked": 64}
_FLAGS = {
    "fin": 1, "syn": 2, "rst": 4, "psh": 8, "ack": 16, "urg": 32, "ecn": 64, "cwr": 128,
}  # fmt: skip
#: Names of bits, as rules have them.
BITS = _STATES | _FLAGS
_BINARY = {"&": operator.and_, "|": operator.or_, "^": operator.xor,
           "<<": operator.lshift, ">>": operator.rshift}  # fmt: skip
_MARK_BITS = 32
_DONT_FRAGMENT = 0x4000  # as every system asks of the first packet; and it is no fragment itself


def evaluate(expression: Any, packet: Packet) -> Any:
    """The value: a number, an address, a name, a range (first, last), a list of such.

    None where it cannot be told, ABSENT where the packet has no such thing.
    """
    if isinstance(expression, int) and not isinstance(expression, bool):
        return expression
    if isinstance(expression, str):
        return BITS.get(expression, address_of(expression))
    if isinstance(expression, list):
        return bits_of(expression)
    if not isinstance(expression, dict) or len(expression) != 1:
        return None
    ((kind, body),) = expression.items()
    if isinstance(body, list):
        values = [evaluate(item, packet) for item in body]
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


def bits_of(names: list[Any]) -> int | None:
    """The flags or states with these names together; None if one of them is none."""
    bits = 0
    for name in names:
        if name not in BITS:
            return None
        bits |= BITS[name]
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
def address_of(text: str) -> IPv4Address | IPv6Address | None:
    """The address that is written there; None if it is none."""
    try:
        return ip_address(text)
    except ValueError:
        return None
