"""Redis, in the states that only it has, with real servers."""

import secrets
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biostudio_doctor.services import Login
from biostudio_doctor.services import redis as client
from tests.lab import servers
from tests.lab.network import free_port
from tests.lab.peers import Peer, saying
from tests.services.conftest import PASSWORD, ask


def test_redis_without_a_password(redis: servers.Server) -> None:
    answer = ask(client, redis.port)
    assert (answer.state, answer.anonymous, answer.logged_in) == ("healthy", True, False)
    assert answer.version and answer.told["role"] == "master"
    assert answer.told["used_memory"] > 0 and answer.told["connected_clients"] >= 1


def test_redis_with_a_password(redis_password: servers.Server) -> None:
    answer = ask(client, redis_password.port, login=Login(password=PASSWORD))
    assert (answer.state, answer.anonymous, answer.logged_in) == ("healthy", False, True)
    assert answer.version and answer.told["maxmemory_policy"] == "noeviction"


def test_redis_by_tls(redis_tls: servers.Server, authority: servers.Authority) -> None:
    login, ca_file = Login("default", PASSWORD), str(authority.ca_file)
    answer = ask(client, redis_tls.port, login=login, tls=True, ca_file=ca_file)
    assert (answer.state, answer.logged_in) == ("healthy", True) and answer.version


def test_redis_with_tls_where_plain_was_expected(redis_tls: servers.Server) -> None:
    answer = ask(client, redis_tls.port, login=Login(password=PASSWORD))
    assert answer.state == "tls" and "a certificate for" in answer.identity


def test_a_password_where_none_is_set(redis: servers.Server) -> None:
    answer = ask(client, redis.port, login=Login(password=PASSWORD))
    assert (answer.state, answer.anonymous) == ("password-wrong", True)
    assert "no password set" in answer.detail


def test_redis_as_a_replica_whose_primary_is_gone() -> None:
    with servers.redis(None, "--replicaof", "127.0.0.1", str(free_port())) as server:
        answer = ask(client, server.port)
    assert answer.state == "healthy"
    assert (answer.told["role"], answer.told["master_link"]) == ("slave", "down")


def test_redis_with_a_user_that_may_do_little() -> None:
    few = ["--user", "pings", "on", f">{PASSWORD}", "+ping"]
    none = ["--user", "nothing", "on", f">{PASSWORD}"]
    with servers.redis(None, *few, *none, password=secrets.token_hex(8)) as server:
        pings = ask(client, server.port, login=Login("pings", PASSWORD))
        nothing = ask(client, server.port, login=Login("nothing", PASSWORD))
    assert (pings.state, pings.logged_in, pings.version) == ("healthy", True, "")
    assert nothing.state == "denied" and "ping" in nothing.detail


def test_redis_that_is_full() -> None:
    with servers.redis(None, "--maxclients", "1") as server:
        for _ in range(50):  # the trial of the fixture is forgotten after a moment
            if ask(client, server.port).state == "healthy":
                break
        with socket.create_connection(("127.0.0.1", server.port)):
            answer = ask(client, server.port)
    assert (answer.state, answer.detail) == ("unwell", "max number of clients reached")


@pytest.mark.parametrize(
    ("reply", "state"),
    [
        (b"-LOADING Redis is loading the dataset in memory\r\n", "unwell"),
        (b"-DENIED Redis is running in protected mode because. More.\r\n", "denied"),
        (b"-ERR operation not permitted\r\n", "password-needed"),
    ],
)
def test_what_redis_says_when_it_cannot(reply: bytes, state: str) -> None:
    """Made: a Redis that loads for long enough takes gigabytes."""
    with Peer(saying(reply)) as peer:
        assert ask(client, peer.port).state == state


def test_a_redis_that_hangs() -> None:
    """The kernel takes the connection, and the process is stopped."""
    with servers.redis() as server, servers.stopped(server.process):
        answer = ask(client, server.port, timeout=1.5)
    assert answer.state == "silent"


@pytest.mark.parametrize("filler", [b"", b"x" * 150], ids=["whole", "cut off"])
@pytest.mark.parametrize("middle", ["", "  ", ". "])
def test_who_repeats_the_password_is_not_quoted(filler: bytes, middle: str) -> None:
    """Made: as Redis and its likes answer to a command that they do not know."""
    password = f"{PASSWORD}{middle}{PASSWORD}"

    def repeat(connection: socket.socket) -> None:
        while data := connection.recv(4096):
            if data == b"PING\r\n":
                connection.sendall(b"-NOAUTH x\r\n")
            else:
                said = b"ERR unknown command, beginning with: " + filler + data.split(b"\r\n")[-2]
                connection.sendall(b"-" + said + b"\r\n")

    with Peer(repeat) as peer:
        answer = ask(client, peer.port, login=Login(password=password))
    assert "unknown command" in answer.detail
    assert PASSWORD[:4] not in answer.detail.replace("[hidden]", "")


@given(st.text(max_size=300))
def test_any_info_of_redis_is_told_bounded(info: str) -> None:
    told = client._told(f"used_memory:12\nredis_version:{info}\nrole:{info}\n{info}")
    assert len(told["version"]) <= 20 and told["version"].isprintable()
