"""Plots of the host itself: storage, memory, processors, GPUs."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from biostudio_doctor import requirements, text, tiers
from biostudio_doctor.check import Context
from biostudio_doctor.config import Config, StorageConfig
from biostudio_doctor.errors import ConfigError
from biostudio_doctor.host.places import Place, Room
from biostudio_doctor.model import Report
from biostudio_doctor.requirements import Limit, Quantity, Requirements

from ..reading import at, each, known
from .plots import Mark, Plot, Row, amount, bar, bounded, name, observed, share, status_of

_USE = {"used": "used", "free": "available", "kept": "reserved"}
_COLUMNS = ("What", "How much", "In words")


def plots(report: Report) -> Iterator[Plot]:
    """Those that there are facts for."""
    try:
        wanted = requirements.load(report.scope.profile)
    except ConfigError:  # a profile of another version
        wanted = Requirements(report.scope.profile, {})
    sites, others = _storage(report, wanted)
    running = report.scope.phase == "running"
    line = "what the tiers need in all" if running else "up to here, if the tier got what it needs"
    for key, title, says, rows in (
        ("storage", "Storage", "The room on the file system under each tier",
         [*_tiers(report, sites), *_others(others)]),
        ("inodes", "Inodes", "How many more files each file system can have", _inodes(sites)),
        ("memory", "Memory", "Memory and swap space, and what is recommended",
         _memory(report, wanted)),
        ("load", "CPU load", "Tasks that ran or waited, beside the CPUs that there are",
         _load(report, wanted)),
        ("waiting", "Waiting", "The share of the last five minutes in which tasks had to wait",
         _waiting(report)),
        ("gpus", "GPU memory", "The memory of each NVIDIA GPU", _gpus(report)),
    ):  # fmt: skip
        shown, notes = bounded(rows)
        if shown:
            needs = {"storage": line, "memory": "recommended", "load": "as many as CPUs"}
            legend = {**_USE, "need": needs.get(key, ""), "tasks": "tasks"}
            legend |= {"some": "some tasks waited", "gpu": "memory"}
            yield Plot(key, title, says, _COLUMNS, shown, legend, notes=notes)


# --- Storage --------------------------------------------------------------------------------------


def _storage(report: Report, wanted: Requirements) -> tuple[list[tiers.Site], list[Place]]:
    """The tiers with their places, put where the checks put them, and what else was looked at."""
    sites: list[tiers.Site] = []
    others: dict[str, Place] = {}
    for facts in observed(report, "storage.capacity", "storage.filesystem"):
        try:
            found = msgspec.convert(at(facts, "storage") or facts, tiers.StorageFacts)
        except (msgspec.ValidationError, ValueError):  # the latter for what is no Unicode
            continue
        places = {key: one for key, one in found.places.items() if _measured(one)}
        candidates = tuple(filter(_measured, found.candidates))
        known_paths = {tier.key: places[tier.name].path for tier in tiers.TIERS
                       if tier.name in places and not tier.fixed}  # fmt: skip
        context = Context(
            scope=report.scope,
            machine=report.machine,
            requirements=wanted,
            config=Config(storage=StorageConfig(**known_paths)),
        )
        facts_here = tiers.StorageFacts(places=places, candidates=candidates)
        sites = sites or tiers.settle(facts_here, context, wanted)
        others |= {path: one for path, one in found.others.items() if _measured(one)}
    return sites, list(others.values())


def _measured(place: Place) -> bool:
    """Whether there is a room with numbers that can be true."""
    room = place.room
    if not room:
        return False
    numbers = (room.size, room.used, room.available, room.inodes, room.inodes_free)
    return all(amount(one) is not None for one in numbers) and room.usable > 0


def _tiers(report: Report, sites: list[tiers.Site]) -> Iterator[Row]:
    running = report.scope.phase == "running"
    groups: dict[str, list[tiers.Site]] = {}
    for site in sites:
        groups.setdefault(site.place.filesystem, []).append(site)
    for group in groups.values():
        for site in group:
            yield _room(report, site.tier.name, site.place, site.wanted.value,
                        running or site.tier.fixed)  # fmt: skip
        tenants = [site for site in group if site.tier != tiers.ROOT]
        if len(tenants) > 1:
            together = text.listing(site.tier.name for site in tenants)
            need = sum(site.wanted.value for site in tenants)
            yield _room(report, together, tenants[0].place, need, running, "together, on ")


def _room(
    report: Report, tier: str, place: Place, need: float, whole: bool, how: str = ""
) -> Row:  # fmt: skip
    """A tier on its file system; `whole` where what is in use counts as room for it."""
    room = place.room or _NOTHING
    line = need if whole else room.used + need
    row = _use(room, tier, f"{how}{_where(place)}", line)
    return row._replace(
        words=f"{row.words} {text.size(need)} recommended.",
        status=status_of(report, "storage.capacity", tier),
    )


def _others(places: list[Place]) -> Iterator[Row]:
    for place in places:
        room = place.room or _NOTHING
        yield _use(room, "Container engine", f"{name(place.path)}, on {_where(place)}")


def _use(room: Room, called: str, detail: str, line: float = 0) -> Row:
    kept = max(0, room.size - room.usable)
    scale = max(room.size, line)
    words = f"{text.size(room.used)} used, {text.size(room.available)} available"
    words += f" of {text.size(room.size)}."
    parts = bar(scale, ("used", room.used), ("free", room.available), ("kept", kept))
    return Row(called, words, parts, [Mark("need", share(line, scale))] if line else (), detail)


def _where(place: Place) -> str:
    kind = f" ({name(place.mount.type)})" if place.mount else ""
    return f"{name(place.target)}{kind}"


def _inodes(sites: list[tiers.Site]) -> Iterator[Row]:
    seen = {site.place.filesystem: site.place for site in sites}
    for place in seen.values():
        room = place.room or _NOTHING
        if not room.inodes:
            continue
        used = max(0, room.inodes - room.inodes_free)
        parts = bar(room.inodes, ("used", used), ("free", room.inodes_free))
        yield Row(_where(place), f"{_count(used)} used of {_count(room.inodes)}.", parts)


def _count(number: float) -> str:
    for word, factor in (("billion", 1e9), ("million", 1e6)):
        if number >= factor:
            return f"{number / factor:.1f} {word}"
    return f"{number:,.0f}"


_NOTHING = Room(size=0, used=0, available=0, inodes=0, inodes_free=0)


# --- Memory, processors, GPUs ---------------------------------------------------------------------


def _memory(report: Report, wanted: Requirements) -> Iterator[Row]:
    for facts in observed(report, "memory.available"):
        total, free = amount(at(facts, "total")), amount(at(facts, "available"))
        if total and free is not None:
            need = wanted.get("memory.total")
            line = need.value if isinstance(need, Quantity) else 0.0
            scale, free = max(total, line), min(free, total)
            words = f"{text.both_sizes(total)} in all, {text.size(free)} available."
            if line:
                words += f" {text.size(line)} recommended."
            parts = bar(scale, ("used", total - free), ("free", free))
            marks = [Mark("need", share(line, scale))] if line else []
            yield Row("Memory", words, parts, marks)
        swap, unused = amount(at(facts, "swap_total")), amount(at(facts, "swap_free"))
        if swap and unused is not None:
            unused = min(unused, swap)
            words = f"{text.size(swap - unused)} used of {text.both_sizes(swap)}."
            yield Row("Swap", words, bar(swap, ("used", swap - unused), ("free", unused)))


def _load(report: Report, wanted: Requirements) -> Iterator[Row]:
    most = wanted.get("cpu.load")
    for facts in observed(report, "cpu.load"):
        cpus, loads = amount(at(facts, "cpus")), at(facts, "load")
        if not cpus or not isinstance(loads, (list, tuple)):
            continue
        averages = zip((1, 5, 15), map(amount, loads), strict=False)
        told = [(minutes, load) for minutes, load in averages if load is not None]
        scale = max([cpus, *(load for _, load in told)]) * 1.05
        advised = ""
        if isinstance(most, Limit):
            advised = f" No more than {most.value * cpus:g} is advised."
        for minutes, load in told:
            words = f"{load:.2f} on {text.number(int(cpus), 'CPU')}."
            yield Row(
                f"Last {text.number(minutes, 'minute')}",
                words + advised * (minutes == 5),
                bar(scale, ("tasks", load)),
                [Mark("need", share(cpus, scale))],
            )


def _waiting(report: Report) -> Iterator[Row]:
    for check, key, what in (
        ("cpu.load", "cpu_pressure", "for a CPU"),
        ("cpu.load", "io_pressure", "for storage"),
        ("memory.available", "pressure", "for memory"),
    ):
        for facts in observed(report, check):
            some = amount(at(facts, key, "some"))
            if some is not None:
                some = min(some, 100.0)
                yield Row(f"Waited {what}", f"{some:.1f} % of the time.", bar(100, ("some", some)))


def _gpus(report: Report) -> Iterator[Row]:
    for facts in observed(report, "gpu.devices"):
        found = [(gpu, amount(gpu.get("memory"))) for gpu in each(facts, "nvml", "gpus")]
        largest = max((memory or 0.0 for _, memory in found), default=0.0)
        for gpu, memory in found:
            index = amount(gpu.get("index"))
            said = [text.both_sizes(memory)] if memory else []
            heat = known(gpu.get("temperature"))
            if heat is not None and abs(heat) < 1000:
                said.append(f"{heat:.0f} \N{DEGREE SIGN}C")
            if gpu.get("problem"):
                said = [f"It could not be asked: {name(gpu['problem'])}"]
            if said:
                yield Row(
                    f"GPU {index:.0f}" if index is not None else "GPU",
                    f"{', '.join(said)}.",
                    bar(largest, ("gpu", memory)) if memory else None,
                    detail=name(gpu.get("name")),
                )
