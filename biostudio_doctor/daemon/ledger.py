"""What is known of each check: its last result, its times, its last runs. From it: the report."""

from collections import deque
from collections.abc import Collection, Mapping
from datetime import datetime

import msgspec
from msgspec import Struct, field

from biostudio_doctor import __version__
from biostudio_doctor.model import (
    Daemon,
    Machine,
    Report,
    Result,
    Run,
    Schedule,
    Status,
    worst,
)
from biostudio_doctor.plan import Plan

#: The last runs that a report shows of each check.
SHOWN = 30
_TIMEOUT = 10.0  # seconds, until a check has told its own
BAD = (Status.FAIL, Status.ERROR)


class Record(Struct, kw_only=True):
    """One check."""

    result: Result
    interval: float
    timeout: float = _TIMEOUT
    runs: int = 0
    failures: int = 0
    last_run: datetime | None = None
    last_success: datetime | None = None
    history: deque[Run] = field(default_factory=lambda: deque(maxlen=SHOWN))

    def remember(self, run: Run) -> None:
        """A run has ended, now or before the daemon was started again."""
        self.history.append(run)
        self.last_run = run.at
        if run.status not in BAD:
            self.last_success = run.at


class Ledger:
    """The checks of the plan."""

    def __init__(self) -> None:
        self.records: dict[str, Record] = {}

    def adopt(
        self, ids: Collection[str], interval: float, past: Mapping[str, tuple[Run, ...]]
    ) -> None:
        """Have exactly these checks; the new ones are unknown, with what they did in the past."""
        kept = self.records
        self.records = {}
        for check_id in ids:
            record = kept.get(check_id)
            if not record:
                record = Record(result=_unknown(check_id, check_id), interval=interval)
                for run in past.get(check_id, ()):
                    record.remember(run)
            self.records[check_id] = record

    def forget(self, check_id: str) -> None:
        """What was found is not true of the new configuration."""
        record = self.records[check_id]
        record.result = _unknown(check_id, record.result.title)

    def started(self, check_id: str, title: str, interval: float, timeout: float) -> None:
        """A check tells its title and its times, in seconds."""
        record = self.records[check_id]
        record.interval, record.timeout = interval, timeout
        record.result = msgspec.structs.replace(record.result, title=title)

    def finished(self, result: Result, at: datetime) -> Run:
        """A run has ended."""
        record = self.records[result.id]
        run = Run(at, result.status, result.duration_seconds)
        record.result = result
        record.runs += 1
        record.failures += result.status in BAD
        record.remember(run)
        return run

    def report(self, plan: Plan, machine: Machine, daemon: Daemon, age: float) -> Report:
        """Everything that is known now; `age` is how long the daemon has been running."""
        results = tuple(
            msgspec.structs.replace(record.result, schedule=_schedule(record))
            for record in self.records.values()
        )
        judged = [finding.status for result in results for finding in result.findings]
        statuses = judged + [one.status for one in results if one.status is Status.UNKNOWN]
        return Report(
            tool_version=__version__,
            started_at=daemon.started_at,
            duration_seconds=round(age, 3),
            status=worst(statuses),
            scope=plan.scope,
            machine=machine,
            results=results,
            summary={status: statuses.count(status) for status in Status},
            daemon=daemon,
        )


def _unknown(check_id: str, title: str) -> Result:
    return Result(id=check_id, title=title, status=Status.UNKNOWN, findings=())


def _schedule(record: Record) -> Schedule:
    return Schedule(
        interval_seconds=record.interval,
        timeout_seconds=record.timeout,
        runs=record.runs,
        failures=record.failures,
        last_run=record.last_run,
        last_success=record.last_success,
        history=tuple(record.history),
    )
