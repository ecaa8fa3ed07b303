"""cpu.count"""

from collections.abc import Iterator
from datetime import timedelta

import psutil
from msgspec import Struct

from biostudio_doctor import text
from biostudio_doctor.check import Check
from biostudio_doctor.host import Host
from biostudio_doctor.model import Finding, Remedy, Status
from biostudio_doctor.requirements import Requirements


class CpuFacts(Struct, frozen=True, kw_only=True):
    """How many CPUs there are, and how many of them this process may use."""

    logical: int
    physical: int | None
    affinity: int
    quota: float | None  # CPUs' worth of time, from the control groups


class CpuCount(Check[CpuFacts]):
    """Enough CPUs for the role.

    Counts the logical CPUs that this process may really use: the online ones, less what CPU
    affinity and control group quotas take away. Physical cores are named beside them.

    Why: every open notebook and every job takes CPUs of its own; with too few, colleagues wait.

    Mend: give the virtual machine more CPUs, or lift the limit of the container or service.
    """

    id = "cpu.count"
    interval = timedelta(hours=1)
    requirement_ids = ("cpu.cores",)

    def observe(self, host: Host) -> CpuFacts:
        import os

        return CpuFacts(
            logical=psutil.cpu_count() or 1,
            physical=psutil.cpu_count(logical=False),
            affinity=len(os.sched_getaffinity(0)),
            quota=host.cgroups.cpu_quota(),
        )

    def judge(self, facts: CpuFacts, requirements: Requirements) -> Iterator[Finding]:
        wanted = requirements.quantity("cpu.cores")
        usable = min(facts.affinity, facts.quota or facts.affinity)
        status = Status.PASS
        if usable < wanted.value:
            status = Status.WARN if usable >= wanted.floor else Status.FAIL
        yield Finding(
            status,
            "CPUs",
            f"{usable:g} of {text.number(facts.logical, 'logical CPU')} can be used; {wanted.value:g} are recommended.",
            observed=f"{usable:g}",
            expected=f"{wanted.value:g} or more",
            remedy=None if status is Status.PASS else Remedy("Give this machine more CPUs."),
            requirement=wanted,
        )
