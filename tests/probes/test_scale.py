"""Many hosts at once: the time of the slowest, and little memory each."""

import asyncio
import time
from pathlib import Path

import anyio
import pytest

from biostudio_doctor.probes import path
from tests.bench_probes import Hosts

TIMEOUT = 3.0  # seconds


def test_silent_hosts_cost_their_timeout_and_not_its_sum(tmp_path: Path) -> None:
    with Hosts(tmp_path, 40, 20) as hosts:
        told = hosts.measured(40, 20, timeout=TIMEOUT)
    assert told["seconds"] < TIMEOUT + 2
    failures = [result["failure"] for result in told["results"] if result["failure"]]
    assert [(one["phase"], one["reason"]) for one in failures] == [("connect", "timeout")] * 20


def test_memory_grows_little_with_the_number_of_hosts(tmp_path: Path) -> None:
    with Hosts(tmp_path, 240) as hosts:
        few, many = (hosts.measured(count, timeout=20)["growth"] for count in (40, 240))
    assert (many - few) / 200 < 70_000, (few, many)


def test_a_turn_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silent hosts may hold all turns: the others go all the same, and give theirs back."""
    monkeypatch.setattr(path, "_AT_ONCE", 2)
    monkeypatch.setattr(path, "_TURN", 0.2)
    around = path.Surroundings({}, ())
    inside, most = 0, 0

    async def take(seconds: float) -> None:
        nonlocal inside, most
        async with around.turn():
            inside += 1
            most = max(most, inside)
            await anyio.sleep(seconds)
            inside -= 1

    async def run(seconds: float) -> float:
        started = time.monotonic()
        async with anyio.create_task_group() as tasks:
            for _ in range(6):
                tasks.start_soon(take, seconds)
        return time.monotonic() - started

    async def both() -> tuple[float, int, float, int]:
        nonlocal most
        quick, of_quick = await run(0.02), most
        most = 0
        return quick, of_quick, await run(0.6), most

    quick, of_quick, slow, of_slow = asyncio.run(both())
    assert of_quick == 2 and quick < 0.2, "two at a time"
    assert of_slow == 6 and 0.75 < slow < 1.1, "nobody waits longer than a turn"
