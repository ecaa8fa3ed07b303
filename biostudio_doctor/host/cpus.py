"""The processors: lists of CPUs as the kernel writes them (cpuset(7)) and /proc/cpuinfo."""

MAX_CPUS = 1 << 16  # a list beyond this is no list of CPUs


def parse_cpu_list(text: str) -> frozenset[int]:
    """CPU numbers of a list such as "0-3,8"; parts that are no ranges are passed over."""
    cpus: set[int] = set()
    for part in text.strip().split(","):
        first, dash, last = part.partition("-")
        if first.isdecimal() and (last.isdecimal() or not dash):
            cpus |= set(range(int(first), min(int(last or first), MAX_CPUS) + 1))
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
