"""A connection, lent to a client library that blocks and sets no bounds itself.

The library gets one end of a pair of local sockets; what passes between the other end and the
service is counted and timed here, and TLS is spoken here. When time is up, or more came than any
honest service sends, the library's end is hung up, and so its thread comes to an end too.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import anyio
from anyio.abc import ByteStream, TaskGroup

from biostudio_doctor.probes.direct import Dialler
from biostudio_doctor.services import Target
from biostudio_doctor.services.connection import in_thread, secured

_LIMIT = 256 << 10  # bytes from the service; brokers and queues tell of themselves in 2 KiB
_HEARD = 512  # first bytes that are kept, to tell what speaks if it is another protocol
_FAREWELL = 0.2  # seconds for the library's last words to pass on

ResultT = TypeVar("ResultT")


class Loan:
    """One connection, and what was heard on it."""

    def __init__(self) -> None:
        self._ours, self.socket = socket.socketpair()
        self._ours.setblocking(False)
        self._left = _LIMIT
        self.heard = b""

    async def lend(
        self, dial: Dialler, target: Target, use: Callable[[socket.socket], ResultT]
    ) -> ResultT:
        """Connect, and have `use` called with the library's end, in a thread. The caller bounds it.

        Raises:
            ProbeError, OSError: if no connection can be had.
            Exception: whatever `use` raises.
        """
        try:
            stream = await secured(dial, target)
        except BaseException:
            self._ours.close()
            self.socket.close()
            raise
        try:
            async with anyio.create_task_group() as pumps:
                outcome = await self._use(stream, use, pumps)
        finally:
            self._ours.close()
            await anyio.aclose_forcefully(stream)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def _use(
        self, stream: ByteStream, use: Callable[[socket.socket], ResultT], pumps: TaskGroup
    ) -> ResultT | Exception:
        """What came of it; an exception is carried out of the group of tasks, which wraps them."""
        emptied = anyio.Event()
        pumps.start_soon(self._inwards, stream)
        pumps.start_soon(self._outwards, stream, emptied)

        def borrow() -> ResultT:
            with self.socket:  # which is closed by the thread that uses it, never under its hands
                return use(self.socket)

        outcome: ResultT | Exception
        try:
            outcome = await in_thread(borrow)
        except Exception as error:
            outcome = error
        with anyio.move_on_after(_FAREWELL):
            await emptied.wait()
        pumps.cancel_scope.cancel()
        return outcome

    async def _inwards(self, stream: ByteStream) -> None:
        with suppress(OSError, anyio.EndOfStream, anyio.BrokenResourceError):
            while self._left > 0:
                data = await stream.receive()
                self.heard = (self.heard + data)[:_HEARD]
                self._left -= len(data)
                await asyncio.get_running_loop().sock_sendall(self._ours, data)
        with suppress(OSError):
            self._ours.shutdown(socket.SHUT_WR)

    async def _outwards(self, stream: ByteStream, emptied: anyio.Event) -> None:
        with suppress(OSError, anyio.BrokenResourceError):
            while data := await asyncio.get_running_loop().sock_recv(self._ours, 65536):
                await stream.send(data)
        emptied.set()
