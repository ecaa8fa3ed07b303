"""os.lifecycle, on days before and after the ends, and its table."""

from datetime import date, timedelta

import pytest
from msgspec import structs

from biostudio_doctor.checks.os_lifecycle import (
    LIFECYCLES,
    LifecycleFacts,
    LifecycleSettings,
    OsLifecycle,
)
from biostudio_doctor.model import Finding, Machine, Status
from biostudio_doctor.requirements import load
from tests.conftest import MakeHost, Tree, context, judge
from tests.lab import systems

TODAY = date(2026, 11, 24)


def found(
    make_host: MakeHost,
    tree: Tree,
    today: date = TODAY,
    settings: LifecycleSettings | None = None,
) -> Finding:
    host = make_host(tree)
    check = OsLifecycle(context(host.machine), settings)
    return judge(check, structs.replace(check.observe(host), today=today))["updates"]


@pytest.mark.parametrize(
    ("tree", "status", "said"),
    [
        (systems.DEBIAN_12, Status.WARN, "ended on 11 July 2026; Debian LTS goes on until 30 June"),
        (systems.DEBIAN_10, Status.WARN, "and Debian LTS ended on 30 June 2024."),
        (systems.UBUNTU_18, Status.WARN, "Ubuntu Pro (ESM), a subscription, goes on until 26"),
        (systems.UBUNTU_24, Status.PASS, "of Ubuntu 24.04.1 LTS go on until 31 May 2029."),
        (systems.CENTOS_6, Status.WARN, "of CentOS release 6.5 (Final) ended on 30 November 2020."),
        (systems.CENTOS_7, Status.WARN, "of CentOS Linux 7 (Core) ended on 30 June 2024."),
        (systems.STREAM_9, Status.PASS, "of CentOS Stream 9 go on until 31 May 2027."),
        (systems.RHEL_9, Status.PASS, "go on until 31 May 2032."),
        (systems.ROCKY_9, Status.PASS, "go on until 31 May 2032."),
        (systems.MINT_21, Status.PASS, "Ubuntu 22.04, on which Linux Mint 21.3 is built, go on"),
        (systems.AMAZON_2023, Status.PASS, "go on until 30 June 2029."),
    ],
)
def test_releases(make_host: MakeHost, tree: Tree, status: Status, said: str) -> None:
    finding = found(make_host, tree)
    assert finding.status is status and said in finding.summary
    assert bool(finding.remedy) is (status is not Status.PASS)


@pytest.mark.parametrize(
    "tree",
    [systems.DEBIAN_TESTING, systems.ALPINE_3, systems.LEAP_15, {"/etc": None}],
    ids=["Debian testing", "Alpine", "openSUSE", "unknown"],
)
def test_an_unknown_release_is_skipped_and_says_so(make_host: MakeHost, tree: Tree) -> None:
    finding = found(make_host, tree)
    assert finding.status is Status.SKIP and "is not known here" in finding.summary


@pytest.mark.parametrize(
    ("days", "status"),
    [(181, Status.PASS), (180, Status.WARN), (0, Status.WARN), (-1, Status.WARN)],
)
def test_the_days_before_the_end(make_host: MakeHost, days: int, status: Status) -> None:
    finding = found(make_host, systems.UBUNTU_24, date(2029, 5, 31) - timedelta(days))
    assert finding.status is status
    assert (" go on until 31 May 2029" in finding.summary) is (days >= 0)


def test_the_days_are_a_setting(make_host: MakeHost) -> None:
    day = date(2029, 5, 31) - timedelta(100)
    settings = LifecycleSettings(warn_days=99)
    assert found(make_host, systems.UBUNTU_24, day, settings).status is Status.PASS


@pytest.mark.parametrize(
    ("tree", "status"), [(systems.UBUNTU_18, Status.PASS), (systems.CENTOS_7, Status.WARN)]
)
def test_extended_support_counts_where_it_is_had(
    make_host: MakeHost, tree: Tree, status: Status
) -> None:
    finding = found(make_host, tree, settings=LifecycleSettings(extended=True))
    assert finding.status is status


def test_extended_support_ends_too(make_host: MakeHost) -> None:
    settings = LifecycleSettings(extended=True)
    finding = found(make_host, systems.UBUNTU_18, date(2028, 5, 1), settings)
    assert finding.status is Status.WARN
    assert "Updates by Ubuntu Pro (ESM) of Ubuntu 18.04.6 LTS ended" in finding.summary


def test_a_clock_that_lost_its_battery_is_told_not_believed(make_host: MakeHost) -> None:
    finding = found(make_host, systems.CENTOS_7, date(1970, 1, 1))
    assert finding.status is Status.ERROR and "1970-01-01" in finding.summary and finding.remedy


def test_the_image_of_a_container_has_no_say() -> None:
    facts = LifecycleFacts(
        os_id="centos", os_like=(), name="CentOS Linux 7 (Core)", version="7", codename="",
        container="docker", today=TODAY,
    )  # fmt: skip
    finding = judge(OsLifecycle(context()), facts)["updates"]
    assert finding.status is Status.SKIP and "docker" in finding.summary


def test_today_is_observed(make_host: MakeHost) -> None:
    check = OsLifecycle(context(Machine(hostname="lab", os_id="")))
    before = date.today()
    observed = check.observe(make_host(systems.DEBIAN_12)).today
    assert before <= observed <= date.today()


def test_the_table_is_whole() -> None:
    """Every release knows where to go from it, and its dates are in order."""
    known = set()
    for release in LIFECYCLES.releases:
        assert (release.system, release.version) not in known
        known.add((release.system, release.version))
        assert LIFECYCLES.systems[release.system].move_to
        assert bool(release.extended) is bool(release.extended_ends)
        assert not release.extended_ends or release.extended_ends > release.ends


def test_every_named_system_is_in_the_table() -> None:
    known = {release.system for release in LIFECYCLES.releases}
    assert {system.os_id for system in load().systems} <= known
