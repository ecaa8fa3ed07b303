"""Rules, dashboard and examples are valid and name what exists; alerts fire when they must."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from biostudio_doctor.config import DaemonConfig
from tests.lab.filesystems import needs

ROOT = Path(__file__).parents[2]
MONITORING = ROOT / "packaging/monitoring"
RULES = MONITORING / "biostudio-doctor.rules.yml"
GROUPS = yaml.safe_load(RULES.read_text())["groups"]
ALERTS = {rule["alert"]: rule for group in GROUPS for rule in group["rules"] if "alert" in rule}
RECORDS = {rule["record"] for group in GROUPS for rule in group["rules"] if "record" in rule}
INSTANCE = {"instance": "bio1:19842", "job": "biostudio-doctor"}

CASES = yaml.safe_load(Path(__file__).with_name("alert_cases.yml").read_text())


def full(series: str) -> str:
    """A series with the labels that a scrape of the daemon adds."""
    name, _, labels = series.rstrip("}").partition("{")
    known = {key: f'{key}="{value}"' for key, value in INSTANCE.items() if f"{key}=" not in labels}
    return f"{name}{{{', '.join([labels, *known.values()] if labels else known.values())}}}"


def case(alert: str, minutes: int, series: dict[str, Any], fires: bool) -> dict[str, Any]:
    """One unit test of promtool.

    Alerts must have exactly the labels and annotations that are expected, which are only known
    when they fired; so ALERTS, the series in which Prometheus keeps pending and firing ones, is
    asked instead.
    """
    return {
        "interval": "1m",
        "input_series": [{"series": full(one), "values": str(of)} for one, of in series.items()],
        "promql_expr_test": [
            {
                "expr": f'count(ALERTS{{alertname="{alert}", alertstate="firing"}})',
                "eval_time": f"{minutes}m",
                "exp_samples": [{"labels": "{}", "value": 1}] if fires else [],
            }
        ],
    }


@needs("promtool")
def test_rules_are_rules() -> None:
    done = subprocess.run(
        ["promtool", "check", "rules", RULES], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert f"{len(ALERTS) + len(RECORDS)} rules found" in done.stdout


@needs("promtool")
@pytest.mark.parametrize("alert", ALERTS)
def test_each_alert_fires_when_it_must_and_only_then(alert: str, tmp_path: Path) -> None:
    of = CASES[alert]
    assert of["fires"] and of["silent"]
    cases = [case(alert, of["after"], series, True) for series in of["fires"]]
    cases += [case(alert, of["after"], series, False) for series in of["silent"]]
    file = tmp_path / "test.yml"
    file.write_text(
        yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": cases})
    )
    done = subprocess.run(
        ["promtool", "test", "rules", file], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("alert", ALERTS)
def test_each_alert_says_what_to_do(alert: str) -> None:
    rule = ALERTS[alert]
    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    page = ROOT / rule["annotations"]["runbook_url"]
    assert page == ROOT / f"docs/runbooks/{alert}.md"
    text = page.read_text()
    assert text.startswith(f"# {alert}\n")
    for heading in ("Meaning", "Impact", "Diagnosis", "Mending"):
        assert f"\n## {heading}\n" in text


def test_no_runbook_is_without_its_alert() -> None:
    pages = {page.stem for page in (ROOT / "docs/runbooks").glob("*.md")} - {"README"}
    assert pages == set(ALERTS)


@needs("promtool")
@pytest.mark.parametrize("alert", ALERTS)
def test_the_words_of_each_alert_can_be_written(alert: str, tmp_path: Path) -> None:
    """promtool, told to expect no alert, shows the one that fires, its templates filled in."""
    minutes = CASES[alert]["after"]
    test = case(alert, minutes, CASES[alert]["fires"][0], True)
    del test["promql_expr_test"]
    test["alert_rule_test"] = [{"alertname": alert, "eval_time": f"{minutes}m", "exp_alerts": []}]
    file = tmp_path / "test.yml"
    file.write_text(
        yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": [test]})
    )
    done = subprocess.run(
        ["promtool", "test", "rules", file], capture_output=True, text=True, check=False
    )
    said = done.stdout + done.stderr
    assert f'alertname=\\"{alert}\\"' in said or f'alertname="{alert}"' in said, said
    for flaw in ("error expanding", "no value", "{{", "%!"):
        assert flaw not in said


def metrics_of(expression: str) -> set[str]:
    """The metrics that an expression of PromQL names, without records of our own."""
    bare = re.sub(r'"[^"]*"', "", expression)
    return set(re.findall(r"(?<![\w:])((?:biostudio|node|probe|process)_\w+)(?![\w:])", bare))


def known_metrics() -> set[str]:
    """What is exported: by the exporter of a report, by the web process, by others."""
    from biostudio_doctor.daemon.web.metrics import Metrics
    from biostudio_doctor.daemon.web.state import State
    from biostudio_doctor.exporters.prometheus import GROUPS

    exported = {family.name for group in GROUPS for family in group.families}
    exported |= {metric.name for metric in Metrics("prometheus", State()).collect()}
    return exported | {"node_textfile_mtime_seconds", "probe_success"} | {
        "process_resident_memory_bytes"  # of prometheus_client's process collector
    }  # fmt: skip


def test_rules_name_metrics_that_exist() -> None:
    for group in GROUPS:
        for rule in group["rules"]:
            assert metrics_of(rule["expr"]) <= known_metrics(), rule
            records = set(re.findall(r"\w+:\w+:\w+", rule["expr"]))
            assert records <= RECORDS
            labels = re.findall(r"\$labels[.](\w+)", str(rule.get("annotations", "")))
            assert set(labels) <= labels_of(rule["expr"]), rule


def labels_of(expression: str) -> set[str]:
    from biostudio_doctor.exporters.prometheus import GROUPS

    records = {rule["record"]: rule["expr"] for group in _groups() for rule in group}
    for name in re.findall(r"\w+:\w+:\w+", expression):
        inner = re.findall(r"\w+:\w+:\w+", records[name])
        expression = " ".join((expression, records[name], *(records[each] for each in inner)))
    known = {family.name: set(family.labels) for group in GROUPS for family in group.families}
    found = {"instance", "job"}
    for metric in metrics_of(expression):
        found |= known.get(metric, set())
    return found | ({"file"} if "node_textfile" in expression else set())


def _groups() -> list[list[dict[str, Any]]]:
    return [[rule for rule in group["rules"] if "record" in rule] for group in GROUPS]


DASHBOARD = json.loads((MONITORING / "dashboard.json").read_text())
QUERIES = [target for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]


def test_the_dashboard_is_fresh(tmp_path: Path) -> None:
    program, file = ROOT / "packaging/dashboard.py", tmp_path / "dashboard.json"
    subprocess.run([sys.executable, program, file], check=True)
    assert json.loads(file.read_text()) == DASHBOARD


def test_panels_have_numbers_and_places_of_their_own() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) > 25
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells


def test_the_dashboard_shows_metrics_that_exist() -> None:
    for query in QUERIES:
        assert metrics_of(query["expr"])
        assert metrics_of(query["expr"]) <= known_metrics(), query
        legend = set(re.findall(r"{{(\w+)}}", query["legendFormat"]))
        assert legend <= labels_of(query["expr"]), query


@needs("promtool")
def test_the_queries_of_the_dashboard_are_promql(tmp_path: Path) -> None:
    rules = [
        {"record": f"panel:{number}", "expr": query["expr"].replace("$__rate_interval", "5m")}
        for number, query in enumerate(QUERIES)
    ]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    done = subprocess.run(
        ["promtool", "check", "rules", file], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@needs("promtool")
def test_the_scrape_configurations_shown_are_valid() -> None:
    done = subprocess.run(
        ["promtool", "check", "config", "--syntax-only", MONITORING / "scrape.yml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@needs("amtool")
def test_the_routes_shown_are_valid() -> None:
    done = subprocess.run(
        ["amtool", "check-config", MONITORING / "alertmanager.yml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_port_is_the_same_wherever_it_is_written() -> None:
    port = DaemonConfig().listen.rpartition(":")[2]
    docs = ROOT / "docs"
    pages = (docs / "probe.md", docs / "daemon.md", *docs.glob("runbooks/*.md"))
    for path in (*pages, *MONITORING.glob("*.yml")):
        said = set(re.findall(r"\b\d*984\d\b", path.read_text()))  # others have other ports
        assert said <= {port}, path
