"""The report as a part of the bundle: the checks are run while the collectors are at work."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, ClassVar

from msgspec import structs

from biostudio_doctor import registry
from biostudio_doctor.bundle import manifest
from biostudio_doctor.collector import MIB, Collector, Item, Say, Surroundings
from biostudio_doctor.exporter import Style
from biostudio_doctor.model import Report
from biostudio_doctor.plan import Plan
from biostudio_doctor.runner import Run

#: What selects it, among the ids of the collectors.
NAME = "report"
_LIMIT = 16 * MIB  # as the reader reads


class ReportCollector(Collector):
    """The findings of all checks, and what they were judged from."""

    id = ""
    timeout: ClassVar[timedelta] = timedelta(seconds=90)

    def __init__(self, surroundings: Surroundings, plan: Plan, moment: datetime | None) -> None:
        """`moment` stands for all times in a bundle that is to be reproducible."""
        super().__init__(surroundings)
        self._plan = plan
        self._moment = moment

    def items(self) -> Iterable[Item]:
        """The report in three forms, and the configuration by which it was judged."""
        from biostudio_doctor.bundle import configured

        report: Report | None = None

        def made() -> Report:
            nonlocal report
            report = report or self._made()
            return report

        yield Say(tell=made, name=manifest.REPORT, source="biostudio-doctor check", limit=_LIMIT)
        yield Say(
            tell=lambda: configured.told(self._plan.config), name=manifest.CONFIG,
            source="the configuration in force", limit=_LIMIT,
        )  # fmt: skip
        exporters = registry.find(registry.EXPORTERS)
        for exporter, name in (("table", "report.txt"), ("html", "report.html")):
            if exporter in exporters:
                yield Say(
                    tell=lambda exporter=exporter: self._rendered(exporter, made()),  # type: ignore[misc]
                    name=name, source=f"biostudio-doctor check --output {exporter}", limit=_LIMIT,
                )  # fmt: skip

    @staticmethod
    def _rendered(exporter: str, report: Report) -> str:
        render: Any = registry.find(registry.EXPORTERS)[exporter].load()
        return str(render(report, Style(width=100)))

    def _made(self) -> Report:
        report = Run(self._plan).collect()
        if self._moment is None:
            return report
        results = tuple(structs.replace(one, duration_seconds=0) for one in report.results)
        return structs.replace(report, started_at=self._moment, duration_seconds=0, results=results)
