"""Work in a process of its own: its answer, or an end."""

import os
import signal
import threading
import time
from collections.abc import Callable

import psutil
import pytest

from biostudio_doctor.confined import ConfinedError, confined
from tests.lab.timing import within


def test_the_answer_comes_back() -> None:
    assert confined(lambda: b"x" * 1_000_000) == b"x" * 1_000_000
    assert confined(lambda: b"") == b""
    assert confined(lambda: str(os.getpid()).encode()) != str(os.getpid()).encode()


def endless() -> bytes:
    while True:
        pass


def breaking() -> bytes:
    raise ValueError("of the work")


def sleeping() -> bytes:
    time.sleep(60)
    return b""


def crashing() -> bytes:
    os.kill(os.getpid(), signal.SIGKILL)
    return b""


@pytest.mark.parametrize(
    "work",
    [endless, breaking, sleeping, crashing, lambda: bytes(200 << 20), lambda: bytes(5 << 20)],
    ids=["computes", "raises", "sleeps", "crashes", "takes memory", "says too much"],
)
def test_it_ends(work: Callable[[], bytes]) -> None:
    before = set(psutil.Process().children())
    with within(0.5), pytest.raises(ConfinedError, match="honest file"):
        confined(work, 0.5)
    assert set(psutil.Process().children()) <= before


def test_beside_threads() -> None:
    """Each fork has its own answer, whatever the other threads do at that moment."""
    answers: dict[int, bytes] = {}

    def ask(number: int) -> None:
        answers[number] = confined(lambda: str(number).encode(), 5)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {number: str(number).encode() for number in range(40)}
