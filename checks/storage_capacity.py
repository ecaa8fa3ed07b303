"""storage.capacity"""

import math
import shlex
from collections.abc import Iterator, Sequence
from datetime import timedelta

from msgspec import Struct

from biostudio_doctor import distribution, text, tiers
from biostudio_doctor.check import Check
from biostudio_doctor.host import Host
from biostudio_doctor.host.mounts import MEMORY_TYPES
from biostudio_doctor.host.places import Place
from biostudio_doctor.model import Finding, Remedy, Status
from biostudio_doctor.requirements import Quantity, Requirements
from biostudio_doctor.tiers import Site, StorageFacts


class StorageCapacity(Check[StorageFacts]):
    """Enough room for the storage tiers.

    Looks at the file system under each tier (APP, METADATA, USER) that the role has: at its
    configured path, or the nearest parent of it that exists; without a configured path at the
    vendor's default under /biocolab, or else at the mounted file system where it would fit best.
    Tiers that share their room (one file system, also through bind mounts and btrfs subvolumes,
    volumes of one LVM thin pool, datasets of one ZFS pool) must fit into it together.

    Before the installation the space that is available now must hold a tier. In the phase
    `running` what it already keeps there counts too, and a file system that is nearly full is
    warned of. Space reserved for root never counts.

    Why: a full METADATA stops the databases and with them everything; a full USER or APP stops
    notebooks and package installations in the middle.

    Mend: enlarge the file system, mount a larger disk, or name larger ones in the table [storage]
    of the configuration (`biostudio-doctor config init`).
    """

    id = "storage.capacity"
    interval = timedelta(minutes=5)
    requirement_ids = (*(tier.requirement for tier in tiers.TIERS), "storage.free")

    def observe(self, host: Host) -> StorageFacts:
        return tiers.survey(host, self.context)

    def judge(self, facts: StorageFacts, requirements: Requirements) -> Iterator[Finding]:
        yield from tiers.claim_findings(self.context, requirements)
        sites = tiers.settle(facts, self.context, requirements)
        seen = [site for site in sites if not site.place.problem]
        for site in sites:
            if site.place.problem:
                yield tiers.unseen_finding(site, self.context)
        for group in _groups(seen):
            remedy = self._remedy(group)
            for site in group.sites:
                yield self._tier(site, remedy, requirements)
            tenants = group.tenants
            if len(tenants.sites) > 1 and not group.is_memory:
                yield self._together(tenants, remedy)
        yield from self._unplaced(facts, sites, requirements)

    @property
    def _running(self) -> bool:
        return self.context.scope.phase == "running"

    def _tier(self, site: Site, remedy: Remedy, requirements: Requirements) -> Finding:
        place, wanted = site.place, site.wanted
        amount = self._amount(site)
        status = Status.PASS if amount >= wanted.value else wanted.shortfall(amount)
        said = f"{self._room(site, amount)}; {wanted.in_words(status, text.size)}"
        trap = _trap(place)
        if trap:
            status = max(status, trap[0], key=_badness)
            said, remedy = f"{said}; and {trap[1]}", trap[2]
        elif status is Status.PASS and self._running:
            full = _fullness(site, requirements.demand("storage.free", Quantity))
            status, said = (full[0], f"{said}; {full[1]}") if full else (status, said)
        return Finding(
            status,
            site.tier.name,
            f"{site.where}: {said}.",
            observed=text.both_sizes(amount),
            expected=f"{text.size(wanted.value)} or more",
            remedy=None if status is Status.PASS else remedy,
            requirement=wanted,
        )

    def _amount(self, site: Site) -> float:
        """The bytes that count for a tier. The vendor's installer, too, measures ROOT's size."""
        room = site.place.room
        if not room:
            return 0.0
        amount = room.usable if self._running else room.available
        if site.tier == tiers.ROOT:
            amount = room.size
        return min(amount, site.place.volume.pool_size or amount)

    def _room(self, site: Site, amount: float) -> str:
        root = site.tier == tiers.ROOT
        if not self._running and not root:
            return f"{text.both_sizes(amount)} available"
        available = site.place.room.available if site.place.room else 0
        whole = "in size" if root else "in all"
        return f"{text.both_sizes(amount)} {whole}, {text.size(available)} available"

    def _together(self, group: "_Group", remedy: Remedy) -> Finding:
        names = text.listing(site.tier.name for site in group.sites)
        status, least = Status.PASS, sum(site.wanted.floor for site in group.sites)
        if group.need > self._counting(group):
            status = Status.WARN if least <= self._counting(group) else Status.FAIL
        room = f"{text.both_sizes(group.available)} available"
        if self._running:
            room = f"{text.both_sizes(group.usable)} in all, {room}"
        together = text.size(group.need)
        return Finding(
            status,
            names,
            f"{names} share {group.name} and are to have {together} together: it has {room}.",
            observed=room,
            expected=f"{together} together",
            remedy=None if status is Status.PASS else remedy,
            requirement=max((site.wanted for site in group.sites), key=lambda item: item.value),
        )

    def _remedy(self, group: "_Group") -> Remedy:
        """One remedy for all that lies on one file system, so that it is read once."""
        place = group.sites[0].place
        target = shlex.quote(place.target)
        movable = [site.tier.key for site in group.sites if not site.tier.fixed]
        words = f"Make more room on the file system mounted at {place.target}"
        if movable:
            keys = text.listing((f"storage.{key}" for key in movable), "or")
            words += f", or put {keys} of the configuration on a larger one"
        commands = [f"df -hT {target}", f"du -xk {target} | sort -n | tail -n 20"]
        if distribution.family(self.context.machine) != "alpine":
            commands.insert(0, "lsblk -o NAME,SIZE,TYPE,FSTYPE,MOUNTPOINT")
        roots = [site for site in group.sites if site.tier == tiers.ROOT]
        lacks = [site.wanted.value - self._amount(site) for site in roots]
        if (tenants := group.tenants).sites:
            lacks.append(tenants.need - self._counting(tenants))
        more = _ways_to_grow(place, max(0.0, *lacks))
        return Remedy(f"{words}.{more.text}", (*commands, *more.commands))

    def _counting(self, group: "_Group") -> float:
        """The bytes that count for tiers that share them."""
        return group.usable if self._running else group.available

    def _unplaced(
        self, facts: StorageFacts, sites: Sequence[Site], requirements: Requirements
    ) -> Iterator[Finding]:
        for place in facts.candidates:
            if place.problem:
                yield Finding(
                    Status.ERROR,
                    place.path,
                    f"The file system at {place.path} was not considered for the tiers: "
                    f"{place.problem}.",
                    remedy=tiers.unseen_remedy(place, self.context),
                )
        proposed = [site for site in sites if site.origin == "proposed"]
        if proposed:
            yield _how_to_configure(proposed)
        for tier in tiers.unsettled(sites, self.context, requirements):
            yield Finding(
                Status.ERROR,
                tier.name,
                f"{tier.name} has no path configured, and no file system here could be looked at "
                "in its stead.",
                remedy=_CONFIGURE,
                requirement=requirements.demand(tier.requirement, Quantity),
            )


class _Group(Struct, frozen=True):
    """Tiers that share their room."""

    sites: list[Site]

    @property
    def name(self) -> str:
        """What they share, in words."""
        place = self.sites[0].place
        targets = list(dict.fromkeys(site.place.target for site in self.sites))
        if place.volume.pool:
            return f"the pool {place.volume.pool} ({text.listing(targets)})"
        if len(targets) > 1:
            return f"one file system ({text.listing(targets)})"
        return f"the file system at {targets[0]}"

    @property
    def is_memory(self) -> bool:
        """Whether this is no storage at all."""
        mount = self.sites[0].place.mount
        return mount is not None and mount.type in MEMORY_TYPES

    @property
    def available(self) -> float:
        """Bytes that are free for all of them. Thin volumes promise what their pool may lack."""
        free = [place.room.available for place in self._devices() if place.room]
        pool_size = self.sites[0].place.volume.pool_size
        return min(sum(free), pool_size) if pool_size else max(free)

    @property
    def usable(self) -> float:
        """Bytes that are free or in use."""
        pool_size = self.sites[0].place.volume.pool_size
        used = sum(place.room.used for place in self._devices() if place.room)
        return min(self.available + used, pool_size) if pool_size else self.available + used

    @property
    def tenants(self) -> "_Group":
        """Those that need room of their own; ROOT's is the size of the file system they are on."""
        return _Group([site for site in self.sites if site.tier != tiers.ROOT])

    @property
    def need(self) -> float:
        """Bytes that they are to have together."""
        return sum(site.wanted.value for site in self.sites)

    def _devices(self) -> list[Place]:
        return list({site.place.device: site.place for site in self.sites}.values())


def _groups(sites: Sequence[Site]) -> list[_Group]:
    found: dict[str, list[Site]] = {}
    for site in sites:
        found.setdefault(site.place.filesystem, []).append(site)
    return [_Group(group) for group in found.values()]


def _ways_to_grow(place: Place, missing: float) -> Remedy:
    """What this file system itself offers, for the bytes that it lacks."""
    room, mount = place.room, place.mount
    if not (room and mount and missing):
        return Remedy("")
    source = shlex.quote(mount.source)
    reserved = room.size - room.usable
    if mount.type in ("ext3", "ext4") and mount.target != "/" and reserved >= missing:
        return Remedy(
            f" {text.size(reserved)} of it are reserved for root, which a data disk does not need.",
            (f"tune2fs -m 0 {source}",),
        )
    if place.volume.lvm and not place.volume.pool:
        gibibytes = math.ceil(missing / (1 << 30))
        return Remedy(
            " It is an LVM volume, and can grow if its volume group has room.",
            ("vgs", f"lvextend --resizefs --size +{gibibytes}G {source}"),
        )
    return Remedy("")


def _trap(place: Place) -> tuple[Status, str, Remedy] | None:
    """Room that is none: in memory, or gone with a container."""
    fs_type = place.mount.type if place.mount else ""
    if fs_type in MEMORY_TYPES:
        return (
            Status.FAIL,
            f"this is {fs_type}, which is memory and empty after a reboot",
            Remedy("Name a directory on a disk in the table [storage] of the configuration."),
        )
    if fs_type == "overlay":
        return (
            Status.WARN,
            "this is an overlay, the layer of a container or of a live system, and is gone with it",
            Remedy(
                "Run biostudio-doctor on the host itself, or mount the host's root into the "
                "container and name it with --host-root."
            ),
        )
    return None


def _fullness(site: Site, least: Quantity) -> tuple[Status, str] | None:
    """Nearly full: a small share is left, which is also less than the whole tier should have."""
    room = site.place.room
    if not room or room.available >= site.wanted.value:
        return None
    share = room.available / max(1, room.usable)
    if share >= least.value:
        return None
    return least.shortfall(share), f"only {share:.0%} is left, and {least.value:.0%} should be"


def _badness(status: Status) -> int:
    return (Status.PASS, Status.WARN, Status.FAIL).index(status)


_CONFIG_FILE = "/etc/biostudio-doctor/config.toml"
_CONFIGURE = Remedy(
    f"Write a configuration, and name the directories in its table [storage] in {_CONFIG_FILE}.",
    ("mkdir -p /etc/biostudio-doctor", f"biostudio-doctor config init {_CONFIG_FILE}"),
)


def _how_to_configure(sites: Sequence[Site]) -> Finding:
    names = text.listing(site.tier.name for site in sites)
    were = "was judged where it fits" if len(sites) == 1 else "were judged where they fit"
    lines = text.listing(f'{site.tier.key} = "{site.directory}"' for site in sites)
    return Finding(
        Status.SKIP,
        "paths",
        f"{names} {were} best, since no path is configured: `biostudio-doctor config init FILE` "
        "writes a file to name paths in.",
        remedy=Remedy(
            f"{_CONFIGURE.text} This would be the best here: {lines}.", _CONFIGURE.commands
        ),
    )
