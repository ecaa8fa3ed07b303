"""runtime.engine against a real Docker Engine and containerd, real sockets, and by facts."""

import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from biostudio_doctor.checks.runtime_engine import RuntimeEngine
from biostudio_doctor.host import Host
from biostudio_doctor.host.containerd import CONTAINERD_SOCKET, ContainerRuntime
from biostudio_doctor.host.daemons import State
from biostudio_doctor.host.docker import SYSTEM_SOCKET, Daemon, DockerEngine, Info
from biostudio_doctor.host.engines import EngineFacts
from biostudio_doctor.host.kubernetes import Kubernetes
from biostudio_doctor.host.routes import Route
from biostudio_doctor.model import Finding, Machine, Remedy, Status
from tests.conftest import DEBIAN, MakeHost, Tree, context, judge
from tests.lab import engines as lab
from tests.lab.timing import within

Findings = dict[str, Finding]


def found(host: Host, machine: Machine = DEBIAN, **config: Any) -> Findings:
    check = RuntimeEngine(context(machine, **config))
    return judge(check, check.observe(host))


def judged(machine: Machine = DEBIAN, *, facts: EngineFacts, **config: Any) -> Findings:
    return judge(RuntimeEngine(context(machine, **config)), facts)


def commands(finding: Finding) -> tuple[str, ...]:
    assert finding.remedy
    return finding.remedy.commands


# --- Real engines ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real() -> Iterator[lab.Engines]:
    reason = lab.why_not()
    if reason:
        pytest.skip(reason)
    engines = lab.Engines()
    try:
        engines.write("/usr/sbin/dockerd", "")
        engines.containerd()
        engines.dockerd()
        yield engines
    finally:
        engines.close()


@pytest.fixture
def host(real: lab.Engines) -> Host:
    return Host(str(real.root))


def docker_says(engines: lab.Engines, template: str) -> str:
    command = ["docker", "-H", f"unix://{engines.docker_socket}", "info", "--format", template]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def containerd_says() -> str:
    done = subprocess.run(["containerd", "--version"], capture_output=True, text=True, check=True)
    return done.stdout


def test_a_real_engine_is_described_as_its_own_client_does(real: lab.Engines, host: Host) -> None:
    findings = found(host)
    docker = findings["Docker"]
    assert docker.status is Status.PASS and docker.requirement
    template = (
        "{{.ServerVersion}} {{.Driver}} {{.CgroupDriver}} {{.CgroupVersion}} {{.DockerRootDir}}"
    )
    version, driver, cgroups, cgroup_version, root = docker_says(real, template).split()
    assert docker.summary == (
        f"Docker Engine {version} answers at {SYSTEM_SOCKET}: storage driver {driver}, cgroup "
        f"driver {cgroups} (version {cgroup_version}), data in {root}."
    )
    assert findings["storage driver"].observed == driver
    assert findings["privileged containers"].status is Status.PASS
    containerd = findings["containerd"]
    assert containerd.status is Status.PASS and containerd.observed in containerd_says()
    assert containerd.observed and "Kubernetes" not in findings


def test_endless_logs_and_their_cure(real: lab.Engines, host: Host) -> None:
    endless = found(host)["log rotation"]
    assert endless.status is Status.WARN and f"until {real.base}/docker is full" in endless.summary
    write = next(command for command in commands(endless) if command.startswith("echo"))
    file = real.root / "etc/docker/daemon.json"
    file.parent.mkdir(parents=True)
    try:
        subprocess.run(write.replace("/etc/docker", str(file.parent)), shell=True, check=True)
        assert found(host)["log rotation"].status is Status.PASS
        file.write_text("{,")
        findings = found(host)
        assert findings["daemon.json"].status is Status.FAIL
        assert findings["log rotation"].status is Status.SKIP
    finally:
        shutil.rmtree(file.parent)


def test_hung_engines_cost_seconds_and_are_told_from_stopped_ones(
    real: lab.Engines, host: Host
) -> None:
    with stopped(real.processes), within(10):
        findings = found(host, structs.replace(DEBIAN, systemd=True))
    for name in ("Docker", "containerd"):
        assert findings[name].status is Status.FAIL and "does not answer" in findings[name].summary
        assert commands(findings[name])[-1].startswith("systemctl restart")
    assert found(host)["Docker"].status is Status.PASS  # it was left as it was


@contextmanager
def stopped(processes: list[subprocess.Popen[bytes]]) -> Iterator[None]:
    for process in processes:
        process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            process.send_signal(signal.SIGCONT)


def test_who_may_not_ask_is_told_so(real: lab.Engines) -> None:
    for each in (real.docker_socket, real.containerd_socket):
        each.chmod(0o660)
    if not shutil.which("setpriv"):
        pytest.skip("needs setpriv, of the package util-linux")
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", sys.executable]
    if subprocess.run([*nobody, "-c", ""], capture_output=True, cwd="/", check=False).returncode:
        pytest.skip("another user may not run this interpreter")
    for name in ("etc", "proc"):
        (real.root / name).mkdir(exist_ok=True)
    done = subprocess.run(
        [*nobody, "-m", "biostudio_doctor", "check", "runtime.engine", "--host-root",
         str(real.root), "--output", "json"],
        capture_output=True, text=True, check=False, timeout=60, cwd="/",
    )  # fmt: skip
    findings = {
        finding["subject"]: finding for finding in json.loads(done.stdout)["results"][0]["findings"]
    }
    docker = findings["Docker"]
    assert docker["status"] == "error" and f"may not open {SYSTEM_SOCKET}" in docker["summary"]
    assert "as root" in docker["remedy"]["text"] and "chmod" not in str(docker["remedy"])
    assert findings["containerd"]["status"] == "skip" and done.returncode == 3


@pytest.fixture(scope="module")
def strange() -> Iterator[lab.Engines]:
    """An engine that maps users, copies layers, and has a proxy with a password."""
    reason = lab.why_not()
    if reason:
        pytest.skip(reason)
    engines = lab.Engines()
    try:
        engines.write("/usr/sbin/dockerd", "")
        engines.containerd()
        ranges = engines.write("/subids", "nobody:100000:65536\nnogroup:100000:65536\n")
        binds = "; ".join(f"mount --bind {ranges} /etc/{name}" for name in ("subuid", "subgid"))
        proxy = f"export HTTPS_PROXY=http://user:{SECRET}@proxy.example:3128"
        engines.dockerd(
            "--userns-remap=nobody:nogroup",
            "--storage-driver=vfs",
            "--log-driver=local",
            before=f"{binds}; {proxy}",
        )
        yield engines
    finally:
        engines.close()


SECRET = os.urandom(8).hex()


def test_an_engine_that_bioproxy_cannot_use(strange: lab.Engines) -> None:
    host = Host(str(strange.root))
    findings = found(host)
    privileged = findings["privileged containers"]
    assert privileged.status is Status.FAIL and "userns-remap" in privileged.summary
    assert privileged.requirement and privileged.requirement.id == "runtime.privileged"
    assert findings["storage driver"].status is Status.WARN
    assert "copies every layer whole" in findings["storage driver"].summary
    assert findings["log rotation"].status is Status.PASS
    assert found(host, role="biostudio")["privileged containers"].status is Status.SKIP


def test_the_password_of_the_engines_proxy_stays_there(strange: lab.Engines) -> None:
    facts = RuntimeEngine(context()).observe(Host(str(strange.root)))
    assert facts.docker and facts.docker.info
    assert facts.docker.info.https_proxy == "http://proxy.example:3128"
    assert SECRET not in repr(facts)


def test_an_engine_that_was_killed_and_one_that_was_stopped(strange: lab.Engines) -> None:
    host = Host(str(strange.root))
    strange.kill(strange.processes[-1], signal.SIGKILL)
    killed = found(host)["Docker"]
    assert killed.status is Status.FAIL and "nobody listens" in killed.summary
    assert commands(killed)[0] == "systemctl enable --now docker"
    strange.docker_socket.unlink()  # as an orderly end does
    ended = found(host)["Docker"]
    assert ended.status is Status.FAIL and ended.summary.endswith("installed, but it does not run.")
    assert commands(ended)[0] == "systemctl enable --now docker"


def test_containerd_alone_will_do_and_must_run(strange: lab.Engines) -> None:
    host = Host(str(strange.root))
    (strange.root / "usr/sbin/dockerd").unlink()
    strange.docker_socket.unlink(missing_ok=True)
    assert found(host)["containerd"].status is Status.PASS
    strange.kill(strange.processes[0], signal.SIGKILL)
    down = found(host)
    assert down["containerd"].status is Status.FAIL and "Docker" not in down
    assert commands(down["containerd"])[-1] == "systemctl enable --now containerd"


# --- Sockets that are none of an engine ------------------------------------------------------


@contextmanager
def served(path: Path, serve: Callable[[socket.socket, bytes], None]) -> Iterator[None]:
    """A server whose connections are handed to `serve` with what came first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    server = socket.socket(socket.AF_UNIX)
    short = Path(f"/proc/self/fd/{os.open(path.parent, os.O_PATH)}")
    server.bind(str(short / path.name))
    server.listen(8)

    def accept() -> None:
        while True:
            try:
                connection, _ = server.accept()
                with connection:
                    serve(connection, connection.recv(65536))
            except OSError:
                return

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join(5)
        os.close(int(short.name))


def replies(answer: bytes) -> Callable[[socket.socket, bytes], None]:
    return lambda connection, _request: connection.sendall(answer)


def http(body: bytes, status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"220 mail ready\r\n", "does not speak HTTP"),
        (b"", "does not speak HTTP"),
        (http(b"denied by policy", b"403 Forbidden"), "HTTP 403"),
        (http(b"<html>"), "no Docker API"),
        (http(b"[]"), "no Docker API"),
    ],
    ids=["no http", "closed", "forbidden", "html", "another json"],
)
def test_what_is_no_engine_is_an_error(make_host: MakeHost, answer: bytes, said: str) -> None:
    host = make_host({"/var/run": None, "/usr/bin/dockerd": ""})
    with served(Path(host.root) / "var/run/docker.sock", replies(answer)):
        finding = found(host)["Docker"]
    assert finding.status is Status.ERROR and said in finding.summary and finding.remedy


def test_an_engine_that_hangs_only_in_info(
    make_host: MakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("biostudio_doctor.host.docker._INFO_TIMEOUT", 0.2)

    def serve(connection: socket.socket, request: bytes) -> None:
        if b" /version " in request:
            connection.sendall(http(b'{"Version": "24.0.7", "ApiVersion": "1.43"}'))
        else:
            connection.recv(1)  # until the client has had enough

    host = make_host({"/var/run": None})
    with served(Path(host.root) / "var/run/docker.sock", serve):
        finding = found(host)["Docker"]
    assert finding.status is Status.FAIL and "24.0.7" in finding.summary
    assert "/info" in finding.summary


def test_a_full_backlog_is_a_hung_engine(make_host: MakeHost) -> None:
    host = make_host({"/var/run": None})
    directory = os.open(Path(host.root) / "var/run", os.O_PATH)
    address = f"/proc/self/fd/{directory}/docker.sock"
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as waiting:
        server.bind(address)
        server.listen(0)
        waiting.connect(address)
        finding = found(host)["Docker"]
    os.close(directory)
    assert finding.status is Status.FAIL and "does not answer" in finding.summary


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0\0"])
def test_what_is_no_containerd_is_an_error(make_host: MakeHost, answer: bytes) -> None:
    host = make_host({"/run/containerd": None})
    with served(Path(host.root) / "run/containerd/containerd.sock", replies(answer)):
        finding = found(host)["containerd"]
    assert finding.status is Status.ERROR and "gRPC" in finding.summary


def test_a_socket_that_is_configured(make_host: MakeHost) -> None:
    host = make_host({"/srv": None})
    settings = RuntimeEngine.Settings(socket="/srv/docker.sock")
    check = RuntimeEngine(context(), settings)
    version = http(b'{"Version": "28.5.2"}')
    missing = judge(check, check.observe(host))["Docker"]
    assert missing.status is Status.FAIL and "/srv/docker.sock" in missing.summary
    with served(Path(host.root) / "srv/docker.sock", replies(version)):
        assert judge(check, check.observe(host))["Docker"].observed == "28.5.2"


# --- Nothing there, by fixture trees that are made -------------------------------------------

ASLEEP: Tree = {
    "/run/systemd/system": None,
    "/usr/bin/dockerd": "",
    "/etc/systemd/system/sockets.target.wants/docker.socket": "-> /lib/systemd/docker.socket",
    "/var/run": "-> /run",
}


def test_nothing_is_installed(make_host: MakeHost) -> None:
    finding = found(make_host({"/etc": None}))["Docker"]
    assert finding.status is Status.FAIL and finding.observed == "none"
    assert "apt-get install -y docker.io" in commands(finding)
    assert finding.requirement and finding.requirement.id == "runtime.engine"


@pytest.mark.parametrize("container", ["docker", "podman", "kubernetes"])
def test_from_inside_a_container_nothing_is_claimed(make_host: MakeHost, container: str) -> None:
    inside = structs.replace(DEBIAN, container=container)
    finding = found(make_host({"/etc": None}), inside)["Docker"]
    assert finding.status is Status.ERROR and container in finding.summary
    assert finding.remedy and "--host-root" in finding.remedy.text
    system = structs.replace(DEBIAN, container="lxc")
    assert found(make_host({}), system)["Docker"].status is Status.FAIL


def test_an_engine_that_a_connection_would_start_is_left_asleep(make_host: MakeHost) -> None:
    asked = []
    host = make_host(ASLEEP)
    with served(Path(host.root) / "run/docker.sock", lambda *_: asked.append(True)):
        finding = found(host)["Docker"]
    assert finding.status is Status.WARN and not asked
    assert commands(finding) == ("systemctl enable --now docker",)


def test_it_is_left_asleep_by_whatever_path(make_host: MakeHost) -> None:
    asked = []
    host = make_host(ASLEEP)
    settings = RuntimeEngine.Settings(socket="/run/docker.sock")
    check = RuntimeEngine(context(), settings)
    with served(Path(host.root) / "run/docker.sock", lambda *_: asked.append(True)):
        assert judge(check, check.observe(host))["Docker"].status is Status.WARN and not asked


def test_a_snap_is_known_by_its_program_or_its_data(make_host: MakeHost) -> None:
    findings = found(make_host({"/snap/bin/docker": "", "/var/run": None}))
    assert findings["snap package"].status is Status.WARN
    assert commands(findings["Docker"])[0] == "snap start --enable docker"
    host = make_host({"/usr/bin/dockerd": ""})
    assert "snap package" not in found(host)
    body = b'{"Version": "28.4.0", "DockerRootDir": "/var/snap/docker/common/var-lib-docker"}'
    with served(Path(host.root) / "var/run/docker.sock", replies(http(body))):
        assert "snap package" in found(host)


def test_an_engine_that_systemd_has_started_is_asked(make_host: MakeHost) -> None:
    running = {
        "/run/docker.pid": "812",
        "/proc/812/cmdline": "/usr/bin/dockerd\0-H\0fd://\0--log-opt\0max-size=10m\0",
    }
    host = make_host({**ASLEEP, **running})
    body = b'{"Version": "28.5.2", "Driver": "overlayfs", "LoggingDriver": "json-file"}'
    with served(Path(host.root) / "run/docker.sock", replies(http(body))):
        findings = found(host)
    assert findings["Docker"].status is Status.PASS
    assert findings["storage driver"].status is Status.PASS
    assert findings["log rotation"].status is Status.PASS  # by its command line
    beside = make_host({"/etc/docker/daemon.json": '{"debug": true}'})
    assert RuntimeEngine(context()).observe(beside).daemon == Daemon(
        config_file="/etc/docker/daemon.json", config="read", log_options=("max-size",)
    )
    assert findings["start at boot"].status is Status.WARN


def test_podman_is_said_to_be_podman(make_host: MakeHost) -> None:
    tree: Tree = {
        "/run/podman/podman.sock": "",
        "/var/run/docker.sock": "-> /run/podman/podman.sock",
    }
    finding = found(make_host(tree))["Docker"]
    assert finding.status is Status.FAIL and "Podman" in finding.summary


@pytest.mark.parametrize(
    ("mark", "name"),
    [
        ("/etc/rancher/k3s", "k3s"),
        ("/var/lib/rancher/rke2", "RKE2"),
        ("/var/snap/microk8s", "MicroK8s"),
        ("/var/lib/k0s", "k0s"),
        ("/etc/kubernetes/kubelet.conf/x", "Kubernetes"),
    ],
)
def test_a_node_is_recognised(make_host: MakeHost, mark: str, name: str) -> None:
    host = make_host({mark: None})
    asked = found(host, platform="kubernetes")["Kubernetes"]
    assert asked.status is Status.ERROR and f"a node of {name}," in asked.summary
    findings = found(host)
    assert findings["Docker"].status is Status.WARN and findings["Kubernetes"].status is Status.SKIP
    assert commands(findings["Docker"]) == ("biostudio-doctor check --platform kubernetes",)


def test_no_node(make_host: MakeHost) -> None:
    assert found(make_host({}), platform="kubernetes")["Kubernetes"].status is Status.FAIL
    pod = judged(facts=EngineFacts(in_pod=True), platform="kubernetes")
    assert pod["Kubernetes"].status is Status.PASS


# --- By facts --------------------------------------------------------------------------------

INFO = Info(
    storage_driver="overlay2",
    backing_filesystem="extfs",
    d_type=True,
    logging_driver="local",
    cgroup_driver="systemd",
    cgroup_version="2",
    data_root="/var/lib/docker",
)


def running(version: str = "28.5.2", **info: Any) -> EngineFacts:
    engine = DockerEngine(
        socket=SYSTEM_SOCKET,
        system=True,
        state="answers",
        version=version,
        info=structs.replace(INFO, **info),
    )
    return EngineFacts(docker=engine, dockerd="/usr/bin/dockerd", at_boot=True)


def test_a_sound_engine_has_nothing_against_it() -> None:
    findings = judged(facts=running())
    assert {finding.status for finding in findings.values()} == {Status.PASS}


@pytest.mark.parametrize(
    ("version", "status"),
    [
        ("29.3.0", Status.PASS),
        ("20.10.24+dfsg1", Status.PASS),
        ("20.10.10", Status.PASS),
        ("20.10.9", Status.WARN),
        ("18.09.1", Status.WARN),
        ("1.13.1", Status.WARN),
        ("1.7.1", Status.FAIL),
        ("dev", Status.PASS),
    ],
)
def test_the_versions_of_docker(version: str, status: Status) -> None:
    finding = judged(facts=running(version))["Docker"]
    assert finding.status is status and version in finding.summary
    assert (finding.remedy is None) == (status is Status.PASS)


@pytest.mark.parametrize(
    ("info", "subject", "status", "said"),
    [
        ({"storage_driver": "overlayfs"}, "storage driver", Status.PASS, "overlayfs"),
        ({"storage_driver": "devicemapper"}, "storage driver", Status.WARN, "is not overlay2"),
        ({"storage_driver": "aufs"}, "storage driver", Status.WARN, "aufs"),
        ({"d_type": False, "backing_filesystem": "xfs"}, "storage driver", Status.WARN, "d_type"),
        ({"rootless": True}, "privileged containers", Status.FAIL, "is rootless"),
        ({"userns_remap": True}, "privileged containers", Status.FAIL, "maps users"),
        ({"logging_driver": "journald"}, "log rotation", Status.PASS, "journald"),
        ({"logging_driver": "json-file"}, "log rotation", Status.SKIP, "unknown"),
        (
            {"warnings": ("WARNING: IPv4 forwarding is disabled",)},
            "IP forwarding",
            Status.WARN,
            "reach no network",
        ),
        (
            {
                "warnings": (
                    "WARNING: API is accessible on http://0.0.0.0:2375 without encryption.",
                )
            },
            "Docker API",
            Status.WARN,
            "root on this host",
        ),
        ({"warnings": ("WARNING: No memory limit support",)}, "memory limits", Status.WARN, ""),
    ],
)
def test_how_docker_is_set_up(
    info: dict[str, Any], subject: str, status: Status, said: str
) -> None:
    finding = judged(facts=running(**info))[subject]
    assert finding.status is status and said in finding.summary
    assert finding.remedy or status in (Status.PASS, Status.SKIP)


def test_harmless_warnings_of_the_engine_are_not_repeated() -> None:
    noise = ("WARNING: No swap limit support", "WARNING: No blkio throttle.read_bps_device support")
    assert judged(facts=running(warnings=noise)) == judged(facts=running())


def test_logs_are_limited_in_an_existing_file_without_overwriting_it() -> None:
    daemon = Daemon(config_file="/etc/docker/daemon.json", config="read", log_options=())
    facts = structs.replace(running(logging_driver="json-file"), daemon=daemon)
    finding = judged(facts=facts)["log rotation"]
    assert finding.status is Status.WARN
    assert commands(finding) == ("systemctl restart docker",)


def test_places_reach_the_shell_as_they_are() -> None:
    """A socket and a configuration file may have been given any name."""
    odd = DockerEngine(socket="/run/my $(docker).sock", state="odd", detail="no HTTP")
    lines = commands(judged(facts=EngineFacts(docker=odd))["Docker"])
    broken = Daemon(config_file="/etc/it's/daemon.json", config="broken", problem="x")
    lines += commands(judged(facts=EngineFacts(dockerd="/d", daemon=broken))["daemon.json"])
    absent = structs.replace(broken, config="absent", log_options=())
    facts = structs.replace(running(logging_driver="json-file"), daemon=absent)
    lines += commands(judged(facts=facts)["log rotation"])
    words = [shlex.split(line) for line in lines]
    assert ["ss", "-xlp", "src", odd.socket] in words
    assert ["docker", "-H", f"unix://{odd.socket}", "version"] in words
    assert ["python3", "-m", "json.tool", broken.config_file] in words
    assert ["mkdir", "-p", "/etc/it's"] in words
    assert [line[-1] for line in words if line[0] == "echo"] == [broken.config_file]


def test_docker_that_does_not_start_at_boot() -> None:
    finding = judged(facts=structs.replace(running(), at_boot=False))["start at boot"]
    assert finding.status is Status.WARN
    assert commands(finding) == ("systemctl enable --now docker",)


def test_a_broken_daemon_json_is_named_before_the_start() -> None:
    daemon = Daemon(config_file="/etc/docker/daemon.json", config="broken", problem="Expecting ','")
    facts = EngineFacts(dockerd="/usr/bin/dockerd", daemon=daemon)
    findings = judged(facts=facts)
    assert findings["daemon.json"].status is Status.FAIL
    docker = findings["Docker"].remedy
    assert docker and docker.text.startswith("Mend /etc/docker/daemon.json first")


@pytest.mark.parametrize(
    ("storage", "status"),
    [
        ({}, Status.WARN),
        ({"app": "/home/biostudio/app", "user": "/mnt/users"}, Status.WARN),
        ({"app": "/biocolab/app"}, Status.FAIL),
    ],
)
def test_the_snap_package_reaches_few_directories(storage: dict[str, str], status: Status) -> None:
    facts = structs.replace(running(), snap=True)
    finding = judged(facts=facts, storage=storage)["snap package"]
    assert finding.status is status and commands(finding)[0] == "snap remove docker"
    down = judged(facts=EngineFacts(dockerd="/snap/bin/docker", snap=True))["Docker"]
    assert commands(down)[0] == "snap start --enable docker"


def test_container_networks() -> None:
    bridge, lan = Route("172.17.0.0/16", "docker0"), Route("10.0.0.0/24", "eth0")
    apart = judged(facts=structs.replace(running(), routes=(bridge, lan)))
    assert apart["container networks"].status is Status.PASS
    office = Route("172.17.4.0/22", "eth1")
    clash = judged(facts=structs.replace(running(), routes=(bridge, lan, office)))
    finding = clash["container networks"]
    assert finding.status is Status.WARN and "172.17.4.0/22 of eth1" in finding.summary
    assert "container networks" not in judged(facts=structs.replace(running(), routes=(lan,)))


def test_a_shell_whose_docker_is_elsewhere() -> None:
    facts = structs.replace(running(), docker_host="tcp://build.example:2376")
    finding = judged(facts=facts)["DOCKER_HOST"]
    assert finding.status is Status.WARN and "tcp://build.example:2376" in finding.summary


def runtime(state: State, **changes: Any) -> ContainerRuntime:
    base = ContainerRuntime(name="containerd", socket=CONTAINERD_SOCKET, state=state)
    return structs.replace(base, **changes)


def node(kubelet: State | None = "answers", version: str = "1.31.2") -> Kubernetes:
    return Kubernetes(flavour="Kubernetes", unit="kubelet", version=version, kubelet=kubelet)


@pytest.mark.parametrize(
    ("version", "status"),
    [
        ("2.1.4", Status.PASS),
        ("1.6.20~ds1", Status.PASS),
        ("1.5.11", Status.WARN),
        ("", Status.PASS),
    ],
)
def test_the_versions_of_containerd(version: str, status: Status) -> None:
    facts = EngineFacts(runtimes=(runtime("answers", version=version),))
    assert judged(facts=facts)["containerd"].status is status


def test_containerd_that_docker_has_to_itself_is_not_held_against_it() -> None:
    for state in ("absent", "refused"):
        facts = structs.replace(running(), runtimes=(runtime(state),))
        assert "containerd" not in judged(facts=facts)


@pytest.mark.parametrize(
    ("kubelet", "version", "status", "said"),
    [
        ("answers", "1.31.2", Status.PASS, "Kubernetes 1.31.2"),
        ("answers", "1.18.20", Status.FAIL, "1.19 or later is needed"),
        ("answers", "", Status.PASS, "its kubelet is well"),
        ("silent", "1.31.2", Status.FAIL, "hangs"),
        ("refused", "1.31.2", Status.FAIL, "does not run"),
        ("odd", "1.31.2", Status.FAIL, "is not well"),
        (None, "1.31.2", Status.ERROR, "cannot be asked"),
    ],
)
def test_the_kubelet(kubelet: State | None, version: str, status: Status, said: str) -> None:
    findings = judged(facts=EngineFacts(kubernetes=node(kubelet, version)), platform="kubernetes")
    assert findings["Kubernetes"].status is status and said in findings["Kubernetes"].summary


def test_a_kubelet_without_systemd_has_no_journal() -> None:
    machine = structs.replace(DEBIAN, systemd=False)
    facts = EngineFacts(kubernetes=node("refused"))
    assert commands(judged(facts=facts, platform="kubernetes")["Kubernetes"])
    assert not commands(judged(machine, facts=facts, platform="kubernetes")["Kubernetes"])


def test_what_a_node_runs_containers_with() -> None:
    k3s = runtime("answers", socket="/run/k3s/containerd/containerd.sock")
    facts = EngineFacts(
        kubernetes=node(), runtimes=(runtime("refused"), k3s), docker=running().docker
    )
    findings = judged(facts=facts, platform="kubernetes")
    assert findings[f"containerd at {k3s.socket}"].status is Status.PASS
    assert findings[f"containerd at {CONTAINERD_SOCKET}"].status is Status.SKIP
    assert findings["Docker"].status is Status.SKIP


def test_containerd_as_docker_packages_it_cannot_serve_kubernetes() -> None:
    down = EngineFacts(kubernetes=node("refused"), runtimes=(runtime("answers", cri=False),))
    finding = judged(facts=down, platform="kubernetes")["containerd"]
    assert finding.status is Status.FAIL and "disabled_plugins" in finding.summary
    assert isinstance(finding.remedy, Remedy)
    well = structs.replace(down, kubernetes=node())
    assert judged(facts=well, platform="kubernetes")["containerd"].status is Status.PASS
