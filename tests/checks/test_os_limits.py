"""os.limits, on fixture trees and on facts."""

import re
import shlex
import subprocess

import pytest
from msgspec import structs

from biostudio_doctor.checks.os_limits import LimitsFacts, OsLimits
from biostudio_doctor.host import Host
from biostudio_doctor.host.confinement import Confinement
from biostudio_doctor.host.limits import FileLimit
from biostudio_doctor.model import Finding, Machine, Status
from tests.conftest import DEBIAN, MakeHost, Tree, context, judge

GIB = 1 << 30
ROOMY = LimitsFacts(
    process=FileLimit(1024, 524288),
    service=FileLimit(1024, 524288),
    service_of="containerd",
    sysctls={
        "fs.nr_open": 1048576,
        "fs.file-max": 9223372036854775807,
        "fs.inotify.max_user_watches": 250000,
        "fs.inotify.max_user_instances": 1024,
        "kernel.pid_max": 4194304,
    },
    shm=16 * GIB,
    memory=32 * GIB,
    cgroup="v2",
    swap=0,
)
PROC: Tree = {
    "/proc/1/mountinfo": "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
                         "31 23 0:27 / /dev/shm rw - tmpfs tmpfs rw\n",
    "/proc/1/cgroup": "0::/init.scope\n",
    "/proc/meminfo": "MemTotal:       32768 kB\n",
    "/proc/swaps": "Filename\tType\tSize\tUsed\tPriority\n"
                   "/swapfile file 2097148 0 -2\n/dev/zram0 partition 4 0 100\n",
    "/proc/sys/fs/nr_open": "1048576\n",
    "/proc/sys/fs/file-max": "many\n",
    "/proc/sys/fs/inotify/max_user_watches": "8192\n",
    "/proc/sys/fs/inotify/max_user_instances": "128\n",
    "/dev/shm": None,
    "/run/systemd/system": None,
    "/etc/systemd/system.conf": "[Manager]\n#DefaultLimitNOFILE=1024:524288\n",
    "/sys/fs/selinux/enforce": "1",
    "/etc/docker/daemon.json": '{"selinux-enabled": true}',
}  # fmt: skip


def found(facts: LimitsFacts, machine: Machine = DEBIAN, **config: object) -> dict[str, Finding]:
    return judge(OsLimits(context(machine, **config)), facts)


def test_a_roomy_host_passes() -> None:
    findings = found(ROOMY)
    told = {subject for subject, finding in findings.items() if finding.status is not Status.PASS}
    assert told == {"SELinux", "AppArmor"}  # skipped: neither is active
    assert findings["fs.file-max"].summary.startswith("All processes together may open any number")


def test_what_a_tree_tells(make_host: MakeHost) -> None:
    check = OsLimits(context())
    facts = check.observe(make_host(PROC))
    assert facts.process is None and facts.service == FileLimit(1024, 524288)
    assert facts.swap == 2097152 * 1024 and facts.shm
    assert {subject: finding.status for subject, finding in judge(check, facts).items()} == {
        "open files of services": Status.PASS,
        "fs.nr_open": Status.PASS,
        "fs.file-max": Status.ERROR,
        "fs.inotify.max_user_watches": Status.WARN,
        "fs.inotify.max_user_instances": Status.WARN,
        "kernel.pid_max": Status.ERROR,
        "shared memory": Status.PASS,
        "control groups": Status.PASS,
        "SELinux": Status.WARN,
        "AppArmor": Status.SKIP,
    }


def test_an_empty_tree_hides_nothing_and_raises_nothing(make_host: MakeHost) -> None:
    findings = found(OsLimits(context()).observe(make_host({"/etc": None})))
    assert {finding.status for finding in findings.values()} == {Status.ERROR, Status.SKIP}
    assert len({finding.remedy for finding in findings.values() if finding.remedy}) == 1


def test_this_machine_is_told_whole() -> None:
    facts = OsLimits(context()).observe(Host())
    assert facts.process and facts.cgroup and facts.swap is not None and all(facts.sysctls.values())


@pytest.mark.parametrize(
    ("hard", "status"),
    [
        (None, Status.PASS), (65536, Status.PASS), (4096, Status.WARN), (1023, Status.FAIL),
    ],
)  # fmt: skip
def test_open_files_of_services(hard: int | None, status: Status) -> None:
    finding = found(structs.replace(ROOMY, service=FileLimit(1024, hard)))["open files of services"]
    assert finding.status is status
    assert bool(finding.remedy) is (status is not Status.PASS)


@pytest.mark.parametrize(
    ("engine", "file"),
    [
        ("dockerd", "/etc/systemd/system/docker.service.d/90-biostudio.conf"),
        ("containerd", "/etc/systemd/system/containerd.service.d/90-biostudio.conf"),
        ("", "/etc/systemd/system.conf.d/90-biostudio.conf"),
    ],
)
def test_the_limit_is_raised_where_it_is_set(engine: str, file: str) -> None:
    facts = structs.replace(ROOMY, service=FileLimit(1024, 4096), service_of=engine)
    remedy = found(facts)["open files of services"].remedy
    assert remedy and remedy.commands[1].endswith(f" > {file}")


@pytest.mark.parametrize(
    ("engine", "service"), [("dockerd", "docker"), ("containerd", "containerd")]
)
def test_without_systemd_no_command_of_it_is_given(engine: str, service: str) -> None:
    facts = structs.replace(ROOMY, service=FileLimit(1024, 4096), service_of=engine)
    openrc = structs.replace(DEBIAN, os_id="alpine", systemd=False)
    remedy = found(facts, openrc)["open files of services"].remedy
    assert remedy and not remedy.commands and "systemd" not in remedy.text
    assert f"/etc/conf.d/{service} " in remedy.text


def test_the_engine_that_runs_is_asked(make_host: MakeHost) -> None:
    limits = "Max open files            {}                 {}               files     \n"
    host = make_host(
        {
            **PROC,
            "/proc/70/comm": "dockerd\n",
            "/proc/70/limits": limits.format(1, 2),
            "/proc/80/comm": "containerd\n",
            "/proc/80/limits": limits.format(7, 9000),
        }
    )
    facts = OsLimits(context()).observe(host)
    assert facts.service_of == "containerd" and facts.service == FileLimit(7, 9000)


@pytest.mark.parametrize(
    ("name", "value", "status"),
    [
        ("fs.nr_open", 1048575, Status.WARN),
        ("fs.nr_open", 1023999, Status.FAIL),  # bioproxy's memcached wants 1,024,000
        ("fs.file-max", 100000, Status.WARN),
        ("fs.file-max", 65535, Status.FAIL),
        ("fs.inotify.max_user_watches", 8192, Status.WARN),
        ("fs.inotify.max_user_instances", 128, Status.WARN),
        ("kernel.pid_max", 32768, Status.PASS),
        ("kernel.pid_max", 4095, Status.FAIL),
        ("kernel.pid_max", None, Status.ERROR),
    ],
)
def test_kernel_parameters(name: str, value: int | None, status: Status) -> None:
    finding = found(structs.replace(ROOMY, sysctls={**ROOMY.sysctls, name: value}))[name]
    assert finding.status is status and name in finding.summary
    assert bool(finding.remedy) is (status is not Status.PASS)


def test_one_remedy_raises_all_parameters() -> None:
    low = {"fs.inotify.max_user_watches": 8192, "fs.inotify.max_user_instances": 128}
    findings = found(structs.replace(ROOMY, sysctls={**ROOMY.sysctls, **low}))
    remedies = {findings[name].remedy for name in low}
    assert len(remedies) == 1
    assert next(iter(remedies)).commands == (  # type: ignore[union-attr]
        "echo 'fs.inotify.max_user_watches = 65536' >> /etc/sysctl.d/90-biostudio.conf",
        "echo 'fs.inotify.max_user_instances = 512' >> /etc/sysctl.d/90-biostudio.conf",
        "sysctl -p /etc/sysctl.d/90-biostudio.conf",
    )


@pytest.mark.parametrize(
    ("profile", "size", "status"),
    [
        ("published", GIB, Status.PASS),
        ("published", 64 << 20, Status.WARN),
        ("published", 0, Status.WARN),
        ("vendor-installer", 16 * GIB - 4096, Status.PASS),  # half, as the kernel counts it
        ("vendor-installer", 15 * GIB, Status.WARN),
    ],
)
def test_shared_memory(profile: str, size: int, status: Status) -> None:
    finding = found(structs.replace(ROOMY, shm=size), profile=profile)["shared memory"]
    assert finding.status is status and "--shm-size" in finding.summary
    assert bool(finding.remedy) is (status is not Status.PASS)


def test_shared_memory_that_cannot_be_seen() -> None:
    finding = found(structs.replace(ROOMY, shm=None))["shared memory"]
    assert finding.status is Status.ERROR and finding.remedy


def test_a_containers_shared_memory_is_set_at_its_start() -> None:
    facts = structs.replace(ROOMY, shm=64 << 20, container="docker")
    remedy = found(facts)["shared memory"].remedy
    assert remedy and "--shm-size=1000M" in remedy.text and not remedy.commands


@pytest.mark.parametrize(
    ("version", "platform", "status"),
    [
        ("v2", "kubernetes", Status.PASS),
        ("v1", "docker", Status.PASS),
        ("hybrid", "docker", Status.PASS),
        ("v1", "kubernetes", Status.WARN),
        ("hybrid", "kubernetes", Status.WARN),
        ("none", "docker", Status.FAIL),
        ("", "docker", Status.ERROR),
    ],
)
def test_control_groups(version: str, platform: str, status: Status) -> None:
    finding = found(structs.replace(ROOMY, cgroup=version), platform=platform)["control groups"]
    assert finding.status is status
    assert bool(finding.remedy) is (status is not Status.PASS)


@pytest.mark.parametrize(
    ("machine", "commands"),
    [
        (DEBIAN, ("update-grub", "reboot")),
        (
            structs.replace(DEBIAN, os_id="rocky", kernel="5.14.0-503.el9"),
            ("grubby --update-kernel=ALL --args=systemd.unified_cgroup_hierarchy=1", "reboot"),
        ),
        (structs.replace(DEBIAN, os_id="rhel", kernel="4.18.0-553.el8"), ()),
        (structs.replace(DEBIAN, systemd=False), ()),  # it is systemd's option
        (structs.replace(DEBIAN, os_id="rocky", container="lxc"), ()),
        (structs.replace(DEBIAN, wsl=True), ()),  # it has no GRUB
    ],
)
def test_the_switch_to_version_2(machine: Machine, commands: tuple[str, ...]) -> None:
    facts = structs.replace(ROOMY, cgroup="hybrid")
    remedy = found(facts, machine, platform="kubernetes")["control groups"].remedy
    assert remedy and remedy.commands == commands


@pytest.mark.parametrize(
    ("size", "status"),
    [(0, Status.PASS), (8 * GIB, Status.WARN), (None, Status.ERROR)],
)
def test_swap_keeps_the_kubelet_from_starting(size: int | None, status: Status) -> None:
    facts = structs.replace(ROOMY, swap=size)
    assert "swap" not in found(facts)  # elsewhere memory.available tells all of it
    finding = found(facts, platform="kubernetes")["swap"]
    assert finding.status is status
    assert bool(finding.remedy) is (status is not Status.PASS)


@pytest.mark.parametrize(
    ("confinement", "status"),
    [
        (Confinement(selinux="enforcing"), Status.PASS),
        (Confinement(selinux="permissive", selinux_docker=True), Status.PASS),
        (Confinement(selinux="enforcing", selinux_docker=True), Status.WARN),
    ],
)
def test_selinux(confinement: Confinement, status: Status) -> None:
    finding = found(structs.replace(ROOMY, confinement=confinement))["SELinux"]
    assert finding.status is status


def test_the_configured_directories_are_labelled() -> None:
    facts = structs.replace(
        ROOMY, confinement=Confinement(selinux="enforcing", selinux_docker=True)
    )
    remedy = found(facts, storage={"app": "/srv/app", "user": "/srv/user"})["SELinux"].remedy
    assert remedy and [line.split()[-1] for line in remedy.commands] == [
        "'/srv/app(/.*)?'", "/srv/app", "'/srv/user(/.*)?'", "/srv/user",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "directory", ["/srv/my data", "/srv/it's", "/srv/$(reboot)", "/srv/v1.2", "/srv/a+b (c)[d]"]
)
def test_the_directories_reach_the_shell_and_semanage_as_they_are(directory: str) -> None:
    confinement = Confinement(selinux="enforcing", selinux_docker=True)
    facts = structs.replace(ROOMY, confinement=confinement)
    remedy = found(facts, storage={"app": f"{directory}/"})["SELinux"].remedy
    assert remedy
    label, restore = (shlex.split(command) for command in remedy.commands)
    assert restore == ["restorecon", "-R", directory]
    for path in (directory, f"{directory}/below/it"):
        assert re.fullmatch(label[-1], path)
    assert not re.fullmatch(label[-1], f"{directory}x")
    done = subprocess.run(
        ["sh", "-c", f"printf '%s\n' {remedy.commands[1]}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == directory


def test_the_whole_system_is_never_labelled() -> None:
    confinement = Confinement(selinux="enforcing", selinux_docker=True)
    facts = structs.replace(ROOMY, confinement=confinement)
    remedy = found(facts, storage={"app": "/"})["SELinux"].remedy
    assert remedy and remedy.commands[-1] == "restorecon -R /biocolab"


@pytest.mark.parametrize(
    ("parser", "container", "status"),
    [(True, "", Status.PASS), (False, "docker", Status.PASS), (False, "", Status.WARN)],
)
def test_apparmor(parser: bool, container: str, status: Status) -> None:
    confinement = Confinement(apparmor=True, apparmor_parser=parser)
    finding = found(structs.replace(ROOMY, confinement=confinement, container=container))[
        "AppArmor"
    ]
    assert finding.status is status


@pytest.mark.parametrize(
    ("tree", "seen"),
    [
        ({"/sys/fs/selinux/enforce": "0"}, Confinement(selinux="permissive")),
        (
            {"/sys/fs/selinux/enforce": "1", "/etc/sysconfig/docker": "X='--selinux-enabled'\n"},
            Confinement(selinux="enforcing", selinux_docker=True),
        ),
        ({"/etc/docker/daemon.json": "{broken"}, Confinement()),
        (
            {"/sys/module/apparmor/parameters/enabled": "Y\n", "/usr/sbin/apparmor_parser": ""},
            Confinement(apparmor=True, apparmor_parser=True),
        ),
        ({"/sys/module/apparmor/parameters/enabled": "N\n"}, Confinement()),
    ],
)  # fmt: skip
def test_what_confines(make_host: MakeHost, tree: Tree, seen: Confinement) -> None:
    assert OsLimits(context()).observe(make_host(tree)).confinement == seen
