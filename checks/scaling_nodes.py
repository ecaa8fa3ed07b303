"""scaling.nodes"""

from collections.abc import Awaitable, Iterable, Iterator, Sequence
from datetime import timedelta
from typing import Annotated

from msgspec import Meta

from biostudio_doctor import nodes, text
from biostudio_doctor.check import Check
from biostudio_doctor.config import Settings
from biostudio_doctor.host import Host
from biostudio_doctor.model import Finding, Remedy, Status, Table
from biostudio_doctor.nodes import NodesFacts, Seen
from biostudio_doctor.ports import ports_of
from biostudio_doctor.requirements import Requirements

from .scaling_agreement import bioproxies, clocks, duplicates, versions
from .scaling_reach import reached, verdict
from .unconfigured import not_configured

_SHARE = 0.9  # of the check's timeout; the rest is for judging
_THIS_HOST = "this host"


class ScalingSettings(Settings, frozen=True, kw_only=True):
    """How far the clocks of the machines may be apart."""

    warn_seconds: Annotated[
        float, Meta(gt=0, description="Warn if a clock is off by more than this.")
    ] = 5.0
    fail_seconds: Annotated[
        float, Meta(gt=0, description="Fail if a clock is off by more than this.")
    ] = 300.0


class ScalingNodes(Check[NodesFacts]):
    """All BioStudio machines are reached, and are one system.

    Looks from here at every machine that the configuration names under `nodes`, and at bioproxy
    (`bioproxy`, or this host): do all published ports take connections, do all nodes tell the same
    versions (the app's /status, the notebook hub's /hub/api, the job queue's statistics), do all
    clocks agree (the Date of their HTTP answers, which tells whole seconds), and does no node
    answer as a second bioproxy (/app_proxy_status on the front ports, PostgreSQL, Redis)? Names
    that lead to one machine are told. Nobody is logged in to.

    It sees the ports as this host does. The machine that must reach the nodes is bioproxy's, and
    those that must reach bioproxy are the nodes: run it on each.

    Why: bioproxy sends colleagues to any of the nodes. One that is not reached, has another
    version or a wrong clock fails for some of them, some of the time. Two bioproxies have two
    databases.

    Mend: open the ports between the machines, install the same images on all nodes, let a daemon
    keep every clock, and run one bioproxy only.
    """

    id = "scaling.nodes"
    interval = timedelta(minutes=5)
    timeout = timedelta(seconds=12)
    phases = ("running",)
    network = True
    requirement_ids = (
        "scaling.bioproxy",
        "port.http", "port.https", "port.memcached", "port.redis", "port.postgresql",
        "port.workspace", "port.app", "port.mqtt-websocket", "port.mqtt-tcp", "port.job",
    )  # fmt: skip
    Settings = ScalingSettings

    def observe(self, host: Host) -> NodesFacts | Awaitable[NodesFacts]:
        config = self.context.config
        return self._look(host) if config.nodes or config.bioproxy else NodesFacts()

    async def _look(self, host: Host) -> NodesFacts:
        config, requirements = self.context.config, self.context.requirements
        front = ports_of(config, requirements.ports("bioproxy"))
        offers = ports_of(config, requirements.ports("biostudio"))
        telltale = tuple(offer for offer in front if offer[0] in nodes.TELLTALE)
        machines = [
            nodes.Machine(name=name, address=name, place="node", offers=offers, others=telltale)
            for name in config.nodes
        ]
        where = config.bioproxy
        if not where and self.context.scope.role != "biostudio":
            where = config.services.address
        if where:
            name = config.bioproxy or _THIS_HOST
            machines.append(nodes.Machine(name=name, address=where, place="bioproxy", offers=front))
        with host.doing(f"ask {text.number(len(machines), 'machine')}"):
            seen = await nodes.look(machines, timeout=_SHARE * self.allowed_seconds)
        return NodesFacts(
            bioproxy=next((one for one in seen if one.place == "bioproxy"), None),
            nodes=tuple(one for one in seen if one.place == "node"),
        )

    def judge(self, facts: NodesFacts, requirements: Requirements) -> Iterator[Finding]:
        if not facts.nodes and not facts.bioproxy:
            yield _NOT_CONFIGURED
            return
        ports = {port.service: port for port in requirements.ports("all-in-one")}
        is_node = self.context.scope.role == "biostudio"
        for seen in _distinct(facts):
            # A node need not reach the other nodes: that is for bioproxy to do.
            must = not is_node or seen.place == "bioproxy" or seen.own
            yield reached(seen, ports, self.context.scope, must=must)
        yield from duplicates(facts.nodes)
        if not facts.nodes:
            said = "The BioStudio nodes behind bioproxy are not configured, so none was looked at."
            yield Finding(Status.SKIP, "nodes", said, remedy=_NAME_NODES)
            return
        yield versions(_machines(facts.nodes))
        yield from clocks(_machines([*facts.nodes, *_some(facts.bioproxy)]), self.settings)
        yield bioproxies(facts, requirements.get("scaling.bioproxy"))

    def tables(self, facts: NodesFacts) -> Iterator[Table]:
        machines = _distinct(facts)
        for title, place in (("bioproxy", "bioproxy"), ("the BioStudio nodes", "node")):
            these = [one for one in machines if one.place == place]
            knocks = [knock for one in these for knock in one.knocks]
            columns = list(dict.fromkeys((knock.port, knock.service) for knock in knocks))
            if columns:
                yield Table(
                    f"TCP connections from this host to {title}",
                    ("machine", *(f"{port} {service}" for port, service in columns)),
                    tuple(_row(one, [port for port, _ in columns]) for one in these),
                )


_NAME_NODES = Remedy(
    'Name them in the configuration: nodes = ["node-1.example.com", "10.0.0.12"], and where '
    'bioproxy runs, if not on this host: bioproxy = "10.0.0.5".'
)
_NOT_CONFIGURED = not_configured(
    "nodes",
    "BioStudio is not configured to run on several machines, so there are none to compare.",
    _NAME_NODES.text,
)


def _some(seen: Seen | None) -> list[Seen]:
    return [seen] if seen else []


def _distinct(facts: NodesFacts) -> list[Seen]:
    """What was looked at, each name once; bioproxy first, unless that is this host itself.

    Its own services are asked by the checks services.*, in their own protocols.
    """
    proxy = [one for one in _some(facts.bioproxy) if one.name != _THIS_HOST]
    return list({(one.place, one.name): one for one in (*proxy, *facts.nodes)}.values())


def _machines(seen: Iterable[Seen]) -> list[Seen]:
    """Each machine once, whatever its names."""
    found: list[Seen] = []
    for one in seen:
        if not one.failure and not any(one.same(other) for other in found):
            found.append(one)
    return found


def _row(seen: Seen, columns: Sequence[int]) -> tuple[str, ...]:
    knocks = {knock.port: knock for knock in seen.knocks}
    cells = (verdict(knocks[port]) if port in knocks else "no address" for port in columns)
    return (seen.name, *cells)
