"""Names that are not found, or that lead where no public name leads."""

from collections.abc import Mapping
from shlex import quote

from biostudio_doctor import distribution, text
from biostudio_doctor.endpoints import is_loopback
from biostudio_doctor.model import Remedy
from biostudio_doctor.probes import Phase, Reason, wording
from biostudio_doctor.probes.results import Path

from ..egress_facts import Evidence, ended, is_public_address, leads_nowhere_public
from .case import Case

_STUB = "127.0.0.53"  # systemd-resolved, which asks others


# --- Evidence -------------------------------------------------------------------------------------


def no_resolver(path: Path, evidence: Evidence) -> bool:
    """/etc/resolv.conf names none."""
    return _unresolved(path, "no-resolver")


def bad_resolver(path: Path, evidence: Evidence) -> bool:
    """The name is not found: one of the name servers knows it, and another one is bad."""
    return system_resolver(path, evidence) and bool(evidence.bad_servers)


def system_resolver(path: Path, evidence: Evidence) -> bool:
    """The name is not found, although a name server knows it, and none is bad."""
    return _unresolved(path) and evidence.known_elsewhere(path)


def servfail(path: Path, evidence: Evidence) -> bool:
    """The resolver could not find the name out."""
    return _unresolved(path, "servfail")


def nothing_listens(path: Path, evidence: Evidence) -> bool:
    """Port 53 itself is closed (ICMP, TCP reset): no server said REFUSED."""
    return _unresolved(path, "refused") and not _says_refused(path)


def refuses_all(path: Path, evidence: Evidence) -> bool:
    """The resolver answers nothing at all to this host."""
    return _unresolved(path, "refused") and all(
        ended(one, "resolve", "refused") and _says_refused(one) for one in evidence.direct
    )


def silent_resolver(path: Path, evidence: Evidence) -> bool:
    """No name server answers."""
    return _unresolved(path, "timeout", "unreachable")


def no_public_names(path: Path, evidence: Evidence) -> bool:
    """No name exists for the resolver: it knows those of the site only."""
    reasons: tuple[Reason, ...] = ("nxdomain", "no-address")
    several = len(evidence.direct) > 1
    return ended(path, "resolve", *reasons) and several and _all_fail(evidence, "resolve", *reasons)


def name_filtered(path: Path, evidence: Evidence) -> bool:
    """Other names exist."""
    return ended(path, "resolve", "nxdomain", "no-address", "refused") or ended(
        path, "connect", "no-address"
    )


def unresolved(path: Path, evidence: Evidence) -> bool:
    """Any other trouble with the name."""
    return ended(path, "resolve")


def hosts_entry(path: Path, evidence: Evidence) -> bool:
    """A name server gives public addresses, and this system others, which do not work."""
    told = {address for answer in path.answers for address in answer.addresses}
    return sink_hole(path, evidence) and any(is_public_address(address) for address in told)


def sink_hole(path: Path, evidence: Evidence) -> bool:
    """The name leads to no public address, and what is there does not work."""
    return path.failure is not None and leads_nowhere_public(path)


def _unresolved(path: Path, *reasons: Reason) -> bool:
    """Whether the name that was looked up, the host's or its proxy's, was not found."""
    if ended(path, "resolve", *reasons):
        return True
    return ended(path, "proxy", *reasons) and bool(path.lookup and path.lookup.failure)


def _says_refused(path: Path) -> bool:
    return any(answer.code == "REFUSED" for answer in path.answers)


def _all_fail(evidence: Evidence, phase: Phase, *reasons: Reason) -> bool:
    return all(ended(path, phase, *reasons) for path in evidence.direct)


# --- What was seen --------------------------------------------------------------------------------


def sink_hole_seen(case: Case) -> str:
    """Where the names lead, and how that ends."""
    return f"DNS leads to {_no_public_address(case)}"


def hosts_entry_seen(case: Case) -> str:
    """The same, and that the name servers know better."""
    return (
        f"this host's own /etc/hosts (or what else /etc/nsswitch.conf names) leads to "
        f"{_no_public_address(case)}; the name servers give other addresses"
    )


def _no_public_address(case: Case) -> str:
    found = dict.fromkeys(
        address for path in case.paths if path.lookup for address in path.lookup.addresses
    )
    connected = any(not attempt.failure for path in case.paths for attempt in path.attempts)
    problem = case.first.failure
    if connected and problem and problem.phase != "connect":
        end = f"{wording.PHASES[problem.phase]} fails there"
    else:
        end = "something answers there, but not all is well" if connected else "nothing works there"
    which = "which are no public addresses" if len(found) > 1 else "which is no public address"
    return f"{text.listing(found)}, {which}, and {end}"


def servfail_seen(case: Case) -> str:
    """Which server failed, with the reason that it gave (RFC 8914)."""
    told = next((one.extended[0] for one in case.first.answers if one.extended), "")
    return f"{case.servers} could not find names out (SERVFAIL{f': {told}' if told else ''})"


def bad_resolvers_seen(case: Case) -> str:
    """What each bad one does."""
    bad = case.evidence.bad_servers
    said = text.listing(f"{server} {does}" for server, does in bad.items())
    return f"of the name servers in /etc/resolv.conf {said}, while another one answers"


def knowing_seen(case: Case) -> str:
    """Who knows the name."""
    knowing = dict.fromkeys(
        answer.server for path in case.paths for answer in path.answers if answer.addresses
    )
    some = len({path.peer for path in case.paths}) > 1
    names, them = ("these names", "them") if some else ("the name", "it")
    return (
        f"{text.listing(knowing)} {'know' if len(knowing) > 1 else 'knows'} {names}, but this "
        f"system's own resolver does not find {them}"
    )


def filtered_seen(case: Case) -> str:
    """By whom, in its own terms, and whether others are found."""
    reasons = (path.failure.reason for path in case.paths if path.failure)
    codes = dict.fromkeys(_CODES[reason] for reason in reasons)
    others = any(one.lookup and one.lookup.addresses for one in case.evidence.direct)
    found = ", while others are found" if others else ""
    return f"these names are denied by {case.servers} ({text.listing(codes)}){found}"


#: How a name server denies a name, in its own terms.
_CODES: Mapping[str, str] = {
    "nxdomain": "NXDOMAIN",
    "no-address": "an answer without addresses",
    "refused": "REFUSED",
}


# --- What to do -----------------------------------------------------------------------------------


def name_a_server(case: Case) -> Remedy:
    """There is none in /etc/resolv.conf."""
    return Remedy(
        "Ask the network team which name servers this host shall use, and enter them where this "
        "system keeps its network settings (netplan, NetworkManager, ifcfg or resolv.conf itself).",
        ("cat /etc/resolv.conf",),
        as_root=False,
    )


def ask_for_dns(case: Case) -> Remedy:
    """The name servers do not answer, or not for public names."""
    servers = text.listing(case.evidence.facts.name_servers) or "the name servers"
    commands = ["cat /etc/resolv.conf", f"getent hosts {quote(case.first.peer)}"]
    proxy = case.first.route.proxy
    names = f"the name of the proxy, {proxy.host}" if proxy else "these public names"
    if _STUB in case.evidence.facts.name_servers:
        commands.insert(1, "resolvectl status")
    return Remedy(
        "See that the name servers of /etc/resolv.conf are the right ones, and have them answer."
        f"{case.proxy_hint}\n"
        + case.request(
            f"let {servers} answer this host on port 53, UDP and TCP, for {names}",
        ),
        tuple(commands),
        as_root=False,
    )


def ask_for_names(case: Case) -> Remedy:
    """Some names are kept from here."""
    return Remedy(
        "Other names are found from here, so a DNS filter must let these pass.\n"
        + case.request("let these names be resolved"),
        (f"getent hosts {quote(case.first.host)}",),
        as_root=False,
    )


def ask_for_upstream(case: Case) -> Remedy:
    """SERVFAIL."""
    return Remedy(
        "The name server is reached, but cannot find names out: its way to the internet, or its "
        "DNSSEC validation (a wrong clock breaks that, too), is at fault.\n"
        + case.request("see why the name server fails on these names"),
        (f"getent hosts {quote(case.first.host)}",),
        as_root=False,
    )


def mend_resolvers(case: Case) -> Remedy:
    """One of several name servers is bad."""
    bad = text.listing(case.evidence.bad_servers)
    return Remedy(
        f"Take {bad} out of /etc/resolv.conf (where netplan, NetworkManager or DHCP writes it), or "
        "have it mended: each program that happens to ask it fails or waits.\n"
        + case.request(f"mend {bad} (DNS, port 53), or name another", hosts=bool(case.paths)),
        ("cat /etc/resolv.conf",),
        as_root=False,
    )


def mend_system_resolver(case: Case) -> Remedy:
    """A name server knows the name, and getaddrinfo(3) does not find it."""
    return Remedy(
        "See that the line 'hosts:' of /etc/nsswitch.conf has dns (or resolve). If it has, answers "
        "come late or get lost now and then: look again, and see the options in /etc/resolv.conf "
        "(timeout, attempts).",
        (
            "grep '^hosts' /etc/nsswitch.conf",
            "cat /etc/resolv.conf",
            f"getent hosts {quote(case.first.peer)}",
        ),
        as_root=False,
    )


def start_resolver(case: Case) -> Remedy:
    """Port 53 of a name server is closed."""
    servers = case.evidence.facts.name_servers
    if not servers or not all(map(is_loopback, servers)):
        return ask_for_dns(case)
    if _STUB in servers and case.machine.systemd:
        return Remedy(
            "The resolver of this host itself is not running: start it.",
            distribution.service(case.machine, "restart", "systemd-resolved"),
        )
    return Remedy(
        "The resolver of this host itself is not running: start it, or name another name server "
        "in /etc/resolv.conf.",
        ("cat /etc/resolv.conf", "ss -lnu"),
        as_root=False,
    )


def mend_hosts(case: Case) -> Remedy:
    """This host itself knows better than the name servers."""
    names = sorted({path.host for path in case.paths})
    wanted = " ".join(f"-e {quote(name)}" for name in names)
    return Remedy(
        "Take the entry out of /etc/hosts; if none is there, see which source the line 'hosts:' of "
        "/etc/nsswitch.conf names before dns. If a mirror of your own is meant, it must answer.",
        (f"grep -nF {wanted} /etc/hosts", "grep '^hosts' /etc/nsswitch.conf"),
        as_root=False,
    )


def ask_about_sink_hole(case: Case) -> Remedy:
    """Answers in space that is not public."""
    host = quote(case.first.host)
    return Remedy(
        "A DNS filter answers in the place of these names, or they stand in /etc/hosts; if a "
        "mirror of your own is meant, it must answer.\n"
        + case.request("let these names resolve to their public addresses"),
        (f"getent ahosts {host}", f"grep -F {host} /etc/hosts"),
        as_root=False,
    )
