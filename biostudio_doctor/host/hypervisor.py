"""Which hypervisor a machine runs on, from what the kernel shows to everyone."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from biostudio_doctor.host import Host

#: DMI vendors and products by the hypervisor that writes them, as in systemd's virt.c.
_DMI = {
    "KVM": "KVM", "QEMU": "KVM", "OpenStack": "KVM", "Amazon EC2": "Amazon EC2",
    "Google": "Google Compute Engine", "VMware": "VMware", "VMW": "VMware",
    "innotek GmbH": "VirtualBox", "VirtualBox": "VirtualBox", "Xen": "Xen", "Bochs": "Bochs",
    "Parallels": "Parallels", "BHYVE": "bhyve", "Hyper-V": "Hyper-V", "Virtual Machine": "Hyper-V",
    "Nutanix": "Nutanix AHV", "oVirt": "KVM", "RHEV": "KVM", "Alibaba Cloud": "Alibaba Cloud",
    "DigitalOcean": "KVM", "Hetzner": "KVM", "Apple Virtualization": "Apple Virtualization",
}  # fmt: skip
_CLOCKS = {"kvm-clock": "KVM", "hyperv_clocksource": "Hyper-V", "xen": "Xen"}
_CLOCK_SOURCES = "/sys/devices/system/clocksource/clocksource0/available_clocksource"


def hypervisor(host: Host) -> str:
    """The hypervisor's name, or '' where none shows itself.

    Only the CPU flag `hypervisor` tells for certain that there is one: a bare-metal cloud machine
    carries its cloud's DMI names too, so ask this where the flag is set.
    """
    kind = (host.read_if_any("/sys/hypervisor/type") or "").strip()
    if kind:
        return kind.capitalize()
    names = [
        (host.read_if_any(f"/sys/class/dmi/id/{name}") or "").strip()
        for name in ("sys_vendor", "product_name", "bios_vendor")
    ]
    for mark, name in _DMI.items():
        if any(mark in written for written in names):
            return name
    clocks = host.read_if_any(_CLOCK_SOURCES) or ""
    return next((name for mark, name in _CLOCKS.items() if mark in clocks), "")
