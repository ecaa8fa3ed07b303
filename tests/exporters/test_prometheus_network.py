"""Metrics of services, egress, name servers, ports and firewall, from real facts and made ones."""

import json
from pathlib import Path

import msgspec
from msgspec import structs

from biostudio_doctor import requirements
from biostudio_doctor.host.firewall.facts import FirewallFacts, PortReach, Verdict
from biostudio_doctor.model import Result, Status
from biostudio_doctor.peers.facts import Knock, PeersFacts, Place, Proof, Visit
from biostudio_doctor.probes import Failure
from biostudio_doctor.services import Answer
from tests.conftest import report
from tests.lab import servers
from tests.lab.certificates import make
from tests.lab.metrics import (
    checked,
    named,
    of_facts,
    of_name,
    pem,
    series,
)
from tests.lab.network import free_port
from tests.lab.paths import SERVER, answer, facts, reached
from tests.lab.peers import Peer, server_context
from tests.lab.web import https


def test_services_that_answer_and_that_do_not(tmp_path: Path) -> None:
    port = free_port()
    with servers.redis() as redis, servers.memcached() as memcached:
        made = checked(
            tmp_path,
            f'phase = "running"\n[services.redis]\nport = {redis.port}\n'
            f"[services.memcached]\nport = {memcached.port}\n[services.job]\nport = {port}\n",
            "services.redis", "services.memcached", "services.job",
        )  # fmt: skip
    found = series(made)
    for service, at, up in (("redis", redis.port, 1), ("memcached", memcached.port, 1),
                            ("job", port, 0)):  # fmt: skip
        of = {"service": service, "target": f"127.0.0.1:{at}"}
        state = "healthy" if up else "refused"
        assert found[named("service_up", **of)] == up
        assert found[named("service_state_info", **of, state=state)] == 1
        assert (named("service_duration_seconds", **of) in found) is bool(up)
    of = {"service": "redis", "target": f"127.0.0.1:{redis.port}"}
    assert found[named("service_anonymous", **of)] == 1
    assert found[named("service_connections", **of)] >= 1
    assert found[named("service_memory_bytes", **of)] > 0
    assert named("service_memory_limit_bytes", **of) not in found, "0 means no limit"
    (version,) = (
        one for one in of_name(found, "service_version_info") if one["service"] == "redis"
    )
    assert version["version"][0].isdigit()
    job = [one["cause"] for one in of_name(found, "check_cause_info")]
    assert "service.refused" in job


def test_of_the_ports_that_a_service_may_have_the_one_that_answers_counts() -> None:
    refused = Answer(host="127.0.0.1", port=1, state="refused")
    well = Answer(host="::1", port=2, state="password-needed", seconds=0.5)
    found = of_facts("services.memcached", {"answers": [refused, well]})
    assert of_name(found, "service_up") == [{"service": "memcached", "target": "[::1]:2"}]
    found = of_facts("services.memcached", {"answers": [refused, refused]})
    assert found[named("service_up", service="memcached", target="127.0.0.1:1")] == 0
    unasked = structs.replace(refused, state="unasked")
    assert not of_name(of_facts("services.memcached", {"answers": [unasked]}), "service_up")


def test_jobs_replicas_and_data_sources() -> None:
    told = {"ready": 3, "buried": 1, "behind_seconds": 7.5, "max_connections": 100}
    well = Answer(host="db", port=5432, state="healthy", told=told)
    found = of_facts("services.job", {"answers": [well]})
    of = {"service": "job", "target": "db:5432"}
    assert found[named("service_jobs", **of, state="ready")] == 3
    assert found[named("service_replication_lag_seconds", **of)] == 7.5
    assert found[named("service_connections_limit", **of)] == 100
    found = of_facts("datasources.postgresql", {"asked": [{"answer": well}, {"answer": None}]})
    assert found[named("datasource_up", kind="postgresql", target="db:5432")] == 1
    found = of_facts("datasources.nfs", [{"nfs": structs.replace(well, state="refused")}])
    assert found[named("datasource_up", kind="nfs", target="db:5432")] == 0


def test_the_way_to_hosts(tmp_path: Path) -> None:
    authority = make("Lab Root", ca=True)
    server = make("localhost", issuer=authority, names=("localhost", "127.0.0.1"))
    ca_file, closed = pem(tmp_path, "ca.pem", authority), free_port()
    with Peer(https(server_context(tmp_path, server))) as peer:
        config = {
            "ca_file": str(ca_file),
            "add": [f"https://127.0.0.1:{peer.port}/", f"https://localhost:{closed}/"],
            "remove": sorted({one.host for one in requirements.load().hosts}),
        }
        lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in config.items())
        found = series(checked(tmp_path, f'[checks."egress.hosts"]\n{lines}', "egress.hosts"))
    well, ill = f"127.0.0.1:{peer.port}", f"localhost:{closed}"
    assert found[named("probe_success", target=well)] == 1
    assert found[named("probe_success", target=ill)] == 0
    assert found[named("probe_http_status_code", target=well)] == 200
    phases = {one["phase"] for one in of_name(found, "probe_duration_seconds")
              if one["target"] == well}  # fmt: skip
    assert phases >= {"resolve", "connect", "tls", "request"}
    of = {"target": ill, "phase": "connect", "reason": "refused"}
    assert found[named("probe_failure_info", **of)] == 1
    assert len(of_name(found, "probe_failure_info")) == 1
    assert not of_name(found, "egress_download_bytes_per_second")


def test_what_name_servers_say() -> None:
    said = (
        answer(SERVER, code="NOERROR"),
        answer("10.0.0.54", "timeout"),
        answer(SERVER, "no-address", record="AAAA", code="NOERROR"),
    )
    path = structs.replace(reached("studio.lab"), answers=said)
    found = of_facts("activation.server", facts(path))
    of = {"name": "studio.lab", "server": SERVER}
    assert found[named("dns_answer_addresses", **of, record="A")] == 1
    assert found[named("dns_answer_addresses", **of, record="AAAA")] == 0
    silent = {**of, "server": "10.0.0.54", "record": "A"}
    assert named("dns_answer_addresses", **silent) not in found, "no answer is no number"
    assert found[named("dns_failure_info", **silent, reason="timeout")] == 1


def test_of_a_host_that_two_checks_ask_the_first_counts() -> None:
    failed = structs.replace(reached("studio.lab"), failure=Failure("tls", "reset"))
    results = tuple(
        Result(id=check, title="", status=Status.PASS, findings=(),
               observation=msgspec.to_builtins(facts(path)))
        for check, path in (("activation.server", reached("studio.lab")), ("egress.hosts", failed))
    )  # fmt: skip
    found = series(report(results=results))
    assert found[named("probe_success", target="studio.lab:443")] == 0


def test_ports_in_use(tmp_path: Path) -> None:
    with Peer(lambda _: None) as peer:
        free = free_port()
        config = f"[ports]\nhttp = {peer.port}\nhttps = {free}\n"
        found = series(checked(tmp_path, config, "ports.available"))
    assert found[named("port_in_use", port=peer.port)] == 1
    assert found[named("port_in_use", port=free)] == 0


def test_a_port_may_be_taken_without_a_listener_that_is_seen() -> None:
    uses = [
        {"port": 1, "ipv4": "free", "ipv6": "taken"},
        {"port": 2, "ipv4": "denied"},
        {"port": 3},
    ]
    found = of_facts("ports.available", {"ports": uses})
    assert of_name(found, "port_in_use") == [{"port": "1"}]
    assert found[named("port_in_use", port=1)] == 1


def test_what_the_firewall_lets_in() -> None:
    def verdict(action: str, source: str = "lan", to: str = "192.0.2.2") -> Verdict:
        return Verdict(source=source, address="", to=to, interface="eth0", action=action)  # type: ignore[arg-type]

    verdicts = (
        verdict("accept"), verdict("drop"), verdict("drop", "internet"),
        verdict("unknown", "peer"), verdict("reject", to="fd00::2"),
    )  # fmt: skip
    seen = FirewallFacts(ports=(PortReach(port=80, verdicts=verdicts),))
    found = of_facts("ports.firewall", seen)
    allowed = {(one["source"], one["family"]): found[named("port_allowed", **one)]
               for one in of_name(found, "port_allowed")}  # fmt: skip
    assert allowed == {("lan", "IPv4"): 1, ("internet", "IPv4"): 0, ("lan", "IPv6"): 0}
    found = of_facts("exposure.lan", {"firewall": structs.replace(seen, unseen=("nft",))})
    assert not any(found[named("port_allowed", **one)] for one in of_name(found, "port_allowed"))
    found = of_facts("ports.firewall", structs.replace(seen, problem="not root"))
    assert not of_name(found, "port_allowed")


def test_peers() -> None:
    place = Place(address="192.0.2.1", port=5432)
    proof = Proof(role="bioproxy", client=place, listener=place, ports=(5432,))
    knocks = (
        Knock(port=5432, service="postgresql", proof=proof),
        Knock(port=6379, service="redis", failure=Failure("connect", "timeout")),
    )
    visit = Visit(role="bioproxy", name="proxy.lab", address="192.0.2.1", knocks=knocks)
    found = of_facts("ports.peers", PeersFacts(hostname="lab", visits=(visit,)))
    of = {"role": "bioproxy", "peer": "proxy.lab"}
    assert found[named("peer_port_up", **of, port=5432)] == 1
    assert found[named("peer_port_up", **of, port=6379)] == 0
