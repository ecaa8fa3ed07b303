"""What speaks at a port where something else was expected.

First it is listened to, since many services greet. Only if nothing comes are a TLS hello, an HTTP
request without a host, PostgreSQL's question for TLS, an MQTT connect and memcached's question for
its version sent, each on a connection of its own. None of them changes anything, and nobody is
logged in. Nothing more is sent to who greets: MySQL blocks hosts that go on wrongly.
"""

import re
from collections.abc import Sequence
from typing import Literal

import anyio
from msgspec import Struct

from biostudio_doctor.probes import tls
from biostudio_doctor.probes.direct import Dialler
from biostudio_doctor.probes.failures import ProbeError, one_line
from biostudio_doctor.probes.results import TlsResult
from biostudio_doctor.services.streams import exchange

Kind = Literal[
    "ssh", "smtp", "ftp", "imap", "pop3", "mysql", "vnc",  # that greet
    "http", "tls", "postgresql", "redis", "memcached", "mqtt", "beanstalkd", "nfs",
    "unknown", "silent", "closed",
]  # fmt: skip

_LIMIT = 2048  # bytes that are listened to
_QUOTED = 60  # characters of what is not understood

SSL_REQUEST = bytes.fromhex("0000000804d2162f")  # PostgreSQL, "Message Formats", SSLRequest
#: MQTT 3.1.1, 3.1: CONNECT, a clean session, no user, 60 s to keep alive, an id that the server
#: makes up; MQTT 3.14: DISCONNECT.
_MQTT_CONNECT = bytes.fromhex("100c 0004 4d515454 04 02 003c 0000 e000")
_HTTP = b"GET / HTTP/1.0\r\n\r\n"  # without a Host, which Redis takes for an attack and logs
_VERSION = b"version\r\n"  # memcached, which hangs up on HTTP
_QUESTIONS = (_HTTP, SSL_REQUEST, _MQTT_CONNECT, _VERSION)

#: What does not end the search: HTTPS servers tell in plain HTTP that they speak TLS.
_UNSURE: tuple[Kind, ...] = ("unknown", "http", "tls")


class Spoken(Struct, frozen=True):
    """What answers."""

    kind: Kind
    words: str = ""  # for a person: "an SSH server (OpenSSH_9.2)"


async def identify(dial: Dialler, name: str, *, timeout: float) -> Spoken:
    """Find out what answers, within `timeout` seconds; `name` is for TLS. Never raises."""
    greeting = await _heard(dial, b"", timeout / 3)
    if greeting:
        return recognise(greeting)
    heard: list[bytes | None] = []
    secured: list[TlsResult] = []
    left = timeout * 2 / 3

    async def question(data: bytes) -> None:
        words = await _heard(dial, data, left)
        heard.append(words)
        if words and recognise(words).kind not in _UNSURE:
            tasks.cancel_scope.cancel()

    async def hello() -> None:
        secured.append(await tls.probe(dial, name, timeout=left))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(hello)
        for data in _QUESTIONS:
            tasks.start_soon(question, data)
    return _conclusion(secured, greeting, heard)


def _conclusion(
    secured: Sequence[TlsResult], greeting: bytes | None, heard: Sequence[bytes | None]
) -> Spoken:
    for result in secured:
        if result.version or result.chain:
            return Spoken("tls", _certificate(result))
    understood = [recognise(words) for words in heard if words]
    for spoken in understood:
        if spoken.kind != "unknown":
            return spoken
    if understood:
        return understood[0]
    if greeting == b"" or b"" in heard:
        return Spoken("closed", "something that hangs up without a word")
    return Spoken("silent", "something that says nothing")


def recognise(heard: bytes) -> Spoken:
    """What speaks so, whether as a greeting or as an answer to one of the questions."""
    if heard[:4] in (b"\x20\x02\x00\x00", b"\x20\x02\x01\x00") or (
        len(heard) == 4 and heard[:2] == b"\x20\x02"
    ):
        return Spoken("mqtt", "an MQTT broker")
    if heard in (b"S", b"N"):
        return Spoken("postgresql", "PostgreSQL")
    if heard[:1] in (b"\x15", b"\x16") and heard[1:2] == b"\x03":
        return Spoken("tls", "a server that speaks TLS")
    mysql = _mysql(heard)
    if mysql:
        return mysql
    text = heard.decode("utf-8", "replace")
    for kind, pattern, words in _SAYINGS:
        found = pattern.match(text)
        if found:
            name = one_line(next(filter(None, found.groups()), ""), _QUOTED)
            return Spoken(kind, f"{words} ({name})" if name else words)
    first = text.partition("\n")[0].rstrip("\r")
    printable = sum(letter.isprintable() for letter in first) >= 0.9 * len(first) > 0
    said = f"'{one_line(first, _QUOTED)}'" if printable else f"the bytes {heard[:8].hex(' ')}"
    return Spoken("unknown", f"something that says {said}")


_PATTERNS: tuple[tuple[Kind, str, str], ...] = (
    ("ssh", r"SSH-[\d.]+-(\S+)", "an SSH server"),
    ("http", r"HTTP/\d(?:.{0,1500}?\r?\n(?:server: *([^\r\n]+)))?", "an HTTP server"),
    ("http", r"\s*<(?:!doctype html|html)()", "an HTTP server"),
    ("ftp", r"220[ -]\(?([^\r\n]*?ftp[^\r\n()]*)", "an FTP server"),
    ("smtp", r"220[ -]([^\r\n]*(?:smtp|mail|postfix|exim)[^\r\n]*)", "a mail server (SMTP)"),
    ("imap", r"\* (?:OK|PREAUTH|BYE)()", "a mail server (IMAP)"),
    ("pop3", r"\+OK [^\r\n]*(?:pop|ready|dovecot)()", "a mail server (POP3)"),
    ("vnc", r"RFB \d{3}\.\d{3}()", "a VNC server"),
    ("redis", r"(?:-ERR |-NOAUTH |-DENIED |-LOADING |-MISCONF |\+PONG)()", "Redis"),
    ("beanstalkd", r"UNKNOWN_COMMAND\r\n()", "a job queue (beanstalkd)"),
    ("memcached", r"(?:VERSION \d|ERROR\r\n|CLIENT_ERROR |SERVER_ERROR )()", "memcached"),
)
_SAYINGS = [
    (kind, re.compile(pattern, re.IGNORECASE | re.DOTALL), words)
    for kind, pattern, words in _PATTERNS
]  # fmt: skip


def _mysql(heard: bytes) -> Spoken | None:
    """A handshake of version 10, or an error in its place (MySQL, "Connection Phase")."""
    if len(heard) < 7 or heard[3] != 0 or int.from_bytes(heard[:3], "little") < 3:
        return None
    if heard[4] == 0xFF and len(heard) - 4 >= int.from_bytes(heard[:3], "little"):
        said = heard[7:].decode("utf-8", "replace")
        name = "MariaDB" if "MariaDB" in said else "MySQL or MariaDB"
        return Spoken("mysql", f"{name}, which says '{one_line(said, _QUOTED)}'")
    version = re.match(rb"[\w.:~+-]{3,60}\0", heard[5:])
    if heard[4] != 10 or not version:
        return None
    name = "MariaDB" if b"MariaDB" in version[0] else "MySQL"
    return Spoken("mysql", f"{name} {version[0][:-1].decode('ascii').removeprefix('5.5.5-')}")


def _certificate(secured: TlsResult) -> str:
    if not secured.chain:
        return "a server that speaks TLS"
    name = one_line(secured.chain[0].name, _QUOTED)
    return f"a server that speaks TLS, with a certificate for {name}"


async def _heard(dial: Dialler, data: bytes, patience: float) -> bytes | None:
    """What is said within a time; b"" if it hangs up without a word, None if it only waits."""
    with anyio.move_on_after(patience):
        try:
            return await exchange(dial, data, limit=_LIMIT)
        except (ProbeError, OSError):
            return b""
    return None
