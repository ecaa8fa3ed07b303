"""What can be wrong with a file system, for the tiers and for the engine's data, and what to do."""

import shlex
from collections.abc import Iterator

from msgspec import Struct

from biostudio_doctor import distribution
from biostudio_doctor.host.fstab import FSTAB, Boot, fstab_line, unit_name
from biostudio_doctor.host.mounts import (
    LOCAL_TYPES,
    MEMORY_TYPES,
    NETWORK_TYPES,
    OBJECT_TYPES,
    OWNERLESS_TYPES,
    Mount,
)
from biostudio_doctor.host.places import Place
from biostudio_doctor.model import Machine, Remedy, Status
from biostudio_doctor.requirements import Quantity, Requirements
from biostudio_doctor.tiers import METADATA, Site

#: systemd knows that these wait for the network; others need _netdev in fstab to be told apart.
_KNOWN_TO_WAIT = frozenset({
    "afs", "ceph", "cifs", "gfs2", "glusterfs", "lustre", "nfs", "nfs4", "ocfs2", "orangefs",
    "smb3", "smbfs", "sshfs",
})  # fmt: skip
_BETTER = Remedy("Mount a local disk with ext4 or XFS there, or name another directory.")
_CONTAINER = Remedy(
    "Run biostudio-doctor on the host itself, or mount the host's root into the container and "
    "name it with --host-root."
)


class Problem(Struct, frozen=True):
    """What is wrong with a file system, and under which requirement."""

    status: Status
    aspect: str
    says: str
    remedy: Remedy
    requirement: str = "storage.filesystem"


def tier_problems(site: Site) -> Iterator[Problem]:
    """What the directory of a tier, and its file system's type, are unfit for."""
    place, mount, tier = site.place, site.place.mount, site.tier
    if not place.directory:
        look = f"ls -ld {shlex.quote(place.existing)}"
        remedy = Remedy("Move it away, or name another directory.", (look,))
        yield Problem(Status.FAIL, "directory", f"{place.existing} is a file, no directory", remedy)
    if mount is None:
        return
    yield from _unfit_type(mount)
    if mount.type in OBJECT_TYPES:
        status = Status.FAIL if tier == METADATA else Status.WARN
        says = f"{mount.type} is an object store, without hard links and atomic renames"
        yield Problem(status, "type", says, _BETTER)
    elif tier == METADATA and mount.type in NETWORK_TYPES - OWNERLESS_TYPES:
        yield _database_on_network(mount)
    if tier != METADATA and "noexec" in mount.options:
        says = "it is mounted noexec, and the programs kept there could not be started"
        yield Problem(Status.FAIL, "noexec", says, _remount(mount, "exec", "noexec"))


def _unfit_type(mount: Mount) -> Iterator[Problem]:
    fs_type = mount.type
    if fs_type in MEMORY_TYPES:
        says = f"{fs_type} is memory, and empty after a reboot"
        yield Problem(Status.FAIL, "type", says, _BETTER)
    elif fs_type in OWNERLESS_TYPES:
        says = f"{fs_type} keeps no owners and permissions, which the containers set on their files"
        yield Problem(Status.FAIL, "type", says, _BETTER)
    elif fs_type == "overlay":
        says = "an overlay is the layer of a container or a live system, and is gone with it"
        yield Problem(Status.WARN, "type", says, _CONTAINER)
    elif fs_type == "ext2":
        says = "ext2 has no journal, and after a crash waits for a long repair"
        yield Problem(Status.WARN, "type", says, _BETTER)
    elif fs_type not in LOCAL_TYPES | NETWORK_TYPES:
        says = f"the type {fs_type} is not known to hold such data well"
        yield Problem(Status.WARN, "type", says, _BETTER)


def _database_on_network(mount: Mount) -> Problem:
    """PostgreSQL's manual ("Creating a Database Cluster") allows NFS if it is mounted hard."""
    if {"soft", "softerr"} & {*mount.options, *mount.super_options}:
        return Problem(
            Status.FAIL,
            "network",
            f"{mount.type} is mounted soft, and loses writes of the databases when its server is "
            "slow",
            Remedy(f"Put METADATA on a local disk, or mount {mount.target} with the option hard."),
        )
    return Problem(
        Status.WARN,
        "network",
        f"{mount.type} is on the network, and every commit of the databases waits for it; a server "
        "with root_squash also refuses them the owner they need",
        Remedy(
            "Put METADATA on a local disk. If it must stay there, export it with no_root_squash "
            "and sync, and mount it hard."
        ),
    )


def engine_problems(place: Place, ftype: dict[str, bool | None]) -> Iterator[Problem]:
    """What images and containers cannot be kept on."""
    if place.mount is None:
        return
    fs_type, engine = place.mount.type, "runtime.engine"
    if fs_type in NETWORK_TYPES | OWNERLESS_TYPES:
        says = f"overlay2 cannot keep layers of images on {fs_type}"
        yield Problem(Status.FAIL, "type", says, _BETTER, engine)
    elif fs_type in MEMORY_TYPES:
        says = f"{fs_type} is memory, and all images are gone after a reboot"
        yield Problem(Status.WARN, "type", says, _BETTER, engine)
    elif fs_type == "overlay":
        says = "overlay2 does not work on an overlay"
        yield Problem(Status.WARN, "type", says, _CONTAINER, engine)
    elif fs_type == "xfs" and ftype.get(place.target) is False:
        says = "this XFS was made with ftype=0 (no d_type), and overlay2 needs ftype=1"
        remedy = Remedy(
            "It cannot be changed afterwards: make a new file system on another disk (mkfs.xfs "
            "does it right by now) and mount it there, or let the engine's data directory be on "
            "it (data-root in /etc/docker/daemon.json).",
            (f"xfs_info {shlex.quote(place.target)}",),
        )
        yield Problem(Status.FAIL, "ftype", says, remedy, engine)
    elif fs_type == "xfs" and ftype.get(place.target) is None:
        says = "whether this XFS has ftype=1, which overlay2 needs, could not be asked"
        remedy = Remedy("Look for ftype=1.", (f"xfs_info {shlex.quote(place.target)}",))
        yield Problem(Status.ERROR, "ftype", says, remedy, engine)


def read_only(mount: Mount, boot: Boot) -> Problem:
    """It cannot be written, by its line in fstab or for a fault."""
    entry = boot.entry(mount.target)
    if entry and "ro" in entry.options:
        remedy = _remount(mount, "rw", "ro")
        return Problem(Status.FAIL, "read-only", f"{FSTAB} mounts it read-only", remedy)
    remedy = Remedy(
        "The kernel makes a file system read-only when its disk fails: look for errors before "
        "you mount it writable.",
        ("dmesg | grep -iE 'error|remount' | tail -n 20",
         f"mount -o remount,rw {shlex.quote(mount.target)}"),
    )  # fmt: skip
    return Problem(Status.FAIL, "read-only", "it is mounted read-only", remedy)


def few_inodes(
    place: Place, requirement: str, requirements: Requirements, machine: Machine
) -> Iterator[Problem]:
    """Few files more can be made."""
    room, wanted = place.room, requirements.demand(requirement, Quantity)
    if not room or not room.inodes or room.inodes_free >= wanted.value:
        return
    status = wanted.shortfall(room.inodes_free)
    says = (
        f"{count(room.inodes_free)} of {count(room.inodes)} inodes are free, "
        f"and {count(wanted.value)} or more should be"
    )
    if status is Status.FAIL:
        says += f", {count(wanted.floor)} at least ({wanted.floor_says})"
    target = shlex.quote(place.target)
    commands = [f"df -i {target}"]
    if distribution.family(machine) != "alpine":  # whose find has no -printf
        commands.append(f"find {target} -xdev -printf '%h\\n' | sort | uniq -c | sort -n | tail")
    remedy = Remedy(
        "Every file takes one. Remove many small files, or use another file system: that of ext4 "
        "is settled when it is made, and XFS makes more as long as it has room.",
        tuple(commands),
    )
    yield Problem(status, "inodes", says, remedy, requirement)


def not_mounted(place: Place, boot: Boot) -> Iterator[Problem]:
    """What fstab has for this place is not mounted, so all else is about another file system."""
    entry = boot.meant_for(place.path)
    if not entry or len(entry.target) <= len(place.target):  # else it is what lies there
        return
    target = shlex.quote(entry.target)
    yield Problem(
        Status.WARN,
        "mount",
        f"{FSTAB} has {entry.source} for {entry.target}, which is not mounted now, so that all of "
        f"this is about {place.target}",
        Remedy("Mount it and run this check again.", (f"mkdir -p {target}", f"mount {target}")),
    )


def not_at_boot(place: Place, boot: Boot, machine: Machine) -> Iterator[Problem]:
    """It is not there after a reboot, or comes too early."""
    mount = place.mount
    if not mount or mount.target == "/" or mount.type in MEMORY_TYPES | {"overlay", "zfs"}:
        return
    if boot.is_automounted(mount.target):
        return
    entry = boot.entry(mount.target)
    if entry and not entry.at_boot:
        says = f"{FSTAB} has it with noauto, so it is not mounted after a reboot"
        remedy = Remedy(f"Remove the option noauto from the line of {mount.target} in {FSTAB}.")
        yield Problem(Status.WARN, "boot", says, remedy)
    elif entry and _comes_too_early(mount, entry.options):
        says = f"{FSTAB} has it without _netdev, so it may be mounted before the network is there"
        remedy = Remedy(f"Add the option _netdev to the line of {mount.target} in {FSTAB}.")
        yield Problem(Status.WARN, "boot", says, remedy)
    elif not entry and boot.units.get(mount.target) == "disabled":
        unit = unit_name(mount.target)
        says = f"its systemd unit {unit} is not enabled, so it is not mounted after a reboot"
        remedy = Remedy("Enable it.", (f"systemctl enable {shlex.quote(unit)}",))
        yield Problem(Status.WARN, "boot", says, remedy)
    elif not entry and boot.units.get(mount.target) != "enabled":
        says = f"neither {FSTAB} nor a systemd unit mounts it again after a reboot"
        yield Problem(Status.WARN, "boot", says, _add_to_fstab(mount, boot, machine))


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


def count(number: float) -> str:
    """2.1 million, or a number below a million."""
    return f"{number / 1e6:.3g} million" if number >= 1e6 else f"{number:.0f}"
