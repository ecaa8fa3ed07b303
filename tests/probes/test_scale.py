"""Many hosts at once: the time of the slowest, and little memory each."""

import asyncio
from pathlib import Path

import anyio
import pytest

from biostudio_doctor.probes import path
from tests.bench_probes import Hosts
from tests.lab.timing import SLACK, within

TIMEOUT = 5.0  # seconds


def test_silent_hosts_cost_their_timeout_and_not_its_sum(tmp_path: Path) -> None:
    with Hosts(tmp_path, 40, 20) as hosts:
        told = hosts.measured(40, 20, timeout=TIMEOUT)
    assert told["seconds"] < TIMEOUT + SLACK
    failures = [result["failure"] for result in told["results"] if result["failure"]]
    assert [(one["phase"], one["reason"]) for one in failures] == [("connect", "timeout")] * 20


def test_memory_grows_little_with_the_number_of_hosts(tmp_path: Path) -> None:
    """Once in three times: on a busy machine some do not wait for their turn to the end."""
    each = []
    with Hosts(tmp_path, 240) as hosts:
        while not each or (each[-1] >= 70_000 and len(each) < 3):
            few, many = (hosts.measured(count, timeout=20)["growth"] for count in (40, 240))
            each.append((many - few) / 200)
    assert min(each) < 70_000, each


def test_a_turn_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silent hosts may hold all turns: the others go all the same, and give theirs back."""
    monkeypatch.setattr(path, "_AT_ONCE", 2)
    inside, most = 0, 0

    async def take(around: path.Surroundings, seconds: float) -> None:
        nonlocal inside, most
        async with around.turn():
            inside += 1
            most = max(most, inside)
            await anyio.sleep(seconds)
            inside -= 1

    async def run(turn: float, seconds: float) -> int:
        nonlocal most
        monkeypatch.setattr(path, "_TURN", turn)
        most, around = 0, path.Surroundings({}, ())
        async with anyio.create_task_group() as tasks:
            for _ in range(6):
                tasks.start_soon(take, around, seconds)
        return most

    with within(0.1):
        assert asyncio.run(run(60, 0.02)) == 2, "two at a time"
    assert asyncio.run(run(0.2, 1.5)) == 6, "nobody waits longer than a turn"
