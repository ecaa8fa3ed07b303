"""The concurrent run: start the observing process, keep its time, collect the report.

All timing is here, in the process that prints. A check that is not done at its deadline becomes
an `error` finding that says what it hung in. If the observing process dies under its checks, each
unfinished one is run again in a process of its own, so that only the culprit is lost.
"""

import os
import selectors
import time
from collections.abc import Callable
from datetime import UTC, datetime

from msgspec import structs

from biostudio_doctor import __version__
from biostudio_doctor.model import Machine, Remedy, Report, Result, Status, worst
from biostudio_doctor.observer import Finished, Identified, Message, Observer, error_result
from biostudio_doctor.plan import Plan
from biostudio_doctor.registry import Plugin

#: Seconds for importing a check, which happens in the observing process under its guard.
LOAD_TIMEOUT = 10.0
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
        self._titles: dict[str, str] = {}
        self._deadlines: dict[str, tuple[float, float]] = {}  # id -> (deadline, seconds allowed)
        self._selector = selectors.DefaultSelector()
        for share in _shares(plan.plugins):
            self._observe(Observer(plan, share))

    def collect(self, progress: Progress | None = None) -> Report:
        """Wait for all results, at most as long as the slowest check may take."""
        try:
            while self._selector.get_map():
                for key, _ in self._selector.select(self._patience()):
                    self._receive(key.data)
                self._expire()
                if progress:
                    progress(self._results, list(self._deadlines))
        finally:
            self._abandon()
        return self._report()

    def _observe(self, observer: Observer) -> None:
        self._selector.register(observer.descriptor, selectors.EVENT_READ, observer)
        for plugin in observer.plugins:
            self._allow(plugin.name, LOAD_TIMEOUT)

    def _allow(self, check_id: str, seconds: float) -> None:
        if self._plan.config.timeout:
            seconds = self._plan.config.timeout
        self._deadlines[check_id] = (time.monotonic() + seconds, seconds)

    def _patience(self) -> float:
        nearest = min((deadline for deadline, _ in self._deadlines.values()), default=0.0)
        return max(0.0, min(_TICK, nearest - time.monotonic()))

    def _receive(self, observer: Observer) -> None:
        messages = observer.receive()
        if messages is None:
            self._died(observer)
            return
        for message in messages:
            self._understand(message)
        if not self._pending(observer):
            self._release(observer)

    def _understand(self, message: Message) -> None:
        if isinstance(message, Identified):
            self._machine = message.machine
        elif isinstance(message, Finished):
            if message.result.id in self._deadlines:
                self._finish(message.result)
        elif message.id in self._deadlines:
            self._titles[message.id] = message.title
            self._allow(message.id, message.timeout_seconds)

    def _finish(self, result: Result) -> None:
        self._results[result.id] = result
        del self._deadlines[result.id]

    def _pending(self, observer: Observer) -> list[str]:
        return [plugin.name for plugin in observer.plugins if plugin.name in self._deadlines]

    def _expire(self) -> None:
        now = time.monotonic()
        for key in list(self._selector.get_map().values()):
            observer: Observer = key.data
            for check_id in self._pending(observer):
                deadline, allowed = self._deadlines[check_id]
                if now >= deadline:
                    activity = observer.activity(check_id)
                    title = self._titles.get(check_id, check_id)
                    self._finish(_hung(check_id, title, allowed, activity))
            if not self._pending(observer):
                self._release(observer)

    def _died(self, observer: Observer) -> None:
        """The process is gone: try what it left undone again, each check by itself."""
        undone = [plugin for plugin in observer.plugins if plugin.name in self._deadlines]
        fate = observer.fate()
        self._release(observer)
        if len(observer.plugins) > 1:
            for plugin in undone:
                self._observe(Observer(self._plan, (plugin,)))
            return
        for plugin in undone:
            title = self._titles.get(plugin.name, plugin.name)
            problem = f"The check ended its process ({fate})."
            self._finish(error_result(plugin.name, title, problem))

    def _release(self, observer: Observer) -> None:
        self._selector.unregister(observer.descriptor)
        observer.end()

    def _abandon(self) -> None:
        for key in list(self._selector.get_map().values()):
            self._release(key.data)
        self._selector.close()

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

    Checks of one family, such as certificate.*, stay together: they import the same modules, and
    may share what they observe.
    """
    families: dict[str, list[Plugin]] = {}
    for plugin in plugins:
        families.setdefault(plugin.name.partition(".")[0], []).append(plugin)
    shares: list[list[Plugin]] = [[] for _ in range(min(2, len(os.sched_getaffinity(0))))]
    for family in sorted(families.values(), key=len, reverse=True):
        min(shares, key=len).extend(family)
    return [tuple(share) for share in shares if share]


def _hung(check_id: str, title: str, seconds: float, activity: str) -> Result:
    where = f" while it tried to {activity}" if activity else ""
    result = error_result(
        check_id,
        title,
        f"The check did not end within {seconds:g} s{where}, so it was abandoned.",
        remedy=Remedy(
            "The other checks are not affected. See whether what it waits for hangs: a stale "
            "network mount, a wedged driver or a service that does not answer.",
            ("ps -eo pid,stat,wchan:30,args | awk '$2 ~ /D/'",),
        ),
    )
    return structs.replace(result, duration_seconds=seconds)


def exit_code(report: Report, strict: bool) -> int:
    """0 nothing failed, 1 something failed (or warned, if strict), 3 could not be determined."""
    counts = report.summary
    if counts[Status.FAIL] or (strict and counts[Status.WARN]):
        return 1
    return 3 if counts[Status.ERROR] else 0
