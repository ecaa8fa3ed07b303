"""Judging of scaling.nodes: are the machines one system, with one version, time and bioproxy?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import TYPE_CHECKING

from biostudio_doctor import text
from biostudio_doctor.model import Finding, Remedy, Requirement, Status
from biostudio_doctor.nodes import Clock, NodesFacts, Seen

from .scaling_reach import place

if TYPE_CHECKING:
    from .scaling_nodes import ScalingSettings

_NAMES = {
    "app": "the app", "workspace": "the notebook hub", "job": "the job queue",
    "http": "its HTTP front", "https": "its HTTPS front",
    "postgresql": "PostgreSQL", "redis": "Redis",
}  # fmt: skip
_HERE = Clock(0.0, 0.0)


def duplicates(nodes: Sequence[Seen]) -> Iterator[Finding]:
    """Names in the list of nodes that lead to one machine."""
    names = [node.name for node in nodes]
    for name in dict.fromkeys(name for name in names if names.count(name) > 1):
        yield _named_twice(f"node {name} (twice)", f"The node {name} is configured twice")
    distinct = list({node.name: node for node in nodes}.values())
    for one, other in combinations(distinct, 2):
        shared = [address for address in one.addresses if address in other.addresses]
        if one.same(other):
            where = text.listing(shared) if shared else "this host"
            said = f"The nodes {one.name} and {other.name} are one machine ({where})"
            yield _named_twice(f"nodes {one.name}, {other.name}", said)


def _named_twice(subject: str, said: str) -> Finding:
    return Finding(
        Status.WARN,
        subject,
        f"{said}, so there are fewer than it seems.",
        remedy=Remedy(
            "Name each machine once in the list `nodes` of the configuration. If these should be "
            "two machines, correct their entries in DNS or /etc/hosts."
        ),
        cause="scaling.duplicate",
    )


# --- Versions -------------------------------------------------------------------------------------


def versions(nodes: Sequence[Seen]) -> Finding:
    """Whether all nodes tell the same versions."""
    told: dict[str, dict[str, list[str]]] = {}
    for node in nodes:
        for service, version in node.versions.items():
            told.setdefault(service, {}).setdefault(version, []).append(node.name)
    if not told:
        said = "The services of the nodes do not tell their versions, so these are not compared."
        return Finding(Status.SKIP, "versions", said)
    for service, holders in told.items():
        if len(holders) > 1:
            return _differing(service, holders)
    compared = {
        service: version
        for service, holders in told.items()
        for version, names in holders.items()
        if len(names) > 1
    }
    if not compared:
        said = "No two nodes tell the version of the same service, so there is none to compare: "
        return Finding(Status.SKIP, "versions", f"{said}{_told(nodes)}.", observed=_told(nodes))
    words = text.listing(f"{_NAMES[service]} {version}" for service, version in compared.items())
    untold = [node.name for node in nodes if not compared.keys() <= node.versions.keys()]
    beside = f"; {text.listing(untold)} did not tell all of them" if untold else ""
    if "app" not in compared:
        beside += "; the app's own version is not known, so the images may differ all the same"
    whose = "All nodes that tell have" if untold else "All nodes have"
    said = f"{whose} the same versions: {words}{beside}."
    return Finding(Status.PASS, "versions", said, observed=words)


def _told(nodes: Sequence[Seen]) -> str:
    """Who tells which versions."""
    return "; ".join(
        f"{node.name} tells "
        + text.listing(f"{_NAMES[service]} {version}" for service, version in node.versions.items())
        for node in nodes
        if node.versions
    )


def _differing(service: str, holders: dict[str, list[str]]) -> Finding:
    words = text.listing(
        f"{version} on {text.listing(names)}" for version, names in sorted(holders.items())
    )
    return Finding(
        Status.FAIL,
        "versions",
        f"The nodes have different versions of {_NAMES[service]}: {words}.",
        observed=words,
        expected="the same on all nodes",
        remedy=Remedy(
            "Start BioStudio on all nodes from the same image, by its tag or digest, and check "
            "again. To be run on each node:",
            ("docker ps --no-trunc --format 'table {{.Names}}\\t{{.Image}}'",),
        ),
        cause="scaling.versions",
    )


# --- Clocks ---------------------------------------------------------------------------------------


def clocks(machines: Sequence[Seen], settings: ScalingSettings) -> Iterator[Finding]:
    """Whether each clock is near the time that most machines agree on, this host among them."""
    known = [(one.name, one.clock) for one in machines if one.clock and not one.own]
    if not known:
        said = "No other machine tells its time (by the Date of an HTTP answer)."
        yield Finding(Status.SKIP, "clocks", said)
        return
    right = agreed([clock for _, clock in known])
    rest = "that of this host" if len(known) == 1 else "those of the other machines"
    for name, clock in (*known, ("this host", _HERE)):
        off = deviation(clock, right)
        if name == "this host" and abs(off) <= settings.warn_seconds:
            continue  # the others were compared with it
        yield _clock(name, off, rest, settings)
    untold = [one.name for one in machines if not one.clock and not one.own]
    if untold:
        said = f"{text.listing(untold)} did not tell the time, so it is not compared."
        yield Finding(Status.SKIP, "clocks", said)


def agreed(clocks: Sequence[Clock]) -> float:
    """The time, in seconds ahead of this host's, that fits the most clocks; if several do, the
    nearest to this host's.

    Each clock is known as an interval: this is the intersection of the most (K. Marzullo, 1984).
    """
    known = [*clocks, _HERE]
    edges = {edge for clock in known for edge in (clock.least, clock.most)}

    def worth(time: float) -> tuple[int, float]:
        return sum(clock.least <= time <= clock.most for clock in known), -abs(time)

    return max(edges, key=worth)


def deviation(clock: Clock, right: float) -> float:
    """By how many seconds at least a clock is ahead (or, negative, behind)."""
    return max(0.0, clock.least - right) + min(0.0, clock.most - right)


def _clock(name: str, off: float, rest: str, settings: ScalingSettings) -> Finding:
    subject = f"clock of {name}"
    expected = f"within {settings.warn_seconds:g} s"
    if abs(off) <= settings.warn_seconds:
        said = f"The clock of {name} agrees with {rest}, as far as whole seconds tell."
        return Finding(Status.PASS, subject, said, f"at least {abs(off):.1f} s off", expected)
    direction = "ahead of" if off > 0 else "behind"
    said = f"The clock of {name} is at least {_long(abs(off))} {direction} {rest}"
    where = "here" if name == "this host" else f"on {name}"
    return Finding(
        Status.FAIL if abs(off) > settings.fail_seconds else Status.WARN,
        subject,
        f"{said}.",
        f"{off:+.1f} s",
        expected,
        Remedy(
            f"Let a daemon keep the clock {where}; biostudio-doctor check os.time, run there, says "
            "how. With chrony this sets it right at once:",
            ("chronyc makestep",),
        ),
        cause="scaling.clock",
    )


def _long(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} minutes" if minutes < 120 else f"{minutes / 60:.0f} hours"


# --- One bioproxy ---------------------------------------------------------------------------------


def bioproxies(facts: NodesFacts, requirement: Requirement | None) -> Finding:
    """Whether there is one bioproxy, and no node that is another."""
    own = facts.bioproxy
    if own and own.failure:
        said = "Whether there is only one bioproxy was not looked at: its name has no address."
        return Finding(Status.ERROR, _ONE, said, requirement=requirement, cause="scaling.name")
    rivals = [node for node in facts.nodes if not (own and node.same(own))]
    certain = [node for node in rivals if _is_bioproxy(node)]
    if own is None:
        return _unnamed(certain, requirement)
    if certain:
        named = text.listing(f"{_evidence(node)} on {place(node)}" for node in certain)
        said = f"A second bioproxy answers beside {own.name}: {named}"
        return Finding(
            Status.FAIL,
            _ONE,
            f"{said}.",
            "several",
            "one",
            _SECOND,
            requirement,
            "scaling.bioproxy",
        )
    doubtful = [node for node in rivals if node.proxy]
    if doubtful:
        named = text.listing(f"{_evidence(node)} on {node.name}" for node in doubtful)
        said = f"{_first(named)} may be part of a second bioproxy beside {own.name}"
        return Finding(
            Status.WARN, _ONE, f"{said}.", "unclear", "one", _DOUBT, requirement, "scaling.bioproxy"
        )
    if not own.proxy:
        said = f"{_first(own.name)} does not answer as a bioproxy, and no node does"
        return Finding(
            Status.WARN, _ONE, f"{said}.", "none", "one", _NO_PROXY, requirement, "scaling.bioproxy"
        )
    said = f"{_first(own.name)} is the only bioproxy; none of the nodes answers as one."
    return Finding(Status.PASS, _ONE, said, "one", "one", requirement=requirement)


_ONE = "one bioproxy"
_SECOND = Remedy(
    "Decide which one colleagues use and keeps the data (METADATA-STORAGE), and stop the other; "
    "their databases are not merged. On the machine whose bioproxy goes (docker ps shows whether "
    "its container has another name):",
    ("docker ps", "docker update --restart=no bioproxy", "docker stop bioproxy"),
)
_DOUBT = Remedy(
    "See on that machine whose it is. If a bioproxy runs there, stop one of the two; if the "
    "service is your own, nothing need be done.",
    ("docker ps --format 'table {{.Names}}\\t{{.Image}}\\t{{.Ports}}'",),
)
_NO_PROXY = Remedy(
    "See what the checks services.* say there, and whether `bioproxy` in the configuration names "
    "the right machine (this host, if it is left out)."
)


def _unnamed(certain: Sequence[Seen], requirement: Requirement | None) -> Finding:
    remedy = Remedy('Tell in the configuration where bioproxy runs: bioproxy = "ADDRESS".')
    if len(certain) > 1:
        said = f"{text.listing(node.name for node in certain)} all answer as a bioproxy."
        return Finding(
            Status.FAIL, _ONE, said, "several", "one", _SECOND, requirement, "scaling.bioproxy"
        )
    found = f"; {certain[0].name} answers as one" if certain else ""
    said = f"The configuration does not tell where bioproxy runs{found}."
    return Finding(Status.SKIP, _ONE, said, remedy=remedy, requirement=requirement)


def _first(words: str) -> str:
    """The same at the beginning of a sentence; names of hosts stay as they are."""
    return words[:1].upper() + words[1:] if words.startswith(("this ", "its ")) else words


def _is_bioproxy(seen: Seen) -> bool:
    """Its front says so, or both its databases are there."""
    front = not seen.alike and ("http" in seen.proxy or "https" in seen.proxy)
    return front or {"postgresql", "redis"} <= set(seen.proxy)


def _evidence(seen: Seen) -> str:
    return text.listing(_NAMES[service] for service in seen.proxy)
