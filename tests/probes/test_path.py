"""The whole way to a host of our own, phase by phase."""

import asyncio
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path as File

import msgspec
import pytest

from biostudio_doctor.probes import path, wording
from biostudio_doctor.probes.results import Path
from tests.lab.certificates import make
from tests.lab.network import free_port
from tests.lab.peers import Peer, reset, saying, server_context, silent
from tests.lab.timing import within
from tests.lab.web import https, squid

needs_squid = pytest.mark.skipif(not shutil.which("squid"), reason="needs squid")


class Lab:
    def __init__(self, directory: File) -> None:
        authority = make("Lab Root", ca=True)
        self.ca_file = str(directory / "ca.pem")
        File(self.ca_file).write_bytes(authority.pem)
        made = make("localhost", issuer=authority, names=("localhost", "127.0.0.1"))
        self.server = server_context(directory, made)

    def go(self, port: int, environ: dict[str, str] | None = None, host: str = "localhost",
           timeout: float = 20) -> Path:  # fmt: skip
        around = path.Surroundings(environ or {}, (), self.ca_file)
        target = path.Target(host=host, port=port)
        return asyncio.run(path.probe(target, around, timeout=timeout))


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return Lab(tmp_path_factory.mktemp("lab"))


@pytest.fixture(scope="module")
def good(lab: Lab) -> Iterator[int]:
    with Peer(https(lab.server)) as peer:
        yield peer.port


def test_the_whole_way(lab: Lab, good: int) -> None:
    found = lab.go(good)
    assert found.failure is None
    assert list(found.seconds) == ["resolve", "connect", "tls", "request", "transfer"]
    assert found.lookup and "127.0.0.1" in found.lookup.addresses
    assert found.tls and found.tls.verified and found.exchange
    assert found.exchange.answer.status == 200
    assert "tls" in wording.timings(found) and wording.total(found).endswith("ms")
    assert msgspec.convert(msgspec.to_builtins(found), Path) == found, "a bundle carries it"


def test_by_address(lab: Lab, good: int) -> None:
    assert lab.go(good, host="127.0.0.1").failure is None


@pytest.mark.parametrize(
    ("behaviour", "phase", "reason", "said"),
    [
        (None, "connect", "refused", "the TCP connection failed, 127.0.0.1"),
        (reset, "tls", "reset", "the TLS handshake failed, the connection was reset after"),
        (saying(b""), "tls", "closed", "the TLS handshake failed, the connection was closed after"),
        (saying(b"HTTP/1.1 400 No\r\n\r\n"), "tls", "tls-protocol", "no TLS: it says 'HTTP/1.1 4"),
        (silent, "tls", "timeout", "the TLS handshake failed, no answer came to its first message"),
    ],
    ids=["refused", "reset", "closed", "no TLS", "silent"],
)  # fmt: skip
def test_where_it_ends(lab: Lab, behaviour, phase: str, reason: str, said: str) -> None:  # type: ignore[no-untyped-def]
    with Peer(behaviour or silent) as peer:
        port = peer.port if behaviour else free_port()
        found = lab.go(port, host="127.0.0.1", timeout=1.5 if reason == "timeout" else 20)
    assert found.failure and (found.failure.phase, found.failure.reason) == (phase, reason)
    assert said in wording.failed(found, found.failure)


def test_a_certificate_of_someone_else(lab: Lab, tmp_path: File) -> None:
    with Peer(https(Lab(tmp_path).server)) as peer:
        found = lab.go(peer.port)
    assert found.failure and (found.failure.phase, found.failure.reason) == ("tls", "untrusted")
    assert "'Lab Root'" in wording.failed(found, found.failure)
    assert found.exchange is None, "nothing is sent to whoever is not trusted"


def test_an_answer_that_stops_half_way(lab: Lab) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\nhalf"
    with Peer(https(lab.server, answer)) as peer:
        found = lab.go(peer.port)
    assert found.failure and found.failure.phase == "transfer"


def test_time_is_kept(lab: Lab) -> None:
    with Peer(silent) as peer, within(1.5):
        found = lab.go(peer.port, timeout=1.5)
    assert found.failure and (found.failure.phase, found.failure.reason) == ("tls", "timeout")
    assert found.attempts and found.lookup, "what was found before is kept"


@pytest.fixture(scope="module")
def login() -> str:
    return secrets.token_hex(8)


@pytest.fixture(scope="module")
def port(login: str, good: int) -> Iterator[int]:
    rules = (
        f"acl served port {good}\nacl known proxy_auth REQUIRED\n"
        "http_access deny !served\nhttp_access allow known\nhttp_access deny all"
    )
    with squid(rules, f"lab {login}") as running:
        yield running.port


def environ_of(port: int, login: str = "") -> dict[str, str]:
    return {"HTTPS_PROXY": f"http://{f'lab:{login}@' if login else ''}localhost:{port}"}


@needs_squid
def test_through_squid(lab: Lab, good: int, port: int, login: str) -> None:
    found = lab.go(good, environ_of(port, login))
    assert found.failure is None and found.reply and found.reply.status == 200
    assert list(found.seconds) == ["proxy", "tls", "request", "transfer"]
    assert login.encode() not in msgspec.json.encode(found)


def test_no_proxy(lab: Lab, good: int) -> None:
    environ = environ_of(free_port()) | {"no_proxy": "localhost"}
    found = lab.go(good, environ)
    assert found.failure is None and found.route.proxy is None


@needs_squid
@pytest.mark.parametrize(
    ("user", "target", "scheme", "reason", "said"),
    [
        ("", "good", "http", "proxy-auth",
         "wants a user name and a password (407 Proxy Authentication Required; it offers B"),
        ("wrong", "good", "http", "proxy-auth", "does not accept the user name and password"),
        ("right", "other", "http", "proxy-denied", "refuses to connect to localhost (403 Forb"),
        ("right", "good", "https", "tls-protocol", "does not speak TLS, although HTTPS_PROXY"),
    ],
    ids=["407", "407 again", "403", "https"],
)  # fmt: skip
def test_what_squid_refuses(
    lab: Lab, good: int, port: int, login: str,
    user: str, target: str, scheme: str, reason: str, said: str,
) -> None:  # fmt: skip
    environ = environ_of(port, {"right": login, "wrong": "x", "": ""}[user])
    environ["HTTPS_PROXY"] = environ["HTTPS_PROXY"].replace("http:", f"{scheme}:")
    found = lab.go(good if target == "good" else 9, environ)
    assert found.failure and (found.failure.phase, found.failure.reason) == ("proxy", reason)
    assert said in wording.failed(found, found.failure)
    assert login.encode() not in msgspec.json.encode(found)


@pytest.mark.parametrize(
    ("behaviour", "reason", "said"),
    [
        (None, "refused", "refuses the connection"),
        (silent, "timeout", "accepts the connection and does not answer"),
        (saying(b"SSH-2.0-x\r\n"), "bad-response", "does not answer as an HTTP proxy does"),
        (reset, "reset", "resets the connection"),
        (saying(b"HTTP/1.1 503 Service Unavailable\r\n\r\n"), "proxy-denied",
         "could not connect to localhost itself (503 Service Unavailable)"),
    ],
    ids=["refused", "silent", "ssh", "reset", "503"],
)  # fmt: skip
def test_a_proxy_that_is_none(lab: Lab, behaviour, reason: str, said: str) -> None:  # type: ignore[no-untyped-def]
    with Peer(behaviour or silent) as peer:
        port = peer.port if behaviour else free_port()
        environ = {"https_proxy": f"http://127.0.0.1:{port}"}
        found = lab.go(443, environ, timeout=1.5 if reason == "timeout" else 20)
    assert found.failure and (found.failure.phase, found.failure.reason) == ("proxy", reason)
    said_so = wording.failed(found, found.failure)
    assert said_so.startswith(f"the proxy http://127.0.0.1:{port} (from https_proxy) ")
    assert said in said_so
