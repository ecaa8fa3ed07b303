"""Waiting only so long for calls that may never return.

A system call on a dead network mount cannot be interrupted. Each call therefore has a thread of
its own, which is abandoned when it does not come back: the others' answers are not lost with it.
"""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from biostudio_doctor.host import Host

T = TypeVar("T")


def bounded(
    host: Host, calls: Mapping[str, Callable[[Host], T]], seconds: float, verb: str = "look at"
) -> dict[str, T | OSError]:
    """Make calls side by side, each named by the path it concerns, and wait `seconds` in all.

    Each is given a host of its own, since a host tells one activity at a time; what is being
    waited for ("look at /mnt/nfs") is told by ours. The outcome is what the call returned, the
    OSError it raised, or a TimeoutError. Anything else that a call raises is raised here.
    """
    outcomes: dict[str, T | BaseException] = {}

    def answer(path: str, call: Callable[[Host], T]) -> None:
        try:
            outcomes[path] = call(type(host)(host.root))
        except BaseException as error:  # handed to whoever waits
            outcomes[path] = error

    threads = {
        path: threading.Thread(target=answer, args=(path, call), daemon=True)
        for path, call in calls.items()
    }
    for thread in threads.values():
        thread.start()
    deadline = time.monotonic() + seconds
    for path, thread in threads.items():
        with host.doing(f"{verb} {path}"):
            thread.join(max(0.0, deadline - time.monotonic()))
    return {path: _outcome(outcomes, path, seconds) for path in calls}


def _outcome(outcomes: Mapping[str, T | BaseException], path: str, seconds: float) -> T | OSError:
    if path not in outcomes:
        return TimeoutError(errno.ETIMEDOUT, f"no answer within {seconds:g} s", path)
    outcome = outcomes[path]
    if isinstance(outcome, BaseException) and not isinstance(outcome, OSError):
        raise outcome
    return outcome
