"""os.time, with a real chronyd that follows a wrong server, on fixture trees and on facts."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec import structs

from biostudio_doctor.checks.os_time import OsTime, TimeFacts, TimeSettings
from biostudio_doctor.host import Host
from biostudio_doctor.host.clock import KernelClock, Tracking, kernel_clock
from biostudio_doctor.model import Finding, Machine, Status
from tests.conftest import DEBIAN, MakeHost, context, judge
from tests.lab.clock import CHRONYC, chronyd, time_server, wait_until

Ask = Callable[[Path], dict[str, Finding]]

LOST = KernelClock(synchronised=False, offset=0, error=16)
KEPT = KernelClock(synchronised=True, offset=0.0002, error=0.01)
SERVER = Tracking(synchronised=True, reference="192.0.2.1", stratum=3, offset=-0.0004)
CENTOS_6 = structs.replace(DEBIAN, os_id="centos", os_version="6.5", systemd=False)
ALPINE = structs.replace(DEBIAN, os_id="alpine", os_version="3.20", systemd=False)
ROCKY = structs.replace(DEBIAN, os_id="rocky", os_version="9.5")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Observe this machine, with chronyc from a directory."""

    def ask(programs: Path) -> dict[str, Finding]:
        monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
        check = OsTime(context())
        facts = check.observe(Host())
        return judge(check, structs.replace(facts, daemons=("chronyd",)))

    return ask


@pytest.mark.parametrize(
    ("ahead", "status", "said"),
    [
        (0, Status.PASS, " ms."),
        (20, Status.WARN, "The clock is off by 20.0 s."),
        (-400, Status.FAIL, "The clock is off by 400.0 s; tokens and certificates may be refused."),
    ],
)
def test_a_real_chronyd_tells_the_offset(
    asked: Ask, tmp_path: Path, ahead: float, status: Status, said: str
) -> None:
    with time_server(ahead) as port:
        server = f"server 127.0.0.1 port {port} iburst minpoll -6 maxpoll -6"
        with chronyd(tmp_path, server) as programs:
            wait_until(programs, ",Normal")
            findings = asked(programs)
    assert findings["synchronisation"].status is Status.PASS
    assert findings["synchronisation"].summary.startswith("chronyd keeps the clock by 127.0.0.1, ")
    assert findings["offset"].status is status and findings["offset"].summary.endswith(said)
    assert bool(findings["offset"].remedy) is (status is not Status.PASS)


@pytest.mark.parametrize(
    ("directives", "state", "said"),
    [
        ("server 127.0.0.1 port 9 iburst", ",Not synchronised", "follows no time server (yet)."),
        ("local stratum 8", "7F7F0101", "follows this host's own clock"),
    ],
    ids=["no answer", "own clock"],
)
def test_a_real_chronyd_without_a_server(
    asked: Ask, tmp_path: Path, directives: str, state: str, said: str
) -> None:
    with chronyd(tmp_path, directives) as programs:
        wait_until(programs, state)
        findings = asked(programs)
    assert findings["synchronisation"].status is Status.WARN
    assert said in findings["synchronisation"].summary and findings["synchronisation"].remedy
    assert findings["offset"].status is Status.SKIP


def test_a_chronyd_that_does_not_answer_is_an_error(asked: Ask, tmp_path: Path) -> None:
    programs = tmp_path / "elsewhere"
    programs.mkdir()
    wrapper = programs / "chronyc"
    wrapper.write_text(f"#!/bin/sh\nexec {CHRONYC} -h 127.0.0.1 -p 1 -n -c tracking\n")
    wrapper.chmod(0o755)
    with chronyd(tmp_path, "local stratum 8"):
        finding = asked(programs)["synchronisation"]
    if kernel_clock().synchronised:
        pytest.skip("this machine's own clock is kept, so chronyd's silence does not matter")
    assert finding.status is Status.ERROR and "506 Cannot talk to daemon" in finding.summary


@pytest.mark.parametrize(
    ("said", "status"),
    [("yes", Status.PASS), ("no", Status.WARN), ("", Status.ERROR), ("\\377", Status.ERROR)],
)
def test_in_a_sandbox_timedated_tells_in_place_of_the_kernel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, status: Status
) -> None:
    """Its place is taken by a script: this machine has no systemd to ask."""

    def forbidden() -> KernelClock:
        raise PermissionError(1, "Operation not permitted", "adjtimex(2)")

    monkeypatch.setattr("biostudio_doctor.checks.os_time.kernel_clock", forbidden)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    program = tmp_path / "timedatectl"
    program.write_text(f"#!/bin/sh\nprintf 'NTPSynchronized={said}\\n'\n")
    program.chmod(0o755)
    check = OsTime(context())
    facts = check.observe(Host())
    facts = structs.replace(
        facts, daemons=("systemd-timesyncd",), tracking=None, tracking_problem=""
    )
    findings = judge(check, facts)
    assert findings["synchronisation"].status is status
    assert ("adjtimex(2)" in findings["synchronisation"].summary) is (status is Status.ERROR)
    assert findings["offset"].status is Status.SKIP


def verdict(facts: TimeFacts, machine: Machine = DEBIAN) -> Finding:
    check = OsTime(context(machine))
    return judge(check, facts)["synchronisation"]


@pytest.mark.parametrize(
    ("facts", "status", "said"),
    [
        (TimeFacts(kernel=KEPT), Status.PASS, "The clock is synchronised."),
        (
            TimeFacts(kernel=KEPT, daemons=("systemd-timesyncd",)),
            Status.PASS, "The clock is synchronised by systemd-timesyncd.",
        ),
        (
            TimeFacts(kernel=LOST, daemons=("ntpd",)),
            Status.WARN, "ntpd runs, but the clock is not synchronised (yet).",
        ),
        (TimeFacts(kernel=LOST), Status.WARN, "Nothing is seen to keep the clock: no chronyd, "),
        (  # chronyd tells the kernel only with rtcsync
            TimeFacts(kernel=LOST, daemons=("chronyd",), tracking=SERVER),
            Status.PASS, "chronyd keeps the clock by 192.0.2.1, stratum 3.",
        ),
        (
            TimeFacts(kernel=KEPT, daemons=("chronyd",), tracking_problem="chronyc: no such file"),
            Status.PASS, "The clock is synchronised by chronyd.",
        ),
        (
            TimeFacts(kernel=LOST, daemons=("chronyd",), tracking_problem="chronyc: no such file"),
            Status.ERROR, "chronyd runs, but whether the clock is synchronised was not told (chron",
        ),
        (TimeFacts(kernel_problem="denied"), Status.ERROR, "Whether the clock is synchronised can"),
        (TimeFacts(kernel=LOST, container="docker"), Status.WARN, "The kernel's clock is not sync"),
    ],
)  # fmt: skip
def test_who_keeps_the_clock(facts: TimeFacts, status: Status, said: str) -> None:
    finding = verdict(facts)
    assert finding.status is status and finding.summary.startswith(said)
    assert bool(finding.remedy) is (status is not Status.PASS)


@pytest.mark.parametrize(
    ("machine", "installed", "commands"),
    [
        (DEBIAN, ("systemd-timesyncd",), ("timedatectl set-ntp true",)),
        (DEBIAN, ("chronyd",), ("systemctl enable --now chrony",)),
        (ROCKY, ("chronyd",), ("systemctl enable --now chronyd",)),
        (ROCKY, (), ("dnf install -y chrony", "systemctl enable --now chronyd")),
        (CENTOS_6, (), ("yum install -y ntp", "chkconfig ntpd on", "service ntpd start")),
        (ALPINE, (), ("apk add chrony", "rc-update add chronyd", "rc-service chronyd start")),
        (structs.replace(DEBIAN, os_id="strange"), (), ()),
    ],
)
def test_the_remedy_suits_the_distribution(
    machine: Machine, installed: tuple[str, ...], commands: tuple[str, ...]
) -> None:
    remedy = verdict(TimeFacts(kernel=LOST, installed=installed), machine).remedy
    assert remedy and remedy.commands == commands


@pytest.mark.parametrize(
    ("off", "status"),
    [
        (1.0, Status.PASS), (-1.1, Status.WARN), (300, Status.WARN), (-301, Status.FAIL),
        (0.0004, Status.PASS),
    ],
)  # fmt: skip
def test_the_lines_of_the_offset(off: float, status: Status) -> None:
    facts = TimeFacts(daemons=("chronyd",), tracking=structs.replace(SERVER, offset=off))
    assert judge(OsTime(context()), facts)["offset"].status is status


def test_the_lines_are_settings() -> None:
    settings = TimeSettings(warn_seconds=0.001, fail_seconds=0.002)
    facts = TimeFacts(tracking=structs.replace(SERVER, offset=0.003))
    assert judge(OsTime(context(), settings), facts)["offset"].status is Status.FAIL


def test_two_daemons_quarrel() -> None:
    facts = TimeFacts(kernel=KEPT, daemons=("chronyd", "ntpd"))
    finding = judge(OsTime(context()), facts)["daemons"]
    assert finding.status is Status.WARN and finding.remedy
    assert finding.remedy.commands == ("systemctl disable --now ntp",)


@pytest.mark.parametrize("systemd", [True, False])
def test_only_systemd_is_told_by_its_own_command(systemd: bool) -> None:
    facts = TimeFacts(kernel_problem="it will not say", hardware_local=True)
    machine = structs.replace(DEBIAN, systemd=systemd)
    remedies = [finding.remedy for finding in judge(OsTime(context(machine)), facts).values()]
    commands = [command for remedy in remedies if remedy for command in remedy.commands]
    assert commands
    assert any(command.startswith("timedatectl") for command in commands) is systemd


@pytest.mark.parametrize(("local", "status"), [(True, Status.WARN), (False, Status.PASS)])
def test_hardware_clock(local: bool, status: Status) -> None:
    facts = TimeFacts(kernel=KEPT, hardware_local=local)
    assert judge(OsTime(context()), facts)["hardware clock"].status is status


@pytest.mark.parametrize(("missing", "status"), [(True, Status.WARN), (False, Status.PASS)])
def test_time_zone(missing: bool, status: Status) -> None:
    facts = TimeFacts(kernel=KEPT, zone="Europe/Berlin", zone_missing=missing)
    finding = judge(OsTime(context()), facts)["time zone"]
    assert finding.status is status and "Europe/Berlin" in finding.summary


def test_another_root_is_not_taken_for_this_machine(make_host: MakeHost) -> None:
    host = make_host(
        {
            "/proc/1/comm": "systemd\n",
            "/proc/812/comm": "systemd-timesyn\n",
            "/etc/localtime": "-> ../usr/share/zoneinfo/Asia/Ho_Chi_Minh",
            "/etc/adjtime": "0.0 0 0.0\n0\nLOCAL\n",
            "/usr/lib/systemd/systemd-timesyncd": "",
        }
    )
    check = OsTime(context())
    facts = check.observe(host)
    assert facts.kernel is None and facts.daemons == ("systemd-timesyncd",)
    assert facts.installed == ("systemd-timesyncd",)
    assert {subject: finding.status for subject, finding in judge(check, facts).items()} == {
        "synchronisation": Status.ERROR,
        "offset": Status.SKIP,
        "hardware clock": Status.WARN,
        "time zone": Status.WARN,
    }


def test_the_same_machine_below_another_root_is_asked(make_host: MakeHost) -> None:
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text()
    host = make_host({"/proc/sys/kernel/random/boot_id": boot_id})
    assert OsTime(context()).observe(host).kernel is not None
