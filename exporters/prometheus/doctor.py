"""biostudio-doctor itself, and the host that it looks at."""

from __future__ import annotations

import platform
from collections.abc import Iterator

from biostudio_doctor.model import Report

from .families import Group, Sample

GROUP = Group("biostudio-doctor itself")

_BUILD = GROUP.info(
    "doctor_build_info", "version", "python", "schema",
    says="Versions of biostudio-doctor, of Python, and of the JSON report.",
)  # fmt: skip
_HOST = GROUP.info(
    "host_info",
    "hostname", "os", "os_version", "kernel", "architecture", "role", "phase", "platform",
    "profile",
    says="The host that was looked at, what it is to run, and the requirements it is judged by.",
)  # fmt: skip
_STARTED = GROUP.gauge(
    "doctor_start_time_seconds", says="When the daemon was started, as Unix time."
)
_RELOADED = GROUP.gauge(
    "doctor_config_last_reload_successful",
    says="1 if the configuration was read well the last time, 0 if the one before is in force.",
)
_RELOADED_AT = GROUP.gauge(
    "doctor_config_last_reload_success_timestamp_seconds",
    says="When a configuration was last read well, as Unix time.",
)
_LAG = GROUP.gauge(
    "doctor_scheduler_lag_seconds",
    says="By how much the last check that was due was begun too late.",
)
_HISTORY = GROUP.gauge(
    "doctor_history_on_disk",
    says="1 if the history is kept on disk, 0 if only in memory because the disk failed.",
)
#: Of the collector itself, which see.
ERRORS = GROUP.gauge(
    "collector_errors", "collector",
    says="1 if these metrics could not be made and are missing, 0 if all is well.",
)  # fmt: skip


def identity(report: Report) -> Iterator[Sample]:
    """Versions, host and role."""
    machine, scope = report.machine, report.scope
    versions = (report.tool_version, platform.python_version(), report.schema_version)
    yield _BUILD, versions, 1
    yield (
        _HOST,
        (
            machine.hostname, machine.os_id, machine.os_version, machine.kernel,
            machine.architecture, scope.role, scope.phase, scope.platform, scope.profile,
        ),
        1,
    )  # fmt: skip


def daemon(report: Report) -> Iterator[Sample]:
    """How the daemon fares; nothing without one."""
    fares = report.daemon
    if not fares:
        return
    yield _STARTED, (), fares.started_at.timestamp()
    yield _RELOADED, (), fares.reload_succeeded
    yield _RELOADED_AT, (), fares.reloaded_at.timestamp()
    yield _LAG, (), fares.lag_seconds
    yield _HISTORY, (), not fares.history_problem


EXTRACTORS = {"identity": identity, "daemon": daemon}
