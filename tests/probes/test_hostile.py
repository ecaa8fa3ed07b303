"""Peers that mean harm: each costs at most its timeout and a bounded amount of memory."""

import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import dns.edns
import dns.flags
import dns.message
import dns.rrset
import pytest

from tests.lab.certificates import make
from tests.lab.names import name_server
from tests.lab.peers import Behaviour, Peer, dripping, endless, saying, server_context
from tests.lab.timing import SLACK
from tests.lab.web import https, https_without_end, read_head
from tests.probes.worker import Worker

TIMEOUT = 1.5  # seconds, where it is to be used up
MEMORY = 4 << 20  # bytes
FACTS = 50_000  # bytes of JSON
BIG = 10 << 20  # bytes


@pytest.fixture(scope="module")
def worker(lab: "Lab") -> Iterator[Worker]:
    with Worker() as running:
        with Peer(https(lab.server)) as good:
            told = running.paths(["127.0.0.1"], good.port, lab.ca_file)
        assert told["results"][0]["failure"] is None, "imports and trust store are no part of it"
        yield running


class Lab:
    def __init__(self, directory: Path) -> None:
        self.authority = make("Lab Root", ca=True)
        self.ca_file = str(directory / "ca.pem")
        Path(self.ca_file).write_bytes(self.authority.pem)
        self.directory = directory
        self.addresses = [f"127.6.{n // 250}.{n % 250 + 1}" for n in range(1000)]
        made = make("localhost", issuer=self.authority, names=("127.0.0.1", *self.addresses[:20]))
        self.server = server_context(directory, made)

    def presenting(self, *names: str, times: int = 0) -> ssl.SSLContext:
        """A server that is trusted, with many names, or with many certificates behind its own."""
        made = make("localhost", issuer=self.authority, names=("127.0.0.1", *names))
        return server_context(self.directory, made, *[made] * times)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return Lab(tmp_path_factory.mktemp("lab"))


def drip(data: bytes) -> Behaviour:
    """A byte now and then, so that no single read takes too long."""

    def serve(connection: socket.socket) -> None:
        read_head(connection)
        pause = threading.Event()
        for byte in data * 1000:
            connection.sendall(bytes([byte]))
            pause.wait(0.02)

    return serve


def over_tls(context: ssl.SSLContext, behaviour: Behaviour) -> Behaviour:
    def serve(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as tls:
            behaviour(tls)

    return serve


def redirect(where: str) -> bytes:
    return f"HTTP/1.1 302 Found\r\nLocation: {where}\r\nContent-Length: 0\r\n\r\n".encode()


class Case(NamedTuple):
    """A peer, and where the way to it ends: phase and reason, or None."""

    make: Callable[[Lab], Behaviour]
    ends: tuple[str, str] | None


RECORD = b"\x16\x03\x03"  # a handshake record of TLS 1.2; its length follows
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"

TLS = {
    "bytes that are no TLS, for ever": Case(
        lambda lab: endless(b"no TLS " * 9000), ("tls", "tls-protocol")),
    "handshake messages without end": Case(
        lambda lab: endless((RECORD + b"\0\x04\0\0\0\0") * 5000), ("tls", "too-large")),
    "empty handshake records without end": Case(
        lambda lab: endless((RECORD + b"\0\0") * 9000), ("tls", "tls-protocol")),
    "one handshake message without end": Case(
        lambda lab: endless(RECORD + b"\x40\0\x02\xff\xff\xff" + bytes(16380)),
        ("tls", "too-large")),
    "a handshake byte by byte": Case(lambda lab: dripping, ("tls", "timeout")),
    "a chain of 10 MB": Case(
        lambda lab: https(server_context(lab.directory, make(), *[
            make("big", names=[f"host-{n}.{'x' * 60}.lab" for n in range(12000)])] * 12)),
        ("tls", "too-large")),
    "a chain of 200 certificates": Case(
        lambda lab: https(lab.presenting(times=200)), None),
    "a certificate for a name of 40 kB": Case(
        lambda lab: https(server_context(lab.directory, make(organisation="x" * 40_000))),
        ("tls", "untrusted")),
    "a certificate with 2,500 names": Case(
        lambda lab: https(lab.presenting(*[f"host-{n}.lab" for n in range(2500)])), None),
}  # fmt: skip

HTTP = {
    "headers without end": (OK, b"X-Y: z\r\n" * 5000, ("request", "bad-response")),
    "a header of 10 MB": (OK + b"X: " + b"z" * BIG + b"\r\n\r\n", b"", ("request", "bad-response")),
    "a status line of 10 MB": (b"HTTP/1.1 200 " + b"O" * BIG, b"", ("request", "bad-response")),
    "a body without end": (OK + b"\r\n", b"x" * 65536, None),
    "chunks without end": (CHUNKED, b"1\r\nx\r\n" * 9999, None),
    "a chunk of 10 GB": (CHUNKED + b"2540be400\r\n", b"x" * 65536, None),
    "a chunk size of 10 MB": (CHUNKED + b"0" * BIG, b"", ("transfer", "bad-response")),
    "chunk extensions without end": (CHUNKED, b"1;" + b"x" * 65536, ("transfer", "bad-response")),
    "trailers without end": (CHUNKED + b"0\r\n", b"X: y\r\n" * 9999, ("transfer", "bad-response")),
    "1xx answers without end": (b"", b"HTTP/1.1 103 Early\r\nX: y\r\n\r\n" * 3000,
                                ("request", "timeout")),
    "bytes that are no HTTP": (b"\0\x01\x02\r\n" * 9, b"", ("request", "bad-response")),
    "bytes that are no HTTP, for ever": (b"", b"\xff" * 65536, ("request", "bad-response")),
    "a hundred large headers": (OK + b"Via: %s\r\n" % (b"v" * 500) * 100 + b"\r\n", b"x" * 9, None),
    "a redirect to itself": (redirect("/"), b"", None),
    "a redirect to a name of 60 kB": (redirect(f"https://{'a' * 60000}/"), b"", None),
    "a redirect to a path of 60 kB": (redirect(f"http://portal.lab/{'a' * 60000}"), b"", None),
}  # fmt: skip

PROXY = {
    "no answer to CONNECT, byte by byte": Case(
        lambda lab: drip(OK + b"X: y\r\n" * 99), ("proxy", "timeout")),
    "headers without end": Case(lambda lab: endless(OK + b"X-Y: z\r\n" * 9999),
                                ("proxy", "bad-response")),
    "a header of 10 MB": Case(lambda lab: saying(OK + b"X: " + b"z" * BIG),
                              ("proxy", "bad-response")),
    "1xx answers without end": Case(lambda lab: endless(b"HTTP/1.1 100 Go\r\n\r\n" * 3000),
                                    ("proxy", "timeout")),
    "bytes that are no HTTP": Case(lambda lab: endless(b"\0" * 65536), ("proxy", "bad-response")),
    "thousands of schemes": Case(
        lambda lab: saying(b"HTTP/1.1 407 No\r\n" + b"Proxy-Authenticate: X\r\n" * 2000 + b"\r\n"),
        ("proxy", "proxy-auth")),
    "a tunnel to bytes without end": Case(lambda lab: endless(OK + b"\r\n" + b"x" * 65536),
                                          ("tls", "tls-protocol")),
}  # fmt: skip


def seconds(ends: tuple[str, str] | None) -> float:
    """Ample, where something else than the time is to end it."""
    return TIMEOUT if ends and ends[1] == "timeout" else 20.0


def endured(told: dict[str, Any], ends: tuple[str, str] | None) -> dict[str, Any]:
    """The only result, once its cost is seen to be bounded."""
    (result,) = told["results"]
    failure = result["failure"]
    size = len(json.dumps(result))
    assert told["seconds"] < TIMEOUT + SLACK
    assert told["growth"] < MEMORY and size < FACTS, (told["growth"], size)
    assert (failure and (failure["phase"], failure["reason"])) == ends, failure
    return dict(result)


@pytest.mark.parametrize("case", TLS)
def test_tls(lab: Lab, worker: Worker, case: str) -> None:
    with Peer(TLS[case].make(lab)) as peer:
        ends = TLS[case].ends
        endured(worker.paths(["127.0.0.1"], peer.port, lab.ca_file, seconds(ends)), ends)


@pytest.mark.parametrize("case", HTTP)
def test_http(lab: Lab, worker: Worker, case: str) -> None:
    head, more, ends = HTTP[case]
    with Peer(https_without_end(lab.server, head, more)) as peer:
        endured(worker.paths(["127.0.0.1"], peer.port, lab.ca_file, seconds(ends)), ends)


@pytest.mark.parametrize(
    ("answer", "ends"),
    [(OK + b"X: y\r\n", ("request", "timeout")),
     (OK + b"\r\nbody", ("transfer", "timeout")),
     (OK + b"Content-Length: 9\r\n\r\n123456789", None)],
    ids=["headers", "body", "whole"],
)  # fmt: skip
def test_an_answer_byte_by_byte(
    lab: Lab, worker: Worker, answer: bytes, ends: tuple[str, str] | None
) -> None:
    with Peer(over_tls(lab.server, drip(answer))) as peer:
        told = worker.paths(["127.0.0.1"], peer.port, lab.ca_file, seconds(ends))
        assert told["results"][0]["exchange"]["hops"], "what was heard is told"
    assert told["seconds"] < TIMEOUT + SLACK
    failure = told["results"][0]["failure"]
    assert (failure and (failure["phase"], failure["reason"])) == ends


@pytest.mark.parametrize("case", PROXY)
def test_proxy(lab: Lab, worker: Worker, case: str) -> None:
    with Peer(PROXY[case].make(lab)) as peer:
        proxy = f"http://127.0.0.1:{peer.port}"
        ends = PROXY[case].ends
        told = worker.paths(["studio.lab"], 443, lab.ca_file, seconds(ends), https_proxy=proxy)
    reply = endured(told, ends)["reply"]
    assert not reply or len(reply["schemes"]) <= 8


def test_redirects_to_a_thousand_hosts(lab: Lab, worker: Worker) -> None:
    """Each leads to the next; a few are followed."""
    turns = iter(range(1, 1000))
    asked: list[int] = []

    def serve(connection: socket.socket) -> None:
        with lab.server.wrap_socket(connection, server_side=True) as tls:
            if read_head(tls):
                asked.append(next(turns))
                tls.sendall(redirect(f"https://{lab.addresses[asked[-1]]}:{peer.port}/"))

    with Peer(serve, "0.0.0.0") as peer:
        told = worker.paths([lab.addresses[0]], peer.port, lab.ca_file, seconds(None))
        result = endured(told, None)
    hosts = {hop["host"] for hop in result["exchange"]["hops"]}
    assert len(hosts) == len(asked) == 6 and result["exchange"]["left_at"]


# --- Names ----------------------------------------------------------------------------------------


def addresses(query: dns.message.Message) -> bytes:
    """10,000 records, by hand: more than a message of 64 KiB has room for."""
    header = struct.pack("!HHHHHH", query.id, 0x8180, 1, 10_000, 0, 0)
    record = b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04" + bytes([192, 0, 2, 1])
    return (header + query.to_wire()[12:].split(b"\0\x01\0\x01")[0] + b"\0\x01\0\x01"
            + record * 4000)[:65535]  # fmt: skip


def aliases(query: dns.message.Message) -> bytes:
    """A chain of 1,000 aliases."""
    response = dns.message.make_response(query)
    names = ["studio.lab.", *(f"n{number}.lab." for number in range(1000))]
    for name, target in pairwise(names):
        response.answer.append(dns.rrset.from_text(name, 60, "IN", "CNAME", target))
    return response.to_wire(max_size=65535)


def loop(query: dns.message.Message) -> bytes:
    response = dns.message.make_response(query)
    for name, target in (("studio.lab.", "a.lab."), ("a.lab.", "studio.lab.")):
        response.answer.append(dns.rrset.from_text(name, 60, "IN", "CNAME", target))
    return response.to_wire()


def pointers(query: dns.message.Message) -> bytes:
    """A name that is compressed into itself."""
    return struct.pack("!HHHHHH", query.id, 0x8180, 1, 1, 0, 0) + b"\xc0\x0c" * 9


def words(query: dns.message.Message) -> bytes:
    """Extended errors with as many words as there is room for."""
    response = dns.message.make_response(query)
    response.set_rcode(dns.rcode.SERVFAIL)
    errors = [dns.edns.EDEOption(6, "\x1b[2J" * 2000) for _ in range(4)]
    response.use_edns(0, payload=65535, options=errors)
    return response.to_wire(max_size=65535)


def truncated(query: dns.message.Message) -> bytes:
    response = dns.message.make_response(query)
    response.flags |= dns.flags.TC
    return response.to_wire()


@pytest.mark.parametrize(
    ("reply", "reason"),
    [(addresses, "bad-response"), (aliases, "bad-response"), (loop, "bad-response"),
     (pointers, "bad-response"), (words, "servfail"),
     (lambda query: b"\0" * 65000, "bad-response")],
    ids=["10,000 records", "1,000 aliases", "a loop", "pointers", "words", "zeros"],
)  # fmt: skip
def test_names(worker: Worker, reply: Callable[[Any], bytes], reason: str) -> None:
    with name_server(truncated, reply) as port:
        endured(worker.ask(port, 20), ("resolve", reason))


def test_an_answer_of_a_name_server_that_does_not_end(worker: Worker) -> None:
    """The length says 65535 bytes, and they come one by one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, Peer(drip_dns) as peer:
        udp.bind(("127.0.0.1", peer.port))

        def answer() -> None:
            data, client = udp.recvfrom(65535)
            udp.sendto(truncated(dns.message.from_wire(data)), client)

        threading.Thread(target=answer, daemon=True).start()
        endured(worker.ask(peer.port, TIMEOUT), ("resolve", "timeout"))


def drip_dns(connection: socket.socket) -> None:
    connection.recv(4096)
    connection.sendall(b"\xff\xff")
    pause = threading.Event()
    while True:
        connection.sendall(b"\0")
        pause.wait(0.02)
