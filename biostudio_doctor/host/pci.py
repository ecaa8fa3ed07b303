"""PCI devices as sysfs lists them: Documentation/ABI/testing/sysfs-bus-pci of the kernel."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from biostudio_doctor.host import Host

_DEVICES = "/sys/bus/pci/devices"
_NUMBER = re.compile(r"0x[0-9a-fA-F]{1,8}")


class PciDevice(Struct, frozen=True, kw_only=True):
    """A device, with its numbers of the PCI ID registry."""

    slot: str  # such as 0000:3b:00.0
    vendor: int
    device: int
    device_class: int  # base class, subclass and interface: 0x030200 is a 3D controller
    driver: str = ""  # '' where none is bound


def devices(host: Host) -> list[PciDevice]:
    """All devices; those that cannot be read are passed over."""
    found = []
    for slot in host.listdir_if_any(_DEVICES):
        numbers = [_number(host, slot, name) for name in ("vendor", "device", "class")]
        vendor, device, device_class = numbers
        if vendor is None or device is None or device_class is None:
            continue
        found.append(
            PciDevice(
                slot=slot,
                vendor=vendor,
                device=device,
                device_class=device_class,
                driver=_driver(host, slot),
            )
        )
    return found


def parse_number(text: str) -> int | None:
    """A number as sysfs writes it, 0x10de; None for anything else."""
    found = _NUMBER.fullmatch(text.strip())
    return int(found[0], 16) if found else None


def _number(host: Host, slot: str, name: str) -> int | None:
    return parse_number(host.read_if_any(f"{_DEVICES}/{slot}/{name}") or "")


def _driver(host: Host, slot: str) -> str:
    try:
        return os.path.basename(host.readlink(f"{_DEVICES}/{slot}/driver"))
    except OSError:
        return ""
