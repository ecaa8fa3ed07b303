"""What NFS and GlusterFS have in common: a directory that is mounted from another machine."""

import errno
import os
from collections.abc import Callable, Iterator
from shlex import quote

from msgspec import Struct

from biostudio_doctor import text
from biostudio_doctor.config import StorageConfig
from biostudio_doctor.host import Host
from biostudio_doctor.host.fstab import FSTAB, escape, parse_fstab
from biostudio_doctor.host.mounts import Mount
from biostudio_doctor.host.trial import Mounted, Trial, see, try_out
from biostudio_doctor.model import Finding, Machine, Remedy, Status
from biostudio_doctor.probes import Failure

_LITTLE = 1e9  # bytes: with less than this, saving anything will fail soon
_CLOCK = 5.0  # seconds from which programs that compare times of files go wrong
_STALE = os.strerror(errno.ESTALE)
_DENIED = os.strerror(errno.EACCES)
_GONE = os.strerror(errno.ENOTCONN)  # what a FUSE mount says when its program has ended
_HUNG_MOUNT = "If the server cannot be brought back, take the mount away and mount it anew."


class Wanted(Struct, frozen=True, kw_only=True):
    """What should be mounted, and how that is done."""

    subject: str
    source: str  # server:/export
    fs_type: str
    target: str | None  # None where the configuration does not say it
    write: bool
    install: tuple[str, ...] = ()  # the commands that install what mount(8) needs, if that lacks
    in_fstab: bool = False

    def extra(self, aspect: str) -> str:
        """The subject of a finding beside the main one."""
        return f"{self.subject}: {aspect}"


def in_fstab(host: Host, target: str | None) -> bool:
    """Whether fstab has a line for this mount point."""
    entries = parse_fstab(host.read_if_any(FSTAB) or "")
    return any(entry.target == (target or "").rstrip("/") for entry in entries)


def observe_mounted(
    host: Host, target: str, is_right: Callable[[Mount], bool], write: bool, seconds: float
) -> Mounted:
    """Look, and write where that is allowed and just the source is mounted there, nothing else."""
    from msgspec import structs

    mounted = see(host, target, seconds / 3)
    mount = mounted.mount
    if not write or mounted.problem or not mount or not is_right(mount) or mount.read_only:
        return mounted
    return structs.replace(mounted, trial=try_out(host, target, seconds * 2 / 3))


def unmounted(
    wanted: Wanted, mounted: Mounted, is_right: bool, server: str, machine: Machine
) -> Finding | None:
    """What stands against using the mount at all; None where it is there. `server`: how that is."""
    target = mounted.target
    if mounted.hung:
        said = f"{target} does not answer: looking at it took too long ({mounted.problem})"
        return Finding(
            Status.ERROR, wanted.subject, f"{said}. {server}",
            remedy=Remedy(
                "See whether the server and the network are well: programs that touch the "
                f"directory wait for them without end. {_HUNG_MOUNT}",
                _again(wanted, target),
            ),
            cause="datasource.hung",
        )  # fmt: skip
    if mounted.problem:
        return _unusable(wanted, mounted, machine)
    if not mounted.mount or mounted.mount.type == "autofs":
        said = f"{wanted.source} is not mounted at {target}"
        if mounted.mount:
            said += ", and the automounter there could not mount it"
        return Finding(
            Status.FAIL, wanted.subject, f"{said}. {server}",
            observed="not mounted",
            expected=f"mounted at {target}",
            remedy=_mount_it(wanted, target, machine),
            cause="datasource.not-mounted",
        )  # fmt: skip
    if not is_right:
        found = mounted.mount
        return Finding(
            Status.FAIL, wanted.subject,
            f"At {target} something else is mounted: {text.printable(found.source)} "
            f"({found.type}).",
            observed=f"{text.printable(found.source)} ({found.type})",
            expected=wanted.source,
            remedy=Remedy(
                "Name the right server, export and mount point in the configuration, or mount "
                f"{wanted.source} there. See what is mounted:", (f"findmnt {quote(target)}",),
            ),
            cause="datasource.other-mounted",
        )  # fmt: skip
    return None


def judge_use(
    wanted: Wanted, mounted: Mounted, how: str, storage: StorageConfig
) -> Iterator[Finding]:
    """What a mount that is there is good for; `how` it is mounted stands in the summary."""
    yield _use(wanted, mounted, how)
    trial = mounted.trial
    if trial and trial.finished:
        yield from _locks(wanted, trial)
        yield from _owners(wanted, mounted, trial, storage)
    if trial and trial.clock is not None and abs(trial.clock) > _CLOCK:
        ahead = "ahead of" if trial.clock > 0 else "behind"
        yield Finding(
            Status.WARN, wanted.extra("clock"),
            f"{wanted.source}: the server's clock is {abs(trial.clock):.0f} s {ahead} this "
            "host's: files seem to "
            "come from the future or the past.",
            observed=f"{trial.clock:+.1f} s",
            expected=f"no more than {_CLOCK:g} s",
            remedy=Remedy(
                "Have both keep time by NTP. See this host's first:",
                ("biostudio-doctor check os.time",),
            ),
            cause="datasource.clock",
        )  # fmt: skip


def _use(wanted: Wanted, mounted: Mounted, how: str) -> Finding:
    said = f"{wanted.source} is mounted at {mounted.target} ({how})"
    room = mounted.room
    observed = f"{text.size(room.available)} of {text.size(room.size)} available" if room else how
    trial = mounted.trial
    if not wanted.write:
        said += f", {observed}. Writing was not tried: write = false"
        return Finding(Status.PASS, wanted.subject, f"{said}.", observed=observed)
    if not trial:
        return Finding(
            Status.FAIL, wanted.subject, f"{said}, read-only: nothing can be saved there.",
            observed="read-only", expected="writable",
            remedy=Remedy(
                "Mount it with rw, if the server exports it so; or set write = false in the "
                "configuration, if it is data that is only read.",
                (f"mount -o remount,rw {quote(mounted.target)}",),
            ),
            cause="datasource.read-only",
        )  # fmt: skip
    if not trial.finished:
        return _failed_trial(wanted, mounted, trial, said)
    said += f", {observed}; a scratch file was written, read, renamed and removed"
    if trial.removed_earlier:
        said += f", and {_earlier(trial.removed_earlier)}"
    if room and room.available < _LITTLE:
        return Finding(
            Status.WARN, wanted.subject, f"{said}. It is nearly full.", observed=observed,
            expected=f"{text.size(_LITTLE)} available",
            remedy=Remedy("Make room on the server, or have it give more."),
            cause="datasource.full",
        )  # fmt: skip
    return Finding(Status.PASS, wanted.subject, f"{said}.", observed=observed)


def _earlier(count: int) -> str:
    return f"{text.number(count, 'scratch file')} of a run that was cut off removed"


def _failed_trial(wanted: Wanted, mounted: Mounted, trial: Trial, said: str) -> Finding:
    why = {
        errno.EACCES: "The server does not let this user write there",
        errno.EPERM: "The server does not let this user do that",
        errno.EROFS: "The server gives it read-only, or holds back writing for its own safety",
        errno.ENOSPC: "It is full",
        errno.EDQUOT: "This user's quota is used up",
        errno.ETIMEDOUT: "It hangs",
    }.get(trial.errno, "It does not work")
    user = "root" if trial.us == 0 else f"user {trial.us}"
    words = {
        errno.EACCES: f"On the server, give {user} the right to write there. Root is another user "
        "there where the export has root_squash: then the directory must belong to that one.",
        errno.ENOSPC: "Make room on the server: blocks and inodes.",
        errno.EDQUOT: "Have the quota raised on the server.",
        errno.ETIMEDOUT: "See whether the server and its lock service are well.",
    }.get(trial.errno, "See what the server's log says of it.")
    return Finding(
        Status.ERROR if trial.errno == errno.ETIMEDOUT else Status.FAIL,
        wanted.subject,
        f"{said}, but a scratch file could not be used: {trial.step}: {trial.problem}. {why}.",
        observed=f"{trial.step}: {trial.problem}",
        expected="a file that can be written and removed",
        remedy=Remedy(words, (f"df -h {quote(mounted.target)}", f"ls -ld {quote(mounted.target)}")),
        cause="datasource.hung" if trial.errno == errno.ETIMEDOUT else "datasource.write-failed",
    )


def _locks(wanted: Wanted, trial: Trial) -> Iterator[Finding]:
    refused = {
        kind: why
        for kind, why in (("fcntl", trial.byte_lock), ("flock", trial.whole_lock)) if why
    }  # fmt: skip
    if refused:
        said = text.listing(f"{kind} ({why})" for kind, why in refused.items())
        yield Finding(
            Status.FAIL, wanted.extra("locks"),
            f"{wanted.source}: files cannot be locked there: {said}. Conda, SQLite and notebooks "
            "rely on locks.",
            observed=f"refused: {said}",
            expected="locks are given",
            remedy=Remedy(
                "With NFS 3, start the lock service (rpc.statd) here and on the server and let "
                "its ports through; or mount with vers=4, which needs none, if the server has it.",
            ),
            cause="datasource.no-locks",
        )  # fmt: skip


def _owners(
    wanted: Wanted, mounted: Mounted, trial: Trial, storage: StorageConfig
) -> Iterator[Finding]:
    """Whom files belong to; that is no fault of data, but of a tier of BioStudio's own."""
    subject = wanted.extra("owners")
    squashed = trial.owner != trial.us
    if not squashed and trial.gives_away is not False:
        if trial.us == 0:
            yield Finding(
                Status.PASS, subject,
                f"{wanted.source}: files of root stay root's there, and root may give them away.",
                observed="no root_squash",
            )  # fmt: skip
        return
    tiers = [
        name.upper()
        for name in ("app", "metadata", "user")
        if (path := getattr(storage, name)) and _is_below(path, mounted.target)
    ]
    if not squashed:
        said = f"{wanted.source}: root may not change the owner of files there (chown)"
    elif trial.us == 0:
        said = f"{wanted.source}: root is made user {trial.owner} there (root_squash or all_squash)"
    else:
        said = f"{wanted.source}: user {trial.us} is made user {trial.owner} there (all_squash, "
        "or names differ)"
    if not tiers:
        yield Finding(
            Status.PASS, subject,
            f"{said}: fine for data, but not for APP, METADATA or USER storage, whose files must "
            "change owners.",
            observed=f"files belong to user {trial.owner}", cause="datasource.squashed",
        )  # fmt: skip
        return
    yield Finding(
        Status.FAIL, subject,
        f"{said}, and {text.listing(tiers)} lies there: homes and databases cannot be given to "
        "their users, so that containers do not start.",
        observed=f"files belong to user {trial.owner}",
        expected="root may give files away",
        remedy=Remedy(
            "Export it to this host with no_root_squash (in /etc/exports of the server, then "
            "exportfs -ra there), or keep that storage on a local disk.",
        ),
        cause="datasource.squashed",
    )  # fmt: skip


def _is_below(path: str, directory: str) -> bool:
    return f"{path.rstrip('/')}/".startswith(f"{directory.rstrip('/')}/")


def _unusable(wanted: Wanted, mounted: Mounted, machine: Machine) -> Finding:
    target = mounted.target
    said = f"{target} cannot be looked at: {mounted.problem}"
    if mounted.problem == _DENIED and not machine.root:
        remedy = Remedy("Run biostudio-doctor as root, which may look at it.")
        return Finding(Status.ERROR, wanted.subject, f"{said}.", remedy=remedy)
    if mounted.problem == _STALE:
        said += ". The server has exported it anew, or what was mounted is gone there"
    elif mounted.problem == _GONE:
        said += ". The program that served the mount has ended"
    return Finding(
        Status.FAIL, wanted.subject, f"{said}.",
        observed=mounted.problem,
        remedy=Remedy("Take the mount away and mount it anew.", _again(wanted, target)),
        cause="datasource.stale" if mounted.problem == _STALE else "datasource.broken",
    )  # fmt: skip


def _again(wanted: Wanted, target: str) -> tuple[str, ...]:
    return (f"umount -l {quote(target)}", _mount_command(wanted, target))


def _mount_command(wanted: Wanted, target: str) -> str:
    if wanted.in_fstab:
        return f"mount {quote(target)}"
    return f"mount -t {wanted.fs_type} {quote(wanted.source)} {quote(target)}"


def _mount_it(wanted: Wanted, target: str, machine: Machine) -> Remedy:
    commands = [*wanted.install, f"mkdir -p {quote(target)}"]
    if wanted.in_fstab:
        words = f"Mount it, as {FSTAB} says, and see why that was not done at boot."
        return Remedy(words, (*commands, _mount_command(wanted, target)))
    options = "defaults,_netdev"
    if machine.systemd:
        options += ",x-systemd.automount"
    line = f"{escape(wanted.source)} {escape(target)} {wanted.fs_type} {options} 0 0"
    commands += [_mount_command(wanted, target), f"echo {quote(line)} >> {FSTAB}"]
    if machine.systemd:
        commands.append("systemctl daemon-reload")
    return Remedy(f"Mount it now, and by a line in {FSTAB} after every reboot.", tuple(commands))


def unreached(server: str, port: int, problem: Failure) -> str:
    """Why a port of a server did not take a connection, as a sentence."""
    if problem.phase == "resolve":
        return f"The name of the server {server} cannot be resolved."
    said = {
        "timeout": "does not answer, as if a firewall drops the packets",
        "refused": "refuses the connection: the service does not run there, or is filtered",
        "unreachable": "cannot be reached: no way leads there",
        "reset": "cuts the connection at once",
    }
    why = said.get(problem.reason, f"cannot be reached ({problem.detail or problem.reason})")
    return f"The server {server} {why} (port {port})."


def let_in(server: str, problem: Failure, words: str) -> Remedy:
    """What to do about that; `words` are for a server whose name is known."""
    if problem.phase == "resolve":
        return Remedy(
            "Correct `server` in the configuration, or have the name servers know that name.",
            (f"getent hosts {quote(server)}",), as_root=False,
        )  # fmt: skip
    return Remedy(words)
