"""How long something may take: said as it is promised, and judged as a busy machine allows.

What other tests of this machine cost says nothing of the code, so SLACK is added to every bound.
A fault that a bound is to exclude must therefore last longer than both. On a machine that does
nothing else, the promises themselves can be held to:

    DOCTOR_SLACK=1 .venv/bin/python -m pytest -n 0 tests/probes
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SLACK = float(os.environ.get("DOCTOR_SLACK", "10"))  # seconds
PATIENCE = 60.0  # seconds, for what is to become so


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """The block ends in this time."""
    began = time.monotonic()
    yield
    took = time.monotonic() - began
    assert took < seconds + SLACK, f"it took {took:.1f} s instead of {seconds:g} s"


def wait_until(true: Callable[[], object], what: str = "it") -> None:
    """Until something is so."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, f"{what} is not so after {PATIENCE:g} s"
        time.sleep(0.02)
