"""Observing processes under way: their messages, deadlines and deaths.

All timing is here, outside of them. A check that is not done at its deadline becomes an `error`
finding that says what it hung in. If an observing process dies under its checks, each unfinished
one is run again in a process of its own, so that only the culprit is lost.
"""

import selectors
import time
from collections.abc import Iterator

from msgspec import structs

from biostudio_doctor.expendable import bury
from biostudio_doctor.model import Remedy, Result
from biostudio_doctor.observer import Finished, Message, Observer, Started, error_result
from biostudio_doctor.plan import Plan
from biostudio_doctor.registry import Plugin

#: Seconds for importing a check, which happens in the observing process under its guard.
LOAD_TIMEOUT = 10.0


class Observing:
    """Any number of observing processes; no check may be in two of them at once."""

    def __init__(self, selector: selectors.BaseSelector | None = None) -> None:
        self.awaited: dict[str, tuple[float, float]] = {}  # id -> (deadline, seconds allowed)
        self.running: dict[int, Observer] = {}  # by its descriptor
        self._selector = selector or selectors.DefaultSelector()
        self._titles: dict[str, str] = {}
        self._leaving: list[Observer] = []  # killed, and perhaps not dead yet

    def begin(self, plan: Plan, plugins: tuple[Plugin, ...], *, tell_imports: bool = False) -> None:
        """Run these checks in a process."""
        observer = Observer(plan, plugins, tell_imports=tell_imports)
        self._selector.register(observer.descriptor, selectors.EVENT_READ, observer)
        self.running[observer.descriptor] = observer
        for plugin in plugins:
            self._allow(observer, plugin.name, LOAD_TIMEOUT)

    def wait(self, seconds: float) -> Iterator[Message]:
        """What they tell within that time, or at the next deadline if that is nearer."""
        for key, _ in self._selector.select(self.patience(seconds)):
            yield from self.receive(key.data)
        yield from self.expire()

    def patience(self, seconds: float) -> float:
        """How long one may wait, at most so many seconds, and miss no deadline."""
        nearest = min((deadline for deadline, _ in self.awaited.values()), default=float("inf"))
        return max(0.0, min(seconds, nearest - time.monotonic()))

    def receive(self, observer: Observer) -> Iterator[Message]:
        """What a process tells, whose descriptor is ready."""
        messages = observer.receive()
        if messages is None:
            yield from self._died(observer)
            return
        for message in messages:
            if isinstance(message, Started) and message.id in observer.pending:
                self._titles[message.id] = message.title
                self._allow(observer, message.id, message.timeout_seconds)
            elif isinstance(message, Finished):
                if message.result.id not in observer.pending:
                    continue  # too late
                self._settle(observer, message.result.id)
            yield message
        if not observer.pending:
            self._release(observer)

    def expire(self) -> Iterator[Finished]:
        """End the checks whose time is over."""
        now = time.monotonic()
        for observer in list(self.running.values()):
            for name in [name for name in observer.pending if now >= self.awaited[name][0]]:
                _, allowed = self.awaited[name]
                self._settle(observer, name)
                observer.cut_off.append(name)
                result = _hung(name, self._title(name), allowed, observer.activity(name))
                yield Finished(result, cut_off=True)
            if not observer.pending:
                self._release(observer)

    def stuck(self) -> set[str]:
        """The checks whose process could not be killed yet: they are not to be run again."""
        self._leaving = [observer for observer in self._leaving if not observer.gone()]
        return {name for observer in self._leaving for name in observer.cut_off}

    def abandon(self) -> None:
        """Kill all processes; what they were doing is told by nobody."""
        for observer in list(self.running.values()):
            observer.cut_off += observer.pending
            self._release(observer)
        self.awaited.clear()

    def bury(self, seconds: float) -> None:
        """Wait for those that were killed, but not for one that cannot be."""
        bury(self._leaving, seconds)

    def _allow(self, observer: Observer, check_id: str, seconds: float) -> None:
        if observer.plan.config.timeout:
            seconds = observer.plan.config.timeout
        self.awaited[check_id] = (time.monotonic() + seconds, seconds)

    def _settle(self, observer: Observer, check_id: str) -> None:
        observer.pending.remove(check_id)
        del self.awaited[check_id]

    def _died(self, observer: Observer) -> Iterator[Finished]:
        """The process is gone: try what it left undone again, each check by itself."""
        undone = [plugin for plugin in observer.plugins if plugin.name in observer.pending]
        fate = observer.fate()
        self._release(observer)
        for plugin in undone:
            problem = f"The check ended its process ({fate})."
            if len(observer.plugins) > 1:
                try:
                    self.begin(observer.plan, (plugin,))
                    continue
                except OSError as error:
                    problem = f"The check could not be run again: {error.strerror}."
            self._settle(observer, plugin.name)
            result = error_result(plugin.name, self._title(plugin.name), problem)
            yield Finished(result, cut_off=True)

    def _release(self, observer: Observer) -> None:
        self._selector.unregister(observer.descriptor)
        del self.running[observer.descriptor]
        observer.end()
        if not observer.gone():
            self._leaving.append(observer)

    def _title(self, check_id: str) -> str:
        return self._titles.get(check_id, check_id)


def _hung(check_id: str, title: str, seconds: float, activity: str) -> Result:
    where = f" while it tried to {activity}" if activity else ""
    result = error_result(
        check_id,
        title,
        f"The check did not end within {seconds:g} s{where}, so it was abandoned.",
        remedy=Remedy(
            "The other checks are not affected. If it is only slow, give it more time: --timeout, "
            "or timeout in the configuration. Otherwise see whether what it waits for hangs: a "
            "stale network mount, a wedged driver or a service that does not answer.",
            ("ps -eo pid,stat,wchan:30,args | awk '$2 ~ /D/'",),
        ),
    )
    return structs.replace(result, duration_seconds=seconds)
