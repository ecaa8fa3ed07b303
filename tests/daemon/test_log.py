"""Lines of the log, and that nobody who stops reading holds it up."""

import json
import os
import shlex
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biostudio_doctor.daemon.log import Log, render


@given(value=st.text(max_size=2000), form=st.sampled_from(["logfmt", "json"]))
def test_one_line_of_bounded_length_whatever_a_peer_says(value: str, form: str) -> None:
    line = render(form, "info", "lab", {"said": value})
    assert len(line.splitlines()) == 1 and len(line) < 4000
    if form == "json":
        assert json.loads(line)["said"] == " ".join(value.split())[:500]


@pytest.mark.parametrize(
    ("value", "shown"),
    [("plain", "plain"), ("two words", '"two words"'), ('a"b', r'"a\"b"'), ("", '""'),
     ("a=b", '"a=b"'), (5, "5"), (0.25, "0.250"), ("a\nb", '"a b"')],
)  # fmt: skip
def test_logfmt(value: str | float, shown: str) -> None:
    line = render("logfmt", "warning", "lab", {"value": value})
    assert line.endswith(f" level=warning event=lab value={shown}")
    assert shlex.split(line)[0].startswith("time=20")


def test_a_reader_that_stops_costs_lines_and_no_time() -> None:
    reader, writer = os.pipe()
    log = Log(descriptor=writer)
    start = time.monotonic()
    for number in range(2000):
        log.info("lab", number=number, filler="x" * 400)
    assert time.monotonic() - start < 2
    read = os.read(reader, 1 << 20)
    log.info("after")
    last = os.read(reader, 65536).decode().splitlines()[-1]
    assert "event=after" in last
    seen = read.count(b"event=lab")
    lost = int(last.partition("lines_lost=")[2])
    assert lost > 1500 and seen + lost <= 2000
    os.close(reader)
    log.info("nobody reads")  # and nothing is raised
    os.close(writer)
    log.info("nowhere to write to")


def test_the_journal_is_told_the_priority(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    there = os.fstat(writer)
    monkeypatch.setenv("JOURNAL_STREAM", f"{there.st_dev}:{there.st_ino}")
    Log(descriptor=writer).error("lab")
    assert os.read(reader, 100).startswith(b"<3>time=")
    os.close(reader)
    os.close(writer)
