"""The first words with PostgreSQL: is TLS offered, and what is wanted of who logs in.

They are exchanged here and not by libpq, which tells errors of connecting only as a sentence in the
server's language, without their SQLSTATE. They are described in PostgreSQL's documentation,
"Frontend/Backend Protocol": "Message Flow" and "Message Formats".
"""

from typing import Literal

from anyio.abc import ByteStream
from msgspec import Struct

from biostudio_doctor.probes.failures import one_line
from biostudio_doctor.services import Target
from biostudio_doctor.services.connection import ForeignError
from biostudio_doctor.services.identify import SSL_REQUEST
from biostudio_doctor.services.streams import converse

_PROTOCOL = 3 << 16  # version 3.0
_LIMIT = 8192  # bytes of the first answer
_QUOTED = 160  # characters of its message
_CLEARTEXT = 3


class FirstWord(Struct, frozen=True, kw_only=True):
    """What a server says to who wants to log in, before any password."""

    kind: Literal["welcome", "password", "error"]
    code: str = ""  # SQLSTATE
    message: str = ""
    readable: bool = False  # the password is wanted as it is (AuthenticationCleartextPassword)


async def begin_tls(stream: ByteStream) -> bool:
    """Ask for TLS: one byte says whether it is to begin now."""
    heard = await converse(stream, SSL_REQUEST, limit=64)
    if not heard:
        raise EOFError
    if heard not in (b"S", b"N"):
        raise ForeignError
    return heard == b"S"


async def log_in_on(stream: ByteStream, target: Target) -> FirstWord:
    """Ask to log in, without a password; the connection is of no more use then."""
    request = startup_message(target.login.user if target.login else "", target.database)
    return first_word(await converse(stream, request, limit=_LIMIT, enough=_is_whole))


def startup_message(user: str, database: str) -> bytes:
    """StartupMessage: whom to log in, and where to."""
    parameters = {"user": user or "postgres", "database": database or "postgres",
                  "application_name": "biostudio-doctor"}  # fmt: skip
    words = b"".join(
        word.replace("\0", "").encode() + b"\0" for pair in parameters.items() for word in pair
    )
    body = _PROTOCOL.to_bytes(4, "big") + words + b"\0"
    return (len(body) + 4).to_bytes(4, "big") + body


def _is_whole(heard: bytes) -> bool:
    return len(heard) >= 5 and len(heard) >= 1 + int.from_bytes(heard[1:5], "big")


def first_word(heard: bytes) -> FirstWord:
    """Understand AuthenticationOk, any other Authentication..., and ErrorResponse.

    Raises:
        EOFError: if nothing came.
        ForeignError: if it is none of these.
    """
    if not heard:
        raise EOFError
    if heard[:1] == b"R" and len(heard) >= 9:
        wanted = int.from_bytes(heard[5:9], "big")
        return FirstWord(kind="password" if wanted else "welcome", readable=wanted == _CLEARTEXT)
    if heard[:1] != b"E" or len(heard) < 6:
        raise ForeignError
    fields = {
        field[:1]: field[1:].decode("utf-8", "replace") for field in heard[5:].split(b"\0") if field
    }
    code, message = fields.get(b"C", ""), fields.get(b"M", "")
    return FirstWord(kind="error", code=one_line(code, 5), message=one_line(message, _QUOTED))
