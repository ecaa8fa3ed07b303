"""What is told of the packet filters: serialisable, and without the rules themselves."""

from typing import Literal

from msgspec import Struct

from biostudio_doctor.host.addresses import Address

Source = Literal["lan", "internet", "peer"]
Verb = Literal["accept", "drop", "reject", "unknown"]


class Verdict(Struct, frozen=True, kw_only=True):
    """What becomes of connections from one source to one address and port of this host."""

    source: Source
    address: str  # of the source
    to: str  # the address of this host that it calls
    interface: str  # that it comes in by
    action: Verb
    by: str = ""  # who refuses it, or on what it depends
    led_to: str = ""  # "172.17.0.2:80" where it is passed on to a container or another host
    hook: str = ""  # where it was decided, such as "input" or "forward"; '' if nothing refuses it
    chain: tuple[str, ...] = ()  # of that hook: family, table, chain
    program: str = ""  # the command that changes it: nft, iptables, ip6tables-legacy ...
    manager: str = ""  # whose rule it is: ufw, firewalld, docker, or '' for the administrator's
    zone: str = ""  # of firewalld


class PortReach(Struct, frozen=True, kw_only=True):
    """Who reaches a port."""

    port: int
    verdicts: tuple[Verdict, ...] = ()  # as the rules are now
    published: tuple[Verdict, ...] = ()  # as they would be once Docker publishes the port

    def opens(self, source: Source, to: str = "", published: bool = False) -> bool | None:
        """Whether some connection from there gets through; None where that cannot be told."""
        chosen = self.published if published else self.verdicts
        actions = {v.action for v in chosen if v.source == source and to in ("", v.to)}
        return True if "accept" in actions else None if "unknown" in actions else False


class FirewallFacts(Struct, frozen=True, kw_only=True):
    """The packet filters of this host, and what they do with some ports."""

    ports: tuple[PortReach, ...] = ()
    problem: str = ""  # why nothing of it can be told
    unseen: tuple[str, ...] = ()  # filters that could not be read, and why
    missing: str = ""  # a program that would have to be installed to read them
    managers: tuple[str, ...] = ()  # in charge: ufw, firewalld, docker, kubernetes, nft, iptables
    idle: tuple[str, ...] = ()  # set up to filter, and not in force: ufw, firewalld
    docker_filters: bool = True  # Docker writes rules of its own ("iptables" in daemon.json)
    addresses: tuple[Address, ...] = ()

    def of(self, port: int) -> PortReach:
        """What is known of a port; of one that was not asked for, nothing."""
        return next((reach for reach in self.ports if reach.port == port), PortReach(port=port))
