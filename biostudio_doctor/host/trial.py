"""A mounted file system of other machines, looked at and tried out without waiting for it forever.

The trial writes one scratch file, if that is allowed, and removes it again. Nothing else in the
directory is touched.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec import Struct

from biostudio_doctor import scratch
from biostudio_doctor.host.mounts import Mount, mount_of
from biostudio_doctor.host.patience import bounded
from biostudio_doctor.host.places import Room, look_at

if TYPE_CHECKING:
    from biostudio_doctor.host import Host

_REMOVAL_SECONDS = 1.0  # for taking a file away from a file system that has hung
#: What chown(2) says where the owner may not be changed.
_REFUSED = (errno.EPERM, errno.EACCES, errno.EINVAL, errno.EOPNOTSUPP)


class Trial(Struct, kw_only=True):
    """How far a scratch file got. Filled in step by step, since any step may hang."""

    step: str = "look for scratch files of earlier runs"
    problem: str = ""  # why that step failed; '' for the last step of a trial that went well
    errno: int = 0
    finished: bool = False
    removed_earlier: int = 0  # scratch files that ended runs had left
    us: int = 0  # the user that this process runs as
    owner: int | None = None  # whom the file system says the file belongs to
    gives_away: bool | None = None  # root may change the owner; None where we are not root
    byte_lock: str = ""  # why a lock of fcntl(2) was not given, as databases take; '' if it was
    whole_lock: str = ""  # why flock(2) was not given; '' if it was
    clock: float | None = None  # seconds by which the server's clock is ahead of ours


class Mounted(Struct, frozen=True, kw_only=True):
    """What lies at the directory where a data source should be mounted."""

    target: str
    mount: Mount | None = None  # None where nothing is mounted just there
    exists: bool | None = None
    problem: str = ""  # why it could not be looked at
    hung: bool = False
    room: Room | None = None
    trial: Trial | None = None  # None if it was not tried


def see(host: Host, target: str, seconds: float) -> Mounted:
    """Look at a directory, which makes an automounter mount it, waiting for `seconds` at most."""
    place = look_at(host, [target], host.mounts(), seconds)[target]
    real = place.existing if place.exists else target
    mount = mount_of(real, host.mounts())
    at_target = mount is not None and mount.target == real.rstrip("/")
    return Mounted(
        target=target,
        mount=mount if at_target else None,
        exists=place.exists,
        problem=place.problem if not place.room else "",
        hung=place.hung,
        room=place.room,
    )


def try_out(host: Host, directory: str, seconds: float) -> Trial:
    """Write, read, rename, give away, lock and remove a scratch file, in `seconds` at most."""
    trial = Trial(us=os.geteuid())
    us = scratch.owner(host)
    path = os.path.join(host.path(directory), us.new_name())
    calls = {directory: lambda _host: _run(trial, us, path)}
    outcome = bounded(host, calls, seconds, verb="try a scratch file in")[directory]
    if isinstance(outcome, TimeoutError):
        step = trial.step
        bounded(host, {path: lambda _host: _take_away(path)}, _REMOVAL_SECONDS, verb="remove")
        return Trial(step=step, problem=outcome.strerror or "", errno=errno.ETIMEDOUT, us=trial.us)
    return trial


def _run(trial: Trial, us: scratch.Owner, path: str) -> None:
    try:
        _each_step(trial, us, path)
        trial.finished = True
    except OSError as error:
        trial.problem = error.strerror or str(error)
        trial.errno = error.errno or 0
    finally:
        _take_away(path)
        uids = {trial.us, trial.owner if trial.owner is not None else trial.us, scratch.TRIAL_UID}
        with contextlib.suppress(OSError):
            trial.removed_earlier = scratch.sweep(os.path.dirname(path), us, uids)


def _each_step(trial: Trial, us: scratch.Owner, path: str) -> None:
    """The steps themselves. The file is closed before it is removed, for the sake of NFS."""
    data = scratch.content(os.path.basename(path))
    trial.step = "create a file"
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        trial.step = "write to it"
        before = time.time()
        os.pwrite(file, data, 0)
        os.fsync(file)
        after = time.time()
        seen = os.fstat(file)
        trial.owner = seen.st_uid
        trial.clock = _beside(seen.st_mtime, before, after)
        trial.step = "read it back"
        if os.pread(file, len(data) + 1, 0) != data:
            raise OSError(errno.EIO, "what was read is not what was written")
        trial.step = "rename it"
        os.rename(path, path + scratch.RENAMED)
        os.rename(path + scratch.RENAMED, path)
        trial.step = "change its mode and owner"
        os.fchmod(file, 0o640)
        if trial.us == 0:
            trial.gives_away = _gives_away(file)
        trial.step = "lock it"
        trial.byte_lock = _lock(fcntl.lockf, file)
        trial.whole_lock = _lock(fcntl.flock, file)
    finally:
        os.close(file)
    trial.step = "remove it"
    os.unlink(path)


def _gives_away(file: int) -> bool:
    try:
        os.fchown(file, scratch.TRIAL_UID, -1)
    except OSError as error:
        if error.errno in _REFUSED:
            return False
        raise
    return os.fstat(file).st_uid == scratch.TRIAL_UID


def _lock(call: Callable[[int, int], object], file: int) -> str:
    """Take a lock, and give it back: on NFS both kinds are one, and would exclude each other."""
    try:
        call(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        call(file, fcntl.LOCK_UN)
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _take_away(path: str) -> None:
    for name in (path, path + scratch.RENAMED):
        with contextlib.suppress(OSError):
            os.unlink(name)


def _beside(moment: float, before: float, after: float) -> float:
    """How far a moment lies outside a span, in seconds; 0 within it."""
    if moment > after:
        return round(moment - after, 3)
    return round(min(0.0, moment - before), 3)
