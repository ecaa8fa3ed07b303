"""ports.firewall"""

from collections.abc import Iterator
from datetime import timedelta

from msgspec import structs

from biostudio_doctor import text
from biostudio_doctor.check import Check
from biostudio_doctor.host import Host, firewall
from biostudio_doctor.host.firewall import FirewallFacts, PortReach, Source, Verdict
from biostudio_doctor.host.machine import application_container
from biostudio_doctor.model import Finding, Remedy, Status
from biostudio_doctor.ports import ports_of
from biostudio_doctor.requirements import Port, Requirements

from .firewall_remedies import lan_address, machines, publish, restrict
from .ports_firewall_words import (
    OPEN,
    allow,
    bypassed,
    exposed,
    in_charge,
    refuser,
    trap,
    unread,
    unseen,
)

_UNREAD = "firewall.unread"  # for which the row of the whole speaks
_GUARDS = ("ufw", "firewalld")  # whose rules for input do not see what Docker publishes


class PortsFirewall(Check[FirewallFacts]):
    """This host's firewall lets BioStudio's ports through, and only to whom they are for.

    Reads the rules of nftables and iptables, whoever wrote them (ufw, firewalld, Docker, the
    administrator), and follows the first packet of a new connection through them, for each port
    that this role serves: from a neighbour in each network of this host, from somebody far away,
    and from the other machines of BioStudio whose IP addresses the configuration names. Nothing is
    sent, nothing changed, and no kernel module is loaded for it. Reading the rules takes root.

    Before the installation with Docker it follows the way that connections will take: ports that
    Docker publishes are led to the container before the rules of ufw and firewalld for this host
    are asked. These then neither guard the LAN ports nor stop the public ones.

    Not seen are filters in front of this host (of a cloud or a router), programs in eBPF, and rules
    against the answers to a connection. What the rules say of a caller's hardware address, or leave
    to chance, is told as such.

    Why: a browser or another node that is silently dropped looks like a BioStudio that hangs.

    Mend: the finding names the rule and the command of the tool that is in charge: ufw,
    firewall-cmd, nft or iptables. Rules of ufw and firewalld do not hold for ports that Docker
    publishes: a table of nftables of its own does, or publishing on the LAN address alone.
    """

    id = "ports.firewall"
    interval = timedelta(minutes=15)
    timeout = timedelta(seconds=45)  # of three or four listings, each long with Kubernetes
    requirement_ids = (
        "port.http", "port.https", "port.memcached", "port.redis", "port.postgresql",
        "port.workspace", "port.app", "port.mqtt-websocket", "port.mqtt-tcp", "port.job",
    )  # fmt: skip

    def observe(self, host: Host) -> FirewallFacts:
        if container := application_container(self.context.machine):
            return FirewallFacts(problem=f"this is the network of a container ({container})")
        wanted = {
            port for one in self._published() if self._concerns(one) for port in self._ports(one)
        }
        peers = machines(self.context.config)
        return firewall.look(host, wanted, publish=self._before_docker, peers=peers)

    def judge(self, facts: FirewallFacts, requirements: Requirements) -> Iterator[Finding]:
        if facts.problem:
            yield _skipped(
                "firewall", f"The firewall of the host could not be looked at: {facts.problem}"
            )
            return
        yield self._whole(facts)
        published = self._before_docker and facts.docker_filters
        cases = [
            _Case(requirement, facts.of(port), published, facts)
            for requirement in requirements.ports(self.context.scope.role)
            for port in self._ports(requirement)
        ]
        rows = [self._one(case) for case in cases]
        opened = [case for case, row in zip(cases, rows, strict=True) if row.cause == OPEN]
        yield from self._together(facts, opened, published)
        yield from rows

    def _one(self, case: "_Case") -> Finding:
        if not self._concerns(case.requirement):
            said = f"Port {case.subject} is a pod's, {_POD}"
            return _skipped(case.subject, said, case.requirement)
        if not case.verdicts:
            said = f"Port {case.subject} cannot be called: this host has no address for others"
            return _skipped(case.subject, said, case.requirement)
        return self._public(case) if case.requirement.reach == "public" else self._lan(case)

    def _together(
        self, facts: FirewallFacts, opened: list["_Case"], published: bool
    ) -> Iterator[Finding]:
        """What concerns many ports at once, and is mended at once."""
        lan = (one for one in self._published() if one.reach == "lan")
        ports = [port for one in lan for port in self._ports(one)]
        remedy = restrict(self.context, facts.addresses, ports)
        if place := lan_address(facts.addresses):
            words = f"{remedy.text} Or {publish(place, 5432)}."
            remedy = structs.replace(remedy, text=words)
        if opened:
            numbers = [case.reach.port for case in opened]
            yield exposed(numbers, opened[0].public_opening, opened[0].once, remedy)
        guards = [name for name in (*facts.managers, *facts.idle) if name in _GUARDS]
        bypassing = [port for port in ports if bypassed(facts.of(port))]
        if published and bypassing and guards:
            yield trap(guards, bypassing, remedy)

    @property
    def _before_docker(self) -> bool:
        scope = self.context.scope
        return (scope.phase, scope.platform) == ("preinstall", "docker")

    @property
    def _several(self) -> bool:
        """Whether other machines of BioStudio need this one's LAN ports."""
        return bool(machines(self.context.config)) or self.context.scope.role != "all-in-one"

    def _published(self) -> list[Port]:
        return self.context.requirements.ports(self.context.scope.role)

    def _ports(self, requirement: Port) -> list[int]:
        return [port for _, port in ports_of(self.context.config, [requirement])]

    def _concerns(self, requirement: Port) -> bool:
        """Pods have addresses of their own; only the front is reached through the host."""
        return self.context.scope.platform == "docker" or requirement.reach == "public"

    def _whole(self, facts: FirewallFacts) -> Finding:
        machine = self.context.machine
        said, observed = in_charge(facts)
        if facts.unseen:
            said = f"Rules of this host could not be read: {unseen(facts)}{said}"
            remedy = unread(facts, machine)
            return Finding(
                Status.ERROR,
                "firewall",
                f"{said}.",
                observed=observed,
                remedy=remedy,
                cause=_UNREAD,
            )
        if facts.idle:
            named = text.listing(facts.idle)
            said = f"{named} is set up to filter on this host, and its rules are not loaded"
            words = f"See why; once {named} starts, ports may be closed that are open now."
            commands = {
                "ufw": ("ufw status verbose",),
                "firewalld": ("systemctl status firewalld",),
            }
            remedy = Remedy(words, commands[facts.idle[0]])
            return Finding(Status.WARN, "firewall", f"{said}.", observed=observed, remedy=remedy)
        return Finding(Status.PASS, "firewall", f"{said}.", observed=observed)

    def _public(self, case: "_Case") -> Finding:
        near, far = case.state("lan"), case.state("internet")
        if "unknown" in (near, far):
            return case.untold()
        if "closed" not in (near, far):
            return case.finding(Status.PASS, f"is open{case.once}{case.today}", "open")
        closed = case.refused("lan", "internet")
        remedy = allow(case.reach.port, closed, case.facts, self.context.machine)
        by = refuser(closed[0])
        if near == far or not near or not far:
            said = f"is closed{case.once} by {by}: colleagues' browsers do not get through"
            return case.finding(Status.FAIL, said, "closed", remedy, _cause(closed[0]))
        whom = "beyond this host's own networks" if near == "open" else "in this host's networks"
        said = f"is closed to colleagues {whom} by {by}"
        return case.finding(Status.WARN, said, "partly open", remedy, _cause(closed[0]))

    def _lan(self, case: "_Case") -> Finding:
        audience: Source = "peer" if case.state("peer") else "lan"
        far = case.state("internet")
        near = case.state(audience) or far
        whom = "the other machines of BioStudio" if audience == "peer" else "the LAN"
        if near == "unknown":
            return case.untold()
        if near == "closed" and self._several and (other := self._open_instead(case, audience)):
            said = f"is closed to {whom}, and so it is port {other} that has to serve them"
            return case.finding(Status.PASS, said, "closed")
        if near == "closed" and self._several:
            closed = case.refused(audience) or case.refused("internet")
            remedy = allow(case.reach.port, closed, case.facts, self.context.machine)
            said = f"is closed to {whom} by {refuser(closed[0])}, and they need it"
            if audience == "lan":
                said = f"is closed to the LAN by {refuser(closed[0])}; other machines need it"
            return case.finding(Status.FAIL, said, "closed", remedy, _cause(closed[0]))
        if far == "open" and self.context.scope.phase == "preinstall":
            return self._exposed(case)
        if far == "unknown":
            return case.untold()
        if near == "closed":
            said = f"is closed to the LAN{case.once}; nobody outside this host needs it"
            return case.finding(Status.PASS, said, "closed")
        if far == "open":
            said = f"is open to {whom}, and this host's rules keep nobody else away either"
            return case.finding(Status.PASS, said, "open to all")
        return case.finding(Status.PASS, f"is open to {whom}, closed to others{case.once}", "LAN")

    def _open_instead(self, case: "_Case", audience: Source) -> int | None:
        """Another port of the same service that is open to them; either may serve."""
        for port in self._ports(case.requirement):
            if port != case.reach.port and case.facts.of(port).opens(
                audience, published=case.published
            ):
                return port
        return None

    def _exposed(self, case: "_Case") -> Finding:
        if not case.public_opening:
            said = f"is open{case.once} to whoever reaches this host, at private addresses only"
            return case.finding(Status.PASS, said, "open to all")
        said = f"would be open to the internet at {case.public_opening}{case.once}"
        return case.finding(Status.WARN, said, "open to all", cause=OPEN)


_POD = (
    "which has an address of its own: whom the cluster lets in there, its NetworkPolicies and "
    "Services say"
)


class _Case:
    """One port: what is required of it, and who reaches it."""

    def __init__(
        self,
        requirement: Port,
        reach: PortReach,
        published: bool,
        facts: FirewallFacts,
    ) -> None:
        self.requirement = requirement
        self.subject = f"{reach.port} ({requirement.service})"
        self.reach = reach
        self.published = published
        self.facts = facts

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        return self.reach.published if self.published else self.reach.verdicts

    @property
    def once(self) -> str:
        """When it is so, if that is not now."""
        return " once Docker publishes it" if self.published else ""

    @property
    def today(self) -> str:
        """What the rules for programs of this host itself say, where that is another matter."""
        closed = [found for found in self.reach.verdicts if found.action in ("drop", "reject")]
        if not self.published or not closed:
            return ""
        return f", though {refuser(closed[0])} refuses it to other programs"

    @property
    def public_opening(self) -> str:
        """A public address of this host at which it is open to everybody, '' if there is none."""
        public = {one.address for one in self.facts.addresses if one.kind == "public"}
        return next(
            (
                found.to
                for found in self.verdicts
                if (found.source, found.action) == ("internet", "accept") and found.to in public
            ),
            "",
        )

    def callers(self, source: Source) -> list[Verdict]:
        """What becomes of these callers; the LAN is the private networks, where there are any."""
        found = [one for one in self.verdicts if one.source == source]
        private = {one.address for one in self.facts.addresses if one.kind == "private"}
        inside = [one for one in found if one.to in private]
        return inside if inside and (source, self.requirement.reach) == ("lan", "lan") else found

    def state(self, source: Source) -> str:
        """open, closed or unknown for these callers; '' where there are none such."""
        actions = {one.action for one in self.callers(source)}
        told = {"accept": "open", "unknown": "unknown", "drop": "closed", "reject": "closed"}
        return next((said for action, said in told.items() if action in actions), "")

    def refused(self, *sources: Source) -> list[Verdict]:
        """What is refused to these callers."""
        return [
            found
            for source in sources
            for found in self.callers(source)
            if found.action in ("drop", "reject")
        ]

    def untold(self) -> Finding:
        """It cannot be told."""
        why = next(found.by for found in self.verdicts if found.action == "unknown")
        said = f"Whether port {self.subject} is open could not be told: {why}."
        return Finding(
            Status.ERROR,
            self.subject,
            said,
            expected=_EXPECTED[self.requirement.reach],
            remedy=None if self.facts.unseen else _TRY,
            requirement=self.requirement,
            cause=_UNREAD if self.facts.unseen else "",
        )

    def finding(
        self,
        status: Status,
        said: str,
        observed: str,
        remedy: Remedy | None = None,
        cause: str = "",
    ) -> Finding:
        """A finding about this port."""
        return Finding(
            status,
            self.subject,
            f"Port {self.subject} {said}.",
            observed=observed,
            expected=_EXPECTED[self.requirement.reach],
            remedy=remedy,
            requirement=self.requirement,
            cause=cause,
        )


_EXPECTED = {"public": "open", "lan": "open to the LAN only"}
_TRY = Remedy(
    "Look at that rule, or try it: run 'biostudio-doctor listen' here and "
    "'biostudio-doctor check ports.peers' on the machine that has to reach it."
)


def _cause(verdict: Verdict) -> str:
    return "firewall.reject" if verdict.action == "reject" else "firewall.drop"


def _skipped(subject: str, said: str, requirement: Port | None = None) -> Finding:
    return Finding(Status.SKIP, subject, f"{said}.", requirement=requirement)
