"""Words of scaling.nodes: is a machine reached on every port that it must offer?"""

from collections.abc import Mapping, Sequence
from shlex import quote

from biostudio_doctor import text
from biostudio_doctor.model import Finding, Remedy, Scope, Status
from biostudio_doctor.nodes import Knock, Seen
from biostudio_doctor.requirements import Port

_IMAGES = {"bioproxy": "bioproxy", "node": "BioStudio"}
_VERDICTS = {"refused": "refused", "timeout": "no answer", "unreachable": "no way"}
_CLAUSES = {
    "refused": ("refuses connections", "refuse connections"),
    "timeout": ("does not answer", "do not answer"),
    "unreachable": ("is not reached, for no way leads there",) * 2,
}
_NAME_PROBLEMS = {
    "nxdomain": "the name does not exist",
    "no-address": "the name has no address",
    "timeout": "the name servers did not answer in time",
    "servfail": "the name servers could not answer",
}
#: Whoever has no IPv6 of its own need not reach the IPv6 address of another.
_EXCUSED = "unreachable"


def reached(seen: Seen, ports: Mapping[str, Port], scope: Scope, *, must: bool) -> Finding:
    """Whether a machine takes connections on all its ports; if not `must`, that is a warning."""
    if seen.failure:
        return _unresolved(seen)
    services = list(dict.fromkeys(knock.service for knock in seen.knocks))
    taking = {knock.service for knock in seen.knocks if knock.is_open}
    closed = [knock for knock in seen.knocks if knock.service not in taking]
    counts = (f"{len(taking)} of {len(services)} services take connections", "all of them do")
    if not closed:
        return _all_open(seen, len(services), counts)
    kinds: dict[str, list[Knock]] = {}
    for knock in closed:
        kinds.setdefault(_reason(knock), []).append(knock)
    told = text.listing(_clause(kind, knocks) for kind, knocks in kinds.items())
    said = f"On {place(seen)} {told}"
    requirement = ports.get(closed[0].service)
    if {knock.service for knock in closed} == {"https"} and [*kinds] == ["refused"]:
        said += ", while HTTP is answered: HTTPS is not set up (yet)"
        return Finding(Status.WARN, subject(seen), f"{said}.", *counts, _HTTPS, requirement)
    if not must:
        said += "; this host need not reach it, but bioproxy must"
    return Finding(
        Status.FAIL if must else Status.WARN,
        subject(seen),
        f"{said}.",
        *counts,
        _remedy(seen, kinds, scope, must=must),
        requirement,
        cause=f"scaling.{next(iter(kinds))}",
    )


def verdict(knock: Knock) -> str:
    """One cell of the matrix."""
    if not knock.failure:
        return "open"
    return _VERDICTS.get(_reason(knock), knock.failure.detail or knock.failure.reason)


def subject(seen: Seen) -> str:
    """The row of the table of findings."""
    return f"bioproxy {seen.name}" if seen.place == "bioproxy" else f"node {seen.name}"


def place(seen: Seen) -> str:
    """The machine by its name, with its addresses where these differ."""
    known = [address for address in seen.addresses if address != seen.name.strip("[]")]
    known += ["this host"] if seen.own and seen.name != "this host" else []
    return f"{seen.name} ({text.listing(known)})" if known else seen.name


def _all_open(seen: Seen, services: int, counts: tuple[str, str]) -> Finding:
    said = f"{place(seen)} takes connections on the published ports of all its {services} services"
    silent = _silent_addresses(seen)
    if not silent:
        return Finding(Status.PASS, subject(seen), f"{said}.", *counts)
    return Finding(
        Status.WARN,
        subject(seen),
        f"{said}, but on none at {text.listing(silent)}, where its name leads as well.",
        *counts,
        Remedy(
            f"If {text.listing(silent)} is no address of {seen.name} any more, remove it from "
            "DNS or /etc/hosts: whoever tries it first waits in vain.",
            (f"getent ahosts {quote(seen.name)}",),
            as_root=False,
        ),
        cause="scaling.stale-address",
    )


def _silent_addresses(seen: Seen) -> list[str]:
    """Addresses at which nothing answers at all."""
    tried = [attempt for knock in seen.knocks for attempt in knock.attempts]
    answering = {attempt.address for attempt in tried if not attempt.failure}
    failed = {
        attempt.address
        for attempt in tried
        if attempt.failure and attempt.failure.reason != _EXCUSED
    }
    return [address for address in seen.addresses if address in failed - answering]


def _reason(knock: Knock) -> str:
    return knock.failure.reason if knock.failure else ""


def _clause(kind: str, knocks: Sequence[Knock]) -> str:
    single, several = _CLAUSES.get(kind, (f"fails ({kind})", f"fail ({kind})"))
    named = text.listing(f"{knock.port} ({knock.service})" for knock in knocks)
    noun = "port" if len(knocks) == 1 else "ports"
    return f"{noun} {named} {single if len(knocks) == 1 else several}"


def _unresolved(seen: Seen) -> Finding:
    problem = seen.failure
    assert problem
    certain = problem.reason in ("nxdomain", "no-address")
    why = _NAME_PROBLEMS.get(problem.reason) or problem.detail or problem.reason
    return Finding(
        Status.FAIL if certain else Status.ERROR,
        subject(seen),
        f"{seen.name} could not be looked at: {why}.",
        observed=problem.reason,
        expected="an address",
        remedy=Remedy(
            "Correct the name in the configuration (nodes, bioproxy), or have it in DNS or "
            "/etc/hosts on all machines of BioStudio.",
            (f"getent ahosts {quote(seen.name)}",),
            as_root=False,
        ),
        cause="scaling.name",
    )


_HTTPS = Remedy(
    "Install a certificate on the dashboard under Settings > Update SSL, or go on with HTTP alone."
)


def _remedy(
    seen: Seen, kinds: Mapping[str, Sequence[Knock]], scope: Scope, *, must: bool
) -> Remedy:
    """What to do about the ports that are closed, beginning with what is most likely."""
    words: list[str] = []
    commands: tuple[str, ...] = ()
    image = _IMAGES[seen.place]
    if not must:
        words.append("Run this check on bioproxy's machine first: if it passes there, all is well.")
    if silent := [*kinds.get("timeout", ()), *kinds.get("unreachable", ())]:
        numbers = ", ".join(str(knock.port) for knock in silent)
        sources = {attempt.source for knock in silent for attempt in knock.attempts}
        source = text.listing(sorted(sources - {""}), "or") or "this host"
        words.append(
            f"See whether {seen.name} is up and routed to, and have the firewalls in between and "
            f"on it let TCP {numbers} pass from {source}."
        )
        commands = (f"ip route get {quote(seen.addresses[0])}",)
    if "refused" in kinds:
        words.append(
            f"See on {seen.name} whether {image} runs and publishes these ports; after a start "
            "allow it 15 minutes."
        )
        if scope.platform == "docker" and not silent:
            commands = ("docker ps -a --format 'table {{.Names}}\\t{{.Status}}\\t{{.Ports}}'",)
    if not words:
        words.append(f"See whether {seen.name} is the right address, and what its network says.")
    return Remedy(" ".join(words), commands, as_root=not silent)
