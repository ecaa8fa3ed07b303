"""datasources.glusterfs"""

from collections.abc import Iterator
from datetime import timedelta
from functools import partial

from msgspec import Struct, structs

from biostudio_doctor import distribution, text
from biostudio_doctor.check import Check
from biostudio_doctor.config import GlusterfsSource
from biostudio_doctor.host import Host, gluster
from biostudio_doctor.host.mounts import Mount
from biostudio_doctor.host.programs import find
from biostudio_doctor.host.trial import Mounted
from biostudio_doctor.model import Finding, Machine, Remedy, Status
from biostudio_doctor.probes import Failure
from biostudio_doctor.requirements import Feature, Requirements

from .datasources import judge_each, look_at_each, no_source
from .datasources_mounts import (
    Wanted,
    in_fstab,
    judge_use,
    let_in,
    observe_mounted,
    unmounted,
    unreached,
)

MANAGEMENT = 24007
_TYPES = ("fuse.glusterfs", "glusterfs")
_BRICKS = 64  # that are knocked at


class GlusterFacts(Struct, frozen=True, kw_only=True):
    """One source, as it was found."""

    source: GlusterfsSource
    server: Failure | None = None  # of connecting to its management port
    pool: gluster.Pool | None = None  # None where this host is no peer, and so cannot say
    closed: tuple[str, ...] = ()  # bricks (host:port) that run and take no connection from here
    has_helper: bool = True  # mount.glusterfs is installed
    in_fstab: bool = False
    mounted: Mounted | None = None  # None where the configuration names no directory
    problem: str = ""  # why nothing of this could be found out


class DatasourcesGlusterfs(Check[tuple[GlusterFacts, ...]]):
    """GlusterFS with your own data.

    For each `datasources.glusterfs` of the configuration: connects to the server's management port
    (24007) and looks at the directory where the volume should be mounted. On a host that is a peer
    itself, the gluster program is asked for the state of its peers, of the volume and its bricks,
    and each brick's port is tried. With `write = true` one scratch file is written, read, renamed,
    locked and removed; if that is cut off, the next run on this host removes it. A mount that hangs
    costs its own time only.

    Why: with too few bricks a volume turns read-only or disappears, and notebooks fail in the
    middle of their work.

    Mend: start the bricks or peers that the finding names, or mount the volume as it shows.
    """

    id = "datasources.glusterfs"
    requirement_ids = ("datasources.files",)
    interval = timedelta(minutes=5)
    timeout = timedelta(seconds=25)
    network = True

    def observe(self, host: Host) -> tuple[GlusterFacts, ...]:
        sources = self.context.config.datasources.glusterfs
        return look_at_each(host, sources, _observe, _lost, self.allowed_seconds, "ask GlusterFS")

    def judge(
        self, facts: tuple[GlusterFacts, ...], requirements: Requirements
    ) -> Iterator[Finding]:
        none = no_source("GlusterFS volume", "glusterfs", 'server = "ADDRESS" and volume = "NAME"')
        names = [f"glusterfs {_name(one.source)}" for one in facts]
        said = requirements.demand("datasources.files", Feature)
        return judge_each(facts, names, self._source, none, said)

    def _source(self, facts: GlusterFacts, subject: str) -> Iterator[Finding]:
        machine, source = self.context.machine, facts.source
        if facts.problem:
            said = f"{_name(source)} could not be looked at: {facts.problem}."
            yield Finding(Status.ERROR, subject, said, remedy=_SERVER, cause="datasource.hung")
            return
        wanted = Wanted(
            subject=subject,
            source=_name(source),
            fs_type="glusterfs",
            target=facts.mounted.target if facts.mounted else None,
            write=source.write,
            install=() if facts.has_helper else _install(machine),
            in_fstab=facts.in_fstab,
        )
        mounted = facts.mounted
        mount = mounted.mount if mounted else None
        right = mount is not None and _is_of(mount, source)
        missing = mounted and unmounted(wanted, mounted, right, _server(facts), machine)
        if (
            not mounted or (missing and missing.cause == "datasource.not-mounted")
        ) and facts.server:
            yield _unreachable(facts, subject)
        elif missing:
            yield missing
        elif not mounted:
            said = "The configuration names no mount point (mount = ...)."
            yield Finding(Status.PASS, subject, f"{_server(facts)} {said}", observed="reachable")
        else:
            yield from judge_use(wanted, mounted, "GlusterFS", self.context.config.storage)
        yield from _pool(wanted, facts)


def _lost(source: GlusterfsSource, error: OSError) -> GlusterFacts:
    return GlusterFacts(source=source, problem=error.strerror or str(error))


def _observe(host: Host, source: GlusterfsSource, seconds: float) -> GlusterFacts:
    import anyio

    from biostudio_doctor.probes.direct import knock

    patience = seconds * 0.12
    ports = anyio.run(partial(knock, source.server, (MANAGEMENT,), timeout=patience))
    pool = gluster.ask(host, source.volume, seconds * 0.12)
    facts = GlusterFacts(
        source=source, server=ports[MANAGEMENT], pool=pool, closed=_closed(pool, patience)
    )
    found = [mount for mount in host.mounts() if _is_of(mount, source)]
    target = source.mount or (found[-1].target if found else None)
    if target is None:
        return facts
    return structs.replace(
        facts,
        mounted=observe_mounted(
            host, target, partial(_is_of, source=source), source.write, seconds * 0.4
        ),
        has_helper=bool(find(host, "mount.glusterfs")),
        in_fstab=in_fstab(host, target),
    )


def _closed(pool: gluster.Pool | None, seconds: float) -> tuple[str, ...]:
    """The bricks that run, and take no connection from here."""
    import anyio

    from biostudio_doctor.probes.direct import knock

    bricks = [brick for brick in (pool.bricks if pool else ()) if brick.online and brick.port]
    closed: list[str] = []

    async def one(brick: gluster.Brick) -> None:
        if (await knock(brick.host, (brick.port,), timeout=seconds))[brick.port]:
            closed.append(f"{brick.host}:{brick.port}")

    async def every() -> None:
        async with anyio.create_task_group() as tasks:
            for brick in bricks[:_BRICKS]:
                tasks.start_soon(one, brick)

    if bricks:
        anyio.run(every)
    return tuple(sorted(closed))


def _name(source: GlusterfsSource) -> str:
    return f"{source.server}:/{source.volume}"


def _is_of(mount: Mount, source: GlusterfsSource) -> bool:
    """Whether a mount is of this volume, whichever of its servers it was mounted from."""
    volume = mount.source.rpartition(":")[2].strip("/")
    return mount.type in _TYPES and volume == source.volume.strip("/")


_SERVER = Remedy("See whether the server is up, and the network to it.")


def _server(facts: GlusterFacts) -> str:
    server = facts.source.server
    if facts.server:
        return unreached(server, MANAGEMENT, facts.server)
    return f"The server {server} answers on port {MANAGEMENT}."


def _unreachable(facts: GlusterFacts, subject: str) -> Finding:
    more = f" It is not mounted at {facts.mounted.target} either." if facts.mounted else ""
    assert facts.server
    return Finding(
        Status.FAIL, subject, f"{_server(facts)}{more}",
        observed=f"port {MANAGEMENT}: {facts.server.reason}",
        expected=f"port {MANAGEMENT} takes connections",
        remedy=let_in(
            facts.source.server, facts.server,
            f"Start glusterd on {facts.source.server}, and let this host through to its TCP port "
            f"{MANAGEMENT} and to the bricks' (from 49152 on, one for each).",
        ),
        cause="datasource.unreachable",
    )  # fmt: skip


def _pool(wanted: Wanted, facts: GlusterFacts) -> Iterator[Finding]:
    """What this host knows as a peer."""
    pool, volume = facts.pool, facts.source.volume
    if not pool:
        return
    subject = wanted.extra("volume")
    down = [f"{brick.host}:{brick.path}" for brick in pool.bricks if not brick.online]
    away = [peer.host for peer in pool.peers if not peer.connected]
    if pool.problem:
        said = f"gluster could not tell the state of {volume}: {pool.problem}."
        yield Finding(
            Status.ERROR, subject, said,
            remedy=Remedy("Ask it:", (f"gluster volume status {volume}",)),
            cause="datasource.volume-untold",
        )  # fmt: skip
    elif not pool.status:
        yield Finding(
            Status.FAIL, subject, f"This host's pool has no volume {volume}.",
            observed=f"volumes: {text.listing(pool.volumes) if pool.volumes else 'none'}",
            expected=volume,
            remedy=Remedy("Correct `volume` in the configuration.", ("gluster volume list",)),
            cause="datasource.no-volume",
        )  # fmt: skip
    elif pool.status != "Started":
        yield Finding(
            Status.FAIL, subject, f"The volume {volume} is not started ({pool.status}).",
            observed=pool.status, expected="Started",
            remedy=Remedy("Start it.", (f"gluster volume start {volume}",)),
            cause="datasource.volume-stopped",
        )  # fmt: skip
    elif down or away or facts.closed:
        yield _lacking(subject, volume, pool, down, away, facts.closed)
    else:
        bricks = text.number(len(pool.bricks), "brick")
        yield Finding(
            Status.PASS, subject,
            f"The volume {volume} ({pool.type}) is started, and all of its {bricks} run; the pool "
            f"has {text.number(len(pool.peers) + 1, 'server')}, and none is gone.",
            observed=f"{bricks} online",
        )  # fmt: skip


def _lacking(
    subject: str, volume: str, pool: gluster.Pool, down: list[str], away: list[str],
    closed: tuple[str, ...],
) -> Finding:  # fmt: skip
    said = [
        words
        for there, words in (
            (down, f"not running: {text.listing(down)}"),
            (away, f"servers that are gone: {text.listing(away)}"),
            (closed, f"running, but closed to this host: {text.listing(closed)}"),
        )
        if there
    ]
    meaning = "the data is still there, but it may be read-only, and no more may fail"
    if pool.data_lost:
        meaning = "part of the data is out of reach"
    elif not down and not away:
        meaning = "this host cannot read what lies on them"
    commands = [f"gluster volume status {volume}", "gluster peer status"]
    words = "Start glusterd on those servers, and see the log of the bricks."
    if down:
        commands.append(f"gluster volume start {volume} force")
        words += " Once their disks are sound, the last command starts bricks that have ended."
    return Finding(
        Status.FAIL if pool.data_lost else Status.WARN, subject,
        f"The volume {volume} ({pool.type}) lacks bricks ({'; '.join(said)}): {meaning}.",
        observed=f"{len(pool.bricks) - len(down)} of {len(pool.bricks)} bricks online",
        expected="all",
        remedy=Remedy(words, tuple(commands)),
        cause="datasource.bricks-down" if down or away else "datasource.bricks-closed",
    )  # fmt: skip


def _install(machine: Machine) -> tuple[str, ...]:
    return distribution.install(
        machine, debian="glusterfs-client", rhel="glusterfs-fuse", suse="glusterfs",
        arch="glusterfs", alpine="glusterfs",
    )  # fmt: skip
