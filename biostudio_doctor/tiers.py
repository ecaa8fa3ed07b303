"""The storage tiers of the requirements: which of them a role has, and where they are or will be.

A tier is at its configured path; else at the vendor's default path, if that has been begun; else
it is judged where it would fit best of all mounted file systems.
"""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from msgspec import Struct

from biostudio_doctor import text
from biostudio_doctor.check import Context
from biostudio_doctor.host import Host
from biostudio_doctor.host.mounts import NETWORK_TYPES
from biostudio_doctor.host.places import Place, candidates, look_at
from biostudio_doctor.model import ROLES, Finding, Remedy, Status
from biostudio_doctor.requirements import Quantity, Requirements

#: Seconds for a file system to answer, if --timeout leaves as much.
PATIENCE = 4.0
#: So many of the largest file systems are considered for tiers without a path.
_CONSIDERED = 5

Origin = Literal["configured", "default", "proposed", "fixed"]


class Tier(Struct, frozen=True):
    """One tier of storage."""

    name: str  # as the document calls it, without -STORAGE
    requirement: str  # the id of its amount
    directory: str  # where the vendor's installer has it
    roles: tuple[str, ...]
    fixed: bool = False  # there is no key to move it by

    @property
    def key(self) -> str:
        """Its key in the table [storage] of the configuration."""
        return self.name.lower()


APP = Tier("APP", "storage.app", "/biocolab/appdata", ("all-in-one", "biostudio"))
METADATA = Tier("METADATA", "storage.metadata", "/biocolab/metadata", ("all-in-one", "bioproxy"))
USER = Tier("USER", "storage.user", "/biocolab/userdata", ("all-in-one", "biostudio"))
#: Only the vendor's later material asks for these two.
CONFIG = Tier("CONFIG", "storage.config", "/biocolab/configs", ("all-in-one", "bioproxy"), True)
ROOT = Tier("ROOT", "storage.root", "/", ROLES, True)
TIERS = (APP, METADATA, USER, CONFIG, ROOT)
_VENDOR_DIRECTORY = "/biocolab"


class StorageFacts(Struct, frozen=True, kw_only=True):
    """What lies under the tiers that have a place, and what there is for those that have none."""

    places: dict[str, Place]  # by name of the tier
    candidates: tuple[Place, ...] = ()
    others: dict[str, Place] = {}  # by path: what a check looked at besides


class Site(Struct, frozen=True, kw_only=True):
    """A tier and the place where it is judged."""

    tier: Tier
    origin: Origin
    place: Place
    wanted: Quantity

    @property
    def directory(self) -> str:
        """The tier's directory, proposed or not."""
        if self.origin != "proposed":
            return self.place.path
        return self.place.target.rstrip("/") + self.tier.directory

    @property
    def where(self) -> str:
        """Where the tier is, as the beginning of a sentence."""
        name, place = self.tier.name, self.place
        if self.tier == ROOT:
            return "The root file system"
        if self.origin == "proposed":
            return f"{name} (no path configured) would be on {place.target}"
        default = " (the vendor's default path)" if self.origin != "configured" else ""
        if place.exists is False:
            there = f"{place.path}{default}, which does not exist yet and would lie"
            return f"{name} is to be at {there} on {place.target}"
        on = f" on {place.target}" if place.path != place.target else ""
        return f"{name} is at {place.path}{default}{on}"


def tiers_of(role: str, requirements: Requirements) -> list[Tier]:
    """The tiers of a machine of this role that these requirements give an amount for."""
    return [tier for tier in TIERS if role in tier.roles and requirements.get(tier.requirement)]


def on_claims(context: Context) -> list[Tier]:
    """The tiers that are volume claims of Kubernetes, so that no directory stands for them."""
    if context.scope.platform != "kubernetes":
        return []
    tiers = tiers_of(context.scope.role, context.requirements)
    return [tier for tier in tiers if not _configured(context, tier) and tier != ROOT]


def patience(context: Context) -> float:
    """Seconds to wait for any one file system, so that the check itself still ends in time."""
    return min(PATIENCE, (context.config.timeout or 2 * PATIENCE) / 2)


def survey(
    host: Host, context: Context, *, propose: bool = True, others: Sequence[str] = ()
) -> StorageFacts:
    """Look at the places of all tiers side by side.

    With `propose` also at the file systems there are for tiers without a path, and always at
    `others`.
    """
    mounts = host.mounts()
    claims = on_claims(context)
    tiers = [
        tier for tier in tiers_of(context.scope.role, context.requirements) if tier not in claims
    ]
    paths = {tier.name: _configured(context, tier) or tier.directory for tier in tiers}
    movable = any(not tier.fixed and not _configured(context, tier) for tier in tiers)
    mount_points = candidates(mounts) if propose and movable else []
    wanted = dict.fromkeys([*paths.values(), *mount_points, *others])
    seen = look_at(host, wanted, mounts, patience(context))
    return StorageFacts(
        places={
            tier.name: seen[paths[tier.name]]
            for tier in tiers
            if tier.fixed or _configured(context, tier) or _begun(seen[paths[tier.name]])
        },
        candidates=tuple(place for point in mount_points if _usable(place := seen[point])),
        others={path: seen[path] for path in others},
    )


def settle(facts: StorageFacts, context: Context, requirements: Requirements) -> list[Site]:
    """Each tier with its place; tiers that have none go where they fit best, if anywhere."""
    claims = on_claims(context)
    tiers = [t for t in tiers_of(context.scope.role, requirements) if t not in claims]
    sites = []
    for tier in tiers:
        if tier.name in facts.places:
            origin: Origin = "default"
            if tier.fixed:
                origin = "fixed"
            elif _configured(context, tier):
                origin = "configured"
            place = facts.places[tier.name]
            wanted = requirements.demand(tier.requirement, Quantity)
            sites.append(Site(tier=tier, origin=origin, place=place, wanted=wanted))
    proposed = _propose(
        [t for t in tiers if t.name not in facts.places], facts, sites, requirements
    )
    return sorted([*sites, *proposed], key=lambda site: TIERS.index(site.tier))


def unsettled(sites: Sequence[Site], context: Context, requirements: Requirements) -> list[Tier]:
    """The tiers for which there is no place at all, not even a proposed one."""
    placed = [site.tier for site in sites] + on_claims(context)
    return [t for t in tiers_of(context.scope.role, requirements) if t not in placed]


def unseen_finding(site: Site, context: Context) -> Finding:
    """The `error` of a tier whose place could not be looked at."""
    return Finding(
        Status.ERROR,
        site.tier.name,
        f"{site.tier.name} could not be looked at: {site.place.path}: {site.place.problem}.",
        remedy=unseen_remedy(site.place, context),
        requirement=site.wanted,
    )


def unseen_remedy(place: Place, context: Context) -> Remedy:
    """What to do about a place that could not be looked at."""
    mount = place.mount
    source = f" from {mount.source}" if mount and mount.is_network else ""
    if place.hung:
        return Remedy(
            f"The file system mounted at {place.target}{source} does not answer: see whether its "
            "server, or the disk under it, does. What waits for it shows state D here.",
            ("ps -eo pid,stat,wchan:30,args | awk '$2 ~ /^D/'",),
        )
    if place.denied and not context.machine.root:
        return Remedy("Run biostudio-doctor as root, which may look there.")
    return Remedy(
        f"Look at the file system mounted at {place.target}{source}, and mount it anew if it is "
        "stale.",
        (f"ls -ld {shlex.quote(place.path)}", f"grep -F {shlex.quote(place.target)} /proc/mounts"),
    )


def claim_findings(context: Context, requirements: Requirements) -> Iterator[Finding]:
    """On Kubernetes, why tiers without a path are not judged here."""
    for tier in on_claims(context):
        wanted = requirements.demand(tier.requirement, Quantity)
        yield Finding(
            Status.SKIP,
            tier.name,
            f"On Kubernetes {tier.name} is a volume claim (PVC) of {text.size(wanted.value)}, "
            "and no directory of this host.",
            requirement=wanted,
        )


def _configured(context: Context, tier: Tier) -> str | None:
    path: str | None = getattr(context.config.storage, tier.key, None)
    return path


def _begun(place: Place) -> bool:
    """Whether the vendor's directory is there, so that its default paths are meant."""
    if place.problem or place.exists is None:  # something there keeps us from looking
        return True
    return (place.existing + "/").startswith(_VENDOR_DIRECTORY + "/")


def _usable(place: Place) -> bool:
    """Whether a candidate counts: a mount point that is a directory. One that fails is told of."""
    if place.problem:
        return place.room is None and not place.denied
    return place.directory and place.exists is True


def _propose(
    tiers: Sequence[Tier], facts: StorageFacts, sites: Sequence[Site], requirements: Requirements
) -> list[Site]:
    """Of all ways to spread tiers over the candidates, the one that lacks the least room.

    Among equals METADATA stays off the network, then the fewest file systems are used, then those
    with the most room.
    """
    rooms = [place for place in facts.candidates if place.room and not place.problem]
    rooms.sort(key=lambda place: place.room.available if place.room else 0, reverse=True)
    rooms = rooms[:_CONSIDERED]
    if not rooms or not tiers:
        return []
    wanted = {tier.name: requirements.demand(tier.requirement, Quantity) for tier in tiers}
    taken: dict[str, float] = {}
    for site in sites:
        if not site.tier.fixed:
            taken[site.place.filesystem] = taken.get(site.place.filesystem, 0) + site.wanted.value

    def drawback(choice: Sequence[int]) -> tuple[float, ...]:
        needs = dict(taken)
        on_network = 0
        for tier, index in zip(tiers, choice, strict=True):
            place = rooms[index]
            needs[place.filesystem] = needs.get(place.filesystem, 0) + wanted[tier.name].value
            on_network += tier == METADATA and _is_network(place)
        return (on_network, _lacking(needs, rooms), len(set(choice)), sum(choice))

    best = min(itertools.product(range(len(rooms)), repeat=len(tiers)), key=drawback)
    return [
        Site(tier=tier, origin="proposed", place=rooms[index], wanted=wanted[tier.name])
        for tier, index in zip(tiers, best, strict=True)
    ]


def _is_network(place: Place) -> bool:
    return place.mount is not None and place.mount.type in NETWORK_TYPES


def _lacking(needs: Mapping[str, float], rooms: Sequence[Place]) -> float:
    available = {place.filesystem: place.room.available for place in rooms if place.room}
    return sum(max(0.0, need - available.get(name, need)) for name, need in needs.items())
