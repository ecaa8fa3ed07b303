"""The metrics of whole reports: of the real command, and of any."""

import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from datetime import timedelta
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

from biostudio_doctor import registry
from biostudio_doctor.exporter import Style
from biostudio_doctor.exporters import prometheus
from biostudio_doctor.exporters.prometheus import checks
from biostudio_doctor.model import Daemon, Finding, Report, Result, Schedule, Status, worst
from tests.conftest import report
from tests.lab import servers
from tests.lab.metrics import DOCTOR, NOW, Key, doctor, named, of_name, series
from tests.lab.network import free_port

NODE_EXPORTER = shutil.which("prometheus-node-exporter")
PROMTOOL = shutil.which("promtool")


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


def test_what_was_not_asked_took_no_time() -> None:
    """Its import may have, and until it is asked its own timeout need not be known."""
    schedule = Schedule(interval_seconds=300, timeout_seconds=10, runs=1)
    skipped = Finding(Status.SKIP, "x", "Not asked.", cause="scope.not-asked")
    left_out = made("lab.check", skipped, duration_seconds=0.004, schedule=schedule)
    found = series(report(results=(left_out,)))
    assert not of_name(found, "check_duration_seconds")
    assert not of_name(found, "check_timeout_seconds")
    assert of_name(found, "check_interval_seconds")


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
