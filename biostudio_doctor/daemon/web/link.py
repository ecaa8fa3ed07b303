"""The pair of sockets to the supervisor: JSON lines of a bounded size, both ways."""

import asyncio
import logging
from collections.abc import Callable

import msgspec

from biostudio_doctor.daemon.messages import Reload, Reloaded, ToSupervisor, ToWeb

_LINE_LIMIT = 32 << 20  # bytes: a report with all its facts has about one million
_log = logging.getLogger("web.link")  # its name is the event's


class Link(asyncio.Protocol):
    """Reads what the supervisor tells, and asks it to reload."""

    def __init__(self, hear: Callable[[ToWeb], None], ended: Callable[[], None]) -> None:
        self._hear = hear
        self._ended = ended
        self._decoder = msgspec.json.Decoder(ToWeb)
        self._buffer = bytearray()
        self._skipping = False  # the rest of a line that was too long
        self._transport: asyncio.WriteTransport | None = None
        self._asked: asyncio.Future[Reloaded] | None = None

    async def reload(self, patience: float) -> Reloaded:
        """Have the configuration read again. Those who ask at the same time share the answer.

        Raises:
            TimeoutError: if the answer takes longer than `patience` seconds.
        """
        if self._asked is None or self._asked.done():
            self._asked = asyncio.get_running_loop().create_future()
            self.tell(Reload())
        return await asyncio.wait_for(asyncio.shield(self._asked), patience)

    def tell(self, message: ToSupervisor) -> None:
        """Say this to the supervisor."""
        if self._transport:
            self._transport.write(msgspec.json.encode(message) + b"\n")

    def reloaded(self, answer: Reloaded) -> None:
        """The answer has come."""
        if self._asked and not self._asked.done():
            self._asked.set_result(answer)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Both ways are open."""
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Take whole lines; a line that is too long is left out, and what follows is read."""
        *ends, rest = data.split(b"\n")
        for end in ends:
            self._buffer += end
            if not self._skipping:
                self._understand()
            self._skipping = False
            self._buffer = bytearray()
        self._buffer += rest
        if len(self._buffer) > _LINE_LIMIT:
            _log.error("a message of the supervisor is too long and was left out")
            self._skipping = True
        if self._skipping:
            self._buffer = bytearray()

    def connection_lost(self, exc: Exception | None) -> None:
        """The supervisor is gone, so nothing would ever be told again."""
        self._ended()

    def _understand(self) -> None:
        try:
            message = self._decoder.decode(self._buffer)
        except msgspec.DecodeError as error:
            _log.error("a message of the supervisor was not understood: %s", error)
            return
        self._hear(message)
