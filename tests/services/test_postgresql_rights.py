"""What a PostgreSQL account is told to have, and a password that is not handed over."""

import secrets
import socket
from typing import Any

import anyio
import psycopg
import pytest

from biostudio_doctor.services import Answer, Login, Target, postgresql
from tests.lab import servers
from tests.lab.peers import Peer
from tests.lab.timing import wait_until

SECRET = Login("omics", secrets.token_hex(12))
CLEARTEXT, SCRAM = 3, 10


def ask(port: int, login: Login, **more: Any) -> Answer:
    target = Target(host="127.0.0.1", port=port, login=login, **more)

    async def wait() -> Answer:
        return await postgresql.ask(target, rights=True)

    return anyio.run(wait)


def test_rights(postgresql: servers.Postgresql) -> None:
    name = f"rights_{secrets.token_hex(4)}"
    with psycopg.connect(
        host=str(postgresql.directory), port=postgresql.port, user="super", dbname="postgres",
        autocommit=True,
    ) as session:  # fmt: skip
        session.execute(f"create schema {name}")
        session.execute(f"create table {name}.a (id int, note text)")
        session.execute(f"create view {name}.b as select 1 as one")
        session.execute(f"create table {name}.hidden (id int)")
        session.execute(f"grant usage on schema {name} to reader")
        session.execute(f"grant select (id) on {name}.a to reader")
        session.execute(f"grant select on {name}.b to reader")
        try:
            reads = ask(postgresql.port, Login("reader", postgresql.password)).told
            session.execute(f"grant update (note) on {name}.a to reader")
            writes = ask(postgresql.port, Login("reader", postgresql.password)).told
            session.execute("alter role reader superuser")
            rules = ask(postgresql.port, Login("reader", postgresql.password)).told
        finally:
            session.execute("alter role reader nosuperuser")
            session.execute(f"drop schema {name} cascade")
    assert (reads["tables"], reads["schemas"], reads["writes"]) == (2, 1, [])
    assert writes["writes"] == ["tables"]
    assert rules["writes"] == ["everything, as a superuser"] and rules["tables"] >= 3


@pytest.mark.parametrize("first", [CLEARTEXT, SCRAM], ids=["asks for it", "changes its mind"])
def test_the_password_does_not_travel_readable(first: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A made server: it wants the password itself, at once or only of libpq."""
    monkeypatch.setattr(postgresql, "is_loopback", lambda _address: False)
    heard: list[bytes] = []
    wanted = [first, CLEARTEXT]

    def serve(connection: socket.socket) -> None:
        data = connection.recv(4096)
        if data[4:8] == b"\x04\xd2\x16\x2f":  # SSLRequest
            connection.sendall(b"N")
            data = connection.recv(4096)
        if not data:
            return
        heard.append(data)
        code = wanted.pop(0) if len(wanted) > 1 else wanted[0]
        mechanisms = b"SCRAM-SHA-256\0\0" if code == SCRAM else b""
        body = (8 + len(mechanisms)).to_bytes(4, "big") + code.to_bytes(4, "big") + mechanisms
        connection.sendall(b"R" + body)
        heard.append(connection.recv(4096))

    with Peer(serve) as peer:
        answer = ask(peer.port, SECRET, timeout=4)
        wait_until(lambda: not peer.open, "the end of the connection")
    assert any(SECRET.user.encode() in words for words in heard)
    assert not any(SECRET.password.encode() in words for words in heard)
    assert SECRET.password not in repr(answer)
    if first == CLEARTEXT:
        assert answer.state == "plain" and "password itself" in answer.detail
    elif psycopg.pq.version() >= 160000:
        assert not answer.logged_in and len(heard) >= 3
