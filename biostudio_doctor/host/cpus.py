"""The processors: lists of CPUs as the kernel writes them (cpuset(7)) and /proc/cpuinfo."""

from __future__ import annotations

from typing import TYPE_CHECKING

from biostudio_doctor.host.numbers import whole

if TYPE_CHECKING:
    from biostudio_doctor.host import Host

MAX_CPUS = 1 << 16  # a list beyond this is no list of CPUs
_FIRST_CPU = 1 << 14  # bytes of /proc/cpuinfo that surely hold its first processor


def online_cpus(host: Host) -> frozenset[int]:
    """The logical CPUs that work; raises OSError where the kernel does not tell."""
    return parse_cpu_list(host.read("/sys/devices/system/cpu/online"))


def first_processor(host: Host) -> dict[str, str]:
    """What /proc/cpuinfo says of the first logical CPU, without asking the hundreds after it.

    Raises:
        OSError: if it cannot be read.
    """
    processors = parse_cpuinfo(host.read("/proc/cpuinfo", limit=_FIRST_CPU))
    return processors[0] if processors else {}


def parse_cpu_list(text: str) -> frozenset[int]:
    """CPU numbers of a list such as "0-3,8"; parts that are no ranges are passed over."""
    cpus: set[int] = set()
    for part in text.strip().split(","):
        first, dash, last = part.partition("-")
        start, end = whole(first), whole(last if dash else first)
        if start is not None and end is not None:
            cpus |= set(range(start, min(end, MAX_CPUS) + 1))
    return frozenset(cpus)


def parse_cpuinfo(text: str) -> list[dict[str, str]]:
    """/proc/cpuinfo as one mapping for each logical CPU."""
    processors: list[dict[str, str]] = []
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        if name.strip() == "processor":
            processors.append({})
        if colon and processors:
            processors[-1][name.strip()] = value.strip()
    return processors


def physical_cores(cpuinfo: str) -> int | None:
    """Distinct cores in a /proc/cpuinfo; None where it does not tell, as on arm64."""
    cores = {
        (processor.get("physical id", "0"), processor["core id"])
        for processor in parse_cpuinfo(cpuinfo)
        if "core id" in processor
    }
    return len(cores) or None
