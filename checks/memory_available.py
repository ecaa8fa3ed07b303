"""memory.available"""

from collections.abc import Iterator
from shlex import quote

from msgspec import Struct

from biostudio_doctor import text
from biostudio_doctor.check import Check, ObservationError
from biostudio_doctor.host import Host
from biostudio_doctor.host.cgroups import MemoryGroup, limiting_memory
from biostudio_doctor.host.memory import available, meminfo
from biostudio_doctor.host.pressure import Pressure, pressure
from biostudio_doctor.host.processes import Resident, largest
from biostudio_doctor.model import Finding, Remedy, Status
from biostudio_doctor.requirements import Limit, Quantity, Requirements

from .memory_total import unread_groups

_NAMED = 3  # processes
_MUCH = 4  # a quarter of the memory in use is worth to look by whom


class AvailableFacts(Struct, frozen=True, kw_only=True):
    """How much memory is to be had just now, in bytes."""

    total: int
    available: int
    estimated: bool  # the kernel does not count what is available
    swap_total: int
    swap_free: int
    pressure: Pressure | None  # None where the kernel keeps none
    groups: tuple[MemoryGroup, ...] = ()  # those that limit this process
    groups_problem: str = ""  # why they could not be read
    largest: tuple[Resident, ...] = ()  # who holds most; looked up only where much is in use


class MemoryAvailable(Check[AvailableFacts]):
    """Memory that is free for use.

    Looks at what programs can still take without swapping (MemAvailable in /proc/meminfo), at what
    the control groups around this process have left, at how much of the time tasks waited for
    memory (PSI, /proc/pressure), and at the swap space in use.

    Why: before the installation, memory that other programs hold is missing for BioStudio. While
    it runs, a host without memory to spare slows down, and then the kernel ends processes.

    Mend: move the large programs elsewhere, or add memory for them beyond that of BioStudio.
    """

    id = "memory.available"
    requirement_ids = (
        "memory.total", "memory.available", "memory.spare", "memory.pressure", "memory.swap",
    )  # fmt: skip

    def observe(self, host: Host) -> AvailableFacts:
        information = meminfo(host)
        total = information.get("MemTotal")
        if not total:
            raise ObservationError("/proc/meminfo does not say how much memory there is.")
        free, estimated = available(information)
        groups, problem = limiting_memory(host)
        return AvailableFacts(
            total=total,
            available=free,
            estimated=estimated,
            swap_total=information.get("SwapTotal", 0),
            swap_free=information.get("SwapFree", 0),
            pressure=pressure(host, "memory"),
            groups=groups,
            groups_problem=problem,
            largest=largest(host, _NAMED) if total - free > total / _MUCH else (),
        )

    def judge(self, facts: AvailableFacts, requirements: Requirements) -> Iterator[Finding]:
        yield self._memory(facts, requirements)
        yield from self._control_groups(facts, requirements)
        yield _swap(facts, requirements)

    def _needed(self, whole: int, requirements: Requirements) -> float:
        """Bytes of `whole` that should be free. Too small a whole is for memory.total to say."""
        if self.context.scope.phase == "running":
            return whole * requirements.demand("memory.spare", Quantity).value
        recommended = requirements.demand("memory.total", Quantity).value
        return min(whole, recommended) * requirements.demand("memory.available", Quantity).value

    def _memory(self, facts: AvailableFacts, requirements: Requirements) -> Finding:
        most = requirements.demand("memory.pressure", Limit)
        needed = self._needed(facts.total, requirements)
        short = facts.available < needed
        waiting = facts.pressure is not None and facts.pressure.some / 100 > most.value
        running = self.context.scope.phase == "running"
        line = requirements.get("memory.spare" if running else "memory.available")
        return Finding(
            Status.WARN if short or waiting else Status.PASS,
            "memory",
            _said(facts, needed if short else None),
            observed=text.both_sizes(facts.available),
            expected=f"{text.both_sizes(needed)} or more",
            remedy=_remedy(facts, running) if short or waiting else None,
            requirement=most if waiting and not short else line,
        )

    def _control_groups(
        self, facts: AvailableFacts, requirements: Requirements
    ) -> Iterator[Finding]:
        subject = "control group"
        if facts.groups_problem:
            yield unread_groups(facts.groups_problem)
        lefts = [(group.left, group) for group in facts.groups if group.left is not None]
        if lefts:
            left, group = min(lefts, key=lambda pair: pair[0])
            needed = self._needed(min(group.limit, facts.total), requirements)
            enough = left >= needed
            yield Finding(
                Status.PASS if enough else Status.WARN,
                subject,
                f"The control group around this process has {text.both_sizes(left)} left of its "
                f"limit of {text.both_sizes(group.limit)}.",
                observed=text.both_sizes(left),
                expected=f"{text.both_sizes(needed)} or more",
                remedy=None if enough else _group_remedy(group),
            )
        elif facts.groups:
            yield Finding(
                Status.ERROR,
                subject,
                "How much the control group around this process has left could not be read.",
                remedy=Remedy("Run biostudio-doctor on the host itself, outside of containers."),
            )


def _said(facts: AvailableFacts, needed: float | None) -> str:
    about = "about " if facts.estimated else ""
    said = (
        f"Of {text.both_sizes(facts.total)} of memory {about}{text.both_sizes(facts.available)} "
        "are available"
    )
    if facts.estimated:
        said += " (estimated, since this kernel does not count it)"
    if needed is not None:
        said += f", less than the {text.both_sizes(needed)} that should be"
    if facts.pressure and facts.pressure.some >= 1:
        said += (
            f"; in the last five minutes tasks waited for memory in {facts.pressure.some:.0f} % of "
            "the time"
        )
    return f"{said}."


def _remedy(facts: AvailableFacts, running: bool) -> Remedy:
    words = "See which programs hold the memory."
    if facts.largest:
        named = [f"{item.name or item.pid} ({text.size(item.size)})" for item in facts.largest]
        words = f"The largest processes are {text.listing(named)}."
    if running:
        words += " Close notebooks that nobody uses, or add memory."
    else:
        words += " Move them elsewhere, or add memory for them beyond that of BioStudio."
    return Remedy(words, ("ps -eo rss,pid,user,comm --sort=-rss | head",), as_root=False)


def _group_remedy(group: MemoryGroup) -> Remedy:
    return Remedy(
        "See what else runs within the limit, and lift it if BioStudio will run there too (LXC: "
        "limits.memory; systemd: MemoryMax=, MemoryHigh=; docker: --memory).",
        tuple(f"cat {quote(f'{group.path}/{name}')}" for name in ("memory.stat", "cgroup.procs")),
        as_root=False,
    )


def _swap(facts: AvailableFacts, requirements: Requirements) -> Finding:
    if not facts.swap_total:
        summary = "No swap space is set up; none is demanded."
        return Finding(Status.PASS, "swap", summary, observed="none")
    most = requirements.demand("memory.swap", Limit)
    used = facts.swap_total - facts.swap_free
    heavy = used > most.value * facts.swap_total
    said = f"Of {text.both_sizes(facts.swap_total)} of swap space "
    said += f"{text.size(used)} are in use" if used else "nothing is in use"
    return Finding(
        Status.WARN if heavy else Status.PASS,
        "swap",
        f"{said}: memory has been short." if heavy else f"{said}.",
        observed=text.both_sizes(used),
        expected=f"{text.both_sizes(most.value * facts.swap_total)} or less",
        remedy=_SWAPPED if heavy else None,
        requirement=most,
    )


_SWAPPED = Remedy(
    "See which processes were swapped out. If they are needed, add memory for them.",
    ("grep -H VmSwap /proc/[0-9]*/status | sort -k2 -n -r | head",),
)
