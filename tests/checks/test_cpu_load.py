"""cpu.load, on facts and on this machine."""

import contextlib
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biostudio_doctor.check import ObservationError
from biostudio_doctor.checks.cpu_load import CpuLoad, LoadFacts, parse_loadavg
from biostudio_doctor.host import Host
from biostudio_doctor.host.pressure import Pressure
from biostudio_doctor.model import Finding, Status
from tests.conftest import MakeHost, context, judge


def found(
    load: float, cpu: float | None = None, io: float | None = None, phase: str = "preinstall"
) -> Finding:
    facts = LoadFacts(
        cpus=16,
        load=(99.0, load, 0.0),
        cpu_pressure=None if cpu is None else Pressure(some=cpu, full=0),
        io_pressure=None if io is None else Pressure(some=io, full=0),
    )
    return judge(CpuLoad(context(phase=phase)), facts)["load"]


@pytest.mark.parametrize(
    ("load", "cpu", "status"),
    [
        (0.0, None, Status.PASS),
        (12.0, None, Status.PASS),  # three quarters of 16 CPUs
        (12.1, None, Status.WARN),
        (1.0, 25.0, Status.PASS),
        (1.0, 25.1, Status.WARN),
        (40.0, 0.0, Status.WARN),
    ],
)
def test_the_lines(load: float, cpu: float | None, status: Status) -> None:
    finding = found(load, cpu)
    assert finding.status is status and (finding.remedy is not None) == (status is Status.WARN)
    assert finding.requirement
    assert finding.requirement.id == ("cpu.pressure" if cpu == 25.1 else "cpu.load")


def test_a_load_that_waits_for_storage_is_told_from_one_that_computes() -> None:
    waiting, computing = found(20.0, cpu=2.0, io=60.0), found(20.0, cpu=60.0, io=2.0)
    assert "waited for storage more (60 %)" in waiting.summary
    assert waiting.remedy and "storage" in waiting.remedy.text
    assert "busy already" in computing.summary
    assert computing.remedy and "CPUs busy" in computing.remedy.text


def test_only_an_installation_to_come_is_advised_to_add_cpus() -> None:
    before, running = found(20.0).remedy, found(20.0, phase="running").remedy
    assert before and "add CPUs" in before.text
    assert running and "add CPUs" not in running.text


@pytest.mark.parametrize("line", ["", "0.10", "a b c", "nan nan nan 1/1 1", "0.1 0.2 -3 1/1 1"])
def test_a_broken_line_is_an_observation_error(line: str) -> None:
    with pytest.raises(ObservationError, match="/proc/loadavg"):
        parse_loadavg(line)


@given(st.text())
def test_nothing_else_is_raised(line: str) -> None:
    with contextlib.suppress(ObservationError):
        parse_loadavg(line)


def test_no_cpus_to_divide_by(make_host: MakeHost) -> None:
    host = make_host({"/sys/devices/system/cpu/online": "\n", "/proc/loadavg": "0 0 0 1/1 1\n"})
    with pytest.raises(ObservationError, match="CPUs"):
        CpuLoad(context()).observe(host)


def test_this_machine() -> None:
    facts = CpuLoad(context()).observe(Host())
    assert facts.cpus == os.sysconf("SC_NPROCESSORS_ONLN")
    assert all(
        abs(ours - theirs) < 0.5 for ours, theirs in zip(facts.load, os.getloadavg(), strict=True)
    )
