"""The collectors on this machine, in namespaces that the tests make, and on trees of fixtures."""

import json
import os
import secrets
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from biostudio_doctor import registry
from biostudio_doctor.collector import Collector
from biostudio_doctor.daemon.history import History
from biostudio_doctor.host import Host
from biostudio_doctor.model import Run, Status
from tests.conftest import MakeHost
from tests.lab.certificates import proper
from tests.lab.collecting import Collection, collect
from tests.lab.stuck import stuck_mount
from tests.lab.timing import within

HERE = Path(__file__).parents[2]
ROOT = os.geteuid() == 0


@pytest.fixture(scope="module")
def all_of_it() -> Collection:
    """Everything of this machine, as a default bundle would have it."""
    os.environ["CANARY_OF_THIS_PROCESS"] = CANARY
    try:
        return collect(Host(), offline=True)
    finally:
        del os.environ["CANARY_OF_THIS_PROCESS"]


CANARY = secrets.token_hex(12)


def test_nothing_fails_on_an_ordinary_machine(all_of_it: Collection) -> None:
    if not ROOT:
        pytest.skip("needs root, for whom nothing is refused")
    down = {"docker/state.txt"}  # where Docker is installed, and does not run
    assert not {path: why for path, why in all_of_it.troubles.items() if path not in down}


def test_every_collector_has_a_title_and_says_what_it_leaves_out() -> None:
    for name, plugin in registry.find(registry.COLLECTORS).items():
        collector: type[Collector] = plugin.load()
        assert collector.id == name and 10 < len(collector.title()) <= 72
        if name != "kernel":  # which has nothing to leave out
            assert "Leaves out:" in (collector.__doc__ or ""), name


def test_what_everybody_wants_to_know_of_a_host(all_of_it: Collection) -> None:
    for path in (
        "host/proc/cpuinfo", "host/proc/meminfo", "host/proc/cmdline", "host/sysctl.txt",
        "network/addresses.json", "network/routes.txt", "network/sockets/listening.txt",
        "storage/proc/1/mountinfo", "storage/lsblk.json", "processes/processes.txt",
        "doctor/versions.txt", "egress/proxies.json", "certificates/watched.json",
    ):  # fmt: skip
        assert all_of_it.content[path], path
    assert json.loads(all_of_it.text("network/addresses.json"))
    assert "vm.swappiness = " in all_of_it.text("host/sysctl.txt")
    assert "\n/ " in all_of_it.text("storage/room.txt")
    assert "biostudio-doctor" in all_of_it.text("doctor/versions.txt")


def test_no_environment_of_a_process(all_of_it: Collection) -> None:
    assert CANARY.encode() not in all_of_it.everything


def test_where_the_time_comes_from(make_host: MakeHost) -> None:
    """Also where a cloud's image or DHCP laid it beside the main file; never a key."""
    canary = secrets.token_hex(8)
    host = make_host({
        "/etc/chrony/conf.d/site.conf": "pool ntp.example.org iburst\n",
        "/etc/chrony/sources.d/lab.sources": "server 10.1.2.3\n",
        "/etc/systemd/timesyncd.conf.d/a.conf": "[Time]\nNTP=10.1.2.3\n",
        "/etc/chrony/chrony.keys": canary, "/etc/chrony/conf.d/x.keys": canary,
    })  # fmt: skip
    got = collect(host, "host")
    assert "pool ntp" in got.text("host/etc/chrony/conf.d/site.conf")
    assert "10.1.2.3" in got.text("host/etc/chrony/sources.d/lab.sources")
    assert "10.1.2.3" in got.text("host/etc/systemd/timesyncd.conf.d/a.conf")
    assert canary.encode() not in got.everything


@pytest.mark.parametrize("wanted", [False, True])
def test_arguments_of_processes_only_if_wanted(wanted: bool) -> None:
    canary = secrets.token_hex(12)
    command = [sys.executable, "-c", "input()", canary]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        got = collect(Host(), "processes", bundle={"process_arguments": wanted})
        table = got.text("processes/processes.txt")
        assert str(process.pid) in [line.split()[0] for line in table.splitlines()]
        process.kill()
    assert (canary in table) is wanted


def test_the_rules_and_addresses_of_a_namespace() -> None:
    if not ROOT:
        pytest.skip("needs root for a network namespace")
    chain = "type filter hook input priority 0; tcp dport 6379 drop;"
    rules = f"table inet lab {{ chain input {{ {chain} }}; }}"
    script = (
        "ip link add eth7 type bridge && ip address add 192.0.2.7/24 dev eth7"
        " && ip link set eth7 up"
        f" && nft '{rules}' && exec {sys.executable} -m tests.lab.collecting network"
    )
    done = subprocess.run(
        ["unshare", "-n", "sh", "-c", script], capture_output=True, text=True, check=True, cwd=HERE
    )
    contents = json.loads(done.stdout)["contents"]
    assert "tcp dport 6379 drop" in contents["network/firewall/nft.txt"]
    assert "192.0.2.7/24" in contents["network/addresses.txt"]
    assert "192.0.2.0/24 dev eth7" in contents["network/routes.txt"]


def test_a_mount_that_hangs_costs_its_time_and_is_told(tmp_path: Path) -> None:
    """In a process of its own: one forked from this would keep the mount's descriptor open."""
    if not ROOT or not os.path.exists("/dev/fuse"):
        pytest.skip("needs root and /dev/fuse")
    (tmp_path / "mount").mkdir()
    command = [sys.executable, "-m", "tests.lab.collecting", "storage"]
    with (
        stuck_mount(tmp_path / "mount") as mount,
        (tmp_path / "told").open("wb") as told,
        within(8),
    ):
        subprocess.run(command, stdout=told, check=True, cwd=HERE, timeout=60)
    contents = json.loads((tmp_path / "told").read_bytes())["contents"]
    room = {line.split()[0]: line for line in contents["storage/room.txt"].splitlines()}
    assert "no answer within 3 s" in room[str(mount)]
    assert "no answer" not in room["/"] and contents["storage/lsblk.txt"]


# --- What must never be taken -----------------------------------------------------------------

DANGEROUS = (
    "/etc/shadow", "/etc/gshadow", "/root/.bash_history", "/root/.ssh/id_ed25519",
    "/home/alice/.bash_history", "/home/alice/thesis.txt", "/root/.docker/config.json",
    "/root/.kube/config", "/root/.pgpass", "/root/.netrc", "/etc/ssh/ssh_host_ed25519_key",
    "/etc/ssl/private/lab.key", "/etc/docker/key.json", "/etc/chrony/chrony.keys",
    "/etc/chrony.keys", "/etc/wireguard/wg0.conf", "/etc/netplan/01.yaml",
    "/etc/NetworkManager/system-connections/wifi.nmconnection", "/etc/machine-id",
    "/etc/biostudio-doctor/web-config.yml", "/etc/biostudio-doctor/secrets/token",
    "/etc/rancher/k3s/k3s.yaml", "/etc/kubernetes/admin.conf", "/etc/kubernetes/pki/ca.key",
    "/var/lib/kubelet/pki/kubelet-client-current.pem", "/var/log/auth.log", "/var/log/secure",
    "/var/log/audit/audit.log", "/biocolab/configs/tls.key", "/biocolab/.env",
    "/biocolab/appdata/.bbcache/a.license", "/biocolab/userdata/bob/notebook.ipynb",
    "/biocolab/metadata/data/base/1/1259", "/biocolab/metadata/redis/dump.rdb",
    "/proc/1/environ", "/proc/1/cmdline", "/etc/exports.d/secret", "/etc/krb5.keytab",
    "/usr/local/share/ca-certificates/mixed.key",
)  # fmt: skip
#: Ordinary files, so that no collector passes for want of something to take.
ORDINARY = {
    "/etc/os-release": "ID=debian\n", "/etc/docker/daemon.json": "{}",
    "/etc/chrony/chrony.conf": "pool x\n", "/etc/biostudio-doctor/config.toml": "",
    "/etc/hosts": "127.0.0.1 localhost\n", "/usr/sbin/dockerd": "", "/usr/bin/journalctl": "",
    "/biocolab/configs/haproxy.cfg": "global\n", "/var/log/syslog": "a line\n",
    "/var/lib/kubelet/config.yaml": "", "/proc/driver/nvidia/version": "NVRM 550\n",
    "/run/containerd/containerd.sock": "", "/var/log/journal/0/system.journal": "",
    "/biocolab/appdata/logs/jupyterhub.log": "[I] up\n",
}  # fmt: skip


def test_nothing_dangerous_is_collected_wherever_it_lies(make_host: MakeHost) -> None:
    canaries = {path: secrets.token_hex(12) for path in DANGEROUS}
    host = make_host(ORDINARY | canaries)
    got = collect(host, offline=True)
    found = {path for path, canary in canaries.items() if canary.encode() in got.everything}
    assert not found
    for file in got.files.values():
        assert file.source not in DANGEROUS, "not even asked for"
    taken = {file.source for file in got.files.values()}
    assert {"/etc/os-release", "/biocolab/configs/haproxy.cfg", "/var/log/syslog"} <= taken
    for word in (b"thesis.txt", b"notebook.ipynb", b"alice", b"bob\n"):
        assert word not in got.everything


# --- Certificates, and this tool itself -------------------------------------------------------


def test_certificates_are_told_and_keys_are_not(make_host: MakeHost) -> None:
    made = proper("studio.example.com")
    host = make_host({
        "/biocolab/configs/tls.crt": made.pem, "/biocolab/configs/tls.key": made.key_pem,
        "/usr/local/share/ca-certificates/own.crt": made.pem + made.key_pem,
        "/usr/local/share/ca-certificates/broken.crt": "nothing",
    })  # fmt: skip
    got = collect(host, "certificates", offline=True)
    (own,) = json.loads(got.text("certificates/watched.json"))["certificates"]
    assert own["chain"]["certificates"][0]["common_name"] == "studio.example.com"
    assert own["key"]["public_sha256"] == own["chain"]["certificates"][0]["key_sha256"]
    added = json.loads(got.text("certificates/added-authorities.json"))
    directory = "/usr/local/share/ca-certificates"
    assert added[f"{directory}/own.crt"][0]["common_name"] == "studio.example.com"
    assert isinstance(added[f"{directory}/broken.crt"], str)
    key = made.key_pem.splitlines()
    assert not any(line in got.everything for line in key)


def test_nothing_is_asked_elsewhere_when_offline() -> None:
    settings: dict[str, Any] = {"certificates": ["studio.example.com:443"]}
    got = collect(Host(), "certificates", offline=True, **settings)
    (watched,) = json.loads(got.text("certificates/watched.json"))["certificates"]
    assert watched["name"] == "studio.example.com:443" and not watched["tls"]


def test_the_history_of_a_daemon_that_runs_or_has_ended(make_host: MakeHost) -> None:
    host = make_host({"/var/lib/biostudio-doctor": None})
    directory = Path(f"{host.root}/var/lib/biostudio-doctor")
    history = History.open(str(directory))
    at = datetime(2026, 11, 24, 10, tzinfo=UTC)
    history.append("os.release", Run(at, Status.PASS, 0.5))
    history.append("storage.capacity", Run(at, Status.FAIL, 1.5))
    history.flush()
    while_it_runs = collect(host, "doctor").text("doctor/daemon-history.jsonl")
    history.close()
    before = {path.name: path.read_bytes() for path in directory.iterdir()}
    ended = collect(host, "doctor").text("doctor/daemon-history.jsonl")
    assert ended == while_it_runs
    assert [json.loads(row) for row in ended.splitlines()] == [
        {"at": "2026-11-24T10:00:00+00:00", "check": check, "status": status, "seconds": seconds}
        for check, status, seconds in (
            ("os.release", "pass", 0.5),
            ("storage.capacity", "fail", 1.5),
        )
    ]
    assert before == {path.name: path.read_bytes() for path in directory.iterdir()}


def test_what_a_killed_run_left_of_a_history_is_removed(
    make_host: MakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "tmp"
    directory.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(directory))
    us = "from biostudio_doctor import host, scratch; us = scratch.owner(host.Host()).new_name()"
    leave = f"{us}; import os; os.mkdir(us); open(f'{{us}}/history.sqlite3', 'w')"
    subprocess.run([sys.executable, "-c", leave], cwd=directory, check=True)
    (directory / "theirs").mkdir()
    assert len(os.listdir(directory)) == 2
    host = make_host({"/var/lib/biostudio-doctor/history.sqlite3": "none"})
    assert "it is no history" in collect(host, "doctor").troubles["doctor/daemon-history.jsonl"]
    assert os.listdir(directory) == ["theirs"]


def test_a_history_that_is_none_or_a_link(make_host: MakeHost) -> None:
    path = "/var/lib/biostudio-doctor/history.sqlite3"
    canary = secrets.token_hex(12)
    got = collect(make_host({path: canary}), "doctor")
    assert "it is no history" in got.troubles["doctor/daemon-history.jsonl"]
    os.unlink(f"{make_host({}).root}{path}")
    got = collect(make_host({path: "-> /etc/shadow", "/etc/shadow": canary}), "doctor")
    assert canary.encode() not in got.everything
