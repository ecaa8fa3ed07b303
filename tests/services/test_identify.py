"""What answers in place of a service, with real servers and with garbage."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from biostudio_doctor.probes.direct import Dialler
from biostudio_doctor.services.identify import Spoken, identify, recognise
from tests.lab import servers
from tests.lab.certificates import make
from tests.lab.network import free_port
from tests.lab.peers import (
    Behaviour,
    Peer,
    dripping,
    endless,
    reset,
    saying,
    server_context,
    silent,
    tls,
)
from tests.lab.timing import within


def spoken_at(port: int, timeout: float = 3.0) -> Spoken:
    dial = Dialler("127.0.0.1", port, timeout=timeout)
    with within(timeout):
        return asyncio.run(identify(dial, "127.0.0.1", timeout=timeout))


@pytest.fixture(params=["mosquitto", "beanstalkd"])
def quiet_server(request: pytest.FixtureRequest) -> Iterator[tuple[str, int]]:
    """Servers that do not greet."""
    port = free_port()
    with servers.directory() as place:
        (place / "mosquitto.conf").write_text(
            f"listener {port} 127.0.0.1\nallow_anonymous false\npersistence false\n"
        )
        commands = {
            "mosquitto": ["-c", str(place / "mosquitto.conf")],
            "beanstalkd": ["-l", "127.0.0.1", "-p", str(port)],
        }
        command = [servers.program(request.param), *commands[request.param]]
        with servers.running(command, port, log=place / "log"):
            yield request.param, port


def test_quiet_servers(quiet_server: tuple[str, int]) -> None:
    kinds = {"mosquitto": "mqtt", "beanstalkd": "beanstalkd"}
    name, port = quiet_server
    assert spoken_at(port).kind == kinds[name]


def test_stores(
    postgresql: servers.Postgresql, redis: servers.Server, memcached: servers.Server
) -> None:
    assert spoken_at(postgresql.port).kind == "postgresql"
    assert spoken_at(redis.port).kind == "redis"
    assert spoken_at(memcached.port).kind == "memcached"


def test_nothing_is_logged_as_an_attack(redis: servers.Server) -> None:
    """Redis takes a line that begins with Host: for cross-protocol scripting, and warns."""
    spoken_at(redis.port)
    assert "SECURITY" not in redis.log.read_text()


@pytest.mark.parametrize(
    ("behaviour", "kind"),
    [
        (silent, "silent"),
        (reset, "closed"),
        (lambda connection: None, "closed"),
        (dripping, "unknown"),
        (endless(b"\0"), "unknown"),
        (endless(b"yes\n"), "unknown"),
        (saying(b"HTTP/1.1 200 OK\r\n\r\n"), "http"),
    ],
)
def test_peers_that_are_no_server(behaviour: Behaviour, kind: str) -> None:
    with Peer(behaviour) as peer:
        assert spoken_at(peer.port).kind == kind


def test_the_name_in_a_certificate(tmp_path: Path) -> None:
    with Peer(tls(server_context(tmp_path, make("front.lab")))) as peer:
        found = spoken_at(peer.port)
    assert found == Spoken("tls", "a server that speaks TLS, with a certificate for front.lab")


def test_who_greets_is_asked_nothing() -> None:
    with Peer(saying(b"SSH-2.0-lab\r\n", first=True)) as peer:
        assert spoken_at(peer.port) == Spoken("ssh", "an SSH server (lab)")
        assert peer.connections == 1


@pytest.mark.parametrize(
    ("heard", "kind", "words"),
    [  # as such servers say it
        (b"HTTP/1.1 200 OK\r\nDate: x\r\nServer: nginx/1.22.1\r\n\r\n", "http",
         "an HTTP server (nginx/1.22.1)"),
        (b"HTTP/1.0 503 Service Unavailable\r\n\r\n", "http", "an HTTP server"),
        (b"220 (vsFTPd 3.0.3)\r\n", "ftp", "an FTP server (vsFTPd 3.0.3)"),
        (b"J\0\0\0\x0a8.0.36\0\x08\0\0\0", "mysql", "MySQL 8.0.36"),
        (b"Y\0\0\0\x0a5.5.5-10.11.6-MariaDB-0+deb12u1\0\x08", "mysql",
         "MariaDB 10.11.6-MariaDB-0+deb12u1"),
        (b"@\0\0\0\xffj\x04Host '10.0.0.9' is not allowed to connect to this MariaDB server",
         "mysql",
         "MariaDB, which says 'Host '10.0.0.9' is not allowed to connect to this MariaDB se'"),
        (b"-NOAUTH Authentication required.\r\n", "redis", "Redis"),
        (b"\x20\x02\x00\x05", "mqtt", "an MQTT broker"),
        (b"N", "postgresql", "PostgreSQL"),
        (b"* OK [CAPABILITY IMAP4rev1] Dovecot ready.\r\n", "imap", "a mail server (IMAP)"),
        (b"+OK Dovecot ready.\r\n", "pop3", "a mail server (POP3)"),
        (b"RFB 003.008\n", "vnc", "a VNC server"),
        (b"\x15\x03\x01\x00\x02\x02\x46", "tls", "a server that speaks TLS"),
        (b"\x00\x01\x02\x03", "unknown", "something that says the bytes 00 01 02 03"),
    ],
)  # fmt: skip
def test_sayings(heard: bytes, kind: str, words: str) -> None:
    assert recognise(heard) == Spoken(kind, words)  # type: ignore[arg-type]


@given(st.binary(max_size=3000))
@example(b"HTTP/1.1 200 OK\r\nServer: " + b"\x1b[31m" * 500)
@example(b"SSH-2.0-" + b"a" * 3000)
@example(b"\xff\xff\xff\0\xff")
@example(b"")
def test_garbage_is_named_in_a_few_printable_words(heard: bytes) -> None:
    found = recognise(heard)
    assert len(found.words) < 120 and found.words.isprintable()
