"""What https.letsencrypt gathers."""

from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from biostudio_doctor.endpoints import is_address
from biostudio_doctor.host.addresses import Address
from biostudio_doctor.probes.results import Answer, CaaAnswer

from .egress_facts import EgressFacts

if TYPE_CHECKING:
    from biostudio_doctor.host import Host
    from biostudio_doctor.peers.facts import PeersFacts

_REPORT_LIMIT = 32 << 20  # bytes
PORT = 80  # where HTTP-01 asks, and nowhere else (RFC 8555, 8.3)


class Outside(Struct, frozen=True, kw_only=True):
    """What a report of ports.peers says of port 80, as seen by another machine."""

    problem: str = ""  # why the report says nothing
    hostname: str = ""  # of the machine that asked
    when: datetime | None = None
    address: str = ""  # that it knocked at
    client: str = ""  # its own address, as the listener here saw it
    arrived_at: int = 0  # the port here at which it arrived; 0 if it did not
    cell: str = ""  # the outcome in a word or two


class LetsencryptFacts(Struct, frozen=True, kw_only=True):
    """DNS as this host sees it, this host's own addresses, and the way to the issuer."""

    name: str = ""  # as it stands in DNS; '' where nothing was looked up
    servers: tuple[str, ...] = ()
    answers: tuple[Answer, ...] = ()  # of each server, for A and AAAA
    caa: tuple[CaaAnswer, ...] = ()
    own: tuple[Address, ...] = ()
    own_unknown: str = ""  # why our own addresses are not known
    direct: EgressFacts | None = None  # the way to the issuer, without a proxy
    by_proxy: EgressFacts | None = None  # and with it, where one is set
    outside: Outside | None = None


def read_report(host: "Host", path: str, wanted: frozenset[str]) -> Outside:
    """What a report says of port 80 of one of the names and addresses of this site."""
    import msgspec

    from biostudio_doctor.model import Report
    from biostudio_doctor.peers.facts import PeersFacts

    try:
        report = msgspec.json.decode(host.read_bytes(path, _REPORT_LIMIT), type=Report)
        found = next(one for one in report.results if one.id == "ports.peers")
        facts = msgspec.convert(found.observation, PeersFacts)
    except OSError as error:
        return Outside(problem=f"{path} cannot be read: {error.strerror}")
    except StopIteration:
        return Outside(problem=f"{path} has no result of ports.peers")
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
        return Outside(problem=f"{path} is no JSON report with an observation of ports.peers")
    return _port_80(facts, wanted, report.started_at, path)


def _port_80(facts: "PeersFacts", wanted: frozenset[str], when: datetime, path: str) -> Outside:
    from biostudio_doctor.peers.verdicts import cell

    for visit in facts.visits:
        for knock in visit.knocks:
            if knock.port == PORT and wanted & {visit.name.lower().rstrip("."), visit.address}:
                proof = knock.proof
                if proof and not is_address(proof.client.address):
                    continue
                return Outside(
                    hostname=facts.hostname,
                    when=when,
                    address=visit.address,
                    client=proof.client.address if proof else "",
                    arrived_at=proof.listener.port if proof else 0,
                    cell=cell(knock, visit),
                )
    return Outside(problem=f"{path} says nothing of port {PORT} of the addresses of this site")
