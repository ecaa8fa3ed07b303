"""The addresses of this host's own network interfaces, and what kind of address each one is."""

from __future__ import annotations

import errno
import ipaddress
import re
import socket
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

if TYPE_CHECKING:
    from biostudio_doctor.host import Host

Kind = Literal["loopback", "link-local", "private", "public"]

#: Not routed on the internet: RFC 1918, RFC 6598 (shared), RFC 4193 (unique local).
_PRIVATE = tuple(
    ipaddress.ip_network(network)
    for network in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
)
#: Interfaces that Docker, Podman, Kubernetes' networks, LXC and libvirt make for their guests.
_GUESTS = re.compile(
    r"docker\d|docker_gwbridge|br-[0-9a-f]{12}$|podman\d|cni|cbr0|veth|cali|flannel|cilium|lxc"
    r"|lxd|incusbr|virbr|vnet|vmnet|kube-|nodelocaldns|weave|antrea|ovn"
)


class Address(Struct, frozen=True, kw_only=True):
    """One address of an interface."""

    interface: str
    address: str  # without a scope such as "%eth0"
    network: str  # that it is in, such as "192.168.1.0/24"
    kind: Kind
    guests: bool = False  # leads to containers or virtual machines of this host, not to a LAN

    @property
    def is_ipv6(self) -> bool:
        """Whether it is an IPv6 address."""
        return ":" in self.address


def own(host: Host) -> tuple[Address, ...]:
    """The addresses of the interfaces that are up, be it without a carrier: they may get one.

    Raises:
        OSError: where they cannot be listed, also where `host` is not the machine we run on.
    """
    import psutil

    if not host.is_local:
        reason = "the addresses of another root cannot be listed"
        raise OSError(errno.EXDEV, reason, host.root)
    with host.doing("list the network interfaces"):
        interfaces = psutil.net_if_addrs()
        states = psutil.net_if_stats()
    found = []
    for label, entries in interfaces.items():
        interface = label.partition(":")[0]  # an address has the label eth0:1, where it has one
        if interface in states and "up" not in states[interface].flags.split(","):
            continue
        for entry in entries:
            if entry.family in (socket.AF_INET, socket.AF_INET6):
                address = entry.address.partition("%")[0]
                found.append(
                    Address(
                        interface=interface,
                        address=address,
                        network=_network(address, entry.netmask),
                        kind=kind(address),
                        guests=bool(_GUESTS.match(interface)),
                    )
                )
    return tuple(found)


def kind(address: str) -> Kind:
    """What kind of address it is; whatever is reserved for no private use counts as public.

    Raises:
        ValueError: if it is no IP address.
    """
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped:
        parsed = parsed.ipv4_mapped
    if parsed.is_loopback:
        return "loopback"
    if parsed.is_link_local:
        return "link-local"
    private = any(parsed.version == net.version and parsed in net for net in _PRIVATE)
    return "private" if private else "public"


def _network(address: str, mask: str | None) -> str:
    """The network of an address; the address alone where its mask is not known."""
    alone = "/128" if ":" in address else "/32"
    if mask and ":" in mask:
        mask = str(int(ipaddress.IPv6Address(mask)).bit_count())
    try:
        return str(ipaddress.ip_network(f"{address}/{mask}" if mask else address + alone, False))
    except ValueError:  # a mask with holes
        return address + alone
