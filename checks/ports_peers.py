"""ports.peers"""

from collections.abc import Awaitable, Iterator, Mapping, Sequence
from datetime import timedelta

from biostudio_doctor import text
from biostudio_doctor.check import Check, ObservationError
from biostudio_doctor.config import Secret
from biostudio_doctor.host import Host
from biostudio_doctor.model import Finding, Remedy, Status, Table
from biostudio_doctor.peers import CODE_VARIABLE, parse
from biostudio_doctor.peers.facts import Knock, PeersFacts, Visit
from biostudio_doctor.peers.verdicts import Verdict, cell, matrix, usual_address, verdict
from biostudio_doctor.probes import Failure, Reason
from biostudio_doctor.probes.wording import duration
from biostudio_doctor.requirements import Port, Requirements

from .unconfigured import not_configured

_STATUS: dict[Verdict, Status] = {
    "open": Status.PASS, "elsewhere": Status.FAIL, "foreign": Status.FAIL, "cut": Status.ERROR,
    "refused": Status.ERROR, "rejected": Status.FAIL, "unlistened": Status.ERROR,
    "filtered": Status.FAIL, "unroutable": Status.FAIL, "absent": Status.FAIL,
}  # fmt: skip
_CAUSE: dict[Verdict, str] = {
    "elsewhere": "peers.redirected", "foreign": "peers.foreign", "cut": "peers.no-proof",
    "refused": "peers.refused", "rejected": "peers.rejected", "unlistened": "peers.not-listening",
    "filtered": "peers.filtered", "unroutable": "peers.no-route", "absent": "peers.no-host",
}  # fmt: skip

#: Where every port of a peer ends so, that has one reason, and is one diagnosis.
_WHOLE: tuple[Verdict, ...] = ("cut", "refused", "filtered", "rejected", "unroutable", "absent")


_SHARE = 0.15  # of the check's time, for each step of a port; many peers take turns


class PortsPeers(Check[PeersFacts]):
    """The ports between this host and its peers work.

    On each peer run `biostudio-doctor listen`, which opens the ports that its role will serve for
    some minutes and prints a code. With the code, each port is proven from end to end: the very
    listener answered, at that very port. Peers are named by `--peer ROLE=ADDRESS`, or as `peers` in
    the configuration; several can share a code. Nothing but one short message is sent to a port.

    A port counts as rejected by a firewall where it is refused although the listener says that it
    is open, or where an ICMP message says so. Where the sender of that message is told (since
    Linux 5.18), it is named.

    Not proven are UDP, what a service will do with the connection, and the way back: ask from both
    machines. All reports together make one matrix: `biostudio-doctor matrix`.

    Why: BioStudio on several machines works only if all of their ports reach one another, and a
    firewall shows itself only when the services start.

    Mend: let the network's firewalls and those of the peers pass the ports that are named.
    """

    id = "ports.peers"
    interval = timedelta(hours=1)
    timeout = timedelta(seconds=30)
    platforms = ("docker",)  # pods have addresses of their own
    network = True
    requirement_ids = (
        "port.http", "port.https", "port.memcached", "port.redis", "port.postgresql",
        "port.workspace", "port.app", "port.mqtt-websocket", "port.mqtt-tcp", "port.job",
    )  # fmt: skip

    def observe(self, host: Host) -> PeersFacts | Awaitable[PeersFacts]:
        import os

        facts = PeersFacts(hostname=self.context.machine.hostname)
        if not self.context.config.peers:
            return _unasked(facts, "no peer is configured, and none was given with --peer")
        if not os.environ.get(CODE_VARIABLE):
            return _unasked(facts, f"no code was given, neither by --code nor by {CODE_VARIABLE}")
        return self._ask(host, facts)

    async def _ask(self, host: Host, facts: PeersFacts) -> PeersFacts:
        from msgspec import structs

        from biostudio_doctor import secret
        from biostudio_doctor.peers import client, protocol
        from biostudio_doctor.ports import ports_of

        try:
            key = protocol.key(secret.reveal(Secret(env=CODE_VARIABLE), host))
        except ValueError as error:
            raise ObservationError(f"What {CODE_VARIABLE} holds cannot be used: {error}.") from None
        config = self.context.config
        peers = [parse(peer) for peer in dict.fromkeys(config.peers)]
        published = self.context.requirements.ports
        ports = {
            role: {port: service for service, port in ports_of(config, published(role))}
            for role in {peer.role for peer in peers}
        }
        with host.doing("knock at the ports of the peers"):
            patience = _SHARE * self.allowed_seconds
            return structs.replace(facts, visits=await client.visit(peers, ports, key, patience))

    def tables(self, facts: PeersFacts) -> Iterator[Table]:
        found = matrix([facts])
        if found:
            yield found

    def judge(self, facts: PeersFacts, requirements: Requirements) -> Iterator[Finding]:
        if facts.unasked and not self.context.config.peers:
            yield not_configured("peers", f"Not asked: {facts.unasked}.", _HOW)
        elif facts.unasked:
            yield Finding(Status.SKIP, "peers", f"Not asked: {facts.unasked}.")
        services = {port.service: port for port in requirements.ports("all-in-one")}
        for visit in facts.visits:
            yield from _judged(visit, facts.visits, services)


_HOW = (
    "Run `biostudio-doctor listen` on the other machine, and here, with the code that it prints, "
    "`biostudio-doctor check ports.peers --peer ROLE=ADDRESS`. Or name that machine in the "
    'configuration: peers = ["bioproxy=10.0.0.5"].'
)


def _unasked(facts: PeersFacts, why: str) -> PeersFacts:
    return PeersFacts(hostname=facts.hostname, unasked=why)


def _judged(
    visit: Visit, visits: Sequence[Visit], services: Mapping[str, Port]
) -> Iterator[Finding]:
    if not visit.knocks:
        yield _unresolved(visit)
        return
    found = {knock: verdict(knock, visit) for knock in visit.knocks}
    whole = next(iter(found.values())) if len(set(found.values())) == 1 < len(found) else None
    if whole in _WHOLE:
        yield _diagnosis(whole, visit)
    for knock, what in found.items():
        status = _STATUS[what]
        elsewhere = status is Status.FAIL and _open_elsewhere(knock, visit, visits)
        said = _said(what, knock, visit)
        if elsewhere:
            said += f"; at {elsewhere} the same port is open"
        same = [other for other, verdict_of in found.items() if verdict_of == what]
        if what == "open" and knock.source == visit.address:
            said = f"Port {_port(knock)} of {visit.place} is open, but that is this host itself: "
            said += "nothing of the network is proven"
            status = Status.SKIP
        status = Status.WARN if elsewhere else status
        yield Finding(
            status,
            f"{visit.role} {visit.place}: {_port(knock)}",
            f"{said}.",
            observed=cell(knock, visit),
            expected="open",
            remedy=None if what == "open" or whole in _WHOLE else _remedy(what, same, visit),
            requirement=None if status is Status.ERROR else services.get(knock.service),
            cause=_CAUSE.get(what, ""),
        )


def _unresolved(visit: Visit) -> Finding:
    problem = visit.failure or Failure("resolve", "other")
    why = _UNRESOLVED.get(problem.reason, problem.detail or "the system's resolver gave no answer")
    remedy = Remedy("Correct the name, have it entered in DNS, or give the peer by its IP address.")
    said = f"The name {visit.name} of the peer could not be resolved: {why}."
    subject = f"{visit.role} {visit.name}"
    return Finding(Status.ERROR, subject, said, remedy=remedy, cause="peers.no-name")


_UNRESOLVED: dict[Reason, str] = {
    "nxdomain": "it does not exist",
    "no-address": "it has no address",
    "timeout": "no name server answered in time",
}


def _diagnosis(what: Verdict, visit: Visit) -> Finding:
    """One for all ports, which all ended alike."""
    said = f"No port of {visit.place} could be proven: {_WHY[what]}{_by(visit.knocks[0])}."
    return Finding(
        _STATUS[what],
        f"{visit.role} {visit.place}",
        said,
        observed=cell(visit.knocks[0], visit),
        expected="open",
        remedy=_remedy(what, visit.knocks, visit),
        cause=_CAUSE[what],
    )


def _open_elsewhere(knock: Knock, visit: Visit, visits: Sequence[Visit]) -> str:
    """Another address of the same peer at which the port is open; '' if there is none."""
    for other in visits:
        if (other.role, other.name) == (visit.role, visit.name) and other is not visit:
            for twin in other.knocks:
                if twin.port == knock.port and verdict(twin, other) == "open":
                    return other.address
    return ""


_WHY: dict[Verdict, str] = {
    "cut": "each takes the connection and hangs up without an answer, as a listener does to a "
    "wrong code",
    "refused": "each refuses the connection, as where nobody listens",
    "filtered": "no answer came from any, as if a firewall drops the packets or no such host is up",
    "rejected": "a firewall rejects each",
    "unroutable": "no route leads there",
    "absent": "no host of our own network answers to that address",
}


def _said(what: Verdict, knock: Knock, visit: Visit) -> str:
    """The verdict in words, without the full stop."""
    port = f"Port {_port(knock)} of {visit.place}"
    if what == "open":
        return (
            f"{port} is open from end to end, {duration(knock.seconds)}{_translated(knock, visit)}"
        )
    if what == "elsewhere" and knock.proof:
        arrived = knock.proof.listener
        at = f"port {arrived.port} of {arrived.address}"
        return f"{port} is redirected: what is sent there arrives at {at}"
    said: dict[Verdict, str] = {
        "foreign": f"is answered by something else: {_foreign(knock)}",
        "cut": "takes the connection and hangs up without an answer",
        "refused": "refuses the connection; whether a listener is there is not known",
        "rejected": f"is rejected by a firewall, {_evidence(knock)}",
        "unlistened": f"{_unlistened(visit)}: {_holder(knock)}",
        "filtered": "is filtered: no answer came, as if a firewall drops the packets",
        "unroutable": f"cannot be reached, no route leads there{_by(knock)}",
        "absent": "cannot be reached: no host of our own network answers to that address",
    }
    return f"{port} {said[what]}"


def _translated(knock: Knock, visit: Visit) -> str:
    """Whether addresses are changed on the way, which the rules of a firewall may depend on."""
    if not knock.proof:
        return ""
    said = ""
    seen, arrived = knock.proof.client.address, usual_address(visit)
    if seen != knock.source.partition("%")[0]:
        said += f"; this host ({knock.source}) looks like {seen} from there"
    if arrived != visit.address.partition("%")[0]:
        said += f"; the address is translated to {arrived} on the way"
    return said


def _foreign(knock: Knock) -> str:
    if knock.heard:
        return knock.heard
    reason = knock.failure.reason if knock.failure else ""
    return "it takes the connection and " + (
        "says nothing" if reason == "timeout" else "hangs up, although the code is right"
    )


def _evidence(knock: Knock) -> str:
    if knock.stop:
        return f"as an ICMP message ({knock.stop.says}) from {knock.stop.sender} says"
    return "as it is refused although the listener has it open"


def _by(knock: Knock) -> str:
    return f", {_evidence(knock)}" if knock.stop else ""


def _other_role(visit: Visit) -> str:
    """The role of the listener there, if it is another than we ask for; else ''."""
    told = {knock.proof.role for knock in visit.knocks if knock.proof}
    return "" if len(told) != 1 or visit.role in told else told.pop()


def _unlistened(visit: Visit) -> str:
    if other := _other_role(visit):
        return f"is not opened by the listener there, which has the role {other}"
    return "could not be opened by the listener there"


def _holder(knock: Knock) -> str:
    if knock.heard:
        return f"{knock.heard} has it"
    refused = knock.failure and knock.failure.reason == "refused"
    return "nobody listens on it" if refused else "another program has it"


def _port(knock: Knock) -> str:
    return f"{knock.port} ({knock.service})"


def _remedy(what: Verdict, knocks: Sequence[Knock], visit: Visit) -> Remedy:
    """One for all ports of a peer that ended alike, so that it is read once."""
    words: dict[Verdict, str] = {
        "elsewhere": "See the rules that redirect these ports (NAT, a load balancer, a container "
        f"engine) on {visit.place} and on the way there, and remove them.",
        "foreign": "Find out what answers in place of the listener: a proxy, a load balancer or a "
        f"firewall on the way, or a redirection on {visit.place}. {_request(knocks, visit)}",
        "cut": f"Give the code that the listener on {visit.place} printed, while it runs; it ends "
        f"by itself after some minutes. If it was started with --allow, that must include "
        f"{visit.source or 'this host'}.",
        "refused": f"On {visit.place} run this, leave it running, and ask again with the code that "
        "it prints. If it runs already, a firewall refuses the connections.",
        "unlistened": f"On {visit.place} run this instead, or name the peer with the role that it "
        "has, and ask again with the code that it prints."
        if _other_role(visit)
        else f"See what `listen` said of these ports on {visit.place}: free them there, run it as "
        "root, and ask again.",
        "absent": f"See whether {visit.address} is the right address, and whether that host is up "
        "and in this network.",
        "unroutable": f"See whether {visit.address} is the right address, and have the network "
        "team route between the two hosts.",
        "filtered": _request(knocks, visit)
        + (
            ""
            if _is_there(visit)
            else f" First see that {visit.address} is the right address and that the host is up."
        ),
        "rejected": _request(knocks, visit),
    }
    lacking = what == "refused" or (what == "unlistened" and bool(_other_role(visit)))
    commands = (f"biostudio-doctor listen --role {visit.role}",) if lacking else ()
    return Remedy(words[what], commands)


def _request(knocks: Sequence[Knock], visit: Visit) -> str:
    """What to ask of the network team."""
    ports = text.listing(_port(knock) for knock in knocks)
    return (
        f"Ask those who run the firewalls to let TCP pass from {visit.source or 'this host'} to "
        f"{visit.address}, port {ports}. The firewall of {visit.place} itself counts, too: the "
        "check ports.firewall looks at it there."
    )


def _is_there(visit: Visit) -> bool:
    """Whether anything at all has come back from there."""
    return any(knock.proof or verdict(knock, visit) == "refused" for knock in visit.knocks)
