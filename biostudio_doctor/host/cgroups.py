"""The control groups this process lives in, version 1 and 2 (cgroups(7), cgroup-v2.rst).

A limit anywhere between our own group and the root holds, so the tightest of all levels counts.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from biostudio_doctor.host import Host

#: cgroup v1 writes "no limit" as the largest page-aligned number.
V1_NO_LIMIT = 1 << 60

Version = Literal["v1", "v2", "hybrid", "none"]


class Cgroups:
    """Limits of our own groups; None where there is none, or none can be seen."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._groups = parse_cgroup(host.read_if_any(f"{host.process}/cgroup") or "")
        self._mounts = [mount for mount in host.mounts() if mount.type in ("cgroup", "cgroup2")]

    @property
    def version(self) -> Version:
        """`hybrid` has v1 controllers with a v2 tree beside them, as systemd's hybrid mode does."""
        types = {mount.type for mount in self._mounts}
        if types == {"cgroup2"}:
            return "v2"
        if types == {"cgroup", "cgroup2"}:
            return "hybrid"
        return "v1" if types else "none"

    def memory_limit(self) -> int | None:
        """Bytes this process may use."""
        limits = list(self._numbers("memory", "memory.limit_in_bytes", "memory.max"))
        return min((limit for limit in limits if limit < V1_NO_LIMIT), default=None)

    def memory_usage(self) -> int | None:
        """Bytes in use in the group that has the tightest limit, or in our own."""
        return next(self._numbers("memory", "memory.usage_in_bytes", "memory.current"), None)

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

    def _numbers(self, controller: str, v1_name: str, v2_name: str) -> Iterator[int]:
        for directory, version in self._directories(controller):
            text = self._host.read_if_any(f"{directory}/{v2_name if version == 2 else v1_name}")
            if text and text.strip().isdecimal():
                yield int(text)

    def _directories(self, controller: str) -> Iterator[tuple[str, int]]:
        """Our group's directory and its ancestors', with the version of the hierarchy."""
        for mount in self._mounts:
            v2 = mount.type == "cgroup2"
            if not v2 and controller not in mount.super_options:
                continue
            group = self._groups.get("" if v2 else controller)
            if group is None:
                continue
            # Within a container the mount's root is our own group, and the path below it is "/".
            below = group.removeprefix(mount.root.rstrip("/")).strip("/")
            while True:
                yield posixpath.join(mount.target, below).rstrip("/"), 2 if v2 else 1
                if not below:
                    break
                below = posixpath.dirname(below)


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
    if not (0 < quota < float("inf") and 0 < period < float("inf")):
        return None
    return quota / period
