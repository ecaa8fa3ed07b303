"""cpu.load"""

import re
from collections.abc import Iterator

from msgspec import Struct

from biostudio_doctor import text
from biostudio_doctor.check import Check, ObservationError
from biostudio_doctor.host import Host
from biostudio_doctor.host.cpus import online_cpus
from biostudio_doctor.host.pressure import Pressure, pressure
from biostudio_doctor.model import Finding, Remedy, Status
from biostudio_doctor.requirements import Limit, Requirements


class LoadFacts(Struct, frozen=True, kw_only=True):
    """How busy the host is. The kernel counts its load for the whole host, in containers too."""

    cpus: int  # logical CPUs that are online
    load: tuple[float, float, float]  # tasks that ran or waited, over 1, 5 and 15 minutes
    cpu_pressure: Pressure | None  # None where the kernel keeps none
    io_pressure: Pressure | None


class CpuLoad(Check[LoadFacts]):
    """The host is not busy with something else.

    Looks at the load of the last five minutes for each CPU, and, where the kernel keeps it (PSI,
    /proc/pressure), at how much of the time tasks waited for a CPU or for storage.

    Why: a host that is busy before the installation has fewer CPUs for BioStudio than it seems, or
    waits for slow storage: Linux counts tasks that wait for storage as load as well.

    Mend: find out what keeps the host busy (top), and move it elsewhere, or allow for it.
    """

    id = "cpu.load"
    requirement_ids = ("cpu.load", "cpu.pressure")

    def observe(self, host: Host) -> LoadFacts:
        cpus = len(online_cpus(host))
        if not cpus:
            raise ObservationError("/sys/devices/system/cpu/online names no CPUs.")
        return LoadFacts(
            cpus=cpus,
            load=parse_loadavg(host.read("/proc/loadavg")),
            cpu_pressure=pressure(host, "cpu"),
            io_pressure=pressure(host, "io"),
        )

    def judge(self, facts: LoadFacts, requirements: Requirements) -> Iterator[Finding]:
        most_load, most_waiting = (
            requirements.demand("cpu.load", Limit),
            requirements.demand("cpu.pressure", Limit),
        )
        most = most_load.value * facts.cpus
        loaded = facts.load[1] > most
        waiting = facts.cpu_pressure is not None and _share(facts.cpu_pressure) > most_waiting.value
        busy = loaded or waiting
        yield Finding(
            Status.WARN if busy else Status.PASS,
            "load",
            _said(facts, busy),
            observed=f"{facts.load[1]:.2f}",
            expected=f"{most:g} or less",
            remedy=self._remedy(facts) if busy else None,
            requirement=most_waiting if waiting and not loaded else most_load,
        )

    def _remedy(self, facts: LoadFacts) -> Remedy:
        if _storage_bound(facts):
            words = "See which tasks wait for storage (state D), and which disks or network mounts."
            commands = ("ps -eo state,pid,comm,wchan | grep '^D'",)
        else:
            words = "See what keeps the CPUs busy."
            commands = ("ps -eo pcpu,pid,user,comm --sort=-pcpu | head",)
        if self.context.scope.phase == "preinstall":
            words += " If it stays on this host, add CPUs for it beyond those of BioStudio."
        return Remedy(words, commands, as_root=False)


def parse_loadavg(line: str) -> tuple[float, float, float]:
    """The three averages of /proc/loadavg (proc_loadavg(5)).

    Raises:
        ObservationError: if it is no such line.
    """
    numbers = re.match(r"(\d{1,9}\.\d\d) (\d{1,9}\.\d\d) (\d{1,9}\.\d\d) ", line, re.ASCII)
    if not numbers:
        raise ObservationError("/proc/loadavg does not hold three averages.")
    return float(numbers[1]), float(numbers[2]), float(numbers[3])


def _said(facts: LoadFacts, busy: bool) -> str:
    cpus = text.number(facts.cpus, "CPU")
    said = f"The load of the last five minutes is {facts.load[1]:.2f} on {cpus}"
    if facts.cpu_pressure:
        said += f", and tasks waited for a CPU in {facts.cpu_pressure.some:.0f} % of the time"
    if not busy:
        return f"{said}."
    if _storage_bound(facts):
        share = facts.io_pressure.some if facts.io_pressure else 0
        return f"{said}; they waited for storage more ({share:.0f} %)."
    return f"{said}: this host is busy already."


def _storage_bound(facts: LoadFacts) -> bool:
    """Whether the load comes from waiting for storage rather than for CPUs."""
    if not (facts.cpu_pressure and facts.io_pressure):
        return False
    return facts.io_pressure.some > facts.cpu_pressure.some


def _share(found: Pressure) -> float:
    return found.some / 100
