"""Tries the rules of this host for everybody who may call it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from functools import cache
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

from biostudio_doctor.host import addresses
from biostudio_doctor.host.addresses import Address
from biostudio_doctor.host.firewall import managers
from biostudio_doctor.host.firewall.calls import Call, calls
from biostudio_doctor.host.firewall.facts import FirewallFacts, PortReach, Verb, Verdict
from biostudio_doctor.host.firewall.model import IpAddress, Packet
from biostudio_doctor.host.firewall.reading import RuleSets, read
from biostudio_doctor.host.firewall.walk import Outcome, TooManyRulesError, Walk

if TYPE_CHECKING:
    from biostudio_doctor.host import Host

#: Where a container would be that publishes a port; Docker's own default network.
_CONTAINER, _BRIDGE = ip_address("172.17.0.2"), "docker0"


def observe(
    host: Host, ports: Collection[int], *, publish: bool, peers: Iterable[str]
) -> FirewallFacts:
    """See `firewall.look`, which this is the body of."""
    try:
        own = addresses.own(host)
    except OSError as error:
        return FirewallFacts(problem=f"the host's addresses are not told: {error.strerror}")
    rules = read(host)
    filters = managers.docker_filters(host)
    judge = _Judge(host, own, rules)
    callers = calls(host, own, peers)
    return FirewallFacts(
        ports=tuple(
            PortReach(
                port=port,
                verdicts=tuple(judge.now(call, port) for call in callers),
                published=tuple(judge.published(call, port) for call in callers)
                if publish and filters
                else (),
            )
            for port in sorted(ports)
        ),
        unseen=tuple(rules.unseen),
        missing=rules.missing,
        managers=managers.in_force(rules),
        idle=managers.idle(host, rules),
        docker_filters=filters,
        addresses=own,
    )


class _Judge:
    """Leads packets through the rules and says what becomes of them."""

    def __init__(self, host: Host, own: Sequence[Address], rules: RuleSets) -> None:
        self._host = host
        self._own = frozenset(ip_address(address.address) for address in own)
        self._lans = frozenset(address.network for address in own if not address.is_ipv6)
        self._networks = sorted(
            ((ip_network(address.network), address.interface) for address in own),
            key=lambda pair: -pair[0].prefixlen,
        )
        self._rules = rules
        self._walk = Walk(rules.tables, self._route, cache(self._forwards))

    def now(self, call: Call, port: int) -> Verdict:
        """As the rules are."""
        return self._told(call, lambda: self._walk.arrive(self._packet(call, port)))

    def published(self, call: Call, port: int) -> Verdict:
        """As it would be if Docker published the port.

        That goes by destination NAT for IPv4 only, unless a network has IPv6 switched on; a
        program of Docker's listens for the rest, as any other would.
        """
        packet = self._packet(call, port)
        if packet.ipv6:
            return self.now(call, port)
        container = replace(packet.led_to(_CONTAINER, port), out=_BRIDGE)
        return self._told(call, lambda: self._walk.publish(packet, container))

    def _packet(self, call: Call, port: int) -> Packet:
        return Packet(
            source=_parsed(call.address),
            destination=_parsed(call.to),
            port=port,
            interface=call.interface,
            own=self._own,
            networks=self._lans,
        )

    def _route(self, packet: Packet) -> Packet:
        """Which of this host's interfaces leads to where the packet goes; None is another way."""
        target = packet.destination
        ways = (
            name
            for network, name in self._networks
            if network.version == target.version and target in network
        )
        return replace(packet, out=next(ways, None))

    def _forwards(self, interface: str, ipv6: bool) -> bool:
        """Whether the kernel passes on what comes in there."""
        path = (
            "/proc/sys/net/ipv6/conf/all/forwarding"
            if ipv6
            else f"/proc/sys/net/ipv4/conf/{interface}/forwarding"
        )
        return (self._host.read_if_any(path) or "1").strip() != "0"

    def _told(self, call: Call, walk: Callable[[], Sequence[Outcome]]) -> Verdict:
        try:
            outcomes = walk()
        except (TooManyRulesError, RecursionError):
            return _verdict(call, "unknown", by="there are too many rules to follow")
        refused = [item for item in outcomes if item.action != "accept"]
        # What is dropped says less to the caller than what is refused: it stands for both.
        refused.sort(key=lambda item: item.action != "drop")
        passed = [item for item in outcomes if item.action == "accept"]
        if passed and refused:
            doubt = next((item.packet.doubt for item in outcomes if item.packet.doubt), "")
            return _verdict(call, "unknown", by=f"it depends on {doubt}", outcome=refused[0])
        if passed and self._rules.unseen:
            return _verdict(call, "unknown", by=f"not read: {self._rules.unseen[0]}")
        if passed:
            return _verdict(call, "accept", outcome=passed[0])
        action: Verb = "drop" if refused[0].action == "drop" else "reject"
        return _verdict(call, action, by=refused[0].rule, outcome=refused[0])


_parsed = cache(ip_address)


def _verdict(call: Call, action: Verb, *, by: str = "", outcome: Outcome | None = None) -> Verdict:
    table = outcome.table if outcome else None
    trail = outcome.trail if outcome else ()
    end = outcome.packet if outcome else None
    return Verdict(
        source=call.source,
        address=call.address,
        to=call.to,
        interface=call.interface,
        action=action,
        by=by,
        led_to=f"{_bracketed(end.destination)}:{end.port}" if end and end.redirected else "",
        hook=outcome.hook if outcome else "",
        chain=(table.family, table.name, outcome.base) if table and outcome else (),
        program=table.program if table else "",
        manager=managers.of(table, trail, by_policy=outcome.by_policy) if table and outcome else "",
        zone=managers.zone(trail),
    )


def _bracketed(address: IpAddress) -> str:
    return f"[{address}]" if address.version == 6 else str(address)
