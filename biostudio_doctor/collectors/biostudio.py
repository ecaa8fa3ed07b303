"""BioStudio's own files: in its volumes on this host, and in its containers."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator
from datetime import timedelta
from functools import cached_property, partial

import msgspec

from biostudio_doctor import text, tiers
from biostudio_doctor.collector import MIB, Collector, Item, Say
from biostudio_doctor.collectors.docker_api import Engine
from biostudio_doctor.collectors.shared import files, moment, refused, table
from biostudio_doctor.host import Host
from biostudio_doctor.host.containers import BIOSTUDIO_IMAGES, Container
from biostudio_doctor.host.patience import bounded

_LOGS = "/var/log/supervisor"  # in both images
_LISTING = 4.0  # seconds for reading past the logs of one container
_MOST = 60  # log files of a container
_PATIENCE = 3.0  # seconds for all directories of the volumes
_ENTRIES = 200  # of a directory
_COMPOSE_FILES = "com.docker.compose.project.config_files"
#: An image, too, may name what it likes in its labels.
_COMPOSE_FILE = re.compile(r"/(?:[\w.-]+/)*[\w.-]*compose[\w.-]*\.ya?ml")
#: What tells, by what it is: whether it is activated, and which tools were downloaded.
_TELLING = (".bbcache", "apps", "logs")


class BiostudioCollector(Collector):
    """BioStudio: its logs and configuration, in its volumes and containers.

    From its containers, running or not, by Docker's API (GET /containers/ID/archive, which copies
    and runs nothing): /var/log/supervisor, where each of their programs has a log. From the volumes
    (/biocolab, or as [storage] of the configuration says): logs/*.log of APP-STORAGE, such as
    jupyterhub.log, the configuration of PostgreSQL and that in configs, docker-compose files
    (also those that containers name). A listing tells names, sizes, owners and times at the top of
    each volume, of the license files and of the tools.

    Leaves out: the contents of license files; everything in USER-STORAGE, names of files included;
    databases; private keys and certificates of configs; files of environment variables (.env).
    """

    id = "biostudio"
    timeout = timedelta(seconds=40)

    @cached_property
    def _engine(self) -> Engine:
        return Engine(self.surroundings)

    @cached_property
    def _volumes(self) -> dict[str, str]:
        """Directory by tier."""
        storage = self.surroundings.config.storage
        return {
            tier.name: getattr(storage, tier.key, None) or tier.directory
            for tier in (tiers.APP, tiers.METADATA, tiers.USER, tiers.CONFIG)
        }

    @cached_property
    def _containers(self) -> list[Container] | OSError:
        """Those of BioStudio, or why it cannot be known whether there are any."""
        if self._engine.found is None:
            return []
        try:
            found = self._engine.containers()
        except OSError as error:
            return error
        return [one for one in found if one.base_image in BIOSTUDIO_IMAGES]

    def why_not(self) -> str | None:
        """Before it is installed."""
        calls = {path: partial(_is_there, path=path) for path in self._volumes.values()}
        looked = bounded(self.host, calls, _PATIENCE)
        if any(looked.values()) or self._containers:
            return None
        return "BioStudio has neither a container nor a volume here"

    def items(self) -> Iterator[Item]:
        """Containers before volumes, whose file systems may hang."""
        compose: dict[str, None] = {}
        containers = self._containers
        if isinstance(containers, OSError):
            yield refused(containers, "containers", self._engine.source)
            containers = []
        for one in containers:
            yield from self._logs(one)
            compose.update(dict.fromkeys(self._compose_files(one)))
        yield Say(tell=self._listing, name="volumes.txt", source=" ".join(self._volumes.values()))
        app, metadata, config = (
            self._volumes[t.name] for t in (tiers.APP, tiers.METADATA, tiers.CONFIG)
        )
        around = os.path.dirname(app)
        logs = (f"{app}/logs/*.log", f"{app}/logs/*.log.*")
        yield from files(self.host, *logs, below=app, within=True, newest=20)
        endings = ("cfg", "conf", "yaml", "yml", "ini", "toml")
        configs = (f"{config}/*.{ending}" for ending in endings)
        yield from files(self.host, *configs, below=config, limit=MIB)
        database = ("conf/*.conf", "data/postgresql.conf", "data/postgresql.auto.conf",
                    "data/pg_hba.conf")  # fmt: skip
        settings = (f"{metadata}/{name}" for name in database)
        yield from files(self.host, *settings, below=metadata, limit=MIB)
        usual = (f"{around}/docker-compose.yml", f"{around}/docker-compose.yaml")
        yield from files(self.host, *usual, *compose, limit=MIB)

    def _logs(self, one: Container) -> Iterator[Say]:
        """The logs that were written to within the time that was asked for."""
        since = self.surroundings.window.since.timestamp()
        found = []
        try:
            for entry in self._engine.listing(one.id, _LOGS, _LISTING):
                if entry.isreg() and entry.size and entry.mtime >= since:
                    found.append(entry)
        except OSError as error:
            source = f"{self._engine.source}: {one.name}:{_LOGS}"
            yield refused(error, f"{one.name}{_LOGS}", source)
        found.sort(key=lambda entry: entry.mtime, reverse=True)
        for entry in found[:_MOST]:
            path = f"{os.path.dirname(_LOGS)}/{entry.name}"
            yield Say(
                tell=partial(self._engine.file, one.id, path),
                name=f"{one.name}{path}",
                source=f"{self._engine.source}: {one.name}:{path}",
            )

    def _compose_files(self, one: Container) -> list[str]:
        try:
            labels = self._engine.data(f"/containers/{one.id}/json")["Config"]["Labels"] or {}
            named = str(labels.get(_COMPOSE_FILES, "")).split(",")
        except (OSError, LookupError, TypeError, msgspec.DecodeError):
            return []
        return [path for path in named if _COMPOSE_FILE.fullmatch(path)]

    def _listing(self) -> str:
        app, user = self._volumes[tiers.APP.name], self._volumes[tiers.USER.name]
        calls = {
            **{
                path: partial(_list, path=path, inside=path != user)
                for path in self._volumes.values()
            },
            **{f"{app}/{name}": partial(_list_below, path=f"{app}/{name}") for name in _TELLING},
        }
        sections = []
        for path, found in bounded(self.host, calls, _PATIENCE, "list").items():
            if isinstance(found, OSError):
                sections.append(f"{path}: {found.strerror or found}\n")
            else:
                rows = table(("mode", "owner", "group", "bytes", "changed (UTC)", "name"), found)
                sections.append(f"{path}\n{rows}\n")
        return "\n".join(sections)


def _is_there(host: Host, path: str) -> bool:
    return host.exists(path)


def _list_below(host: Host, path: str) -> list[tuple[str, ...]]:
    """What containers may have made a link, which could lead to anything."""
    directory, name = os.path.split(path)
    if stat.S_ISLNK(os.lstat(os.path.join(host.path(directory), name)).st_mode):
        raise OSError(errno.ELOOP, "it is a link, which is not followed", path)
    return _list(host, path, inside=True)


def _list(host: Host, path: str, inside: bool) -> list[tuple[str, ...]]:
    rows = [_row(host.stat(path), ".")]
    names = host.listdir(path)[:_ENTRIES] if inside else []
    directory = host.path(path)
    for name in names:
        rows.append(_row(os.lstat(os.path.join(directory, name)), text.printable(name)))
    return rows


def _row(seen: os.stat_result, name: str) -> tuple[str, ...]:
    return (
        stat.filemode(seen.st_mode),
        str(seen.st_uid),
        str(seen.st_gid),
        str(seen.st_size),
        moment(seen.st_mtime),
        name,
    )
