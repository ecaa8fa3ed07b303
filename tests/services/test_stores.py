"""PostgreSQL, Redis and memcached, in the states that they share, with real servers."""

import asyncio
import itertools
import secrets
from contextlib import suppress
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biostudio_doctor.services import (
    Login,
    Target,
    connection,
    memcached,
    postgresql,
    postgresql_wire,
    redis,
)
from tests.lab import servers
from tests.lab.certificates import make
from tests.lab.network import free_port
from tests.lab.peers import Peer, endless, reset, saying, server_context, silent, tls
from tests.services.conftest import PASSWORD, ask

CLIENTS = {"postgresql": postgresql, "redis": redis, "memcached": memcached}
EVERY_CLIENT = pytest.mark.parametrize("client", CLIENTS.values(), ids=CLIENTS)
SECURE = pytest.mark.parametrize(
    "client", [postgresql, redis], ids=["postgresql", "redis"]
)  # that may be expected to speak TLS


@EVERY_CLIENT
def test_stopped(client: ModuleType) -> None:
    answer = ask(client, free_port())
    assert answer.state == "refused"
    assert answer.failure and answer.failure.reason == "refused"


@EVERY_CLIENT
def test_no_such_host(client: ModuleType) -> None:
    answer = asyncio.run(client.ask(Target(host="nowhere.invalid", port=1, timeout=20)))
    assert answer.state == "unreachable"


@EVERY_CLIENT
def test_hanging_after_accept(client: ModuleType) -> None:
    with Peer(silent) as peer:
        assert ask(client, peer.port, timeout=1.5).state == "silent"


@EVERY_CLIENT
def test_hanging_up_after_accept(client: ModuleType) -> None:
    with Peer(lambda connection: None) as peer:
        assert ask(client, peer.port).state == "closed"
    with Peer(reset) as peer:
        assert ask(client, peer.port).state == "closed"


@EVERY_CLIENT
@pytest.mark.parametrize("flood", [b"\0", b"x", b"-ERR \r\n", b"R\0\0\0\x08\0\0\0\x0a", b"S"])
def test_a_flood_of_garbage(client: ModuleType, flood: bytes) -> None:
    with Peer(endless(flood * 1000)) as peer:
        assert ask(client, peer.port, timeout=1.5).state in ("foreign", "unwell", "silent")


@EVERY_CLIENT
@pytest.mark.parametrize(
    ("greeting", "words"),
    [
        (b"SSH-2.0-OpenSSH_9.2p1\r\n", "an SSH server (OpenSSH_9.2p1)"),
        (b"220 mail.lab ESMTP Postfix\r\n", "a mail server (SMTP) (mail.lab ESMTP Postfix)"),
        (b"hello\r\n", "something that says 'hello'"),
    ],
)
def test_something_else_that_greets(client: ModuleType, greeting: bytes, words: str) -> None:
    with Peer(saying(greeting, first=True)) as peer:
        answer = ask(client, peer.port)
    assert (answer.state, answer.identity) == ("foreign", words)


@pytest.mark.parametrize(("wanted", "other"), list(itertools.permutations(CLIENTS, 2)))
def test_one_in_place_of_another(wanted: str, other: str, request: pytest.FixtureRequest) -> None:
    answer = ask(CLIENTS[wanted], request.getfixturevalue(other).port)
    names = {"postgresql": "PostgreSQL", "redis": "Redis", "memcached": "memcached"}
    assert (answer.state, answer.identity) == ("foreign", names[other])


@EVERY_CLIENT
def test_an_http_server_in_its_place(client: ModuleType) -> None:
    with Peer(saying(b"HTTP/1.1 400 Bad Request\r\nServer: nginx/1.22.1\r\n\r\n")) as peer:
        answer = ask(client, peer.port)
    assert (answer.state, answer.identity) == ("foreign", "an HTTP server (nginx/1.22.1)")


@EVERY_CLIENT
def test_tls_where_plain_was_expected(client: ModuleType, tmp_path: Path) -> None:
    with Peer(tls(server_context(tmp_path, make("other.lab")))) as peer:
        answer = ask(client, peer.port)
    assert answer.state == "tls" and "other.lab" in answer.identity


def test_plain_where_tls_was_expected(
    postgresql: servers.Postgresql, redis_password: servers.Server
) -> None:
    login = Login("reader", postgresql.password)
    answer = ask(CLIENTS["postgresql"], postgresql.port, login=login, tls=True)
    assert answer.state == "plain"
    answer = ask(CLIENTS["redis"], redis_password.port, login=Login(password=PASSWORD), tls=True)
    assert (answer.state, answer.identity) == ("plain", "Redis")


@SECURE
def test_hanging_where_tls_was_expected(client: ModuleType) -> None:
    with Peer(silent) as peer:
        assert ask(client, peer.port, tls=True, timeout=1.5).state == "silent"


def test_a_certificate_that_is_not_trusted(
    postgresql_tls: servers.Postgresql, redis_tls: servers.Server
) -> None:
    for client, port in (("postgresql", postgresql_tls.port), ("redis", redis_tls.port)):
        answer = ask(CLIENTS[client], port, login=Login("reader", PASSWORD), tls=True)
        assert answer.state == "untrusted" and "issue" in answer.detail


def test_a_password_is_needed(
    postgresql: servers.Postgresql, redis_password: servers.Server
) -> None:
    for client, port in (("postgresql", postgresql.port), ("redis", redis_password.port)):
        answer = ask(CLIENTS[client], port)
        assert (answer.state, answer.anonymous) == ("password-needed", False)


@pytest.mark.parametrize("user", ["reader", "nobody-such"])
def test_a_password_is_wrong(
    postgresql: servers.Postgresql, redis_password: servers.Server, user: str
) -> None:
    for client, port in (("postgresql", postgresql.port), ("redis", redis_password.port)):
        answer = ask(CLIENTS[client], port, login=Login(user, secrets.token_hex(8)))
        assert (answer.state, answer.logged_in) == ("password-wrong", False)


@given(st.binary(max_size=300), st.sampled_from([b"", b"E", b"R\0\0\0\x08", b"-ERR ", b"-", b"+P"]))
def test_first_words_are_understood_or_foreign(heard: bytes, begins: bytes) -> None:
    for understand in (postgresql_wire.first_word, redis.understand):
        with suppress(EOFError, connection.ForeignError):
            assert understand(begins + heard)
    with suppress(connection.ForeignError):
        word = postgresql_wire.first_word(b"E\0\0\0\x10" + b"C57P03\0M" + heard + b"\0\0")
        assert word.message.isprintable() and len(word.message) <= 160
