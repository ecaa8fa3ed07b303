"""Lists of CPUs and /proc/cpuinfo."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biostudio_doctor.host import Host
from biostudio_doctor.host.cpus import (
    first_processor,
    online_cpus,
    parse_cpu_list,
    parse_cpuinfo,
    physical_cores,
)

TWO_SOCKETS = "".join(
    f"processor\t: {number}\nphysical id\t: {number % 2}\ncore id\t\t: {number // 2 % 2}\n\n"
    for number in range(8)
)


@pytest.mark.parametrize(
    ("text", "cpus"),
    [
        ("0-3,8\n", {0, 1, 2, 3, 8}),
        ("5", {5}),
        ("", set()),
        ("\n", set()),
        ("3-1", set()),
        ("x,2,-,4-,-5,1-y", {2}),
        ("9" * 5000, set()),
        ("0-" + "9" * 5000, set()),
    ],
)
def test_lists(text: str, cpus: set[int]) -> None:
    assert parse_cpu_list(text) == cpus


def test_a_list_of_absurd_length_is_cut() -> None:
    assert len(parse_cpu_list("0-99999999999")) < 100_000


@given(st.sets(st.integers(0, 5000)))
def test_a_list_of_single_cpus_is_read_whole(cpus: set[int]) -> None:
    assert parse_cpu_list(",".join(str(cpu) for cpu in cpus)) == cpus


@given(st.integers(0, 5000), st.integers(0, 5000))
def test_a_range_is_read_whole(first: int, last: int) -> None:
    assert parse_cpu_list(f"{first}-{last}") == set(range(first, last + 1))


@given(st.text())
def test_parsers_never_raise(text: str) -> None:
    parse_cpu_list(text)
    parse_cpuinfo(text)
    parse_cpuinfo(f"processor: 0\n{text}")
    physical_cores(f"processor: 0\n{text}")


def test_cores_are_counted_once() -> None:
    assert physical_cores(TWO_SOCKETS) == 4
    assert physical_cores("processor\t: 0\nBogoMIPS\t: 50.00\n") is None  # arm64


def test_this_machine() -> None:
    host = Host()
    assert len(online_cpus(host)) == os.sysconf("SC_NPROCESSORS_ONLN")
    first, whole = first_processor(host), parse_cpuinfo(host.read("/proc/cpuinfo"))
    assert first["processor"] == "0" and first.keys() == whole[0].keys()
    assert len(whole) == len(online_cpus(host))
