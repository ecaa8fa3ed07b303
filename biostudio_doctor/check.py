"""What a check is. Built-in checks and third parties' plug-ins derive from `Check` alike.

A check is one class, listed under the entry-point group `biostudio_doctor.checks`; the name of its
entry point is its id. docs/plugins.md shows a whole one.
"""

from collections.abc import Awaitable, Iterable
from datetime import timedelta
from typing import Any, ClassVar, Generic, TypeVar

from msgspec import Struct, field

from biostudio_doctor.config import Config, Settings
from biostudio_doctor.host import Host
from biostudio_doctor.model import (
    PHASES,
    PLATFORMS,
    ROLES,
    Finding,
    Machine,
    Remedy,
    Scope,
    Table,
)
from biostudio_doctor.requirements import Requirements

FactsT = TypeVar("FactsT")


OFFLINE = "needs the network, and --offline was given"


def other_phase(phases: Iterable[str], scope: Scope) -> str:
    """Why a check of these phases is not asked."""
    wanted = " or ".join(phases)
    return f"is asked in the phase {wanted} (--phase {wanted}), and this one is {scope.phase}"


class ObservationError(Exception):
    """Raised by `observe` where the facts cannot be had: one sentence that says why, and a remedy.

    An OSError says the same with its path and reason, and needs no translation.
    """

    def __init__(self, summary: str, remedy: Remedy | None = None) -> None:
        super().__init__(summary)
        self.summary = summary
        self.remedy = remedy


class Context(Struct, frozen=True, kw_only=True):
    """What a check knows before it looks: what was asked, of which machine, by which rules."""

    scope: Scope
    machine: Machine
    requirements: Requirements
    config: Config = field(default_factory=Config)


class Check(Generic[FactsT]):
    """One question asked of a host.

    `observe` gathers facts: a plain function where it reads files, a coroutine where it waits for
    the network (it runs under asyncio, so anyio works). It runs in a process that is expendable:
    if it hangs, raises or crashes, that becomes an `error` finding. `judge` turns the facts into
    findings, as a pure function: no clock, no input or output. Its facts type is whatever
    `observe` is annotated to return, and must be serialisable by msgspec (a Struct, a dataclass, a
    dict ...), since a bundle carries facts to be judged again elsewhere.

    The docstring is the reference page: its first line is the title, then paragraphs on what is
    looked at; a paragraph beginning with "Why:" and one with "Mend:".
    """

    id: ClassVar[str]
    interval: ClassVar[timedelta] = timedelta(minutes=5)
    timeout: ClassVar[timedelta] = timedelta(seconds=10)
    roles: ClassVar[tuple[str, ...]] = ROLES
    phases: ClassVar[tuple[str, ...]] = PHASES
    platforms: ClassVar[tuple[str, ...]] = PLATFORMS
    network: ClassVar[bool] = False  # leaves the host, so --offline skips it
    deep: ClassVar[bool] = False  # costs the host something, so only --deep runs it
    requirement_ids: ClassVar[tuple[str, ...]] = ()  # what it judges by, for `explain`
    Settings: ClassVar[type[Settings]] = Settings

    def __init__(self, context: Context, settings: Any = None) -> None:
        self.context = context
        self.settings: Any = self.Settings() if settings is None else settings

    @property
    def allowed_seconds(self) -> float:
        """How long this check may take: as the run was told for all checks, or its own timeout."""
        return self.context.config.timeout or self.timeout.total_seconds()

    def observe(self, host: Host) -> FactsT | Awaitable[FactsT]:
        """Gather the facts.

        Raises:
            ObservationError, OSError: if they cannot be had; it becomes one `error` finding.
        """
        raise NotImplementedError

    def judge(self, facts: FactsT, requirements: Requirements) -> Iterable[Finding]:
        """Turn facts into at least one finding."""
        raise NotImplementedError

    def tables(self, facts: FactsT) -> Iterable[Table]:
        """What of the facts is read best side by side; as pure as `judge`."""
        return ()

    @classmethod
    def title(cls) -> str:
        """The first line of the docstring."""
        return (cls.__doc__ or cls.__name__).strip().partition("\n")[0].rstrip(".")

    @classmethod
    def why_not(cls, scope: Scope) -> str | None:
        """Why this check is not asked in a run of this scope, or None if it is."""
        if scope.role not in cls.roles:
            return f"does not concern the role {scope.role}"
        if scope.phase not in cls.phases:
            return other_phase(cls.phases, scope)
        if scope.platform not in cls.platforms:
            return f"does not concern the platform {scope.platform}"
        if scope.offline and cls.network:
            return OFFLINE
        if cls.deep and not scope.deep:
            return "puts a load on this host, so it runs only with --deep"
        return None
