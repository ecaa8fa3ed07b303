"""What became of each check, and how it runs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from biostudio_doctor.model import NOT_ASKED, Finding, Report, Result, Status, worst

from .families import Group, Sample, label

GROUP = Group("Checks")

_AGE = "As old as the check's last run."
_STATUS = GROUP.gauge(
    "check_status", "check", "target", "status",
    says="1 for the status that the target has, 0 for all others: fail, error (could not be "
    f"observed), warn, unknown (not asked yet), skip (does not apply) or pass. {_AGE}",
)  # fmt: skip
_SUCCESS = GROUP.gauge(
    "check_success", "check", "target",
    says="1 if the target passed or is only warned of, 0 if it failed or could not be observed; "
    f"absent where nothing was determined (skip, unknown). {_AGE}",
)  # fmt: skip
_CAUSE = GROUP.info(
    "check_cause_info", "check", "target", "cause",
    says=f"Why a target has the status warn, fail or error, as a stable word. {_AGE}",
)  # fmt: skip
_DURATION = GROUP.gauge("check_duration_seconds", "check", says="How long the last run took.")
_TIMEOUT = GROUP.gauge("check_timeout_seconds", "check", says="How long a run may take.")
_INTERVAL = GROUP.gauge("check_interval_seconds", "check", says="Time between two runs.")
_LAST_RUN = GROUP.gauge(
    "check_last_run_timestamp_seconds", "check", says="When the last run ended, as Unix time."
)
_LAST_SUCCESS = GROUP.gauge(
    "check_last_success_timestamp_seconds", "check",
    says="When the last run ended that neither failed nor erred, as Unix time.",
)  # fmt: skip
_RUNS = GROUP.counter("check_runs_total", "check", says="Runs since the daemon started.")
_FAILURES = GROUP.counter(
    "check_failures_total", "check",
    says="Runs since the daemon started that ended as fail or error.",
)  # fmt: skip

#: Beyond so many, the targets of one check are one, with their worst status.
MOST_TARGETS = 1000
OTHERS = "others"

_SUCCEEDED = {Status.PASS: 1, Status.WARN: 1, Status.FAIL: 0, Status.ERROR: 0}


def outcomes(report: Report) -> Iterator[Sample]:
    """The status of each target of each check, in which findings about one target are one."""
    for check, targets in _targets(report).items():
        for target, findings in targets.items():
            status = worst(finding.status for finding in findings)
            for each in Status:
                yield _STATUS, (check, target, each), each is status
            yield _SUCCESS, (check, target), _SUCCEEDED.get(status)
            if status in (Status.WARN, Status.FAIL, Status.ERROR):
                for finding in findings:
                    if finding.status is status and finding.cause:
                        yield _CAUSE, (check, target, finding.cause), 1


def schedules(report: Report) -> Iterator[Sample]:
    """How checks run. Without a daemon, only how long they took."""
    for result in report.results:
        of, schedule = (result.id,), result.schedule
        asked = all(finding.cause != NOT_ASKED for finding in result.findings)
        if asked:
            yield _DURATION, of, result.duration_seconds or None  # 0: it has not run yet
        if schedule:
            if asked:
                yield _TIMEOUT, of, schedule.timeout_seconds
            yield _INTERVAL, of, schedule.interval_seconds
            yield _LAST_RUN, of, _unix(schedule.last_run)
            yield _LAST_SUCCESS, of, _unix(schedule.last_success)
            yield _RUNS, of, schedule.runs
            yield _FAILURES, of, schedule.failures


def _targets(report: Report) -> dict[str, dict[str, list[Finding]]]:
    """The findings by check and target, as their labels will be."""
    found: dict[str, dict[str, list[Finding]]] = {}
    for result in report.results:
        targets = found.setdefault(label(result.id), {})
        for finding in result.findings or (_itself(result),):
            target = label(finding.subject)
            if target not in targets and len(targets) >= MOST_TARGETS:
                target = OTHERS
            targets.setdefault(target, []).append(finding)
    return found


def _itself(result: Result) -> Finding:
    """A check that has found nothing yet is its own target, as it is where it could not run."""
    return Finding(result.status, result.id, "")


def _unix(moment: datetime | None) -> float | None:
    return moment.timestamp() if moment else None


EXTRACTORS = {"outcomes": outcomes, "schedules": schedules}
