"""storage.performance"""

from collections.abc import Iterator
from datetime import timedelta
from functools import partial

from msgspec import Struct

from biostudio_doctor import distribution, text, tiers
from biostudio_doctor.check import Check
from biostudio_doctor.host import Host
from biostudio_doctor.host.disk import Performance, measure
from biostudio_doctor.host.mounts import MEMORY_TYPES
from biostudio_doctor.host.patience import bounded
from biostudio_doctor.host.places import Place
from biostudio_doctor.model import Finding, Remedy, Status
from biostudio_doctor.requirements import Limit, Quantity, Requirements
from biostudio_doctor.tiers import APP, METADATA, USER, Site, StorageFacts

#: Bytes that must be available before anything is written: many times what is.
_RESERVE = 4e9
#: Seconds for one file system, whose measurement takes eight at most if it is not hung.
_PATIENCE = 15.0


class PerformanceFacts(Struct, frozen=True, kw_only=True):
    """What was measured under the tiers, once for each file system."""

    storage: StorageFacts
    measured: dict[str, Performance]  # by `Place.filesystem`
    failed: dict[str, str]  # by directory: why it could not be measured


class StoragePerformance(Check[PerformanceFacts]):
    """Storage fast enough for databases and environments.

    Writes to a temporary file in the directory of each tier, or its nearest parent that exists;
    once, where tiers share a file system. Appends 4 KiB and waits for the disk (fdatasync) for at
    most two seconds, as databases do at every commit; then writes and reads at most 256 MiB, past
    the page cache where that can be done. The file has no name, so that nothing is left behind
    even if this program is killed. Nothing is written where less than 4 GB are available, nor for
    tiers without a path. METADATA is judged by the latency, APP and USER by the throughput.

    Why: with a slow METADATA every click in BioStudio waits; with a slow APP or USER installing
    an environment takes hours.

    Mend: use SSDs, or a faster class of the cloud's disks; see what else keeps the disk busy.
    """

    id = "storage.performance"
    interval = timedelta(days=1)
    timeout = timedelta(seconds=60)
    deep = True
    requirement_ids = ("storage.fsync", "storage.throughput")

    def observe(self, host: Host) -> PerformanceFacts:
        storage = tiers.survey(host, self.context, propose=False)
        measured: dict[str, Performance] = {}
        failed: dict[str, str] = {}
        for place in storage.places.values():
            directory = place.existing
            if place.filesystem in measured or directory in failed or _why_not(place):
                continue
            calls = {directory: partial(measure, directory=directory)}
            outcome = bounded(host, calls, _PATIENCE, "measure")[directory]
            if isinstance(outcome, OSError):
                failed[directory] = outcome.strerror or str(outcome)
            else:
                measured[place.filesystem] = outcome
        return PerformanceFacts(storage=storage, measured=measured, failed=failed)

    def judge(self, facts: PerformanceFacts, requirements: Requirements) -> Iterator[Finding]:
        yield from tiers.claim_findings(self.context, requirements)
        sites = tiers.settle(facts.storage, self.context, requirements)
        for site in sites:
            if site.tier in (APP, METADATA, USER):
                yield self._tier(site, facts, requirements)
        for tier in tiers.unsettled(sites, self.context, requirements):
            yield Finding(
                Status.SKIP,
                tier.name,
                f"{tier.name} has no path configured, so nothing was written for it: set "
                f"storage.{tier.key} in the configuration.",
            )

    def _tier(self, site: Site, facts: PerformanceFacts, requirements: Requirements) -> Finding:
        place, name = site.place, site.tier.name
        if place.problem:
            return tiers.unseen_finding(site, self.context)
        measured = facts.measured.get(place.filesystem)
        if measured is None:
            why_not = _why_not(place)
            if why_not:
                return Finding(Status.SKIP, name, f"{name} was not measured: {why_not}.")
            return self._unmeasured(name, place, facts.failed.get(place.existing, "unknown"))
        if site.tier == METADATA:
            return self._latency(name, place, measured, requirements)
        return self._throughput(name, place, measured, requirements)

    def _unmeasured(self, name: str, place: Place, why: str) -> Finding:
        remedy = Remedy("Run the same command as root, which may write there.")
        if self.context.machine.root:
            remedy = Remedy(
                f"See whether files can be made in {place.existing}, and whether the kernel tells "
                "of errors.",
                ("dmesg | tail -n 20",),
            )
        return Finding(
            Status.ERROR, name, f"{name} was not measured: {place.existing}: {why}.", remedy=remedy
        )

    def _latency(
        self, name: str, place: Place, found: Performance, requirements: Requirements
    ) -> Finding:
        limit = requirements.demand("storage.fsync", Limit)
        status = Status.PASS if found.fsync_p99 <= limit.value else limit.excess(found.fsync_p99)
        slow = "the slowest" if found.fsyncs < 100 else "99 % within"
        said = (
            f"{name} on {place.target} needs {_ms(found.fsync_p50)} for a commit "
            f"({slow} {_ms(found.fsync_p99)}); 99 % within {_ms(limit.value)} are recommended"
        )
        if status is Status.FAIL:
            said += f", and {_ms(limit.ceiling)} at most ({limit.ceiling_says})"
        return Finding(
            status,
            name,
            f"{said}.",
            observed=f"p50 {_ms(found.fsync_p50)}, p99 {_ms(found.fsync_p99)}",
            expected=f"p99 of {_ms(limit.value)} or less",
            remedy=self._faster() if status is not Status.PASS else None,
            requirement=limit,
        )

    def _throughput(
        self, name: str, place: Place, found: Performance, requirements: Requirements
    ) -> Finding:
        wanted = requirements.demand("storage.throughput", Quantity)
        slowest = min(found.write_rate, found.read_rate)
        status = Status.PASS if slowest >= wanted.value else wanted.shortfall(slowest)
        rates = f"writes {text.size(found.write_rate)}/s and reads {text.size(found.read_rate)}/s"
        cached = "" if found.direct else " (from the page cache, so the disk is slower)"
        said = (
            f"{name} on {place.target} {rates}{cached}; {text.size(wanted.value)}/s or more is "
            "recommended"
        )
        if status is Status.FAIL:
            said += f", {text.size(wanted.floor)}/s at least ({wanted.floor_says})"
        return Finding(
            status,
            name,
            f"{said}.",
            observed=rates,
            expected=f"{text.size(wanted.value)}/s or more",
            remedy=self._faster() if status is not Status.PASS else None,
            requirement=wanted,
        )

    def _faster(self) -> Remedy:
        package = "sysstat"
        install = distribution.install(
            self.context.machine,
            debian=package, rhel=package, suse=package, arch=package, alpine=package,
        )  # fmt: skip
        return Remedy(
            "Use SSDs, or a faster class of the cloud's disks. First see whether something else "
            "keeps the disk busy, and measure again when it is quiet.",
            (*install, "iostat -x 1 5"),
        )


def _why_not(place: Place) -> str:
    """Why a place is left alone."""
    if place.problem:
        return place.problem
    if place.mount and place.mount.read_only:
        return f"{place.target} is mounted read-only"
    if place.mount and place.mount.type in MEMORY_TYPES:
        return f"{place.target} is memory"
    if not place.room or place.room.available < _RESERVE:
        return f"less than {text.size(_RESERVE)} are available on {place.target}"
    return ""


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.3g} ms"
