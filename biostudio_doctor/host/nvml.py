"""NVIDIA's driver, asked through its management library (NVML), as nvidia-smi does.

NVML speaks to the driver of the running kernel, whatever file system we look at. So below another
root it is asked only where that root is of the same boot of the same machine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from msgspec import Struct

if TYPE_CHECKING:
    from biostudio_doctor.host import Host

#: Slowed down because it is too hot or gets too little power (nvmlClocksEventReasons).
_SLOWDOWNS = 0x20 | 0x40 | 0x80
#: Codes of nvmlReturn_t that have causes of their own.
PROBLEMS = {
    4: "no-permission",
    9: "driver-not-loaded",
    12: "library-not-found",
    15: "gpu-is-lost",
    16: "reset-required",
    18: "version-mismatch",
    999: "unknown-error",
}

#: NVML_BRAND_TESLA, and NVML_BRAND_NVIDIA: what an H200 is with driver 580.
_DATA_CENTER_BRANDS = (2, 14)


class Gpu(Struct, frozen=True, kw_only=True):
    """One GPU; None is what it, or its driver, does not tell."""

    index: int
    problem: str = ""  # why it could not be asked; one of PROBLEMS or NVML's words
    name: str = ""
    slot: str = ""
    memory: int | None = None  # bytes
    capability: float | None = None  # CUDA compute capability
    data_center: bool = False
    uncorrected_errors: int | None = None  # of memory, since the driver was loaded
    remap_pending: bool = False  # a reset is due, which swaps bad rows or pages for good ones
    remap_failed: bool = False  # there are no good ones left
    persistence: bool | None = None
    mig: bool = False  # split into instances
    mig_instances: int = 0
    temperature: int | None = None  # degrees Celsius
    slowed: bool = False  # by heat or lack of power


class Nvml(Struct, frozen=True, kw_only=True):
    """What NVML says of the driver and of its GPUs."""

    problem: str = ""  # why it said nothing; one of PROBLEMS or NVML's words
    driver: str = ""
    gpus: tuple[Gpu, ...] = ()


def look(host: Host) -> Nvml:
    """Ask the library; it loads pynvml, so only where there is a sign of NVIDIA's driver."""
    import pynvml

    with host.doing("ask NVIDIA's driver (NVML)"):
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError as error:
            return Nvml(problem=_problem(error))
        try:
            count = _ask(pynvml.nvmlDeviceGetCount) or 0
            return Nvml(
                driver=_ask(pynvml.nvmlSystemGetDriverVersion) or "",
                gpus=tuple(_gpu(pynvml, index) for index in range(count)),
            )
        finally:
            _ask(pynvml.nvmlShutdown)


def _gpu(nvml: Any, index: int) -> Gpu:
    try:
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
    except nvml.NVMLError as error:
        return Gpu(index=index, problem=_problem(error))
    memory = _ask(nvml.nvmlDeviceGetMemoryInfo, handle)
    place = _ask(nvml.nvmlDeviceGetPciInfo, handle)
    capability = _ask(nvml.nvmlDeviceGetCudaComputeCapability, handle)
    _, _, pending, failed = _ask(nvml.nvmlDeviceGetRemappedRows, handle) or (0, 0, 0, 0)
    retiring = _ask(nvml.nvmlDeviceGetRetiredPagesPendingStatus, handle)  # before Ampere
    mig, _ = _ask(nvml.nvmlDeviceGetMigMode, handle) or (0, 0)
    persistence = _ask(nvml.nvmlDeviceGetPersistenceMode, handle)
    reasons = _ask(nvml.nvmlDeviceGetCurrentClocksThrottleReasons, handle) or 0
    return Gpu(
        index=index,
        name=_ask(nvml.nvmlDeviceGetName, handle) or "",
        slot=str(place.busId) if place else "",
        memory=memory.total if memory else None,
        capability=float(f"{capability[0]}.{capability[1]}") if capability else None,
        data_center=_ask(nvml.nvmlDeviceGetBrand, handle) in _DATA_CENTER_BRANDS,
        uncorrected_errors=_ask(
            nvml.nvmlDeviceGetTotalEccErrors,
            handle,
            nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED,
            nvml.NVML_VOLATILE_ECC,
        ),
        remap_pending=bool(pending or retiring),
        remap_failed=bool(failed),
        persistence=None if persistence is None else bool(persistence),
        mig=bool(mig),
        mig_instances=_mig_instances(nvml, handle) if mig else 0,
        temperature=_ask(nvml.nvmlDeviceGetTemperature, handle, nvml.NVML_TEMPERATURE_GPU),
        slowed=bool(reasons & _SLOWDOWNS),
    )


def _mig_instances(nvml: Any, handle: Any) -> int:
    most = _ask(nvml.nvmlDeviceGetMaxMigDeviceCount, handle) or 0
    found = (_ask(nvml.nvmlDeviceGetMigDeviceHandleByIndex, handle, slot) for slot in range(most))
    return sum(1 for instance in found if instance is not None)


def _ask(function: Callable[..., Any], *arguments: Any) -> Any:
    """One question; None where this GPU or this driver has no answer to it."""
    import pynvml

    try:
        return function(*arguments)
    except pynvml.NVMLError:
        return None


def _problem(error: Any) -> str:
    return PROBLEMS.get(error.value, str(error))
