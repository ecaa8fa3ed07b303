"""The metrics: of real reports of the command, and of made ones where there is no such hardware."""

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from prometheus_client import REGISTRY
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text

from biostudio_doctor import registry, requirements
from biostudio_doctor.certificates import CertificateFacts
from biostudio_doctor.certificates.chains import Chain
from biostudio_doctor.certificates.watched import Backend, Watched
from biostudio_doctor.exporter import Style
from biostudio_doctor.exporters import prometheus
from biostudio_doctor.exporters.prometheus import checks
from biostudio_doctor.host.clock import KernelClock, Tracking
from biostudio_doctor.host.firewall.facts import FirewallFacts, PortReach, Verdict
from biostudio_doctor.host.gpus import GpuFacts
from biostudio_doctor.host.nvml import Gpu, Nvml
from biostudio_doctor.host.pci import PciDevice
from biostudio_doctor.model import Daemon, Finding, Report, Result, Schedule, Status, worst
from biostudio_doctor.peers.facts import Knock, PeersFacts, Place, Proof, Visit
from biostudio_doctor.probes import Failure
from biostudio_doctor.services import Answer
from tests.conftest import report
from tests.lab import servers
from tests.lab.certificates import Made, make
from tests.lab.network import free_port
from tests.lab.paths import SERVER, answer, facts, reached
from tests.lab.peers import Peer, server_context
from tests.lab.web import https

DOCTOR = [sys.executable, "-m", "biostudio_doctor"]
NODE_EXPORTER = shutil.which("prometheus-node-exporter")
PROMTOOL = shutil.which("promtool")
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)

#: Name of the metric and its labels, in order.
Key = tuple[Any, ...]


def series(made: Report) -> dict[Key, float]:
    """All series by name and values of labels; a series that stands twice is a defect."""
    text = prometheus.render(made, Style())
    found: dict[Key, float] = {}
    for family in parse_text(text):
        for sample in family.samples:
            labels = tuple(sorted(sample.labels.items()))
            assert (sample.name, *labels) not in found
            found[(sample.name, *labels)] = sample.value
    return found


def named(name: str, /, **labels: object) -> Key:
    return (f"biostudio_{name}", *sorted((key, str(value)) for key, value in labels.items()))


def of_name(found: Iterable[Key], name: str) -> list[dict[str, str]]:
    """The labels of all series of a metric."""
    return [dict(key[1:]) for key in found if key[0] == f"biostudio_{name}"]


def of_facts(check: str, gathered: object) -> dict[Key, float]:
    """The series of a report of one check, with facts as JSON has them."""
    carried = msgspec.json.decode(msgspec.json.encode(gathered))
    found = Result(id=check, title="", status=Status.PASS, findings=(), observation=carried)
    return series(report(results=(found,)))


def doctor(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    done = subprocess.run(
        [*DOCTOR, "check", *arguments],
        capture_output=True, text=True, timeout=60, env={**clean, **env}, check=False,
    )  # fmt: skip
    assert done.returncode in (0, 1, 3), done.stderr
    return done


def checked(tmp_path: Path, config: str, *arguments: str) -> Report:
    """What the real command says of a configuration."""
    file = tmp_path / "config.toml"
    file.write_text(config)
    done = doctor("--config", str(file), "--output", "json", *arguments)
    return msgspec.json.decode(done.stdout, type=Report)


# --- Reports of the whole command -----------------------------------------------------------------


@pytest.fixture(scope="module", params=["preinstall", "running"])
def whole(request: pytest.FixtureRequest) -> Report:
    done = doctor("--offline", "--phase", request.param, "--output", "json")
    made = msgspec.json.decode(done.stdout, type=Report)
    assert len(made.results) > 45
    return made


def test_a_whole_report_is_told_in_both_formats(whole: Report) -> None:
    text, other = prometheus.render(whole, Style()), prometheus.openmetrics(whole, Style())
    assert other.endswith("# EOF\n") and "_created" not in text + other
    samples = {(s.name, *sorted(s.labels.items())): s.value
               for family in parse_openmetrics(other) for s in family.samples}  # fmt: skip
    assert samples == series(whole)
    assert {labels["check"] for labels in of_name(samples, "check_status")} == {
        result.id for result in whole.results
    }
    errors = {labels["collector"] for labels in of_name(samples, "collector_errors")}
    assert errors == set(prometheus.EXTRACTORS)
    assert not any(samples[named("collector_errors", collector=name)] for name in errors)


@pytest.mark.skipif(not PROMTOOL, reason="needs promtool (Debian: prometheus)")
def test_promtool_has_nothing_to_say(whole: Report) -> None:
    text = prometheus.render(whole, Style())
    done = subprocess.run(
        [str(PROMTOOL), "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.skipif(not PROMTOOL, reason="needs promtool (Debian: prometheus)")
def test_promtool_has_nothing_to_say_of_any_metric() -> None:
    """Of all that are defined, whether or not this host has values for them."""
    lines = []
    for family in (family for group in prometheus.GROUPS for family in group.families):
        kind = "gauge" if family.kind == "info" else family.kind
        labels = ",".join(f'{name}="x"' for name in family.labels)
        lines += [f"# HELP {family.name} {family.help}", f"# TYPE {family.name} {kind}",
                  f"{family.name}{{{labels}}} 1"]  # fmt: skip
    done = subprocess.run(
        [str(PROMTOOL), "check", "metrics"],
        input="\n".join(lines) + "\n", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_each_target_has_one_status(whole: Report) -> None:
    assert_one_status(series(whole))


def assert_one_status(found: Mapping[Key, float]) -> None:
    ones: dict[tuple[str, str], list[float]] = {}
    for labels in of_name(found, "check_status"):
        ones.setdefault((labels["check"], labels["target"]), []).append(
            found[named("check_status", **labels)]
        )
    assert ones
    assert all(sorted(values) == [0] * (len(Status) - 1) + [1] for values in ones.values())


def test_values_of_this_host(tmp_path: Path) -> None:
    made = checked(tmp_path, f'[storage]\nmetadata = "{tmp_path}"\n',
                   "cpu.*", "memory.*", "storage.capacity")  # fmt: skip
    found, room = series(made), os.statvfs(tmp_path)
    assert found[named("cpus_online")] == os.cpu_count()
    assert found[named("memory_total_bytes")] == pytest.approx(
        os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), rel=0.01
    )
    assert 0 < found[named("memory_available_bytes")] < found[named("memory_total_bytes")]
    assert named("load1") in found and named("load15") in found
    (where,) = (one for one in of_name(found, "storage_size_bytes") if one["tier"] == "METADATA")
    assert where["path"] == str(tmp_path)
    assert found[named("storage_size_bytes", **where)] == room.f_blocks * room.f_frsize
    assert found[named("storage_available_bytes", **where)] == pytest.approx(
        room.f_bavail * room.f_frsize, rel=0.05
    )
    if room.f_files:
        assert found[named("storage_inodes", **where)] == room.f_files
    assert found[named("host_info", **of_name(found, "host_info")[0])] == 1
    assert not of_name(found, "gpus_present"), "what was not asked has no series"


@pytest.mark.parametrize("output", ["prometheus", "openmetrics", "textfile"])
def test_the_command_prints_it(output: str) -> None:
    done = doctor("cpu.count", "--output", output)
    assert f"\nbiostudio_cpus_online {float(os.cpu_count() or 0)}\n" in done.stdout
    assert done.stdout.endswith("# EOF\n") is (output == "openmetrics")
    assert "duration_seconds" in done.stdout and "last_run" not in done.stdout


@pytest.mark.parametrize(("output", "mode"), [("textfile", 0o644), ("prometheus", 0o600)])
def test_the_textfile_is_for_node_exporter_to_read(tmp_path: Path, output: str, mode: int) -> None:
    file = tmp_path / "biostudio.prom"
    file.write_text("old\n")
    before = file.stat().st_ino
    command = 'umask 077; exec "$@"'
    subprocess.run(
        ["sh", "-c", command, "sh", *DOCTOR, "check", "cpu.count", "--output", output,
         "--output-file", str(file)], check=False, timeout=60,
    )  # fmt: skip
    assert "biostudio_cpus_online" in file.read_text()
    assert file.stat().st_mode & 0o777 == mode
    assert file.stat().st_ino != before, "it is replaced as a whole"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.skipif(not NODE_EXPORTER, reason="needs Debian's prometheus-node-exporter")
def test_node_exporter_takes_the_textfile_on() -> None:
    """As a user who did not write it."""
    port = free_port()
    command = [
        str(NODE_EXPORTER), f"--web.listen-address=127.0.0.1:{port}",
        "--collector.disable-defaults", "--collector.textfile",
    ]  # fmt: skip
    with servers.directory() as place:
        file = place / "biostudio.prom"
        doctor("cpu.count", "memory.total", "--output", "textfile", "--output-file", str(file))
        command.append(f"--collector.textfile.directory={place}")
        with servers.running(command, port, log=place / "node_exporter.log"):
            url = f"http://127.0.0.1:{port}/metrics"
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            told = opener.open(url, timeout=10).read().decode()
    assert "\nnode_textfile_scrape_error 0\n" in told
    assert f"\nbiostudio_cpus_online {os.cpu_count()}\n" in told
    assert 'biostudio_check_status{check="cpu.count",status="pass"' in told


def test_exporters_are_found_by_name(whole: Report) -> None:
    for name in ("prometheus", "openmetrics", "textfile"):
        render = registry.find(registry.EXPORTERS)[name].load()
        assert "biostudio_doctor_build_info{" in render(whole, Style())


def test_nothing_is_global(whole: Report) -> None:
    before = [metric.name for metric in REGISTRY.collect()]
    first, second = prometheus.render(whole, Style()), prometheus.render(whole, Style())
    assert first == second and [metric.name for metric in REGISTRY.collect()] == before


# --- Checks ---------------------------------------------------------------------------------------


def made(check: str, *findings: Finding, **options: Any) -> Result:
    status = worst(finding.status for finding in findings)
    return Result(id=check, title="", status=status, findings=findings, **options)


@pytest.mark.parametrize("status", Status)
def test_status_and_success(status: Status) -> None:
    found = series(report(results=(made("lab.check", Finding(status, "x", "Said.")),)))
    for other in Status:
        key = named("check_status", check="lab.check", target="x", status=other)
        assert found[key] == (other is status)
    success = {"pass": 1, "warn": 1, "fail": 0, "error": 0}.get(status)
    assert found.get(named("check_success", check="lab.check", target="x")) == success


def test_findings_of_one_target_are_one_with_the_worst_status() -> None:
    both = made(
        "lab.check",
        Finding(Status.PASS, "x", "", cause="lab.well"),
        Finding(Status.FAIL, "x", "", cause="lab.b"),
        Finding(Status.WARN, "x", "", cause="lab.c"),
        Finding(Status.FAIL, " x\n", "", cause="lab.a"),
    )
    again = made("lab.check", Finding(Status.SKIP, "x", ""), Finding(Status.PASS, "y", ""))
    found = series(report(results=(both, again)))
    assert found[named("check_status", check="lab.check", target="x", status="fail")] == 1
    assert found[named("check_status", check="lab.check", target="y", status="pass")] == 1
    assert len(of_name(found, "check_status")) == 2 * len(Status)
    assert {one["cause"] for one in of_name(found, "check_cause_info")} == {"lab.a", "lab.b"}


def test_a_target_that_is_gone_leaves_no_series() -> None:
    both = made("lab.check", Finding(Status.PASS, "a", ""), Finding(Status.FAIL, "b", ""))
    assert any("b" in dict(key[1:]).values() for key in series(report(results=(both,))))
    one = structs.replace(both, findings=both.findings[:1])
    assert not any("b" in dict(key[1:]).values() for key in series(report(results=(one,))))


def test_a_check_that_waits_for_its_first_run() -> None:
    schedule = Schedule(interval_seconds=300, timeout_seconds=10)
    waiting = Result(
        id="lab.check", title="", status=Status.UNKNOWN, findings=(), schedule=schedule
    )
    found = series(report(results=(waiting,)))
    of = {"check": "lab.check"}
    assert found[named("check_status", **of, target="lab.check", status="unknown")] == 1
    assert found[named("check_interval_seconds", **of)] == 300
    assert found[named("check_timeout_seconds", **of)] == 10
    assert found[named("check_runs_total", **of)] == 0
    for absent in ("success", "duration_seconds", "last_run_timestamp_seconds",
                   "last_success_timestamp_seconds"):  # fmt: skip
        assert not of_name(found, f"check_{absent}")


def test_how_a_check_runs() -> None:
    schedule = Schedule(
        interval_seconds=60, timeout_seconds=10, runs=7, failures=2, last_run=NOW,
        last_success=NOW - timedelta(minutes=1),
    )  # fmt: skip
    ran = made("lab.check", Finding(Status.FAIL, "x", ""), duration_seconds=0.25, schedule=schedule)
    found, of = series(report(results=(ran,))), {"check": "lab.check"}
    assert found[named("check_duration_seconds", **of)] == 0.25
    assert found[named("check_runs_total", **of)] == 7
    assert found[named("check_failures_total", **of)] == 2
    assert found[named("check_last_run_timestamp_seconds", **of)] == NOW.timestamp()
    assert found[named("check_last_success_timestamp_seconds", **of)] == NOW.timestamp() - 60


def test_how_the_daemon_fares() -> None:
    fares = Daemon(started_at=NOW, reloaded_at=NOW, lag_seconds=0.5)
    found = series(report(daemon=fares))
    assert found[named("doctor_start_time_seconds")] == NOW.timestamp()
    assert found[named("doctor_config_last_reload_successful")] == 1
    assert found[named("doctor_scheduler_lag_seconds")] == 0.5
    assert found[named("doctor_history_on_disk")] == 1
    ill = structs.replace(fares, reload_succeeded=False, history_problem="disk full")
    found = series(report(daemon=ill))
    assert found[named("doctor_config_last_reload_successful")] == 0
    assert found[named("doctor_history_on_disk")] == 0
    assert not of_name(series(report()), "doctor_scheduler_lag_seconds")
    (build,) = of_name(found, "doctor_build_info")
    assert build["python"] == sys.version.partition(" ")[0] and build["version"] == "1.0"


def test_hostile_names_become_one_bounded_line() -> None:
    subjects = ('a"b\\c\nd', "x" * 10_000, "x" * 9_999, "\x1b[31m\0", "\udcff", "")
    hostile = made("lab.check", *(Finding(Status.FAIL, one, "") for one in subjects))
    targets = {one["target"] for one in of_name(series(report(results=(hostile,))), "check_status")}
    assert len(targets) == len(subjects), "long ones are still told apart"
    assert 'a"b\\c d' in targets and "" in targets
    assert all(len(one) <= 120 and (one.isprintable() or "\ufffd" in one) for one in targets)
    assert not any(set(one) & set("\x1b\0\n") for one in targets)


def test_targets_without_end_are_bounded() -> None:
    most = checks.MOST_TARGETS
    many = [Finding(Status.PASS, f"target {number}", "") for number in range(most + 500)]
    many.append(Finding(Status.FAIL, "the last", ""))
    found = series(report(results=(made("lab.check", *many),)))
    assert len(of_name(found, "check_success")) == most + 1
    assert found[named("check_success", check="lab.check", target="others")] == 0


def test_a_raising_extractor_loses_its_own_series_only(
    whole: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    cpus = prometheus.EXTRACTORS["cpus"]

    def broken(of: Report) -> Iterator[Any]:
        yield from list(cpus(of))[:1]
        raise KeyError("a shape nobody thought of")

    monkeypatch.setattr(prometheus, "EXTRACTORS", {**prometheus.EXTRACTORS, "cpus": broken})
    found = series(whole)
    monkeypatch.undo()
    before = series(whole)
    lost = {key for key in before if key not in found}
    assert lost == {key for key in before if key[0].startswith("biostudio_cpus_")} and lost
    assert found[named("collector_errors", collector="cpus")] == 1
    assert found[named("collector_errors", collector="memory")] == 0


# --- Values from facts ----------------------------------------------------------------------------


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


def pem(directory: Path, name: str, *chain: Made) -> Path:
    file = directory / name
    file.write_bytes(b"".join(one.pem for one in chain))
    return file


def test_certificates_of_files_and_of_endpoints_that_nobody_trusts(tmp_path: Path) -> None:
    root = make("Lab Root", ca=True, days=(-10, 1000))
    above = make("Lab Issuing", issuer=root, ca=True, days=(-10, 300))
    own = make("studio.lab", issuer=above, days=(-10, 42))
    served = make("served.lab", days=(-10, -1))
    file = pem(tmp_path, "tls.crt", own, above)
    with Peer(lambda _: None) as silent, Peer(https(server_context(tmp_path, served))) as peer:
        endpoint, dead = f"127.0.0.1:{peer.port}", f"127.0.0.1:{silent.port}"
        names = json.dumps([str(file), endpoint, dead])
        found = series(checked(tmp_path, f"certificates = {names}\n", "certificate.*"))

    def end(target: object, position: str, subject: str) -> float:
        of = {"target": target, "position": position, "subject": subject}
        return found[named("certificate_not_after_timestamp_seconds", **of)]

    for place, position, one in ((file, "leaf", own), (file, "chain", above),
                                 (endpoint, "leaf", served)):  # fmt: skip
        subject = {own: "studio.lab", above: "Lab Issuing", served: "served.lab"}[one]
        expires = one.certificate.not_valid_after_utc.timestamp()
        assert end(place, position, subject) == expires
    assert found[named("certificate_trusted", target=endpoint)] == 0
    assert found[named("certificate_read", target=endpoint)] == 1
    assert found[named("certificate_read", target=dead)] == 0
    positions = {(one["target"], one["position"])
                 for one in of_name(found, "certificate_not_after_timestamp_seconds")}  # fmt: skip
    assert not any(target == dead for target, _ in positions)


def one_of(name: str, days: float, ca: bool = False) -> CertificateFacts:
    return CertificateFacts(
        subject=f"CN={name}", issuer="", common_name=name, serial="1", sha256="", is_ca=ca,
        not_before=NOW, not_after=NOW + timedelta(days=days),
    )  # fmt: skip


def test_what_a_chain_does_not_need_is_left_out() -> None:
    chain = Chain(
        certificates=(one_of("leaf", 1), one_of("A", 20, True), one_of("A", 50, True),
                      one_of("old", -5, True)),
        issuers=((1, 2), (), (), ()), way=(0, 1, 2), anchor="Root",
        anchor_until=NOW + timedelta(days=900),
    )  # fmt: skip
    backwards = structs.replace(chain, certificates=chain.certificates[::-1], way=(3, 2, 1))
    backend = Backend(address="192.0.2.1", not_after=NOW)
    one = Watched(name="studio.lab:443", chain=chain, backends=(backend, Backend(address="x")))
    found = of_facts("certificate.expiry", {"watched": [one]})
    metric = "certificate_not_after_timestamp_seconds"
    ends = {
        (one["position"], one["subject"]): found[named(metric, **one)] - NOW.timestamp()
        for one in of_name(found, metric)
    }
    days = {key: seconds / 86400 for key, seconds in ends.items()}
    assert days == {("leaf", "leaf"): 1, ("chain", "A"): 20, ("anchor", "Root"): 900}
    (backends,) = of_name(found, "certificate_backend_not_after_timestamp_seconds")
    assert backends["address"] == "192.0.2.1"
    again = of_facts("certificate.expiry", {"watched": [structs.replace(one, chain=backwards)]})
    assert again == found, "the server's own is known wherever it stands"
    saml = {
        "asked": [{"at": "idp.xml", "metadata": {"entity": {"certificates": [one_of("S", 3)]}}}]
    }
    (signing,) = of_name(of_facts("sso.saml", saml), metric)
    assert signing == {"target": "idp.xml", "position": "signing", "subject": "S"}


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


def test_gpus() -> None:
    """Made facts: there is no GPU here."""
    bus = tuple(
        PciDevice(slot=f"0000:3{n}:00.0", vendor=0x10DE, device=0x20B0, device_class=0x030200)
        for n in range(3)
    )
    well = Gpu(index=0, name="A100", slot="00000000:30:00.0", memory=80 << 30, temperature=55,
               uncorrected_errors=2, slowed=True)  # fmt: skip
    nvml = Nvml(driver="535.1", gpus=(well, Gpu(index=1), Gpu(index=2, problem="lost")))
    found = of_facts("gpu.devices", GpuFacts(devices=bus, nvml=nvml))
    assert (found[named("gpus_present")], found[named("gpus_usable")]) == (3, 2)
    assert found[named("gpu_memory_bytes", gpu=0)] == 80 << 30
    assert found[named("gpu_temperature_celsius", gpu=0)] == 55
    assert found[named("gpu_uncorrected_ecc_errors_total", gpu=0)] == 2
    assert found[named("gpu_slowed", gpu=0)] == 1
    assert [found[named("gpu_up", gpu=n)] for n in range(3)] == [1, 1, 0]
    for name in ("memory_bytes", "temperature_celsius", "uncorrected_ecc_errors_total"):
        assert [one["gpu"] for one in of_name(found, f"gpu_{name}")] == ["0"]
    assert {one["gpu"] for one in of_name(found, "gpu_slowed")} == {"0", "1"}
    unasked = of_facts("gpu.devices", GpuFacts(devices=bus, nvml=Nvml(problem="driver missing")))
    assert found[named("gpus_present")] == 3 and not of_name(unasked, "gpus_usable")


def test_pressure_is_a_share() -> None:
    waits = {"cpu_pressure": {"some": 25.0, "full": 0.0}, "io_pressure": None}
    found = of_facts("cpu.load", {"load": [1, 2, 3], **waits})
    assert found[named("pressure_ratio", resource="cpu", tasks="some")] == 0.25
    assert len(of_name(found, "pressure_ratio")) == 2
    assert found[named("load5")] == 2


@pytest.mark.parametrize(
    "value",
    [None, "4", [], {}, float("nan"), float("inf"), 10**400],
    ids=lambda value: repr(value)[:9],
)
def test_what_is_no_number_is_unknown(value: object) -> None:
    odd = Result(id="cpu.count", title="", status=Status.PASS, findings=(),
                 observation={"online": value, "allowed": 4})  # fmt: skip
    found = series(report(results=(odd,)))
    assert found[named("cpus_allowed")] == 4 and named("cpus_online") not in found
    assert found[named("collector_errors", collector="cpus")] == 0


def test_where_a_tier_might_be_put_has_no_series() -> None:
    room = {"size": 9, "available": 5}
    found = of_facts(
        "storage.filesystem",
        {"storage": {
            "places": {}, "candidates": [{"path": "/backup", "room": room}],
            "others": {"/var/lib/docker": {"path": "/var/lib/docker", "room": room}},
        }},
    )  # fmt: skip
    (where,) = of_name(found, "storage_available_bytes")
    assert where == {"tier": "", "path": "/var/lib/docker", "mountpoint": ""}


def test_bytes_are_never_negative() -> None:
    place = {"path": "/x", "room": {"size": -1, "available": 5, "inodes": 0, "inodes_free": 0}}
    found = of_facts("storage.capacity", {"places": {"APP": place}})
    assert [key[0] for key in found if "storage" in key[0]] == ["biostudio_storage_available_bytes"]


def test_the_clock() -> None:
    unknown = of_facts(
        "os.time",
        {"kernel": KernelClock(synchronised=False, offset=0.0, error=16.0), "tracking": None},
    )
    assert unknown[named("clock_synchronised")] == 0
    assert named("clock_offset_seconds") not in unknown, "it is not 0 because nobody measures it"
    kernel = of_facts(
        "os.time", {"kernel": KernelClock(synchronised=True, offset=0.002, error=0.1)}
    )
    assert kernel[named("clock_offset_seconds")] == 0.002
    tracking = Tracking(synchronised=True, reference="192.0.2.1", stratum=3, offset=-0.5)
    chrony = of_facts(
        "os.time",
        {"kernel": KernelClock(synchronised=True, offset=0.002, error=0.1), "tracking": tracking},
    )
    assert chrony[named("clock_offset_seconds")] == -0.5 and chrony[named("clock_stratum")] == 3


# --- Anything at all ------------------------------------------------------------------------------

KEYS = (
    "online", "load", "cpu_pressure", "some", "total", "storage", "places", "others", "candidates",
    "room", "size", "inodes", "mount", "target", "path", "devices", "vendor", "nvml", "gpus",
    "problem", "index", "memory", "kernel", "synchronised", "offset", "tracking", "paths", "host",
    "port", "seconds", "failure", "phase", "exchange", "hops", "status", "download", "length",
    "answers", "server", "record", "code", "addresses", "route", "proxy", "table", "ports", "ipv4",
    "listeners", "firewall", "verdicts", "action", "source", "to", "unseen", "visits", "knocks",
    "proof", "state", "told", "used", "maxmemory", "version", "asked", "answer", "nfs", "watched",
    "name", "chain", "certificates", "not_after", "way", "is_ca", "dns_names", "anchor_until",
    "trust", "trusted", "backends", "address", "metadata", "entity", "at",
)  # fmt: skip
TEXT = st.text(max_size=20) | st.sampled_from(["free", "accept", "healthy", "2026-11-24T12:00:00Z"])
ATOMS = st.none() | st.booleans() | st.integers() | st.floats() | TEXT
ANYTHING = st.recursive(
    ATOMS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner),
    max_leaves=25,
)
IDS = [*sorted(registry.find(registry.CHECKS)), "acme.license", "services.x", "\n"]
FINDINGS = st.builds(Finding, st.sampled_from(Status), TEXT, TEXT, cause=TEXT)
RESULTS = st.builds(
    Result,
    id=st.sampled_from(IDS),
    title=st.just(""),
    status=st.sampled_from(Status),
    findings=st.lists(FINDINGS, max_size=5).map(tuple),
    observation=ANYTHING,
    duration_seconds=st.floats(0),
)


@given(st.lists(RESULTS, min_size=1, max_size=6))
def test_any_report_is_told(results: list[Result]) -> None:
    whole = report(results=tuple(results))
    found = series(whole)
    assert_one_status(found)
    assert list(parse_openmetrics(prometheus.openmetrics(whole, Style())))
    errors = [key for key in found if key[0] == "biostudio_collector_errors"]
    assert not any(found[key] for key in errors), "facts of any shape are looked at with care"


def test_a_large_report_is_told_quickly(whole: Report) -> None:
    """Some 15 ms are wanted; what else this machine does, and coverage, are left room for."""
    spent = []
    for _ in range(5):
        started = time.thread_time()
        prometheus.openmetrics(whole, Style())
        spent.append(time.thread_time() - started)
    assert min(spent) < 0.15
