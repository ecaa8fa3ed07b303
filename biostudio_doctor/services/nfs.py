"""NFS: the question for nothing (RFC 5531, the NULL procedure), and which versions are served.

It is asked in version 0, which no server has: the refusal names the lowest and the highest one.
"""

import struct

from biostudio_doctor.probes.direct import Dialler
from biostudio_doctor.services import Answer, Target
from biostudio_doctor.services.connection import ForeignError, ask
from biostudio_doctor.services.streams import exchange

PORT = 2049
_PROGRAM = 100003
_XID = 0x62646E66
_LAST = 1 << 31  # of a record: no further fragment follows (RFC 5531, 11)
#: xid, CALL, RPC version 2, program, version, procedure, then no credentials and no verifier.
_CALL = struct.pack(">10I", _XID, 0, 2, _PROGRAM, 0, 0, 0, 0, 0, 0)
_QUESTION = struct.pack(">I", _LAST | len(_CALL)) + _CALL
_REPLY = struct.Struct(">9I")  # mark, xid, REPLY, accepted, verifier of length 0, why, low, high
_MISMATCH = 2  # PROG_MISMATCH


async def probe(server: str, *, timeout: float, port: int = PORT) -> Answer:
    """Whether NFS answers at a port, and in which versions; never raises for the network."""
    return await ask(Target(host=server, port=port, timeout=timeout), "nfs", _talk)


async def _talk(dial: Dialler, target: Target) -> Answer:
    heard = await exchange(dial, _QUESTION, limit=512, enough=_is_whole)
    versions = parse_reply(heard)
    if not versions:
        raise ForeignError("no answer of NFS")
    low, high = versions
    return Answer(
        host=target.host,
        port=target.port,
        state="healthy",
        version=f"{low} to {high}" if low != high else str(low),
        told={"lowest": low, "highest": high},
    )


def parse_reply(heard: bytes) -> tuple[int, int] | None:
    """The lowest and the highest version of a reply; None if it is none of NFS."""
    if len(heard) < _REPLY.size:
        return None
    mark, xid, kind, denied, _flavour, length, why, low, high = _REPLY.unpack_from(heard)
    expected = _LAST | (_REPLY.size - 4)
    if (mark, xid, kind, denied, length, why) != (expected, _XID, 1, 0, 0, _MISMATCH):
        return None
    return (low, high) if 2 <= low <= high <= 9 else None


def _is_whole(heard: bytes) -> bool:
    """Whether nothing more can make it an answer: it is all there, or begins otherwise."""
    begins = struct.pack(">II", _LAST | (_REPLY.size - 4), _XID)
    return len(heard) >= _REPLY.size or not begins.startswith(heard[: len(begins)])
