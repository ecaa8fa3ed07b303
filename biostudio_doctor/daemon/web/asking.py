"""What every module of /probe shares: the question, and the one address that it may go to."""

import asyncio
import time
from ipaddress import IPv6Address, ip_address
from typing import NamedTuple

import httpx

from biostudio_doctor.daemon.allow import Address, Allowed, Target
from biostudio_doctor.daemon.web.measured import Measured
from biostudio_doctor.probes import Failure, Phase, dns
from biostudio_doctor.probes.failures import ProbeError
from biostudio_doctor.probes.results import Lookup

_LOOKUP = 60.0  # seconds: longer than getaddrinfo(3) takes by the defaults of resolv.conf(5)


class Lookups:
    """Lookups that run, each name once: what the system's resolver holds up cannot pile up."""

    def __init__(self) -> None:
        self._running: dict[str, asyncio.Task[Lookup]] = {}

    async def find(self, name: str) -> Lookup:
        """Look a name up, or wait with whoever does already."""
        task = self._running.get(name)
        if task is None:
            task = asyncio.create_task(dns.lookup(name, timeout=_LOOKUP))
            self._running[name] = task
            task.add_done_callback(lambda _: self._running.pop(name, None))
        return await asyncio.shield(task)


class Question(NamedTuple):
    """What is asked, understood; nothing of it has been allowed or looked up yet."""

    target: Target
    url: httpx.URL | None = None
    name: str = ""  # that a name server is asked for


class Probe:
    """One probe: what is asked, what may be, and what was measured of it."""

    def __init__(self, question: Question, allowed: Allowed, lookups: Lookups) -> None:
        self.question = question
        self.allowed = allowed
        self.measured = Measured()
        self.phase: Phase = "resolve"
        self._lookups = lookups

    async def resolve(self, target: Target, *, first: bool = True) -> tuple[str, float]:
        """The address to connect to, and the seconds that took; the `first` one is shown.

        IPv6 comes before IPv4, and one address is asked, as the blackbox exporter does by default.

        Raises:
            ProbeError: if there is none, or none that the target's name may lead to.
        """
        self.phase = "resolve"
        if first:
            self.measured.zero("probe_ip_protocol", "probe_ip_addr_hash")
        started = time.perf_counter()
        try:
            found = [target.address] if target.address else await self._look_up(target.host)
        finally:
            seconds = time.perf_counter() - started
            if first:
                self.measured.set("probe_dns_lookup_time_seconds", seconds)
        if not target.address:
            found = [one for one in found if self.allowed.address(one, target.port)]
            if not found:
                raise ProbeError(Failure("resolve", "not-allowed"))
        chosen = next((one for one in found if one.version == 6), found[0])
        if first:
            self.measured.address(chosen)
        self.phase = "connect"
        return str(chosen), seconds

    async def _look_up(self, name: str) -> list[Address]:
        looked_up = await self._lookups.find(name)
        if looked_up.failure:
            raise ProbeError(looked_up.failure)
        found = [ip_address(address) for address in looked_up.addresses]
        mapped = [one.ipv4_mapped if isinstance(one, IPv6Address) else None for one in found]
        return [plain or one for plain, one in zip(mapped, found, strict=True)]
