"""What is said before TLS where a protocol begins without it.

Each prelude is given a fresh stream, and leaves it where the next byte of ours is a ClientHello.
Answers are read up to a limit, and what comes after them is refused: bytes that were sent before
TLS must not be taken for bytes that came through it (RFC 3207, 5; CVE-2021-23222 of PostgreSQL).
The time is limited by whoever calls.
"""

from collections.abc import Awaitable, Callable

from anyio.abc import ByteStream

from biostudio_doctor.probes import Failure
from biostudio_doctor.probes.failures import ProbeError, one_line

Prelude = Callable[[ByteStream], Awaitable[None]]

_LINE_LIMIT = 512  # bytes with their end (RFC 5321, 4.5.3.1.5)
_LINES = 100  # of one answer
_MESSAGE_LIMIT = 4096  # bytes of an answer of LDAP

#: SSLRequest (postgresql.org/docs/current/protocol-message-formats.html): its length and its code.
_SSL_REQUEST = bytes.fromhex("00000008 04d2162f")

#: LDAPMessage 1 with an ExtendedRequest, whose name is 1.3.6.1.4.1.1466.20037 (RFC 4511, 4.14.1).
_START_TLS = bytes.fromhex("301d 020101 7718 8016") + b"1.3.6.1.4.1.1466.20037"
_EXTENDED_RESPONSE, _ENUMERATED = 0x78, 0x0A


async def postgresql(stream: ByteStream) -> None:
    """PostgreSQL (protocol-flow.html, "SSL Session Encryption"): one byte says yes or no.

    Raises:
        ProbeError: if it says no, or something else.
    """
    await stream.send(_SSL_REQUEST)
    answer = await stream.receive(1)
    if answer == b"N":
        raise _refused("PostgreSQL says that it has no TLS here (ssl = off)")
    if answer != b"S":
        raise _odd("PostgreSQL", answer)


async def smtp(stream: ByteStream) -> None:
    """SMTP (RFC 3207): greeting, EHLO, STARTTLS.

    Raises:
        ProbeError: if it does not offer STARTTLS, or says something else.
    """
    await _smtp_answer(stream, "220")
    await stream.send(b"EHLO biostudio-doctor.invalid\r\n")
    offers = await _smtp_answer(stream, "250")
    if not any(line[4:].strip().upper() == "STARTTLS" for line in offers):
        raise _refused("the mail server does not offer STARTTLS")
    await stream.send(b"STARTTLS\r\n")
    await _smtp_answer(stream, "220")


async def ldap(stream: ByteStream) -> None:
    """LDAP (RFC 4511, 4.14): the extended operation StartTLS.

    Raises:
        ProbeError: if it is refused, or something else comes back.
    """
    await stream.send(_START_TLS)
    header = await _exactly(stream, 2, "LDAP")
    length = header[1]
    if header[0] != 0x30:
        raise _odd("LDAP", header)
    if length & 0x80:  # the number of bytes that the length itself takes
        if not 0 < length & 0x7F <= 4:
            raise _odd("LDAP", header)
        length = int.from_bytes(await _exactly(stream, length & 0x7F, "LDAP"), "big")
    if length > _MESSAGE_LIMIT:
        raise _odd("LDAP", header)
    code = _result_code(await _exactly(stream, length, "LDAP"))
    if code is None:
        raise _odd("LDAP", header)
    if code:
        raise _refused(f"the directory refuses StartTLS (LDAP result {code})")


PRELUDES: dict[str, Prelude] = {"postgresql": postgresql, "smtp": smtp, "ldap": ldap}


def _result_code(message: bytes) -> int | None:
    """Of an ExtendedResponse to message 1; None where it is none."""
    if message[:4] != b"\x02\x01\x01" + bytes([_EXTENDED_RESPONSE]) or len(message) < 5:
        return None
    at = 5 + (message[4] & 0x7F if message[4] & 0x80 else 0)
    found = message[at : at + 3]
    return found[2] if found[:2] == bytes([_ENUMERATED, 1]) and len(found) == 3 else None


async def _smtp_answer(stream: ByteStream, wanted: str) -> list[str]:
    """The lines of one answer (RFC 5321, 4.2.1): all but the last have a dash after the code."""
    lines: list[str] = []
    while len(lines) < _LINES:
        line = (await _line(stream)).decode("ascii", "replace")
        lines.append(line)
        if line[:3] != wanted:
            raise ProbeError(
                Failure("tls", "bad-response", f"the mail server says '{one_line(line)}'")
            )
        if line[3:4] != "-":
            return lines
    raise ProbeError(Failure("tls", "too-large", "its answer has no end"))


async def _line(stream: ByteStream) -> bytes:
    """Up to the end of a line, byte by byte, since what follows it may be TLS already."""
    line = b""
    while not line.endswith(b"\n"):
        if len(line) >= _LINE_LIMIT:
            raise ProbeError(Failure("tls", "too-large", "it sends a line without an end"))
        line += await stream.receive(1)
    return line.rstrip()


async def _exactly(stream: ByteStream, count: int, who: str) -> bytes:
    data = b""
    while len(data) < count:
        data += await stream.receive(count - len(data))
    return data


def _refused(detail: str) -> ProbeError:
    return ProbeError(Failure("tls", "tls-protocol", detail))


def _odd(who: str, answer: bytes) -> ProbeError:
    return ProbeError(
        Failure("tls", "bad-response", f"it is no {who}: it says bytes {answer[:8].hex(' ')}")
    )
