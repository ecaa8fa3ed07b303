"""The clock: what the kernel and chronyd say of it, the hardware clock and the time zone."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING

from msgspec import Struct

from biostudio_doctor.host.machine import parse_os_release

if TYPE_CHECKING:
    from biostudio_doctor.host import Host

_UNSYNCHRONISED = 0x40  # STA_UNSYNC of adjtimex(2)
_NANOSECONDS = 0x2000  # STA_NANO
_LOST = 16.0  # seconds of possible error from which nothing is synchronised (NTP_PHASE_LIMIT)
_LOCAL_CLOCK = "7F7F0101"  # chronyd's reference where it only follows the clock itself
_TRACKING_FIELDS = 14


class KernelClock(Struct, frozen=True, kw_only=True):
    """What adjtimex(2) says. In seconds; None where only others were told."""

    synchronised: bool
    offset: float | None = None  # what is still to be corrected
    error: float | None = None  # the most that the clock can be wrong by


class Tracking(Struct, frozen=True, kw_only=True):
    """What `chronyc tracking` says. In seconds."""

    synchronised: bool
    reference: str  # the address of the server that is followed; '' for the clock itself
    stratum: int
    offset: float


def kernel_clock() -> KernelClock:
    """Ask the kernel that this process runs on; needs no privilege, and changes nothing.

    Raises:
        OSError: if it will not say.
    """
    import ctypes

    class Timex(ctypes.Structure):
        """struct timex of adjtimex(2)."""

        _fields_ = (
            ("modes", ctypes.c_uint),  # 0: set nothing
            *((name, ctypes.c_long) for name in ("offset", "freq", "maxerror", "esterror")),
            ("status", ctypes.c_int),
            ("rest", ctypes.c_long * 64),
        )

    timex = Timex()
    if ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(timex)) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), "adjtimex(2)")
    error = timex.maxerror / 1e6
    return KernelClock(
        synchronised=not timex.status & _UNSYNCHRONISED and error < _LOST,
        offset=timex.offset / (1e9 if timex.status & _NANOSECONDS else 1e6),
        error=error,
    )


def timedated_clock(host: Host) -> KernelClock:
    """What the kernel told systemd-timedated, for a sandbox in which it tells us nothing.

    Raises:
        OSError, TimeoutError: if it does not answer.
        ValueError: if it does not tell.
    """
    command = ("timedatectl", "show", "--property=NTPSynchronized")  # systemd 239 or later
    said = host.run(command, timeout=3).stdout.strip()
    if said not in ("NTPSynchronized=yes", "NTPSynchronized=no"):
        raise ValueError("timedatectl does not tell whether the clock is synchronised")
    return KernelClock(synchronised=said.endswith("=yes"))


def parse_tracking(text: str) -> Tracking:
    """The line that `chronyc -n -c tracking` prints.

    Raises:
        ValueError: if it is no such line.
    """
    fields = text.strip().split(",")
    if len(fields) != _TRACKING_FIELDS:
        raise ValueError("chronyc did not print the fields of `tracking`")
    stratum, offset = int(fields[2]), float(fields[4])
    if not math.isfinite(offset):
        raise ValueError("chronyc printed no number for the offset")
    return Tracking(
        synchronised=fields[13] != "Not synchronised",
        reference="" if fields[0] == _LOCAL_CLOCK else fields[1],
        stratum=stratum,
        offset=offset,
    )


def hardware_clock_is_local(host: Host) -> bool | None:
    """Whether the hardware clock is in local time (hwclock(8)); None if there is none."""
    adjtime = host.read_if_any("/etc/adjtime")
    if adjtime is None and not host.listdir_if_any("/sys/class/rtc"):
        return None
    return (adjtime or "").split("\n")[2:3] == ["LOCAL"]


def time_zone(host: Host) -> str:
    """The name of the time zone, such as Europe/Berlin; '' for one that has none."""
    try:
        target = host.readlink("/etc/localtime")
    except FileNotFoundError:
        return "UTC"
    except OSError:  # it is a copy: Debian and old releases of RHEL keep the name beside it
        clock = parse_os_release(host.read_if_any("/etc/sysconfig/clock") or "")
        return (host.read_if_any("/etc/timezone") or "").strip() or clock.get("ZONE", "")
    return target.partition("zoneinfo/")[2] or os.path.basename(target)
