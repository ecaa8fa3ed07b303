"""os.kernel, by what distributions run."""

import pytest
from msgspec import structs

from biostudio_doctor.checks.os_kernel import KernelFacts, OsKernel
from biostudio_doctor.model import Finding, Status
from tests.conftest import DEBIAN, MakeHost, Tree, context, judge
from tests.lab import systems

FACTS = KernelFacts(
    release="6.1.0-28-amd64", architecture="x86_64", os_id="debian", os_name="Debian",
    os_version="12", container="",
)  # fmt: skip


def found(make_host: MakeHost, tree: Tree) -> dict[str, Finding]:
    host = make_host(tree)
    check = OsKernel(context(host.machine))
    return judge(check, check.observe(host))


def kernel(release: str, **changes: str) -> Finding:
    facts = structs.replace(FACTS, release=release, **changes)
    return judge(OsKernel(context()), facts)["kernel"]


@pytest.mark.parametrize(
    "tree",
    [systems.DEBIAN_12, systems.UBUNTU_18, systems.CENTOS_7, systems.STREAM_9, systems.WSL2],
    ids=["Debian 12", "Ubuntu 18.04", "CentOS 7.9", "CentOS Stream 9", "WSL 2"],
)
def test_kernels_that_will_do(make_host: MakeHost, tree: Tree) -> None:
    findings = found(make_host, tree)
    assert {finding.status for finding in findings.values()} == {Status.PASS}
    assert findings["kernel"].requirement and not findings["kernel"].remedy


def test_centos_6_meets_the_published_line_and_fails_all_the_same(make_host: MakeHost) -> None:
    finding = found(make_host, systems.CENTOS_6)["kernel"]
    assert finding.status is Status.FAIL and finding.remedy
    assert finding.summary == (
        'CentOS release 6.5 (Final) meets the document\'s "Centos 6.5 or above recommended", but '
        "its Linux 2.6.32-431.el6.x86_64 is too old for any current container engine, which needs "
        "3.10 or later."
    )
    assert finding.requirement and finding.requirement.id == "os.kernel"


@pytest.mark.parametrize(
    ("release", "status"),
    [
        ("2.6.32-754.el6.x86_64", Status.FAIL),
        ("3.8.13-118.el7uek.x86_64", Status.FAIL),
        ("3.10.0-327.el7.x86_64", Status.WARN),
        ("3.10.0-514.el7.x86_64", Status.PASS),
        ("3.10.0-1160.119.1.el7.x86_64", Status.PASS),
        ("3.10.0-1160-generic", Status.WARN),  # the build number is Red Hat's only there
        ("3.13.0-170-generic", Status.WARN),
        ("3.16.0-11-amd64", Status.WARN),
        ("4.0.0", Status.PASS),
        ("4.4.0-210-generic", Status.PASS),
        ("6.18.44-fc-v669", Status.PASS),
        ("10.1", Status.PASS),
    ],
)
def test_the_lines(release: str, status: Status) -> None:
    finding = kernel(release)
    assert finding.status is status and release in finding.summary
    assert bool(finding.remedy) is (status is not Status.PASS)


def test_centos_7_is_updated_where_its_packages_still_are() -> None:
    machine = structs.replace(DEBIAN, os_id="centos", os_version="7.2.1511")
    facts = structs.replace(FACTS, release="3.10.0-327.el7.x86_64", os_id="centos")
    remedy = judge(OsKernel(context(machine)), facts)["kernel"].remedy
    assert (
        remedy and "vault.centos.org" in remedy.text and "yum update -y kernel" in remedy.commands
    )


def test_the_first_windows_subsystem_has_no_kernel() -> None:
    finding = kernel("4.4.0-19041-Microsoft")
    assert finding.status is Status.FAIL and finding.remedy
    assert finding.remedy.commands == ("wsl --set-version NAME 2",)


def test_in_a_container_the_kernel_is_the_hosts() -> None:
    finding = kernel("2.6.32-754.el6.x86_64", container="docker")
    assert finding.status is Status.FAIL and "(of the host)" in finding.summary
    assert finding.remedy and "host" in finding.remedy.text


@pytest.mark.parametrize("release", ["", "unknown", "-"])
def test_a_kernel_that_is_not_told_is_an_error(release: str) -> None:
    finding = kernel(release)
    assert finding.status is Status.ERROR and finding.remedy


def test_below_another_root_our_own_kernel_is_not_taken_for_its(make_host: MakeHost) -> None:
    finding = found(make_host, {"/etc": None})["kernel"]
    assert finding.status is Status.ERROR


@pytest.mark.parametrize(
    ("architecture", "status"),
    [
        ("x86_64", Status.PASS),
        ("aarch64", Status.WARN),
        ("ppc64le", Status.WARN),
        ("i686", Status.FAIL),
        ("armv7l", Status.FAIL),
    ],
)
def test_architectures(architecture: str, status: Status) -> None:
    facts = structs.replace(FACTS, architecture=architecture)
    finding = judge(OsKernel(context()), facts)["architecture"]
    assert finding.status is status and architecture in finding.summary and finding.requirement
    assert bool(finding.remedy) is (status is not Status.PASS)
