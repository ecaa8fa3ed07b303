"""What a knock at a port means, in the light of the peer's other ports; and the matrix."""

from collections import Counter
from collections.abc import Iterable
from typing import Literal

from biostudio_doctor.model import Table
from biostudio_doctor.peers.facts import Knock, PeersFacts, Proof, Visit
from biostudio_doctor.probes.wording import duration

Verdict = Literal[
    "open",  # proven from end to end
    "elsewhere",  # the hello arrived at another port or machine
    "foreign",  # something else answers, or takes the connection and says nothing
    "cut",  # it takes the connection and hangs up, on every port that is not stopped otherwise
    "refused",  # and no port of this peer has told whether it listens
    "rejected",  # by a firewall
    "unlistened",  # it says that it does not listen there
    "filtered",  # no answer
    "unroutable",  # no route, here or further on
    "absent",  # nobody has that address in our own network
]

_CELLS: dict[Verdict, str] = {
    "open": "open", "elsewhere": "something else", "foreign": "something else", "cut": "no proof",
    "refused": "refused", "rejected": "rejected", "unlistened": "not listening",
    "filtered": "filtered", "unroutable": "no route", "absent": "no host",
}  # fmt: skip

_FORBIDDING = ("prohibited", "policy", "rejected", "port unreachable")
_NOT_ASKED = "-"


def verdict(knock: Knock, visit: Visit) -> Verdict:
    """What became of a knock."""
    if knock.proof:
        arrived = knock.proof.listener
        astray = arrived.port != knock.port or arrived.address != usual_address(visit)
        return "elsewhere" if astray else "open"
    problem = knock.failure
    listening = _listening(visit)
    absent = listening is not None and knock.port not in listening
    cut = problem is not None and problem.reason in ("closed", "reset")  # also while we connect
    if not problem or (problem.phase == "connect" and not cut):
        return _unconnected(knock, listening is not None, absent)
    if absent:
        return "unlistened"
    return "cut" if cut and listening is None else "foreign"


def usual_address(visit: Visit) -> str:
    """Where the hellos arrive: as dialled, or where most do if it is translated for all."""
    arrived = Counter(proof.listener.address for proof in _proofs(visit))
    dialled = visit.address.partition("%")[0]
    if not arrived or dialled in arrived:
        return dialled
    return arrived.most_common(1)[0][0]


def cell(knock: Knock, visit: Visit) -> str:
    """The verdict in a word or two."""
    found = verdict(knock, visit)
    word = _CELLS[found]
    return f"{word} {duration(knock.seconds)}" if found == "open" else word


def matrix(reports: Iterable[PeersFacts]) -> Table | None:
    """Who reaches whom on which port, as seen by one machine or several; None if nobody asked."""
    cells: dict[str, dict[int, str]] = {}
    for facts in reports:
        for visit in facts.visits:
            source = f" {visit.source}" if visit.source else ""
            row = cells.setdefault(f"{facts.hostname}{source} -> {visit.role} {visit.place}", {})
            row.update({knock.port: cell(knock, visit) for knock in visit.knocks})
    ports = list(dict.fromkeys(port for row in cells.values() for port in row))
    if not ports:
        return None
    return Table(
        "Who reaches whom, by TCP port",
        ("from -> to", *map(str, ports)),
        tuple(
            (pair, *(row.get(port, _NOT_ASKED if row else "no name") for port in ports))
            for pair, row in cells.items()
        ),
    )


def _proofs(visit: Visit) -> list[Proof]:
    return [knock.proof for knock in visit.knocks if knock.proof]


def _listening(visit: Visit) -> set[int] | None:
    """The ports that the peer says it listens on; None if it has not told."""
    usual = usual_address(visit)
    told = [proof.ports for proof in _proofs(visit) if proof.listener.address == usual]
    return {port for ports in told for port in ports} if told else None


def _unconnected(knock: Knock, told: bool, absent: bool) -> Verdict:
    reason = knock.failure.reason if knock.failure else "other"
    stop = knock.stop
    if reason == "timeout":
        return "filtered"
    if reason == "refused":
        if stop:  # and no RST
            return "rejected"
        if not told:
            return "refused"
        return "unlistened" if absent else "rejected"
    if stop and (told or any(word in stop.says for word in _FORBIDDING)):
        return "rejected"
    if stop and stop.sender == knock.source.partition("%")[0]:
        return "absent"
    return "rejected" if told else "unroutable"
