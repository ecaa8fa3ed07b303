"""A forked process that is expendable: it may hang, even in the kernel, crash, or hog its lock.

Whatever becomes of it, the process that forked it goes on. It tells what it found as lines through
a pipe, and leaves when nobody is there any more to be told.
"""

import contextlib
import mmap
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable

_LINE_LIMIT = 16 << 20  # bytes of one message; a large result has a few hundred thousand
_PARENT_POLL = 0.5  # seconds
_ACTIVITY = 256  # bytes of shared memory for one activity


class Expendable:
    """The parent's end of the process."""

    def __init__(self, main: Callable[[int], None]) -> None:
        """Fork; `main` is run in the child, detached, with the pipe's end to write into.

        Raises:
            OSError: if there are too many processes.
        """
        self._buffer = b""
        self._reaped = False
        self._status = 0  # as waitpid tells it
        self.descriptor, write_end = os.pipe()
        try:
            self.pid = os.fork()
        except OSError:
            os.close(self.descriptor)
            os.close(write_end)
            raise
        if self.pid == 0:
            try:
                os.close(self.descriptor)
                _detach()
                main(write_end)
            finally:
                os._exit(0)
        os.close(write_end)

    def lines(self) -> list[bytes] | None:
        """The whole lines that the pipe holds now; None when the process has closed it."""
        data = os.read(self.descriptor, 1 << 20)
        if not data:
            return None
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        if len(self._buffer) > _LINE_LIMIT:
            self._buffer = b""  # the rest of it is nonsense then
        return lines

    def end(self) -> None:
        """Kill the process, without waiting for it: it may be unkillable."""
        os.close(self.descriptor)
        self.kill()

    def kill(self) -> None:
        """Kill it and the programs it runs, and leave its pipe open for what it told before."""
        if not self.gone():
            self._kill_group()
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)  # it may not have come to lead a group yet

    def gone(self) -> bool:
        """Whether nothing is left of the process."""
        if not self._reaped:
            try:
                if os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                    self._kill_group()  # before its number can be another's
                    self._status = os.waitpid(self.pid, 0)[1]
                    self._reaped = True
            except ChildProcessError:  # whoever started us has them reaped by the kernel
                self._reaped = True
        return self._reaped

    def _kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def fate(self) -> str:
        """How the process ended by itself, in words; it is given a moment for that."""
        for _ in range(50):
            if self.gone():
                code = os.waitstatus_to_exitcode(self._status)
                return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit {code}"
            time.sleep(0.01)
        return "it closed its pipe"


class Activities:
    """What is just being done, in words, in memory that is shared with the processes.

    So it can be read although its process can no longer answer.
    """

    def __init__(self, count: int) -> None:
        self._memory = mmap.mmap(-1, _ACTIVITY * max(1, count))

    def say(self, index: int, activity: str) -> None:
        """In the child: say what is being done."""
        said = activity.encode("utf-8", "replace")[: _ACTIVITY - 1].ljust(_ACTIVITY, b"\0")
        self._memory[index * _ACTIVITY : (index + 1) * _ACTIVITY] = said

    def activity(self, index: int) -> str:
        """What is being done, such as "read /mnt/x"; '' if that is not known."""
        said = self._memory[index * _ACTIVITY : (index + 1) * _ACTIVITY]
        return said.partition(b"\0")[0].decode("utf-8", "replace")


def bury(processes: Iterable[Expendable], seconds: float) -> None:
    """Wait for processes that were killed, but not for one that cannot be."""
    until = time.monotonic() + seconds
    waiting = list(processes)
    while any(not process.gone() for process in waiting) and time.monotonic() < until:
        time.sleep(0.005)


def _detach() -> None:
    """In the child: leave interrupts to the parent, and the terminal alone, as plug-ins print.

    It leads a group of its own, so that what it runs ends with it.
    """
    os.setsid()
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if callable(signal.getsignal(number)):  # the parent's own
            signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)


def accompany(threads: Iterable[threading.Thread], parent: int) -> bool:
    """In the child: wait for its threads as long as the parent lives; whether it still does."""
    for thread in threads:
        while thread.is_alive() and os.getppid() == parent:
            thread.join(_PARENT_POLL)
    return os.getppid() == parent


def tell(descriptor: int, line: bytes) -> None:
    """In the child: write a whole line."""
    data = line + b"\n"
    while data:
        data = data[os.write(descriptor, data) :]
