"""Collectors that are made for tests: plain ones, and such as no collector should be."""

import os
import time
from collections.abc import Iterator
from datetime import timedelta

from biostudio_doctor.collector import Ask, Collector, Item, Say, Take


class Plain(Collector):
    """One file that is always the same.

    Leaves out: what nobody wants.
    """

    id = "made.plain"

    def items(self) -> Iterator[Item]:
        yield Say(
            tell=lambda: "plain\npassword=correct-horse-7\n", name="text.txt", source="a test"
        )


class Files(Collector):
    """The logs in the directory MADE_LOGS."""

    id = "made.files"

    def items(self) -> Iterator[Item]:
        yield Take(path=f"{os.environ['MADE_LOGS']}/**", name="logs", limit=1 << 20)


class Stuck(Collector):
    """A file that is there, then one on a file system that never answers, MADE_STUCK."""

    id = "made.stuck"
    timeout = timedelta(seconds=1)

    def items(self) -> Iterator[Item]:
        yield Say(tell=lambda: "before\n", name="before.txt", source="a test")
        yield Take(path=f"{os.environ['MADE_STUCK']}/any.log")
        yield Say(tell=lambda: "after\n", name="after.txt", source="a test")


class Slow(Collector):
    """Something large, then a command that lasts a minute."""

    id = "made.slow"
    timeout = timedelta(seconds=60)

    def items(self) -> Iterator[Item]:
        yield Say(tell=lambda: "x" * 100_000, name="large.txt", source="a test")
        yield Ask(command=("sleep", os.environ.get("MADE_SLEEP", "60")), name="s", seconds=60)


class Leaks(Collector):
    """Writes past the redactor, as a plug-in could; the spool is the last file that was opened."""

    id = "made.leaks"

    def items(self) -> Iterator[Item]:
        from biostudio_doctor.redaction.redactor import Redactor

        Redactor.stream = lambda self, pieces, counts: iter(pieces)  # in this process only
        word = os.environ["MADE_LEAK"]
        yield Say(tell=lambda: f"fine\nfine\n{word}\n", name="leak.txt", source="a test")


class Large(Collector):
    """So many MiB as MADE_MIB says, which cannot be compressed."""

    id = "made.large"

    def items(self) -> Iterator[Item]:
        def pieces() -> Iterator[bytes]:
            for _ in range(int(os.environ["MADE_MIB"]) * 16):
                time.sleep(0)
                yield os.urandom(1 << 15).hex().encode() + b"\n"

        yield Say(tell=pieces, name="large.bin", source="a test", limit=1 << 30)
