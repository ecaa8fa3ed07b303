"""Memory, huge pages and pressure: of made trees, of broken text, and of this kernel."""

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biostudio_doctor.host import Host
from biostudio_doctor.host.memory import available, huge_pages, meminfo, parse_meminfo
from biostudio_doctor.host.numbers import whole
from biostudio_doctor.host.pressure import Pressure, parse_pressure
from tests.conftest import MakeHost

PSI = "some avg10=0.00 avg60=1.50 avg300=12.25 total=8584893\n"
FULL = "full avg10=0.00 avg60=0.00 avg300=3.00 total=5\n"


def test_this_machine_says_what_free_says() -> None:
    said = subprocess.run(
        ["free", "-b"], capture_output=True, text=True, check=True, env={"LC_ALL": "C"}
    )
    memory, swap = (line.split() for line in said.stdout.splitlines()[1:3])
    information = meminfo(Host())
    free, estimated = available(information)
    assert information["MemTotal"] == int(memory[1]) and information["SwapTotal"] == int(swap[1])
    assert not estimated and abs(free - int(memory[6])) < 512e6


def test_the_estimate_of_old_kernels_is_near_what_new_ones_count() -> None:
    information = meminfo(Host())
    counted, _ = available(information)
    information.pop("MemAvailable")
    estimate, estimated = available(information)
    assert estimated and abs(estimate - counted) < 0.1 * information["MemTotal"]


def test_kilobytes_become_bytes_and_counts_stay() -> None:
    assert parse_meminfo("MemTotal:   8 kB\nHugePages_Total:   3\nno line\nX: y kB\n") == {
        "MemTotal": 8192,
        "HugePages_Total": 3,
    }


def test_huge_pages_of_all_sizes(make_host: MakeHost) -> None:
    host = make_host(
        {
            "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages": "512\n",
            "/sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages": "3\n",
            "/sys/kernel/mm/hugepages/hugepages-64kB": None,
            "/sys/kernel/mm/hugepages/other": None,
        }
    )
    assert huge_pages(host, {}) == 4 << 30


def test_huge_pages_where_only_meminfo_tells(make_host: MakeHost) -> None:
    host = make_host({"/sys": None})
    assert huge_pages(host, {"HugePages_Total": 3, "Hugepagesize": 2 << 20}) == 6 << 20
    assert huge_pages(host, {}) == 0


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (PSI + FULL, Pressure(some=12.25, full=3)),
        (PSI, Pressure(some=12.25, full=0)),  # the CPU's, before Linux 5.13
        (FULL, None),
        ("", None),
        ("some avg300=nan", None),
        ("some avg300=101 total", None),
    ],
)
def test_pressure(text: str, found: Pressure | None) -> None:
    assert parse_pressure(text) == found


@pytest.mark.parametrize(
    ("text", "number"), [(" 12\n", 12), ("max", None), ("-1", None), ("", None), ("9" * 21, None)]
)
def test_whole_numbers(text: str, number: int | None) -> None:
    assert whole(text) == number


@given(st.text())
def test_parsers_never_raise(text: str) -> None:
    parse_meminfo(text)
    parse_meminfo(f"MemTotal: {text} kB")
    parse_pressure(f"some avg300={text}")
    whole(text)
