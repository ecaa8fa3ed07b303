"""Lines of the log, and that nobody who stops reading holds it up."""

import ast
import json
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biostudio_doctor import daemon
from biostudio_doctor.daemon.log import Log, render
from tests.lab.timing import within

ROOT = Path(__file__).parents[2]


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
    with within(2):
        for number in range(2000):
            log.info("lab", number=number, filler="x" * 400)
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


def test_every_event_is_in_the_documentation() -> None:
    """And none else: `.info("start")`, `said("a" if b else "c")`, `getLogger("web.config")`."""
    text = (ROOT / "docs/daemon.md").read_text().partition("## The log\n")[2].partition("\n## ")[0]
    told = re.findall(r"^\| `([a-z.-]+)` \|", text, re.MULTILINE)
    assert sorted(told) == sorted(set(_events())) and len(told) > 15


def _events() -> Iterator[str]:
    for file in Path(daemon.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and node.args and _tells(node.func):
                first = node.args[0]
                either = [first.body, first.orelse] if isinstance(first, ast.IfExp) else [first]
                for each in either:
                    assert isinstance(each, ast.Constant) and isinstance(each.value, str), file
                    if "%" not in each.value and each.value != "uvicorn":  # a line of `logging`
                        yield each.value


def _tells(called: ast.expr) -> bool:
    if isinstance(called, ast.Name):
        return called.id == "said"
    if not isinstance(called, ast.Attribute):
        return False
    if called.attr == "getLogger":
        return True
    owner = called.value
    is_log = (owner.attr if isinstance(owner, ast.Attribute) else "") == "_log" or (
        isinstance(owner, ast.Name) and owner.id == "log"
    )
    return is_log and called.attr in ("info", "warning", "error")
