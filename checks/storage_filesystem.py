"""storage.filesystem

What can be wrong is in the module beside this one, storage_filesystem_problems.
"""

from collections.abc import Iterator
from datetime import timedelta

import msgspec
from msgspec import Struct

from biostudio_doctor import text, tiers
from biostudio_doctor.check import Check
from biostudio_doctor.host import Host
from biostudio_doctor.host.fstab import FSTAB, Boot, boot_of
from biostudio_doctor.host.places import Place
from biostudio_doctor.host.xfs import has_ftype
from biostudio_doctor.model import Finding, Remedy, Status
from biostudio_doctor.requirements import Feature, Requirements
from biostudio_doctor.tiers import APP, METADATA, USER, Site, StorageFacts

from .storage_filesystem_problems import (
    Problem,
    count,
    engine_problems,
    few_inodes,
    not_at_boot,
    not_mounted,
    read_only,
    tier_problems,
)

_DOCKER, _CONTAINERD = "/var/lib/docker", "/var/lib/containerd"


class FilesystemFacts(Struct, frozen=True, kw_only=True):
    """The file systems under the tiers and the engine's data, and what is mounted at boot."""

    storage: StorageFacts
    boot: Boot
    ftype: dict[str, bool | None]  # by mount point of XFS; None where it could not be asked


class StorageFilesystem(Check[FilesystemFacts]):
    """File systems fit for the storage tiers and the engine.

    Looks at the file system under each tier and under the engine's data directory: its type,
    whether it can be written, runs programs, has inodes left, is local where databases are, and
    is mounted again after a reboot (by /etc/fstab, a systemd unit, ZFS or an automounter). XFS
    under the engine must have been made with ftype=1, which overlay2 needs.

    Why: databases on a file system that loses owners, or that is not there after a reboot, start
    empty or not at all, and the work of many days seems lost.

    Mend: mount a disk with ext4 or XFS at the tier's path and add it to /etc/fstab; `findmnt
    --target PATH` tells what is there now.
    """

    id = "storage.filesystem"
    interval = timedelta(minutes=15)
    requirement_ids = (
        "storage.filesystem", "storage.inodes", "storage.inodes-metadata", "runtime.engine",
    )  # fmt: skip

    def observe(self, host: Host) -> FilesystemFacts:
        roots = _engine_roots(host, self.context.scope.platform)
        storage = tiers.survey(host, self.context, others=roots)
        places = (*storage.places.values(), *storage.candidates, *storage.others.values())
        answering = [place for place in places if place.mount and not place.problem]
        return FilesystemFacts(
            storage=storage,
            boot=boot_of(host, [place.mount for place in answering if place.mount]),
            ftype={
                place.target: _ftype(host, place.target)
                for place in storage.others.values()
                if place in answering and _type(place) == "xfs"
            },
        )

    def judge(self, facts: FilesystemFacts, requirements: Requirements) -> Iterator[Finding]:
        yield from tiers.claim_findings(self.context, requirements)
        for site in tiers.settle(facts.storage, self.context, requirements):
            if site.tier in (APP, METADATA, USER):
                yield from self._tier(site, facts, requirements)
        yield from self._engine(facts, requirements)
        if facts.boot.problem:
            yield Finding(
                Status.ERROR,
                FSTAB,
                f"{FSTAB} could not be read, so what is mounted after a reboot is not known: "
                f"{facts.boot.problem}.",
                remedy=Remedy("Look at it as root.", (f"ls -l {FSTAB}", f"cat {FSTAB}")),
            )

    def _tier(
        self, site: Site, facts: FilesystemFacts, requirements: Requirements
    ) -> Iterator[Finding]:
        name, place = site.tier.name, site.place
        if place.problem:
            yield tiers.unseen_finding(site, self.context)
            return
        problems = [*tier_problems(site), *self._common_problems(place, facts)]
        problems += few_inodes(
            place,
            "storage.inodes-metadata" if site.tier == METADATA else "storage.inodes",
            requirements,
            self.context.machine,
        )
        if problems:
            yield from _findings(name, name, place, problems, requirements)
            return
        yield Finding(
            Status.PASS,
            name,
            f"{site.where}: {_described(place, facts.boot)}.",
            requirement=requirements.demand("storage.filesystem", Feature),
        )

    def _engine(self, facts: FilesystemFacts, requirements: Requirements) -> Iterator[Finding]:
        if self.context.machine.container:
            yield Finding(
                Status.SKIP,
                "engine data",
                "The engine's data directory cannot be seen from inside a container.",
            )
            return
        judged = set()
        for path, place in facts.storage.others.items():
            if place.filesystem in judged:  # the first finding speaks for both directories
                continue
            judged.add(place.filesystem)
            yield from self._engine_data(path, place, facts, requirements)

    def _engine_data(
        self, path: str, place: Place, facts: FilesystemFacts, requirements: Requirements
    ) -> Iterator[Finding]:
        who, subject = f"The engine's data directory {path}", f"engine data {path}"
        if place.problem:
            yield Finding(
                Status.ERROR,
                subject,
                f"{who} could not be looked at: {place.problem}.",
                remedy=tiers.unseen_remedy(place, self.context),
                requirement=requirements.demand("runtime.engine", Feature),
            )
            return
        problems = [*engine_problems(place, facts.ftype), *self._common_problems(place, facts)]
        problems += few_inodes(place, "storage.inodes", requirements, self.context.machine)
        if problems:
            yield from _findings(who, subject, place, problems, requirements)
            return
        lies = "would lie" if place.exists is False else "lies"
        yield Finding(
            Status.PASS,
            subject,
            f"{who} {lies} on {place.target}: {_described(place, facts.boot)}.",
            requirement=requirements.demand("runtime.engine", Feature),
        )

    def _common_problems(self, place: Place, facts: FilesystemFacts) -> Iterator[Problem]:
        if place.mount and place.mount.read_only:
            yield read_only(place.mount, facts.boot)
        # A container's mounts are made by whoever starts it.
        if not self.context.machine.container and not facts.boot.problem:
            yield from not_mounted(place, facts.boot)
            yield from not_at_boot(place, facts.boot, self.context.machine)


def _findings(
    who: str, subject: str, place: Place, problems: list[Problem], requirements: Requirements
) -> Iterator[Finding]:
    for problem in problems:
        yield Finding(
            problem.status,
            f"{subject} {problem.aspect}",
            f"{who}, on {place.target}: {problem.says}.",
            remedy=problem.remedy,
            requirement=requirements.get(problem.requirement),
        )


def _described(place: Place, boot: Boot) -> str:
    """A file system that nothing stands against, in words."""
    words = [f"{_type(place)}, writable"]
    if place.room and place.room.inodes:
        words.append(f"{count(place.room.inodes_free)} inodes free")
    options = [name for name in ("nosuid", "nodev") if place.mount and name in place.mount.options]
    if options:
        words.append(f"{text.listing(options)} do no harm")
    entry = boot.entry(place.target)
    if entry and "nofail" in entry.options:
        words.append("and with nofail a boot goes on without it")
    return ", ".join(words)


def _engine_roots(host: Host, platform: str) -> list[str]:
    """Where the engine keeps, or will keep, images and containers."""
    containerd = _setting(host, "/etc/containerd/config.toml", "root") or _CONTAINERD
    if platform == "kubernetes":
        return [containerd]
    docker = _setting(host, "/etc/docker/daemon.json", "data-root") or _DOCKER
    return [docker, containerd] if host.exists(containerd) else [docker]


def _setting(host: Host, path: str, key: str) -> str | None:
    """An absolute path in a TOML or JSON file of an engine; None where it says nothing of use."""
    content = host.read_if_any(path)
    if content is None:
        return None
    try:
        if path.endswith(".json"):
            found = msgspec.json.decode(content)
        else:
            import tomllib

            found = tomllib.loads(content)
    except (ValueError, RecursionError):
        return None
    value = found.get(key) if isinstance(found, dict) else None
    return value if isinstance(value, str) and value.startswith("/") else None


def _ftype(host: Host, directory: str) -> bool | None:
    try:
        return has_ftype(host, directory)
    except OSError:
        return None


def _type(place: Place) -> str:
    return place.mount.type if place.mount else "an unknown file system"
