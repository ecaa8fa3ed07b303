"""Memory as the kernel counts it: /proc/meminfo (proc_meminfo(5)) and huge pages."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

from biostudio_doctor.host.numbers import whole

if TYPE_CHECKING:
    from biostudio_doctor.host import Host

_POOLS = "/sys/kernel/mm/hugepages"
_POOL = re.compile(r"hugepages-(\d{1,12})kB", re.ASCII)


def meminfo(host: Host) -> dict[str, int]:
    """/proc/meminfo by name; raises OSError where it cannot be read."""
    return parse_meminfo(host.read("/proc/meminfo"))


def parse_meminfo(text: str) -> dict[str, int]:
    """/proc/meminfo by name: what it gives in kB (of 1024) as bytes, counts as they are."""
    values: dict[str, int] = {}
    for line in text.splitlines():
        name, colon, rest = line.partition(":")
        number, _, unit = rest.strip().partition(" ")
        value = whole(number)
        if colon and value is not None:
            values[name.strip()] = value * 1024 if unit.strip() == "kB" else value
    return values


def available(information: dict[str, int]) -> tuple[int, bool]:
    """Bytes that programs can take without swapping, and whether that is only an estimate.

    Linux counts them since 3.14; before it this is the kernel's own sum, less the small reserve.
    """
    counted = information.get("MemAvailable")
    if counted is not None:
        return counted, False
    parts = ("MemFree", "Active(file)", "Inactive(file)", "SReclaimable")
    return sum(information.get(name, 0) for name in parts), True


def huge_pages(host: Host, information: dict[str, int]) -> int:
    """Bytes set aside for huge pages of all sizes.

    /proc/meminfo counts only those of the default size, and kernels before 2.6.27 have no others.
    """
    pools = [_POOL.fullmatch(name) for name in host.listdir_if_any(_POOLS)]
    if not any(pools):
        return information.get("HugePages_Total", 0) * information.get("Hugepagesize", 0)
    return sum(
        int(pool[1])
        * 1024
        * (whole(host.read_if_any(f"{_POOLS}/{pool[0]}/nr_hugepages") or "") or 0)
        for pool in pools
        if pool
    )


def swap_size(host: Host) -> int | None:
    """Bytes of all swap areas (proc_swaps(5)); None where they cannot be seen."""
    table = host.read_if_any("/proc/swaps")
    if table is None:
        return None
    rows = [line.split() for line in table.splitlines()[1:]]
    return sum((whole(row[2]) or 0) * 1024 for row in rows if len(row) > 2)


def shared_memory(host: Host) -> int | None:
    """Bytes that fit in /dev/shm, 0 where nothing is mounted there; None if it cannot be seen."""
    directory = posixpath.join("/dev", "shm")
    try:
        if not any(mount.target == directory for mount in host.mounts()):
            return 0
        seen = host.statvfs(directory)
    except OSError:
        return None
    return seen.f_blocks * seen.f_frsize
