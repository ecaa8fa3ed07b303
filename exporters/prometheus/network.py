"""Egress, name servers, ports, firewall and services: values from the facts of checks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..reading import amount, at, each, place
from .families import Group, Sample

GROUP = Group("Network and services")

_EGRESS = "egress.hosts (of activation.server for a host that only it asks)"
_PROBE = GROUP.gauge(
    "probe_success", "target", says="1 if the host was reached by HTTPS, 0 if not.", of=_EGRESS
)
_PHASE = GROUP.gauge(
    "probe_duration_seconds", "target", "phase",
    says="What resolve, connect, proxy, tls, request and transfer took; absent for phases that "
    "were not reached.",
    of=_EGRESS,
)  # fmt: skip
_REASON = GROUP.info(
    "probe_failure_info", "target", "phase", "reason",
    says="In which phase the way to a host ended, and why.", of=_EGRESS,
)  # fmt: skip
_STATUS = GROUP.gauge(
    "probe_http_status_code", "target", says="What the host answered last.", of=_EGRESS
)
_RATE = GROUP.gauge(
    "egress_download_bytes_per_second", "host",
    says="How fast a file was downloaded.", of="egress.hosts",
)  # fmt: skip
_QUESTION = ("name", "server", "record")
_ADDRESSES = GROUP.gauge(
    "dns_answer_addresses", *_QUESTION,
    says="Addresses that a name server gave; absent where it gave no answer.", of=_EGRESS,
)  # fmt: skip
_DNS_SECONDS = GROUP.gauge(
    "dns_answer_duration_seconds", *_QUESTION,
    says="How long the answer of a name server took; absent where it gave none.", of=_EGRESS,
)  # fmt: skip
_DNS_REASON = GROUP.info(
    "dns_failure_info", *_QUESTION, "reason",
    says="Why a name server gave no addresses.", of=_EGRESS,
)  # fmt: skip

_IN_USE = GROUP.gauge(
    "port_in_use", "port",
    says="1 if a program has the TCP port on this host, 0 if it is free.",
    of="ports.available or exposure.lan",
)  # fmt: skip
_ALLOWED = GROUP.gauge(
    "port_allowed", "port", "source", "family",
    says="1 if the firewall of this host lets connections from lan, internet or peer in to the "
    "port, 0 if not; absent where that cannot be told.",
    of="ports.firewall or exposure.lan",
)  # fmt: skip
_PEER = GROUP.gauge(
    "peer_port_up", "role", "peer", "port",
    says="1 if a host that runs `biostudio-doctor listen` was reached on the port.",
    of="ports.peers",
)  # fmt: skip

_ASKED = ("service", "target")
_OF = "the check services.*"
_UP = GROUP.gauge(
    "service_up", *_ASKED,
    says="1 if the service answers in its own protocol, also where it wants a password; 0 if not. "
    "Of ports that a service may have, those that answer count.",
    of=_OF,
)  # fmt: skip
_SECONDS = GROUP.gauge(
    "service_duration_seconds", *_ASKED, says="How long the service took to answer.", of=_OF
)
_STATE = GROUP.info(
    "service_state_info", *_ASKED, "state", says="How the service answered, in a word.", of=_OF
)
_VERSION = GROUP.info(
    "service_version_info", *_ASKED, "version", says="Its version, as it says itself.", of=_OF
)
_ANONYMOUS = GROUP.gauge(
    "service_anonymous", *_ASKED,
    says="1 if it lets anyone in without a password; absent where that was not tried.", of=_OF,
)  # fmt: skip
_CONNECTIONS = GROUP.gauge("service_connections", *_ASKED, says="Its connections.", of=_OF)
_MOST = GROUP.gauge(
    "service_connections_limit", *_ASKED, says="How many connections it takes at most.", of=_OF
)
_MEMORY = GROUP.gauge("service_memory_bytes", *_ASKED, says="Memory of its data.", of=_OF)
_MOST_MEMORY = GROUP.gauge(
    "service_memory_limit_bytes", *_ASKED, says="The limit of that; absent for none.", of=_OF
)
_BEHIND = GROUP.gauge(
    "service_replication_lag_seconds", *_ASKED, says="How late a replica is.", of=_OF
)
_JOBS = GROUP.gauge(
    "service_jobs", *_ASKED, "state", says="Jobs of the queue, by their state.", of=_OF
)
_SOURCE = GROUP.gauge(
    "datasource_up", "kind", "target",
    says="1 if the server of a data source answers, 0 if not.", of="the check datasources.*",
)  # fmt: skip

_ALIVE = ("healthy", "password-needed", "denied")
_JOB_STATES = ("ready", "delayed", "reserved", "buried")


def egress(check: str, facts: Any) -> Iterator[Sample]:
    """From egress.hosts and activation.server."""
    for path in each(facts, "paths"):
        target = place(path)
        problem = path.get("failure")
        yield _PROBE, (target,), problem is None
        seconds = path.get("seconds")
        for phase, spent in seconds.items() if isinstance(seconds, dict) else ():
            yield _PHASE, (target, phase), amount(spent)
        if problem:
            yield _REASON, (target, at(problem, "phase"), at(problem, "reason")), 1
        for hop in list(each(path, "exchange", "hops"))[-1:]:
            yield _STATUS, (target,), amount(hop.get("status"))
    download = at(facts, "download")
    length, spent = amount(at(download, "length")), amount(at(download, "seconds"))
    if length and spent and not at(download, "failure"):
        yield _RATE, (at(download, "host"),), length / spent


def names(check: str, facts: Any) -> Iterator[Sample]:
    """What name servers said of the hosts, or of the proxy that leads to them."""
    for path in each(facts, "paths"):
        name = at(path, "route", "proxy", "host") or path.get("host", "")
        for answer in each(path, "answers"):
            asked = (name, answer.get("server", ""), answer.get("record", ""))
            addresses = answer.get("addresses")
            if answer.get("code") and isinstance(addresses, (list, tuple)):
                yield _ADDRESSES, asked, len(addresses)
                yield _DNS_SECONDS, asked, amount(answer.get("seconds"))
            if answer.get("failure"):
                yield _DNS_REASON, (*asked, at(answer, "failure", "reason")), 1


def ports(check: str, facts: Any) -> Iterator[Sample]:
    """From ports.available and exposure.lan."""
    for use in each(at(facts, "table") or facts, "ports"):
        trials = (use.get("ipv4"), use.get("ipv6"))
        if use.get("listeners") or "taken" in trials:
            yield _IN_USE, (use.get("port"),), 1
        elif "free" in trials:
            yield _IN_USE, (use.get("port"),), 0


def firewall(check: str, facts: Any) -> Iterator[Sample]:
    """From ports.firewall and exposure.lan, by the rules as they are now."""
    facts = at(facts, "firewall") or facts
    if at(facts, "problem"):
        return
    for reach in each(facts, "ports"):
        actions: dict[tuple[Any, Any, str], set[str]] = {}
        for verdict in each(reach, "verdicts"):
            family = "IPv6" if ":" in str(verdict.get("to", "")) else "IPv4"
            way = (reach.get("port"), verdict.get("source"), family)
            actions.setdefault(way, set()).add(str(verdict.get("action")))
        for way, found in actions.items():
            if found <= {"drop", "reject"}:
                yield _ALLOWED, way, 0
            elif "accept" in found and not at(facts, "unseen"):  # what is unseen may refuse it
                yield _ALLOWED, way, 1


def peers(check: str, facts: Any) -> Iterator[Sample]:
    """From ports.peers."""
    for visit in each(facts, "visits"):
        for knock in each(visit, "knocks"):
            of = (visit.get("role"), visit.get("name"), knock.get("port"))
            yield _PEER, of, knock.get("proof") is not None


def services(check: str, facts: Any) -> Iterator[Sample]:
    """From services.*. One that could not be asked, such as without its library, is unknown."""
    answers = [answer for answer in each(facts, "answers") if answer.get("state") != "unasked"]
    alive = [answer for answer in answers if answer.get("state") in _ALIVE]
    service = check.partition(".")[2]
    for answer in alive or answers:
        of, told = (service, place(answer)), answer.get("told")
        yield _UP, of, answer.get("state") in _ALIVE
        yield _STATE, (*of, answer.get("state")), 1
        yield _ANONYMOUS, of, answer.get("anonymous")
        if answer.get("version"):
            yield _VERSION, (*of, answer["version"]), 1
        if alive:
            yield _SECONDS, of, amount(answer.get("seconds"))
            yield from _told(of, told)


def _told(of: tuple[str, str], told: Any) -> Iterator[Sample]:
    """What services say of themselves, each by its own names."""
    for key in ("used_connections", "connected_clients", "connections"):
        yield _CONNECTIONS, of, amount(at(told, key))
    for key in ("max_connections", "maxclients"):
        yield _MOST, of, amount(at(told, key))
    for key in ("used_memory", "used"):
        yield _MEMORY, of, amount(at(told, key))
    for key in ("maxmemory", "limit"):
        yield _MOST_MEMORY, of, amount(at(told, key)) or None  # 0 means none
    yield _BEHIND, of, amount(at(told, "behind_seconds"))
    for state in _JOB_STATES:
        yield _JOBS, (*of, state), amount(at(told, state))


def datasources(check: str, facts: Any) -> Iterator[Sample]:
    """From those of datasources.* whose server answers in a protocol of its own."""
    asked = [*each(facts, "asked"), *each({"": facts}, "")]
    for source in asked:
        answer = source.get("answer") or source.get("nfs")
        if isinstance(answer, dict) and answer.get("state") not in (None, "unasked"):
            of = (check.partition(".")[2], place(answer))
            yield _SOURCE, of, answer.get("state") in _ALIVE


EXTRACTORS = {
    "egress": (egress, ("egress.hosts", "activation.server")),
    "names": (names, ("egress.hosts", "activation.server")),
    "ports": (ports, ("ports.available", "exposure.lan")),
    "firewall": (firewall, ("ports.firewall", "exposure.lan")),
    "peers": (peers, ("ports.peers",)),
    "services": (services, ("services.*",)),
    "datasources": (datasources, ("datasources.*",)),
}
