"""PyMySQL's connection, for servers that are not trusted: bounded, and with a password to guard."""

from __future__ import annotations

import struct
from ssl import SSLContext, SSLSocket
from typing import Any

from pymysql.connections import Connection
from pymysql.constants import CLIENT, CR
from pymysql.err import OperationalError

_LIMIT = 4 << 20  # bytes of a whole session
_GREETING_LIMIT = 64 << 10  # bytes; honest ones have some 100
#: A handshake response has the greatest packet size here (MySQL, "HandshakeResponse41").
_RESPONSE = b"\xff\xff\xff\0"
#: Bytes of what proves a password without telling it: nothing, mysql_native_password,
#: caching_sha2_password's short way, client_ed25519.
_PROOFS = (0, 20, 32, 64)
#: That send the password itself, or encrypt it with whatever key the server names.
_TELLING = ("sha256_password", "mysql_clear_password", "dialog")


class ForeignGreeting(Exception):  # noqa: N818
    """What greeted is no MySQL."""


class WithheldError(Exception):
    """The server asked for the password itself."""


class Guarded(Connection):  # type: ignore[misc]
    """Logs in over TLS wherever it is offered; see the module.

    With `ssl`, TLS is demanded, must verify by that context, and then the password may be told.
    `unverified` is the context of TLS otherwise; without either TLS is not begun.
    """

    def __init__(
        self, *, ssl: SSLContext | None, unverified: SSLContext | None, **options: Any
    ) -> None:
        super().__init__(
            ssl=ssl or unverified,
            ssl_disabled=ssl is None and unverified is None,
            charset="utf8mb4",
            autocommit=None,
            local_infile=False,  # or the server could ask for any file of ours
            program_name="biostudio-doctor",
            defer_connect=True,
            **options,
        )
        self._demanding = ssl is not None
        self._guarding = ssl is None and bool(self.password)
        self._left = _LIMIT
        self.greeted_as = ""  # the version in the greeting
        self.capabilities = 0

    @property
    def tls_version(self) -> str:
        """TLSv1.3 ..., '' where none was begun."""
        return (self._sock.version() or "") if isinstance(self._sock, SSLSocket) else ""

    def _get_server_information(self) -> None:
        try:
            super()._get_server_information()
            self.greeted_as = str(self.server_version)
            self.capabilities = int(self.server_capabilities)
            int(self.greeted_as.partition(".")[0])
        except (IndexError, ValueError, struct.error) as error:
            raise ForeignGreeting from error
        if self.protocol_version != 10:
            raise ForeignGreeting
        if not self.capabilities & CLIENT.SSL:
            if self._demanding:
                raise OperationalError(CR.CR_SSL_CONNECTION_ERROR, "it offers no TLS")
            self.ssl = False
            self.client_flag &= ~CLIENT.SSL
        if self._guarding and self._auth_plugin_name in _TELLING:
            raise WithheldError

    def _read_bytes(self, num_bytes: int) -> bytes:
        self._left -= num_bytes
        if self._left < 0:
            self._force_close()
            raise OperationalError(0, "it sent more than is read of one session")
        data: bytes = super()._read_bytes(num_bytes)
        if not self.greeted_as and num_bytes == 4 and self._is_no_greeting(data):
            raise ForeignGreeting
        return data

    @staticmethod
    def _is_no_greeting(header: bytes) -> bool:
        return header[3] != 0 or int.from_bytes(header[:3], "little") > _GREETING_LIMIT

    def write_packet(self, payload: bytes) -> None:
        """Only the login is written so; queries are not."""
        response = payload[4:8] == _RESPONSE
        told = payload.rstrip(b"\0") == self.password
        if self._guarding and not response and (told or len(payload) not in _PROOFS):
            self._force_close()
            raise WithheldError
        super().write_packet(payload)
