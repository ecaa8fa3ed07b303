"""The GPUs of a host: what is plugged in, what drives it, and what hands it to containers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from msgspec import Struct

from biostudio_doctor.host import docker, nvml, pci, programs
from biostudio_doctor.host.nvml import Nvml
from biostudio_doctor.host.pci import PciDevice
from biostudio_doctor.host.processes import named

if TYPE_CHECKING:
    from biostudio_doctor.host import Host

NVIDIA = 0x10DE
#: Other makers of GPUs that one could expect to be of use.
OTHER_MAKERS = {0x1002: "AMD", 0x8086: "Intel"}
_DISPLAY, _ACCELERATOR = 0x03, 0x12  # base classes
_BRIDGE = 0x0680  # class and subclass that an NVSwitch has
_FABRIC_MANAGER = "nv-fabricmanage"  # of which the kernel keeps no more
_SECURE_BOOT = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
#: In modules.dep; Debian's packages put the branch into the file's name.
_MODULE = re.compile(r"/nvidia(?:-(?:current|tesla)[^/:]*)?\.ko(?:\.\w+)?:")
_DEPENDENCIES_LIMIT = 4 << 20  # bytes
_CONTAINERD_FILES = (
    "/etc/containerd/config.toml",
    "/var/lib/rancher/k3s/agent/etc/containerd/config.toml",
    "/var/lib/rancher/rke2/agent/etc/containerd/config.toml",
)
_CONTAINERD_DIRECTORY = "/etc/containerd/conf.d"


class Toolkit(Struct, frozen=True, kw_only=True):
    """The NVIDIA Container Toolkit, and which engines know of it."""

    program: str = ""  # '' where it is not installed
    docker: bool = False  # the runtime "nvidia" stands in daemon.json
    containerd: bool = False
    cdi: tuple[str, ...] = ()  # files that describe the GPUs to engines (CDI)


class GpuFacts(Struct, frozen=True, kw_only=True):
    """GPUs of all makers, and the state of NVIDIA's software."""

    devices: tuple[PciDevice, ...] = ()
    switches: int = 0  # NVSwitches, that join GPUs of large machines
    wsl: bool = False  # Windows lends its GPU
    loaded_driver: str = ""  # version of the loaded kernel module
    nvml: Nvml | None = None  # None where it was not asked
    module_kernels: tuple[str, ...] = ()  # kernels that NVIDIA's module is installed for
    secure_boot: bool | None = None
    fabric_manager: bool | None = None  # it runs; None without NVSwitch
    toolkit: Toolkit = Toolkit()

    @property
    def nvidia(self) -> list[PciDevice]:
        """The GPUs that BioStudio could use."""
        return [device for device in self.devices if device.vendor == NVIDIA]


def look(host: Host) -> GpuFacts:
    """Look at the GPUs; NVIDIA's software only matters where there is one of NVIDIA's."""
    everything = pci.devices(host)
    devices = tuple(one for one in everything if one.device_class >> 16 in (_DISPLAY, _ACCELERATOR))
    nvidia = [device for device in devices if device.vendor == NVIDIA]
    wsl = host.exists("/dev/dxg")
    if not nvidia and not wsl:
        return GpuFacts(devices=devices)
    switches = [
        one for one in everything if one.vendor == NVIDIA and one.device_class >> 8 == _BRIDGE
    ]
    driven = wsl or any(device.driver == "nvidia" for device in nvidia)
    return GpuFacts(
        devices=devices,
        switches=len(switches),
        wsl=wsl,
        loaded_driver=(host.read_if_any("/sys/module/nvidia/version") or "").strip(),
        nvml=nvml.look(host) if driven and host.is_this_kernel else None,
        module_kernels=() if driven else _module_kernels(host),
        secure_boot=_secure_boot(host),
        fabric_manager=bool(named(host, (_FABRIC_MANAGER,))) if switches else None,
        toolkit=_toolkit(host),
    )


def _module_kernels(host: Host) -> tuple[str, ...]:
    kernels = []
    for kernel in host.listdir_if_any("/lib/modules"):
        try:
            text = host.read(f"/lib/modules/{kernel}/modules.dep", _DEPENDENCIES_LIMIT)
        except OSError:
            continue
        if _MODULE.search(text):
            kernels.append(kernel)
    return tuple(kernels)


def _secure_boot(host: Host) -> bool | None:
    """The firmware's variable: four bytes of attributes, then the value."""
    try:
        return host.read_bytes(_SECURE_BOOT)[4:5] == b"\1"
    except OSError:
        return None


def _toolkit(host: Host) -> Toolkit:
    try:
        config = docker.parse_config(host.read("/etc/docker/daemon.json"))
    except (OSError, ValueError):
        config = {}
    runtimes = config.get("runtimes")
    files = [
        *_CONTAINERD_FILES,
        *(f"{_CONTAINERD_DIRECTORY}/{name}" for name in host.listdir_if_any(_CONTAINERD_DIRECTORY)),
    ]
    cdi = [
        f"{directory}/{name}"
        for directory in ("/etc/cdi", "/var/run/cdi")
        for name in host.listdir_if_any(directory)
        if "nvidia" in name
    ]
    return Toolkit(
        program=programs.find(
            host,
            "nvidia-container-runtime",
            "nvidia-container-runtime-hook",
            "nvidia-container-toolkit",
            "nvidia-ctk",
            also=("/usr/local/nvidia/toolkit",),  # where the GPU Operator puts it
        ),
        docker=isinstance(runtimes, dict) and "nvidia" in runtimes,
        containerd=any(
            "nvidia-container-runtime" in (host.read_if_any(file) or "") for file in files
        ),
        cdi=tuple(cdi),
    )
