"""The words of the report: requirement, finding, result, report.

Everything here is serialisable, because it is the public JSON interface (`schema report`), what a
support bundle carries, and what the observing process hands to the one that prints.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, get_args

from msgspec import Meta, Struct, field

SCHEMA_VERSION = "1.0"

Role = Literal["all-in-one", "bioproxy", "biostudio"]
Phase = Literal["preinstall", "running"]
Platform = Literal["docker", "kubernetes"]

ROLES: tuple[str, ...] = get_args(Role)
PHASES: tuple[str, ...] = get_args(Phase)
PLATFORMS: tuple[str, ...] = get_args(Platform)


class Status(StrEnum):
    """The outcome of one judged subject."""

    FAIL = "fail"  # a requirement is unmet
    ERROR = "error"  # could not be observed, and why
    WARN = "warn"  # below a recommendation
    UNKNOWN = "unknown"  # not asked yet: only in a daemon that has just started
    SKIP = "skip"  # does not apply here, and why
    PASS = "pass"


#: Worst first: the order of the closing summary.
SEVERITY: Sequence[Status] = tuple(Status)


#: Causes of a `skip` that stands for a whole check: this run does not ask it, or nothing that it
#: asks about is configured. Exporters may say these together.
NOT_ASKED = "scope.not-asked"
NOT_CONFIGURED = "scope.not-configured"


class Strength(StrEnum):
    """How firmly BioStudio demands something."""

    REQUIRED = "required"
    RECOMMENDED = "recommended"
    OPTIONAL = "optional"


class Requirement(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One demand of BioStudio: a value, its strength and the place that says it."""

    id: str
    strength: Strength
    section: Annotated[str, Meta(description="Section of the document that says it.")]
    says: Annotated[str, Meta(description="The document's own words.")]
    source: Annotated[str, Meta(description="The document.")] = ""
    note: Annotated[str, Meta(description="How an ambiguity of the document is settled.")] = ""


class Remedy(Struct, frozen=True, omit_defaults=True):
    """What to do next: a sentence, and the commands for this host's own distribution."""

    text: str
    commands: Annotated[tuple[str, ...], Meta(description="To be run in this order.")] = ()
    as_root: Annotated[bool, Meta(description="The commands need root.")] = True


class Finding(Struct, frozen=True, omit_defaults=True):
    """One judged subject of a check."""

    status: Status
    subject: Annotated[str, Meta(description="What was judged, such as a tier, a port or a host.")]
    summary: Annotated[str, Meta(description="One sentence in plain words.")]
    observed: Annotated[str, Meta(description="What was found.")] = ""
    expected: Annotated[str, Meta(description="What was wanted.")] = ""
    remedy: Remedy | None = None
    requirement: Requirement | None = None
    cause: Annotated[
        str, Meta(description="A stable word for the diagnosed cause, such as 'proxy.auth'.")
    ] = ""


class Table(Struct, frozen=True):
    """Facts that are read best side by side, such as which node reaches which other on which port.

    The first column names the rows: it is repeated where a table is too wide for the terminal.
    """

    title: str
    columns: Annotated[tuple[str, ...], Meta(description="The names of the columns.")]
    rows: Annotated[tuple[tuple[str, ...], ...], Meta(description="A cell for each column.")]


class Run(Struct, frozen=True):
    """One run of a check, as its history has it."""

    at: Annotated[datetime, Meta(description="When it ended (UTC).")]
    status: Status
    duration_seconds: float


class Schedule(Struct, frozen=True, kw_only=True):
    """How a check runs in the daemon."""

    interval_seconds: Annotated[float, Meta(gt=0)]
    timeout_seconds: Annotated[float, Meta(gt=0)]
    runs: Annotated[int, Meta(description="Since the daemon started.")] = 0
    failures: Annotated[int, Meta(description="Of these, runs that ended as fail or error.")] = 0
    last_run: Annotated[datetime | None, Meta(description="When the last run ended (UTC).")] = None
    last_success: Annotated[
        datetime | None, Meta(description="When the last run ended that neither failed nor erred.")
    ] = None
    history: Annotated[tuple[Run, ...], Meta(description="The last runs, oldest first.")] = ()


class Result(Struct, frozen=True, kw_only=True):
    """What one check found."""

    id: str
    title: str
    status: Annotated[Status, Meta(description="The worst status among the findings.")]
    findings: tuple[Finding, ...]
    observation: Annotated[
        Any, Meta(description="The plain facts the findings were judged from; null if none.")
    ] = None
    tables: tuple[Table, ...] = ()
    duration_seconds: Annotated[float, Meta(ge=0)] = 0.0
    schedule: Annotated[Schedule | None, Meta(description="Only from a daemon.")] = None


class Scope(Struct, frozen=True, kw_only=True):
    """What was asked: for which role, phase and platform, by which requirements."""

    role: str
    phase: str
    platform: str
    profile: str
    offline: bool = False
    deep: bool = False


class Machine(Struct, frozen=True, kw_only=True):
    """Which host was looked at. Remedies are worded for it."""

    hostname: str
    os_id: Annotated[str, Meta(description="ID of os-release, such as 'debian'; '' if unknown.")]
    os_like: tuple[str, ...] = ()
    os_name: Annotated[str, Meta(description="For people, such as 'Debian GNU/Linux 12'.")] = ""
    os_version: str = ""
    os_codename: Annotated[
        str, Meta(description="Of the Debian or Ubuntu it is built on, such as 'jammy'.")
    ] = ""
    os_source: Annotated[str, Meta(description="The file the distribution was read from.")] = ""
    kernel: str = ""
    architecture: str = ""
    container: Annotated[str, Meta(description="Container technology around us; '' if none.")] = ""
    wsl: bool = False
    systemd: Annotated[bool, Meta(description="systemd is the init of this host.")] = False
    root: Annotated[bool, Meta(description="The checks ran as root.")] = False
    host_root: Annotated[str, Meta(description="Where the host's file system was read.")] = "/"


class Daemon(Struct, frozen=True, kw_only=True):
    """How the daemon itself fares."""

    started_at: datetime
    reloaded_at: Annotated[datetime, Meta(description="When a configuration was last read well.")]
    reload_succeeded: Annotated[bool, Meta(description="The last reading went well.")] = True
    reload_problem: Annotated[str, Meta(description="Why not, in one line.")] = ""
    lag_seconds: Annotated[
        float, Meta(description="By how much the last check that was due was begun too late.")
    ] = 0.0
    history_problem: Annotated[
        str, Meta(description="Why the history is kept in memory only; '' if it is on disk.")
    ] = ""


class Report(Struct, frozen=True, kw_only=True):
    """The findings of all checks, with host identity, versions and timings."""

    schema_version: str = SCHEMA_VERSION
    tool_version: str
    started_at: datetime
    duration_seconds: Annotated[float, Meta(ge=0)]
    status: Annotated[Status, Meta(description="The worst status among the results.")]
    scope: Scope
    machine: Machine
    results: tuple[Result, ...]
    summary: Annotated[
        dict[Status, int], Meta(description="How many findings have each status.")
    ] = field(default_factory=dict)
    daemon: Annotated[Daemon | None, Meta(description="Only from a daemon.")] = None


def worst(statuses: Iterable[Status]) -> Status:
    """The status that stands for several: `skip` only where nothing else was said."""
    found = set(statuses)
    for status in (Status.FAIL, Status.ERROR, Status.WARN, Status.UNKNOWN, Status.PASS):
        if status in found:
            return status
    return Status.SKIP
