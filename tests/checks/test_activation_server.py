"""activation.server, against HTTPS servers and proxies of our own."""

import asyncio
import shutil
from pathlib import Path as File

import msgspec
import pytest

from biostudio_doctor.check import ObservationError
from biostudio_doctor.checks.activation_server import ActivationServer
from biostudio_doctor.checks.egress_facts import EgressFacts
from biostudio_doctor.model import Finding, Status
from tests.conftest import MakeHost, context, judge
from tests.lab.certificates import make
from tests.lab.network import free_port
from tests.lab.paths import asked_for, endpoint
from tests.lab.peers import Behaviour, Peer, reset, server_context, silent
from tests.lab.web import https, squid

STUDIO = "localhost"


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


class Lab:
    """The activation server on this host, and a host that trusts who certifies it."""

    def __init__(self, make_host: MakeHost, directory: File) -> None:
        self.authority = make("Lab Root", ca=True)
        self.host = make_host({"/ca.pem": self.authority.pem})
        self.server = server_context(
            directory, make(STUDIO, issuer=self.authority, names=(STUDIO, "127.0.0.1"))
        )

    def finding(self, port: int, timeout: float = 6, **settings: object) -> Finding:
        wanted = msgspec.structs.replace(
            endpoint("127.0.0.1", port, group="activation"), id="egress.studio"
        )
        table = {"ca_file": "/ca.pem", **settings}
        check = ActivationServer(asked_for(wanted, timeout=timeout, checks={"egress.hosts": table}))
        facts = asyncio.run(check.observe(self.host))
        assert msgspec.json.decode(msgspec.json.encode(facts), type=EgressFacts) == facts
        (finding,) = judge(check, facts).values()
        assert finding.requirement == wanted
        return finding


@pytest.fixture
def lab(make_host: MakeHost, tmp_path: File) -> Lab:
    return Lab(make_host, tmp_path)


def test_it_answers_and_what_that_does_not_say(lab: Lab) -> None:
    with Peer(https(lab.server)) as peer:
        finding = lab.finding(peer.port)
    assert finding.status is Status.PASS and not finding.remedy and not finding.cause
    assert "HTTP 200" in finding.summary and "only BioStudio itself will learn" in finding.summary


def answer(status: int, body: bytes = b"") -> bytes:
    lines = [
        b"HTTP/1.1 %d Whatever" % status,
        b"Content-Length: %d" % len(body),
        b"Content-Type: text/html",
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


@pytest.mark.parametrize(
    ("said", "status", "cause"),
    [
        (answer(404), Status.PASS, ""),
        (answer(502), Status.WARN, "http.server"),
        (answer(511), Status.FAIL, "http.portal"),
        (answer(403, b"<html>Access denied by FortiGuard web filter</html>"), Status.FAIL,
         "http.block-page"),
    ],
)  # fmt: skip
def test_not_every_answer_is_its_own(lab: Lab, said: bytes, status: Status, cause: str) -> None:
    with Peer(https(lab.server, said)) as peer:
        finding = lab.finding(peer.port)
    assert (finding.status, finding.cause) == (status, cause), finding.summary
    assert bool(finding.remedy) == (status is not Status.PASS)


@pytest.mark.parametrize(
    ("behaviour", "cause"),
    [(None, "tcp.refused"), (reset, "tls.cut"), (silent, "tls.cut")],
    ids=["refused", "reset", "silent"],
)
def test_it_is_not_reached(lab: Lab, behaviour: Behaviour | None, cause: str) -> None:
    if behaviour:
        with Peer(behaviour) as peer:
            finding = lab.finding(peer.port, timeout=3)
    else:
        finding = lab.finding(free_port())
    assert (finding.status, finding.cause) == (Status.FAIL, cause)
    assert finding.remedy and finding.remedy.commands == ("biostudio-doctor check egress.hosts",)


def test_the_authorities_are_those_of_egress_hosts(lab: Lab) -> None:
    with Peer(https(lab.server)) as peer:
        finding = lab.finding(peer.port, ca_file=None)
    assert finding.status is Status.FAIL and finding.cause.startswith("tls.")


def test_authorities_that_cannot_be_had_are_named(lab: Lab) -> None:
    with Peer(https(lab.server)) as peer, pytest.raises(ObservationError) as raised:
        lab.finding(peer.port, ca_file="/nowhere.pem")
    assert raised.value.summary == "/nowhere.pem cannot be used (No such file or directory)."
    assert raised.value.remedy and "egress.hosts" in raised.value.remedy.text


def test_it_can_be_taken_out(lab: Lab) -> None:
    table = {"egress.hosts": {"remove": ["studio.bioturing.com"]}}
    check = ActivationServer(context(checks=table))
    (finding,) = judge(check, asyncio.run(check.observe(lab.host))).values()
    assert finding.status is Status.SKIP and "takes studio.bioturing.com out" in finding.summary


@pytest.mark.skipif(not shutil.which("squid"), reason="needs squid")
def test_the_proxy_is_that_of_egress_hosts(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    with Peer(https(lab.server)) as peer, squid("http_access allow all") as proxy:
        finding = lab.finding(peer.port, proxy=f"http://127.0.0.1:{proxy.port}")
        assert finding.status is Status.PASS
        assert f"through the proxy http://127.0.0.1:{proxy.port}" in finding.summary
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.port}")
        assert "through the proxy" in lab.finding(peer.port).summary
    with Peer(https(lab.server)) as peer, squid("http_access deny all") as proxy:
        finding = lab.finding(peer.port, proxy=f"http://127.0.0.1:{proxy.port}")
    assert (finding.status, finding.cause) == (Status.FAIL, "proxy.denied")


def test_a_socks_proxy_is_not_judged(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("all_proxy", "socks5://127.0.0.1:1080")
    finding = lab.finding(free_port())
    assert (finding.status, finding.cause) == (Status.ERROR, "proxy.socks")


def test_only_where_biostudio_runs() -> None:
    assert ActivationServer.roles == ("all-in-one", "biostudio")
