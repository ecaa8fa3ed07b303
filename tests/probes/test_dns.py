"""DNS: the system's view, and real answers of a name server of our own, good and bad."""

import asyncio
import socket
import threading
from collections.abc import Callable

import dns.flags
import dns.message
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from biostudio_doctor.probes import Failure
from biostudio_doctor.probes import dns as probe
from biostudio_doctor.probes.results import Answer, Lookup
from tests.conftest import MakeHost
from tests.lab.names import DnsReply, name_server
from tests.lab.network import free_port
from tests.lab.timing import within


def ask(port: int, record: str = "A", timeout: float = 10.0) -> Answer:
    return asyncio.run(
        probe.ask("studio.lab", record, "127.0.0.1", timeout=timeout, port=port)  # type: ignore[arg-type]
    )


def answering(*records: str, rcode: int = dns.rcode.NOERROR, flags: int = 0) -> DnsReply:
    def reply(query: dns.message.Message) -> bytes:
        response = dns.message.make_response(query)
        response.set_rcode(dns.rcode.Rcode(rcode))
        response.flags |= flags
        for record in records:
            name, kind, value = record.split()
            response.answer.append(dns.rrset.from_text(name, 60, "IN", kind, value))
        return response.to_wire()

    return reply


def test_an_answer_with_its_chain_of_aliases() -> None:
    chain = ("studio.lab. CNAME cdn.lab.", "cdn.lab. CNAME edge.lab.", "edge.lab. A 192.0.2.7")
    with name_server(answering(*chain)) as port:
        answer = ask(port)
    assert answer.failure is None and answer.code == "NOERROR" and not answer.over_tcp
    assert answer.addresses == ("192.0.2.7",) and answer.aliases == ("cdn.lab", "edge.lab")
    assert 0 < answer.seconds < 10


def test_ipv6() -> None:
    with name_server(answering("studio.lab. AAAA 2001:db8::7")) as port:
        assert ask(port, "AAAA").addresses == ("2001:db8::7",)


def test_a_truncated_answer_is_asked_for_again_by_tcp() -> None:
    whole = answering("studio.lab. A 192.0.2.7")
    with name_server(answering(flags=dns.flags.TC), over_tcp=whole) as port:
        answer = ask(port)
    assert answer.over_tcp and answer.addresses == ("192.0.2.7",)


def thousands(query: dns.message.Message) -> bytes:
    response = dns.message.make_response(query)
    addresses = [f"10.{number >> 8}.{number & 255}.1" for number in range(4000)]
    response.answer.append(dns.rrset.from_text("studio.lab.", 60, "IN", "A", *addresses))
    return response.to_wire(max_size=65535)


def test_thousands_of_records_are_cut_short() -> None:
    with name_server(answering(flags=dns.flags.TC), over_tcp=thousands) as port:
        assert len(ask(port).addresses) == 16


def another_question(query: dns.message.Message) -> bytes:
    query.question[0].name = dns.name.from_text("elsewhere.lab.")
    return answering("elsewhere.lab. A 192.0.2.66")(query) or b""


def looping(query: dns.message.Message) -> bytes:
    return answering("studio.lab. CNAME b.lab.", "b.lab. CNAME studio.lab.")(query) or b""


@pytest.mark.parametrize(
    ("reply", "reason", "code"),
    [
        (answering(rcode=dns.rcode.NXDOMAIN), "nxdomain", "NXDOMAIN"),
        (answering(rcode=dns.rcode.SERVFAIL), "servfail", "SERVFAIL"),
        (answering(rcode=dns.rcode.REFUSED), "refused", "REFUSED"),
        (answering(rcode=dns.rcode.NOTIMP), "bad-response", "NOTIMP"),
        (answering(), "no-address", "NOERROR"),
        (lambda query: None, "timeout", ""),
        (lambda query: b"GET / HTTP/1.1", "bad-response", ""),
        (lambda query: b"", "bad-response", ""),
        (another_question, "bad-response", ""),
        (looping, "bad-response", ""),
    ],
    ids=["nxdomain", "servfail", "refused", "notimp", "empty", "silence", "no DNS", "nothing",
         "other question", "loop of aliases"],
)  # fmt: skip
def test_what_goes_wrong_is_named(reply: DnsReply, reason: str, code: str) -> None:
    with name_server(reply) as port, within(0.3):
        answer = ask(port, timeout=0.3 if reason == "timeout" else 30)
    assert answer.failure and answer.failure.phase == "resolve"
    assert (answer.failure.reason, answer.code) == (reason, code)
    assert answer.addresses == ()


def test_nobody_listens() -> None:
    with within(1):
        answer = ask(free_port(), timeout=30)
    assert answer.failure and answer.failure.reason == "refused"


def test_a_lost_datagram_is_no_silence() -> None:
    seen: list[int] = []

    def lossy(query: dns.message.Message) -> bytes | None:
        seen.append(query.id)
        return answering("studio.lab. A 192.0.2.7")(query) if len(seen) > 1 else None

    with name_server(lossy) as port:
        assert ask(port).addresses == ("192.0.2.7",)
    assert len(seen) == 2


@given(st.binary(max_size=80))
def test_no_bytes_of_a_server_break_it(data: bytes) -> None:
    async def measured() -> Answer:
        with name_server(lambda query: query.to_wire()[:2] + data) as port:
            return await probe.ask("studio.lab", "A", "127.0.0.1", timeout=0.05, port=port)

    assert asyncio.run(measured()).addresses == ()


@pytest.mark.parametrize("server", ["192.0.2.1%nowhere", "not an address"])
def test_what_is_no_server(server: str) -> None:
    answer = asyncio.run(probe.ask("studio.lab", "A", server, timeout=5))
    assert answer.failure


def test_name_servers_as_the_c_library_reads_them(make_host: MakeHost) -> None:
    host = make_host(
        {
            "/etc/resolv.conf": "# nameserver 9.9.9.9\nsearch corp.example\nsortlist 10.0.0.9\n"
            "nameserver\n"
            "nameserver 10.0.0.1 # first\n nameserver 10.0.0.2\nnameserver dns.example\n"
            "nameserver 10.0.0.1\nnameserver fe80::1%eth0\noptions ndots:x timeout:\n"
        }
    )
    assert probe.name_servers(host) == ("10.0.0.1", "10.0.0.2")
    assert probe.name_servers(make_host({"/etc/resolv.conf": "\0\xff"})) == ()


def test_the_system_resolves() -> None:
    looked_up = asyncio.run(probe.lookup("localhost", timeout=10))
    assert "127.0.0.1" in looked_up.addresses and looked_up.failure is None
    assert asyncio.run(probe.lookup("::1", timeout=10)).addresses == ("::1",)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "nxdomain"),
        (socket.gaierror(socket.EAI_NODATA, "No address associated with hostname"), "no-address"),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"), "other"),
        (OSError(5, "Input/output error"), "other"),
    ],
)
def test_what_getaddrinfo_says(
    monkeypatch: pytest.MonkeyPatch, error: OSError, reason: str
) -> None:
    def failing(*arguments: object, **options: object) -> None:
        raise error

    monkeypatch.setattr(socket, "getaddrinfo", failing)
    looked_up = asyncio.run(probe.lookup("studio.lab", timeout=10))
    assert looked_up.failure and looked_up.failure.reason == reason


def test_a_temporary_failure_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes: list[object] = [socket.gaierror(socket.EAI_AGAIN, "Temporary failure")]

    def failing_once(*arguments: object, **options: object) -> list[tuple[object, ...]]:
        if outcomes:
            raise outcomes.pop()  # type: ignore[misc]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.7", 0))]

    monkeypatch.setattr(socket, "getaddrinfo", failing_once)
    assert asyncio.run(probe.lookup("studio.lab", timeout=10)).addresses == ("192.0.2.7",)


@pytest.mark.parametrize("name", ["a..b", "x" * 64 + ".lab", "\udc80", "", "ex ample", "\0"])
def test_what_is_no_name(name: str) -> None:
    assert asyncio.run(probe.lookup(name, timeout=10)).failure


def test_a_resolver_that_hangs_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: released.wait(60))
    with within(0.2):  # neither the lookup nor the end of the loop may wait
        looked_up = asyncio.run(probe.lookup("studio.lab", timeout=0.2))
    released.set()
    assert looked_up.failure and looked_up.failure.reason == "timeout"


def failed(reason: str) -> Callable[[str], Answer]:
    return lambda server: Answer(
        server=server, record="A", seconds=1, failure=Failure("resolve", reason)  # type: ignore[arg-type]
    )  # fmt: skip


@pytest.mark.parametrize(
    ("answers", "servers", "reason"),
    [
        (["timeout", "timeout"], ["a", "b"], "timeout"),
        (["timeout", "servfail"], ["a", "b"], "servfail"),
        (["refused"], ["a"], "refused"),
        (["unreachable"], ["a"], "unreachable"),
        ([], [], "no-resolver"),
        (["no-address"], ["a"], "other"),
        ([None], ["a"], "other"),
        ([None, "servfail"], ["a", "b"], "other"),
    ],
)
def test_the_servers_explain_what_getaddrinfo_does_not(
    answers: list[str | None], servers: list[str], reason: str
) -> None:
    given_up = Lookup(
        name="x", addresses=(), seconds=5, failure=Failure("resolve", "other", "Temporary failure")
    )
    told = [
        failed(answer)(server)
        if answer
        else Answer(server=server, record="A", seconds=1, addresses=("192.0.2.1",))
        for answer, server in zip(answers, servers, strict=True)
    ]
    explained = probe.explained(given_up, told, servers)
    assert explained.failure and explained.failure.reason == reason
