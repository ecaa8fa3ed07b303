"""The observing process: forked off, runs checks in threads, hands results back, is expendable.

Whatever a check does to it (hang in a system call that not even SIGKILL ends, crash the
interpreter, hog its lock, leak), the process that prints the report is another one and goes on.
Results come back as JSON lines through a pipe; what each check is just doing stands in shared
memory, so that it can be read although its process can no longer answer.
"""

import os
import signal
import sys
import threading
import time
from functools import partial
from typing import Any

import msgspec
from msgspec import Struct

from biostudio_doctor import text
from biostudio_doctor.check import Check, Context, ObservationError
from biostudio_doctor.expendable import Activities, Expendable, accompany, tell
from biostudio_doctor.host import Host
from biostudio_doctor.model import NOT_ASKED, Finding, Machine, Remedy, Result, Status, worst
from biostudio_doctor.plan import Plan
from biostudio_doctor.registry import Plugin, PluginError, describe, load_check

_IMPORT_PATIENCE = 0.5  # seconds


class Identified(Struct, frozen=True, tag="identified"):
    """The host is known."""

    machine: Machine


class Started(Struct, frozen=True, tag="started"):
    """A check was imported and begins; its title and its times are known now."""

    id: str
    title: str
    timeout_seconds: float
    interval_seconds: float


class Finished(Struct, frozen=True, tag="finished", omit_defaults=True):
    """A check ended."""

    result: Result
    cut_off: bool = (
        False  # it hung or ended its process, so that others beside it may have suffered
    )


class Imported(Struct, frozen=True, tag="imported"):
    """Modules that were imported since the process began, or since the last such message."""

    names: tuple[str, ...]


Message = Identified | Started | Imported | Finished


class Observer(Expendable):
    """The parent's end of one observing process."""

    def __init__(
        self, plan: Plan, plugins: tuple[Plugin, ...], *, tell_imports: bool = False
    ) -> None:
        self.plan = plan
        self.plugins = plugins
        self._activities = Activities(len(plugins))
        self.pending = [plugin.name for plugin in plugins]  # what is awaited of it
        self.cut_off: list[str] = []  # what is awaited no longer, although it did not end
        self._decoder = msgspec.json.Decoder(Message)
        super().__init__(_Worker(plan, plugins, self._activities, tell_imports).main)

    def receive(self) -> list[Message] | None:
        """What the pipe holds now; None when the process has closed it, or talks nonsense."""
        lines = self.lines()
        try:
            return lines if lines is None else [self._decoder.decode(line) for line in lines]
        except msgspec.DecodeError:
            return None

    def activity(self, check_id: str) -> str:
        """What a check is just doing, in its own process, such as "read /mnt/x"; '' if untold."""
        return self._activities.activity([plugin.name for plugin in self.plugins].index(check_id))


class _Worker:
    """The child's end: one thread a check."""

    def __init__(
        self,
        plan: Plan,
        plugins: tuple[Plugin, ...],
        activities: Activities,
        tell_imports: bool,
    ) -> None:
        self._plan = plan
        self._plugins = plugins
        self._parent = os.getpid()
        self._write_end = -1
        self._activities = activities
        self._lock = threading.Lock()
        self._turn = threading.Lock()  # to import
        self._imported = set(sys.modules) if tell_imports else None
        self._encoder = msgspec.json.Encoder()

    def main(self, write_end: int) -> None:
        """Run all checks."""
        self._write_end = write_end
        try:
            context = self._plan.context(Host(self._plan.host_root))
            self._send(Identified(context.machine))
            threads: list[threading.Thread] = []
            for index, plugin in enumerate(self._plugins):
                unasked = plugin.unasked(context.scope)
                if unasked:
                    self._send(Finished(not_asked(plugin.name, plugin.name, unasked)))
                    continue
                run = threading.Thread(target=self._run, args=(index, plugin, context), daemon=True)
                run.start()
                threads.append(run)
            if not accompany(threads, self._parent):
                os.killpg(0, signal.SIGKILL)  # us, and the programs that are run for nobody now
        except BaseException as error:  # nothing leaves this process but messages
            for plugin in self._plugins:
                self._send(Finished(_broken(plugin, error)))

    def _run(self, index: int, plugin: Plugin, context: Context) -> None:
        host = Host(self._plan.host_root, partial(self._activities.say, index))
        host.machine = context.machine  # identified once for all
        started = time.perf_counter()
        try:
            check = self._load(plugin)(context, self._plan.settings.get(plugin.name))
            times = check.timeout.total_seconds(), check.interval.total_seconds()
            self._send(Started(plugin.name, check.title(), *times))
            result = run_check(check, host)
        except PluginError as error:
            result = failed_to_load(plugin, str(error))
        except BaseException as error:  # a plug-in may raise what it likes
            result = _broken(plugin, error)
        result = without_secrets(result)
        seconds = round(time.perf_counter() - started, 6)
        if self._imported is not None:
            self._tell_imports(self._imported)
        self._send(Finished(msgspec.structs.replace(result, duration_seconds=seconds)))

    def _load(self, plugin: Plugin) -> type[Check[Any]]:
        """Import a check; one at a time is quicker than all at once, unless one of them hangs."""
        its_turn = self._turn.acquire(timeout=_IMPORT_PATIENCE)
        try:
            return load_check(plugin)
        finally:
            if its_turn:
                self._turn.release()

    def _tell_imports(self, known: set[str]) -> None:
        with self._lock:
            names = [name for name in list(sys.modules) if name not in known]
            known.update(names)
        self._send(Imported(tuple(names)))

    def _send(self, message: Message) -> None:
        data = self._encoder.encode(message)
        with self._lock:
            tell(self._write_end, data)


def without_secrets(result: Result) -> Result:
    """The same without the secrets that were revealed, which only some checks have done."""
    secret = sys.modules.get("biostudio_doctor.secret")
    if not secret:
        return result
    data = msgspec.to_builtins(result)
    told = ("subject", "summary", "observed", "expected", "remedy")
    for finding in data["findings"]:
        finding.update({key: secret.hide_in(finding[key]) for key in told if key in finding})
    data.update({key: secret.hide_in(data[key]) for key in ("observation", "tables")})
    return msgspec.convert(data, Result)


def run_check(check: Check[Any], host: Host) -> Result:
    """Observe and judge, in this thread; whatever is raised becomes an `error` finding."""
    why_not = check.why_not(check.context.scope)
    if why_not:
        return not_asked(check.id, check.title(), why_not)
    try:
        facts: Any = check.observe(host)
        if hasattr(facts, "__await__"):
            import asyncio

            facts = asyncio.run(_waited(facts))
        observation = msgspec.to_builtins(facts)
        findings = tuple(check.judge(facts, check.context.requirements))
        if not findings:
            raise ValueError("it gave no finding")
        result = Result(
            id=check.id,
            title=check.title(),
            status=worst(finding.status for finding in findings),
            findings=findings,
            observation=observation,
            tables=tuple(check.tables(facts)),
        )
        msgspec.json.encode(result)  # what cannot be written must not break the report
    except ObservationError as error:  # a check may raise what it likes
        return error_result(check.id, check.title(), error.summary, error.remedy)
    except OSError as error:
        return _unreadable(check, error)
    except BaseException as error:
        problem = f"The check broke: {describe(error)}{_place(error)}."
        return error_result(check.id, check.title(), problem)
    return result


def not_asked(check_id: str, title: str, why_not: str) -> Result:
    """A check that a run of this scope does not ask."""
    finding = Finding(Status.SKIP, check_id, f"Not asked: it {why_not}.", cause=NOT_ASKED)
    return Result(id=check_id, title=title, status=Status.SKIP, findings=(finding,))


def _unreadable(check: Check[Any], error: OSError) -> Result:
    where = f"{error.filename}: " if error.filename else ""
    problem = f"This could not be observed: {where}{error.strerror or describe(error)}."
    return error_result(check.id, check.title(), problem, _reading_remedy(check, error))


def _reading_remedy(check: Check[Any], error: OSError) -> Remedy | None:
    machine = check.context.machine
    if isinstance(error, PermissionError) and not machine.root:
        return Remedy("Run biostudio-doctor as root, which may read it.")
    if isinstance(error, FileNotFoundError) and machine.host_root != "/":
        return Remedy(f"See whether the host's /proc and /sys are mounted in {machine.host_root}.")
    return None


def error_result(check_id: str, title: str, summary: str, remedy: Remedy | None = None) -> Result:
    """A check that gave no answer, as a result with one `error` finding."""
    told = text.printable(summary)  # which may name a file, and that in whatever encoding
    finding = Finding(Status.ERROR, check_id, told, remedy=remedy or REPORT_IT)
    return Result(id=check_id, title=title, status=Status.ERROR, findings=(finding,))


REPORT_IT = Remedy(
    "The other checks are not affected. Please report this, with the JSON report.",
    ("biostudio-doctor check --output json --output-file report.json",),
    as_root=False,
)


def failed_to_load(plugin: Plugin, problem: str) -> Result:
    """A plug-in that cannot be imported."""
    remedy = Remedy(
        f"The other checks are not affected. Mend or remove the package {plugin.package}.",
        (f"pip uninstall {plugin.package}",),
        as_root=False,
    )
    return error_result(plugin.name, plugin.name, f"{problem[:1].upper()}{problem[1:]}.", remedy)


def _broken(plugin: Plugin, error: BaseException) -> Result:
    return error_result(plugin.name, plugin.name, f"The check broke: {describe(error)}.")


async def _waited(awaitable: Any) -> Any:
    return await awaitable


def _place(error: BaseException) -> str:
    """Where an exception was raised, as file and line: what a developer needs of a traceback."""
    frame = error.__traceback__
    while frame and frame.tb_next:
        frame = frame.tb_next
    if not frame:
        return ""
    return f" ({os.path.basename(frame.tb_frame.f_code.co_filename)}, line {frame.tb_lineno})"
