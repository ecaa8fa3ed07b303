"""Addresses under other addresses: what was one network stays one, and nobody knows which it was.

Octets are permuted one by one, by a permutation that depends on the key and on the octets before,
so that what had its first 8, 16 or 24 bits in common still has (as Xu, Fan and others did it bit
by bit: "Prefix-preserving IP address anonymization", 2002). 0 stays 0, so that a network remains
one, and the last octet stays, so that a gateway remains .1. No two addresses become the same.
"""

import hashlib
import hmac
from functools import lru_cache
from ipaddress import IPv6Address, ip_network

#: What says nothing of a site, and something about a fault: this host, its link, groups,
#: documentation (RFC 1122, 3927, 5735, 5737, 3849), and network masks.
_KEPT_FIRST = {0, 127, *range(224, 256)}
_KEPT = [
    ip_network(text)
    for text in (
        "::/127", "fe80::/10", "ff00::/8", "2001:db8::/32", "3fff::/20", "100::/64",
    )
]  # fmt: skip
#: First octets within which some networks are private or reserved: they stay, and the second
#: octets are permuted among those that are, and among those that are not.
_MIXED = {
    100: range(64, 128),
    169: range(254, 255),
    172: range(16, 32),
    192: range(168, 169),
    198: range(18, 20),
}
_ORDINARY = [
    octet for octet in range(1, 224)
    if octet not in (10, 127, 203, *_MIXED)
]  # fmt: skip


class Addresses:
    """The permutation under one key."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._table = lru_cache(maxsize=4096)(self._permutation)

    def v4(self, octets: tuple[int, ...]) -> tuple[int, ...]:
        """An IPv4 address for another."""
        first, second, third, last = octets
        if first in _KEPT_FIRST or octets[:2] == (169, 254) or octets[:3] in _DOCUMENTATION:
            return octets
        new_first = first
        if first in _ORDINARY:
            new_first = self._table((), tuple(_ORDINARY))[first]
        special = _MIXED.get(first, range(0))
        among = [n for n in range(256) if n and (n in special) == (second in special)]
        new_second = self._table((first,), tuple(among)).get(second, second)
        thirds = [n for n in range(1, 256) if (first, second, n) not in _DOCUMENTATION
                  and (first, new_second, n) not in _DOCUMENTATION]  # fmt: skip
        new_third = self._table((first, second), tuple(thirds)).get(third, third)
        return new_first, new_second, new_third, last

    def v6(self, address: IPv6Address) -> IPv6Address:
        """An IPv6 address for another: /16, /32, /48 and /64 stay together."""
        if any(address in network for network in _KEPT):
            return address
        whole = int(address)
        groups = [(whole >> shift) & 0xFFFF for shift in range(112, 48, -16)]
        new = groups[:1]  # which says no more than global or local
        for index in range(1, 4):
            new.append(self._group(tuple(groups[:index]), groups[index]))
        interface = whole & (1 << 64) - 1
        if interface > 0xFFFF:
            interface = int.from_bytes(self._digest(b"interface", whole.to_bytes(16))[:8])
        prefix = int.from_bytes(b"".join(group.to_bytes(2) for group in new))
        return IPv6Address(prefix << 64 | interface)

    def _permutation(self, before: tuple[int, ...], among: tuple[int, ...]) -> dict[int, int]:
        drawn = {n: self._digest(b"octet", bytes([*before, n])) for n in among}
        return dict(zip(among, sorted(among, key=drawn.__getitem__), strict=True))

    def _group(self, before: tuple[int, ...], value: int) -> int:
        """A permutation of 16 bits (a Feistel network of four rounds) under which 0 stays 0."""
        new = self._feistel(before, value)
        return 0 if not value else new or self._feistel(before, 0)

    def _feistel(self, before: tuple[int, ...], value: int) -> int:
        left, right = value >> 8, value & 0xFF
        for turn in range(4):
            message = repr((before, turn, right)).encode()
            left, right = right, left ^ self._digest(b"group", message)[0]
        return left << 8 | right

    def _digest(self, purpose: bytes, message: bytes) -> bytes:
        return hmac.digest(self._key, purpose + b"\0" + message, hashlib.sha256)


_DOCUMENTATION = {(192, 0, 2), (198, 51, 100), (203, 0, 113)}
