"""The control groups this process lives in, version 1 and 2 (cgroups(7), cgroup-v2.rst).

A limit anywhere between our own group and the root holds, so the tightest of all levels counts.
"""

from __future__ import annotations

import math
import posixpath
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from biostudio_doctor.host.numbers import whole

if TYPE_CHECKING:
    from biostudio_doctor.host import Host

#: cgroup v1 writes "no limit" as the largest page-aligned number.
V1_NO_LIMIT = 1 << 60

Version = Literal["v1", "v2", "hybrid", "none"]


class MemoryGroup(Struct, frozen=True, kw_only=True):
    """A control group that limits memory: ours, or one around it. Sizes in bytes."""

    path: str  # its directory
    limit: int
    usage: int | None  # with the file cache; None where it cannot be read
    inactive_file: int = 0  # file cache that the kernel drops before it refuses memory

    @property
    def left(self) -> int | None:
        """What its processes can still take."""
        if self.usage is None:
            return None
        return max(0, self.limit - max(0, self.usage - self.inactive_file))


class Cgroups:
    """Limits of our own groups; None where there is none, or none can be seen."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._groups = parse_cgroup(host.read_if_any(f"{host.process}/cgroup") or "")
        self._mounts = [mount for mount in host.mounts() if mount.type in ("cgroup", "cgroup2")]

    @property
    def version(self) -> Version:
        """`hybrid` has v1 controllers with a v2 tree beside them, as systemd's hybrid mode does.

        A v1 hierarchy that some program mounts elsewhere does not make a v2 system another.
        """
        unified = {m.target for m in self._mounts if m.type == "cgroup2"}
        if len(unified) == len(self._mounts) or "/sys/fs/cgroup" in unified:
            return "v2" if unified else "none"
        return "hybrid" if unified else "v1"

    def memory_groups(self) -> list[MemoryGroup]:
        """Every group that limits the memory of this process, our own first."""
        read = {1: self._memory_v1, 2: self._memory_v2}
        groups = [read[version](directory) for directory, version in self._directories("memory")]
        return [group for group in groups if group]

    def cpu_quota(self) -> float | None:
        """How many CPUs' time this process may use (CFS bandwidth)."""
        quotas = []
        for directory, version in self._directories("cpu"):
            if version == 2:
                quotas.append(parse_cpu_max(self._host.read_if_any(f"{directory}/cpu.max") or ""))
            else:
                quota = self._host.read_if_any(f"{directory}/cpu.cfs_quota_us") or ""
                period = self._host.read_if_any(f"{directory}/cpu.cfs_period_us") or ""
                quotas.append(parse_cpu_max(f"{quota.strip()} {period.strip()}"))
        return min((quota for quota in quotas if quota), default=None)

    def _memory_v1(self, directory: str) -> MemoryGroup | None:
        limit = self._number(f"{directory}/memory.limit_in_bytes")
        if limit is None or limit >= V1_NO_LIMIT:
            return None
        return self._memory(directory, limit, "memory.usage_in_bytes", "total_inactive_file")

    def _memory_v2(self, directory: str) -> MemoryGroup | None:
        """Above memory.high processes are not killed but held up, so it is a limit too."""
        limits = [self._number(f"{directory}/{name}") for name in ("memory.max", "memory.high")]
        limit = min((limit for limit in limits if limit is not None), default=None)
        if limit is None:
            return None
        return self._memory(directory, limit, "memory.current", "inactive_file")

    def _memory(self, directory: str, limit: int, usage: str, cache: str) -> MemoryGroup:
        statistics = parse_flat_keyed(self._host.read_if_any(f"{directory}/memory.stat") or "")
        return MemoryGroup(
            path=directory,
            limit=limit,
            usage=self._number(f"{directory}/{usage}"),
            inactive_file=statistics.get(cache, 0),
        )

    def _number(self, path: str) -> int | None:
        return whole(self._host.read_if_any(path) or "")

    def _directories(self, controller: str) -> Iterator[tuple[str, int]]:
        """Our group's directory and its ancestors', with the version of the hierarchy."""
        for mount in self._mounts:
            v2 = mount.type == "cgroup2"
            if not v2 and controller not in mount.super_options:
                continue
            group = self._groups.get("" if v2 else controller)
            if group is None:
                continue
            below = _below(group, mount.root)
            while True:
                yield posixpath.join(mount.target, below).rstrip("/"), 2 if v2 else 1
                if not below:
                    break
                below = posixpath.dirname(below)


def limiting_memory(host: Host) -> tuple[tuple[MemoryGroup, ...], str]:
    """The groups that limit the memory of this process, and why they could not be read, if so."""
    try:
        return tuple(host.cgroups.memory_groups()), ""
    except OSError as error:
        return (), f"{error.filename or 'control groups'}: {error.strerror or error}"


def parse_cgroup(text: str) -> dict[str, str]:
    """/proc/PID/cgroup as controller -> path; the v2 hierarchy's controller is ''."""
    groups: dict[str, str] = {}
    for line in text.splitlines():
        number, _, rest = line.partition(":")
        controllers, colon, path = rest.partition(":")
        if number.isdecimal() and colon:
            groups |= dict.fromkeys(controllers.split(","), path)
    return groups


def parse_cpu_max(text: str) -> float | None:
    """A quota and a period in microseconds, such as "200000 100000", as CPUs; None for no limit."""
    parts = text.split()
    try:
        quota, period = float(parts[0]), float(parts[1]) if len(parts) > 1 else 100_000.0
    except (ValueError, IndexError):
        return None
    if not (0 < quota < math.inf and 0 < period < math.inf):
        return None
    return quota / period if quota / period < math.inf else None


def parse_flat_keyed(text: str) -> dict[str, int]:
    """Lines of a name and a number, as in memory.stat; others are passed over."""
    pairs = (line.partition(" ") for line in text.splitlines())
    numbers = ((name, whole(value)) for name, _, value in pairs)
    return {name: value for name, value in numbers if value is not None}


def _below(group: str, mount_root: str) -> str:
    """The path of a group below what is mounted, '' where that is the group itself.

    Within a container the mount's root is our own group or one around it.
    """
    root = mount_root.rstrip("/")
    if (group + "/").startswith(root + "/"):
        group = group[len(root) :]
    return group.strip("/")
