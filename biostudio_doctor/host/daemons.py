"""Daemons behind local sockets: does one listen, does it answer, and what does it say?

The answers are small and the questions few, so http.client of the standard library asks them:
httpx takes longer to import than all of them to answer.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from biostudio_doctor import text

if TYPE_CHECKING:
    from http.client import HTTPResponse

    from biostudio_doctor.host import Host

State = Literal[
    "answers",
    "silent",  # it listens, and nothing comes back in time
    "refused",  # there is a socket, and nobody listens
    "denied",  # this user may not open the socket
    "absent",  # there is no socket
    "asleep",  # connecting would start it, so it was not asked
    "odd",  # what comes back is not what it should be; the detail says it
]

_REPLY_LIMIT = 8 << 20
_PIECE = 64 << 10
_EXCUSE_LIMIT = 200  # characters
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"  # RFC 9113, 3.4
_SETTINGS = 4  # frame type, RFC 9113, 6.5
_FRAME_HEADER = 9  # length (3), type (1), flags (1), stream (4)
_EMPTY_SETTINGS = bytes([0, 0, 0, _SETTINGS, 0, 0, 0, 0, 0])


class Answer(Struct, frozen=True):
    """What came of asking a daemon."""

    state: State
    detail: str = ""  # for a person, one line
    body: bytes = b""


def http_get(host: Host, path: str, route: str, timeout: float) -> Answer:
    """GET over a unix socket; `timeout` in seconds for each step."""
    try:
        with contextlib.closing(_connect(host, path, timeout)) as connection:
            return _get(host, connection, path, route, timeout)
    except OSError as error:
        return failure(error)


def http_stream(host: Host, path: str, route: str, timeout: float) -> Iterator[bytes]:
    """The same in pieces, however much it is; whoever has enough closes the iterator.

    Raises:
        OSError: if it cannot be had, or the daemon declines, with its own words.
    """
    import http.client

    with contextlib.closing(_connect(host, path, timeout)) as connection:
        try:
            response = _request(host, connection, path, route, timeout)
            if response.status != http.client.OK:
                said = text.printable(response.read(_PIECE).decode("utf-8", "replace"))
                problem = f"it answered HTTP {response.status}: {said.strip()[:_EXCUSE_LIMIT]}"
                raise OSError(errno.EREMOTEIO, problem, route)
            while piece := response.read1(_PIECE):
                yield piece
        except http.client.HTTPException as error:
            raise _no_http(error) from None


def http_get_local(host: Host, port: int, route: str, timeout: float) -> Answer:
    """GET from a TCP port of 127.0.0.1."""
    where = f"127.0.0.1:{port}"
    try:
        with (
            host.doing(f"connect to {where}"),
            socket.create_connection(("127.0.0.1", port), timeout) as connection,
        ):
            return _get(host, connection, where, route, timeout)
    except OSError as error:
        return failure(error)


def grpc_hello(host: Host, path: str, timeout: float) -> Answer:
    """Whether a gRPC server is alive behind a unix socket.

    gRPC speaks HTTP/2, where each side begins with its settings; a server that is stopped or wedged
    is connected to by the kernel all the same, but never sends them.
    """
    try:
        with (
            contextlib.closing(_connect(host, path, timeout)) as connection,
            host.doing(f"ask {path} for its HTTP/2 settings"),
        ):
            connection.sendall(_PREFACE + _EMPTY_SETTINGS)
            header = _receive(connection, _FRAME_HEADER)
    except OSError as error:
        return failure(error)
    if len(header) < _FRAME_HEADER or header[3] != _SETTINGS:
        return Answer("odd", "what answers there does not speak gRPC")
    return Answer("answers")


def failure(error: OSError) -> Answer:
    """What an error says of the daemon."""
    detail = error.strerror or str(error) or type(error).__name__
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return Answer("absent", detail)
    if isinstance(error, PermissionError):
        return Answer("denied", detail)
    if isinstance(error, ConnectionRefusedError):
        return Answer("refused", detail)
    # A full backlog is EAGAIN on a unix socket: nobody has accepted for a long time.
    if isinstance(error, TimeoutError | BlockingIOError):
        return Answer("silent", "it did not answer in time")
    return Answer("odd", detail)


def _connect(host: Host, path: str, timeout: float) -> socket.socket:
    """Connect by way of the directory, since a socket's address has room for 107 bytes only."""
    with host.doing(f"connect to {path}"):
        where = host.path(path)
        directory = os.open(os.path.dirname(where), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(timeout)
            connection.connect(f"/proc/self/fd/{directory}/{os.path.basename(where)}")
        except BaseException:
            connection.close()
            raise
        finally:
            os.close(directory)
    return connection


def _get(host: Host, connection: socket.socket, where: str, route: str, timeout: float) -> Answer:
    import http.client

    try:
        response = _request(host, connection, where, route, timeout)
        with host.doing(f"ask {where} for {route}"):
            body = response.read(_REPLY_LIMIT)
    except http.client.HTTPException as error:
        raise _no_http(error) from None
    if response.status != http.client.OK:
        return Answer("odd", f"it answered {route} with HTTP {response.status}", body)
    return Answer("answers", body=body)


def _request(
    host: Host, connection: socket.socket, where: str, route: str, timeout: float
) -> HTTPResponse:
    import http.client

    client = http.client.HTTPConnection("localhost", timeout=timeout)
    client.sock = connection
    with host.doing(f"ask {where} for {route}"):
        client.request("GET", route, headers={"Connection": "close"})
        return client.getresponse()


def _no_http(error: Exception) -> OSError:
    name = type(error).__name__
    return OSError(errno.EPROTO, f"what answers there does not speak HTTP ({name})")


def _receive(connection: socket.socket, count: int) -> bytes:
    """`count` bytes, or fewer where the peer ends."""
    received = b""
    while len(received) < count and (part := connection.recv(count - len(received))):
        received += part
    return received
