"""A real MariaDB, private and unprivileged, with accounts of all kinds; and peers that are none."""

from __future__ import annotations

import secrets
import socket
import ssl
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pymysql

from tests.lab.network import free_port
from tests.lab.servers import Authority, as_user, directory, program, running

#: Each account, with what it is granted.
ACCOUNTS = {
    "full": "GRANT ALL PRIVILEGES ON *.* TO {}",
    "reader": "GRANT SELECT ON omics.* TO {}",
    "writer": "GRANT SELECT, INSERT, UPDATE (id) ON omics.samples TO {}",
    "nothing": "GRANT USAGE ON *.* TO {}",
    "tlsonly": "GRANT SELECT ON omics.* TO {} REQUIRE SSL",
    "locked": "ALTER USER {} ACCOUNT LOCK",
    "byrole": "GRANT keeper TO {}",
}
_TABLES = ("omics.samples", "omics.genes", "omics.cells", "plans.secret")


class MariaDb:
    """Where it is, and the password of each account, made at run time."""

    def __init__(self, port: int, authority: Authority, place: Path) -> None:
        self.port = port
        self._socket = str(place / "sock")
        self.authority = authority
        self.passwords = {name: secrets.token_hex(12) for name in ACCOUNTS}

    def answers(self) -> bool:
        """Whether it takes connections at its socket, which it opens after its port."""
        with socket.socket(socket.AF_UNIX) as trial:
            return trial.connect_ex(self._socket) == 0

    def execute(self, *statements: str) -> None:
        """As root."""
        with closing(pymysql.connect(unix_socket=self._socket, user="root")) as connection:
            for statement in statements:
                with connection.cursor() as cursor:
                    cursor.execute(statement)
            connection.commit()

    def furnish(self, admitted: str) -> None:
        """Make databases, and accounts that may come from the host `admitted`."""
        self.execute(
            "CREATE DATABASE omics",
            "CREATE DATABASE plans",
            *(f"CREATE TABLE {name} (id INT)" for name in _TABLES),
            "CREATE ROLE keeper",
            "GRANT INSERT ON omics.* TO keeper",
        )
        for name, grant in ACCOUNTS.items():
            account = f"{name}@'{admitted}'"
            made = f"CREATE USER {account} IDENTIFIED BY '{self.passwords[name]}'"
            self.execute(made, grant.format(account))


@contextmanager
def mariadb(*options: str, tls: bool = True, admitted: str = "%") -> Iterator[MariaDb]:
    """A server until the block ends; `options` are for mariadbd."""
    with directory() as place:
        data = place / "data"
        # Whoever starts with a shared tmpdir removes the temporary tables of all others.
        own = (f"--datadir={data}", f"--tmpdir={place}", "--innodb-buffer-pool-size=8M",
               "--innodb-log-file-size=4M", "--innodb-flush-log-at-trx-commit=0")  # fmt: skip
        as_user([
            program("mariadb-install-db"), "--no-defaults", *own, "--skip-test-db",
            "--auth-root-authentication-method=normal",
            "--force",  # though the host's own name may have no address
        ])  # fmt: skip
        authority = Authority(place)
        server = MariaDb(free_port(), authority, place)
        secured = (f"--ssl-cert={authority.certificate}", f"--ssl-key={authority.key}")
        command = [
            program("mariadbd"), "--no-defaults", *own, f"--port={server.port}",
            "--bind-address=127.0.0.1,127.0.0.2", f"--socket={place}/sock",
            f"--pid-file={place}/pid", "--skip-log-bin",
            *(secured if tls else ("--skip-ssl",)), *options,
        ]  # fmt: skip
        with running(command, server.port, log=place / "log", ready=server.answers):
            server.furnish(admitted)
            yield server


# --- Peers that are made, for what MariaDB does not do, and MySQL or a rogue would ----------------

_CAPABILITIES = 0x81BFFFFF & ~0x20  # of MySQL 8.0, without compression
_SSL = 0x800


def packet(sequence: int, payload: bytes) -> bytes:
    return struct.pack("<I", len(payload))[:3] + bytes([sequence]) + payload


def greeting(
    plugin: str = "mysql_native_password", *, version: str = "8.0.36", tls: bool = False
) -> bytes:
    """A handshake of version 10 (MySQL, "Protocol::HandshakeV10")."""
    capabilities = _CAPABILITIES if tls else _CAPABILITIES & ~_SSL
    salt = b"abcdefgh" + b"ijklmnopqrst"
    return packet(
        0,
        b"\x0a" + version.encode() + b"\0" + struct.pack("<I", 7) + salt[:8] + b"\0"
        + struct.pack("<HBHHB", capabilities & 0xFFFF, 255, 2, capabilities >> 16, 21)
        + bytes(10) + salt[8:] + b"\0" + plugin.encode() + b"\0",
    )  # fmt: skip


def error(code: int, words: str, sequence: int = 0) -> bytes:
    return packet(sequence, b"\xff" + struct.pack("<H", code) + b"#HY000" + words.encode())


OK = b"\0\0\0\x02\0\0\0"

#: What a peer says next, by what it heard.
Script = Sequence[bytes | Callable[[bytes], bytes]]


class Rogue:
    """A behaviour for `Peer` that follows a script, and remembers all that it was told."""

    def __init__(
        self, *script: bytes, plugin: str = "mysql_native_password",
        context: ssl.SSLContext | None = None,
    ) -> None:  # fmt: skip
        self._script = script
        self._plugin = plugin
        self._context = context
        self.heard = b""

    def __call__(self, connection: socket.socket) -> None:
        connection.sendall(greeting(self._plugin, tls=self._context is not None))
        sequence = 2
        if self._context:
            connection.recv(36, socket.MSG_WAITALL)  # SSLRequest; TLS begins behind it
            connection = self._context.wrap_socket(connection, server_side=True)
            sequence = 3
        for payload in self._script:
            heard = self._read(connection)
            if heard and heard[3] == 0:  # a command begins to count anew
                sequence = 1
            connection.sendall(packet(sequence, payload))
            sequence += 2
        while self._read(connection):
            pass

    def _read(self, connection: socket.socket) -> bytes:
        data = connection.recv(65536)
        self.heard += data
        return data
