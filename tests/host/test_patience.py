"""Calls that may never return."""

import threading
import time

import pytest

from biostudio_doctor.host import Host
from biostudio_doctor.host.patience import bounded
from tests.lab.timing import wait_until, within


def test_one_that_hangs_does_not_hide_the_others() -> None:
    released = threading.Event()
    try:
        with within(1):
            outcomes = bounded(
                Host(),
                {
                    "/hung": lambda _: released.wait(60),
                    "/fine": lambda host: host.exists("/"),
                    "/missing": lambda host: bool(host.stat("/no/such/file")),
                },
                seconds=1,
            )
    finally:
        released.set()
    hung, missing = outcomes["/hung"], outcomes["/missing"]
    assert outcomes["/fine"] is True
    assert isinstance(hung, TimeoutError) and hung.filename == "/hung"
    assert hung.strerror == "no answer within 1 s"
    assert isinstance(missing, FileNotFoundError)


def test_what_hangs_is_told_by_name() -> None:
    told: list[str] = []
    released = threading.Event()
    calls = {"/a": lambda _: True, "/hung": lambda _: released.wait(60), "/b": lambda _: True}
    caller = threading.Thread(target=bounded, args=(Host("/", told.append), calls, 30))
    caller.start()
    try:
        wait_until(lambda: told[-1:] == ["look at /hung"])
        time.sleep(0.1)
        assert told[-1] == "look at /hung", "the others' endings must not hide it"
    finally:
        released.set()
        caller.join()


def test_a_defect_is_no_answer() -> None:
    def broken(_: Host) -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        bounded(Host(), {"/x": broken}, seconds=5)
