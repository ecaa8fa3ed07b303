"""Judging of exposure.lan: where is a port bound, and does the outside get there?"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from typing import NamedTuple

from biostudio_doctor.endpoints import is_loopback
from biostudio_doctor.host import addresses
from biostudio_doctor.host.addresses import Address
from biostudio_doctor.host.containers import Container
from biostudio_doctor.host.firewall import FirewallFacts, PortReach, Verdict
from biostudio_doctor.host.ports import PortUse
from biostudio_doctor.requirements import Port

_ANY4, _ANY6 = "0.0.0.0", "::"  # noqa: S104 - the addresses that stand for all


class Exposure(NamedTuple):
    """One port, and where others find it."""

    requirement: Port
    port: int
    problem: str  # why it cannot be told where it is bound; '' if it can
    loopback: tuple[str, ...]  # the loopback addresses that it is bound to
    everywhere: bool  # it is bound to all addresses
    where: tuple[Address, ...]  # at which others may find it, those of guests left out
    container: Container | None
    published: bool  # by Docker
    reach: PortReach

    @property
    def service(self) -> str:
        """The name of the service."""
        return self.requirement.service

    @property
    def subject(self) -> str:
        """The row of the table."""
        return f"{self.port} ({self.service})"

    @property
    def is_bound(self) -> bool:
        """Whether anybody listens, or is led there."""
        return self.everywhere or bool(self.loopback or self.where)

    @property
    def own_address(self) -> str:
        """An address of this host to ask at, not of loopback if that can be."""
        private_first = sorted(self.where, key=lambda one: (one.is_ipv6, one.kind != "private"))
        return next((one.address for one in private_first), (*self.loopback, "127.0.0.1")[0])

    def opened(self, firewall: FirewallFacts, kind: str) -> list[Address]:
        """The addresses of a kind at which somebody far away gets through."""
        return [one for one in self._of(kind) if self._opens(firewall, one) is True]

    def untold(self, firewall: FirewallFacts, kind: str) -> list[Address]:
        """The addresses of a kind of which that cannot be told."""
        return [one for one in self._of(kind) if self._opens(firewall, one) is None]

    def stranger(self, address: Address) -> Verdict | None:
        """What the rules do with somebody far away who calls one of the addresses."""
        for found in self.reach.verdicts:
            if found.source == "internet" and found.to == address.address:
                return found
        return None

    def _of(self, kind: str) -> list[Address]:
        return [one for one in self.where if one.kind == kind]

    def _opens(self, firewall: FirewallFacts, address: Address) -> bool | None:
        if firewall.problem:
            return None
        if not self.stranger(address):
            # Nobody far away finds the way to a private address that no default route leads to.
            return False if address.kind == "private" else None
        return self.reach.opens("internet", to=address.address)


def exposure(
    requirement: Port,
    use: PortUse,
    firewall: FirewallFacts,
    own: Sequence[Address],
    table_problem: str,
    addresses_problem: str,
) -> Exposure:
    """Where a port is bound, by its listeners and by the rules that lead to containers."""
    reach = firewall.of(use.port)
    bound = {_plain(listener.address) for listener in use.listeners}
    led = {found.to for found in reach.verdicts if found.led_to}
    loopback = tuple(sorted(one for one in bound if is_loopback(one)))
    outward = [one for one in own if one.kind in ("private", "public") and not one.guests]
    known = {one.address for one in own}
    where = [one for one in outward if one.address in bound | led or _by_wildcard(one, bound)] + [
        _foreign(one) for one in sorted(bound - known - {_ANY4, _ANY6, *loopback})
    ]
    names = {listener.process.name for listener in use.listeners if listener.process}
    return Exposure(
        requirement=requirement,
        port=use.port,
        problem=table_problem or (addresses_problem if bound - {*loopback} else ""),
        loopback=loopback,
        everywhere=bool(bound & {_ANY4, _ANY6}) or len(led) > 1,
        where=tuple(where),
        container=use.container,
        published=bool(led)
        or bool({"docker-proxy", "dockerd"} & names)
        or bool(use.container and use.port in use.container.ports),
        reach=reach,
    )


def _by_wildcard(address: Address, bound: set[str]) -> bool:
    """A socket on :: takes IPv4 as well, unless it was told not to, which cannot be seen."""
    if address.is_ipv6:
        return _ANY6 in bound
    return _ANY4 in bound or _ANY6 in bound


def _plain(address: str) -> str:
    mapped = getattr(ip_address(address), "ipv4_mapped", None)
    return str(mapped or address)


def _foreign(address: str) -> Address:
    """An address that is bound, and is none of an interface that is up."""
    return Address(interface="", address=address, network=address, kind=addresses.kind(address))
