"""HTTP over streams of our own: answers, redirects, and what no server should send."""

import asyncio
import ssl
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from anyio.abc import ByteStream
from hypothesis import given
from hypothesis import strategies as st

from biostudio_doctor.probes import Failure, http, tcp
from biostudio_doctor.probes.failures import ProbeError
from biostudio_doctor.probes.results import Exchange
from biostudio_doctor.probes.tls import verifying_context
from tests.lab.certificates import make
from tests.lab.peers import Peer, server_context, silent
from tests.lab.web import OK, https, https_without_end


class Lab:
    """A certificate for localhost, and who trusts it."""

    def __init__(self, directory: Path) -> None:
        authority = make("Lab Root", ca=True)
        self.ca_file = directory / "ca.pem"
        self.ca_file.write_bytes(authority.pem)
        made = make("localhost", issuer=authority, names=("localhost", "127.0.0.1"))
        self.server = server_context(directory, made)

    def get(self, port: int, path: str = "/", timeout: float = 20) -> Exchange:
        async def dial(host: str, port: int) -> ByteStream:
            if host == "blocked.lab":
                raise ProbeError(Failure("resolve", "nxdomain", "no such name"))
            return await tcp.connect("127.0.0.1", port, timeout=20)

        context = verifying_context(str(self.ca_file), ("http/1.1",))
        url = f"https://localhost:{port}{path}"
        return asyncio.run(http.probe(dial, url, context=context, timeout=timeout))


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return Lab(tmp_path_factory.mktemp("lab"))


def redirect(where: str) -> bytes:
    return f"HTTP/1.1 302 Found\r\nLocation: {where}\r\nContent-Length: 0\r\n\r\n".encode("latin-1")


def test_an_answer(lab: Lab) -> None:
    asked: list[bytes] = []
    with Peer(https(lab.server, requests=asked)) as peer:
        exchange = lab.get(peer.port, "/documentation/adm.png")
    (hop,) = exchange.hops
    assert (hop.status, hop.phrase, hop.first, hop.length) == (200, "OK", "yes", 3)
    assert hop.whole and hop.failure is None and hop.headers["server"] == "lab"
    assert list(hop.seconds) == ["connect", "tls", "request", "transfer"]
    assert all(0 < seconds < 20 for seconds in hop.seconds.values())
    assert asked[0].startswith(b"GET /documentation/adm.png HTTP/1.1\r\n")
    assert b"biostudio-doctor/" in asked[0]


@pytest.mark.parametrize("status", [204, 401, 403, 404, 429, 503])
def test_any_status_is_an_answer(lab: Lab, status: int) -> None:
    answer = b"HTTP/1.1 %d Whatever\r\nContent-Length: 0\r\n\r\n" % status
    with Peer(https(lab.server, answer)) as peer:
        hop = lab.get(peer.port).answer
    assert (hop.status, hop.failure) == (status, None)


@pytest.mark.parametrize(
    ("date", "offset"),
    [("{}", 3600), ("yesterday", None), ("Mon, 99 Foo 2026 00:00:00 GMT", None), ("", None)],
)
def test_the_servers_clock(lab: Lab, date: str, offset: float | None) -> None:
    ahead = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    answer = f"HTTP/1.1 200 OK\r\nDate: {date.format(ahead)}\r\nContent-Length: 0\r\n\r\n"
    with Peer(https(lab.server, answer.encode())) as peer:
        told = lab.get(peer.port).answer.clock_offset
    assert told == offset if offset is None else told == pytest.approx(offset, abs=60)


def test_redirects_are_followed(lab: Lab) -> None:
    with Peer(https(lab.server, redirect("/two?token=secret#part"), OK)) as peer:
        exchange = lab.get(peer.port)
        port = peer.port
    assert [hop.status for hop in exchange.hops] == [302, 200] and exchange.left_at == ""
    assert exchange.hops[1].url == f"https://localhost:{port}/two", "without what may be secret"


def test_a_redirect_to_a_blocked_host(lab: Lab) -> None:
    with Peer(https(lab.server, redirect("https://blocked.lab/x"))) as peer:
        exchange = lab.get(peer.port)
    first, second = exchange.hops
    assert first.failure is None and second.host == "blocked.lab"
    assert second.failure and second.failure.phase == "resolve"


@pytest.mark.parametrize(
    ("where", "left_at"),
    [
        ("http://user:word@portal.lab/login?next=x", "http://portal.lab/login"),
        ("ftp://files.lab/", "ftp://files.lab/"),
        ("https://", ""),
        ("https://\xff\xfe/", ""),
    ],
)
def test_what_is_not_followed(lab: Lab, where: str, left_at: str) -> None:
    with Peer(https(lab.server, redirect(where))) as peer:
        exchange = lab.get(peer.port)
    assert exchange.answer.status == 302 and exchange.left_at == left_at


def test_a_redirect_to_nowhere(lab: Lab) -> None:
    with Peer(https(lab.server, redirect("https://[::1"))) as peer:
        hop = lab.get(peer.port).answer
    assert hop.failure and hop.failure.reason == "bad-response" and "location" in hop.failure.detail


def test_a_loop_of_redirects_ends(lab: Lab) -> None:
    with Peer(https(lab.server, redirect("/"))) as peer:
        exchange = lab.get(peer.port)
    assert len(exchange.hops) == 6 and exchange.left_at


ENDLESS = {
    "body": (b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65536),
    "chunks": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 10000),
    "compressed": (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n", b"\x1f\x8b" * 9999),
}


@pytest.mark.parametrize("kind", ENDLESS)
def test_an_endless_body_is_left(lab: Lab, kind: str) -> None:
    tracemalloc.start()
    with Peer(https_without_end(lab.server, *ENDLESS[kind])) as peer:
        hop = lab.get(peer.port).answer
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert hop.status == 200 and hop.failure is None and not hop.whole
    assert hop.length <= (256 if kind == "chunks" else 25_000) and peak < 8e6


@pytest.mark.parametrize(
    ("head", "more", "phase", "reason"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"X-Y: z\r\n" * 5000, "request", "bad-response"),
        (b"HTTP/1.1 200 OK\r\nX: ", b"z" * 65536, "request", "bad-response"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", b"", "request", "bad-response"),
        (b"\x00\x01\x02\r\n\r\n", b"", "request", "bad-response"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: nine\r\n\r\n", b"", "request", "bad-response"),
        (b"", b"", "request", "timeout"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", b"", "transfer", "timeout"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n" * 999, "request",
         "timeout"),
    ],
    ids=["headers", "header", "ssh", "binary", "length", "silence", "half", "continue"],
)  # fmt: skip
def test_what_is_no_answer(lab: Lab, head: bytes, more: bytes, phase: str, reason: str) -> None:
    with Peer(https_without_end(lab.server, head, more)) as peer:
        hop = lab.get(peer.port, timeout=1.5 if reason == "timeout" else 20).answer
    assert hop.failure and (hop.failure.phase, hop.failure.reason) == (phase, reason)


def test_hanging_up(lab: Lab) -> None:
    with Peer(https(lab.server, b"")) as peer:
        hop = lab.get(peer.port).answer
    assert hop.failure and hop.failure.phase == "request" and hop.status is None


def test_no_tls_and_no_trust(lab: Lab, tmp_path: Path) -> None:
    with Peer(silent) as peer:
        hop = lab.get(peer.port, timeout=1).answer
    assert hop.failure and (hop.failure.phase, hop.failure.reason) == ("tls", "timeout")
    with Peer(https(Lab(tmp_path).server)) as peer:
        hop = lab.get(peer.port).answer
    assert hop.failure and (hop.failure.phase, hop.failure.reason) == ("tls", "untrusted")


@pytest.fixture(scope="module")
def odd(lab: Lab) -> Iterator[tuple[Peer, list[bytes]]]:
    answer = [b""]

    def serve(connection: ssl.SSLSocket) -> None:
        https(lab.server, answer[0])(connection)

    with Peer(serve) as peer:  # type: ignore[arg-type]
        yield peer, answer


@given(st.binary(max_size=120) | st.binary(max_size=80).map(lambda data: OK[:30] + data))
def test_no_bytes_of_a_server_break_it(
    lab: Lab, odd: tuple[Peer, list[bytes]], data: bytes
) -> None:
    peer, answer = odd
    answer[0] = data
    assert lab.get(peer.port).answer.url
