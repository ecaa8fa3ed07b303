"""Tables of checks: whole at every width, in the report and in its JSON."""

from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from biostudio_doctor import tables
from biostudio_doctor.check import Check
from biostudio_doctor.exporter import Style
from biostudio_doctor.exporters.table import render
from biostudio_doctor.host import Host
from biostudio_doctor.model import Finding, Report, Status, Table
from biostudio_doctor.observer import run_check
from biostudio_doctor.requirements import Requirements
from tests.conftest import context, report

PORTS = ("80", "443", "6379", "5432", "11121", "11211", "18000")
MATRIX = Table(
    "Who reaches whom",
    ("from -> to", *PORTS),
    tuple((f"node{number} 10.0.0.{number} -> bioproxy 10.0.0.5", *["open 0.4 ms"] * len(PORTS))
          for number in range(3)),
)  # fmt: skip


@pytest.mark.parametrize("width", [60, 80, 120, 250])
def test_a_wide_table_is_told_in_parts(width: int) -> None:
    shown = tables.render(MATRIX, width)
    assert max(map(len, shown.splitlines())) <= width
    assert shown.count("open 0.4 ms") == 3 * len(PORTS) and shown.count("from -> to") >= 1
    assert all(shown.count(f" {port}") for port in PORTS)


def test_a_narrow_one_is_one_part() -> None:
    assert tables.render(Table("T", ("port", "node1"), (("80", "open"),)), 80) == (
        "T\n\nport    node1\n------  -------\n80      open"
    )


cells = st.text(max_size=40)


@given(st.integers(60, 200), st.integers(1, 9), st.integers(0, 4), st.data())
def test_any_words_at_any_width(width: int, columns: int, rows: int, data: st.DataObject) -> None:
    row = st.tuples(*[cells] * columns)
    table = Table(data.draw(cells), data.draw(row), tuple(data.draw(row) for _ in range(rows)))
    for line in tables.render(table, width).splitlines():
        assert len(line) <= width and "\x1b" not in line


class Tabular(Check[dict[str, str]]):
    """A check with a table."""

    id = "lab.tabular"

    def observe(self, host: Host) -> dict[str, str]:
        return {"a": "1"}

    def judge(self, facts: dict[str, str], requirements: Requirements) -> Iterator[Finding]:
        yield Finding(Status.PASS, "x", "All is well.")

    def tables(self, facts: dict[str, str]) -> Iterator[Table]:
        yield Table("Side by side", tuple(facts), (tuple(facts.values()),))


def test_a_check_fills_a_table_that_is_shown_and_written() -> None:
    result = run_check(Tabular(context()), Host())
    whole = structs.replace(report(), results=(result,))
    shown = render(whole, Style())
    assert shown.index("All is well.") < shown.index("Side by side")
    again = msgspec.json.decode(msgspec.json.encode(whole), type=Report)
    assert again.results[0].tables == (Table("Side by side", ("a",), (("1",),)),)


def test_a_check_that_breaks_in_its_tables_is_an_error() -> None:
    class Broken(Tabular):
        def tables(self, facts: dict[str, str]) -> Iterator[Table]:
            raise KeyError("x")

    result = run_check(Broken(context()), Host())
    assert (
        result.status is Status.ERROR and "The check broke: KeyError" in result.findings[0].summary
    )
