"""Modules that the supervisor imports so that its children need not, minute after minute.

Importing client libraries would cost more CPU than all else that the daemon does. What a check of
ours has just imported, in its own expendable process, is imported here too, as far as it pays:
for checks that run often, and up to a bound on memory. What a third party's check imports never is.
"""

import contextlib
import gc
import heapq
import importlib
import os
import sys
import time

#: Seconds between two runs of a check, beyond which nothing is imported for it.
OFTEN = 300.0
#: Bytes of resident memory from which on nothing more is imported.
LIMIT = 48 << 20
_SLICE = 0.02  # seconds of one step


class Preload:
    """What is yet to be imported, for the most frequent checks first."""

    def __init__(self) -> None:
        self._waiting: list[tuple[float, int, str]] = []
        self._known: set[str] = set()

    def add(self, names: tuple[str, ...], interval: float) -> None:
        """These were imported for a check with this interval in seconds."""
        if interval > OFTEN:
            return
        for name in names:
            if name not in self._known:
                self._known.add(name)
                heapq.heappush(self._waiting, (interval, len(self._known), name))

    def step(self) -> None:
        """Import for a moment."""
        if not self._waiting:
            return
        until = time.monotonic() + _SLICE
        while self._waiting and time.monotonic() < until:
            if resident() > LIMIT:
                self._waiting.clear()
                break
            _, _, name = heapq.heappop(self._waiting)
            if name not in sys.modules:
                with contextlib.suppress(Exception):  # some are made up, as six.moves is
                    importlib.import_module(name)
        if not self._waiting:
            gc.collect()
            gc.freeze()  # children then share these pages for longer


def resident() -> int:
    """Bytes of memory that this process has."""
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
