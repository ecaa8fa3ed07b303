"""Signals that come through a socket, as the other events of the main process do."""

import contextlib
import selectors
import signal
import socket
from collections.abc import Callable

END = (signal.SIGTERM, signal.SIGINT)


class Signals:
    """Has the selector tell of them; whoever makes this keeps it."""

    def __init__(
        self,
        selector: selectors.BaseSelector,
        reload: Callable[[], None],
        end: Callable[[str], None],
    ) -> None:
        """SIGHUP calls `reload`, the others `end` with their name; SIGPIPE is ignored."""
        self._reload = reload
        self._end = end
        self._ours, self._theirs = socket.socketpair()
        for each in (self._ours, self._theirs):
            each.setblocking(False)
        for number in (*END, signal.SIGHUP):
            signal.signal(number, lambda *_: None)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        signal.set_wakeup_fd(self._theirs.fileno(), warn_on_full_buffer=False)
        selector.register(self._ours, selectors.EVENT_READ, self._ready)

    def _ready(self, _events: int) -> None:
        with contextlib.suppress(BlockingIOError):
            for number in self._ours.recv(64):
                if number == signal.SIGHUP:
                    self._reload()
                elif number in END:
                    self._end(signal.Signals(number).name)
