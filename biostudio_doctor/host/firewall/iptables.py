"""The rule sets of iptables as `iptables-save` and `ip6tables-save` print them.

iptables(8) and iptables-extensions(8) say what the options mean.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from ipaddress import ip_address

from biostudio_doctor import text
from biostudio_doctor.host.firewall import iptables_options as options
from biostudio_doctor.host.firewall.model import (
    ACCEPT,
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
    Test,
    always,
    change,
    either,
    negated,
    when,
)  # fmt: skip

_HOOKS = {"PREROUTING": "prerouting", "INPUT": "input", "FORWARD": "forward",
          "POSTROUTING": "postrouting"}  # fmt: skip
_SOURCE_NAT = 100  # the priority of nat's INPUT and POSTROUTING
_PLAIN = {"ACCEPT": ACCEPT, "DROP": DROP, "REJECT": REJECT, "RETURN": RETURN}
_HARMLESS = frozenset((
    "LOG", "NFLOG", "ULOG", "TRACE", "AUDIT", "CT", "TCPMSS", "TOS", "DSCP", "TTL", "HL",
    "CLASSIFY", "CHECKSUM", "SET", "SECMARK", "CONNSECMARK", "IDLETIMER", "LED", "RATEEST", "TEE",
    "TCPOPTSTRIP", "ECN", "MASQUERADE", "SNAT",
))  # fmt: skip
_FREE_TEXT = ("--comment", "--log-prefix", "--nflog-prefix", "--string")
_QUOTED_LIMIT = 120  # characters of a rule that a person is shown


def parse(listing: str, family: str, tool: str) -> list[Table]:
    """The tables of one listing. `family` is ip or ip6; `tool` iptables or iptables-legacy."""
    tables: list[Table] = []
    for line in listing.splitlines():
        if line.startswith("*"):
            tables.append(Table(family, line[1:].strip(), tool))
        elif not tables:
            continue
        elif line.startswith(":"):
            name, policy = (*line[1:].split(), "", "")[:2]
            tables[-1].chains[name] = _chain(name, policy, tables[-1].name)
        elif line.startswith("-A "):
            _append(tables[-1], line)
    return tables


def _chain(name: str, policy: str, table: str) -> Chain:
    hook = _HOOKS.get(name, "") if policy in ("ACCEPT", "DROP") else ""
    priority = PRIORITIES.get(table, 0)
    if table == "nat" and hook in ("input", "postrouting"):
        priority = _SOURCE_NAT
    kind = "nat" if table == "nat" else "filter"
    return Chain(name, hook=hook, priority=priority, kind=kind, policy=policy.lower())


def _append(table: Table, line: str) -> None:
    words = _words(line)
    name = words[1] if len(words) > 1 else ""
    chain = table.chains.setdefault(name, Chain(name))
    shown = text.printable(line)
    if len(shown) > _QUOTED_LIMIT:
        shown = shown[: _QUOTED_LIMIT - 1] + "…"
    chain.rules.append(_Reader(f"rule '{shown}'").rule(words[2:]))


def _words(line: str) -> list[str]:
    """The words of a rule; one that ends within quotation marks becomes one in doubt."""
    if '"' not in line and "'" not in line and "\\" not in line:  # far faster, for thousands
        return line.split()
    try:
        return shlex.split(line)
    except ValueError:
        return [*line.split()[:2], "--unreadable", "-j", "DROP"]


@dataclass
class _Reader:
    """Reads the words of one rule."""

    text: str
    match: str = ""  # the extension whose options follow
    tests: list[Test] = field(default_factory=list)
    target: str = ""
    jump: str = "jump"
    options: dict[str, list[str]] = field(default_factory=dict)  # of the target

    def rule(self, words: list[str]) -> Rule:
        for inverted, option, values in _options(words):
            if option in ("-j", "-g"):
                self.target = values[0] if values else ""
                self.jump = "goto" if option == "-g" else "jump"
            elif self.target:
                self.options[option] = values
            elif option == "-m":
                self.match = values[0] if values else ""
                if self.match in options.ASKING:
                    self.tests.append(options.untold)
            else:
                test = self._test(option, values)
                if test:
                    self.tests.append(negated(test) if inverted else test)
        return Rule(self.text, (when(self._applies, self.text), self._target()))

    def _applies(self, packet: Packet) -> bool | None:
        answers = {test(packet) for test in self.tests}
        return False if False in answers else None if None in answers else True

    def _test(self, option: str, values: list[str]) -> Test | None:
        """What an option asks of the packet; None where that says nothing of its own."""
        value = values[0] if values else ""
        if option in options.CERTAIN:
            answer = options.CERTAIN[option]
            return lambda packet: answer
        if option in options.ASIDE:
            return None
        make = options.TESTS.get(f"{self.match}:{option}") or options.TESTS.get(option)
        if option == "--tcp-flags" and len(values) == 2:
            return options.flags(values[0], values[1])
        try:
            return make(value) if make else options.untold
        except ValueError:
            return options.untold

    def _target(self) -> Step:
        if not self.target:
            return always(NEXT)
        if self.target in _PLAIN:
            return always(_PLAIN[self.target])
        if self.target in _HARMLESS and "--notrack" not in self.options:
            return always(NEXT)
        if self.target in ("NOTRACK", "CT"):
            return change(lambda packet: replace(packet, tracked=False))
        if self.target in ("MARK", "CONNMARK"):
            return change(self._mark)
        if self.target in ("DNAT", "REDIRECT"):
            return self._translate
        if self.target in options.EXTENSIONS:
            return either(NEXT, ACCEPT, DROP, rule=self.text)
        return always(Action("jump" if self.jump == "jump" else "goto", self.target))

    def _mark(self, packet: Packet) -> Packet:
        name, values = next(iter(self.options.items()), ("", []))
        masks = [values[:1] for option, values in self.options.items() if option.endswith("mask")]
        if name == "--save-mark" and all(mask == ["0xffffffff"] for mask in masks):
            return replace(packet, connection_mark=packet.mark)
        if name == "--restore-mark" and all(mask == ["0xffffffff"] for mask in masks):
            return replace(packet, mark=packet.connection_mark)
        of_connection = self.target == "CONNMARK" and name != "--restore-mark"
        old = packet.connection_mark if of_connection else packet.mark
        mark = options.new_mark(name, values, old)
        if of_connection:
            return replace(packet, connection_mark=mark)
        return replace(packet, mark=mark)

    def _translate(self, packet: Packet) -> Branches:
        given = next((v[0] for k, v in self.options.items() if k.startswith("--to") and v), "")
        address, port = given, ""
        if self.target == "REDIRECT":
            address, port = "", given
        elif given.startswith("["):
            address, _, port = given[1:].partition("]")
        elif given.count(":") == 1:
            address, _, port = given.partition(":")
        first = port.lstrip(":").partition("-")[0].partition("/")[0]
        try:
            target = ip_address(address.partition("-")[0]) if address else packet.destination
            number = int(first) if first else packet.port
        except ValueError:
            doubted = packet.doubting(self.text)
            return (doubted, ACCEPT), (doubted, DROP)
        return ((packet.led_to(target, number), ACCEPT),)


def _options(words: list[str]) -> Iterator[tuple[bool, str, list[str]]]:
    """(is it inverted, its name, its values) for each option; old listings put "!" after it."""
    option, inverted, values = "", False, list[str]()
    pending = False
    for word in words:
        if option in _FREE_TEXT and not values:
            values.append(word)
        elif word == "!":
            if (
                option
                and not values
                and option not in options.CERTAIN
                and option not in options.ASIDE
            ):
                inverted = True
            else:
                pending = True
        elif word.startswith("-") and len(word) > 1 and not word[1:2].isdigit():
            if option:
                yield inverted, option, values
            option, inverted, values, pending = word, pending, [], False
        else:
            values.append(word)
    if option:
        yield inverted, option, values
