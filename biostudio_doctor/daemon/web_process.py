"""The supervisor's end of the web process: it starts, is told, hears, and is replaced if it dies.

Nothing here waits: a web process that reads slowly gets the latest snapshot only, and one that
does not read at all is replaced.
"""

import contextlib
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable

import msgspec

from biostudio_doctor.config import DaemonConfig
from biostudio_doctor.daemon.log import Log
from biostudio_doctor.daemon.messages import Beat, Reloaded, Snapshot, ToSupervisor, ToWeb
from biostudio_doctor.errors import DoctorError
from biostudio_doctor.registry import describe

#: What the web process does: it returns when it is to end.
Serve = Callable[[socket.socket, DaemonConfig], None]

#: The exit code where the user can mend it, as the command line has it.
MENDABLE = 2
_DRAIN = 1.5  # seconds from SIGTERM to SIGKILL
_DEAF = 30.0  # seconds in which it takes nothing of what it is told
_YOUNG = 10.0  # seconds; who dies so early is followed by the next more slowly
_SLOWEST = 30.0  # seconds from its end to the next one's start
_LINE_LIMIT = 64 << 10  # bytes of what it says
#: The order in which the latest of each are told: who asked for a reload then sees what it did.
_ORDER = (Snapshot, Reloaded, Beat)


class WebProcess:
    """One process at a time."""

    def __init__(
        self,
        selector: selectors.BaseSelector,
        serve: Serve,
        log: Log,
        hear: Callable[[ToSupervisor], None],
        greet: Callable[[], None],
    ) -> None:
        self.pid = 0  # 0 while there is none
        self.exit_code = 0  # of the last that ended
        self._selector = selector
        self._serve = serve
        self._log = log
        self._hear = hear
        self._greet = greet  # called for each new process, which knows nothing yet
        self._connection: socket.socket | None = None
        self._heard = b""
        self._decoder = msgspec.json.Decoder(ToSupervisor)
        self._sending = b""
        self._waiting: dict[type[ToWeb], ToWeb] = {}
        self._started = self._took = 0.0
        self._start_at = 0.0
        self._kill_at = float("inf")
        self._deaths = 0  # of young ones, in a row

    def start(self, config: DaemonConfig) -> None:
        """Fork it."""
        ours, theirs = socket.socketpair()
        try:
            pid = os.fork()
        except OSError as error:
            ours.close()
            theirs.close()
            self._log.error("web.failed", problem=f"no process: {error.strerror}")
            self._start_at = time.monotonic() + _SLOWEST
            return
        if pid == 0:
            _child(theirs, config, self._serve, self._log)
        theirs.close()
        ours.setblocking(False)
        self.pid, self._connection = pid, ours
        self._started = self._took = time.monotonic()
        self._selector.register(ours, selectors.EVENT_READ, self._ready)
        self._greet()

    def tell(self, message: ToWeb) -> None:
        """Say this as soon as it listens; an older message of the same kind is not said then."""
        if self._connection:
            self._waiting[type(message)] = message
            self._send()

    @property
    def told(self) -> bool:
        """Everything that was to be said is said."""
        return not (self._sending or self._waiting)

    def tend(self, config: DaemonConfig) -> None:
        """Now and then: bury it, replace it."""
        now = time.monotonic()
        if self.pid and self._connection and not self.told and now - self._took > _DEAF:
            self._log.error("web.deaf", pid=self.pid)
            self._kill()
        if self.pid and now >= self._kill_at:
            self._kill()
        if self.pid and self._is_gone():
            self._bury(now)
        if not self.pid and now >= self._start_at:
            self.start(config)

    def gone(self) -> bool:
        """Whether there is none; one that has just ended is buried without another word."""
        if self.pid and self._is_gone():
            self._disconnect()
            self.pid = 0
        return not self.pid

    def replace(self) -> None:
        """End it, as it drains; `tend` starts the next one."""
        self._deaths = -1  # this one is no failure
        self._terminate()

    def end(self) -> None:
        """End it for good; waits until it is gone, at most as long as it may drain."""
        self._terminate()
        while self.pid and not self._is_gone() and time.monotonic() < self._kill_at:
            time.sleep(0.01)
        if self.pid and not self._is_gone():
            self._kill()
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self.pid, 0)
        self.pid = 0
        self._disconnect()

    def _terminate(self) -> None:
        self._kill_at = time.monotonic() + _DRAIN
        self._signal(signal.SIGTERM)

    def _signal(self, number: int) -> None:
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def _kill(self) -> None:
        self._signal(signal.SIGKILL)
        self._kill_at = float("inf")
        self._disconnect()

    def _is_gone(self) -> bool:
        try:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.exit_code = os.waitstatus_to_exitcode(status)
            return pid == self.pid
        except ChildProcessError:
            return True

    def _bury(self, now: float) -> None:
        self._disconnect()
        self._deaths = self._deaths + 1 if now - self._started < _YOUNG or self._deaths < 0 else 0
        delay = min(_SLOWEST, 2.0 ** min(self._deaths - 1, 10)) if self._deaths > 0 else 0.0
        self._log.warning(
            "web.ended", pid=self.pid, exit_code=self.exit_code, next_in_seconds=delay
        )
        self.pid, self._start_at, self._kill_at = 0, now + delay, float("inf")

    def _disconnect(self) -> None:
        if self._connection:
            self._selector.unregister(self._connection)
            self._connection.close()
        self._connection = None
        self._heard = self._sending = b""
        self._waiting.clear()

    def _ready(self, events: int) -> None:
        """The connection can be read or written."""
        if events & selectors.EVENT_WRITE:
            self._send()
        if events & selectors.EVENT_READ and self._connection:
            self._receive(self._connection)

    def _receive(self, connection: socket.socket) -> None:
        try:
            data = connection.recv(_LINE_LIMIT)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:  # without us it is of no use, and ends or is ended
            self._disconnect()
            self._kill_at = min(self._kill_at, time.monotonic() + _DRAIN)
            return
        *lines, self._heard = (self._heard + data).split(b"\n")
        self._heard = self._heard[:_LINE_LIMIT]
        for line in lines:
            try:
                message = self._decoder.decode(line)
            except msgspec.DecodeError:
                self._log.error("web.nonsense", pid=self.pid)
            else:
                self._hear(message)

    def _send(self) -> None:
        """Say as much as it takes now."""
        if not self._connection:
            return
        try:
            while not self.told:
                if not self._sending:
                    kind = next(kind for kind in _ORDER if kind in self._waiting)
                    self._sending = msgspec.json.encode(self._waiting.pop(kind)) + b"\n"
                    self._took = time.monotonic()
                sent = self._connection.send(self._sending)
                self._sending = self._sending[sent:]
                self._took = time.monotonic()
            wanted = selectors.EVENT_READ
        except BlockingIOError:
            wanted = selectors.EVENT_READ | selectors.EVENT_WRITE
        except OSError:  # it has ended; reading tells so
            wanted = selectors.EVENT_READ
        self._selector.modify(self._connection, wanted, self._ready)


def _child(connection: socket.socket, config: DaemonConfig, serve: Serve, log: Log) -> None:
    """In the web process; never returns."""
    problem, code = "", 1
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        # Their owners are in frames that are never left, so nobody closes them a second time.
        os.closerange(3, connection.fileno())
        os.closerange(connection.fileno() + 1, os.sysconf("SC_OPEN_MAX"))
        log.take_over()
        serve(connection, config)
    except DoctorError as error:
        problem, code = str(error), MENDABLE
    except BaseException as error:
        problem = describe(error)
    finally:
        if problem:
            log.error("web.failed", problem=problem)
        os._exit(code if problem else 0)
