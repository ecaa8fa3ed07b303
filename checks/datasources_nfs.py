"""datasources.nfs"""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from functools import partial
from posixpath import normpath
from shlex import quote

from msgspec import Struct, structs

from biostudio_doctor import distribution, text
from biostudio_doctor.check import Check
from biostudio_doctor.config import NfsSource
from biostudio_doctor.host import Host
from biostudio_doctor.host.exports import Exports, exports
from biostudio_doctor.host.mounts import Mount
from biostudio_doctor.host.programs import find
from biostudio_doctor.host.trial import Mounted
from biostudio_doctor.model import Finding, Machine, Remedy, Status
from biostudio_doctor.probes import Failure
from biostudio_doctor.requirements import Feature, Requirements
from biostudio_doctor.services import Answer

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

NFS, PORTMAPPER = 2049, 111
_TYPES = ("nfs", "nfs4")
_OPTIONS = ("vers", "nfsvers", "hard", "soft", "softerr", "softreval", "nolock", "local_lock",
            "sec", "proto", "addr")  # fmt: skip
_SHOWN = 5


class NfsFacts(Struct, frozen=True, kw_only=True):
    """One source, as it was found."""

    source: NfsSource
    nfs: Answer | None = None  # at its port
    portmapper: Failure | None = None
    addresses: tuple[str, ...] = ()  # of the server: mounts may know it by another name
    exports: Exports | None = None  # None where there was nothing to ask, or no need
    has_helper: bool = True  # mount.nfs is installed
    in_fstab: bool = False
    mounted: Mounted | None = None  # None where the configuration names no directory
    elsewhere: tuple[str, ...] = ()  # where it is mounted, if the configuration does not say
    problem: str = ""  # why nothing of this could be found out


class DatasourcesNfs(Check[tuple[NfsFacts, ...]]):
    """NFS with your own data.

    For each `datasources.nfs` of the configuration: connects to the server's port of NFS (2049) and
    of its port mapper (111), asks it for its exports with showmount where that is installed, and
    looks at the directory where the export should be mounted: from the right place, with which
    options, with how much room. With `write = true` one scratch file is written there, read,
    renamed, locked and removed; it tells whose it becomes (root_squash), and how the server's clock
    stands. If that is cut off, the next run on this host removes the file. A mount that hangs costs
    its own time only.

    Why: a mount that is missing, hangs or has lost its server shows up in notebooks as missing
    files or as frozen kernels. With `soft`, data can be lost without a word; without locks,
    databases, SQLite and conda break.

    Mend: mount the export as the finding shows, with hard and with locks.
    """

    id = "datasources.nfs"
    requirement_ids = ("datasources.files",)
    interval = timedelta(minutes=5)
    timeout = timedelta(seconds=25)
    network = True

    def observe(self, host: Host) -> tuple[NfsFacts, ...]:
        sources = self.context.config.datasources.nfs
        return look_at_each(host, sources, _observe, _lost, self.allowed_seconds, "ask NFS")

    def judge(self, facts: tuple[NfsFacts, ...], requirements: Requirements) -> Iterator[Finding]:
        none = no_source("NFS server", "nfs", 'server = "ADDRESS" and export = "/PATH"')
        names = [f"nfs {_name(one.source)}" for one in facts]
        said = requirements.demand("datasources.files", Feature)
        return judge_each(facts, names, self._source, none, said)

    def _source(self, facts: NfsFacts, subject: str) -> Iterator[Finding]:
        machine = self.context.machine
        if facts.problem:
            said = f"{_name(facts.source)} could not be looked at: {facts.problem}."
            yield Finding(Status.ERROR, subject, said, remedy=_SERVER, cause="datasource.hung")
            return
        target = facts.mounted.target if facts.mounted else None
        wanted = Wanted(
            subject=subject,
            source=_name(facts.source),
            fs_type="nfs",
            target=target,
            write=facts.source.write,
            install=() if facts.has_helper else _install(machine),
            in_fstab=facts.in_fstab,
        )
        if not facts.mounted:
            yield _server_only(facts, subject)
            return
        mount = facts.mounted.mount
        right = mount is not None and _is_of(mount, facts)
        server = _server(facts)
        if facts.elsewhere:
            server += f" It is mounted at {text.listing(facts.elsewhere)}."
        missing = unmounted(wanted, facts.mounted, right, server, machine)
        if missing and missing.cause == "datasource.not-mounted" and _is_down(facts):
            yield _unreachable(facts, subject, f" It is not mounted at {target} either.")
        elif missing:
            yield missing
        if missing or not mount:
            return
        yield from judge_use(wanted, facts.mounted, _how(mount), self.context.config.storage)
        yield from _options(wanted, mount)


def _lost(source: NfsSource, error: OSError) -> NfsFacts:
    return NfsFacts(source=source, problem=error.strerror or str(error))


def _observe(host: Host, source: NfsSource, seconds: float) -> NfsFacts:
    facts = _ask_server(source, seconds * 0.15)
    if not facts.portmapper:
        facts = structs.replace(facts, exports=exports(host, source.server, seconds * 0.15))
    found = [mount for mount in host.mounts() if mount.type in _TYPES and _is_of(mount, facts)]
    target = source.mount or (found[-1].target if found else None)
    if target is None:
        return facts
    mounted = observe_mounted(
        host, target, partial(_is_of, facts=facts), source.write, seconds * 0.55
    )
    if mounted.mount:
        kept = tuple(
            option for option in mounted.mount.super_options
            if option.partition("=")[0] in (*_OPTIONS, "ro", "rw")
        )  # fmt: skip
        mounted = structs.replace(mounted, mount=structs.replace(mounted.mount, super_options=kept))
    return structs.replace(
        facts,
        mounted=mounted,
        elsewhere=tuple(mount.target for mount in found if mount.target != target),
        has_helper=bool(find(host, "mount.nfs")),
        in_fstab=in_fstab(host, target),
    )


def _ask_server(source: NfsSource, seconds: float) -> NfsFacts:
    """Its addresses, what answers at NFS's port, and whether the port mapper's does."""
    import anyio

    from biostudio_doctor.probes.direct import knock
    from biostudio_doctor.probes.dns import lookup
    from biostudio_doctor.services import nfs

    server = source.server
    answers: list[Answer] = []
    found: dict[int, Failure | None] = {}
    addresses: list[str] = []

    async def ask() -> None:
        answers.append(await nfs.probe(server, timeout=seconds, port=NFS))

    async def knock_at_mapper() -> None:
        found.update(await knock(server, (PORTMAPPER,), timeout=seconds * 0.6))

    async def look_up() -> None:
        addresses.extend((await lookup(server, timeout=seconds)).addresses)

    async def all_at_once() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            tasks.start_soon(knock_at_mapper)
            tasks.start_soon(look_up)

    anyio.run(all_at_once)
    return NfsFacts(
        source=source, nfs=answers[0], portmapper=found[PORTMAPPER], addresses=tuple(addresses)
    )


def _name(source: NfsSource) -> str:
    server = f"[{source.server}]" if ":" in source.server else source.server
    return f"{server}:{source.export}"


def _is_of(mount: Mount, facts: NfsFacts) -> bool:
    """Whether a mount is of this source; the server is known by its name or its addresses."""
    source = facts.source
    server, _, path = mount.source.rpartition(":/")
    if mount.type not in _TYPES or normpath(f"/{path}") != normpath(source.export):
        return False
    used = [option[5:] for option in mount.super_options if option.startswith("addr=")]
    names = {server.strip("[]").lower(), *used}
    return bool(names & {source.server.strip("[]").lower(), *facts.addresses})


_SERVER = Remedy("See whether the server is up, and the network to it.")


def _server(facts: NfsFacts) -> str:
    """How the server stands, in a sentence."""
    server = facts.source.server
    answer = facts.nfs
    if answer and answer.state != "healthy":
        return _no_nfs(server, answer)
    versions = f" (versions {answer.version})" if answer and answer.version else ""
    said = f"The server {server} speaks NFS{versions}"
    if facts.exports is None:
        return f"{said}; its exports could not be listed: its port {PORTMAPPER} does not answer, " \
               "which NFS 4 does without."  # fmt: skip
    if facts.exports.problem:
        return f"{said}; its exports could not be listed: {facts.exports.problem}."
    if _is_listed(facts.source.export, facts.exports.listed):
        return f"{said} and exports {facts.source.export}."
    return f"{said}, but among its exports there is no {facts.source.export}."


def _no_nfs(server: str, answer: Answer) -> str:
    """What answers instead, or why nothing does."""
    if answer.failure and answer.failure.phase in ("resolve", "connect"):
        return unreached(server, NFS, answer.failure)
    place = f"port {NFS} of {server}"
    if answer.state in ("silent", "closed", "unwell"):
        how = "hangs up" if answer.state == "closed" else "does not answer"
        return f"On {place} something takes the connection, and {how}: NFS is stuck or starting."
    return f"On {place} answers {answer.identity or 'something else'}, and not NFS."


def _is_listed(export: str, listed: Sequence[str]) -> bool:
    """Itself, or a directory above it, which may be mounted from too."""
    wanted = f"{normpath(export)}/".replace("//", "/")
    return any(wanted.startswith(f"{normpath(path)}/".replace("//", "/")) for path in listed)


def _is_down(facts: NfsFacts) -> bool:
    return facts.nfs is not None and facts.nfs.state != "healthy"


def _unreachable(facts: NfsFacts, subject: str, more: str = "") -> Finding:
    answer = facts.nfs
    assert answer
    server = facts.source.server
    problem = answer.failure or Failure("request", "other")
    return Finding(
        Status.FAIL, subject, f"{_server(facts)}{more}",
        observed=f"port {NFS}: {answer.state}",
        expected=f"NFS answers on port {NFS}",
        remedy=let_in(
            server, problem,
            f"Start the NFS service on {server}, and let this host through to its TCP port {NFS}; "
            f"for NFS 3 also to port {PORTMAPPER} and to mountd's.",
        ),
        cause=f"datasource.{answer.state}",
    )  # fmt: skip


def _server_only(facts: NfsFacts, subject: str) -> Finding:
    if _is_down(facts):
        return _unreachable(facts, subject)
    told = facts.exports
    if told and not told.problem and not _is_listed(facts.source.export, told.listed):
        shown = text.listing(told.listed[:_SHOWN]) if told.listed else "nothing"
        return Finding(
            Status.WARN, subject, _server(facts),
            observed=f"exports {shown}",
            expected=facts.source.export,
            remedy=Remedy(
                "Export it on the server, or correct `export` in the configuration. With NFS 4 "
                "the name may begin below the server's root of exports (fsid=0), and be right.",
            ),
            cause="datasource.not-exported",
        )  # fmt: skip
    said = "It is not mounted here, and the configuration names no mount point (mount = ...)."
    return Finding(Status.PASS, subject, f"{_server(facts)} {said}", observed="reachable")


def _how(mount: Mount) -> str:
    version = _option(mount, "vers") or _option(mount, "nfsvers")
    return f"NFS {version}" if version else "NFS"


def _option(mount: Mount, name: str) -> str:
    for option in mount.super_options:
        key, _, value = option.partition("=")
        if key == name:
            return value
    return ""


def _options(wanted: Wanted, mount: Mount) -> Iterator[Finding]:
    if {"soft", "softerr"} & set(mount.super_options):
        yield Finding(
            Status.WARN, wanted.extra("soft"),
            f"{wanted.source} is mounted with soft: when the server is slow, writing fails "
            "midway, and programs "
            "that do not look lose data.",
            observed="soft", expected="hard",
            remedy=_remount(wanted, "soft and softerr", "hard"),
            cause="datasource.soft",
        )  # fmt: skip
    local = _option(mount, "local_lock")
    if "nolock" in mount.super_options or local not in ("", "none"):
        how = "nolock" if "nolock" in mount.super_options else f"local_lock={local}"
        yield Finding(
            Status.WARN, wanted.extra("locking"),
            f"{wanted.source} is mounted with {how}: locks hold on this host only, and two hosts "
            "that write to "
            "one database, SQLite file or conda cache there break it.",
            observed=how, expected="locks that all hosts see",
            remedy=_remount(wanted, "nolock and local_lock", "vers=4 if the server has it, whose "
                            "locks need no service of their own; NFS 3 needs rpc.statd on both"),
            cause="datasource.local-locks",
        )  # fmt: skip


def _remount(wanted: Wanted, bad: str, good: str) -> Remedy:
    return Remedy(
        f"In the options of {wanted.target} (its line in /etc/fstab, or its mount unit) remove "
        f"{bad}, and use {good}. Then, when nothing uses it, unmount it and mount it again.",
        (f"findmnt {quote(wanted.target or '')}", "grep -n nfs /etc/fstab"),
    )


def _install(machine: Machine) -> tuple[str, ...]:
    return distribution.install(
        machine, debian="nfs-common", rhel="nfs-utils", suse="nfs-client", arch="nfs-utils",
        alpine="nfs-utils",
    )  # fmt: skip
