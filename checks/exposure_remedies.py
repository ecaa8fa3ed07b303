"""Ways out of exposure.lan: publish on the LAN address, or have the right chain drop the others.

Docker leads what it publishes past the chain INPUT, which ufw, firewalld and most administrators
write to. Its own chain DOCKER-USER comes before its rules, but after the port has been changed to
the container's, so the port that was called is asked of connection tracking.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import ip_address, ip_network
from typing import NamedTuple

from biostudio_doctor.host.addresses import Address
from biostudio_doctor.host.firewall import FirewallFacts
from biostudio_doctor.model import Remedy

from .exposure_reach import Exposure

_RELOAD = "firewall-cmd --reload"
_LAN = "LAN_NETWORK"  # stands where no network of the LAN is known
_MEMCACHED = "memcached, which has no passwords, needs the rules at any address."
_SETTINGS = {
    "redis": "bind in redis.conf",
    "postgresql": "listen_addresses in postgresql.conf",
    "memcached": "-l of memcached",
}


class _Door(NamedTuple):
    """An interface by which somebody far away gets in, to a chain."""

    interface: str
    ipv6: bool
    chain: str
    manager: str
    zone: str


def remedies(
    exposures: Sequence[Exposure],
    own: Sequence[Address],
    firewall: FirewallFacts,
    neighbours: Sequence[str],
) -> dict[bool, Remedy]:
    """One for what Docker publishes (True) and one for all else, each for all ports together."""
    found = {}
    for published in (True, False):
        these = [one for one in exposures if one.published is published]
        doors = _doors(these, firewall)
        open_ports = {port for ports in doors.values() for port in ports}
        these = [one for one in these if one.port in open_ports] or these
        commands = list(
            dict.fromkeys(
                command
                for door, ports in doors.items()
                for command in _closed(door, ports, _sources(door, own, neighbours))
            )
        )
        commands.sort(key=lambda command: command == _RELOAD)  # which comes last
        bind = _publish(these, own) if published else _listen(these, own)
        # Where all are bound to single private addresses already, only the rules are left.
        bound = bool(commands) and not any(map(_is_movable, these))
        words = [] if bound else [bind]
        if commands:
            words.append(_about(" ".join(commands), alone=bound))
        if not bound and any(one.service == "memcached" for one in these):
            words.append(_MEMCACHED)
        found[published] = Remedy(" ".join(words), tuple(commands))
    return found


def _is_movable(one: Exposure) -> bool:
    """Whether it is bound to more than private addresses."""
    return one.everywhere or any(address.kind == "public" for address in one.where)


def _doors(exposures: Sequence[Exposure], firewall: FirewallFacts) -> dict[_Door, list[int]]:
    """By which interfaces which ports are open, in the order in which they were looked at."""
    doors: dict[_Door, list[int]] = {}
    for one in exposures:
        private = one.everywhere or one.service == "memcached"  # as it is judged
        kinds = ("public", "private") if private else ("public",)
        for address in (found for kind in kinds for found in one.opened(firewall, kind)):
            verdict = one.stranger(address)
            led = bool(verdict and verdict.led_to)
            door = _Door(
                interface=address.interface,
                ipv6=address.is_ipv6,
                chain="DOCKER-USER" if led else "INPUT",
                manager="iptables" if led else _manager(firewall),
                zone=verdict.zone if verdict else "",
            )
            ports = doors.setdefault(door, [])
            if one.port not in ports:
                ports.append(one.port)
    return doors


def _manager(firewall: FirewallFacts) -> str:
    """With what to write rules for programs that listen themselves."""
    names = ("ufw", "firewalld", "iptables", "docker", "nft")
    found = next((name for name in names if name in firewall.managers), "")
    return "iptables" if found in ("docker", "") else found


def _sources(door: _Door, own: Sequence[Address], neighbours: Sequence[str]) -> list[str]:
    """Who is to get in by this door: its private networks, and the machines that are configured."""
    networks = list(
        dict.fromkeys(
            one.network
            for one in own
            if one.interface == door.interface
            and one.kind == "private"
            and one.is_ipv6 == door.ipv6
        )
    )
    for neighbour in neighbours:
        try:
            address = ip_address(neighbour.strip("[]"))
        except ValueError:
            continue
        near = any(address in ip_network(network) for network in networks)
        if (address.version == 6) == door.ipv6 and not near and not address.is_loopback:
            networks.append(str(address))
    elsewhere = any(one.kind == "private" and not one.guests for one in own)
    return networks or ([] if elsewhere else [_LAN])


def _closed(door: _Door, ports: Sequence[int], sources: Sequence[str]) -> Iterator[str]:
    if door.manager == "ufw":
        yield from _by_ufw(door, ports, sources)
    elif door.manager == "firewalld":
        yield from _by_firewalld(door, ports, sources)
    elif door.manager == "nft":
        yield from _by_nft(door, ports, sources)
    else:
        yield from _by_iptables(door, ports, sources)


def _by_iptables(door: _Door, ports: Sequence[int], sources: Sequence[str]) -> Iterator[str]:
    """The rule that was inserted last comes first: whoever is let in stands before the drop."""
    program = "ip6tables" if door.ipv6 else "iptables"
    insert = f"{program} -I {door.chain} -i {door.interface}"
    led = door.chain == "DOCKER-USER"
    if led:  # which asks for one port, or a range, at a time
        which = [f"-p tcp -m conntrack --ctdir ORIGINAL --ctorigdstport {port}" for port in ports]
    else:
        which = [f"-p tcp -m multiport --dports {','.join(map(str, ports))}"]
    one = f" ! -s {sources[0]}" if len(sources) == 1 else ""
    for match in which:
        yield f"{insert}{one} {match} -j DROP"
        if len(sources) > 1:
            for source in sources:
                yield f"{insert} -s {source} {match} -j {'RETURN' if led else 'ACCEPT'}"


def _by_nft(door: _Door, ports: Sequence[int], sources: Sequence[str]) -> Iterator[str]:
    """A table of its own: what any chain drops is dropped."""
    yield "nft add table inet biostudio"
    yield "nft 'add chain inet biostudio input { type filter hook input priority -1 ; }'"
    family = "ip6" if door.ipv6 else "ip"
    version = f"meta nfproto ipv{6 if door.ipv6 else 4}"
    whom = f"{family} saddr != {{ {', '.join(sources)} }}" if sources else version
    which = f"tcp dport {{ {', '.join(map(str, ports))} }}"
    yield f"nft 'add rule inet biostudio input iifname \"{door.interface}\" {whom} {which} drop'"


def _by_ufw(door: _Door, ports: Sequence[int], sources: Sequence[str]) -> Iterator[str]:
    for port in ports:
        yield f"ufw prepend deny in on {door.interface} to any port {port} proto tcp"
        for source in sources:
            yield (
                f"ufw prepend allow in on {door.interface} from {source} to any port {port} "
                "proto tcp"
            )


def _by_firewalld(door: _Door, ports: Sequence[int], sources: Sequence[str]) -> Iterator[str]:
    """Rich rules that drop come before what is opened; priorities are known since 0.7."""
    zone = f" --zone={door.zone}" if door.zone else ""
    family = f'family="ipv{6 if door.ipv6 else 4}"'
    add = f"firewall-cmd --permanent{zone} --add-rich-rule="
    for port in ports:
        what = f'port port="{port}" protocol="tcp"'
        if len(sources) == 1:
            yield f"{add}'rule {family} source NOT address=\"{sources[0]}\" {what} drop'"
            continue
        for source in sources:
            whom = f'priority="-2" {family} source address="{source}"'
            yield f"{add}'rule {whom} {what} accept'"
        yield f"{add}'rule priority=\"-1\" {family} {what} drop'"
    yield _RELOAD


def _publish(exposures: Sequence[Exposure], own: Sequence[Address]) -> str:
    port = exposures[0].port if exposures else 6379
    return (
        f"Make the container anew with these ports published on the LAN address alone, as in "
        f"docker run -p {_lan_address(own)}:{port}:{port} instead of -p {port}:{port}."
    )


def _listen(exposures: Sequence[Exposure], own: Sequence[Address]) -> str:
    settings = [_SETTINGS[one.service] for one in exposures if one.service in _SETTINGS]
    which = f" ({'; '.join(dict.fromkeys(settings))})" if settings else ""
    return f"Have these services listen at the LAN address alone, {_lan_address(own)}{which}."


def _lan_address(own: Sequence[Address]) -> str:
    usable = [one for one in own if one.kind == "private" and not one.guests]
    ordered = sorted(usable, key=lambda one: one.is_ipv6)
    if not ordered:
        return "LAN_ADDRESS"
    return f"[{ordered[0].address}]" if ordered[0].is_ipv6 else ordered[0].address


def _about(commands: str, *, alone: bool) -> str:
    words = f"{'Drop' if alone else 'Or drop'} all others, with the rules below"
    if "DOCKER-USER" in commands:
        words += (
            ": they are in Docker's own chain, since rules of ufw, of firewalld and in INPUT do "
            "not hold for what Docker publishes"
        )
    words += (
        ". If machines of BioStudio are in other networks too, name these in `nodes` of the "
        "configuration by their addresses, or let them in as well. Rules of iptables and nft are "
        "gone after a reboot: have them made again then."
    )
    if _LAN in commands:
        words += f" For {_LAN} put the network of the machines of BioStudio."
    return words
