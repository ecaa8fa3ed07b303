"""What this host's packet filters would do with new TCP connections to it, rule by rule.

    facts = firewall.look(host, ports={80, 5432})        # never raises; read-only; a few ms
    facts.problem                                        # not '': nothing can be told, and why
    reach = facts.of(5432)
    reach.opens("internet")                              # True, False, or None: cannot be told
    reach.opens("lan", to="192.0.2.2")                   # ... to one of this host's addresses
    [verdict for verdict in reach.verdicts if verdict.source == "internet"]

`look` leads the first packet of a connection from several sources through nftables and both kinds
of iptables, as ufw, firewalld, Docker and Kubernetes have written them: a neighbour ("lan") in each
network that this host has an address in (those of containers and virtual machines left out),
somebody far away ("internet"), and those `peers` whose addresses are given ("peer"). Each meets
each address of this host that it can call, so a verdict says `to` which one. Destination NAT, by
which engines publish ports, is followed to the container (`led_to`).

Facts are plain and serialisable: put them into the facts of a check. What is not seen from here:
filters in front of this host (of a cloud, a router), eBPF programs, and TCP wrappers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from biostudio_doctor.host.firewall.facts import FirewallFacts, PortReach, Source, Verdict

if TYPE_CHECKING:
    from biostudio_doctor.host import Host

__all__ = ["FirewallFacts", "PortReach", "Source", "Verdict", "look"]


def look(
    host: Host, ports: Collection[int], *, publish: bool = False, peers: Iterable[str] = ()
) -> FirewallFacts:
    """What becomes of connections to these TCP ports.

    `publish` asks also how it would be if Docker published them; `peers` are hosts that must reach
    them; names are passed over, since asking for their addresses is none of this module's business.
    """
    if not host.is_local:
        problem = "rules are asked of the kernel, and this one may not be the host's (--host-root)"
        return FirewallFacts(problem=problem)
    from biostudio_doctor.host.firewall.looking import observe

    return observe(host, ports, publish=publish, peers=peers)
