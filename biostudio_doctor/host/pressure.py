"""Pressure stall information: how long tasks waited for a resource (accounting/psi.rst)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from msgspec import Struct

if TYPE_CHECKING:
    from biostudio_doctor.host import Host


class Pressure(Struct, frozen=True, kw_only=True):
    """Per cent of the last five minutes in which at least one task waited, or all of them did."""

    some: float
    full: float


def pressure(host: Host, resource: Literal["cpu", "memory", "io"]) -> Pressure | None:
    """The host's pressure; None where the kernel keeps none (before 4.20, or without psi=1)."""
    return parse_pressure(host.read_if_any(f"/proc/pressure/{resource}") or "")


def parse_pressure(text: str) -> Pressure | None:
    """A file of /proc/pressure. Kernels before 5.13 have no line `full` for the CPU."""
    shares: dict[str, float] = {}
    for line in text.splitlines():
        kind, _, rest = line.partition(" ")
        averages = dict(pair.partition("=")[::2] for pair in rest.split())
        try:
            share = float(averages["avg300"])
        except (KeyError, ValueError):
            continue
        if 0 <= share <= 100:
            shares[kind] = share
    if "some" not in shares:
        return None
    return Pressure(some=shares["some"], full=shares.get("full", 0.0))
