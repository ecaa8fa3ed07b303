"""Gathering: collecting processes side by side, each with its deadline, and what they delivered."""

import contextlib
import hashlib
import os
import selectors
import time
from collections.abc import Callable, Sequence
from typing import IO

import msgspec
from msgspec import structs

from biostudio_doctor.bundle.archive import Piece
from biostudio_doctor.bundle.manifest import BundledFile, Collected, Outcome
from biostudio_doctor.bundle.messages import (
    Began,
    Boards,
    Ended,
    Full,
    Listed,
    Message,
    Replaced,
    Taken,
    Taking,
)
from biostudio_doctor.bundle.spool import Room
from biostudio_doctor.bundle.worker import Load, Work, Worker
from biostudio_doctor.collector import Surroundings
from biostudio_doctor.errors import DoctorError
from biostudio_doctor.expendable import Expendable, bury
from biostudio_doctor.host import Host
from biostudio_doctor.redaction.obfuscate import Obfuscator
from biostudio_doctor.redaction.redactor import Redactor

#: Seconds for importing a collector.
LOAD_TIMEOUT = 10.0
#: Seconds after which a process is taken for one that waits, beside which another may begin.
SLOW = 2.0
_GRACE = 1.0  # seconds for a process to end by itself what it does, once its time is over
_TICK = 0.2
_BURIAL = 0.2  # seconds at the end for processes that were killed


class Gathered:
    """One collector, and where what it delivered lies."""

    def __init__(self, collector_id: str) -> None:
        self.collected = Collected(
            id=collector_id, title=collector_id, outcome=Outcome.FAILED, reason="it was not begun"
        )
        self.files: list[BundledFile] = []
        self.places: list[int] = []  # of each file's first byte in the spool
        self.listed: list[Listed] = []
        self.leaves_out = ""
        self.spool: IO[bytes] | None = None
        self.size = 0  # bytes of the entries in the spool

    def add(self, file: BundledFile) -> None:
        """The next entry, which lies in the spool behind the others."""
        self.files.append(file)
        self.places.append(self.size)
        self.size += file.size


class _Process(Expendable):
    """The parent's end of a collecting process."""

    def __init__(self, work: Work, into: Gathered) -> None:
        self.index = work.room.index
        self.into = into
        self.started = time.monotonic()
        self.allowed = LOAD_TIMEOUT
        self.taking: Taking | None = None
        super().__init__(Worker(work).main)

    @property
    def deadline(self) -> float:
        return self.started + self.allowed


#: Called when something changed: what is through, and the ids of what is under way.
Progress = Callable[[Sequence[Gathered], Sequence[str]], None]


class Gathering:
    """All collectors of a bundle."""

    def __init__(
        self,
        loads: dict[str, Load],
        surroundings: Surroundings,
        redactor: Redactor,
        *,
        obfuscator: Obfuscator | None = None,
        new_spool: Callable[[], IO[bytes]],
        most: int,
        concurrency: int,
        dry: bool = False,
    ) -> None:
        """`loads` are by id, in the order in which they begin; `most` are bytes in all."""
        self._loads = loads
        self._surroundings = surroundings
        self._redactor = redactor
        self._obfuscator = obfuscator
        self._new_spool = new_spool
        self._most = most
        self._concurrency = concurrency
        self._dry = dry
        self._boards = Boards(len(loads))
        self._selector = selectors.DefaultSelector()
        self._running: list[_Process] = []
        self._leaving: list[_Process] = []
        self._decoder = msgspec.json.Decoder(Message)
        self.gathered = {one: Gathered(one) for one in loads}

    def run(self, seconds: float, progress: Progress | None = None) -> list[Gathered]:
        """Gather for at most so many seconds, whatever hangs.

        Raises:
            DoctorError: if there is no room for what is gathered.
        """
        deadline = time.monotonic() + seconds
        waiting = list(self._loads)
        try:
            while (waiting or self._running) and time.monotonic() < deadline:
                while waiting and self._busy() < self._concurrency:
                    self._begin(waiting.pop(0))
                for key, _ in self._selector.select(self._patience(deadline)):
                    self._receive(key.data)
                now = time.monotonic()
                for process in [one for one in self._running if now >= one.deadline]:
                    seconds = round(process.allowed, 1)
                    self._cut_off(process, f"it did not end within {seconds:g} s")
                if progress:
                    through = [one for one in self.gathered.values() if self._is_through(one)]
                    progress(through, [one.into.collected.id for one in self._running])
            for process in list(self._running):
                self._cut_off(process, f"the time for the whole bundle, {seconds:g} s, was over")
            for name in waiting:
                self._settle(name, Outcome.FAILED, "the time for the whole bundle was over", 0)
        finally:
            self.abandon()
        return list(self.gathered.values())

    def abandon(self) -> None:
        """End all processes, and what they have under way."""
        for process in list(self._running):
            self._release(process)
        bury(self._leaving, _BURIAL)

    def _is_through(self, one: Gathered) -> bool:
        under_way = any(process.into is one for process in self._running)
        return not under_way and one.spool is not None

    def _busy(self) -> int:
        """How many processes may be at work: what hangs keeps nobody waiting."""
        now = time.monotonic()
        return sum(now - process.started < SLOW for process in self._running)

    def _patience(self, deadline: float) -> float:
        nearest = min([deadline, *(process.deadline for process in self._running)])
        return max(0.0, min(_TICK, nearest - time.monotonic()))

    def _begin(self, name: str) -> None:
        into = self.gathered[name]
        into.spool = self._new_spool()
        index = list(self._loads).index(name)
        work = Work(
            id=name,
            load=self._loads[name],
            redactor=self._redactor,
            obfuscator=self._obfuscator,
            surroundings=structs.replace(self._surroundings, host=self._host(index)),
            room=Room(
                handle=into.spool.fileno(), boards=self._boards, index=index, most=self._most
            ),
            dry=self._dry,
        )
        try:
            process = _Process(work, into)
        except OSError as error:
            self._settle(name, Outcome.FAILED, f"no process could be had: {error.strerror}", 0)
            return
        self._running.append(process)
        self._selector.register(process.descriptor, selectors.EVENT_READ, process)

    def _host(self, index: int) -> Host:
        host = Host(self._surroundings.host.root, lambda said: self._boards.say(index, said))
        host.machine = self._surroundings.machine
        return host

    def _receive(self, process: _Process) -> None:
        lines = process.lines()
        try:
            messages = [] if lines is None else [self._decoder.decode(line) for line in lines]
        except msgspec.DecodeError:
            lines, messages = None, []
        for message in messages:
            if isinstance(message, Ended):
                self._finish(process, message.outcome, message.reason)
                return
            self._take(process, message)
        if lines is None:
            self._cut_off(process, f"it ended its process ({process.fate()})", hung=False)

    def _take(self, process: _Process, message: Message) -> None:
        into = process.into
        if isinstance(message, Began):
            process.allowed = time.monotonic() - process.started + message.seconds + _GRACE
            into.collected = structs.replace(into.collected, title=message.title)
            into.leaves_out = message.leaves_out
        elif isinstance(message, Taking):
            process.taking = message
        elif isinstance(message, Taken):
            into.add(message.file)
            process.taking = None
        elif isinstance(message, Replaced):
            assert self._obfuscator
            self._obfuscator.learn(message.names)
        elif isinstance(message, Listed):
            into.listed.append(message)
        elif isinstance(message, Full):
            raise DoctorError(f"the bundle cannot be written: {message.reason}")

    def _cut_off(self, process: _Process, problem: str, hung: bool = True) -> None:
        """It did not end by itself: keep what it delivered, and what it had begun as partial."""
        activity = self._boards.activity(process.index)
        if hung and activity:
            data = b"".join(self._redactor.stream([activity.encode()], {}))
            problem += f", while it tried to {data.decode('utf-8', 'replace')}"
        into = process.into
        self._last_words(process)
        if process.taking and into.spool:
            into.add(_partial(process.taking, into, problem))
        outcome = Outcome.PARTIAL if any(file.size for file in into.files) else Outcome.FAILED
        self._finish(process, outcome, problem)

    def _last_words(self, process: _Process) -> None:
        """Kill it, and take what it had told before."""
        process.kill()
        bury([process], _BURIAL)
        with selectors.DefaultSelector() as selector:
            selector.register(process.descriptor, selectors.EVENT_READ)
            while selector.select(0) and (lines := process.lines()):
                for line in lines:
                    with contextlib.suppress(msgspec.DecodeError):
                        self._take(process, self._decoder.decode(line))

    def _finish(self, process: _Process, outcome: Outcome, reason: str) -> None:
        seconds = round(time.monotonic() - process.started, 3)
        self._release(process)
        self._settle(process.into.collected.id, outcome, reason, seconds)

    def _settle(self, name: str, outcome: Outcome, reason: str, seconds: float) -> None:
        into = self.gathered[name]
        into.collected = structs.replace(
            into.collected, outcome=outcome, reason=reason, duration_seconds=seconds
        )

    def _release(self, process: _Process) -> None:
        if process not in self._running:
            return
        self._running.remove(process)
        self._selector.unregister(process.descriptor)
        process.end()
        self._boards.end(process.index)
        self._leaving = [one for one in (*self._leaving, process) if not one.gone()]


def _partial(taking: Taking, into: Gathered, problem: str) -> BundledFile:
    """What there is of an entry whose process did not live to end it."""
    assert into.spool
    handle = into.spool.fileno()
    size = os.fstat(handle).st_size - into.size
    hashed = hashlib.sha256()
    for piece in Piece(taking.path, handle=handle, at=into.size, size=size).read():
        hashed.update(piece)
    return BundledFile(
        path=taking.path, collector=into.collected.id, source=taking.source,
        outcome=Outcome.PARTIAL if size else Outcome.FAILED, reason=problem, size=size,
        sha256=hashed.hexdigest() if size else "",
    )  # fmt: skip
