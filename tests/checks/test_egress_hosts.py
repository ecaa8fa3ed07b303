"""egress.hosts, against servers and proxies of our own and on facts."""

import asyncio
import secrets
import shutil
from pathlib import Path as File
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from msgspec import structs

from biostudio_doctor import config as configuration
from biostudio_doctor import requirements
from biostudio_doctor.check import ObservationError
from biostudio_doctor.checks.egress_hosts import EgressFacts, EgressHosts, EgressSettings
from biostudio_doctor.errors import ConfigError
from biostudio_doctor.model import Finding, Status, Strength
from biostudio_doctor.probes.results import Path
from biostudio_doctor.requirements import Endpoint
from tests.conftest import MakeHost, context, judge
from tests.lab.certificates import make
from tests.lab.network import free_port
from tests.lab.paths import (
    SERVER,
    SERVER2,
    answer,
    asked_for,
    attempt,
    endpoint,
    facts,
    look,
    reached,
    unconnected,
    unresolved,
)
from tests.lab.peers import Behaviour, Peer, reset, server_context, silent
from tests.lab.timing import within
from tests.lab.web import https, squid
from tests.probes.test_proxy import MALFORMED

needs_squid = pytest.mark.skipif(not shutil.which("squid"), reason="needs squid")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


# --- Real servers ---------------------------------------------------------------------------------


class Lab:
    """Who certifies localhost, and a host that trusts it."""

    def __init__(self, make_host: MakeHost, directory: File) -> None:
        authority = make("Lab Root", ca=True)
        self.host = make_host({"/ca.pem": authority.pem})
        self.server = server_context(
            directory, make("localhost", issuer=authority, names=("localhost", "127.0.0.1"))
        )

    def facts(self, *endpoints: Endpoint, **config: object) -> EgressFacts:
        check = EgressHosts(asked_for(*endpoints, **config), EgressSettings(ca_file="/ca.pem"))
        gathered = asyncio.run(check.observe(self.host))
        carried = msgspec.json.encode(gathered)
        assert msgspec.json.decode(carried, type=EgressFacts) == gathered, "a bundle carries it"
        return gathered

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
        wanted = endpoint("127.0.0.1", peer.port if behaviour else free_port())
        timeout = 1.5 if behaviour is silent else 20
        with within(timeout):
            found = lab.findings(wanted, timeout=timeout)
    finding = found.pop("127.0.0.1")
    assert finding.status is Status.FAIL and finding.observed.startswith(phase)
    assert finding.summary.startswith(f"127.0.0.1 cannot be reached: {said}")
    assert finding.requirement == wanted
    (diagnosis,) = found.values()
    assert diagnosis.remedy and diagnosis.cause == finding.cause
    assert finding.expected == f"reachable by HTTPS on TCP port {wanted.port}"


def test_an_unknown_authority(lab: Lab, make_host: MakeHost, tmp_path: File) -> None:
    with Peer(https(lab.server)) as peer:
        check = EgressHosts(asked_for(endpoint("localhost", peer.port)))
        found = judge(check, asyncio.run(check.observe(lab.host)))
    finding, remedy = found["localhost"], found["intercepted TLS"].remedy
    assert finding.status is Status.FAIL and finding.observed.startswith("tls: untrusted")
    assert "it was issued by 'Lab Root'" in finding.summary
    assert remedy and "update-ca-certificates" in remedy.commands


@pytest.mark.parametrize("key", ["ca_file", "proxy_login_file"])
@pytest.mark.parametrize(
    ("place", "words"), [("/nowhere", "No such file or directory"), ("/there", "Is a directory")]
)
def test_a_file_of_the_configuration_that_cannot_be_used(
    key: str, place: str, words: str, make_host: MakeHost
) -> None:
    given = {key: place, "proxy": "http://proxy.example.org:3128"}
    check = EgressHosts(asked_for(endpoint("127.0.0.1")), EgressSettings(**given))
    with pytest.raises(ObservationError) as raised:
        asyncio.run(check.observe(make_host({"/there/x": ""})))
    assert raised.value.summary == f"{place} cannot be used ({words})."
    assert raised.value.remedy and f"Correct {key} in the table" in raised.value.remedy.text


def test_hosts_are_probed_side_by_side(lab: Lab) -> None:
    with Peer(silent) as peer, Peer(https(lab.server)) as good:
        endpoints = [endpoint(f"127.0.0.{number}", free_port()) for number in range(2, 20)]
        endpoints += [endpoint("127.0.0.1", peer.port), endpoint("localhost", good.port)]
        with within(3):
            found = lab.findings(*endpoints, timeout=3)
    assert found["localhost"].status is Status.PASS
    hosts = [one for subject, one in found.items() if subject.startswith("127.")]
    assert [finding.status for finding in hosts] == [Status.FAIL] * 19


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
            without = lab.findings(endpoint("127.0.0.1", good.port))
    assert found["127.0.0.1"].status is Status.PASS
    assert f"answers through the proxy http://{proxy} after" in found["127.0.0.1"].summary
    denied, wanted = found["localhost"], without["127.0.0.1"]
    assert denied.status is Status.FAIL and "refuses to connect to localhost" in denied.summary
    remedy = found["denied by the proxy"].remedy
    assert remedy and "let lab (127.0.0.1) connect" in remedy.text.replace(" and ::1", "")
    assert wanted.status is Status.FAIL and "wants a user name and a password" in wanted.summary
    assert wanted.cause == "proxy.auth" and denied.cause == "proxy.denied"
    assert word not in str(found) + str(without)


@pytest.mark.parametrize("value", MALFORMED)
def test_a_malformed_proxy_is_one_clear_finding(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", value)
    found = lab.findings(endpoint("127.0.0.1", free_port()))
    socks = value.startswith("socks")
    finding = found.pop("127.0.0.1")
    assert finding.status is (Status.ERROR if socks else Status.FAIL)
    assert f": the value of HTTPS_PROXY {MALFORMED[value]}" in finding.summary
    (diagnosis,) = found.values()
    assert diagnosis.remedy and diagnosis.remedy.commands
    assert diagnosis.status is finding.status
    msgspec.json.encode((finding, diagnosis))


def test_settings_that_do_not_count_here(
    lab: Lab, make_host: MakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_host({"/etc/environment": "export https_proxy=http://u:w@p:1\n"})
    monkeypatch.setenv("HTTP_PROXY", "http://plain:1")
    gathered = lab.facts(endpoint("127.0.0.1", free_port()))
    assert len(gathered.other_proxies) == 2
    assert gathered.other_proxies[1] == "https_proxy in /etc/environment (http://p:1)"
    wanted = asked_for(endpoint("127.0.0.1", gathered.paths[0].port))
    remedy = judge(EgressHosts(wanted), gathered)["proxy not set"].remedy
    assert remedy and "it is http_proxy (which" in remedy.text and "(http://p:1)" in remedy.text


# --- Findings -------------------------------------------------------------------------------------


def judged(*paths: Path, strength: Strength = Strength.REQUIRED, **others: Any) -> list[Finding]:
    wanted = [endpoint(path.host, strength=strength) for path in paths]
    return list(EgressHosts(asked_for(*wanted)).judge(facts(*paths, **others), asked_for(*wanted)
                                                      .requirements))  # fmt: skip


def test_hosts_with_one_cause_have_one_diagnosis_that_speaks_for_them() -> None:
    paths = unconnected("a.lab"), unconnected("b.lab"), reached("c.lab")
    diagnosis, first, second, well = judged(*paths)
    assert {one.cause for one in (diagnosis, first, second)} == {"tcp.dropped"}
    assert {one.status for one in (diagnosis, first, second)} == {Status.FAIL}
    assert diagnosis.subject == "dropped packets" and diagnosis.remedy
    assert "so a.lab and b.lab cannot be used: packages cannot be installed." in diagnosis.summary
    assert first.remedy is None and first.requirement == endpoint("a.lab")
    assert "a.lab cannot be reached: the TCP connection failed, no answer" in first.summary
    assert well.status is Status.PASS and not well.cause


def test_several_causes_are_told_apart() -> None:
    found = judged(unconnected("a.lab"), unresolved("b.lab", "nxdomain"), reached("c.lab"))
    assert [one.cause for one in found] == ["dns.filtered"] * 2 + ["tcp.dropped"] * 2 + [""]


def test_what_fails_everywhere() -> None:
    diagnosis, *_ = judged(unconnected("a.lab"), unconnected("b.lab"))
    assert "so none of 2 hosts can be used:" in diagnosis.summary


def test_a_diagnosis_is_as_bad_as_the_worst_of_its_hosts() -> None:
    paths = unconnected("a.lab"), unconnected("b.lab")
    assert {one.status for one in judged(*paths, strength=Strength.OPTIONAL)} == {Status.WARN}
    wanted = asked_for(endpoint("a.lab", strength=Strength.OPTIONAL), endpoint("b.lab"))
    diagnosis, optional, required = EgressHosts(wanted).judge(facts(*paths), wanted.requirements)
    assert (diagnosis.status, optional.status) == (Status.FAIL, Status.WARN)
    assert required.status is Status.FAIL


def test_a_host_that_is_reached_all_the_same_only_warns() -> None:
    deaf = attempt("2001:db8::7", "timeout")
    path = reached("a.lab", attempts=(attempt(), deaf))
    diagnosis, host = judged(path, second_looks=(look("a.lab", again=(deaf,)),))
    assert diagnosis.status is host.status is Status.WARN
    assert diagnosis.summary.endswith("while IPv4 does (this concerns a.lab).")
    assert host.summary == "a.lab answers, but IPv6 gives no connection, while IPv4 does."
    assert host.observed.endswith(", 2001:db8::7: timeout")


def test_a_bad_name_server_needs_no_host_that_fails() -> None:
    answers = answer(SERVER), answer(SERVER2, "timeout")
    path = structs.replace(reached("a.lab"), answers=answers)
    diagnosis, host = judged(path, name_servers=(SERVER, SERVER2))
    assert diagnosis.status is Status.WARN and diagnosis.cause == "dns.bad-resolver"
    assert f"{SERVER2} does not answer" in diagnosis.summary and host.status is Status.PASS


def test_a_host_that_newer_rules_ask_for() -> None:
    wanted = asked_for(endpoint("new.lab"))
    (finding,) = EgressHosts(wanted).judge(facts(), wanted.requirements)
    assert finding.status is Status.ERROR and finding.remedy


def test_the_requirements_cited_are_there() -> None:
    published = requirements.load()
    for requirement_id in EgressHosts.requirement_ids:
        assert published.get(requirement_id)
    assert all(host.strength in (Strength.REQUIRED, Strength.OPTIONAL) for host in published.hosts)


def test_every_group_has_a_consequence() -> None:
    for host in requirements.load().hosts:
        path = structs.replace(unconnected(host.host), port=host.port)
        wanted = asked_for(host)
        diagnosis, _ = EgressHosts(wanted).judge(facts(path), wanted.requirements)
        assert f"{host.group} is not" not in diagnosis.summary


def test_it_is_not_asked_offline() -> None:
    assert EgressHosts.why_not(context(offline=True).scope) == (
        "needs the network, and --offline was given"
    )


# --- Settings -------------------------------------------------------------------------------------


def settings(**given: object) -> EgressSettings:
    return configuration.convert(given, EgressSettings, "doctor.toml", "checks.egress.hosts")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"add": ["ftp://x.lab/"]}, "add: 'ftp://x.lab/' is no https:// URL"),
        ({"add": ["https://"]}, "add: 'https://' is no https:// URL"),
        ({"add": ["https://x.lab:port/"]}, "add: 'https://x.lab:port/' is no https:// URL"),
        ({"add": ["https://x.lab", "https://x.lab:443/y"]}, "add: 'x.lab' is probed already"),
        ({"add": ["https://github.com/x"]}, "add: 'github.com' is probed already"),
        ({"add": 3}, "expected a list, got a whole number"),
        ({"remove": ["githb.com"]}, "remove: 'githb.com' is no published host; did you mean 'git"),
        ({"proxy": "http://p:99999"}, "proxy: the value has no valid port number"),
        ({"proxy": "socks5://p:1"}, "proxy: the value names a SOCKS proxy"),
        ({"proxy_login_file": "here"}, "starting with '/'"),
    ],
)  # fmt: skip
def test_bad_settings_are_one_clear_line(given: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings(**given)
    assert str(caught.value).startswith("doctor.toml: checks.egress.hosts")
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_secrets_in_settings_are_refused_and_not_repeated() -> None:
    word = secrets.token_hex(8)
    added = [[f"https://u:{word}@x.lab/"], [f"https://u:12/{word}@x.lab/"]]
    for given in ({"proxy": f"http://u:{word}@p:1"}, *({"add": one} for one in added)):
        with pytest.raises(ConfigError) as caught:
            settings(**given)
        assert word not in str(caught.value)


def test_hosts_are_added_and_removed() -> None:
    given = settings(add=["https://mirror.lab:8443/x/y"], remove=["github.com"])
    check = EgressHosts(context(), given)
    subjects = {finding.subject for finding in check.judge(facts(), context().requirements)}
    published = {host.host for host in requirements.load().hosts}
    assert subjects == published - {"github.com"} | {"mirror.lab"}
    replaced = settings(add=["https://github.com/x"], remove=["github.com"])
    judged = EgressHosts(context(), replaced).judge(facts(), context().requirements)
    assert len(list(judged)) == len(published)


def test_an_added_host_is_probed(lab: Lab) -> None:
    with Peer(https(lab.server)) as peer:
        given = EgressSettings(ca_file="/ca.pem", add=(f"https://localhost:{peer.port}/x",))
        check = EgressHosts(asked_for(), given)
        gathered = asyncio.run(check.observe(lab.host))
        (finding,) = check.judge(gathered, check.context.requirements)
    assert finding.status is Status.PASS and finding.subject == "localhost"


@pytest.mark.parametrize("place", ["file", "environment"])
@needs_squid
def test_the_proxy_of_the_configuration_goes_first(
    lab: Lab, make_host: MakeHost, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    word = secrets.token_hex(4) + "@:/"
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
    rules = "acl known proxy_auth REQUIRED\nhttp_access allow known\nhttp_access deny all"
    with Peer(https(lab.server)) as good, squid(rules, f"lab {word}") as running:
        proxy = f"http://127.0.0.1:{running.port}"
        if place == "environment":
            login = f"lab:{quote(word, safe='')}@"
            monkeypatch.setenv("https_proxy", proxy.replace("//", f"//{login}"))
        make_host({"/login": f"lab:{word}\n"})
        given = EgressSettings(ca_file="/ca.pem", proxy=proxy,
                               proxy_login_file="/login" if place == "file" else None)  # fmt: skip
        check = EgressHosts(asked_for(endpoint("127.0.0.1", good.port)), given)
        gathered = asyncio.run(check.observe(lab.host))
    finding = judge(check, gathered)["127.0.0.1"]
    assert finding.status is Status.PASS and f"through the proxy {proxy} after" in finding.summary
    assert word not in str(gathered) and quote(word, safe="") not in str(gathered)


def test_a_bad_proxy_of_the_configuration_is_called_so(lab: Lab) -> None:
    given = EgressSettings(ca_file="/ca.pem", proxy=f"http://127.0.0.1:{free_port()}")
    check = EgressHosts(asked_for(endpoint("a.lab")), given)
    found = judge(check, asyncio.run(check.observe(lab.host)))
    assert "(from the configuration) refuses the connection" in found["a.lab"].summary
    remedy = found["unreachable proxy"].remedy
    assert remedy and "Correct the configuration" in remedy.text and not remedy.commands
