"""cpu.count"""

from collections.abc import Iterator
from datetime import timedelta

from msgspec import Struct

from biostudio_doctor import text
from biostudio_doctor.check import Check
from biostudio_doctor.host import Host
from biostudio_doctor.host.cpus import online_cpus, parse_cpu_list, physical_cores
from biostudio_doctor.model import Finding, Remedy, Status
from biostudio_doctor.requirements import Requirements


class CpuFacts(Struct, frozen=True, kw_only=True):
    """How many CPUs there are, and how many of them this process may use."""

    online: int  # logical CPUs
    physical: int | None  # cores; None where the processor does not tell
    allowed: int  # logical CPUs that affinity and cpusets leave
    quota: float | None  # CPUs' worth of time that the control groups leave; None for no limit


class CpuCount(Check[CpuFacts]):
    """Enough CPUs for the role.

    Counts the logical CPUs that can really be used: those that are online, less what CPU affinity,
    cpusets and control group quotas take away. Physical cores are named beside them.

    Why: every open notebook and every job takes CPUs of its own; with too few, colleagues wait.

    Mend: give the virtual machine more CPUs, or lift the limit of the container or service.
    """

    id = "cpu.count"
    interval = timedelta(hours=1)
    requirement_ids = ("cpu.cores",)

    def observe(self, host: Host) -> CpuFacts:
        online = online_cpus(host)
        status = host.read(f"{host.process}/status")
        allowed = next(
            (line for line in status.splitlines() if line.startswith("Cpus_allowed_list:")), ""
        )
        return CpuFacts(
            online=len(online),
            physical=physical_cores(host.read_if_any("/proc/cpuinfo") or ""),
            allowed=len(online & parse_cpu_list(allowed.partition(":")[2])) or len(online),
            quota=host.cgroups.cpu_quota(),
        )

    def judge(self, facts: CpuFacts, requirements: Requirements) -> Iterator[Finding]:
        wanted = requirements.quantity("cpu.cores")
        usable = min(facts.allowed, facts.quota or facts.allowed)
        enough = usable >= wanted.value
        yield Finding(
            Status.PASS if enough else wanted.shortfall(usable),
            "CPUs",
            f"{_usable(facts, usable)}; {wanted.value:g} or more are recommended.",
            observed=f"{usable:g}",
            expected=f"{wanted.value:g} or more",
            remedy=None if enough else _remedy(facts, wanted.value),
            requirement=wanted,
        )


def _usable(facts: CpuFacts, usable: float) -> str:
    there = text.number(facts.online, "logical CPU")
    if facts.physical and facts.physical != facts.online:
        there += f" ({text.number(facts.physical, 'core')})"
    if usable == facts.online:
        return f"This host has {there}"
    limit = "control group quota" if usable == facts.quota else "CPU affinity or cpuset"
    return f"Of {there} a {limit} leaves {usable:g} to this process"


def _remedy(facts: CpuFacts, wanted: float) -> Remedy:
    if facts.online >= wanted:
        return Remedy(
            "The CPUs are there, but this process may not use them all: lift the limit of the "
            "container or service (docker: --cpus, --cpuset-cpus; systemd: CPUQuota=, "
            "AllowedCPUs=), or run biostudio-doctor outside it."
        )
    return Remedy(
        f"Give this machine at least {wanted:g} CPUs in the settings of the virtual machine or "
        "cloud instance; BioStudio starts with fewer, but colleagues will wait for each other."
    )
