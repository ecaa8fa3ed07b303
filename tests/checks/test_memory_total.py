"""memory.total, on fixture trees that are made after real ones and on facts."""

import pytest
from msgspec import structs

from biostudio_doctor.check import ObservationError
from biostudio_doctor.checks.memory_total import MemoryFacts, MemoryTotal
from biostudio_doctor.model import Finding, Status
from tests.conftest import DEBIAN, MakeHost, Tree, context, judge

GIB = 1 << 30
ROOMY: Tree = {
    "/proc/meminfo": "MemTotal:       65842364 kB\nHugePages_Total:       0\n"
    "Hugepagesize:       2048 kB\n",
    "/proc/1/mountinfo": "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
    "/proc/1/cgroup": "0::/box.service\n",
}
FACTS = MemoryFacts(total=62 * GIB, huge_pages=0, limit=None)


def found(make_host: MakeHost, tree: Tree) -> dict[str, Finding]:
    check = MemoryTotal(context())
    return judge(check, check.observe(make_host({**ROOMY, **tree})))


@pytest.mark.parametrize(
    ("total", "published", "vendor"),
    [
        (62 * GIB, Status.PASS, Status.PASS),  # a "64 GB" machine
        (31 * GIB, Status.PASS, Status.FAIL),  # a "32 GB" machine
        (60 * GIB, Status.PASS, Status.PASS),
        (60 * GIB - 1, Status.PASS, Status.FAIL),  # the vendor's installer stops
        (int(31e9), Status.WARN, Status.FAIL),
        (int(7e9), Status.FAIL, Status.FAIL),
    ],
)
def test_the_lines(total: int, published: Status, vendor: Status) -> None:
    for profile, status in (("published", published), ("vendor-installer", vendor)):
        check = MemoryTotal(context(profile=profile))
        finding = judge(check, structs.replace(FACTS, total=total))["memory"]
        assert finding.status is status and finding.requirement
        assert (finding.remedy is None) == (status is Status.PASS)


def test_both_units_are_said_and_the_reason_for_a_floor() -> None:
    check = MemoryTotal(context(profile="vendor-installer"))
    summary = judge(check, structs.replace(FACTS, total=40 * GIB))["memory"].summary
    assert summary == (
        "This host has 42.9 GB (40 GiB) of memory; 64.4 GB (60 GiB) are the least (the vendor's "
        "installer stops below 60 GiB)."
    )
    few = judge(MemoryTotal(context()), structs.replace(FACTS, total=4 * GIB))["memory"]
    assert few.remedy and "starts" not in few.remedy.text
    assert few.summary.endswith(
        "32 GB (29.8 GiB) or more are recommended, and 8 GB (7.5 GiB) are the least (our estimate "
        "of what it takes to start at all)."
    )


def test_nothing_takes_of_it(make_host: MakeHost) -> None:
    findings = found(make_host, {})
    assert {finding.status for finding in findings.values()} == {Status.PASS}
    assert findings["memory"].observed == "67.4 GB (62.8 GiB)"


def test_huge_pages_eat_memory(make_host: MakeHost) -> None:
    pool = "/sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages"
    findings = found(make_host, {pool: "40\n"})
    finding = findings["huge pages"]
    assert findings["memory"].status is Status.PASS and finding.status is Status.WARN
    assert finding.summary.startswith("Huge pages take 42.9 GB (40 GiB), which leaves 24.5 GB")
    assert finding.remedy and "vm.nr_hugepages" in finding.remedy.text
    most = found(make_host, {pool: "58\n"})["huge pages"]
    assert most.status is Status.FAIL and "8 GB (7.5 GiB) are the least" in most.summary
    assert found(make_host, {pool: "8\n"})["huge pages"].status is Status.PASS


@pytest.mark.parametrize(
    ("limit", "container", "status"),
    [
        (16 * GIB, "", Status.WARN),
        (4 * GIB, "", Status.WARN),  # BioStudio's containers are not within our limit
        (4 * GIB, "docker", Status.WARN),
        (4 * GIB, "lxc", Status.FAIL),  # here the container is the machine
        (40 * GIB, "lxc", Status.PASS),
        (70 * GIB, "", Status.PASS),  # more than there is
    ],
)
def test_the_limit_of_a_control_group(limit: int, container: str, status: Status) -> None:
    check = MemoryTotal(context(structs.replace(DEBIAN, container=container)))
    finding = judge(check, structs.replace(FACTS, limit=limit))["control group"]
    assert finding.status is status and (finding.remedy is None) == (status is Status.PASS)
    assert ("leaves" in finding.summary) == (limit < FACTS.total)
    assert ("8 GB (7.5 GiB) are the least" in finding.summary) == (status is Status.FAIL)


def test_a_limit_is_read(make_host: MakeHost) -> None:
    finding = found(make_host, {"/sys/fs/cgroup/box.service/memory.max": f"{8 * GIB}\n"})
    assert "A control group leaves 8.6 GB (8 GiB)" in finding["control group"].summary


def test_an_unreadable_limit_hides_nothing_else(make_host: MakeHost) -> None:
    host = make_host({"/proc/meminfo": ROOMY["/proc/meminfo"]})
    check = MemoryTotal(context())
    findings = judge(check, check.observe(host))
    assert findings["control group"].status is Status.ERROR
    assert "mountinfo" in findings["control group"].summary
    assert findings["memory"].status is Status.PASS


@pytest.mark.parametrize("meminfo", ["", "MemTotal: many kB\n", "MemTotal: 0 kB\n"])
def test_meminfo_that_says_nothing(make_host: MakeHost, meminfo: str) -> None:
    with pytest.raises(ObservationError, match="does not say how much memory"):
        found(make_host, {"/proc/meminfo": meminfo})
