"""PostgreSQL, in the states that only it has, with real servers."""

import secrets
import socket
from pathlib import Path

import pytest

from biostudio_doctor.services import Login
from biostudio_doctor.services import postgresql as client
from biostudio_doctor.services.identify import SSL_REQUEST
from tests.lab import servers
from tests.lab.peers import Peer
from tests.services.conftest import ask


@pytest.mark.parametrize("user", ["owner", "reader"])
def test_postgresql_with_a_login(postgresql: servers.Postgresql, user: str) -> None:
    answer = ask(client, postgresql.port, login=Login(user, postgresql.password))
    assert (answer.state, answer.logged_in, answer.detail) == ("healthy", True, "")
    assert answer.version.partition(".")[0].isdecimal()
    assert answer.told["max_connections"] == 100 and answer.told["used_connections"] >= 1
    assert not answer.told["in_recovery"] and answer.told["replicas"] == []
    assert answer.told["offers_tls"] is False and answer.anonymous is None


def test_sessions_of_others_are_counted(postgresql: servers.Postgresql) -> None:
    import psycopg

    place = {"host": str(postgresql.directory), "port": postgresql.port, "dbname": "open"}
    with psycopg.connect(**place, user="owner"), psycopg.connect(**place, user="super"):
        login = Login("reader", postgresql.password)
        answer = ask(client, postgresql.port, login=login)
    assert answer.told["used_connections"] == 3


def test_postgresql_that_lets_anyone_in(postgresql: servers.Postgresql) -> None:
    login = Login("outsider")
    answer = ask(client, postgresql.port, login=login, database="open")
    assert (answer.state, answer.anonymous, answer.logged_in) == ("healthy", True, False)
    unknown = ask(client, postgresql.port, database="open")
    assert (unknown.state, unknown.anonymous) == ("healthy", True)


def test_postgresql_by_tls(
    postgresql_tls: servers.Postgresql, authority: servers.Authority
) -> None:
    answer = ask(
        client,
        postgresql_tls.port,
        login=Login("reader", postgresql_tls.password),
        database="secure",
        tls=True,
        ca_file=str(authority.ca_file),
    )
    assert (answer.state, answer.logged_in, answer.detail) == ("healthy", True, "")
    assert answer.told["offers_tls"] is True


def test_postgresql_that_wants_tls(postgresql_tls: servers.Postgresql) -> None:
    login = Login("reader", postgresql_tls.password)
    answer = ask(client, postgresql_tls.port, login=login, database="secure")
    assert answer.state == "tls" and "no encryption" in answer.detail


def test_postgresql_with_no_entry_at_all(postgresql_tls: servers.Postgresql) -> None:
    login = Login("reader", postgresql_tls.password)
    answer = ask(client, postgresql_tls.port, login=login, database="closed")
    assert answer.state == "denied" and "pg_hba.conf" in answer.detail
    anonymous = ask(client, postgresql_tls.port, database="closed")
    assert (anonymous.state, anonymous.anonymous) == ("password-needed", None)


def test_postgresql_without_such_a_database(postgresql: servers.Postgresql) -> None:
    login = Login("reader", postgresql.password)
    answer = ask(client, postgresql.port, login=login, database="postgres2")
    assert answer.state == "denied"


def test_postgresql_that_is_starting() -> None:
    """A standby that may not be asked answers with the same code, 57P03, for as long as it runs."""
    with servers.postgresql(None, "hot_standby=off", standby=True) as server:
        answer = ask(client, server.port)
    assert answer.state == "unwell" and "not accepting connections" in answer.detail


def test_postgresql_that_is_a_replica() -> None:
    with servers.postgresql(standby=True) as server:
        login = Login("reader", server.password)
        answer = ask(client, server.port, login=login)
    assert answer.state == "healthy" and answer.told["in_recovery"]
    assert answer.told["behind_seconds"] is None or answer.told["behind_seconds"] >= 0


def test_postgresql_that_is_full() -> None:
    import psycopg

    with servers.postgresql(
        None, "max_connections=5", "superuser_reserved_connections=0", "max_wal_senders=0"
    ) as server:
        held = [
            psycopg.connect(
                host=str(server.directory), port=server.port, user="owner", dbname="open"
            )
            for _ in range(5)
        ]
        try:
            answer = ask(client, server.port, login=Login("owner", server.password))
        finally:
            for session in held:
                session.close()
    assert answer.state == "unwell" and "too many" in answer.detail


def test_the_environment_of_libpq_does_not_matter(
    postgresql: servers.Postgresql, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "pass").write_text(f"*:*:*:*:{postgresql.password}\n")
    (tmp_path / "pass").chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "pass"))
    monkeypatch.setenv("PGPASSWORD", postgresql.password)
    monkeypatch.setenv("PGSSLMODE", "require")
    monkeypatch.setenv("PGOPTIONS", "-c nonsense=1")
    monkeypatch.setenv("PGHOSTADDR", "192.0.2.1")
    right, wrong = Login("reader", postgresql.password), Login("reader", secrets.token_hex(8))
    assert ask(client, postgresql.port, login=right).state == "healthy"
    assert ask(client, postgresql.port, login=wrong).state == "password-wrong"
    assert ask(client, postgresql.port).state == "password-needed"


def test_postgresql_that_answers_without_end() -> None:
    """Made: who welcomes everybody, and has more rows for a query than any memory holds."""
    row = b"D\0\0\0\x0b\0\x01\0\0\0\x01x"
    sent = 0

    def flood(connection: socket.socket) -> None:
        nonlocal sent
        if connection.recv(4096) == SSL_REQUEST:
            connection.sendall(b"N")
            return
        connection.sendall(b"R\0\0\0\x08\0\0\0\0" + b"Z\0\0\0\x05I")
        connection.recv(4096)  # BEGIN
        connection.sendall(b"C\0\0\0\x0aBEGIN\0" + b"Z\0\0\0\x05T")
        connection.recv(4096)
        connection.sendall(b"T\0\0\0\x1a\0\x01a\0" + bytes(18))
        while True:
            connection.sendall(row * 8192)
            sent += len(row) * 8192

    with Peer(flood) as peer:
        answer = ask(client, peer.port, login=Login("reader", secrets.token_hex(8)))
    assert (answer.state, "without end" in answer.detail) == ("unwell", True)
    assert 1 << 20 < sent < 256 << 20
