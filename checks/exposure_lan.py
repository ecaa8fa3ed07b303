"""exposure.lan"""

from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta

from msgspec import Struct

from biostudio_doctor.check import Check
from biostudio_doctor.config import LoginServiceConfig
from biostudio_doctor.host import Host, addresses, firewall, ports
from biostudio_doctor.host.addresses import Address
from biostudio_doctor.host.firewall import FirewallFacts
from biostudio_doctor.host.machine import application_container
from biostudio_doctor.host.ports import PortTable, PortUse
from biostudio_doctor.model import Finding, Remedy, Status
from biostudio_doctor.ports import numbers_of
from biostudio_doctor.requirements import Port, Requirements
from biostudio_doctor.services import Answer, Target

from .exposure_passwords import password
from .exposure_reach import Exposure, exposure
from .exposure_remedies import remedies
from .exposure_words import judged, mapped, unused
from .firewall_remedies import restrict

_GUARDED = ("postgresql", "redis", "memcached")  # what everybody may read who gets in
_SHARE = 0.2  # of the check's time: what one service may take
_OUTSIDE = Remedy(
    "Run biostudio-doctor on the host itself: its ports are not those of a container."
)


class ExposureFacts(Struct, frozen=True, kw_only=True):
    """Who listens on the LAN ports, where, behind which rules, and whom it lets in."""

    table: PortTable
    firewall: FirewallFacts
    addresses: tuple[Address, ...] = ()
    addresses_problem: str = ""
    answers: tuple[Answer, ...] = ()


class ExposureLan(Check[ExposureFacts]):
    """The outside does not reach the ports that are for the LAN.

    Looks where the published "restricted to LAN" ports of this role are bound, which addresses of
    this host are public, and what its packet filters (nftables, iptables; as ufw, firewalld and
    Docker write them) do with somebody far away who calls each address. PostgreSQL, Redis and
    memcached are asked besides, from this host at its own address, whether they let anyone in
    without a password. Nothing is sent anywhere else.

    Without root the rules cannot be read, and then nothing passes that depends on them. A public
    address that a router or a cloud (AWS, Azure, Google) maps to this host cannot be seen from
    here, nor can a filter in front of it.

    Why: who reaches Redis, memcached or PostgreSQL reads everybody's sessions and data, and the
    app's and hub's ports behind bioproxy do not expect strangers. Ports that Docker publishes
    bypass ufw and firewalld, so many are open that are believed to be closed.

    Mend: keep other networks away with a table of nftables of its own, which holds for programs and
    for what Docker publishes; or publish these ports on the host's LAN address alone (docker run -p
    10.0.0.5:6379:6379).
    """

    id = "exposure.lan"
    interval = timedelta(minutes=15)
    timeout = timedelta(seconds=20)
    phases = ("running",)
    platforms = ("docker",)  # pods have addresses of their own
    requirement_ids = (
        "port.memcached", "port.redis", "port.postgresql", "port.workspace", "port.app",
        "port.mqtt-websocket", "port.mqtt-tcp", "port.job",
    )  # fmt: skip

    def observe(self, host: Host) -> ExposureFacts | Awaitable[ExposureFacts]:
        if application_container(self.context.machine):
            return ExposureFacts(table=PortTable(ports=(), listening=()), firewall=FirewallFacts())
        wanted = {port for _, port in self._wanted()}
        own: tuple[Address, ...] = ()
        problem = ""
        try:
            own = addresses.own(host)
        except OSError as error:
            problem = error.strerror or str(error)
        table = ports.look(host, wanted)
        facts = ExposureFacts(
            table=table,
            firewall=firewall.look(host, wanted),
            addresses=own,
            addresses_problem=problem,
        )
        targets = self._targets(facts, host)
        return self._ask(facts, targets) if targets and host.is_local else facts

    async def _ask(self, facts: ExposureFacts, targets: list[tuple[str, Target]]) -> ExposureFacts:
        from msgspec import structs

        from biostudio_doctor.probes.side_by_side import side_by_side
        from biostudio_doctor.services import memcached, postgresql, redis

        clients: dict[str, Callable[[Target], Awaitable[Answer]]] = {
            "postgresql": postgresql.ask,
            "redis": redis.ask,
            "memcached": memcached.ask,
        }
        answers = await side_by_side(lambda one: clients[one[0]](one[1]), targets)
        in_order = tuple(sorted(answers, key=lambda answer: answer.port))
        return structs.replace(facts, answers=in_order)

    def judge(self, facts: ExposureFacts, requirements: Requirements) -> Iterator[Finding]:
        if container := application_container(self.context.machine):
            said = f"This is a container ({container}): its ports need not be the host's."
            yield Finding(Status.SKIP, "LAN ports", said, remedy=_OUTSIDE)
            return
        exposures = self._exposures(facts)
        rules = restrict(self.context, facts.addresses, {port for _, port in self._wanted()})
        ways_out = remedies(exposures, facts.addresses, facts.firewall, rules)
        answers = {answer.port: answer for answer in facts.answers}
        yield from unused(exposures)
        for one in exposures:
            yield judged(one, facts.firewall, answers.get(one.port), ways_out)
            if one.service in ("postgresql", "redis") and one.is_bound:
                yield password(one, answers.get(one.port))
        yield from mapped(exposures, facts.addresses)

    def _exposures(self, facts: ExposureFacts) -> list[Exposure]:
        uses = {use.port: use for use in facts.table.ports}
        found = [
            exposure(
                requirement,
                uses.get(port, PortUse(port=port)),
                facts.firewall,
                facts.addresses,
                facts.table.problem,
                facts.addresses_problem,
            )
            for requirement, port in self._wanted()
        ]
        # Of a service with several ports those count that are used, or else the published one.
        in_use = {one.service for one in found if one.is_bound}
        return [
            one
            for one in found
            if one.is_bound or (one.service not in in_use and one.port not in one.requirement.also)
        ]

    def _wanted(self) -> list[tuple[Port, int]]:
        """What this role keeps on the LAN, with its ports."""
        return [
            (requirement, number)
            for requirement in self.context.requirements.ports(self.context.scope.role)
            if requirement.reach == "lan"
            for number in numbers_of(self.context.config, requirement)
        ]

    def _targets(self, facts: ExposureFacts, host: Host) -> list[tuple[str, Target]]:
        """Whom to ask, at an address that others use too: images trust the loopback address."""
        found = []
        for one in self._exposures(facts):
            if one.service in _GUARDED and one.is_bound:
                settings = getattr(self.context.config.services, one.service)
                secure = isinstance(settings, LoginServiceConfig) and settings.tls
                ca_file = settings.ca_file if isinstance(settings, LoginServiceConfig) else None
                target = Target(
                    host=one.own_address,
                    port=one.port,
                    timeout=_SHARE * self.allowed_seconds,
                    tls=secure,
                    ca_file=host.path(ca_file) if ca_file else None,
                )
                found.append((one.service, target))
        return found
