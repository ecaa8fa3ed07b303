"""os.lifecycle"""

import tomllib
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from biostudio_doctor import distribution
from biostudio_doctor.check import Check
from biostudio_doctor.config import Settings
from biostudio_doctor.host import Host
from biostudio_doctor.host.machine import SYSTEM_CONTAINERS
from biostudio_doctor.model import Finding, Remedy, Status
from biostudio_doctor.requirements import Requirements
from biostudio_doctor.versions import numbers

_SLOW_CLOCK = timedelta(days=365)  # a clock this far behind the table is wrong


class Release(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Until when a release gets updates."""

    system: str
    version: str
    ends: date
    extended_ends: date | None = None
    extended: str = ""
    extended_free: bool = False


class System(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where to go from a release that has ended."""

    move_to: str
    how: str
    commands: tuple[str, ...] = ()


class Lifecycles(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table os_lifecycle.toml."""

    written: date
    systems: dict[str, System]
    releases: tuple[Release, ...]


def _load() -> Lifecycles:
    text = Path(__file__).with_suffix(".toml").read_text("utf-8")
    return msgspec.convert(tomllib.loads(text), Lifecycles)


LIFECYCLES = _load()


class LifecycleFacts(Struct, frozen=True, kw_only=True):
    """Which release this is, and which day."""

    os_id: str
    os_like: tuple[str, ...]
    name: str
    version: str
    codename: str
    container: str
    today: date


class LifecycleSettings(Settings, frozen=True, kw_only=True):
    """When to warn, and what has been bought."""

    warn_days: Annotated[
        int, Meta(ge=0, description="Warn this many days before the updates end.")
    ] = 180
    extended: Annotated[
        bool,
        Meta(description="This host has its distribution's extended support (Ubuntu Pro, ELS...)."),
    ] = False


class OsLifecycle(Check[LifecycleFacts]):
    """The distribution still gets security updates.

    Compares today's date with the day on which the updates of this release end, from a table that
    comes with biostudio-doctor (so this works offline, and knows nothing of later announcements).
    A derivative of Debian or Ubuntu is looked up by the release that it is built on. Extended
    support counts only if the setting `extended` says that this host has it.

    Why: BioStudio holds your colleagues' data and serves it to browsers. It still runs on a system
    without updates, but nobody closes the holes that are found in it.

    Mend: upgrade to a release with updates, or get extended support for this one.
    """

    id = "os.lifecycle"
    interval = timedelta(days=1)
    Settings = LifecycleSettings

    def observe(self, host: Host) -> LifecycleFacts:
        machine = host.machine
        return LifecycleFacts(
            os_id=machine.os_id,
            os_like=machine.os_like,
            name=machine.os_name or machine.os_id,
            version=machine.os_version,
            codename=machine.os_codename,
            container=machine.container,
            today=date.today(),
        )

    def judge(self, facts: LifecycleFacts, requirements: Requirements) -> Iterator[Finding]:
        if facts.container and facts.container not in SYSTEM_CONTAINERS:
            yield _skip(
                f"This runs in a container ({facts.container}), from where the host's own system "
                "cannot be seen."
            )
        elif facts.today < LIFECYCLES.written - _SLOW_CLOCK:
            yield _wrong_clock(facts.today)
        elif not (release := _release(facts)):
            yield _skip(f"When the updates of {facts.name or 'this system'} end is not known here.")
        else:
            yield _judged(facts, release, self.settings)


def _skip(reason: str) -> Finding:
    return Finding(Status.SKIP, "updates", reason)


def _wrong_clock(today: date) -> Finding:
    return Finding(
        Status.ERROR,
        "updates",
        f"The clock says that today is {today}, which cannot be, so no date was compared.",
        observed=str(today),
        remedy=Remedy("Set the clock (os.time tells how), then run this again."),
    )


def _release(facts: LifecycleFacts) -> Release | None:
    """The line of the table for this release, or for the one that it is built on."""
    os_id = facts.os_id
    if os_id == "centos" and "stream" in facts.name.lower():
        os_id = "centos-stream"
    found = _line(os_id, facts.version)
    for parent in ("ubuntu", "debian"):
        if not found and parent in facts.os_like:
            found = _line(parent, distribution.based_on(parent, facts.codename))
    return found


def _line(system: str, version: str) -> Release | None:
    """Versions are given as far as they matter: "7" stands for 7.9.2009 too."""
    here = numbers(version)
    for release in LIFECYCLES.releases:
        wanted = numbers(release.version)
        if release.system == system and here[: len(wanted)] == wanted:
            return release
    return None


def _judged(facts: LifecycleFacts, release: Release, settings: LifecycleSettings) -> Finding:
    ends, updates = release.ends, "Regular security updates"
    if settings.extended and release.extended_ends:
        ends, updates = release.extended_ends, f"Updates by {release.extended}"
    left = (ends - facts.today).days
    status = Status.PASS if left > settings.warn_days else Status.WARN
    said = f"{updates} of {_name(facts, release)} "
    if left < 0:
        said += f"ended on {_day(ends)}"
    else:
        said += f"go on until {_day(ends)}" + (
            f", {left} days from now" if status != "pass" else ""
        )
    if left < 0 and ends == release.ends:
        said += _afterwards(facts.today, release)
    return Finding(
        status,
        "updates",
        f"{said}.",
        observed=f"until {ends}",
        expected=f"for more than {settings.warn_days} days",
        remedy=None if status is Status.PASS else _remedy(facts, release, settings),
    )


def _name(facts: LifecycleFacts, release: Release) -> str:
    if _is_derived(facts, release):
        return f"{release.system.capitalize()} {release.version}, on which {facts.name} is built,"
    return facts.name


def _is_derived(facts: LifecycleFacts, release: Release) -> bool:
    return not release.system.startswith(facts.os_id)  # centos-stream is centos


def _afterwards(today: date, release: Release) -> str:
    """What follows the updates that everyone gets."""
    if not release.extended_ends:
        return ""
    until = _day(release.extended_ends)
    if release.extended_ends < today:
        return f", and {release.extended} ended on {until}"
    if release.extended_free:
        return f"; {release.extended} goes on until {until}, for a part of the packages"
    return f"; {release.extended}, a subscription, goes on until {until}"


def _remedy(facts: LifecycleFacts, release: Release, settings: LifecycleSettings) -> Remedy:
    system = LIFECYCLES.systems[release.system]
    text = f"Move to {system.move_to}, best before BioStudio is installed. {system.how}"
    goes_on = release.extended_ends and release.extended_ends >= facts.today
    if goes_on and not settings.extended:
        have = "is enough for you" if release.extended_free else "is subscribed to for this host"
        text += (
            f" If {release.extended} {have}, say so in the configuration: extended = true in the "
            'table [checks."os.lifecycle"].'
        )
    return Remedy(text, () if _is_derived(facts, release) else system.commands)


def _day(day: date) -> str:
    return f"{day.day} {day:%B %Y}"
