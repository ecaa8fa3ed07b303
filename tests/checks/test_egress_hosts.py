"""egress.hosts, against servers and proxies of our own and on facts."""

import asyncio
import secrets
import shutil
import time
from pathlib import Path as File

import msgspec
import pytest
from msgspec import structs

from biostudio_doctor import requirements
from biostudio_doctor.check import Context
from biostudio_doctor.checks.egress_hosts import EgressFacts, EgressHosts, EgressSettings
from biostudio_doctor.model import Finding, Machine, Status, Strength
from biostudio_doctor.probes import Failure
from biostudio_doctor.probes.results import (
    Answer,
    Attempt,
    Exchange,
    Hop,
    Lookup,
    Path,
    Proxy,
    Reply,
    Route,
    TlsResult,
)
from biostudio_doctor.requirements import Endpoint, Requirements
from tests.conftest import DEBIAN, MakeHost, context, judge
from tests.lab.certificates import make
from tests.lab.network import free_port
from tests.lab.peers import Behaviour, Peer, reset, server_context, silent
from tests.lab.web import https, squid
from tests.probes.test_proxy import MALFORMED

needs_squid = pytest.mark.skipif(not shutil.which("squid"), reason="needs squid")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def endpoint(
    host: str, port: int = 443, strength: Strength = Strength.REQUIRED, path: str = "/"
) -> Endpoint:
    return Endpoint(
        id=f"egress.{host}:{port}",
        strength=strength,
        section="Network requirements",
        says="*.lab",
        source="test",
        host=host,
        domain="*.lab",
        group="lab",
        purpose="the tests come from here",
        path=path,
        port=port,
    )


def asked_for(*endpoints: Endpoint, machine: Machine = DEBIAN, **config: object) -> Context:
    wanted = Requirements("test", {item.id: item for item in endpoints})
    return structs.replace(context(machine, **config), requirements=wanted)


# --- Real servers ---------------------------------------------------------------------------------


class Lab:
    """Who certifies localhost, and a host that trusts it."""

    def __init__(self, make_host: MakeHost, directory: File) -> None:
        authority = make("Lab Root", ca=True)
        self.host = make_host(
            {"/ca.pem": authority.pem, "/etc/environment": "export https_proxy=http://p:1\n"}
        )
        self.server = server_context(
            directory, make("localhost", issuer=authority, names=("localhost", "127.0.0.1"))
        )

    def facts(self, *endpoints: Endpoint, **config: object) -> EgressFacts:
        check = EgressHosts(asked_for(*endpoints, **config), EgressSettings(ca_file="/ca.pem"))
        facts = asyncio.run(check.observe(self.host))
        carried = msgspec.json.encode(facts)
        assert msgspec.json.decode(carried, type=EgressFacts) == facts, "a bundle carries it"
        return facts

    def findings(self, *endpoints: Endpoint, **config: object) -> dict[str, Finding]:
        check = EgressHosts(asked_for(*endpoints, **config))
        return judge(check, self.facts(*endpoints, **config))

    def finding(self, port: int, **options: object) -> Finding:
        return self.findings(endpoint("127.0.0.1", port, **options))["127.0.0.1"]  # type: ignore[arg-type]


@pytest.fixture
def lab(make_host: MakeHost, tmp_path: File) -> Lab:
    return Lab(make_host, tmp_path)


def test_a_reachable_host(lab: Lab) -> None:
    with Peer(https(lab.server)) as peer:
        finding = lab.finding(peer.port)
    assert finding.status is Status.PASS and finding.remedy is None
    assert finding.summary.startswith("127.0.0.1 answers after ")
    for phase in ("HTTP 200", "resolve", "connect", "tls", "request"):
        assert phase in finding.observed


@pytest.mark.parametrize(("status", "worth"), [(403, Status.PASS), (404, Status.PASS),
                                               (502, Status.WARN)])  # fmt: skip
def test_any_status_shows_that_it_is_reached(lab: Lab, status: int, worth: Status) -> None:
    answer = b"HTTP/1.1 %d Whatever\r\nContent-Length: 0\r\n\r\n" % status
    with Peer(https(lab.server, answer)) as peer:
        finding = lab.finding(peer.port)
    assert finding.status is worth and f"HTTP {status}" in finding.summary
    assert bool(finding.remedy) == (worth is Status.WARN)


@pytest.mark.parametrize(
    ("behaviour", "phase", "said"),
    [
        (None, "connect: refused", "the TCP connection failed, 127.0.0.1 on TCP port"),
        (reset, "tls: reset", "the TLS handshake failed, the connection was reset"),
        (silent, "tls: timeout", "the TLS handshake failed, no answer came"),
    ],
    ids=["refused", "reset", "silent"],
)
def test_the_failing_phase_is_named(
    lab: Lab, behaviour: Behaviour | None, phase: str, said: str
) -> None:
    with Peer(behaviour or silent) as peer:
        port = peer.port if behaviour else free_port()
        started = time.monotonic()
        wanted = endpoint("127.0.0.1", port)
        finding = lab.findings(wanted, timeout=1)["127.0.0.1"]
        assert time.monotonic() - started < 1, "the findings are there before the check is killed"
    assert finding.status is Status.FAIL and finding.observed.startswith(phase)
    assert finding.summary.startswith(
        f"127.0.0.1 (the tests come from here) cannot be reached: {said}"
    )
    assert finding.remedy and finding.requirement == wanted
    assert finding.expected == f"reachable by HTTPS on TCP port {port}"


def test_an_unknown_authority(lab: Lab, make_host: MakeHost, tmp_path: File) -> None:
    with Peer(https(lab.server)) as peer:
        check = EgressHosts(asked_for(endpoint("localhost", peer.port)))
        finding = judge(check, asyncio.run(check.observe(lab.host)))["localhost"]
    assert finding.status is Status.FAIL and finding.observed.startswith("tls: untrusted")
    assert "it was issued by 'Lab Root'" in finding.summary
    assert finding.remedy and "update-ca-certificates" in finding.remedy.commands


def test_a_ca_file_that_is_none(lab: Lab) -> None:
    check = EgressHosts(asked_for(endpoint("127.0.0.1")), EgressSettings(ca_file="/nowhere.pem"))
    with pytest.raises(OSError, match="No such file"):
        asyncio.run(check.observe(lab.host))


def test_hosts_are_probed_side_by_side(lab: Lab) -> None:
    with Peer(silent) as peer, Peer(https(lab.server)) as good:
        endpoints = [endpoint(f"127.0.0.{number}", free_port()) for number in range(2, 20)]
        endpoints += [endpoint("127.0.0.1", peer.port), endpoint("localhost", good.port)]
        started = time.monotonic()
        found = lab.findings(*endpoints, timeout=1)
    assert time.monotonic() - started < 1
    assert found["localhost"].status is Status.PASS
    assert [finding.status for finding in found.values()].count(Status.FAIL) == 19


@needs_squid
def test_through_a_proxy(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    word = secrets.token_hex(8)
    with Peer(https(lab.server)) as good, Peer(https(lab.server)) as other:
        rules = (
            f"acl banned port {other.port}\nacl known proxy_auth REQUIRED\n"
            "http_access deny banned\nhttp_access allow known\nhttp_access deny all"
        )
        with squid(rules, f"lab {word}") as running:
            proxy = f"localhost:{running.port}"
            monkeypatch.setenv("HTTPS_PROXY", f"http://lab:{word}@{proxy}")
            found = lab.findings(
                endpoint("127.0.0.1", good.port), endpoint("localhost", other.port)
            )
            monkeypatch.setenv("HTTPS_PROXY", f"http://{proxy}")
            without = lab.finding(good.port)
    assert found["127.0.0.1"].status is Status.PASS
    assert f"answers through the proxy http://{proxy} after" in found["127.0.0.1"].summary
    denied, wanted = found["localhost"], without
    assert denied.status is Status.FAIL and "refuses to connect to localhost" in denied.summary
    assert denied.remedy and "let lab (127.0.0.1" in denied.remedy.text.replace("::1 and ", "")
    assert wanted.status is Status.FAIL and "wants a user name and a password" in wanted.summary
    assert word not in str(found) + str(without)


@pytest.mark.parametrize("value", MALFORMED)
def test_a_malformed_proxy_is_one_clear_finding(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", value)
    finding = lab.finding(free_port())
    socks = value.startswith("socks")
    assert finding.status is (Status.ERROR if socks else Status.FAIL)
    assert f": the value of HTTPS_PROXY {MALFORMED[value]}" in finding.summary
    assert finding.remedy and finding.remedy.commands
    msgspec.json.encode(finding)


# --- Facts ----------------------------------------------------------------------------------------

SERVER = "10.0.0.53"


def unresolved(host: str, reason: str, said: str | None = None) -> Path:
    failure = Failure("resolve", reason, "Temporary failure")  # type: ignore[arg-type]
    answer = Answer(server=SERVER, record="A", seconds=1, failure=failure, code=said or "")
    return Path(
        host=host,
        port=443,
        route=Route(),
        lookup=Lookup(name=host, addresses=(), seconds=6, failure=failure),
        answers=(answer,),
        seconds={"resolve": 6.0},
        failure=failure,
    )


def unconnected(host: str, reason: str = "timeout", detail: str = "") -> Path:
    failure = Failure("connect", reason, detail)  # type: ignore[arg-type]
    attempt = Attempt(
        address="192.0.2.7", family="IPv4", seconds=4, source="10.0.0.5", failure=failure
    )
    return Path(
        host=host, port=443, route=Route(), attempts=(attempt,), seconds={}, failure=failure
    )


def reached(host: str, *hops: Hop) -> Path:
    first = Hop(url=f"https://{host}/", host=host, seconds={}, status=302 if hops else 200)
    return Path(
        host=host, port=443, route=Route(), exchange=Exchange(hops=(first, *hops)), seconds={}
    )


def untrusted(host: str, code: int) -> Path:
    failure = Failure("tls", "untrusted", "why")
    tls = TlsResult(server_name=host, verify_code=code, failure=failure)
    return Path(host=host, port=443, route=Route(), tls=tls, seconds={}, failure=failure)


def proxied(host: str, reply: Reply, **proxy: object) -> Path:
    through = Proxy(scheme="http", host="proxy.lab", port=3128, **proxy)  # type: ignore[arg-type]
    reason = "proxy-auth" if reply.status == 407 else "proxy-denied"
    attempt = Attempt(address="10.0.0.9", family="IPv4", seconds=0.01, source="10.0.0.5")
    return Path(
        host=host,
        port=443,
        route=Route(variable="https_proxy", proxy=through),
        attempts=(attempt,),
        reply=reply,
        failure=Failure("proxy", reason, f"{reply.status} {reply.phrase}"),  # type: ignore[arg-type]
    )


def judged(*paths: Path, machine: Machine = DEBIAN, other: tuple[str, ...] = (),
           strength: Strength = Strength.REQUIRED) -> dict[str, Finding]:  # fmt: skip
    facts = EgressFacts(paths=paths, name_servers=(SERVER,), other_proxies=other)
    wanted = [endpoint(path.host, strength=strength) for path in paths]
    return judge(EgressHosts(asked_for(*wanted, machine=machine)), facts)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        (unresolved("a.lab", "nxdomain"), "the name does not exist, says 10.0.0.53"),
        (unresolved("a.lab", "servfail"), "10.0.0.53 could not find the name out (SERVFAIL)"),
        (unresolved("a.lab", "refused"), "10.0.0.53 refuses to answer"),
        (unresolved("a.lab", "timeout"), "no answer came from 10.0.0.53 within 6 s"),
        (unresolved("a.lab", "no-resolver"), "/etc/resolv.conf names no name server"),
        (unresolved("a.lab", "other"), "Temporary failure"),
        (unconnected("a.lab"), "no answer came from 192.0.2.7 on TCP port 443, as if a firewall"),
        (unconnected("a.lab", "unreachable", "No route to host"), "192.0.2.7 on TCP port 443 (No"),
    ],
)
def test_the_cause_is_told(path: Path, said: str) -> None:
    finding = judged(path)["a.lab"]
    assert finding.status is Status.FAIL and said in finding.summary and finding.remedy


def test_the_rule_for_the_network_team() -> None:
    found = judged(unconnected("a.lab"), unconnected("b.lab"), reached("c.lab"))
    remedy = found["a.lab"].remedy
    assert remedy and remedy == found["b.lab"].remedy, "one rule, not two requests"
    assert "Allow outbound, TCP port 443, from lab (10.0.0.5) to a.lab and b.lab." in remedy.text
    assert found["c.lab"].status is Status.PASS


@pytest.mark.parametrize(
    ("paths", "said"),
    [
        ((unresolved("a.lab", "timeout"), unresolved("b.lab", "servfail")), "name resolution as a"),
        ((unconnected("a.lab"), unconnected("b.lab", "refused")), "the way out as a whole"),
        ((untrusted("a.lab", 20), untrusted("b.lab", 20)), "package ca-certificates"),
    ],
)
def test_what_fails_everywhere_is_no_matter_of_hosts(paths: tuple[Path, ...], said: str) -> None:
    found = judged(*paths)
    remedies = {finding.remedy for finding in found.values()}
    (remedy,) = remedies
    assert remedy and said in remedy.text
    alone = judged(*paths, reached("c.lab"))["a.lab"].remedy
    assert alone and said not in alone.text


def test_a_proxy_that_is_set_elsewhere_is_told() -> None:
    found = judged(unconnected("a.lab"), other=("https_proxy in /etc/environment",))
    remedy = found["a.lab"].remedy
    assert remedy and "Not in force here is https_proxy in /etc/environment." in remedy.text


def test_settings_that_do_not_count_here(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://plain:1")
    monkeypatch.setenv("NO_PROXY", "*")
    other = lab.facts(endpoint("127.0.0.1", free_port())).other_proxies
    assert len(other) == 2 and other[1] == "https_proxy in /etc/environment"


def test_an_address_that_does_not_connect_is_told() -> None:
    deaf = unconnected("a.lab").attempts[0]
    whole = structs.replace(deaf, address="2001:db8::7", family="IPv6", failure=None)
    path = structs.replace(reached("a.lab"), attempts=(deaf, whole))
    finding = judged(path)["a.lab"]
    assert finding.status is Status.PASS and finding.observed.endswith(", 192.0.2.7: timeout")


def test_what_is_optional_only_warns() -> None:
    found = judged(unconnected("a.lab"), strength=Strength.OPTIONAL)
    assert found["a.lab"].status is Status.WARN


@pytest.mark.parametrize(
    ("reply", "options", "said"),
    [
        (Reply(status=407, phrase="No", seconds=0, schemes=("Basic",)), {}, "Put a user name"),
        (Reply(status=407, phrase="No", seconds=0, schemes=("Basic", "NTLM")),
         {"authenticated": True}, "Correct the user name and the password in https_proxy"),
        (Reply(status=407, phrase="No", seconds=0, schemes=("Negotiate", "NTLM")), {},
         "offers Negotiate and NTLM: ask"),
        (Reply(status=403, phrase="No", seconds=0), {}, "to let lab (10.0.0.5) connect (CONNECT"),
    ],
)  # fmt: skip
def test_what_to_do_about_a_proxy(reply: Reply, options: dict[str, bool], said: str) -> None:
    remedy = judged(proxied("a.lab", reply, **options))["a.lab"].remedy
    assert remedy and said in remedy.text


@pytest.mark.parametrize(
    ("code", "said", "command"),
    [(20, "looks into TLS", "update-ca-trust extract"), (10, "clock is right", "date -u"),
     (62, "Something else answers", None)],
)  # fmt: skip
def test_what_to_do_about_a_certificate(code: int, said: str, command: str | None) -> None:
    machine = structs.replace(DEBIAN, os_id="rocky", os_like=("rhel",), os_version="9.3")
    remedy = judged(untrusted("a.lab", code), machine=machine)["a.lab"].remedy
    assert remedy and said in remedy.text
    assert command in remedy.commands if command else not remedy.commands


def test_a_redirect_to_a_host_that_is_blocked() -> None:
    stray = Hop(
        url="https://cdn.lab/", host="cdn.lab", seconds={}, failure=Failure("connect", "timeout")
    )
    finding = judged(reached("a.lab", stray))["a.lab"]
    assert finding.status is Status.WARN and "redirects to cdn.lab" in finding.summary
    known = judged(reached("a.lab", stray), unconnected("cdn.lab"))
    assert known["a.lab"].status is Status.PASS, "cdn.lab has a finding of its own"


def test_a_host_that_newer_rules_ask_for() -> None:
    facts = EgressFacts(paths=(), name_servers=(), other_proxies=())
    finding = judge(EgressHosts(asked_for(endpoint("new.lab"))), facts)["new.lab"]
    assert finding.status is Status.ERROR and finding.remedy


def test_the_requirements_cited_are_there() -> None:
    published = requirements.load()
    for requirement_id in EgressHosts.requirement_ids:
        assert isinstance(published.get(requirement_id), Endpoint)
    assert all(host.strength in (Strength.REQUIRED, Strength.OPTIONAL) for host in published.hosts)


def test_it_is_not_asked_offline() -> None:
    assert EgressHosts.why_not(context(offline=True).scope) == (
        "needs the network, and --offline was given"
    )
