"""storage.filesystem"""

import shlex
from collections.abc import Iterator
from datetime import timedelta

import msgspec
from msgspec import Struct

from biostudio_doctor import distribution, text, tiers
from biostudio_doctor.check import Check
from biostudio_doctor.host import Host
from biostudio_doctor.host.fstab import FSTAB, Boot, boot_of, fstab_line, unit_name
from biostudio_doctor.host.mounts import (
    LOCAL_TYPES,
    MEMORY_TYPES,
    NETWORK_TYPES,
    OBJECT_TYPES,
    OWNERLESS_TYPES,
    Mount,
)
from biostudio_doctor.host.places import Place
from biostudio_doctor.host.xfs import has_ftype
from biostudio_doctor.model import Finding, Machine, Remedy, Status
from biostudio_doctor.requirements import Feature, Quantity, Requirements
from biostudio_doctor.tiers import APP, METADATA, USER, Site, StorageFacts

_DOCKER, _CONTAINERD = "/var/lib/docker", "/var/lib/containerd"
#: systemd knows that these wait for the network; others need _netdev in fstab to be told apart.
_KNOWN_TO_WAIT = frozenset({
    "afs", "ceph", "cifs", "gfs2", "glusterfs", "lustre", "nfs", "nfs4", "ocfs2", "orangefs",
    "smb3", "smbfs", "sshfs",
})  # fmt: skip


class FilesystemFacts(Struct, frozen=True, kw_only=True):
    """The file systems under the tiers and the engine's data, and what is mounted at boot."""

    storage: StorageFacts
    boot: Boot
    ftype: dict[str, bool | None]  # by mount point of XFS; None where it could not be asked


class StorageFilesystem(Check[FilesystemFacts]):
    """File systems fit for the storage tiers and the engine.

    Looks at the file system under each tier and under the engine's data directory: its type,
    whether it can be written, runs programs, has inodes left, is local where databases are, and
    is mounted again after a reboot (by /etc/fstab, a systemd unit, ZFS or an automounter). XFS
    under the engine must have been made with ftype=1, which overlay2 needs.

    Why: databases on a file system that loses owners, or that is not there after a reboot, start
    empty or not at all, and the work of many days seems lost.

    Mend: mount a disk with ext4 or XFS at the tier's path and add it to /etc/fstab; `findmnt
    --target PATH` tells what is there now.
    """

    id = "storage.filesystem"
    interval = timedelta(minutes=15)
    requirement_ids = (
        "storage.filesystem", "storage.inodes", "storage.inodes-metadata", "runtime.engine",
    )  # fmt: skip

    def observe(self, host: Host) -> FilesystemFacts:
        roots = _engine_roots(host, self.context.scope.platform)
        storage = tiers.survey(host, self.context, others=roots)
        places = (*storage.places.values(), *storage.candidates, *storage.others.values())
        answering = [place for place in places if place.mount and not place.problem]
        return FilesystemFacts(
            storage=storage,
            boot=boot_of(host, [place.mount for place in answering if place.mount]),
            ftype={
                place.target: _ftype(host, place.target)
                for place in storage.others.values()
                if place in answering and _type(place) == "xfs"
            },
        )

    def judge(self, facts: FilesystemFacts, requirements: Requirements) -> Iterator[Finding]:
        yield from tiers.claim_findings(self.context, requirements)
        for site in tiers.settle(facts.storage, self.context, requirements):
            if site.tier in (APP, METADATA, USER):
                yield from self._tier(site, facts, requirements)
        yield from self._engine(facts, requirements)
        if facts.boot.problem:
            yield Finding(
                Status.ERROR,
                FSTAB,
                f"{FSTAB} could not be read, so what is mounted after a reboot is not known: "
                f"{facts.boot.problem}.",
                remedy=Remedy("Look at it as root.", (f"ls -l {FSTAB}", f"cat {FSTAB}")),
            )

    def _tier(
        self, site: Site, facts: FilesystemFacts, requirements: Requirements
    ) -> Iterator[Finding]:
        name, place = site.tier.name, site.place
        if place.problem:
            yield tiers.unseen_finding(site, self.context)
            return
        problems = [*_tier_problems(site), *self._common_problems(place, facts)]
        problems += _few_inodes(
            place,
            "storage.inodes-metadata" if site.tier == METADATA else "storage.inodes",
            requirements,
            self.context.machine,
        )
        if problems:
            yield from _findings(name, name, place, problems, requirements)
            return
        yield Finding(
            Status.PASS,
            name,
            f"{site.where}: {_described(place, facts.boot)}.",
            requirement=requirements.demand("storage.filesystem", Feature),
        )

    def _engine(self, facts: FilesystemFacts, requirements: Requirements) -> Iterator[Finding]:
        if self.context.machine.container:
            yield Finding(
                Status.SKIP,
                "engine data",
                "The engine's data directory cannot be seen from inside a container.",
            )
            return
        judged = set()
        for path, place in facts.storage.others.items():
            if place.filesystem in judged:  # the first finding speaks for both directories
                continue
            judged.add(place.filesystem)
            yield from self._engine_data(path, place, facts, requirements)

    def _engine_data(
        self, path: str, place: Place, facts: FilesystemFacts, requirements: Requirements
    ) -> Iterator[Finding]:
        who, subject = f"The engine's data directory {path}", f"engine data {path}"
        if place.problem:
            yield Finding(
                Status.ERROR,
                subject,
                f"{who} could not be looked at: {place.problem}.",
                remedy=tiers.unseen_remedy(place, self.context),
                requirement=requirements.demand("runtime.engine", Feature),
            )
            return
        problems = [*_engine_problems(place, facts.ftype), *self._common_problems(place, facts)]
        problems += _few_inodes(place, "storage.inodes", requirements, self.context.machine)
        if problems:
            yield from _findings(who, subject, place, problems, requirements)
            return
        lies = "would lie" if place.exists is False else "lies"
        yield Finding(
            Status.PASS,
            subject,
            f"{who} {lies} on {place.target}: {_described(place, facts.boot)}.",
            requirement=requirements.demand("runtime.engine", Feature),
        )

    def _common_problems(self, place: Place, facts: FilesystemFacts) -> Iterator["_Problem"]:
        if place.mount and place.mount.read_only:
            yield _read_only(place.mount, facts.boot)
        # A container's mounts are made by whoever starts it.
        if not self.context.machine.container and not facts.boot.problem:
            yield from _not_mounted(place, facts.boot)
            yield from _not_at_boot(place, facts.boot, self.context.machine)


class _Problem(Struct, frozen=True):
    """What is wrong with a file system, and under which requirement."""

    status: Status
    aspect: str
    says: str
    remedy: Remedy
    requirement: str = "storage.filesystem"


_BETTER = Remedy("Mount a local disk with ext4 or XFS there, or name another directory.")
_CONTAINER = Remedy(
    "Run biostudio-doctor on the host itself, or mount the host's root into the container and "
    "name it with --host-root."
)


def _findings(
    who: str, subject: str, place: Place, problems: list[_Problem], requirements: Requirements
) -> Iterator[Finding]:
    for problem in problems:
        yield Finding(
            problem.status,
            f"{subject} {problem.aspect}",
            f"{who}, on {place.target}: {problem.says}.",
            remedy=problem.remedy,
            requirement=requirements.get(problem.requirement),
        )


def _tier_problems(site: Site) -> Iterator[_Problem]:
    place, mount, tier = site.place, site.place.mount, site.tier
    if not place.directory:
        look = f"ls -ld {shlex.quote(place.existing)}"
        remedy = Remedy("Move it away, or name another directory.", (look,))
        yield _Problem(
            Status.FAIL, "directory", f"{place.existing} is a file, no directory", remedy
        )
    if mount is None:
        return
    yield from _unfit_type(mount)
    if mount.type in OBJECT_TYPES:
        status = Status.FAIL if tier == METADATA else Status.WARN
        says = f"{mount.type} is an object store, without hard links and atomic renames"
        yield _Problem(status, "type", says, _BETTER)
    elif tier == METADATA and mount.type in NETWORK_TYPES - OWNERLESS_TYPES:
        yield _database_on_network(mount)
    if tier != METADATA and "noexec" in mount.options:
        says = "it is mounted noexec, and the programs kept there could not be started"
        yield _Problem(Status.FAIL, "noexec", says, _remount(mount, "exec", "noexec"))


def _unfit_type(mount: Mount) -> Iterator[_Problem]:
    fs_type = mount.type
    if fs_type in MEMORY_TYPES:
        says = f"{fs_type} is memory, and empty after a reboot"
        yield _Problem(Status.FAIL, "type", says, _BETTER)
    elif fs_type in OWNERLESS_TYPES:
        says = f"{fs_type} keeps no owners and permissions, which the containers set on their files"
        yield _Problem(Status.FAIL, "type", says, _BETTER)
    elif fs_type == "overlay":
        says = "an overlay is the layer of a container or a live system, and is gone with it"
        yield _Problem(Status.WARN, "type", says, _CONTAINER)
    elif fs_type == "ext2":
        says = "ext2 has no journal, and after a crash waits for a long repair"
        yield _Problem(Status.WARN, "type", says, _BETTER)
    elif fs_type not in LOCAL_TYPES | NETWORK_TYPES:
        says = f"the type {fs_type} is not known to hold such data well"
        yield _Problem(Status.WARN, "type", says, _BETTER)


def _database_on_network(mount: Mount) -> _Problem:
    """PostgreSQL's manual ("Creating a Database Cluster") allows NFS if it is mounted hard."""
    if {"soft", "softerr"} & {*mount.options, *mount.super_options}:
        return _Problem(
            Status.FAIL,
            "network",
            f"{mount.type} is mounted soft, and loses writes of the databases when its server is "
            "slow",
            Remedy(f"Put METADATA on a local disk, or mount {mount.target} with the option hard."),
        )
    return _Problem(
        Status.WARN,
        "network",
        f"{mount.type} is on the network, and every commit of the databases waits for it; a server "
        "with root_squash also refuses them the owner they need",
        Remedy(
            "Put METADATA on a local disk. If it must stay there, export it with no_root_squash "
            "and sync, and mount it hard."
        ),
    )


def _engine_problems(place: Place, ftype: dict[str, bool | None]) -> Iterator[_Problem]:
    if place.mount is None:
        return
    fs_type, engine = place.mount.type, "runtime.engine"
    if fs_type in NETWORK_TYPES | OWNERLESS_TYPES:
        says = f"overlay2 cannot keep layers of images on {fs_type}"
        yield _Problem(Status.FAIL, "type", says, _BETTER, engine)
    elif fs_type in MEMORY_TYPES:
        says = f"{fs_type} is memory, and all images are gone after a reboot"
        yield _Problem(Status.WARN, "type", says, _BETTER, engine)
    elif fs_type == "overlay":
        says = "overlay2 does not work on an overlay"
        yield _Problem(Status.WARN, "type", says, _CONTAINER, engine)
    elif fs_type == "xfs" and ftype.get(place.target) is False:
        says = "this XFS was made with ftype=0 (no d_type), and overlay2 needs ftype=1"
        remedy = Remedy(
            "It cannot be changed afterwards: make a new file system on another disk (mkfs.xfs "
            "does it right by now) and mount it there, or let the engine's data directory be on "
            "it (data-root in /etc/docker/daemon.json).",
            (f"xfs_info {shlex.quote(place.target)}",),
        )
        yield _Problem(Status.FAIL, "ftype", says, remedy, engine)
    elif fs_type == "xfs" and ftype.get(place.target) is None:
        says = "whether this XFS has ftype=1, which overlay2 needs, could not be asked"
        remedy = Remedy("Look for ftype=1.", (f"xfs_info {shlex.quote(place.target)}",))
        yield _Problem(Status.ERROR, "ftype", says, remedy, engine)


def _read_only(mount: Mount, boot: Boot) -> _Problem:
    entry = boot.entry(mount.target)
    if entry and "ro" in entry.options:
        remedy = _remount(mount, "rw", "ro")
        return _Problem(Status.FAIL, "read-only", f"{FSTAB} mounts it read-only", remedy)
    remedy = Remedy(
        "The kernel makes a file system read-only when its disk fails: look for errors before "
        "you mount it writable.",
        ("dmesg | grep -iE 'error|remount' | tail -n 20",
         f"mount -o remount,rw {shlex.quote(mount.target)}"),
    )  # fmt: skip
    return _Problem(Status.FAIL, "read-only", "it is mounted read-only", remedy)


def _few_inodes(
    place: Place, requirement: str, requirements: Requirements, machine: Machine
) -> Iterator[_Problem]:
    room, wanted = place.room, requirements.demand(requirement, Quantity)
    if not room or not room.inodes or room.inodes_free >= wanted.value:
        return
    status = wanted.shortfall(room.inodes_free)
    says = (
        f"{_count(room.inodes_free)} of {_count(room.inodes)} inodes are free, "
        f"and {_count(wanted.value)} or more should be"
    )
    if status is Status.FAIL:
        says += f", {_count(wanted.floor)} at least ({wanted.floor_says})"
    target = shlex.quote(place.target)
    commands = [f"df -i {target}"]
    if distribution.family(machine) != "alpine":  # whose find has no -printf
        commands.append(f"find {target} -xdev -printf '%h\\n' | sort | uniq -c | sort -n | tail")
    remedy = Remedy(
        "Every file takes one. Remove many small files, or use another file system: that of ext4 "
        "is settled when it is made, and XFS makes more as long as it has room.",
        tuple(commands),
    )
    yield _Problem(status, "inodes", says, remedy, requirement)


def _not_mounted(place: Place, boot: Boot) -> Iterator[_Problem]:
    entry = boot.meant_for(place.path)
    if not entry or len(entry.target) <= len(place.target):  # else it is what lies there
        return
    target = shlex.quote(entry.target)
    yield _Problem(
        Status.WARN,
        "mount",
        f"{FSTAB} has {entry.source} for {entry.target}, which is not mounted now, so that all of "
        f"this is about {place.target}",
        Remedy("Mount it and run this check again.", (f"mkdir -p {target}", f"mount {target}")),
    )


def _not_at_boot(place: Place, boot: Boot, machine: Machine) -> Iterator[_Problem]:
    mount = place.mount
    if not mount or mount.target == "/" or mount.type in MEMORY_TYPES | {"overlay", "zfs"}:
        return
    if boot.is_automounted(mount.target):
        return
    entry = boot.entry(mount.target)
    if entry and not entry.at_boot:
        says = f"{FSTAB} has it with noauto, so it is not mounted after a reboot"
        remedy = Remedy(f"Remove the option noauto from the line of {mount.target} in {FSTAB}.")
        yield _Problem(Status.WARN, "boot", says, remedy)
    elif entry and _comes_too_early(mount, entry.options):
        says = f"{FSTAB} has it without _netdev, so it may be mounted before the network is there"
        remedy = Remedy(f"Add the option _netdev to the line of {mount.target} in {FSTAB}.")
        yield _Problem(Status.WARN, "boot", says, remedy)
    elif not entry and boot.units.get(mount.target) == "disabled":
        unit = unit_name(mount.target)
        says = f"its systemd unit {unit} is not enabled, so it is not mounted after a reboot"
        remedy = Remedy("Enable it.", (f"systemctl enable {shlex.quote(unit)}",))
        yield _Problem(Status.WARN, "boot", says, remedy)
    elif not entry and boot.units.get(mount.target) != "enabled":
        says = f"neither {FSTAB} nor a systemd unit mounts it again after a reboot"
        yield _Problem(Status.WARN, "boot", says, _add_to_fstab(mount, boot, machine))


def _comes_too_early(mount: Mount, options: tuple[str, ...]) -> bool:
    known = mount.type.removeprefix("fuse.") in _KNOWN_TO_WAIT
    return mount.type in NETWORK_TYPES and not known and "_netdev" not in options


def _add_to_fstab(mount: Mount, boot: Boot, machine: Machine) -> Remedy:
    line = fstab_line(mount, boot.uuids.get(mount.target, ""))
    if not line:
        block = mount.source.startswith("/dev/")
        return Remedy(
            f"Add a line for {mount.target} to {FSTAB} (see fstab(5)), unless something else, "
            "such as a cluster manager, mounts it." + (" Name it by its UUID." if block else ""),
            (f"blkid {shlex.quote(mount.source)}",) if block else (),
        )
    reload = ("systemctl daemon-reload",) if machine.systemd else ()
    return Remedy(
        f"Add it to {FSTAB}, unless something else, such as a cluster manager, mounts it; the last "
        "command only tries the lines and mounts nothing.",
        (f"echo {shlex.quote(line)} >> {FSTAB}", *reload, "mount -fav"),
    )


def _remount(mount: Mount, option: str, instead_of: str) -> Remedy:
    return Remedy(
        f"Mount it with {option}, and replace {instead_of} in its line of {FSTAB}, if it is there.",
        (f"mount -o remount,{option} {shlex.quote(mount.target)}", f"grep -n {instead_of} {FSTAB}"),
    )


def _described(place: Place, boot: Boot) -> str:
    """A file system that nothing stands against, in words."""
    words = [f"{_type(place)}, writable"]
    if place.room and place.room.inodes:
        words.append(f"{_count(place.room.inodes_free)} inodes free")
    options = [name for name in ("nosuid", "nodev") if place.mount and name in place.mount.options]
    if options:
        words.append(f"{text.listing(options)} do no harm")
    entry = boot.entry(place.target)
    if entry and "nofail" in entry.options:
        words.append("and with nofail a boot goes on without it")
    return ", ".join(words)


def _engine_roots(host: Host, platform: str) -> list[str]:
    """Where the engine keeps, or will keep, images and containers."""
    containerd = _setting(host, "/etc/containerd/config.toml", "root") or _CONTAINERD
    if platform == "kubernetes":
        return [containerd]
    docker = _setting(host, "/etc/docker/daemon.json", "data-root") or _DOCKER
    return [docker, containerd] if host.exists(containerd) else [docker]


def _setting(host: Host, path: str, key: str) -> str | None:
    """An absolute path in a TOML or JSON file of an engine; None where it says nothing of use."""
    content = host.read_if_any(path)
    if content is None:
        return None
    try:
        if path.endswith(".json"):
            found = msgspec.json.decode(content)
        else:
            import tomllib

            found = tomllib.loads(content)
    except (ValueError, RecursionError):
        return None
    value = found.get(key) if isinstance(found, dict) else None
    return value if isinstance(value, str) and value.startswith("/") else None


def _ftype(host: Host, directory: str) -> bool | None:
    try:
        return has_ftype(host, directory)
    except OSError:
        return None


def _type(place: Place) -> str:
    return place.mount.type if place.mount else "an unknown file system"


def _count(number: float) -> str:
    return f"{number / 1e6:.3g} million" if number >= 1e6 else f"{number:.0f}"
