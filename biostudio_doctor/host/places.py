"""What lies under a directory: its mount, the room on it, and what that room is shared with."""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from msgspec import Struct, structs

from biostudio_doctor.host.mounts import (
    LOCAL_TYPES,
    NETWORK_TYPES,
    OBJECT_TYPES,
    OWNERLESS_TYPES,
    Mount,
    mount_of,
)
from biostudio_doctor.host.patience import bounded

if TYPE_CHECKING:
    from biostudio_doctor.host import Host

#: Mount points that belong to the system or to an engine, whatever room they have.
SYSTEM_DIRECTORIES = (
    "/boot", "/cdrom", "/dev", "/efi", "/etc", "/proc", "/run", "/snap", "/sys", "/usr",
    "/var/lib/containerd", "/var/lib/containers", "/var/lib/docker", "/var/lib/kubelet",
    "/var/log", "/var/snap",
    "/tmp", "/var/tmp",  # noqa: S108, nothing is written there
)  # fmt: skip
_STORAGE_TYPES = (LOCAL_TYPES | NETWORK_TYPES) - OWNERLESS_TYPES - OBJECT_TYPES
#: What of the super block's options says something here; others may hold names or passwords.
_TELLING = ("ro", "soft", "softerr", "hard", "subvol", "prjquota", "pquota")


class Room(Struct, frozen=True, kw_only=True):
    """What df tells, in bytes and inodes: what only root may use is not available."""

    size: int
    used: int
    available: int
    inodes: int  # 0 where the file system makes them as needed
    inodes_free: int

    @property
    def usable(self) -> int:
        """All that may ever be used here: less than the size, where some of it is reserved."""
        return self.used + self.available


class Volume(Struct, frozen=True, kw_only=True):
    """What is known of the device under a file system."""

    lvm: bool = False
    pool: str = ""  # the thin pool or ZFS pool that it shares with other volumes
    pool_size: int = 0  # bytes; 0 where only the file system itself can tell


class Place(Struct, frozen=True, kw_only=True):
    """A directory that was asked about, and what it lies on."""

    path: str
    existing: str = ""  # itself without links, or its nearest parent that exists
    exists: bool | None = None  # None where this user may not see
    directory: bool = True
    mount: Mount | None = None
    device: str = ""  # major:minor
    room: Room | None = None
    volume: Volume = Volume()
    problem: str = ""  # why it could not be looked at
    hung: bool = False
    denied: bool = False

    @property
    def target(self) -> str:
        """Where its file system is mounted."""
        return self.mount.target if self.mount else self.existing or self.path

    @property
    def filesystem(self) -> str:
        """Equal for places that share their room: bind mounts, subvolumes, volumes of one pool.

        A directory with a quota of its own (XFS project, CephFS) shows another size than its file
        system, and is counted as one of its own.
        """
        if self.volume.pool:
            return f"pool {self.volume.pool}"
        return f"{self.device} {self.room.size if self.room else ''}"


def look(host: Host, path: str, mounts: Sequence[Mount]) -> Place:
    """See what lies under a path. Whatever stands against that becomes the place's problem."""
    try:
        real = host.real_path(path)
        existing, status = _nearest(host, real, mounts)
        room = _room(host.statvfs(existing))
    except (OSError, ValueError) as error:
        return unseen(path, mounts, error)
    mount = mount_of(existing, mounts)
    hidden = status is None
    return Place(
        path=path,
        existing=existing,
        exists=None if hidden else existing == real,
        directory=status is None or stat.S_ISDIR(status.st_mode),
        mount=_public(mount),
        device=mount.device if mount else _device(status),
        room=room,
        volume=volume_of(host, mount) if mount else Volume(),
        problem="" if room.size else "its file system does not tell its size",
    )


def unseen(path: str, mounts: Sequence[Mount], error: OSError | ValueError) -> Place:
    """A place that could not be looked at, and why."""
    hung = isinstance(error, TimeoutError)
    reason = (isinstance(error, OSError) and error.strerror) or str(error)
    return Place(
        path=path,
        mount=_public(mount_of(path, mounts)),
        problem=reason,
        hung=hung,
        denied=isinstance(error, PermissionError),
    )


def look_at(
    host: Host, paths: Iterable[str], mounts: Sequence[Mount], seconds: float
) -> dict[str, Place]:
    """See what lies under several paths side by side; one that hangs does not hide the others."""
    calls = {path: partial(look, path=path, mounts=mounts) for path in paths}
    found = bounded(host, calls, seconds)
    return {
        path: unseen(path, mounts, outcome) if isinstance(outcome, OSError) else outcome
        for path, outcome in found.items()
    }


def candidates(mounts: Sequence[Mount]) -> list[str]:
    """Mount points that could hold storage; the root itself where there is nothing else."""
    shortest: dict[str, str] = {}
    for mount in mounts:
        if mount.type not in _STORAGE_TYPES or mount.read_only or "noexec" in mount.options:
            continue
        if any((mount.target + "/").startswith(f"{system}/") for system in SYSTEM_DIRECTORIES):
            continue
        same = mount.source.partition("/")[0] if mount.type == "zfs" else mount.device
        if same not in shortest or len(mount.target) < len(shortest[same]):
            shortest[same] = mount.target
    return sorted(set(shortest.values())) or ["/"]


def volume_of(host: Host, mount: Mount) -> Volume:
    """What sysfs tells of a device-mapper device, and the name of a ZFS dataset of its pool."""
    if mount.type == "zfs":
        return Volume(pool=mount.source.partition("/")[0])
    block = f"/sys/dev/block/{mount.device}"
    lvm = (host.read_if_any(f"{block}/dm/uuid") or "").startswith("LVM-")
    for device in _below(host, block):
        if (host.read_if_any(f"{device}/dm/uuid") or "").strip().endswith("-tpool"):
            sectors = (host.read_if_any(f"{device}/size") or "").strip()
            name = (host.read_if_any(f"{device}/dm/name") or "").strip()
            size = int(sectors) * 512 if sectors.isdecimal() else 0
            return Volume(lvm=lvm, pool=name.removesuffix("-tpool"), pool_size=size)
    return Volume(lvm=lvm)


def _nearest(host: Host, path: str, mounts: Sequence[Mount]) -> tuple[str, os.stat_result | None]:
    """The nearest of a link-free path and its parents that exists.

    Where this user may not see the path, its mount point may be seen all the same, and has the
    same room.
    """
    nearest = path
    while True:
        try:
            return nearest, host.stat(nearest)
        except (FileNotFoundError, NotADirectoryError):
            if nearest == "/":
                raise
            nearest = posixpath.dirname(nearest)
        except PermissionError:
            mount = mount_of(path, mounts)
            if mount is None or mount.target == nearest:
                raise
            return mount.target, None


def _room(found: os.statvfs_result) -> Room:
    return Room(
        size=found.f_blocks * found.f_frsize,
        used=(found.f_blocks - found.f_bfree) * found.f_frsize,
        available=found.f_bavail * found.f_frsize,
        inodes=found.f_files,
        inodes_free=found.f_favail,
    )


def _device(status: os.stat_result | None) -> str:
    return f"{os.major(status.st_dev)}:{os.minor(status.st_dev)}" if status else ""


def _public(mount: Mount | None) -> Mount | None:
    """The mount without such options as name users and keys: facts are handed on."""
    if mount is None:
        return None
    options = (option.partition("=") for option in mount.super_options)
    kept = tuple(f"{name}{equals}{value}" for name, equals, value in options if name in _TELLING)
    return structs.replace(mount, super_options=kept)


def _below(host: Host, block: str, depth: int = 8) -> Iterator[str]:
    """The devices that a device is made of, and theirs."""
    if not depth:
        return
    for name in host.listdir_if_any(f"{block}/slaves"):
        device = f"/sys/class/block/{name}"
        yield device
        yield from _below(host, device, depth - 1)
