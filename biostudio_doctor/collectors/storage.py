"""Disks, file systems and mounts of this host."""

from collections.abc import Iterator
from functools import partial

from biostudio_doctor import text
from biostudio_doctor.collector import MIB, Ask, Collector, Item, Say
from biostudio_doctor.collectors.shared import files, installed, table
from biostudio_doctor.host import Host
from biostudio_doctor.host.patience import bounded

_PATIENCE = 3.0  # seconds for all file systems together
_MOUNTS = 500
_COLUMNS = ("mounted at", "type", "size", "used", "free", "used %", "inodes", "inodes used %")


class StorageCollector(Collector):
    """Storage: mounts and their room, disks, RAID, multipath, LVM.

    From /proc/1/mountinfo, /etc/fstab, /proc/partitions, /proc/diskstats, /proc/mdstat; from lsblk,
    lvs, pvs, vgs and multipath (which only read). How full each file system is, in bytes and in
    inodes, is asked side by side; one that does not answer is told as such.

    Leaves out: all names of files and directories on them.
    """

    id = "storage"

    def items(self) -> Iterator[Item]:
        """Tables of the kernel first, then what looks at disks."""
        yield from files(
            self.host,
            "/proc/1/mountinfo", "/etc/fstab", "/proc/partitions", "/proc/diskstats",
            "/proc/mdstat", "/proc/filesystems", "/etc/exports", "/etc/mdadm/mdadm.conf",
            limit=MIB,
        )  # fmt: skip
        yield Say(tell=self._room, name="room.txt", source="statvfs(3) of each mount")
        yield from installed(
            self.host,
            Ask(command=("lsblk", "--fs"), name="lsblk.txt"),
            Ask(command=("lsblk", "--fs", "--json"), name="lsblk.json"),
            Ask(
                command=(
                    "lsblk", "-o", "NAME,TYPE,SIZE,RO,ROTA,RQ-SIZE,SCHED,MODEL,TRAN,STATE,WWN"
                ),
                name="lsblk-devices.txt",
            ),
            Ask(command=("pvs", "--readonly"), name="pvs.txt", needs_root=True),
            Ask(command=("vgs", "--readonly"), name="vgs.txt", needs_root=True),
            Ask(command=("lvs", "--readonly", "-a"), name="lvs.txt", needs_root=True),
            Ask(command=("multipath", "-l"), name="multipath.txt", needs_root=True),
        )  # fmt: skip

    def _room(self) -> str:
        """As df(1), which would hang in the first mount that hangs."""
        targets = dict.fromkeys(mount.target for mount in self.host.mounts()[:_MOUNTS])
        types = {mount.target: mount.type for mount in self.host.mounts()}
        calls = {target: partial(_statvfs, path=target) for target in targets}
        rows: list[tuple[str, ...]] = []
        for target, found in bounded(self.host, calls, _PATIENCE, "ask").items():
            if isinstance(found, OSError):
                rows.append((target, types[target], found.strerror or str(found)))
            elif found:
                rows.append((target, types[target], *found))
        return table(_COLUMNS, rows) + "\n"


def _statvfs(host: Host, path: str) -> tuple[str, ...] | None:
    """None where it has no blocks, as what lives in the kernel only."""
    seen = host.statvfs(path)
    if not seen.f_blocks:
        return None
    unit = seen.f_frsize
    used = seen.f_blocks - seen.f_bfree
    return (
        *(text.size(blocks * unit) for blocks in (seen.f_blocks, used, seen.f_bavail)),
        _share(used, used + seen.f_bavail),
        str(seen.f_files),
        _share(seen.f_files - seen.f_ffree, seen.f_files),
    )


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f}" if whole else "-"
