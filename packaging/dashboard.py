"""Write the Grafana dashboard, monitoring/dashboard.json, from the list of panels below.

Run: python packaging/dashboard.py [FILE]
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parent / "monitoring/dashboard.json"
WIDTH = 24  # columns of Grafana's grid

Panel = dict[str, Any]

_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_OF = '{instance=~"$instance"}'
_UP_DOWN = [
    {"type": "value", "options": {"0": {"text": "down", "color": "red", "index": 0}}},
    {"type": "value", "options": {"1": {"text": "up", "color": "green", "index": 1}}},
]


def panel(
    kind: str,
    title: str,
    width: int,
    height: int,
    queries: dict[str, str],
    unit: str = "short",
    steps: tuple[tuple[float | None, str], ...] = ((None, "green"),),
    **more: Any,
) -> Panel:
    """One panel; `queries` are legends and their PromQL, `steps` colours from values upwards."""
    thresholds = {"mode": "absolute", "steps": [{"value": at, "color": of} for at, of in steps]}
    defaults = {"unit": unit, "thresholds": thresholds, **more.pop("defaults", {})}
    instant = kind in ("stat", "table")
    return {
        "type": kind,
        "title": title,
        "datasource": _SOURCE,
        "gridPos": {"w": width, "h": height},
        "targets": [
            {
                "refId": chr(ord("A") + number),
                "datasource": _SOURCE,
                "expr": query,
                "legendFormat": legend,
                "instant": instant,
                "range": not instant,
                **({"format": "table"} if kind == "table" else {}),
            }
            for number, (legend, query) in enumerate(queries.items())
        ],
        "fieldConfig": {"defaults": defaults, "overrides": []},
        **more,
    }


def count(title: str, status: str, color: str) -> Panel:
    """How many targets have a status; in colour if any has."""
    query = f'sum(biostudio_check_status{{instance=~"$instance", status="{status}"}}) or vector(0)'
    steps = ((None, "green" if status == "pass" else "text"), (1, color))
    return panel("stat", title, 4, 4, {"": query}, steps=steps)


def graph(title: str, queries: dict[str, str], unit: str = "short", width: int = 8) -> Panel:
    """Lines over time."""
    return panel("timeseries", title, width, 8, queries, unit)


def states(title: str, legend: str, query: str, width: int = 24) -> Panel:
    """Up and down over time, a row for each."""
    steps = ((None, "red"), (1, "green"))
    defaults = {"mappings": _UP_DOWN, "custom": {"fillOpacity": 70}}
    options = {"showValue": "never", "mergeValues": True, "rowHeight": 0.8}
    return panel(
        "state-timeline", title, width, 10, {legend: query}, steps=steps, defaults=defaults,
        options=options,
    )  # fmt: skip


def table(title: str, query: str, labels: tuple[str, ...], width: int = 24, **more: Any) -> Panel:
    """The labels of series, and their value."""
    shown = {label: number for number, label in enumerate((*labels, "Value"))}
    hide = {"Time": True, "__name__": True, "job": True}
    organize = {"id": "organize", "options": {"excludeByName": hide, "indexByName": shown}}
    return panel("table", title, width, 8, {"": query}, transformations=[organize], **more)


ROWS: dict[str, list[Panel]] = {
    "What is wrong now": [
        count("Failed", "fail", "red"),
        count("Could not be determined", "error", "purple"),
        count("Warned of", "warn", "yellow"),
        count("Passed", "pass", "green"),
        count("Does not apply", "skip", "text"),
        count("Not asked yet", "unknown", "blue"),
        table(
            "Failed, or could not be determined",
            'biostudio_check_status{instance=~"$instance", status=~"fail|error"} == 1',
            ("instance", "check", "target", "status"),
            width=14,
        ),
        table(
            "Why",
            f"biostudio_check_cause_info{_OF}",
            ("instance", "check", "target", "cause"),
            width=10,
        ),
        states(
            "Checks",
            "{{instance}} {{check}}",
            f"min by (instance, check) (biostudio_check_success{_OF})",
        ),
    ],
    "Services": [
        states(
            "Services",
            "{{instance}} {{service}} {{target}}",
            f"biostudio_service_up{_OF}",
            width=12,
        ),
        states(
            "Data sources",
            "{{instance}} {{kind}} {{target}}",
            f"biostudio_datasource_up{_OF}",
            width=12,
        ),
        graph(
            "Time to answer",
            {"{{service}} {{target}}": f"biostudio_service_duration_seconds{_OF}"},
            "s",
        ),
        graph(
            "Connections in use",
            {
                "{{service}} {{target}}": f"biostudio_service_connections{_OF} "
                f"/ biostudio_service_connections_limit{_OF}"
            },
            "percentunit",
        ),
        graph(
            "Jobs", {"{{state}} {{target}}": f"biostudio_service_jobs{_OF}"},
        ),
    ],
    "Host": [
        graph(
            "Storage available",
            {
                "{{instance}} {{tier}} {{path}}": f"biostudio_storage_available_bytes{_OF} "
                f"/ biostudio_storage_size_bytes{_OF}"
            },
            "percentunit",
        ),
        graph(
            "Inodes free",
            {
                "{{instance}} {{tier}} {{path}}": f"biostudio_storage_inodes_free{_OF} "
                f"/ biostudio_storage_inodes{_OF}"
            },
            "percentunit",
        ),
        graph(
            "Memory",
            {
                "{{instance}} available": f"biostudio_memory_available_bytes{_OF}",
                "{{instance}} in all": f"biostudio_memory_total_bytes{_OF}",
            },
            "bytes",
        ),
        graph(
            "Load for each CPU",
            {"{{instance}}": f"biostudio_load5{_OF} / biostudio_cpus_online{_OF}"},
        ),
        graph(
            "Pressure",
            {"{{instance}} {{resource}} {{tasks}}": f"biostudio_pressure_ratio{_OF}"},
            "percentunit",
        ),
        graph(
            "Clock offset", {"{{instance}}": f"biostudio_clock_offset_seconds{_OF}"}, "s",
        ),
        states("GPUs", "{{instance}} {{gpu}}", f"biostudio_gpu_up{_OF}", width=12),
        graph(
            "GPU temperature",
            {"{{instance}} {{gpu}}": f"biostudio_gpu_temperature_celsius{_OF}"},
            "celsius",
            width=12,
        ),
    ],
    "Network and certificates": [
        states(
            "Hosts that BioStudio needs",
            "{{instance}} {{target}}",
            f"biostudio_probe_success{_OF}",
            width=12,
        ),
        graph(
            "Slowest phases on the way",
            {"{{target}} {{phase}}": f"topk(10, biostudio_probe_duration_seconds{_OF})"},
            "s",
            width=12,
        ),
        graph(
            "Answers of name servers",
            {
                "{{server}}": "max by (instance, server) "
                f"(biostudio_dns_answer_duration_seconds{_OF})"
            },
            "s",
            width=12,
        ),
        table(
            "Certificates: time left",
            f"sort(biostudio_certificate_not_after_timestamp_seconds{_OF} - time())",
            ("instance", "target", "position", "subject"),
            width=12,
            unit="s",
            steps=((None, "red"), (7 * 86400, "yellow"), (14 * 86400, "green")),
        ),
    ],
    "biostudio-doctor itself": [
        graph(
            "Slowest checks",
            {"{{instance}} {{check}}": f"topk(10, biostudio_check_duration_seconds{_OF})"},
            "s",
            width=6,
        ),
        graph(
            "Checks begun too late by",
            {"{{instance}}": f"biostudio_doctor_scheduler_lag_seconds{_OF}"},
            "s",
            width=6,
        ),
        graph(
            "Runs",
            {
                "{{instance}}": "sum by (instance) "
                f"(rate(biostudio_check_runs_total{_OF}[$__rate_interval]))",
                "{{instance}} failed": "sum by (instance) "
                f"(rate(biostudio_check_failures_total{_OF}[$__rate_interval]))",
            },
            "ops",
            width=6,
        ),
        graph(
            "Memory of the web process",
            {
                "{{instance}}": "process_resident_memory_bytes"
                '{instance=~"$instance", job="biostudio-doctor"}'
            },
            "bytes",
            width=6,
        ),
    ],
}  # fmt: skip


def place(rows: dict[str, list[Panel]]) -> Iterator[Panel]:
    """Give panels their numbers, and their places from left to right and downwards."""
    number, top = 1, 0
    for title, panels in rows.items():
        line = {"x": 0, "y": top, "w": WIDTH, "h": 1}
        head = {"type": "row", "title": title, "collapsed": False, "panels": []}
        yield {"id": number, **head, "gridPos": line}
        number, left, top, lowest = number + 1, 0, top + 1, top + 1
        for one in panels:
            size = one["gridPos"]
            if left + size["w"] > WIDTH:
                left, top = 0, lowest
            yield {"id": number, **one, "gridPos": {"x": left, "y": top, **size}}
            number, left = number + 1, left + size["w"]
            lowest = max(lowest, top + size["h"])
        top = lowest


def dashboard() -> dict[str, Any]:
    """The whole, as Grafana 9 and later import it."""
    instance = "label_values(biostudio_doctor_build_info, instance)"
    return {
        "uid": "biostudio-doctor",
        "title": "BioStudio",
        "description": "What biostudio-doctor finds. Values are as old as the check's last run.",
        "tags": ["biostudio"],
        "schemaVersion": 37,
        "editable": True,
        "refresh": "1m",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {
            "list": [
                {
                    "name": "datasource", "label": "Prometheus", "type": "datasource",
                    "query": "prometheus",
                },
                {
                    "name": "instance", "label": "Host", "type": "query", "datasource": _SOURCE,
                    "query": {"query": instance, "refId": "instance"}, "definition": instance,
                    "refresh": 2, "sort": 1, "multi": True, "includeAll": True, "allValue": ".+",
                    "current": {"text": "All", "value": "$__all"},
                },
            ]
        },
        "panels": list(place(ROWS)),
    }  # fmt: skip


def main() -> None:
    """Write it."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET
    target.write_text(json.dumps(dashboard(), indent=1) + "\n")


if __name__ == "__main__":
    main()
