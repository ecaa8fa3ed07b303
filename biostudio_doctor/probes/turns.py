"""Few at once, and nobody waits without end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio


class Turns:
    """`at_once` may go at a time; another one waits `seconds` at most, as silent hosts hold theirs.

    Handshakes cost memory and computing time, and hundreds at once would measure each other.
    """

    def __init__(self, at_once: int, seconds: float) -> None:
        self._free = asyncio.Semaphore(at_once)
        self._seconds = seconds

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait until this is one of few, or for long enough."""
        taken = False
        try:
            with anyio.move_on_after(self._seconds):
                taken = await self._free.acquire()
            yield
        finally:
            if taken:
                self._free.release()
