"""A collecting process: forked off, takes what one collector names, redacts it, is expendable.

What it takes goes into a file that has no name, and what it did into a pipe, line by line. So
nothing is lost of what was whole when it hangs, crashes or is ended, and nothing else is written.
"""

import os
import resource
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec
from msgspec import Struct

from biostudio_doctor import expendable
from biostudio_doctor.bundle.asking import Asked
from biostudio_doctor.bundle.manifest import Outcome
from biostudio_doctor.bundle.messages import Began, Ended, Full, Listed, Message, Replaced
from biostudio_doctor.bundle.pieces import Cut, ends, head_and_tail, packing, read, unpacked
from biostudio_doctor.bundle.spool import Entry, FullError, Room, Spool, as_json, words
from biostudio_doctor.bundle.taking import Match, Matches, chosen
from biostudio_doctor.collector import Ask, Collector, Item, Say, Surroundings, Take
from biostudio_doctor.redaction.obfuscate import Obfuscator
from biostudio_doctor.redaction.redactor import Redactor
from biostudio_doctor.registry import PluginError, describe

_MEMORY = 1 << 30  # bytes of its own that a collecting process and its commands may have, each

#: Makes the collector, in the process that is expendable.
Load = Callable[[Surroundings], Collector]


class Work(Struct, frozen=True, kw_only=True):
    """What one process is to do."""

    id: str  # the collector's; '' for the report
    load: Load
    surroundings: Surroundings
    redactor: Redactor
    obfuscator: Obfuscator | None  # the redactor's own
    room: Room
    dry: bool = False  # only tell what would be taken


class Worker:
    """The child's end."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._host = work.surroundings.host
        self._spool = Spool(work.id, work.room, work.redactor, self._send)
        self._parent = os.getpid()
        self._pipe = -1
        self._taken: set[str] = set()  # paths of files

    def main(self, pipe: int) -> None:
        """Collect."""
        self._pipe = pipe
        if self._work.id:  # not the report: the stacks of the checks' many threads would count
            _limit()
        thread = threading.Thread(target=self._run, daemon=True)
        thread.start()
        if not expendable.accompany([thread], self._parent):
            self._work.room.boards.end(self._work.room.index)

    def _run(self) -> None:
        clean = self._spool.clean
        try:
            told: Message = self._collect()
        except FullError as error:
            told = Full(str(error))
        except PluginError as error:
            told = Ended(Outcome.FAILED, clean(str(error)))
        except BaseException as error:  # a plug-in may raise what it likes
            told = Ended(Outcome.FAILED, clean(f"it broke: {describe(error)}"))
        self._send(told)

    def _collect(self) -> Ended:
        collector = self._work.load(self._work.surroundings)
        seconds = collector.timeout.total_seconds()
        self._send(Began(collector.title(), seconds, leaves_out(collector)))
        self._spool.deadline = time.monotonic() + seconds
        why_not = collector.why_not()
        if why_not:
            return Ended(Outcome.SKIPPED, self._spool.clean(why_not))
        missing = False
        for item in collector.items():
            if time.monotonic() > self._spool.deadline:
                return Ended(Outcome.PARTIAL, f"its time, {seconds:g} s, was over before its end")
            for outcome in self._list(item) if self._work.dry else self._take(item):
                missing |= outcome in (Outcome.FAILED, Outcome.PARTIAL)
        if missing:
            return Ended(Outcome.PARTIAL, "some of it could not be had")
        return Ended(Outcome.WHOLE)

    def _take(self, item: Item) -> Iterator[Outcome]:
        if isinstance(item, Take):
            yield from self._take_files(item)
        elif isinstance(item, Ask):
            yield self._ask(item)
        elif isinstance(item, Say):
            yield self._say(item)
        else:
            raise TypeError(f"{type(item).__name__} is no Take, Ask or Say")

    # --- Files ------------------------------------------------------------------------------------

    def _take_files(self, take: Take) -> Iterator[Outcome]:
        spool, matches = self._spool, Matches(self._host, take)
        name = f"{take.name}/*" if take.name and matches.is_glob else take.name or take.path
        entry = spool.begin(_stem(name), take.path)
        try:
            found, left = self._chosen(matches, take)
        except OSError as error:
            yield self._unreadable(entry, error)
            return
        if left:
            yield spool.none(entry, Outcome.SKIPPED, left)
        self._taken.update(match.path for match in found if not match.why_not)
        for match in found:
            if matches.is_glob and match.leads_to in self._taken:
                continue  # as Debian's 99-sysctl.conf: nothing is missing
            if matches.is_glob:
                beyond = f"{take.name}/{'/'.join(match.beyond)}" if take.name else match.path
                entry = spool.begin(_stem(beyond), match.path)
            if match.why_not:
                outcome = Outcome.SKIPPED if "a link" in match.why_not else Outcome.FAILED
                yield spool.none(entry, outcome, f"it is {match.why_not}")
                continue
            try:
                yield self._take_file(entry, matches, match, take.limit)
            except OSError as error:
                yield self._unreadable(entry, error)

    def _chosen(self, matches: Matches, take: Take) -> tuple[list[Match], str]:
        try:
            found = matches.find()
        except FileNotFoundError:
            return [], "it does not exist"
        if not found:
            return [], "nothing is there"
        return chosen(found, take, self._work.surroundings.window.since.timestamp())

    def _take_file(self, entry: Entry, matches: Matches, match: Match, limit: int) -> Outcome:
        cut = Cut()
        suffix = packing(match.path)
        with matches.open(match) as file, self._host.doing(f"read {match.path}"):
            if suffix:
                pieces = head_and_tail(unpacked(file, suffix, cut), limit, cut)
            elif (size := os.fstat(file.fileno()).st_size) > limit:
                pieces = ends(file, size, limit, cut)
            else:  # what is in /proc says that it is empty, and is not
                pieces = head_and_tail(read(file), limit, cut)
            return self._spool.put(entry, pieces, cut)

    # --- Commands and functions -------------------------------------------------------------------

    def _ask(self, ask: Ask) -> Outcome:
        source, room, cut = " ".join(ask.command), self._work.room, Cut()
        entry = self._spool.begin(ask.name, source)
        if not self._host.is_local:
            problem = "the programs of another root cannot be run"
            return self._spool.none(entry, Outcome.SKIPPED, problem)
        with self._host.doing(f"run {source}"):
            try:
                asked = Asked(ask, lambda group: room.boards.begin(room.index, group))
            except FileNotFoundError:
                problem = f"{ask.command[0]} is not installed"
                return self._spool.none(entry, Outcome.SKIPPED, problem)
            except OSError as error:
                return self._unreadable(entry, error)
            pieces = head_and_tail(asked.pieces(cut), ask.limit, cut)
            root = self._work.surroundings.machine.root
            outcome = self._spool.put(entry, pieces, cut, lambda some: asked.problem(root, some))
        if asked.errors or asked.status:
            entry = self._spool.begin(f"{ask.name}.stderr", source)
            self._spool.put(entry, [asked.last_words()], Cut())
        return outcome

    def _say(self, say: Say) -> Outcome:
        cut = Cut()
        entry = self._spool.begin(say.name, say.source)
        with self._host.doing(f"ask {say.source}"):
            try:
                pieces = head_and_tail(self._told(say.tell()), say.limit, cut)
                return self._spool.put(entry, pieces, cut)
            except OSError as error:
                return self._unreadable(entry, error)
            except FullError:
                raise
            except Exception as error:
                return self._spool.none(entry, Outcome.FAILED, f"it broke: {describe(error)}")

    def _told(self, told: Any) -> Iterable[bytes]:
        if isinstance(told, bytes):
            return [told]
        if isinstance(told, str):
            return [told.encode("utf-8", "surrogateescape")]
        return told if isinstance(told, Iterator) else [as_json(told, self._work.redactor)]

    # --- A dry run --------------------------------------------------------------------------------

    def _list(self, item: Item) -> Iterator[Outcome]:
        if not isinstance(item, Take):
            self._listed(" ".join(item.command) if isinstance(item, Ask) else item.source, None)
            return
        matches = Matches(self._host, item)
        try:
            for match in self._chosen(matches, item)[0]:
                if not match.why_not:
                    # What is in /proc says that it is empty, and is not.
                    size = item.limit if packing(match.path) else min(match.size, item.limit)
                    self._listed(match.path, size or None)
        except OSError as error:
            self._listed(f"{item.path} ({words(error)})", None)
        yield from ()

    def _listed(self, source: str, size: int | None) -> None:
        self._send(Listed(self._spool.clean(source), size))

    def _unreadable(self, entry: Entry, error: OSError) -> Outcome:
        return self._spool.unreadable(entry, error, self._work.surroundings.machine.root)

    def _send(self, message: Message) -> None:
        while self._work.obfuscator and (news := self._work.obfuscator.news()):
            expendable.tell(self._pipe, msgspec.json.encode(Replaced(news)))
        expendable.tell(self._pipe, msgspec.json.encode(message))


def leaves_out(collector: Collector) -> str:
    """What its docstring says that it does not take, in one line."""
    paragraphs = (type(collector).__doc__ or "").split("\n\n")
    told = (" ".join(paragraph.split()) for paragraph in paragraphs)
    mark = "Leaves out:"
    return next((one.removeprefix(mark).strip() for one in told if one.startswith(mark)), "")


def _stem(name: str) -> str:
    """The name of what is unpacked."""
    return name.removesuffix(packing(name))


def _limit() -> None:
    """Neither a plug-in nor what it calls may eat the host's memory or leave a dump of it."""
    for kind, most in ((resource.RLIMIT_DATA, _MEMORY), (resource.RLIMIT_CORE, 0)):
        _, hard = resource.getrlimit(kind)
        if hard == resource.RLIM_INFINITY or hard > most:
            resource.setrlimit(kind, (most, hard))
