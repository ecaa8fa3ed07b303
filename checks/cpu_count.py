"""cpu.count"""

from collections.abc import Iterator
from datetime import timedelta

from msgspec import Struct

from biostudio_doctor import text
from biostudio_doctor.check import Check
from biostudio_doctor.host import Host
from biostudio_doctor.host.cpus import online_cpus, parse_cpu_list, physical_cores
from biostudio_doctor.host.machine import SYSTEM_CONTAINERS
from biostudio_doctor.model import Finding, Remedy, Status
from biostudio_doctor.requirements import Quantity, Requirements


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
        wanted = requirements.demand("cpu.cores", Quantity)
        usable = min(facts.allowed, facts.quota or facts.allowed)
        status = Status.PASS
        if usable < wanted.value:
            status = wanted.shortfall(usable if self._is_whole_machine else facts.online)
        yield Finding(
            status,
            "CPUs",
            f"{_usable(facts, usable)}; {wanted.in_words(status, '{:g}'.format)}.",
            observed=f"{usable:g}",
            expected=f"{wanted.value:g} or more",
            remedy=None if status is Status.PASS else _remedy(facts, usable, wanted.value, status),
            requirement=wanted,
        )

    @property
    def _is_whole_machine(self) -> bool:
        """Whether what is left to this process is all that there is for BioStudio too.

        Elsewhere its containers will stand beside this process, not within its limit.
        """
        return self.context.machine.container in SYSTEM_CONTAINERS


def _usable(facts: CpuFacts, usable: float) -> str:
    there = text.number(facts.online, "logical CPU")
    if facts.physical and facts.physical != facts.online:
        there += f" ({text.number(facts.physical, 'core')})"
    if usable == facts.online:
        return f"This host has {there}"
    limit = "control group quota" if usable == facts.quota else "CPU affinity or cpuset"
    return f"Of {there} a {limit} leaves {usable:g} to this process"


def _remedy(facts: CpuFacts, usable: float, wanted: float, status: Status) -> Remedy:
    words = []
    if facts.online < wanted:
        more = f"Give this machine at least {wanted:g} CPUs in the settings of the virtual machine "
        more += "or cloud instance"
        if status is Status.WARN:
            more += "; BioStudio starts with fewer, but colleagues will wait for each other"
        words.append(f"{more}.")
    if usable < facts.online:
        words.append(
            "If BioStudio will run under the same limit as this process, lift it (LXC: limits.cpu; "
            "systemd: CPUQuota=, AllowedCPUs=; docker: --cpus, --cpuset-cpus); otherwise run "
            "biostudio-doctor outside it."
        )
    return Remedy(" ".join(words))
