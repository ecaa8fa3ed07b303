"""cpu.count, on fixture trees that are made after real ones and on facts."""

from typing import Any

import pytest
from msgspec import structs

from biostudio_doctor.checks.cpu_count import CpuCount, CpuFacts
from biostudio_doctor.model import Finding, Status
from tests.conftest import DEBIAN, MakeHost, Tree, context, judge

CGROUP2 = "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n"
ROOMY: Tree = {
    "/sys/devices/system/cpu/online": "0-31\n",
    "/proc/1/status": "Name:\tinit\nCpus_allowed:\tffffffff\nCpus_allowed_list:\t0-31\n",
    "/proc/1/mountinfo": CGROUP2,
    "/proc/1/cgroup": "0::/system.slice/box.service\n",
}


def found(make_host: MakeHost, tree: Tree) -> Finding:
    check = CpuCount(context())
    return judge(check, check.observe(make_host({**ROOMY, **tree})))["CPUs"]


def test_enough(make_host: MakeHost) -> None:
    finding = found(make_host, {})
    assert finding.status is Status.PASS and finding.observed == "32" and finding.remedy is None


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        ({"/sys/devices/system/cpu/online": "0-7,16\n"}, "This host has 9 logical CPUs;"),
        (
            {"/proc/1/status": "Cpus_allowed_list:\t0-3\n"},
            "Of 32 logical CPUs a CPU affinity or cpuset leaves 4 to this process;",
        ),
        (
            {"/sys/fs/cgroup/system.slice/cpu.max": "250000 100000\n"},
            "Of 32 logical CPUs a control group quota leaves 2.5 to this process;",
        ),
        (
            {
                "/proc/1/mountinfo": "31 23 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n",
                "/proc/1/cgroup": "4:cpu:/box\n",
                "/sys/fs/cgroup/cpu/box/cpu.cfs_quota_us": "300000\n",
                "/sys/fs/cgroup/cpu/box/cpu.cfs_period_us": "100000\n",
            },
            "Of 32 logical CPUs a control group quota leaves 3 to this process;",
        ),
    ],
    ids=["few", "affinity", "quota v2 of the slice", "quota v1"],
)
def test_too_few(make_host: MakeHost, tree: Tree, said: str) -> None:
    finding = found(make_host, tree)
    assert finding.status is Status.WARN and finding.summary.startswith(said)
    assert finding.remedy and finding.requirement


@pytest.mark.parametrize(
    ("online", "status"),
    [(16, Status.PASS), (15, Status.WARN), (2, Status.WARN), (1, Status.FAIL)],
)
def test_the_lines(online: int, status: Status) -> None:
    facts = CpuFacts(online=online, physical=None, allowed=online, quota=None)
    finding = judge(CpuCount(context()), facts)["CPUs"]
    assert finding.status is status
    assert ("and 2 are the least (our estimate" in finding.summary) == (status is Status.FAIL)
    said = finding.remedy.text if finding.remedy else ""
    assert ("starts with fewer" in said) == (status is Status.WARN) and "lift it" not in said


@pytest.mark.parametrize(
    ("container", "status"),
    [
        ("", Status.WARN),  # as below taskset: BioStudio's containers are not within our limit
        ("docker", Status.WARN),
        ("lxc", Status.FAIL),  # here the container is the machine
    ],
)
@pytest.mark.parametrize("limit", [{"allowed": 1, "quota": None}, {"allowed": 32, "quota": 1.5}])
def test_a_limit_of_this_process_is_not_the_machines(
    container: str, status: Status, limit: dict[str, Any]
) -> None:
    check = CpuCount(context(structs.replace(DEBIAN, container=container)))
    finding = judge(check, CpuFacts(online=32, physical=16, **limit))["CPUs"]
    assert finding.status is status and finding.remedy
    assert "lift it" in finding.remedy.text and "starts with fewer" not in finding.remedy.text
    assert ("are the least" in finding.summary) == (status is Status.FAIL)


def test_a_small_machine_with_a_limit_is_told_of_both() -> None:
    facts = CpuFacts(online=8, physical=8, allowed=1, quota=None)
    finding = judge(CpuCount(context()), facts)["CPUs"]
    assert finding.status is Status.WARN and finding.remedy
    assert "at least 16 CPUs" in finding.remedy.text and "lift it" in finding.remedy.text
