"""Work on secrets and on hostile bytes, in a process of its own that is ended when it takes long.

Unlocking a key is as much work as the file asks for: a PKCS#12 file may demand four thousand
million rounds, or gigabytes, and checking the primes of a huge key takes minutes. The libraries
know no limit, and hold the interpreter's lock meanwhile. Facts in a bundle can be made to keep a
judgement busy likewise. A forked process can be limited and killed, and whatever it knew of a
secret ends with it.
"""

from __future__ import annotations

import gc
import os
import resource
import select
import signal
import time
import warnings
from collections.abc import Callable

#: Seconds. Honest files have some thousand rounds, done in milliseconds; the most that a program
#: writes (600,000, by NSS) some tenths of a second.
SECONDS = 0.9
#: Bytes beyond what this process has mapped already.
MEMORY = 64 << 20
_ANSWER_LIMIT = 4 << 20  # bytes


class ConfinedError(Exception):
    """The work came to no end: it took too long, too much memory, or broke its process."""


def confined(work: Callable[[], bytes], seconds: float = SECONDS, memory: int = MEMORY) -> bytes:
    """What `work` returns, done in a fork that has `seconds` and `memory`, in bytes.

    It may use modules that were imported before, and must neither start threads nor raise.

    Raises:
        ConfinedError: if it did not come to its end.
    """
    receiving, sending = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads: see _child
        pid = os.fork()
    if pid == 0:
        _child(work, sending, seconds, memory)
    os.close(sending)
    try:
        return _receive(receiving, time.monotonic() + seconds)
    finally:
        os.close(receiving)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _child(work: Callable[[], bytes], sending: int, seconds: float, memory: int) -> None:
    """Never returns. A lock that another thread held at the fork costs the time, and no more."""
    try:
        gc.disable()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        whole = int(seconds) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (whole, whole))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # it would hold the secret
        allowed = _mapped() + memory
        resource.setrlimit(resource.RLIMIT_AS, (allowed, allowed))
        answer = b"+" + work()
        while answer:
            answer = answer[os.write(sending, answer) :]
    finally:
        os._exit(0)


def _mapped() -> int:
    """Bytes of address space that this process has, as proc(5) counts them in statm."""
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")


def _receive(receiving: int, deadline: float) -> bytes:
    answer = b""
    while True:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([receiving], [], [], left)[0]:
            raise ConfinedError("it demands more work than an honest file does")
        data = os.read(receiving, 65536)
        if not data:
            break
        answer += data
        if len(answer) > _ANSWER_LIMIT:
            raise ConfinedError("it holds more than an honest file does")
    if not answer:
        raise ConfinedError("it demands more work or memory than an honest file does")
    return answer[1:]
