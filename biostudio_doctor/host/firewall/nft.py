"""The rule set of nftables as `nft -j list ruleset` prints it (libnftables-json(5))."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address
from types import MappingProxyType
from typing import Any, NamedTuple

from biostudio_doctor.host.firewall import matching
from biostudio_doctor.host.firewall.matching import NamedSet, Sets, matches
from biostudio_doctor.host.firewall.model import (
    ACCEPT,
    BREAK,
    DROP,
    NEXT,
    PRIORITIES,
    REJECT,
    RETURN,
    Action,
    Branches,
    Chain,
    Packet,
    Rule,
    Step,
    Table,
    always,
    change,
    either,
    when,
)  # fmt: skip
from biostudio_doctor.host.firewall.values import evaluate

_PLAIN = {"accept": ACCEPT, "drop": DROP, "reject": REJECT, "return": RETURN, "continue": BREAK}
#: Statements that let the first packet of a connection pass on to the next one.
_HARMLESS = frozenset((
    "counter", "log", "comment", "ct helper", "ct timeout", "ct expectation", "last", "flow", "dup",
    "snat", "masquerade", "secmark",
))  # fmt: skip
#: Chains of iptables' own; where these are, rules are written by iptables.
_OF_IPTABLES = frozenset(("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"))
_NOTHING = "no element"  # of a map
_FAMILIES = ("ip", "ip6", "inet", "netdev")
_TABLE = re.compile(r"^table (\S+) (\S+) \{")
_CHAIN = re.compile(r"^\tchain (\S+) \{")
_DORMANT = re.compile(r"^\tflags .*\bdormant\b")
_DEVICES = re.compile(r"^\t\ttype \S+ hook \S+ devices? (?:= \{)?([^};]*?)\}? priority ")


class Aside(NamedTuple):
    """What the listing in words tells better than JSON.

    nft 1.0.6 prints random letters for the flags of a table, and no devices for `ingress`.
    """

    dormant: frozenset[tuple[str, str]] = frozenset()  # tables (family, name) without effect
    devices: Mapping[tuple[str, str, str], tuple[str, ...]] = MappingProxyType({})


def needs_words(reply: Any) -> bool:
    """Whether `parse` has to be told what stands aside."""
    return any(
        (kind == "table" and "flags" in body)
        or (kind == "chain" and body.get("hook") == "ingress" and "dev" not in body)
        for kind, body in _objects(reply)
    )


def parse_words(listing: str) -> Aside:
    """What `nft list ruleset` says of tables and chains."""
    dormant: set[tuple[str, str]] = set()
    devices: dict[tuple[str, str, str], tuple[str, ...]] = {}
    table, chain = ("", ""), ""
    for line in listing.splitlines():
        if found := _TABLE.match(line):
            table, chain = (found[1], found[2]), ""
        elif found := _CHAIN.match(line):
            chain = found[1]
        elif _DORMANT.match(line):
            dormant.add(table)
        elif found := _DEVICES.match(line):
            names = (name.strip(' "') for name in found[1].split(","))
            devices[*table, chain] = tuple(filter(None, names))
    return Aside(frozenset(dormant), devices)


def parse(reply: Any, aside: Aside) -> list[Table]:
    """The tables of a decoded reply. Whatever is not understood becomes a rule in doubt."""
    tables: dict[tuple[str, str], Table] = {}
    sets: dict[tuple[str, str], Sets] = {}
    for kind, body in _objects(reply):
        owner = str(body.get("family")), str(body.get("table", body.get("name", "")))
        if kind == "table" and owner[0] in _FAMILIES:
            if owner not in aside.dormant and "dormant" not in _list(body.get("flags")):
                tables[owner] = Table(*owner)
        elif owner in tables:
            _add(kind, body, tables[owner], sets.setdefault(owner, {}))
    for (family, name, chain), devices in aside.devices.items():
        if (family, name) in tables and chain in tables[family, name].chains:
            tables[family, name].chains[chain].device = devices
    for table in tables.values():
        hooked = {chain.name for chain in table.chains.values() if chain.hook}
        if table.family != "inet" and table.name in PRIORITIES and hooked & _OF_IPTABLES:
            table.tool = "iptables"
    return list(tables.values())


def _objects(reply: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    entries = reply.get("nftables") if isinstance(reply, dict) else None
    for entry in _list(entries):
        for kind, body in entry.items() if isinstance(entry, dict) else ():
            if isinstance(body, dict):
                yield kind, body


def _add(kind: str, body: Mapping[str, Any], table: Table, sets: Sets) -> None:
    if kind == "chain":
        chain = _chain(body)
        table.chains[chain.name] = chain
    elif kind in ("set", "map"):
        sets[f"@{body.get('name')}"] = NamedSet(_list(body.get("elem")))
    elif kind == "rule" and (target := table.chains.get(str(body.get("chain")))):
        target.rules.append(_rule(body, len(target.rules) + 1, sets))


def foreign(reply: Any) -> set[tuple[str, str]]:
    """The tables (family, name) with rules of iptables-nft that nft cannot tell in full."""
    return {
        (str(body.get("family")), str(body.get("table")))
        for kind, body in _objects(reply)
        if kind == "rule"
        and any(isinstance(item, dict) and "xt" in item for item in _list(body.get("expr")))
    }


def _chain(body: Mapping[str, Any]) -> Chain:
    device = tuple(str(name) for name in _list(body.get("dev")))
    hook = str(body.get("hook", ""))
    return Chain(
        name=str(body.get("name")),
        hook=hook,
        priority=body["prio"] if isinstance(body.get("prio"), int) else 0,
        kind=str(body.get("type", "filter")),
        policy="drop" if body.get("policy") == "drop" else "accept",
        device=(device or None) if hook == "ingress" else (),
    )


def _rule(body: Mapping[str, Any], number: int, sets: Sets) -> Rule:
    comment = f' "{body["comment"]}"' if body.get("comment") else ""
    text = f"rule {number}{comment} (handle {body.get('handle')})"
    steps = []
    for statement in _list(body.get("expr")):
        pairs = statement.items() if isinstance(statement, dict) else ((str(statement), None),)
        steps += [_step(kind, value, text, sets) for kind, value in pairs]
    return Rule(text, tuple(steps))


def _step(kind: str, body: Any, text: str, sets: Sets) -> Step:
    """A statement as a step; one that is not known may do whatever a rule can do."""
    if kind in _PLAIN or kind in _HARMLESS:
        return always(_PLAIN.get(kind, NEXT))
    if kind in ("jump", "goto") and isinstance(body, dict):
        return always(Action(kind, str(body.get("target"))))  # type: ignore[arg-type]
    if kind == "match" and isinstance(body, dict):
        return when(lambda packet: _match(body, packet, sets), text)
    if kind in ("limit", "quota", "ct count"):
        return _limited(kind, body, text)
    if kind in ("set", "map", "meter") and isinstance(body, dict):
        return _noting(kind, body)
    if kind == "vmap" and isinstance(body, dict):
        return lambda packet: _verdicts(body, packet, text, sets)
    if kind == "mangle" and isinstance(body, dict):
        return change(lambda packet: _mangle(body, packet))
    if kind == "notrack":
        return change(lambda packet: replace(packet, tracked=False))
    if kind in ("dnat", "redirect"):
        given = body if isinstance(body, dict) else {}
        return lambda packet: _translate(kind, given, packet, text, sets)
    return either(NEXT, BREAK, ACCEPT, DROP, rule=text)  # queue, tproxy, synproxy, xt ...


def _match(body: Mapping[str, Any], packet: Packet, sets: Sets) -> bool | None:
    left = evaluate(body.get("left"), packet)
    return matches(left, str(body.get("op", "==")), body.get("right"), packet, sets)


def _limited(kind: str, body: Any, text: str) -> Step:
    """One call alone is over no rate and no number; of quotas and named limits nobody knows."""
    if kind == "quota" or not isinstance(body, dict) or "map" in body:
        return either(NEXT, BREAK, rule=text)
    return always(BREAK if body.get("inv") else NEXT)


def _noting(kind: str, body: Mapping[str, Any]) -> Step:
    """Adds something of the packet to a set, where each element may have a limit of its own."""
    name = str(body.get(kind))
    element = body.get("elem", body.get("key"))
    if isinstance(element, dict) and isinstance(element.get("elem"), dict):
        element = element["elem"].get("val")
    limits = [
        limit
        for statement in _list(body.get("stmt"))
        if isinstance(statement, dict)
        for limit in statement.values()
    ]
    over = any(isinstance(limit, dict) and limit.get("inv") for limit in limits)

    def step(packet: Packet) -> Branches:
        if matching.is_absent(evaluate(element, packet)):
            return ((packet, BREAK),)
        return ((replace(packet, noted=packet.noted | {name}), BREAK if over else NEXT),)

    return step


def _verdicts(body: Mapping[str, Any], packet: Packet, text: str, sets: Sets) -> Branches:
    branches = []
    for verdict, certain in matching.lookup(body.get("key"), body.get("data"), packet, sets):
        after = packet if certain else packet.doubting(text)
        branches.append((after, _action(verdict) if verdict is not None else BREAK))
    return branches


def _action(verdict: Any) -> Action:
    for kind, body in verdict.items() if isinstance(verdict, dict) else ():
        if kind in ("jump", "goto") and isinstance(body, dict):
            return Action(kind, str(body.get("target")))
        if kind in _PLAIN:
            return _PLAIN[kind]
    return BREAK


def _mangle(body: Mapping[str, Any], packet: Packet) -> Packet:
    """Only marks are looked at by other rules; a change of anything else is passed over."""
    value = evaluate(body.get("value"), packet)
    mark = value if isinstance(value, int) else None
    if body.get("key") == {"meta": {"key": "mark"}}:
        return replace(packet, mark=mark)
    if body.get("key") == {"ct": {"key": "mark"}}:
        return replace(packet, connection_mark=mark)
    return packet


def _translate(
    kind: str, body: Mapping[str, Any], packet: Packet, text: str, sets: Sets
) -> Branches:
    """Destination NAT, which also ends the walk through its chain."""
    if body.get("family", "") not in ("", "ip6" if packet.ipv6 else "ip"):
        return ((packet, BREAK),)
    branches = []
    for address, sure in _choices(body.get("addr"), packet, sets):
        for port, certain in _choices(body.get("port"), packet, sets):
            after = packet if sure and certain else packet.doubting(text)
            if _NOTHING in (address, port):
                branches.append((after, BREAK))
                continue
            target = _destination(kind, address, port, packet)
            if target is None:
                branches += [(after.doubting(text), ACCEPT), (after.doubting(text), DROP)]
            else:
                branches.append((after.led_to(*target), ACCEPT))
    return branches


def _choices(expression: Any, packet: Packet, sets: Sets) -> list[tuple[Any, bool]]:
    table = expression.get("map") if isinstance(expression, dict) else None
    if isinstance(table, dict):
        found = matching.lookup(table.get("key"), table.get("data"), packet, sets)
        return [(_NOTHING if result is None else result, sure) for result, sure in found]
    return [(expression, True)]


def _destination(
    kind: str, address: Any, port: Any, packet: Packet
) -> tuple[IPv4Address | IPv6Address, int] | None:
    if isinstance(address, dict) and "concat" in address:
        address, port = (*_list(address["concat"]), None)[:2]
    if isinstance(address, dict) and "range" in address:  # one of a pool: any stands for them
        address = _list(address["range"])[0]
    if isinstance(address, dict) and "prefix" in address:
        prefix = matching.prefix(address["prefix"])
        address = str(prefix.network_address) if prefix else None
    if isinstance(port, dict):
        port = (_list(port.get("range")) or [None])[0]
    if address is None and kind == "dnat" and port is None:
        return None
    try:
        target = packet.destination if address is None else ip_address(str(address))
    except ValueError:
        return None
    return target, port if isinstance(port, int) else packet.port


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
