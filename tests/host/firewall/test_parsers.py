"""Whatever a listing holds, it is read without an error, and what is not understood is in doubt."""

import contextlib
import time
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biostudio_doctor.host.firewall import iptables, nft
from biostudio_doctor.host.firewall.model import Packet, Table
from biostudio_doctor.host.firewall.walk import TooManyRulesError, Walk

SYN = Packet(
    source=ip_address("10.9.0.249"),
    destination=ip_address("10.9.0.2"),
    port=80,
    interface="eth0",
    own=frozenset((ip_address("10.9.0.2"),)),
)


def fate(tables: list[Table], packet: Packet = SYN) -> set[str]:
    walk = Walk(tables, lambda item: item, lambda interface, ipv6: True)
    return {outcome.action for outcome in walk.arrive(packet)}


def ruleset(*rules: Any, policy: str = "accept", **extra: Any) -> Any:
    at = {"family": "inet", "table": "t", "chain": "in"}
    chain = {"family": "inet", "table": "t", "name": "in", "hook": "input", "prio": 0}
    return {
        "nftables": [
            {"metainfo": {}},
            {"table": {"family": "inet", "name": "t", **extra}},
            {"chain": {**chain, "type": "filter", "policy": policy}},
            *({"rule": {**at, "handle": 1, "expr": rule}} for rule in rules),
        ]
    }


def nft_fate(*rules: Any, **extra: Any) -> set[str]:
    return fate(nft.parse(ruleset(*rules, **extra), nft.Aside()))


PORT = {"payload": {"protocol": "tcp", "field": "dport"}}
words = st.sampled_from([
    "match", "op", "left", "right", "==", "in", "!=", "<", "payload", "meta", "ct", "key", "field",
    "protocol", "tcp", "dport", "ip", "saddr", "set", "map", "vmap", "data", "elem", "val", "range",
    "prefix", "addr", "len", "concat", "&", "|", "<<", "accept", "drop", "jump", "goto", "target",
    "in", "@s", "*", "lo", "dnat", "redirect", "port", "family", "mangle", "value", "mark", "fib",
    "result", "flags", "state", "new", "10.0.0.1", "inv", "limit", "iifname", "status", "dnat",
])  # fmt: skip
junk = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 70000) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=12,
)


@given(st.lists(junk, max_size=4), junk)
def test_nft_never_raises(expression: Any, elements: Any) -> None:
    listing = ruleset(expression, [{"jump": {"target": "in"}}])
    listing["nftables"].insert(
        2, {"set": {"family": "inet", "table": "t", "name": "s", "elem": elements}}
    )
    with contextlib.suppress(TooManyRulesError):
        assert fate(nft.parse(listing, nft.Aside())) <= {"accept", "drop", "reject"}


@given(junk)
def test_nft_bears_any_reply(reply: Any) -> None:
    assert isinstance(nft.parse(reply, nft.Aside()), list)
    nft.foreign(reply)
    nft.needs_words(reply)


option = st.sampled_from([
    "-p tcp", "! -p tcp", "-s 10.0.0.0/8", "-s 10.0.0.1/255.0.255.0", "! -i eth+", "-o", "-m", "!",
    "--dport 80", "--dports 1:,x", "-m mark --mark 0x1/", "-j DNAT --to-destination :", "-g in",
    "-j MARK --set-xmark 1/z", "-j NOWHERE", "--src-range 1-2", "--ctstate NEW", "-j INPUT", "'",
    "--comment \"- !\"", "--tcp-flags SYN", "-m recent --rcheck", "--hitcount 5", "-j REDIRECT",
])  # fmt: skip


@given(st.lists(st.lists(option | st.text(max_size=5), max_size=5), max_size=5))
def test_iptables_never_raises(lines: list[list[str]]) -> None:
    rules = "\n".join("-A INPUT " + " ".join(line) for line in lines)
    tables = iptables.parse(f"*filter\n:INPUT ACCEPT [0:0]\n{rules}\nCOMMIT", "ip", "iptables")
    with contextlib.suppress(TooManyRulesError):
        assert fate(tables) <= {"accept", "drop", "reject"}


@given(st.text())
def test_words_are_borne(text: str) -> None:
    nft.parse_words(text)
    iptables.parse(text, "ip", "iptables")


@pytest.mark.parametrize(
    "doubtful",
    [
        {"match": {"op": "==", "left": {"meta": {"key": "hour"}}, "right": 5}},
        {"match": {"op": "==", "left": {"numgen": {"mode": "random", "mod": 2}}, "right": 0}},
        {"match": {"op": "==", "left": {"payload": {"protocol": "ether", "field": "saddr"}},
                   "right": "02:00:00:00:00:01"}},
        {"match": {"op": "==", "left": {"payload": {"base": "nh", "offset": 72, "len": 8}},
                   "right": 6}},
        {"quota": {"val": 100, "val_unit": "mbytes", "inv": True}},
        {"limit": "a limit with a name, which may be one that is over it"},
        {"queue": {"num": 1}},
        {"xt": None},
        {"never heard of": {}},
    ],
)  # fmt: skip
def test_what_is_not_known_is_in_doubt(doubtful: Any) -> None:
    assert nft_fate([doubtful, {"drop": None}]) == {"accept", "drop"}
    # ... unless it ends the same either way, or the rule is of no concern.
    assert nft_fate([doubtful, {"drop": None}], [{"drop": None}]) >= {"drop"}
    other = {"match": {"op": "==", "left": PORT, "right": 443}}
    assert nft_fate([other, doubtful, {"drop": None}]) == {"accept"}


def test_a_doubt_without_effect_is_none() -> None:
    hour = {"match": {"op": "==", "left": {"meta": {"key": "hour"}}, "right": 5}}
    assert nft_fate([hour, {"drop": None}], [{"drop": None}]) == {"drop"}


def test_who_was_added_on_the_way_may_be_in_a_set() -> None:
    add = {"set": {"op": "add", "elem": PORT, "set": "@s"}}
    asked = {"match": {"op": "==", "left": PORT, "right": "@s"}}
    listing = ruleset([asked, {"drop": None}], [add], [asked, {"drop": None}])
    listing["nftables"].insert(2, {"set": {"family": "inet", "table": "t", "name": "s"}})
    assert fate(nft.parse(listing, nft.Aside())) == {"accept", "drop"}
    listing["nftables"].pop(-2)  # nobody adds
    assert fate(nft.parse(listing, nft.Aside())) == {"accept"}


def test_the_route_back_as_new_versions_ask_for_it() -> None:
    """The listing of nft 1.1.2 and later, which is not to be had here."""
    back = {"fib": {"result": "check", "flags": ["saddr", "iif"]}}
    assert nft_fate([{"match": {"op": "==", "left": back, "right": False}}, {"drop": None}]) == {
        "accept"
    }


def test_large_sets_are_gone_through_once() -> None:
    elements = [{"prefix": {"addr": f"10.{n >> 8}.{n & 255}.0", "len": 25}} for n in range(30000)]
    source = {"payload": {"protocol": "ip", "field": "saddr"}}
    listing = ruleset([{"match": {"op": "==", "left": source, "right": "@s"}}, {"drop": None}])
    listing["nftables"].insert(
        2, {"set": {"family": "inet", "table": "t", "name": "s", "elem": elements}}
    )
    tables = nft.parse(listing, nft.Aside())
    fate(tables)
    start = time.process_time()
    for port in range(100):
        assert fate(tables, replace(SYN, port=port)) == {"accept"}
    assert time.process_time() - start < 1


def test_jumps_in_a_circle_end() -> None:
    with pytest.raises(TooManyRulesError):
        nft_fate([{"jump": {"target": "in"}}])


def test_a_rule_that_cannot_be_read_is_in_doubt() -> None:
    listing = '*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -m comment --comment "x -j DROP\nCOMMIT'
    assert fate(iptables.parse(listing, "ip", "iptables")) == {"accept", "drop"}


def test_iptables_doubts() -> None:
    for match in ("-m time --timestart 10:00", "-m set --match-set office src",
                  "-m statistic --mode random --probability 0.5",
                  "-m mac --mac-source 02:00:00:00:00:01",
                  "-m socket", "-m socket --nowildcard",
                  "-m recent --rcheck --seconds 60 --name KNOCK --rsource"):  # fmt: skip
        listing = f"*filter\n:INPUT DROP [0:0]\n-A INPUT -p tcp {match} -j ACCEPT\nCOMMIT"
        assert fate(iptables.parse(listing, "ip", "iptables")) == {"accept", "drop"}, match
