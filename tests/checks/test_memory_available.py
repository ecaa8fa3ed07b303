"""memory.available, on fixture trees that are made after real ones and on facts."""

import pytest
from msgspec import structs

from biostudio_doctor.checks.memory_available import AvailableFacts, MemoryAvailable
from biostudio_doctor.host import Host
from biostudio_doctor.host.cgroups import MemoryGroup
from biostudio_doctor.host.pressure import Pressure
from biostudio_doctor.host.processes import Resident
from biostudio_doctor.model import Finding, Status
from tests.conftest import MakeHost, Tree, context, judge

GIB = 1 << 30
FACTS = AvailableFacts(
    total=62 * GIB,
    available=60 * GIB,
    estimated=False,
    swap_total=8 * GIB,
    swap_free=8 * GIB,
    pressure=None,
)
ROOMY: Tree = {
    "/proc/meminfo": "MemTotal: 65842364 kB\nMemAvailable: 60000000 kB\n",
    "/proc/1/mountinfo": "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
    "/proc/1/cgroup": "0::/box.service\n",
}


def found(phase: str = "preinstall", **changes: object) -> dict[str, Finding]:
    return judge(MemoryAvailable(context(phase=phase)), structs.replace(FACTS, **changes))


@pytest.mark.parametrize(
    ("phase", "total", "available", "status"),
    [
        ("preinstall", 62 * GIB, int(24.1e9), Status.PASS),  # three quarters of 32 GB
        ("preinstall", 62 * GIB, int(23.9e9), Status.WARN),
        ("preinstall", 16 * GIB, 13 * GIB, Status.PASS),  # too small is for memory.total to say
        ("preinstall", 16 * GIB, 11 * GIB, Status.WARN),
        ("running", 62 * GIB, 7 * GIB, Status.PASS),
        ("running", 62 * GIB, 6 * GIB, Status.WARN),
    ],
)
def test_the_lines(phase: str, total: int, available: int, status: Status) -> None:
    finding = found(phase, total=total, available=available)["memory"]
    assert finding.status is status and (finding.remedy is None) == (status is Status.PASS)


def test_who_holds_the_memory_is_named() -> None:
    largest = (Resident(pid=7, name="java", size=30 * GIB), Resident(pid=9, name="R", size=GIB))
    finding = found(available=4 * GIB, largest=largest)["memory"]
    assert "4.3 GB (4 GiB) are available, less than the 24 GB" in finding.summary
    assert finding.remedy
    assert "The largest processes are java (32.2 GB) and R (1.1 GB)." in finding.remedy.text


def test_waiting_for_memory_is_a_warning_of_its_own() -> None:
    finding = found(pressure=Pressure(some=22, full=10))["memory"]
    assert finding.status is Status.WARN and "waited for memory in 22 %" in finding.summary
    assert finding.requirement and finding.requirement.id == "memory.pressure"
    assert found(pressure=Pressure(some=9, full=9))["memory"].status is Status.PASS


@pytest.mark.parametrize(
    ("total", "free", "status", "said"),
    [
        (0, 0, Status.PASS, "No swap space is set up; none is demanded."),
        (8 * GIB, 8 * GIB, Status.PASS, "of swap space nothing is in use."),
        (8 * GIB, 5 * GIB, Status.PASS, "3.2 GB are in use."),
        (8 * GIB, 3 * GIB, Status.WARN, "5.4 GB are in use: memory has been short."),
    ],
)
def test_swap(total: int, free: int, status: Status, said: str) -> None:
    finding = found(swap_total=total, swap_free=free)["swap"]
    assert finding.status is status and finding.summary.endswith(said)


def test_the_group_with_least_left_counts_not_the_lowest_limit() -> None:
    groups = (
        MemoryGroup(path="/cg/a", limit=40 * GIB, usage=2 * GIB),
        MemoryGroup(path="/cg", limit=50 * GIB, usage=48 * GIB, inactive_file=GIB),
    )
    finding = found(groups=groups)["control group"]
    assert finding.status is Status.WARN
    assert finding.summary == (
        "The control group around this process has 3.2 GB (3 GiB) left of its limit of "
        "53.7 GB (50 GiB)."
    )
    assert found(groups=groups[:1])["control group"].status is Status.PASS


def test_file_cache_that_can_go_is_left() -> None:
    full = MemoryGroup(path="/cg", limit=40 * GIB, usage=40 * GIB, inactive_file=38 * GIB)
    assert found(groups=(full,))["control group"].status is Status.PASS


def test_a_group_that_does_not_tell_is_an_error() -> None:
    silent = MemoryGroup(path="/cg", limit=40 * GIB, usage=None)
    assert found(groups=(silent,))["control group"].status is Status.ERROR
    assert found(groups_problem="gone")["control group"].status is Status.ERROR
    assert "control group" not in found()


def observed(host: Host) -> dict[str, Finding]:
    check = MemoryAvailable(context())
    return judge(check, check.observe(host))


def test_an_old_kernel_is_estimated_and_that_is_said(make_host: MakeHost) -> None:
    meminfo = (
        "MemTotal: 65842364 kB\nMemFree: 20000000 kB\nActive(file): 5000000 kB\n"
        "Inactive(file): 6000000 kB\nSReclaimable: 1000000 kB\n"
    )
    finding = observed(make_host({**ROOMY, "/proc/meminfo": meminfo}))["memory"]
    assert "about 32.8 GB (30.5 GiB) are available (estimated" in finding.summary


def test_the_large_processes_of_a_busy_host_are_looked_up(make_host: MakeHost) -> None:
    tree = {
        **ROOMY,
        "/proc/meminfo": "MemTotal: 65842364 kB\nMemAvailable: 1000000 kB\n",
        "/proc/70/statm": "9000000 5000000 1 1 0 1 0\n",
        "/proc/70/comm": "java\n",
        "/proc/71/statm": "0 0 0 0 0 0 0\n",
        "/proc/72/statm": "broken\n",
        "/proc/pressure/memory": "some avg10=0 avg60=0 avg300=40.00 total=1\n",
    }
    finding = observed(make_host(tree))["memory"]
    assert finding.remedy and "The largest processes are java (20.5 GB)." in finding.remedy.text
    assert "waited for memory in 40 %" in finding.summary


def test_this_machine() -> None:
    findings = observed(Host())
    assert findings["memory"].status in (Status.PASS, Status.WARN) and findings["swap"]
