"""When each check is due. Pure: it is told the time, and keeps no clock.

Times are seconds of a monotonic clock, so a clock that is set changes nothing. A check is due once,
however many of its intervals have gone by, and the next time is reckoned from the last one: there
is nothing to catch up with, hence no storm.
"""

import hashlib
import random
from collections.abc import Collection, Iterable

from msgspec import Struct

from biostudio_doctor.registry import family

#: The share of an interval by which a check may be due early; never late. Half of it depends on
#: the host and the check, so that the hosts of a fleet do not ask a server all at once; half is
#: chance. Checks of one family that are due so near to each other run together.
JITTER = 0.1
#: Seconds over which checks are spread that are all due at once: at the start, after a suspend.
SPREAD = 5.0
#: Seconds without a look at the schedule, after which the host, or this process, was suspended.
SUSPENDED = 30.0
#: Seconds from the end of a failed run to the next, doubled by each further failure.
RETRY = 15.0
#: Seconds between two runs of a check that has not told its own interval yet.
UNTOLD = 300.0


class Entry(Struct):
    """One check."""

    fraction: float  # of the jitter and of the spread: 0..1, the same at each start on this host
    due: float
    interval: float = UNTOLD
    delay: float = SPREAD  # what `due` was reckoned with
    began: float | None = None  # None while it does not run
    failures: int = 0  # in a row
    alone: bool = False  # it was cut off, so it runs by itself until it has ended well


class Schedule:
    """The checks of a plan and when they are due."""

    def __init__(self, host: str, chance: random.Random | None = None) -> None:
        self.entries: dict[str, Entry] = {}
        self.lag = 0.0  # seconds by which the last run was begun too late
        self._host = host
        self._chance = chance or random.Random()
        self._seen: float | None = None

    def adopt(self, ids: Collection[str], now: float) -> None:
        """Have exactly these checks: the new ones are due soon, the others keep their times."""
        kept = self.entries
        self.entries = {
            check_id: kept.get(check_id)
            or Entry(self._fraction(check_id), self._soon(check_id, now))
            for check_id in ids
        }

    def see(self, now: float) -> bool:
        """Take note of the time; True if there was a suspend, after which overdue checks spread."""
        slept = self._seen is not None and now - self._seen > SUSPENDED
        self._seen = now
        if slept:
            self.hasten([one for one, entry in self.entries.items() if entry.due < now], now)
        return slept

    def due(self, now: float, held: Collection[str] = ()) -> list[tuple[str, ...]]:
        """What to begin now, each tuple in one process, the longest overdue first.

        Those that run or are `held` are not among them. Who is due brings along the checks of its
        family that are almost due.
        """
        idle = {
            check_id: entry
            for check_id, entry in self.entries.items()
            if entry.began is None and check_id not in held
        }
        overdue = [check_id for check_id, entry in idle.items() if entry.due <= now]
        batches: dict[str, tuple[str, ...]] = {}
        for check_id in sorted(overdue, key=lambda each: idle[each].due):
            key = check_id if idle[check_id].alone else family(check_id)
            if key in batches:
                continue
            batches[key] = (check_id,) if idle[check_id].alone else tuple(
                other
                for other, entry in idle.items()
                if family(other) == key
                and not entry.alone
                and entry.due <= now + JITTER * entry.delay
            )  # fmt: skip
        return list(batches.values())

    def begin(self, ids: Iterable[str], now: float) -> None:
        """These checks run from now on."""
        entries = [self.entries[check_id] for check_id in ids]
        self.lag = max([0.0, *(now - entry.due for entry in entries)])
        for entry in entries:
            entry.began = now

    def end(self, check_id: str, now: float, *, failed: bool, cut_off: bool = False) -> None:
        """A check has ended: it is due an interval after it began, or sooner if it failed."""
        entry = self.entries[check_id]
        began = now if entry.began is None else entry.began
        entry.began = None
        entry.failures = entry.failures + 1 if failed else 0
        entry.alone = cut_off
        entry.due = self._early(entry, began, entry.interval)
        entry.delay = entry.interval
        if failed:
            retry = RETRY * 2.0 ** min(entry.failures - 1, 32)
            if now + retry < entry.due:
                entry.due, entry.delay = self._early(entry, now, retry), retry
        entry.due = max(entry.due, now + JITTER * entry.delay)  # it takes longer than its interval

    def interrupt(self, now: float) -> None:
        """All that ran was ended from outside, and is to run again soon."""
        running = [check_id for check_id, entry in self.entries.items() if entry.began is not None]
        for check_id in running:
            self.entries[check_id].began = None
        self.hasten(running, now)

    def hasten(self, ids: Iterable[str], now: float) -> None:
        """These checks are due soon, whenever they would have been."""
        for check_id in ids:
            entry = self.entries[check_id]
            entry.due, entry.delay = self._soon(check_id, now), SPREAD

    def postpone(self, ids: Iterable[str], now: float) -> None:
        """These checks could not be begun."""
        for check_id in ids:
            entry = self.entries[check_id]
            entry.due, entry.delay = now + RETRY, RETRY

    def every(self, check_id: str, interval: float) -> None:
        """Set the interval of a check, in seconds; it is never due later than that."""
        entry = self.entries[check_id]
        if entry.interval != interval:
            if entry.began is None:
                entry.due = min(entry.due, entry.due - entry.delay + interval)
            entry.interval = interval

    def overdue(self, now: float, held: Collection[str] = ()) -> float:
        """Seconds since when the longest overdue check could run and does not."""
        idle = (e.due for i, e in self.entries.items() if e.began is None and i not in held)
        return max(0.0, now - min(idle, default=now))

    def wait(self, now: float, held: Collection[str] = ()) -> float:
        """Seconds until the next check is due; infinite if none will be, 0 if one is overdue."""
        idle = (e.due for i, e in self.entries.items() if e.began is None and i not in held)
        return max(0.0, min(idle, default=float("inf")) - now)

    def _soon(self, check_id: str, now: float) -> float:
        """Somewhere in the spread: a family stays together, and no interval is waited longer."""
        entry = self.entries.get(check_id)
        within = min(SPREAD, entry.interval if entry else SPREAD)
        return now + within * self._fraction(family(check_id))

    def _early(self, entry: Entry, since: float, delay: float) -> float:
        early = JITTER * (entry.fraction + self._chance.random()) / 2
        return since + delay * (1 - early)

    def _fraction(self, name: str) -> float:
        digest = hashlib.blake2b(f"{self._host}\0{name}".encode("utf-8", "replace"), digest_size=4)
        return int.from_bytes(digest.digest()) / (1 << 32)
