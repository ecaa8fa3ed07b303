"""Memcached, in the states that only it has, with real servers."""

from biostudio_doctor.services import memcached as client
from tests.lab import servers
from tests.services.conftest import PASSWORD, ask


def test_memcached(memcached: servers.Server) -> None:
    answer = ask(client, memcached.port)
    assert (answer.state, answer.anonymous) == ("healthy", True)
    assert answer.version[:2] == "1." and answer.told["max_connections"] == 1024
    assert answer.told["limit"] == 64 << 20


def test_memcached_that_speaks_its_binary_protocol_only() -> None:
    with servers.memcached("-B", "binary") as server:
        answer = ask(client, server.port)
    assert (answer.state, answer.version[:2]) == ("healthy", "1.")


def test_memcached_that_needs_a_password() -> None:
    with servers.directory() as place:
        users = place / "users"
        users.write_text(f"lab:{PASSWORD}\n")
        servers.give(users)
        with servers.memcached("-Y", str(users)) as server:
            answer = ask(client, server.port)
    assert (answer.state, answer.anonymous) == ("password-needed", False)
