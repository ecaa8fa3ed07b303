"""The daemon's main process: one thread, one loop, which never waits for anybody in particular.

It forks, it listens to what its children tell, and it keeps the time. Checks are imported and run
in its children only.
"""

import selectors
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime

from msgspec import structs

from biostudio_doctor import __version__, registry
from biostudio_doctor.config import DaemonConfig
from biostudio_doctor.daemon.archive import Archive
from biostudio_doctor.daemon.changes import concerns, differs, intervals, refuse_taken
from biostudio_doctor.daemon.ledger import BAD, Ledger
from biostudio_doctor.daemon.log import Log
from biostudio_doctor.daemon.messages import (
    Beat,
    Listening,
    Reload,
    Reloaded,
    Snapshot,
    ToSupervisor,
)
from biostudio_doctor.daemon.notify import Notifier
from biostudio_doctor.daemon.preload import Preload
from biostudio_doctor.daemon.schedule import UNTOLD, Schedule
from biostudio_doctor.daemon.signals import Signals
from biostudio_doctor.daemon.web_process import Serve, WebProcess
from biostudio_doctor.errors import DoctorError
from biostudio_doctor.model import Daemon, Machine, Result, Status
from biostudio_doctor.observer import Finished, Identified, Imported, Message, Observer, Started
from biostudio_doctor.observing import Observing
from biostudio_doctor.plan import Plan

_BEAT = 1.0  # seconds
_AWAIT = 0.05  # seconds between two looks whether the first web process lives
_SNAPSHOT = 0.5  # seconds from a change to the snapshot of it, so that others join it
_FLUSH = 5.0  # seconds between two writings of the history
_BURIAL = 0.2  # seconds at the end for processes that were killed
_LATE = 10.0  # seconds of lag that are worth a line in the log
#: Seconds that a check may be overdue although it could run; then the schedule stands still, and
#: neither the web process nor systemd's watchdog is told that it moves.
_STANDSTILL = 60.0

#: Reads the configuration and plans anew; raises DoctorError where that cannot be done.
Load = Callable[[], Plan]


class Supervisor:
    """The daemon."""

    def __init__(self, load: Load, serve: Serve) -> None:
        self._load = load
        self._plan = load()
        self._intervals = intervals(self._plan)
        self._start = time.monotonic()
        now = datetime.now(UTC)
        self._daemon = Daemon(started_at=now, reloaded_at=now)
        self._machine = Machine(hostname="", os_id="", host_root=self._plan.host_root)
        self._log = Log(self._settings.log_format)
        self._notifier = Notifier()
        self._selector = selectors.DefaultSelector()
        self._observing = Observing(self._selector)
        self._schedule = Schedule(socket.gethostname())
        self._ledger = Ledger()
        self._preload = Preload()
        self._archive = Archive(self._log, self._touch)
        self._web = WebProcess(self._selector, serve, self._log, self._hear, self._greet)
        self._exit_code: int | None = None  # None while it runs
        self._reload_wanted = False
        self._replace_web = False
        self._listening = False  # the first web process did
        self._changed = True
        self._late = False
        self._next_beat = self._next_snapshot = self._next_flush = 0.0
        self._status = ""

    @property
    def _settings(self) -> DaemonConfig:
        return self._plan.config.daemon

    def run(self) -> int:
        """Run until SIGTERM or SIGINT.

        The exit code is 2 if it cannot serve for a reason that the user can mend, 1 for another.
        """
        self._log.info(
            "start", version=__version__, checks=len(self._plan.plugins),
            role=self._plan.config.role, phase=self._plan.config.phase,
        )  # fmt: skip
        self._web.start(self._settings)  # first, while there is little to inherit
        self._signals = Signals(self._selector, self._want_reload, self._stop)
        try:
            self._await_web()
            if self._exit_code is None:
                self._archive.open(self._settings.state)
                self._adopt(time.monotonic())
            while self._exit_code is None:
                self._step()
        finally:
            self._end()
        return self._exit_code

    def _await_web(self) -> None:
        """Begin nothing before the first web process listens: one that cannot has logged why."""
        while self._exit_code is None and not self._listening:
            for key, events in self._selector.select(_AWAIT):
                key.data(events)
            if self._web.gone():
                self._exit_code = self._web.exit_code or 1

    # --- The loop ---------------------------------------------------------------------------------

    def _step(self) -> None:
        for key, events in self._selector.select(self._patience()):
            if not isinstance(key.data, Observer):
                key.data(events)
                continue
            for message in self._observing.receive(key.data):
                if isinstance(message, Imported):
                    self._imported(key.data, message)
                else:
                    self._take(message)
        for message in self._observing.expire():
            self._take(message)
        if self._reload_wanted:
            self._reload_wanted = False
            self._reload()
        now = time.monotonic()
        if self._schedule.see(now):
            self._log.warning("suspended")
        self._begin(now)
        if now >= self._next_beat:
            self._next_beat = now + _BEAT
            self._beat(now)
        if self._changed and now >= self._next_snapshot:
            self._tell_all(now)

    def _patience(self) -> float:
        now = time.monotonic()
        until = min(self._next_beat, self._next_snapshot if self._changed else self._next_beat)
        patience = self._observing.patience(until - now)
        if self._free:
            patience = min(patience, self._schedule.wait(now, self._observing.stuck()))
        return max(0.0, patience)

    @property
    def _free(self) -> int:
        return max(0, self._settings.concurrency - len(self._observing.running))

    def _begin(self, now: float) -> None:
        """Begin what is due, as far as there is room."""
        if not self._free:
            return
        known = {plugin.name: plugin for plugin in self._plan.plugins}
        for ids in self._schedule.due(now, self._observing.stuck())[: self._free]:
            try:
                plugins = tuple(known[check_id] for check_id in ids)
                self._observing.begin(self._plan, plugins, tell_imports=True)
            except OSError as error:  # no more processes or memory
                self._schedule.postpone(ids, now)
                self._log.error("check.postponed", problem=error.strerror or str(error))
                continue
            self._schedule.begin(ids, now)
            late = self._schedule.lag > _LATE
            if late != self._late:
                self._late = late
                said = self._log.warning if late else self._log.info
                said("schedule.late" if late else "schedule.in-time", lag=self._schedule.lag)

    def _beat(self, now: float) -> None:
        self._preload.step()
        self._web.tend(self._settings)
        if self._replace_web and self._web.told:
            self._replace_web = False
            self._web.replace()
        if now >= self._next_flush:
            self._next_flush = now + _FLUSH
            self._archive.flush()
        overdue = self._schedule.overdue(now, self._observing.stuck())
        if overdue < _STANDSTILL or not self._free:
            self._web.tell(Beat())
            self._notifier.alive()

    # --- What the children tell -------------------------------------------------------------------

    def _take(self, message: Message) -> None:
        """From an observing process."""
        if isinstance(message, Identified):
            self._machine = message.machine
        elif isinstance(message, Started):
            interval = self._intervals.get(message.id, message.interval_seconds)
            self._ledger.started(message.id, message.title, interval, self._timeout(message))
            self._schedule.every(message.id, interval)
        elif isinstance(message, Finished):
            self._finished(message)

    def _imported(self, observer: Observer, message: Imported) -> None:
        if all(plugin.is_built_in for plugin in observer.plugins):
            records = self._ledger.records
            interval = min(records[plugin.name].interval for plugin in observer.plugins)
            self._preload.add(message.names, interval)

    def _timeout(self, message: Started) -> float:
        return self._plan.config.timeout or message.timeout_seconds

    def _finished(self, message: Finished) -> None:
        result = message.result
        was = self._ledger.records[result.id].result.status
        run = self._ledger.finished(result, datetime.now(UTC))
        self._schedule.end(
            result.id, time.monotonic(), failed=result.status in BAD, cut_off=message.cut_off
        )
        self._archive.append(result.id, run)
        self._touch()
        if result.status is not was:
            self._say_changed(result, was)

    def _touch(self) -> None:
        """There is something new to tell."""
        if not self._changed:
            self._changed = True
            self._next_snapshot = time.monotonic() + _SNAPSHOT

    def _say_changed(self, result: Result, was: Status) -> None:
        bad = result.status in (*BAD, Status.WARN)
        if was is Status.UNKNOWN and not bad:
            return
        worst = [one.summary for one in result.findings if one.status is result.status][:1]
        said = self._log.warning if bad else self._log.info
        said(
            "check.changed", check=result.id, status=result.status.value, was=was.value,
            summary=worst[0] if bad and worst else "",
        )  # fmt: skip

    def _hear(self, message: ToSupervisor) -> None:
        """From the web process."""
        if isinstance(message, Reload):
            self._want_reload()
        elif isinstance(message, Listening):
            self._listening = True
            self._log.info("web.listening", at=message.at, pid=self._web.pid)
            self._notifier.ready()

    def _greet(self) -> None:
        """A new web process knows nothing."""
        self._changed = True
        self._next_snapshot = 0.0

    def _tell_all(self, now: float) -> None:
        self._changed = False
        self._daemon = structs.replace(
            self._daemon,
            lag_seconds=round(self._schedule.lag, 3),
            history_problem=self._archive.problem,
        )
        age = now - self._start
        report = self._ledger.report(self._plan, self._machine, self._daemon, age)
        self._web.tell(Snapshot(report, self._plan.config))
        statuses = [result.status for result in report.results]
        counts = (f"{statuses.count(each)} {each}" for each in Status if each in statuses)
        status = f"{len(report.results)} checks: {', '.join(counts)}"
        if status != self._status:
            self._status = status
            self._notifier.status(status)

    # --- The configuration ------------------------------------------------------------------------

    def _reload(self) -> None:
        self._notifier.reloading()
        problem = ""
        try:
            plan = self._load()
            chosen = intervals(plan)
            if plan.config.daemon.listen != self._settings.listen:
                refuse_taken(plan.config.daemon.listen, self._settings.listen)
        except (DoctorError, OSError) as error:
            problem = str(error)
        except Exception as error:
            problem = registry.describe(error)
        now = time.monotonic()
        if problem:
            self._log.error("reload.failed", problem=problem)
            self._daemon = structs.replace(
                self._daemon, reload_succeeded=False, reload_problem=problem
            )
        else:
            self._change(plan, chosen, now)
            self._log.info("reload.done", checks=len(plan.plugins))
        self._tell_all(now)
        self._web.tell(Reloaded(problem))
        if self._listening:
            self._notifier.ready()

    def _change(self, plan: Plan, chosen: dict[str, float], now: float) -> None:
        """A new plan is in force. What ran by the old one is begun anew."""
        old, self._plan, self._intervals = self._plan, plan, chosen
        self._daemon = structs.replace(
            self._daemon, reloaded_at=datetime.now(UTC), reload_succeeded=True, reload_problem=""
        )
        self._log.form = self._settings.log_format
        before, after = old.config.daemon, plan.config.daemon
        self._replace_web |= before.listen != after.listen  # the rest it heeds by itself
        if before.state != after.state:
            self._archive.open(self._settings.state)
        self._observing.abandon()
        self._schedule.interrupt(now)
        self._adopt(now)
        if differs(old, plan):
            kept = self._ledger.records.keys() & {plugin.name for plugin in old.plugins}
            self._schedule.hasten(kept, now)
            for check_id in kept:
                if concerns(check_id, old, plan):
                    self._ledger.forget(check_id)

    def _adopt(self, now: float) -> None:
        ids = [plugin.name for plugin in self._plan.plugins]
        self._ledger.adopt(ids, UNTOLD, self._archive.past())
        self._schedule.adopt(ids, now)
        for check_id, interval in self._intervals.items():
            if check_id in self._ledger.records:
                self._ledger.records[check_id].interval = interval
                self._schedule.every(check_id, interval)
        self._touch()

    # --- Signals and the end ----------------------------------------------------------------------

    def _want_reload(self) -> None:
        self._reload_wanted = True

    def _stop(self, name: str) -> None:
        self._log.info("stop", signal=name)
        self._exit_code = 0

    def _end(self) -> None:
        self._notifier.stopping()
        self._observing.abandon()
        self._web.end()
        self._observing.bury(_BURIAL)
        self._archive.close()
