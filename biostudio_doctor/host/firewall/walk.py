"""How a packet fares in the rule sets: through the chains of one hook after the other.

A new connection to this host passes `ingress`, `prerouting` (where destination NAT may lead it to a
container) and then `input`, or `forward` and `postrouting`. What one chain accepts the next one may
still refuse. (nft(8), "Address families" and "Verdict statements"; iptables(8).)
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from biostudio_doctor.host.firewall.model import TRACKING, Action, Chain, Packet, Rule, Table

_DEPTH = 64  # more jumps than any kernel follows
_BUDGET = 200_000  # rules for one packet
_PASSING = ("forward", "postrouting")
_NOT_FORWARDED = "the kernel of this host, which forwards no packets (net.ipv4.ip_forward)"

Route = Callable[[Packet], Packet]  # fills in where it leaves by


@dataclass(frozen=True)
class Outcome:
    """What became of a packet, and by which rule."""

    action: str  # accept, drop or reject
    packet: Packet
    rule: str = ""  # '' where nothing but the end of the chains decided
    table: Table | None = None
    base: str = ""  # the chain with the hook
    hook: str = ""
    trail: tuple[str, ...] = ()  # the chains that led to the rule, the base first
    by_policy: bool = False  # no rule decided


class TooManyRulesError(Exception):
    """A packet met more rules than one can follow."""


class Walk:
    """Leads packets through rule sets."""

    def __init__(
        self, tables: Sequence[Table], route: Route, forwards: Callable[[str, bool], bool]
    ):
        self._tables = tables
        self._route = route
        self._forwards = forwards  # (interface, ipv6): are packets passed on that come in there?
        self._budget = _BUDGET

    def arrive(self, packet: Packet) -> list[Outcome]:
        """All that may become of a packet."""
        self._budget = _BUDGET
        ended: list[Outcome] = []
        live = self._hooks(("ingress", "prerouting"), [packet], ended)
        here = [item for item in live if item.destination in item.own]
        arrived = _accepted(self._hooks(("input",), here, ended))
        passing = [self._route(item) for item in live if item.destination not in item.own]
        for item in [item for item in passing if not self._forwards(item.interface, item.ipv6)]:
            passing.remove(item)
            ended.append(Outcome("drop", item, _NOT_FORWARDED, hook="forward"))
        ended += _accepted(self._hooks(_PASSING, passing, ended))
        return ended + arrived

    def publish(self, packet: Packet, container: Packet) -> list[Outcome]:
        """What would become of it if an engine led it to a container.

        The engine's own chains let it pass; what stands before them, or beside them, may not.
        """
        self._budget = _BUDGET
        ended: list[Outcome] = []
        live = self._hooks(("ingress", "prerouting"), [packet], ended)
        led = {
            replace(container, mark=item.mark, connection_mark=item.connection_mark,
                    doubt=item.doubt)
            for item in live
        }  # fmt: skip
        ended += _accepted(self._hooks(_PASSING, list(led), ended, only=("DOCKER-USER",)))
        return ended

    def _hooks(
        self,
        hooks: Iterable[str],
        live: list[Packet],
        ended: list[Outcome],
        only: tuple[str, ...] = (),
    ) -> list[Packet]:
        """The packets that pass; what does not is added to `ended`.

        `only` are the chains through which an engine that inserts its rules at the top of
        iptables' FORWARD sends packets first; the rest of that chain is never reached.
        """
        for hook in hooks:
            for table, chain in self._bases(hook):
                replaced = chain
                if only and hook == "forward" and table.tool != "nft" and table.name == "filter":
                    replaced = replace_rules(table, chain, only)
                passed: dict[Packet, None] = {}
                for packet in live:
                    if not table.sees(packet) or _skips(chain, packet):
                        passed[packet] = None
                        continue
                    for outcome in self._base(table, replaced, hook, packet):
                        if outcome.action == "accept":
                            passed[outcome.packet] = None
                        else:
                            ended.append(outcome)
                live = list(passed)
        return live

    def _bases(self, hook: str) -> list[tuple[Table, Chain]]:
        found = [
            (table, chain)
            for table in self._tables
            for chain in table.chains.values()
            if chain.hook == hook
        ]
        return sorted(found, key=lambda pair: pair[1].priority)

    def _base(self, table: Table, chain: Chain, hook: str, packet: Packet) -> list[Outcome]:
        if chain.device is None:
            packet = packet.doubting(f"{table.label(chain.name)}, whose device is not told")
        early = hook == "ingress" or (hook == "prerouting" and chain.priority <= TRACKING)
        packet = replace(packet, early=early)
        outcomes, falls = self._chain(table, chain, packet, (chain.name,))
        policy = f"the policy of {table.label(chain.name)}"
        outcomes += [
            Outcome(chain.policy, item, policy, trail=(chain.name,), by_policy=True)
            for item in falls
        ]
        if chain.device is None:
            outcomes.append(Outcome("accept", packet))
        return [replace(item, table=table, base=chain.name, hook=hook) for item in outcomes]

    def _chain(
        self, table: Table, chain: Chain, packet: Packet, trail: tuple[str, ...]
    ) -> tuple[list[Outcome], dict[Packet, None]]:
        """Where it ends in a chain, and as what it falls out of its end."""
        outcomes: list[Outcome] = []
        falls: dict[Packet, None] = {}
        live: dict[Packet, None] = {packet: None}
        for rule in chain.rules:
            following: dict[Packet, None] = {}
            for item in live:
                for after, action in self._rule(rule, item):
                    if action.kind in ("next", "break"):
                        following[after] = None
                    elif action.kind == "return":
                        falls[after] = None
                    elif action.kind in ("accept", "drop", "reject"):
                        named = f"{rule.text} in {table.label(chain.name)}"
                        outcomes.append(Outcome(action.kind, after, named, trail=trail))
                    else:
                        more, fallen = self._jump(table, action, after, trail)
                        outcomes += more
                        (falls if action.kind == "goto" else following).update(fallen)
            live = following
            if not live:
                break
        return outcomes, falls | live

    def _jump(
        self, table: Table, action: Action, packet: Packet, trail: tuple[str, ...]
    ) -> tuple[list[Outcome], dict[Packet, None]]:
        target = table.chains.get(action.target)
        if target is None:
            doubted = packet.doubting(f"{table.label(action.target)}, which is not listed")
            return [Outcome("accept", doubted), Outcome("drop", doubted)], {doubted: None}
        if len(trail) > _DEPTH:
            raise TooManyRulesError
        return self._chain(table, target, packet, (*trail, target.name))

    def _rule(self, rule: Rule, packet: Packet) -> list[tuple[Packet, Action]]:
        """What one rule makes of a packet."""
        self._budget -= 1
        if self._budget < 0:
            raise TooManyRulesError
        ended: list[tuple[Packet, Action]] = []
        live = [packet]
        for step in rule.steps:
            following = []
            for item in live:
                for after, action in step(item):
                    if action.kind == "next":
                        following.append(after)
                    else:
                        ended.append((after, action))
            live = following
        return ended + [(item, Action("next")) for item in live]


def replace_rules(table: Table, chain: Chain, only: tuple[str, ...]) -> Chain:
    """The chain as it would be with nothing in it but jumps to these, and the rest accepted."""
    jumps = [Rule(f"-j {name}", (_jump_to(name),)) for name in only if name in table.chains]
    return replace(chain, rules=jumps, policy="accept")


def _jump_to(name: str) -> Callable[[Packet], list[tuple[Packet, Action]]]:
    return lambda packet: [(packet, Action("jump", name))]


def _skips(chain: Chain, packet: Packet) -> bool:
    """Whether the kernel leaves the chain out for this packet."""
    if chain.kind == "nat":  # the first chain that maps a connection has done so for good
        return not packet.tracked or (packet.redirected and chain.hook == "prerouting")
    return bool(chain.device) and packet.interface not in (chain.device or ())


def _accepted(live: Iterable[Packet]) -> list[Outcome]:
    return [Outcome("accept", packet) for packet in live]
