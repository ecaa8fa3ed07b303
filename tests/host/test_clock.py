"""The clock, as the kernel and chronyd tell it."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biostudio_doctor.host.clock import (
    hardware_clock_is_local,
    kernel_clock,
    parse_tracking,
    time_zone,
)
from tests.conftest import MakeHost, Tree

LINE = (
    "C0000201,192.0.2.1,3,1795558094.453825363,-0.000026703,-0.000002222,0.000006388,66.111,"
    "-3.769,73.567,0.000081423,0.001034145,64.2,Normal\n"
)


@given(
    st.text()
    | st.lists(
        st.sampled_from(["", "1", "nan", "1e999", "Normal", "x", "\u0663"]),
        min_size=14,
        max_size=14,
    ).map(",".join)
)
def test_any_line_is_read_or_refused(line: str) -> None:
    try:
        tracking = parse_tracking(line)
    except ValueError:
        return
    assert abs(tracking.offset) < float("inf")


def test_a_line_of_chronyc() -> None:
    tracking = parse_tracking(LINE)
    assert tracking.synchronised and tracking.reference == "192.0.2.1"
    assert tracking.stratum == 3 and tracking.offset == -0.000026703
    assert not parse_tracking(LINE.replace("Normal", "Not synchronised")).synchronised
    assert parse_tracking(LINE.replace("C0000201", "7F7F0101")).reference == ""


def test_the_kernel_answers_everyone_and_the_clock_goes_on() -> None:
    before = time.time()
    clock = kernel_clock()
    assert clock.error is not None and clock.offset is not None
    assert 0 <= clock.error < 1e6 and abs(clock.offset) < 1
    assert abs(time.time() - before) < 5


@pytest.mark.parametrize(
    ("tree", "local"),
    [
        ({"/etc/adjtime": "0.0 0 0.0\n0\nLOCAL\n"}, True),
        ({"/etc/adjtime": "0.0 0 0.0\n0\nUTC\n"}, False),
        ({"/etc/adjtime": "\0\xff"}, False),
        ({"/sys/class/rtc/rtc0": None}, False),
        ({"/etc": None}, None),
    ],
)
def test_hardware_clock(make_host: MakeHost, tree: Tree, local: bool | None) -> None:
    assert hardware_clock_is_local(make_host(tree)) is local


@pytest.mark.parametrize(
    ("tree", "zone"),
    [
        ({"/etc/localtime": "-> /usr/share/zoneinfo/Europe/Berlin"}, "Europe/Berlin"),
        ({"/etc/localtime": "-> ../usr/share/zoneinfo/Etc/UTC"}, "Etc/UTC"),
        ({"/etc/localtime": "TZif2", "/etc/timezone": "Asia/Tokyo\n"}, "Asia/Tokyo"),
        ({"/etc/localtime": "TZif2", "/etc/sysconfig/clock": 'ZONE="Asia/Tokyo"\n'}, "Asia/Tokyo"),
        ({"/etc/localtime": "TZif2"}, ""),
        ({"/etc": None}, "UTC"),
    ],
)
def test_time_zone(make_host: MakeHost, tree: Tree, zone: str) -> None:
    assert time_zone(make_host(tree)) == zone
