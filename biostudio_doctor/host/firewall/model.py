"""What rule sets are made of, whichever tool wrote them, and the packet that is led through them.

A rule is a row of steps. A step is a function that says what may become of a packet: more than one
thing where the rule looks at something that is not known of a packet which has not come yet.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import Literal, NamedTuple

IpAddress = IPv4Address | IPv6Address

#: Priorities of the tables of iptables, by hook (netfilter_ipv4.h: enum nf_ip_hook_priorities).
PRIORITIES = {"raw": -300, "mangle": -150, "nat": -100, "filter": 0, "security": 50}
#: From here on connection tracking has seen a packet (NF_IP_PRI_CONNTRACK).
TRACKING = -200
#: What a client chooses its own port from, wherever it is: the ephemeral ports of every system.
CLIENT_PORTS = (1024, 65535)


@dataclass(frozen=True)
class Packet:
    """The first packet (SYN) of a new TCP connection to this host."""

    source: IpAddress
    destination: IpAddress
    port: int
    interface: str  # that it came in by
    out: str | None = ""  # that it leaves by: '' not at all, None cannot be told
    original: tuple[IpAddress, int] | None = None  # where to, before it was led elsewhere
    own: frozenset[IpAddress] = frozenset()
    networks: frozenset[str] = frozenset()  # that this host is in, for their broadcast addresses
    mark: int | None = 0  # None: cannot be told
    connection_mark: int | None = 0
    tracked: bool = True
    early: bool = False  # connection tracking has not seen it yet
    noted: frozenset[str] = frozenset()  # sets of nftables that a rule added something of it to
    doubt: str = ""  # the first rule that might or might not have applied to it

    @property
    def ipv6(self) -> bool:
        """Whether it is of IPv6."""
        return self.destination.version == 6

    @property
    def redirected(self) -> bool:
        """Whether a rule changed where it goes to."""
        return self.original is not None

    @property
    def asked_for(self) -> tuple[IpAddress, int]:
        """The address and port that the client called."""
        return self.original or (self.destination, self.port)

    @property
    def state(self) -> str:
        """What connection tracking says of it."""
        if not self.tracked:
            return "untracked"
        return "invalid" if self.early else "new"

    def doubting(self, rule: str) -> "Packet":
        """The same, with the rule on which its fate depends."""
        return self if self.doubt else replace(self, doubt=rule)

    def led_to(self, destination: IpAddress, port: int) -> "Packet":
        """The same after destination NAT."""
        return replace(self, destination=destination, port=port, original=self.asked_for)

    def kind_of(self, address: IpAddress) -> str:
        """What the routing table takes an address for: local, broadcast, multicast or unicast."""
        if address in self.own or address.is_loopback:
            return "local"
        if address.is_multicast:
            return "multicast"
        if any(address == ip_network(network).broadcast_address for network in self.networks):
            return "broadcast"
        return "unicast"


class Action(NamedTuple):
    """What a step leads to."""

    kind: Literal["next", "break", "accept", "drop", "reject", "return", "jump", "goto"]
    target: str = ""


NEXT, BREAK = Action("next"), Action("break")  # go on in the rule; leave it for the following one
ACCEPT, DROP, REJECT, RETURN = Action("accept"), Action("drop"), Action("reject"), Action("return")

Branches = Sequence[tuple[Packet, Action]]
Step = Callable[[Packet], Branches]
Test = Callable[[Packet], bool | None]


@dataclass(frozen=True)
class Rule:
    """One rule, and how it is named to a person."""

    text: str
    steps: tuple[Step, ...]


@dataclass
class Chain:
    """A chain; the kernel calls those that have a hook, in the order of their priorities."""

    name: str
    rules: list[Rule] = field(default_factory=list)
    hook: str = ""
    priority: int = 0
    kind: str = "filter"
    policy: str = "accept"
    device: tuple[str, ...] | None = ()  # of an ingress chain; None: cannot be told


@dataclass
class Table:
    """A table, with the tool that lists it: "nft", "iptables" or "iptables-legacy"."""

    family: str  # ip, ip6, inet, netdev
    name: str
    tool: str = "nft"
    chains: dict[str, Chain] = field(default_factory=dict)

    def sees(self, packet: Packet) -> bool:
        """Whether packets of this one's IP version come here at all."""
        return self.family in ("inet", "netdev", "ip6" if packet.ipv6 else "ip")

    @property
    def program(self) -> str:
        """The command that changes this table."""
        if self.tool == "nft":
            return "nft"
        name = "ip6tables" if self.family == "ip6" else "iptables"
        return name + self.tool.removeprefix("iptables")

    def label(self, chain: str) -> str:
        """A chain of this table as people name it."""
        if self.tool == "nft":
            return f"chain {self.family} {self.name} {chain} of nftables"
        table = "" if self.name == "filter" else f" (table {self.name})"
        return f"chain {chain}{table} of {self.program}"


def always(action: Action) -> Step:
    """A step that leads every packet to the same."""
    return lambda packet: ((packet, action),)


def when(test: Test, rule: str) -> Step:
    """A step that only packets pass for which the test holds."""

    def step(packet: Packet) -> Branches:
        answer = test(packet)
        if answer is None:
            doubted = packet.doubting(rule)
            return (doubted, NEXT), (doubted, BREAK)
        return ((packet, NEXT if answer else BREAK),)

    return step


def either(*actions: Action, rule: str) -> Step:
    """A step of which it cannot be told where it leads."""
    return lambda packet: tuple((packet.doubting(rule), action) for action in actions)


def change(how: Callable[[Packet], Packet]) -> Step:
    """A step that changes the packet, such as its mark."""
    return lambda packet: ((how(packet), NEXT),)


def negated(test: Test) -> Test:
    """The opposite; what cannot be told stays so."""

    def opposite(packet: Packet) -> bool | None:
        answer = test(packet)
        return None if answer is None else not answer

    return opposite


def overlap(low: int, high: int, first: int, last: int) -> bool | None:
    """Whether a number from low to high is from first to last; None where it may or may not be."""
    if first <= low and high <= last:
        return True
    return False if high < first or last < low else None
