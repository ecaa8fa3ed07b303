"""Processors, memory, storage, GPUs and clock: values from the facts of checks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..reading import amount, at, each, known
from .families import Group, Sample

GROUP = Group("Host")

_CPU = "cpu.count"
_ONLINE = GROUP.gauge("cpus_online", says="Logical CPUs that are online.", of=_CPU)
_PHYSICAL = GROUP.gauge("cpus_physical", says="Cores of the processors.", of=_CPU)
_ALLOWED = GROUP.gauge(
    "cpus_allowed", says="Logical CPUs that affinity and cpusets leave to us.", of=_CPU
)
_QUOTA = GROUP.gauge(
    "cpus_quota", says="CPUs' worth of time that control groups leave; absent if all.", of=_CPU
)
_LOADS = [
    GROUP.gauge(
        f"load{minutes}",
        says=f"Tasks that ran or waited, averaged over {minutes} min.",
        of="cpu.load",
    )
    for minutes in (1, 5, 15)
]
_PRESSURE = GROUP.gauge(
    "pressure_ratio", "resource", "tasks",
    says="Share of the last five minutes in which some or all (full) tasks waited for cpu, memory "
    "or io.",
    of="cpu.load and memory.available",
)  # fmt: skip

_MEMORY = "memory.available"
_TOTAL = GROUP.gauge(
    "memory_total_bytes", says="Memory that the kernel manages.", of="memory.total"
)
_AVAILABLE = GROUP.gauge(
    "memory_available_bytes", says="Memory that programs can still have.", of=_MEMORY
)
_LIMIT = GROUP.gauge(
    "memory_limit_bytes", says="What control groups leave to us; absent if all.", of="memory.total"
)
_SWAP = GROUP.gauge("swap_total_bytes", says="Swap space.", of=_MEMORY)
_SWAP_FREE = GROUP.gauge("swap_free_bytes", says="Swap space that is not in use.", of=_MEMORY)

_STORAGE = "storage.capacity"
_WHERE = ("tier", "path", "mountpoint")
_OF_TIER = "of the file system under a storage tier (or, without a tier, under the engine's data)"
_SIZE = GROUP.gauge("storage_size_bytes", *_WHERE, says=f"Size {_OF_TIER}.", of=_STORAGE)
_USED = GROUP.gauge("storage_used_bytes", *_WHERE, says=f"Used bytes {_OF_TIER}.", of=_STORAGE)
_FREE = GROUP.gauge(
    "storage_available_bytes", *_WHERE,
    says=f"Bytes {_OF_TIER} that ordinary users can still fill.", of=_STORAGE,
)  # fmt: skip
_INODES = GROUP.gauge(
    "storage_inodes", *_WHERE,
    says=f"Inodes {_OF_TIER}; absent where they are made as needed.", of=_STORAGE,
)  # fmt: skip
_INODES_FREE = GROUP.gauge(
    "storage_inodes_free", *_WHERE, says=f"Unused inodes {_OF_TIER}.", of=_STORAGE
)

_GPU = "gpu.devices"
_PRESENT = GROUP.gauge("gpus_present", says="NVIDIA GPUs on the PCI bus.", of=_GPU)
_USABLE = GROUP.gauge("gpus_usable", says="GPUs that the driver lists and that answer it.", of=_GPU)
_GPU_INFO = GROUP.info(
    "gpu_info", "gpu", "name", "slot", "driver", says="A GPU that the driver lists.", of=_GPU
)
_GPU_UP = GROUP.gauge("gpu_up", "gpu", says="1 if the GPU answers the driver, 0 if not.", of=_GPU)
_GPU_MEMORY = GROUP.gauge("gpu_memory_bytes", "gpu", says="Memory of the GPU.", of=_GPU)
_GPU_HEAT = GROUP.gauge("gpu_temperature_celsius", "gpu", says="Temperature of the GPU.", of=_GPU)
_GPU_SLOWED = GROUP.gauge(
    "gpu_slowed", "gpu", says="1 if heat or lack of power slows the GPU down.", of=_GPU
)
_GPU_ERRORS = GROUP.counter(
    "gpu_uncorrected_ecc_errors_total", "gpu",
    says="Memory errors that could not be corrected, since the driver was loaded.", of=_GPU,
)  # fmt: skip
_GPU_PENDING = GROUP.gauge(
    "gpu_remap_pending", "gpu",
    says="1 if the GPU waits for a reset to put broken memory out of use.", of=_GPU,
)  # fmt: skip
_GPU_FAILED = GROUP.gauge(
    "gpu_remap_failed", "gpu",
    says="1 if the GPU has no spare memory left for broken memory.", of=_GPU,
)  # fmt: skip

_TIME = "os.time"
_SYNCHRONISED = GROUP.gauge(
    "clock_synchronised", says="1 if the kernel takes the clock to be synchronised.", of=_TIME
)
_OFFSET = GROUP.gauge(
    "clock_offset_seconds",
    says="By how much the clock is off, by chronyd or else the kernel; absent if unknown.",
    of=_TIME,
)
_ERROR = GROUP.gauge(
    "clock_error_seconds",
    says="The most that the kernel takes the clock to be off by; absent if unknown.",
    of=_TIME,
)
_STRATUM = GROUP.gauge("clock_stratum", says="NTP stratum, by chronyd.", of=_TIME)

_NVIDIA = 0x10DE  # vendor on the PCI bus


def cpus(check: str, facts: Any) -> Iterator[Sample]:
    """From cpu.count."""
    yield _ONLINE, (), at(facts, "online")
    yield _PHYSICAL, (), at(facts, "physical")
    yield _ALLOWED, (), at(facts, "allowed")
    yield _QUOTA, (), at(facts, "quota")


def load(check: str, facts: Any) -> Iterator[Sample]:
    """From cpu.load."""
    averages = at(facts, "load")
    if isinstance(averages, (list, tuple)):
        for family, average in zip(_LOADS, averages, strict=False):
            yield family, (), average
    yield from _pressure("cpu", at(facts, "cpu_pressure"))
    yield from _pressure("io", at(facts, "io_pressure"))


def memory(check: str, facts: Any) -> Iterator[Sample]:
    """From memory.available and memory.total."""
    yield _TOTAL, (), at(facts, "total")
    yield _AVAILABLE, (), at(facts, "available")
    yield _LIMIT, (), at(facts, "limit")
    yield _SWAP, (), at(facts, "swap_total")
    yield _SWAP_FREE, (), at(facts, "swap_free")
    yield from _pressure("memory", at(facts, "pressure"))


def _pressure(resource: str, facts: Any) -> Iterator[Sample]:
    for tasks in ("some", "full"):
        share = known(at(facts, tasks))
        yield _PRESSURE, (resource, tasks), None if share is None else share / 100


def storage(check: str, facts: Any) -> Iterator[Sample]:
    """From storage.capacity, and what storage.filesystem looks at besides.

    File systems where a tier without a path might be put are nobody's yet, and have no series.
    """
    facts = at(facts, "storage") or facts
    for key in ("places", "others"):
        found = at(facts, key)
        for name, place in found.items() if isinstance(found, dict) else ():
            yield from _room(name if key == "places" else "", place)


def _room(tier: str, place: Any) -> Iterator[Sample]:
    where = (tier, at(place, "path"), at(place, "mount", "target") or "")
    yield _SIZE, where, amount(at(place, "room", "size"))
    yield _USED, where, amount(at(place, "room", "used"))
    yield _FREE, where, amount(at(place, "room", "available"))
    if amount(at(place, "room", "inodes")):
        yield _INODES, where, at(place, "room", "inodes")
        yield _INODES_FREE, where, amount(at(place, "room", "inodes_free"))


def gpus(check: str, facts: Any) -> Iterator[Sample]:
    """From gpu.devices."""
    if isinstance(at(facts, "devices"), (list, tuple)):
        present = [one for one in each(facts, "devices") if one.get("vendor") == _NVIDIA]
        yield _PRESENT, (), len(present)
    if at(facts, "nvml") is None or at(facts, "nvml", "problem"):
        return
    listed = list(each(facts, "nvml", "gpus"))
    yield _USABLE, (), sum(not gpu.get("problem") for gpu in listed)
    for gpu in listed:
        yield from _gpu(gpu, at(facts, "nvml", "driver"))


def _gpu(gpu: dict[str, Any], driver: Any) -> Iterator[Sample]:
    of = (gpu.get("index", ""),)
    yield _GPU_UP, of, not gpu.get("problem")
    if gpu.get("problem"):
        return
    yield _GPU_INFO, (*of, gpu.get("name", ""), gpu.get("slot", ""), driver or ""), 1
    yield _GPU_MEMORY, of, amount(gpu.get("memory"))
    yield _GPU_HEAT, of, gpu.get("temperature")
    yield _GPU_SLOWED, of, gpu.get("slowed")
    yield _GPU_ERRORS, of, amount(gpu.get("uncorrected_errors"))
    yield _GPU_PENDING, of, gpu.get("remap_pending")
    yield _GPU_FAILED, of, gpu.get("remap_failed")


def clock(check: str, facts: Any) -> Iterator[Sample]:
    """From os.time. Where the clock is not synchronised, the kernel says 0 s and 16 s: unknown."""
    synchronised = at(facts, "kernel", "synchronised")
    yield _SYNCHRONISED, (), synchronised
    if at(facts, "tracking", "synchronised"):
        yield _OFFSET, (), at(facts, "tracking", "offset")
        yield _STRATUM, (), at(facts, "tracking", "stratum")
    if synchronised:
        yield _OFFSET, (), at(facts, "kernel", "offset")
        yield _ERROR, (), at(facts, "kernel", "error")


EXTRACTORS = {
    "cpus": (cpus, ("cpu.count",)),
    "load": (load, ("cpu.load",)),
    "memory": (memory, ("memory.available", "memory.total")),
    "storage": (storage, ("storage.capacity", "storage.filesystem", "storage.performance")),
    "gpus": (gpus, ("gpu.devices",)),
    "clock": (clock, ("os.time",)),
}
