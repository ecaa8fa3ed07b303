"""A few bytes there and back: for protocols whose first words tell enough."""

from collections.abc import Awaitable, Callable

import anyio
from anyio.abc import ByteStream

#: Opens a fresh connection.
Opener = Callable[[], Awaitable[ByteStream]]


async def exchange(
    dial: Opener, data: bytes, *, limit: int = 4096, enough: Callable[[bytes], bool] = bool
) -> bytes:
    """Send something on a fresh connection; what came until that is `enough`, or `limit` bytes.

    The caller bounds the time. What came before the other side hung up is returned as well; b"" if
    it hung up without a word.
    """
    stream = await dial()
    try:
        return await converse(stream, data, limit=limit, enough=enough)
    finally:
        await anyio.aclose_forcefully(stream)


async def converse(
    stream: ByteStream, data: bytes, *, limit: int = 4096, enough: Callable[[bytes], bool] = bool
) -> bytes:
    """As `exchange`, on a connection that is there already and stays."""
    heard = b""
    try:
        if data:
            await stream.send(data)
        while len(heard) < limit and not enough(heard):
            heard += await stream.receive(limit - len(heard))
    except (anyio.EndOfStream, anyio.BrokenResourceError, ConnectionError):
        pass
    return heard
