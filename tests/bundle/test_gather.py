"""Gathering: what a collector does to its process is told, and costs nothing but itself."""

import hashlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from biostudio_doctor.bundle.manifest import Outcome
from biostudio_doctor.collector import MIB, Ask, Collector, Item, Say, Take
from tests.bundle.conftest import collector, content, files, gather
from tests.conftest import MakeHost
from tests.lab.timing import wait_until, within


def say(told: Any, name: str = "a.txt", limit: int = MIB) -> Say:
    return Say(tell=lambda: told() if callable(told) else told, name=name, source="x", limit=limit)


def one_of(*items: Item, **options: Any) -> type[Collector]:
    return collector(lambda self: iter(items), **options)


WHOLE = one_of(say("whole\n"))


def test_what_is_taken_is_redacted_and_summed() -> None:
    (one,) = gather(one_of(say("user=x password=correct-horse-7 and known-secret-of-a-test\n")))
    file = files(one)["a.txt"]
    data = content(one, "a.txt")
    assert b"correct-horse-7" not in data and b"known-secret" not in data and b"user=x" in data
    assert file.sha256 == hashlib.sha256(data).hexdigest() and file.size == len(data)
    assert sum(file.redactions.values()) == 2
    assert one.collected.outcome is Outcome.WHOLE and one.collected.title == "Made for a test"


def test_names_are_redacted_and_unlike() -> None:
    secret = "known-secret-of-a-test"
    names = ("a", "a", "A", "a/b", f"{secret}.txt", "../../etc/x", "\x1b[31m", "x" * 300, "")
    (one,) = gather(one_of(*(say("1", name) for name in names)))
    found = [file.path for file in one.files]
    assert len({name.casefold() for name in found}) == len(names)
    assert found[:3] == ["made0/a", "made0/a~2", "made0/A~3"]
    assert not any(secret in name or ".." in name or "\x1b" in name for name in found)
    directories = {os.path.dirname(name) for name in found}
    assert not directories & set(found), "no file is another's directory"


def test_data_stays_json() -> None:
    import msgspec

    secret = "known-secret-of-a-test"
    data = {"password": 'correct-"horse"-7\\', "list": [1, None, {secret: secret}], "text": "x\ny"}
    (one,) = gather(one_of(say(data)))
    found = msgspec.json.decode(content(one, "a.txt"))
    assert found["text"] == "x\ny" and "horse" not in found["password"]
    assert secret not in str(found)


def test_nothing_to_collect() -> None:
    (one,) = gather(one_of(say("x"), why_not="no engine runs here"))
    assert one.collected.outcome is Outcome.SKIPPED
    assert one.collected.reason == "no engine runs here" and not one.files


# --- Faults ---------------------------------------------------------------------------------------


def test_one_that_raises_keeps_what_it_had() -> None:
    def items(self: Collector) -> Iterator[Item]:
        yield say("first\n")
        raise RuntimeError("password=correct-horse-7 was wrong")

    one, other = gather(collector(items), WHOLE)
    assert content(one, "a.txt") == b"first\n"
    assert one.collected.outcome is Outcome.FAILED and "RuntimeError" in one.collected.reason
    assert "correct-horse" not in one.collected.reason
    assert other.collected.outcome is Outcome.WHOLE


@pytest.mark.parametrize("end", [lambda: os._exit(3), lambda: os.kill(os.getpid(), 9)])
def test_one_that_crashes(end: Any) -> None:
    one, other = gather(one_of(say("first\n"), say(end, "b.txt"), say("never", "c.txt")), WHOLE)
    assert content(one, "a.txt") == b"first\n" and "c.txt" not in files(one)
    assert files(one)["b.txt"].outcome is Outcome.FAILED
    assert one.collected.outcome is Outcome.PARTIAL
    assert "it ended its process (" in one.collected.reason
    assert other.collected.outcome is Outcome.WHOLE


def test_one_that_hangs_costs_its_time() -> None:
    with within(2):
        one, other = gather(
            one_of(say("first\n"), say(lambda: time.sleep(60), "b.txt"), seconds=2), WHOLE
        )
    assert content(one, "a.txt") == b"first\n"
    assert one.collected.outcome is Outcome.PARTIAL
    assert "did not end within" in one.collected.reason and "ask x" in one.collected.reason
    assert other.collected.outcome is Outcome.WHOLE


def test_what_hangs_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("biostudio_doctor.bundle.gather.SLOW", 0.2)
    hangs = one_of(Ask(command=("sleep", "60"), name="s", seconds=60), seconds=60)
    hanging, whole = gather(hangs, WHOLE, seconds=5, concurrency=1)
    assert hanging.collected.outcome is Outcome.FAILED
    assert whole.collected.outcome is Outcome.WHOLE


def test_all_together_have_their_time() -> None:
    slow = one_of(say(lambda: time.sleep(60)), seconds=60)
    with within(1):
        found = gather(slow, slow, WHOLE, seconds=1, concurrency=2)
    assert [one.collected.outcome for one in found] == [Outcome.FAILED] * 3
    assert "the time for the whole bundle" in found[0].collected.reason
    assert "the time for the whole bundle was over" in found[2].collected.reason


def test_a_generator_without_end_is_cut_off() -> None:
    def endless() -> Iterator[bytes]:
        number = 0
        while True:
            number += 1
            yield b"%d a line like another\n" % number * 100

    (one,) = gather(one_of(say(endless, limit=100_000), say("after\n", "b.txt")))
    file = files(one)["a.txt"]
    assert file.outcome is Outcome.PARTIAL and "was not waited for any longer" in file.reason
    data = content(one, "a.txt")
    assert data.startswith(b"1 a line") and b"left out ...]" in data and len(data) <= 101_000
    assert content(one, "b.txt") == b"after\n"


def test_a_slow_generator_without_end_is_kept_as_far_as_it_came() -> None:
    def drip() -> Iterator[bytes]:
        while True:
            time.sleep(0.05)
            yield b"drop\n"

    (one,) = gather(one_of(say(drip), seconds=2))
    assert files(one)["a.txt"].outcome is Outcome.PARTIAL
    assert content(one, "a.txt").startswith(b"drop\ndrop\n")


def test_one_that_eats_memory() -> None:
    (one, other) = gather(one_of(say(lambda: b"x" * (3 << 30)), say("after\n", "b.txt")), WHOLE)
    assert files(one)["a.txt"].outcome is Outcome.FAILED
    assert "MemoryError" in files(one)["a.txt"].reason
    assert content(one, "b.txt") == b"after\n"
    assert other.collected.outcome is Outcome.WHOLE


def test_the_size_of_all_is_bounded() -> None:
    large = one_of(*(say(b"y" * 60_000 + b"\n", f"{n}.txt") for n in range(5)))
    found = gather(large, large, most=200_000)
    assert sum(file.size for one in found for file in one.files) <= 200_000
    reasons = {file.reason for one in found for file in one.files}
    assert "the bundle's size limit is reached" in reasons


def test_what_is_no_item() -> None:
    (one,) = gather(one_of("a string"))  # type: ignore[arg-type]
    assert "str is no Take, Ask or Say" in one.collected.reason


# --- Commands -------------------------------------------------------------------------------------


def ask(*command: str, seconds: float = 5, limit: int = MIB, **options: Any) -> Ask:
    return Ask(command=command, name="c.txt", seconds=seconds, limit=limit, **options)


def test_both_outputs_and_the_status() -> None:
    (one,) = gather(one_of(ask("sh", "-c", "echo out; echo err >&2; exit 3")))
    assert content(one, "c.txt") == b"out\n"
    assert content(one, "c.txt.stderr") == b"err\n\n[exit status 3]\n"
    assert files(one)["c.txt"].outcome is Outcome.WHOLE


def test_a_command_that_is_not_there_is_no_failure() -> None:
    (one,) = gather(one_of(ask("no-such-program")))
    assert files(one)["c.txt"].outcome is Outcome.SKIPPED
    assert files(one)["c.txt"].reason == "no-such-program is not installed"
    assert one.collected.outcome is Outcome.WHOLE


def test_a_command_that_fails_says_why() -> None:
    (one,) = gather(one_of(ask("sh", "-c", "echo not allowed >&2; exit 1")))
    assert files(one)["c.txt"].outcome is Outcome.FAILED
    assert files(one)["c.txt"].reason == "exit status 1: not allowed"


@pytest.mark.parametrize(
    ("does", "why"),
    [
        ("kill -9 $$", "it was ended by signal 9"),
        ("echo one file is damaged >&2; echo another >&2", "one file is damaged"),
        ("", ""),
    ],
)
def test_a_command_that_printed_not_all_of_it(does: str, why: str) -> None:
    (one,) = gather(one_of(ask("sh", "-c", f"echo some; {does}", whole_if_silent=True)))
    file = files(one)["c.txt"]
    assert (file.outcome, file.reason) == (Outcome.PARTIAL if why else Outcome.WHOLE, why)
    assert one.collected.outcome is file.outcome and content(one, "c.txt") == b"some\n"


def test_commands_have_no_input_and_the_c_locale() -> None:
    (one,) = gather(one_of(ask("sh", "-c", "cat; echo $LC_ALL")))
    assert content(one, "c.txt") == b"C\n"


def test_a_command_that_lasts_too_long_is_ended_with_its_children() -> None:
    mark = f"6{os.getpid()}"  # seconds
    with within(2):
        (one,) = gather(
            one_of(ask("sh", "-c", f"echo begun; sleep {mark} & sleep {mark}", seconds=2))
        )
    assert files(one)["c.txt"].outcome is Outcome.PARTIAL
    assert files(one)["c.txt"].reason == "it did not end within 2 s"
    assert content(one, "c.txt") == b"begun\n"
    wait_until(lambda: not _running(mark), "the end of its children")


def test_a_command_without_end_is_ended() -> None:
    line = f"a line of {os.getpid()}"
    with within(10):
        (one,) = gather(one_of(ask("yes", line, seconds=60, limit=MIB), seconds=60))
    file = files(one)["c.txt"]
    assert file.outcome is Outcome.PARTIAL and file.size <= 1.1 * MIB and file.left_out > 60 * MIB
    wait_until(lambda: not _running(line), "the end of the command")


def test_a_command_does_not_outlive_its_collector() -> None:
    mark = f"7{os.getpid()}"
    gather(one_of(ask("sleep", mark, seconds=60), seconds=0.3))
    wait_until(lambda: not _running(mark), "the end of the command")


def test_another_root_has_no_programs(make_host: MakeHost) -> None:
    (one,) = gather(one_of(ask("true")), host=make_host({"/etc": None}))
    assert files(one)["c.txt"].reason == "the programs of another root cannot be run"


def _running(mark: str) -> list[int]:
    return [
        process.pid
        for process in psutil.process_iter(["cmdline", "status"])
        if mark in (process.info["cmdline"] or []) and process.info["status"] != "zombie"
    ]


# --- A dry run ------------------------------------------------------------------------------------


def test_a_dry_run_takes_nothing(make_host: MakeHost) -> None:
    host = make_host({"/var/log/a.log": "x" * 50, "/var/log/b.log": "y", "/var/log/c.gz": "z"})
    told = threading.Event()
    items = (Take(path="/var/log/*.*", limit=10), ask("true"), say(told.set))
    (one,) = gather(one_of(*items), host=host, dry=True)
    listed = [(found.source, found.size) for found in one.listed]
    logs = [("/var/log/a.log", 10), ("/var/log/b.log", 1), ("/var/log/c.gz", 10)]
    assert listed == [*logs, ("true", None), ("x", None)], "what is packed may be any length"
    assert not one.files and one.size == 0


def test_signals_of_a_person_do_not_reach_collectors() -> None:
    def ask_self() -> str:
        os.kill(os.getpid(), signal.SIGINT)
        return "still here\n"

    (one,) = gather(one_of(say(ask_self)))
    assert content(one, "a.txt") == b"still here\n"
