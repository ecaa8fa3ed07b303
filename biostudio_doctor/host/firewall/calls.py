"""Who calls this host, for whom the rules are tried."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING

from msgspec import Struct

from biostudio_doctor.host.addresses import Address
from biostudio_doctor.host.firewall.facts import Source
from biostudio_doctor.host.routes import default_interfaces

if TYPE_CHECKING:
    from biostudio_doctor.host import Host

#: Somebody far away: addresses of iana.org, since lists of forbidden senders often hold those that
#: are reserved for documentation. Nothing is sent to them.
FAR_AWAY = {4: "192.0.43.8", 6: "2001:500:88:200::8"}
_ADDRESS_LIMIT = 16  # of this host; more would tell nothing new


class Call(Struct, frozen=True):
    """Somebody who calls one of this host's addresses."""

    source: Source
    address: str
    to: str
    interface: str


def calls(host: Host, own: Sequence[Address], peers: Iterable[str]) -> list[Call]:
    """Everybody for whom the rules are tried, by the address of this host that each one calls."""
    ways = default_interfaces(
        host.read_if_any("/proc/net/route") or "", host.read_if_any("/proc/net/ipv6_route") or ""
    )
    called = [a for a in own if a.kind in ("private", "public") and not a.guests]
    taken = {address.address for address in own}
    networks = [ip_network(mine.network) for mine in called]
    found = []
    for mine in called[:_ADDRESS_LIMIT]:
        outward = mine.interface in ways[mine.is_ipv6]
        network = ip_network(mine.network)
        neighbour = _neighbour(network, taken)
        if neighbour:
            found.append(Call("lan", neighbour, mine.address, mine.interface))
        if outward or mine.kind == "public":
            far = FAR_AWAY[6 if mine.is_ipv6 else 4]
            found.append(Call("internet", far, mine.address, mine.interface))
        for peer in _addresses_of(peers):
            near = any(peer in other for other in networks)
            if peer.version == network.version and (peer in network or (outward and not near)):
                found.append(Call("peer", str(peer), mine.address, mine.interface))
    return found


def _neighbour(network: IPv4Network | IPv6Network, taken: Collection[str]) -> str:
    """Somebody in this network whom no rule is likely to name; '' where there is room for none."""
    last = network.num_addresses - 2  # before the broadcast address
    for offset in (5, 6, 7, 8, 0, 1, 2):
        if last - offset > 0:
            candidate = str(network[last - offset])
            if candidate not in taken:
                return candidate
    return ""


def _addresses_of(peers: Iterable[str]) -> list[IPv4Address | IPv6Address]:
    found = []
    for peer in peers:
        try:
            found.append(ip_address(peer.strip("[]")))
        except ValueError:
            continue
    return found
