"""memory.total"""

from collections.abc import Iterator
from datetime import timedelta

from msgspec import Struct

from biostudio_doctor import text
from biostudio_doctor.check import Check, ObservationError
from biostudio_doctor.host import Host
from biostudio_doctor.host.cgroups import limiting_memory
from biostudio_doctor.host.machine import SYSTEM_CONTAINERS
from biostudio_doctor.host.memory import huge_pages, meminfo
from biostudio_doctor.model import Finding, Remedy, Status
from biostudio_doctor.requirements import Quantity, Requirements


class MemoryFacts(Struct, frozen=True, kw_only=True):
    """How much memory there is, and what takes of it for good. In bytes."""

    total: int  # what the kernel manages: the modules less the firmware's and the kernel's share
    huge_pages: int  # set aside, of no use to ordinary programs
    limit: int | None  # of the control groups around this process; None for no limit
    limit_problem: str = ""  # why the limit could not be read


class MemoryTotal(Check[MemoryFacts]):
    """Enough memory.

    Looks at the memory that the kernel manages, at the limits of the control groups around this
    process, and at what is set aside for huge pages. A machine with 32 GiB of modules reports some
    31 GiB, because the firmware and the kernel keep a share; that is 33 GB, and enough.

    Why: every open notebook keeps its data in memory. With too little the kernel ends processes,
    and it may well end a database.

    Mend: add memory, lift the limit of the container or service, or release the huge pages.
    """

    id = "memory.total"
    interval = timedelta(hours=1)
    requirement_ids = ("memory.total",)

    def observe(self, host: Host) -> MemoryFacts:
        information = meminfo(host)
        total = information.get("MemTotal")
        if not total:
            raise ObservationError("/proc/meminfo does not say how much memory there is.")
        groups, problem = limiting_memory(host)
        return MemoryFacts(
            total=total,
            huge_pages=huge_pages(host, information),
            limit=min((group.limit for group in groups), default=None),
            limit_problem=problem,
        )

    def judge(self, facts: MemoryFacts, requirements: Requirements) -> Iterator[Finding]:
        wanted = requirements.demand("memory.total", Quantity)
        yield _memory(facts, wanted)
        yield self._control_group(facts, wanted)
        yield _huge_pages(facts, wanted)

    def _control_group(self, facts: MemoryFacts, wanted: Quantity) -> Finding:
        subject = "control group"
        if facts.limit_problem:
            return unread_groups(facts.limit_problem)
        if facts.limit is None or facts.limit >= facts.total:
            summary = "No control group limits memory any further."
            return Finding(Status.PASS, subject, summary, observed="no limit")
        status = self._verdict_on_limit(facts.limit, wanted)
        return Finding(
            status,
            subject,
            f"A control group leaves {text.both_sizes(facts.limit)} of it to this process; "
            f"{wanted.in_words(status, text.both_sizes)}.",
            observed=text.both_sizes(facts.limit),
            expected=_expected(wanted),
            remedy=None if status is Status.PASS else _LIFT,
            requirement=wanted,
        )

    def _verdict_on_limit(self, limit: int, wanted: Quantity) -> Status:
        """Where the container is the whole machine, its limit is the machine's memory.

        Elsewhere BioStudio's containers will stand beside this process, not within its limit.
        """
        if limit >= wanted.value:
            return Status.PASS
        within = self.context.machine.container in SYSTEM_CONTAINERS
        return wanted.shortfall(limit) if within else Status.WARN


def unread_groups(problem: str) -> Finding:
    """That no limit could be read, which is not that there is none."""
    return Finding(
        Status.ERROR,
        "control group",
        f"Whether a control group limits memory could not be read: {problem}.",
        remedy=Remedy("Run biostudio-doctor as root, and on the host itself."),
    )


_LIFT = Remedy(
    "If BioStudio will run under the same limit, lift it (LXC: limits.memory; systemd: MemoryMax=, "
    "MemoryHigh=; docker: --memory); otherwise run biostudio-doctor outside it."
)


def _memory(facts: MemoryFacts, wanted: Quantity) -> Finding:
    enough = facts.total >= wanted.value
    status = Status.PASS if enough else wanted.shortfall(facts.total)
    remedy = Remedy(
        f"Give this machine at least {text.both_sizes(wanted.value)} of memory"
        + ("." if status is Status.FAIL else "; BioStudio starts with less, for fewer colleagues.")
    )
    return Finding(
        status,
        "memory",
        f"This host has {text.both_sizes(facts.total)} of memory; "
        f"{wanted.in_words(status, text.both_sizes)}.",
        observed=text.both_sizes(facts.total),
        expected=_expected(wanted),
        remedy=None if enough else remedy,
        requirement=wanted,
    )


def _huge_pages(facts: MemoryFacts, wanted: Quantity) -> Finding:
    subject = "huge pages"
    if not facts.huge_pages:
        summary = "No memory is set aside for huge pages."
        return Finding(Status.PASS, subject, summary, observed="none")
    left = facts.total - facts.huge_pages
    status = Status.PASS if left >= wanted.value else wanted.shortfall(left)
    return Finding(
        status,
        subject,
        f"Huge pages take {text.both_sizes(facts.huge_pages)}, which leaves "
        f"{text.both_sizes(left)} to ordinary programs; "
        f"{wanted.in_words(status, text.both_sizes)}.",
        observed=text.both_sizes(left),
        expected=_expected(wanted),
        remedy=None if status is Status.PASS else _RELEASE,
        requirement=wanted,
    )


_RELEASE = Remedy(
    "BioStudio does not use them. Find out what sets them aside, in the settings of the kernel and "
    "on its command line. If nothing on this host needs them (some databases and DPDK do), take "
    "the setting away and run sysctl -w vm.nr_hugepages=0, or restart the host.",
    (
        "grep -rs hugepages /proc/cmdline /etc/sysctl.conf /etc/sysctl.d /usr/lib/sysctl.d",
        "grep . /sys/kernel/mm/hugepages/*/nr_hugepages",
    ),
    as_root=False,
)


def _expected(wanted: Quantity) -> str:
    return f"{text.both_sizes(wanted.value)} or more"
