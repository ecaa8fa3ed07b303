"""ports.available"""

import shlex
from collections.abc import Iterator
from datetime import timedelta

from biostudio_doctor import distribution, text
from biostudio_doctor.check import Check
from biostudio_doctor.host import Host
from biostudio_doctor.host.containers import BIOSTUDIO_IMAGES, Container
from biostudio_doctor.host.machine import application_container
from biostudio_doctor.host.ports import Listener, PortTable, PortUse, look
from biostudio_doctor.host.processes import Process
from biostudio_doctor.model import Finding, Machine, Remedy, Status
from biostudio_doctor.ports import numbers_of
from biostudio_doctor.requirements import Port, Requirements

_ANY = ("0.0.0.0", "::")  # noqa: S104 - the addresses that stand for all


class PortsAvailable(Check[PortTable]):
    """The ports of BioStudio are free.

    Looks for programs that listen on a port that this role serves, on any IPv4 or IPv6 address, and
    names the process, its service or container; without root, at least its user. Each port is also
    taken for an instant, without listening, as BioStudio will take it. Closed connections that
    linger (TIME_WAIT) do no harm and are not counted.

    Not seen are ports that firewall rules lead elsewhere without a listener, as some Kubernetes
    distributions do with 80 and 443. No UDP port is published, so none is looked at.

    Why: a container whose port is taken does not start ("address already in use").

    Mend: stop the other program or move it to another port. Only BioStudio's own HTTP and HTTPS
    ports can be changed: set http and https in the table [ports] of the configuration.
    """

    id = "ports.available"
    interval = timedelta(hours=1)
    phases = ("preinstall",)
    platforms = ("docker",)  # pods have addresses of their own
    requirement_ids = (
        "port.http", "port.https", "port.memcached", "port.redis", "port.postgresql",
        "port.workspace", "port.app", "port.mqtt-websocket", "port.mqtt-tcp", "port.job",
    )  # fmt: skip

    def observe(self, host: Host) -> PortTable:
        return look(host, {port for _, port in self._wanted(self.context.requirements)})

    def judge(self, facts: PortTable, requirements: Requirements) -> Iterator[Finding]:
        wanted = self._wanted(requirements)
        uses = {use.port: use for use in facts.ports}
        needed = {port for _, port in wanted}
        for requirement, port in wanted:
            rivals = [other for other, number in wanted if number == port and other != requirement]
            if rivals and requirement.changeable:
                yield _wanted_twice(requirement, port, rivals)
                continue
            use = uses.get(port, PortUse(port=port))
            if port not in uses or (facts.problem and use.ipv4 not in ("free", "taken")):
                yield self._untold(requirement, port, facts.problem or "it was not looked at")
            elif use.listeners:
                yield self._taken(requirement, use, set(facts.listening) | needed)
            elif "taken" in (use.ipv4, use.ipv6):
                yield self._bound(requirement, use, facts.problem)
            else:
                yield self._free(requirement, use)

    def _wanted(self, requirements: Requirements) -> list[tuple[Port, int]]:
        """What this role serves, with the port that the configuration gives to it."""
        return [
            (requirement, port)
            for requirement in requirements.ports(self.context.scope.role)
            for port in numbers_of(self.context.config, requirement)
        ]

    def _where(self) -> str:
        container = application_container(self.context.machine)
        return f" in the network of this container ({container})" if container else ""

    def _free(self, requirement: Port, use: PortUse) -> Finding:
        said = f"Port {_subject(requirement, use.port)} is free{self._where()}"
        if application_container(self.context.machine):
            said += ", which need not be the host's"
            return _finding(Status.SKIP, requirement, use.port, said, "free", _OUTSIDE)
        return _finding(Status.PASS, requirement, use.port, said, "free")

    def _untold(self, requirement: Port, port: int, reason: str) -> Finding:
        said = f"Whether port {_subject(requirement, port)} is free could not be told: {reason}"
        remedy = _list_all(self.context.machine)
        return _finding(Status.ERROR, requirement, port, said, "", remedy)

    def _bound(self, requirement: Port, use: PortUse, problem: str) -> Finding:
        """Nothing is seen to listen, and yet it cannot be taken."""
        subject = _subject(requirement, use.port)
        if problem:
            said = f"Port {subject} is taken; by what could not be told: {problem}"
            remedy = _list_all(self.context.machine)
            return _finding(Status.FAIL, requirement, use.port, said, "taken", remedy)
        if use.connections:
            states = text.listing(sorted(set(use.connections)))
            said = f"Port {subject} is used by connections ({states}) until they end"
            return _finding(Status.WARN, requirement, use.port, said, "taken", _PASSING)
        said = f"Port {subject} is held by a program that does not listen on it (yet)"
        remedy = Remedy(
            "Check again when all services have started; then it shows which one listens.",
            distribution.who_listens(self.context.machine, use.port),
        )
        return _finding(Status.FAIL, requirement, use.port, said, "taken", remedy)

    def _taken(self, requirement: Port, use: PortUse, avoid: set[int]) -> Finding:
        said = (
            f"Port {_subject(requirement, use.port)} is taken{self._where()} on {_addresses(use)} "
            f"by {_holder(use, self.context.machine)}"
        )
        if use.container and _is_own(use.container):
            said += ": BioStudio seems to be installed already"
            return _finding(Status.WARN, requirement, use.port, said, "taken", _INSTALLED)
        remedy = _remedy(requirement, use, avoid, self.context.machine)
        return _finding(Status.FAIL, requirement, use.port, said, "taken", remedy)


_OUTSIDE = Remedy(
    "Run biostudio-doctor on the host itself, or give its container the host's file system "
    "(docker run -v /:/host:ro) and add --host-root /host."
)
_PASSING = Remedy(
    "Wait a minute and check again. An outgoing connection may have chosen the port by chance: "
    "then keep it out of the range that these choose from.",
    ("sysctl net.ipv4.ip_local_port_range net.ipv4.ip_local_reserved_ports",),
    as_root=False,
)
_INSTALLED = Remedy(
    "Check the running installation instead. To install anew, remove its containers first.",
    ("biostudio-doctor check --phase running",),
    as_root=False,
)
_CONTAINER_LISTS = {
    "docker": "docker ps --filter id=",
    "podman": "podman ps --filter id=",
    "kubernetes": "crictl ps --id ",
}


def _subject(requirement: Port, port: int) -> str:
    return f"{port} ({requirement.service})"


def _finding(
    status: Status,
    requirement: Port,
    port: int,
    said: str,
    observed: str,
    remedy: Remedy | None = None,
) -> Finding:
    return Finding(
        status,
        _subject(requirement, port),
        f"{said}.",
        observed=observed,
        expected="free",
        remedy=remedy,
        requirement=requirement,
    )


def _wanted_twice(requirement: Port, port: int, rivals: list[Port]) -> Finding:
    others = text.listing(rival.service for rival in rivals)
    said = f"The configuration gives {requirement.service} port {port}, which {others} needs"
    words = f"Set another {requirement.service} in the table [ports] of the configuration."
    return _finding(Status.FAIL, requirement, port, said, "wanted twice", Remedy(words))


def _addresses(use: PortUse) -> str:
    addresses = dict.fromkeys(listener.address for listener in use.listeners)
    if any(address in _ANY for address in addresses):
        return "all addresses"
    return text.listing(addresses)


def _is_own(container: Container) -> bool:
    return container.base_image in BIOSTUDIO_IMAGES


def _holder(use: PortUse, machine: Machine) -> str:
    programs: dict[str, Listener] = {}  # docker-proxy, for one, has a process for each address
    for listener in use.listeners:
        programs.setdefault(listener.process.name if listener.process else "", listener)
    said = text.listing(_name(listener, use, machine) for listener in programs.values())
    if use.container:
        said += f", for the container {use.container.name} (image {use.container.image})"
    return said


def _name(listener: Listener, use: PortUse, machine: Machine) -> str:
    found = listener.process
    if not found:
        if machine.root:
            return "the kernel, or a process that is not seen from here"
        return f"a process of user {listener.user}, which only root may see"
    words = [f"process {found.pid}"]
    if found.unit:
        words.append(found.unit)
    if found.container and not use.container:
        kind = f"{found.engine} container" if found.engine else "container"
        words.append(f"in the {kind} {found.container[:12]}")
    return f"{found.name or 'a program'} ({', '.join(words)})"


def _remedy(requirement: Port, use: PortUse, avoid: set[int], machine: Machine) -> Remedy:
    found = next((item.process for item in use.listeners if item.process), None)
    words, commands = _way_out(use, found, machine)
    if not requirement.changeable:
        return Remedy(f"{words} BioStudio cannot use another port for this.", commands)
    free = [port for port in requirement.alternatives if port not in avoid]
    another = f"such as {free[0]}, which is free here" if free else "one that is free here"
    return Remedy(
        f"{words} Or give BioStudio another port, {another}: set {requirement.service} in the "
        "table [ports] of the configuration, and choose it when you install.",
        commands,
    )


def _way_out(use: PortUse, found: Process | None, machine: Machine) -> tuple[str, tuple[str, ...]]:
    """What to do about the program that holds a port."""
    container = "Stop that container, or have it use another port."
    publishing = found is not None and found.name in ("docker-proxy", "dockerd")
    if publishing or (use.container and use.port in use.container.ports):
        return container, (f"docker ps --filter publish={use.port}",)
    if not found:
        return "Find out who listens there, and stop or move it.", distribution.who_listens(
            machine, use.port
        )
    if found.container:
        lists = _CONTAINER_LISTS.get(found.engine)
        return container, (f"{lists}{found.container[:12]}",) if lists else ()
    if found.pid == 1:
        words = "The init system listens on behalf of a service: see of which, and disable that."
        return words, ("systemctl list-sockets",) if machine.systemd else ()
    if found.unit:  # which only systemd has
        words = f"If this host does not need {found.unit}, stop it for good; otherwise move it."
        return words, (f"systemctl disable --now {shlex.quote(found.unit)}",)
    return "See what that program is, and stop or move it.", (f"ps -f -p {found.pid}",)


def _list_all(machine: Machine) -> Remedy:
    """One remedy for all ports that could not be told, so that it is read once."""
    program = "netstat" if distribution.family(machine) == "alpine" else "ss"
    words = "List what listens on this host, and compare it with these ports."
    return Remedy(words, (f"{program} -ltnp",))
