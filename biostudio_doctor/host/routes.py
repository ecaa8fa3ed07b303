"""The IPv4 routing table, and which of its networks belong to container engines."""

from __future__ import annotations

import re
import sys
from ipaddress import IPv4Network

from msgspec import Struct

_ENGINE_INTERFACE = re.compile(
    r"docker\d|docker_gwbridge$|br-[0-9a-f]{12}$|podman\d|cni|veth|cali|flannel"
)


class Route(Struct, frozen=True):
    """A network that is reached through an interface."""

    network: str
    interface: str

    @property
    def of_engine(self) -> bool:
        """Whether a container engine made it."""
        return bool(_ENGINE_INTERFACE.match(self.interface))


def parse_routes(text: str) -> list[Route]:
    """/proc/net/route without the default route; lines that are no routes are passed over."""
    routes = []
    for line in text.splitlines()[1:]:
        fields = line.split()
        try:
            address, mask = _address(fields[1]), _address(fields[7])
            network = IPv4Network((address, bin(mask).count("1")))
        except (IndexError, ValueError, OverflowError):
            continue
        if network.prefixlen:
            routes.append(Route(str(network), fields[0]))
    return routes


def _address(field: str) -> int:
    """The kernel prints the four bytes, as they are in memory, as one hexadecimal number."""
    return int.from_bytes(int(field, 16).to_bytes(4, sys.byteorder), "big")


def default_interfaces(table: str, table6: str) -> tuple[set[str], set[str]]:
    """The interfaces that the IPv4 and the IPv6 default routes use.

    From /proc/net/route and /proc/net/ipv6_route (the kernel's rt6_info_route: destination, prefix
    length in hexadecimal, ..., flags, interface).
    """
    lines = [line.split() for line in table.splitlines()[1:]]
    found = {fields[0] for fields in lines if len(fields) > 7 and fields[1] == fields[7] == "0" * 8}
    lines6 = [line.split() for line in table6.splitlines()]
    found6 = {
        fields[9]
        for fields in lines6
        if len(fields) > 9 and fields[:2] == ["0" * 32, "00"] and fields[9] != "lo"
    }
    return found, found6
