"""scaling.nodes: machines in network namespaces, and what is judged from facts alone.

BioStudio's app, hub and front are made (node_server.py), since its images cannot be had here; the
queue, the brokers, Redis and memcached are the real programs.
"""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from biostudio_doctor.checks.scaling_agreement import agreed, deviation
from biostudio_doctor.checks.scaling_nodes import ScalingNodes
from biostudio_doctor.host import Host
from biostudio_doctor.model import Finding, Status
from biostudio_doctor.nodes import Clock, Knock, NodesFacts, Seen
from biostudio_doctor.ports import ports_of
from biostudio_doctor.probes import Failure
from biostudio_doctor.probes.results import Attempt
from biostudio_doctor.requirements import load
from tests.conftest import context, judge
from tests.lab.cluster import HERE, Cluster
from tests.lab.network import why_not
from tests.lab.servers import program
from tests.lab.timing import SLACK

NAMES = """
10.78.0.2 proxy
10.78.0.3 node-a alias-a
10.78.0.4 node-b
fd78::4 node-b
10.78.0.5 node-c
10.78.0.99 half-gone
10.78.0.3 half-gone
"""
FRONT: dict[int, Any] = {
    80: {"/app_proxy_status": [200, "ok"], "*": [302, ""]}, 443: "no TLS", 5432: "N",
}  # fmt: skip
MOSQUITTO = "allow_anonymous true\nlistener 1883\nlistener 9001\nprotocol websockets\n"


@pytest.fixture(scope="module")
def lan(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    if reason := why_not():
        pytest.skip(reason)
    directory = tmp_path_factory.mktemp("cluster")
    directory.chmod(0o755)
    (directory / "mosquitto.conf").write_text(MOSQUITTO)
    cluster = Cluster(directory, "proxy", "a", "b", "c")
    try:
        cluster.hosts(HERE, NAMES)
        cluster.hosts("a", NAMES)
        yield cluster
    finally:
        cluster.close()


@pytest.fixture(autouse=True)
def tidy(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "lan" in request.fixturenames:
        request.getfixturevalue("lan").clear()


def biostudio(lan: Cluster, name: str, *, app: str = "2.0.50", ahead: float = 0) -> None:
    """Start what a BioStudio node offers."""
    made = {
        11123: {"/status": [200, f'{{"version": "{app}"}}']},
        18000: {"/hub/api": [200, '{"version": "4.0.2"}']},
    }
    lan.serve(name, made, ahead=ahead)
    lan.start(name, [program("beanstalkd"), "-l", "0.0.0.0"], 11300)
    lan.start(name, [program("mosquitto"), "-c", str(lan.directory / "mosquitto.conf")], 1883, 9001)


def bioproxy(lan: Cluster, name: str, *, ahead: float = 0) -> None:
    """Start what bioproxy offers; memcached where the image has it, not where it is published."""
    lan.serve(name, FRONT, ahead=ahead)
    redis(lan, name)
    lan.start(name, [program("memcached"), "-u", "nobody", "-l", "0.0.0.0"], 11211)


def redis(lan: Cluster, name: str) -> None:
    options = ["--protected-mode", "no", "--save", "", "--dir", str(lan.directory)]
    lan.start(name, [program("redis-server"), *options], 6379)


def look(
    lan: Cluster, nodes: list[str], proxy: str = "proxy", role: str = "bioproxy", at: str = HERE
) -> tuple[dict[str, dict[str, Any]], dict[str, list[str]], dict[str, Any]]:
    """What the program says: findings by subject, rows of the matrix, and the whole result."""
    configuration = f'role = "{role}"\nnodes = {nodes}\n'.replace("'", '"')
    if proxy:
        configuration = f'bioproxy = "{proxy}"\n{configuration}'
    result = lan.doctor(at, "scaling.nodes", configuration)
    findings = {finding["subject"]: finding for finding in result["findings"]}
    assert len(findings) == len(result["findings"])
    rows = {row[0]: row[1:] for table in result["tables"] for row in table["rows"]}
    return findings, rows, result


def test_a_sound_cluster_passes(lan: Cluster) -> None:
    bioproxy(lan, "proxy")
    biostudio(lan, "a")
    biostudio(lan, "b")
    findings, rows, result = look(lan, ["node-a", "node-b"])
    assert {finding["status"] for finding in findings.values()} <= {"pass"}, findings
    assert "the app 2.0.50" in findings["versions"]["summary"]
    assert "the notebook hub 4.0.2" in findings["versions"]["summary"]
    assert "the job queue 1." in findings["versions"]["summary"]
    columns = result["tables"][0]["columns"]
    assert columns[:2] == ["machine", "80 http"]
    assert rows["proxy"][columns.index("11211 memcached") - 1] == "open"
    assert rows["proxy"][columns.index("11121 memcached") - 1] == "refused"
    assert "1883 mqtt-tcp" in result["tables"][1]["columns"]
    assert rows["node-a"] == rows["node-b"] == ["open"] * 5
    assert {"clock of proxy", "clock of node-a", "clock of node-b"} <= set(findings)


def test_each_way_of_a_port_to_be_closed_is_told(lan: Cluster) -> None:
    bioproxy(lan, "proxy")
    biostudio(lan, "a")
    lan.firewall("a", """
        tcp dport 18000 drop
        tcp dport 11123 reject with icmpx admin-prohibited
        tcp dport 1883 reject with tcp reset
    """)  # fmt: skip
    findings, rows, result = look(lan, ["node-a", "node-c", "nosuch"])
    assert result["duration_seconds"] < 8 + SLACK
    said = findings["node node-a"]["summary"]
    assert findings["node node-a"]["status"] == "fail"
    assert "port 18000 (workspace) does not answer" in said
    assert "port 1883 (mqtt-tcp) refuses connections" in said
    assert "port 11123 (app) is not reached" in said
    remedy = findings["node node-a"]["remedy"]["text"]
    assert "let TCP 18000, 11123 pass from 10.78.0.1" in remedy
    assert rows["node-a"] == ["no answer", "no way", "open", "refused", "open"]
    assert set(rows["node-c"]) == {"refused"}
    assert findings["node node-c"]["cause"] == "scaling.refused"
    assert findings["node nosuch"]["status"] == "fail"
    assert "the name does not exist" in findings["node nosuch"]["summary"]
    assert set(rows["nosuch"]) == {"no address"}


def test_a_silent_machine_costs_no_more_than_the_slowest_probe(lan: Cluster) -> None:
    for name in ("proxy", "a", "b", "c"):
        lan.firewall(name, "meta l4proto tcp drop")
    findings, _, result = look(lan, ["node-a", "node-b", "node-c"])
    assert 3 < result["duration_seconds"] < 4 + SLACK
    assert findings["bioproxy proxy"]["cause"] == "scaling.timeout"
    assert {findings[f"node node-{name}"]["status"] for name in "abc"} == {"fail"}


def test_many_machines_do_not_use_up_the_files_that_may_be_open(lan: Cluster) -> None:
    nodes = [f"10.78.0.{number}" for number in range(100, 120)]
    configuration = f'role = "bioproxy"\nbioproxy = "proxy"\ntimeout = 4\nnodes = {nodes}\n'
    limit = ("prlimit", "--nofile=160:160")
    result = lan.doctor(HERE, "scaling.nodes", configuration.replace("'", '"'), *limit)
    cells = {cell for table in result["tables"] for row in table["rows"] for cell in row[1:]}
    assert cells <= {"no answer", "no way", "refused"}, cells


def test_services_that_hang_or_say_nonsense_cost_little(lan: Cluster) -> None:
    lan.serve("proxy", {80: None, 443: None, 5432: None, 6379: None, 11121: None})
    lan.serve("a", {11123: "\0\xff" * 9000, 18000: None, 11300: "x" * 9000, 1883: None, 9001: "?"})
    findings, _, result = look(lan, ["node-a"])
    assert result["duration_seconds"] < 8 + SLACK
    assert findings["node node-a"]["status"] == "pass"
    assert findings["versions"]["status"] == "skip"
    assert findings["clocks"]["status"] == "skip"
    assert findings["one bioproxy"]["status"] == "warn"


def test_differing_versions_fail(lan: Cluster) -> None:
    bioproxy(lan, "proxy")
    biostudio(lan, "a")
    biostudio(lan, "b", app="2.0.49")
    finding = look(lan, ["node-a", "node-b"])[0]["versions"]
    assert (finding["status"], finding["cause"]) == ("fail", "scaling.versions")
    assert "2.0.49 on node-b and 2.0.50 on node-a" in finding["summary"]


def test_a_clock_that_is_off_is_told(lan: Cluster) -> None:
    bioproxy(lan, "proxy")
    biostudio(lan, "a", ahead=20)
    biostudio(lan, "b", ahead=-7200)
    findings = look(lan, ["node-a", "node-b"])[0]
    assert findings["clock of proxy"]["status"] == "pass"
    assert findings["clock of node-a"]["status"] == "warn"
    assert "ahead of" in findings["clock of node-a"]["summary"]
    assert findings["clock of node-b"]["status"] == "fail"
    assert "120 minutes behind" in findings["clock of node-b"]["summary"] or (
        "2 hours behind" in findings["clock of node-b"]["summary"]
    )


def test_if_all_others_agree_this_host_is_off(lan: Cluster) -> None:
    bioproxy(lan, "proxy", ahead=1000)
    biostudio(lan, "a", ahead=1000)
    findings = look(lan, ["node-a"])[0]
    assert findings["clock of this host"]["status"] == "fail"
    assert "behind those of the other machines" in findings["clock of this host"]["summary"]
    assert findings["clock of node-a"]["status"] == "pass"


def test_an_error_page_tells_no_time(lan: Cluster) -> None:
    """It may be that of a proxy in between, with its own clock."""
    bioproxy(lan, "proxy")
    lan.serve("a", {11123: {"*": [502, ""]}, 18000: {"*": [503, ""]}}, ahead=9999)
    findings = look(lan, ["node-a"])[0]
    assert "node-a did not tell the time" in findings["clocks"]["summary"]


def test_a_second_bioproxy_fails(lan: Cluster) -> None:
    bioproxy(lan, "proxy")
    biostudio(lan, "a")
    biostudio(lan, "b")
    lan.serve("b", {80: FRONT[80]})
    finding = look(lan, ["node-a", "node-b"])[0]["one bioproxy"]
    assert (finding["status"], finding["cause"]) == ("fail", "scaling.bioproxy")
    assert "its HTTP front on node-b (" in finding["summary"]


def test_its_databases_alone_are_known_too(lan: Cluster) -> None:
    bioproxy(lan, "proxy")
    biostudio(lan, "a")
    redis(lan, "a")
    finding = look(lan, ["node-a"])[0]["one bioproxy"]
    assert finding["status"] == "warn" and "Redis on node-a may be part" in finding["summary"]
    lan.serve("a", {5432: "N"})
    finding = look(lan, ["node-a"])[0]["one bioproxy"]
    assert finding["status"] == "fail" and "PostgreSQL and Redis" in finding["summary"]


def test_a_web_server_that_says_yes_to_everything_is_no_bioproxy(lan: Cluster) -> None:
    bioproxy(lan, "proxy")
    biostudio(lan, "a")
    lan.serve("a", {80: {"*": [200, "<html>welcome"]}})
    assert look(lan, ["node-a"])[0]["one bioproxy"]["status"] == "warn"


def test_bioproxy_may_be_among_the_nodes(lan: Cluster) -> None:
    bioproxy(lan, "a")
    biostudio(lan, "a")
    biostudio(lan, "b")
    findings = look(lan, ["node-a", "node-b"], proxy="10.78.0.3")[0]
    assert findings["one bioproxy"]["status"] == "pass"
    assert {finding["status"] for finding in findings.values()} == {"pass"}


def test_bioproxy_is_this_host_unless_told(lan: Cluster) -> None:
    bioproxy(lan, HERE)
    biostudio(lan, HERE)
    biostudio(lan, "b")
    findings = look(lan, ["10.78.0.1", "node-b"], proxy="", role="all-in-one")[0]
    assert findings["one bioproxy"]["status"] == "pass"
    assert findings["one bioproxy"]["summary"].startswith("This host is the only bioproxy")
    assert "10.78.0.1 (this host) takes" in findings["node 10.78.0.1"]["summary"]
    assert "bioproxy this host" not in findings


def test_two_names_of_one_machine_are_told(lan: Cluster) -> None:
    bioproxy(lan, "proxy")
    biostudio(lan, "a")
    findings = look(lan, ["node-a", "alias-a", "node-a"])[0]
    assert findings["node node-a (twice)"]["status"] == "warn"
    said = findings["nodes node-a, alias-a"]["summary"]
    assert "are one machine (10.78.0.3)" in said
    assert findings["versions"]["status"] == "skip"  # of one machine alone


def test_an_address_that_is_gone_is_told(lan: Cluster) -> None:
    bioproxy(lan, "proxy")
    biostudio(lan, "a")
    lan.run(
        HERE, ["ip", "neigh", "replace", "10.78.0.99", "lladdr", "02:00:00:00:00:99", "dev", "lan"]
    )
    finding = look(lan, ["half-gone"])[0]["node half-gone"]
    assert (finding["status"], finding["cause"]) == ("warn", "scaling.stale-address")
    assert "on none at 10.78.0.99" in finding["summary"]


def test_ipv6_addresses_are_taken(lan: Cluster) -> None:
    bioproxy(lan, "proxy")
    biostudio(lan, "a")
    lan.start("a", [program("beanstalkd"), "-l", "::", "-p", "11301"], 11301)
    findings, rows, _ = look(lan, ["fd78::3"])
    assert "11300 (job) refuses" in findings["node fd78::3"]["summary"]  # it is on IPv4 only
    assert rows["fd78::3"].count("open") == 4
    assert findings["clock of fd78::3"]["status"] == "pass"


def test_on_a_node_the_other_nodes_are_only_a_warning(lan: Cluster) -> None:
    bioproxy(lan, "proxy")
    biostudio(lan, "a")
    findings = look(lan, ["node-a", "node-c"], role="biostudio", at="a")[0]
    assert findings["node node-a"]["status"] == "pass"
    assert findings["node node-c"]["status"] == "warn"
    assert "bioproxy must" in findings["node node-c"]["summary"]
    assert findings["bioproxy proxy"]["status"] == "pass"


def test_https_may_be_set_up_later(lan: Cluster) -> None:
    lan.serve("proxy", {port: answer for port, answer in FRONT.items() if port != 443})
    lan.serve("proxy", {6379: None, 11121: None})
    finding = look(lan, ["node-a"])[0]["bioproxy proxy"]
    assert finding["status"] == "warn" and "HTTPS is not set up (yet)" in finding["summary"]


# --- From facts alone -----------------------------------------------------------------------------

CHECK = ScalingNodes(context(phase="running", role="bioproxy", nodes=["a", "b"]))


def knock(port: int, *reasons: Any) -> Knock:
    """A port at some addresses; no reason means that it is open there."""
    attempts = tuple(
        Attempt(
            address=f"10.0.0.{number}",
            family="IPv4",
            seconds=0.1,
            source="10.0.0.99",
            failure=Failure("connect", reason) if reason else None,
        )
        for number, reason in enumerate(reasons, 1)
    )
    return Knock(service="app", port=port, attempts=attempts)


def seen(name: str, number: int = 1, **changes: Any) -> Seen:
    return Seen(**{"name": name, "place": "node", "addresses": (f"10.0.0.{number}",), **changes})


def judged(bioproxy: Seen | None, *nodes: Seen) -> dict[str, Finding]:
    return judge(CHECK, NodesFacts(bioproxy=bioproxy, nodes=nodes))


def test_without_a_configuration_nothing_is_looked_at_or_imported() -> None:
    check = ScalingNodes(context(phase="running"))
    facts = check.observe(Host())
    assert isinstance(facts, NodesFacts)
    (finding,) = check.judge(facts, check.context.requirements)
    assert finding.status is Status.SKIP and finding.remedy and "nodes = [" in finding.remedy.text
    assert list(check.tables(facts)) == []
    assert check.why_not(context().scope)  # before the installation nothing answers yet


def test_only_bioproxy_configured_leaves_the_nodes_out() -> None:
    found = judged(seen("proxy", place="bioproxy", knocks=(knock(80, None),)))
    assert found["nodes"].status is Status.SKIP
    assert found["bioproxy proxy"].status is Status.PASS


@pytest.mark.parametrize(
    ("reason", "status"),
    [("nxdomain", "fail"), ("no-address", "fail"), ("timeout", "error"), ("servfail", "error")],
)
def test_a_name_that_could_not_be_asked_is_no_failure(reason: Any, status: str) -> None:
    nowhere = seen("a", addresses=(), failure=Failure("resolve", reason))
    found = judged(seen("p", 9, place="bioproxy", proxy=("http",)), nowhere)
    assert found["node a"].status == status
    proxy = seen("p", place="bioproxy", addresses=(), failure=Failure("resolve", reason))
    assert judged(proxy, seen("b"))["one bioproxy"].status is Status.ERROR


def test_no_ipv6_here_is_no_fault_of_the_other_machine() -> None:
    two = seen("a", addresses=("10.0.0.1", "10.0.0.2"), knocks=(knock(11123, None, "unreachable"),))
    assert judged(None, two)["node a"].status is Status.PASS
    two = seen("a", addresses=("10.0.0.1", "10.0.0.2"), knocks=(knock(11123, None, "timeout"),))
    assert judged(None, two)["node a"].status is Status.WARN


def test_bioproxy_is_not_told() -> None:
    found = judged(None, seen("a"), seen("b", 2))["one bioproxy"]
    assert found.status is Status.SKIP and found.remedy
    found = judged(None, seen("a", proxy=("http",)), seen("b", 2))["one bioproxy"]
    assert found.status is Status.SKIP and "a answers as one" in found.summary
    found = judged(None, *(seen(name, n, proxy=("http",)) for n, name in enumerate("ab", 1)))
    assert found["one bioproxy"].status is Status.FAIL


def test_versions_that_some_do_not_tell() -> None:
    told = {"app": "2.0.50"}
    found = judged(None, seen("a", versions=told), seen("b", 2, versions=told), seen("c", 3))
    summary = found["versions"].summary
    assert found["versions"].status is Status.PASS and "c did not tell all of them" in summary
    found = judged(None, seen("a", versions=told), seen("c", 3))
    assert found["versions"].status is Status.SKIP


def test_versions_of_different_services_are_not_compared() -> None:
    found = judged(
        None, seen("a", versions={"app": "2.0.50"}), seen("b", 2, versions={"job": "1.12"})
    )["versions"]
    assert found.status is Status.SKIP and "No two nodes tell" in found.summary
    both = {"job": "1.12"}
    found = judged(None, seen("a", versions=both), seen("b", 2, versions=both))["versions"]
    assert found.status is Status.PASS and "the images may differ" in found.summary


@given(st.lists(st.tuples(st.integers(-9999, 9999), st.integers(0, 9))))
def test_the_time_that_fits_the_most_clocks(found: list[tuple[int, int]]) -> None:
    clocks = [Clock(float(least), float(least + span)) for least, span in found]
    right = agreed(clocks)
    fits = [clock for clock in (*clocks, Clock(0, 0)) if deviation(clock, right) == 0]
    assert all(
        len(fits) >= sum(deviation(other, edge) == 0 for other in (*clocks, Clock(0, 0)))
        for clock in clocks
        for edge in (clock.least, clock.most)
    )


def test_a_whole_second_is_no_deviation() -> None:
    clock = Clock(-0.95, 0.1)  # what a right clock looks like just before its second is over
    assert agreed([clock]) == 0 and deviation(clock, 0) == 0
    assert deviation(Clock(-400.0, -398.9), 0) == pytest.approx(-398.9)
    assert agreed([Clock(99.0, 100.1), Clock(99.5, 100.6)]) in (99.5, 100.1)


def test_ports_that_the_configuration_changes() -> None:
    config = context(ports={"http": 8081}, services={"mqtt_tcp": {"port": 1884}}).config
    found = dict(ports_of(config, load().ports("all-in-one")))
    assert (found["http"], found["mqtt-tcp"], found["job"]) == (8081, 1884, 11300)
    assert ("memcached", 11211) in ports_of(config, load().ports("bioproxy"))
    config = context(services={"memcached": {"port": 11999}}).config
    assert [port for name, port in ports_of(config, load().ports("bioproxy"))
            if name == "memcached"] == [11999]  # fmt: skip


def test_facts_survive_a_bundle() -> None:
    facts = NodesFacts(
        bioproxy=seen("p", place="bioproxy"),
        nodes=(seen("a", clock=Clock(0.0, 1.0), knocks=(knock(1, "refused"),)),),
    )
    data = msgspec.json.encode(facts)
    assert msgspec.json.decode(data, type=NodesFacts) == facts
