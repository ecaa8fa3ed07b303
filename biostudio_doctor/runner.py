"""The concurrent run: start the observing processes and collect the report."""

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime

from biostudio_doctor import __version__
from biostudio_doctor.model import Machine, Report, Result, Status, worst
from biostudio_doctor.observer import Finished, Identified
from biostudio_doctor.observing import Observing
from biostudio_doctor.plan import Plan
from biostudio_doctor.registry import Plugin, family

_TICK = 0.1

#: Called now and then with the results so far and the ids still awaited.
Progress = Callable[[dict[str, Result], list[str]], None]


class Run:
    """A run under way. Starting and collecting are apart so that the time between can be used."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._started_at = datetime.now(UTC)
        self._start = time.monotonic()
        self._machine = Machine(hostname="", os_id="", host_root=plan.host_root)
        self._results: dict[str, Result] = {}
        self._observing = Observing()
        for share in _shares(plan.plugins):
            self._observing.begin(plan, share)

    def collect(self, progress: Progress | None = None) -> Report:
        """Wait for all results, at most as long as the slowest check may take."""
        observing = self._observing
        try:
            while observing.running:
                for message in observing.wait(_TICK):
                    if isinstance(message, Identified):
                        self._machine = message.machine
                    elif isinstance(message, Finished):
                        self._results[message.result.id] = message.result
                if progress:
                    progress(self._results, list(observing.awaited))
        finally:
            observing.abandon()
        return self._report()

    def _report(self) -> Report:
        results = tuple(self._results[plugin.name] for plugin in self._plan.plugins)
        statuses = [finding.status for result in results for finding in result.findings]
        return Report(
            tool_version=__version__,
            started_at=self._started_at,
            duration_seconds=round(time.monotonic() - self._start, 6),
            status=worst(statuses),
            scope=self._plan.scope,
            machine=self._machine,
            results=results,
            summary={status: statuses.count(status) for status in Status},
        )


def _shares(plugins: tuple[Plugin, ...]) -> list[tuple[Plugin, ...]]:
    """A part for each observing process: importing checks keeps one CPU busy, so two share it.

    Checks of one family, such as certificate.*, stay together.
    """
    families: dict[str, list[Plugin]] = {}
    for plugin in plugins:
        families.setdefault(family(plugin.name), []).append(plugin)
    shares: list[list[Plugin]] = [[] for _ in range(min(2, len(os.sched_getaffinity(0))))]
    for members in sorted(families.values(), key=len, reverse=True):
        min(shares, key=len).extend(members)
    return [tuple(share) for share in shares if share]


def exit_code(report: Report, strict: bool) -> int:
    """0 nothing failed, 1 something failed (or warned, if strict), 3 could not be determined."""
    counts = report.summary
    if counts[Status.FAIL] or (strict and counts[Status.WARN]):
        return 1
    return 3 if counts[Status.ERROR] else 0
