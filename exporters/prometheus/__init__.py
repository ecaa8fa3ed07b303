"""Metrics for Prometheus, of one report: what the report does not know any more has no series.

    families.py      what a metric is, and how facts become values
    checks.py        what became of each check, and how it runs
    doctor.py        biostudio-doctor itself
    host.py, network.py, certificates.py    values from the facts of checks

Each extractor stands alone: one that raises costs its own series only, and says so in
`biostudio_collector_errors`. Nothing is global: a report is rendered by a registry of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample as Line

from biostudio_doctor.exporter import Style
from biostudio_doctor.model import Report

from . import certificates, checks, doctor, host, network
from .families import Family, Sample, Series

GROUPS = (checks.GROUP, host.GROUP, network.GROUP, certificates.GROUP, doctor.GROUP)

Extractor = Callable[[Report], Iterable[Sample]]


def render(report: Report, style: Style) -> str:
    """The text format 0.0.4, which every Prometheus reads."""
    return generate_latest(_registry(report)).decode()


def openmetrics(report: Report, style: Style) -> str:
    """The same in OpenMetrics 1.0."""
    made: bytes = generate_openmetrics(_registry(report))  # type: ignore[no-untyped-call]
    return made.decode()


class Textfile:
    """The same as `render`, for node_exporter's textfile collector.

    That runs as another user, so everybody may read the file. It says no more than the /metrics of
    a daemon does: names of hosts, versions and numbers.
    """

    mode = 0o644

    def __call__(self, report: Report, style: Style) -> str:
        """The text format 0.0.4."""
        return render(report, style)


textfile = Textfile()


class ReportCollector(Collector):
    """The metrics of one report."""

    def __init__(self, report: Report, extractors: Mapping[str, Extractor]) -> None:
        self._report = report
        self._extractors = extractors

    def collect(self) -> Iterator[Metric]:
        """All metrics that have values, in the order of their documentation."""
        series = Series({})
        for name, extract in self._extractors.items():
            own = Series({})
            try:
                own.add(extract(self._report))
            except Exception:  # of facts that have a shape nobody thought of
                series.add([(doctor.ERRORS, (name,), 1)])
                continue
            series.add([(doctor.ERRORS, (name,), 0)])
            series.merge(own)
        for group in GROUPS:
            for family in group.families:
                values = series.values.get(family.name)
                if values:
                    yield _metric(family, values)


def _registry(report: Report) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(ReportCollector(report, EXTRACTORS))
    return registry


def _metric(family: Family, values: dict[tuple[str, ...], float]) -> Metric:
    """As prometheus_client has it, which names counters and infos without their suffix."""
    name = family.name.removesuffix("_total").removesuffix("_info")
    metric = Metric(name, family.help, family.kind)
    metric.samples = [
        Line(family.name, dict(zip(family.labels, labels, strict=True)), value)
        for labels, value in values.items()
    ]
    return metric


def _of_facts(
    extract: Callable[[str, Any], Iterable[Sample]], patterns: tuple[str, ...]
) -> Extractor:
    """An extractor of a whole report from one of the facts of some checks, the first first."""

    def of_report(report: Report) -> Iterator[Sample]:
        for pattern in patterns:
            for result in report.results:
                if result.observation is not None and fnmatchcase(result.id, pattern):
                    yield from extract(result.id, result.observation)

    return of_report


#: By the name that `biostudio_collector_errors` has for each.
EXTRACTORS: Mapping[str, Extractor] = {
    **checks.EXTRACTORS,
    **{
        name: _of_facts(extract, patterns)
        for module in (host, network, certificates)
        for name, (extract, patterns) in module.EXTRACTORS.items()
    },
    **doctor.EXTRACTORS,
}
