"""ports.available, with real sockets on this machine, on fixture trees, and on facts."""

import http.server
import json
import os
import shutil
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from msgspec import structs

from biostudio_doctor.checks.ports_available import PortsAvailable
from biostudio_doctor.host import Host
from biostudio_doctor.host import ports as host_ports
from biostudio_doctor.host.containers import Container
from biostudio_doctor.host.ports import Listener, PortTable, PortUse, look
from biostudio_doctor.host.processes import Process
from biostudio_doctor.host.sockets import TcpSocket, tcp_sockets
from biostudio_doctor.model import Finding, Machine, Status
from tests.conftest import DEBIAN, MakeHost, Tree, context, judge
from tests.lab import network

ID = "3f" * 32
DOCTOR = str(Path(sys.executable).with_name("biostudio-doctor"))
SERVER = """
import socket
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
input()
"""


def finding_of(port: int, machine: Machine = DEBIAN) -> Finding:
    """What is found on a port of this machine, if BioStudio's HTTP is to be there."""
    check = PortsAvailable(context(machine, ports={"http": port}))
    return judge(check, check.observe(Host()))[f"{port} (http)"]


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "::1", "::"])
def test_a_listener_is_found_on_any_address(address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as server:
        try:
            server.bind((address, 0))
        except OSError as error:
            pytest.skip(f"{address} cannot be used here: {error.strerror}")
        server.listen()
        finding = finding_of(server.getsockname()[1])
    assert finding.status is Status.FAIL and finding.observed == "taken"
    where = "all addresses" if address in ("0.0.0.0", "::") else address
    assert f"is taken on {where} by" in finding.summary
    assert f"(process {os.getpid()}" in finding.summary


def unused_port() -> int:
    """A port on which there is not even the rest of a connection."""
    used = {item.port for item in tcp_sockets(Host())}
    return next(port for port in iter(network.free_port, 0) if port not in used)


def test_a_free_port_is_free() -> None:
    finding = finding_of(unused_port())
    assert (finding.status, finding.observed, finding.remedy) == (Status.PASS, "free", None)


def test_a_holder_in_another_process_is_named() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout
        finding = finding_of(int(server.stdout.readline()))
        server.communicate("\n")
    assert f"(process {server.pid}" in finding.summary
    assert finding.remedy and finding.remedy.commands == (f"ps -f -p {server.pid}",)


def closed_by_the_server(reuse: bool) -> int:
    """A port on which nothing listens any more and a closed connection remains (TIME_WAIT)."""
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)
        port = network.free_port()
        server.bind(("127.0.0.1", port))
        server.listen()
        with socket.create_connection(("127.0.0.1", port)) as client:
            server.accept()[0].close()
            assert client.recv(1) == b""
    return port


def test_remains_of_connections_do_no_harm() -> None:
    port = closed_by_the_server(reuse=True)
    wanted = (port, "time-wait")  # looked for again: the table is no picture of one moment
    assert any(
        wanted in {(item.port, item.state) for item in tcp_sockets(Host())} for _ in range(100)
    )
    assert finding_of(port).status is Status.PASS


def test_the_table_of_sockets_is_read_only_where_a_trial_fails() -> None:
    activities: list[str] = []
    ports = {unused_port() for _ in range(3)}
    look(Host(on_activity=activities.append), ports)
    assert "read /proc/self/net/tcp" not in activities
    with socket.create_server(("127.0.0.1", 0)) as server:
        look(Host(on_activity=activities.append), {*ports, server.getsockname()[1]})
    assert "read /proc/self/net/tcp" in activities


def test_remains_that_keep_the_port_for_a_while_are_a_warning() -> None:
    finding = finding_of(closed_by_the_server(reuse=False))
    assert finding.status is Status.WARN and "by connections (time-wait)" in finding.summary
    assert finding.remedy and "Wait a minute" in finding.remedy.text


def test_a_line_that_the_kernel_left_out_is_looked_for_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A stand-in for the kernel, which leaves lines out only when many connections come and go."""
    tables: list[list[TcpSocket]] = [[], []]
    monkeypatch.setattr(
        host_ports, "tcp_sockets", lambda host: tables.pop() if tables else tcp_sockets(host)
    )
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        (use,) = look(Host(), {port}).ports
    assert use.listeners and not tables


def test_a_port_that_is_held_without_listening_is_taken() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        finding = finding_of(holder.getsockname()[1])
    assert finding.status is Status.FAIL and "does not listen on it" in finding.summary


def test_without_root_the_user_is_named_and_what_root_should_run() -> None:
    if os.geteuid() or not shutil.which("setpriv"):
        pytest.skip("needs root and setpriv, to run as another user")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        program = (
            "import sys; sys.path.insert(0, '.');"
            "from tests.checks.test_ports_available import *; from msgspec import json;"
            f"print(json.encode(finding_of({port}, structs.replace(DEBIAN, root=False))).decode())"
        )
        drop = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
        done = subprocess.run(
            [*drop, sys.executable, "-B", "-c", program],
            capture_output=True,
            text=True,
            check=False,
        )
    if "Permission denied" in done.stderr:
        pytest.skip("another user may not read this checkout")
    finding = json.loads(done.stdout)
    assert finding["status"] == "fail"
    assert "by a process of user root, which only root may see" in finding["summary"]
    assert finding["remedy"]["commands"] == [f"ss -ltnp 'sport = :{port}'"]


@contextmanager
def namespace(*settings: str) -> Iterator[list[str]]:
    """The command prefix to run in a network namespace of its own."""
    reason = network.why_not()
    if reason:
        pytest.skip(reason)
    name = f"bdports{os.getpid()}"
    enter = ["ip", "netns", "exec", name]
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        subprocess.run([*enter, "ip", "link", "set", "lo", "up"], check=True)
        for setting in settings:
            subprocess.run([*enter, "sysctl", "-qw", setting], check=True)
        yield enter
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)


def checked_in(enter: list[str]) -> dict[str, dict[str, str]]:
    """The findings of the command that users run, by subject."""
    command = [*enter, DOCTOR, "check", "ports.available", "--output", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    (result,) = json.loads(done.stdout)["results"]
    return {finding["subject"]: finding for finding in result["findings"]}


def test_a_database_in_this_network_is_found_and_the_rest_is_free() -> None:
    program = SERVER.replace('"127.0.0.1", 0', '"127.0.0.1", 5432')
    with namespace() as enter, subprocess.Popen(
        [*enter, sys.executable, "-c", program],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as server:  # fmt: skip
        assert server.stdout and server.stdout.readline() == "5432\n"
        findings = checked_in(enter)
        server.communicate("\n")
    taken = findings.pop("5432 (postgresql)")
    assert taken["status"] == "fail" and f"(process {server.pid}" in taken["summary"]
    assert {finding["status"] for finding in findings.values()} <= {"pass", "skip"}
    assert findings.keys() == {
        "80 (http)", "443 (https)", "11121 (memcached)", "11211 (memcached)", "6379 (redis)",
        "18000 (workspace)", "11123 (app)", "9001 (mqtt-websocket)", "1883 (mqtt-tcp)",
        "11300 (job)",
    }  # fmt: skip


def test_a_host_without_ipv6_works() -> None:
    with namespace("net.ipv6.conf.all.disable_ipv6=1") as enter:
        findings = checked_in(enter)
    assert len(findings) == 11
    assert {finding["status"] for finding in findings.values()} <= {"pass", "skip"}


# --- Another root, as in a container with the host's file system ---------------------------------

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid inode\n"
ROW = "   0: {}:{:04X} 00000000:0000 0A 00000000:00000000 00:00000000 00000000 {:5} 0 {} 1 00\n"
ALL4, ALL6 = "0" * 8, "0" * 32
WEB: Tree = {
    "/etc/passwd": "www:x:33:33::/:/bin/sh\n",
    "/proc/1/net/tcp": HEAD + ROW.format(ALL4, 80, 33, 619),
    "/proc/1/comm": "systemd\n",
    "/proc/44/comm": "nginx\n",
    "/proc/44/cgroup": "0::/system.slice/nginx.service\n",
    "/proc/44/fd/0": "-> /dev/null",
    "/proc/44/fd/6": "-> socket:[619]",
}


def on(host: Host, machine: Machine = DEBIAN) -> dict[str, Finding]:
    check = PortsAvailable(context(machine))
    return judge(check, check.observe(host))


def test_the_service_is_named_and_how_to_stop_it(make_host: MakeHost) -> None:
    findings = on(make_host(WEB))
    finding = findings["80 (http)"]
    assert finding.summary == (
        "Port 80 (http) is taken on all addresses by nginx (process 44, nginx.service)."
    )
    assert finding.remedy and finding.remedy.commands == ("systemctl disable --now nginx.service",)
    assert "such as 8081, which is free here" in finding.remedy.text
    assert findings["443 (https)"].status is Status.PASS


def test_a_socket_of_the_init_system(make_host: MakeHost) -> None:
    tree = {**WEB, "/proc/44/fd/6": "-> socket:[1]", "/proc/1/fd/9": "-> socket:[619]"}
    finding = on(make_host(tree))["80 (http)"]
    assert "by systemd (process 1)" in finding.summary
    assert finding.remedy and finding.remedy.commands == ("systemctl list-sockets",)


def test_a_taken_alternative_is_not_proposed(make_host: MakeHost) -> None:
    rows = [ROW.format(ALL4, port, 0, port) for port in (80, 8081, 443, 4433, 8443, 9443)]
    findings = on(make_host({**WEB, "/proc/1/net/tcp": HEAD + "".join(rows)}))
    http, https = findings["80 (http)"].remedy, findings["443 (https)"].remedy
    assert http and "such as 8080, which is free here" in http.text
    assert https and "one that is free here" in https.text


def test_a_port_that_cannot_be_changed_has_no_alternative(make_host: MakeHost) -> None:
    tree = {**WEB, "/proc/1/net/tcp6": HEAD + ROW.format(ALL6, 5432, 999, 7)}
    finding = on(make_host(tree))["5432 (postgresql)"]
    assert finding.status is Status.FAIL and finding.remedy
    assert "cannot use another port" in finding.remedy.text
    assert "[ports]" not in finding.remedy.text


@pytest.mark.parametrize(
    ("groups", "said", "command"),
    [
        (f"0::/system.slice/docker-{ID}.scope\n", "in the docker container 3f3f3f3f3f3f",
         "docker ps --filter id=3f3f3f3f3f3f"),
        (f"0::/kubepods.slice/cri-containerd-{ID}.scope\n", "in the kubernetes container 3f3f",
         "crictl ps --id 3f3f3f3f3f3f"),
        (f"0::/machine.slice/libpod-{ID}.scope/container\n", "in the podman container 3f3f",
         "podman ps --filter id=3f3f3f3f3f3f"),
    ],
)  # fmt: skip
def test_a_container_is_told_from_a_service(
    make_host: MakeHost, groups: str, said: str, command: str
) -> None:
    finding = on(make_host({**WEB, "/proc/44/cgroup": groups}))["80 (http)"]
    assert said in finding.summary and finding.remedy and finding.remedy.commands == (command,)


def test_a_table_that_cannot_be_read_is_an_error(make_host: MakeHost) -> None:
    findings = on(make_host({"/proc/1": None}))
    assert {finding.status for finding in findings.values()} == {Status.ERROR}
    assert "net/tcp: No such file" in findings["80 (http)"].summary
    (remedy,) = {finding.remedy for finding in findings.values()}  # one step, and not eleven
    assert remedy and remedy.commands == ("ss -ltnp",)


class Engine(http.server.BaseHTTPRequestHandler):
    """What Docker says of one container."""

    image = "nginx:1.27"
    ports = ({"PublicPort": 80, "PrivatePort": 8080, "Type": "tcp", "IP": "0.0.0.0"},)

    def do_GET(self) -> None:
        reply = [{"Id": ID, "Names": ["/web"], "Image": self.image, "Ports": self.ports}]
        body = json.dumps(reply).encode() if self.path == "/containers/json" else b""
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quietly."""

    def address_string(self) -> str:
        return "unix"


@contextmanager
def engine(host: Host, **changes: object) -> Iterator[None]:
    """An engine that answers at the socket of a host's Docker."""
    handler = type("Handler", (Engine,), changes)
    with socketserver.UnixStreamServer(f"{host.root}/var/run/docker.sock", handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("image", "status"),
    [
        ("nginx:1.27", Status.FAIL),
        ("registry.example:5000/bioturing/bioproxy:1.0.28", Status.WARN),
        ("bioturing/biocolab@sha256:00", Status.WARN),
        ("example/notbioproxy:1", Status.FAIL),
    ],
)
def test_the_container_behind_a_published_port_is_named(
    make_host: MakeHost, image: str, status: Status
) -> None:
    host = make_host({
        **WEB,
        "/proc/44/comm": "docker-proxy\n",
        "/proc/44/cgroup": "0::/system.slice/docker.service\n",
        "/var/run": None,
    })  # fmt: skip
    with engine(host, image=image):
        finding = on(host)["80 (http)"]
    assert finding.status is status and f"for the container web (image {image})" in finding.summary
    assert finding.remedy
    if status is Status.FAIL:
        assert finding.remedy.commands == ("docker ps --filter publish=80",)
    else:
        assert "installed already" in finding.summary
        assert finding.remedy.commands == ("biostudio-doctor check --phase running",)


def test_a_container_on_the_hosts_network_is_named(make_host: MakeHost) -> None:
    host = make_host(
        {**WEB, "/proc/44/cgroup": f"0::/system.slice/docker-{ID}.scope\n", "/var/run": None}
    )
    with engine(host, ports=()):
        finding = on(host)["80 (http)"]
    assert "by nginx (process 44), for the container web (image nginx:1.27)" in finding.summary
    assert finding.remedy
    assert finding.remedy.commands == ("docker ps --filter id=3f3f3f3f3f3f",)


# --- Facts ---------------------------------------------------------------------------------------


def test_in_a_container_the_network_is_not_the_hosts() -> None:
    machine = structs.replace(DEBIAN, container="docker")
    free = finding_of(unused_port(), machine)
    assert free.status is Status.SKIP and "network of this container (docker)" in free.summary
    assert free.remedy and "--host-root /host" in free.remedy.text
    whole_system = structs.replace(DEBIAN, container="lxc")
    assert finding_of(unused_port(), whole_system).status is Status.PASS


def test_a_port_that_is_wanted_twice() -> None:
    check = PortsAvailable(context(ports={"http": 6379, "https": 8443}))
    findings = judge(check, PortTable(ports=(), listening=()))
    finding = findings["6379 (http)"]
    assert finding.status is Status.FAIL
    assert "gives http port 6379, which redis needs" in finding.summary
    assert findings["6379 (redis)"].status is Status.ERROR  # it was not looked at


def test_each_role_has_its_own_ports() -> None:
    facts = PortTable(ports=(), listening=())
    sizes = {
        role: len(judge(PortsAvailable(context(role=role)), facts))
        for role in ("bioproxy", "biostudio", "all-in-one")
    }
    assert sizes == {"bioproxy": 6, "biostudio": 5, "all-in-one": 11}


def test_a_holder_that_root_cannot_see_either(make_host: MakeHost) -> None:
    use = PortUse(port=80, listeners=(Listener(address="::", user="root", process=None),))
    check = PortsAvailable(context(structs.replace(DEBIAN, os_id="alpine", systemd=False)))
    finding = judge(check, PortTable(ports=(use,), listening=(80,)))["80 (http)"]
    assert "by the kernel, or a process that is not seen from here" in finding.summary
    assert finding.remedy and finding.remedy.commands == ("netstat -ltnp | grep ':80 '",)


def test_an_address_family_that_is_not_there_takes_nothing() -> None:
    use = PortUse(port=80, ipv4="free", ipv6="impossible")
    findings = judge(PortsAvailable(context()), PortTable(ports=(use,), listening=()))
    assert findings["80 (http)"].status is Status.PASS


def test_a_trial_answers_where_the_table_cannot_be_read() -> None:
    uses = (PortUse(port=80, ipv4="denied"), PortUse(port=443, ipv4="free", ipv6="free"))
    facts = PortTable(ports=uses, listening=(), problem="/proc/self/net/tcp: Permission denied")
    findings = judge(PortsAvailable(context()), facts)
    assert findings["80 (http)"].status is Status.ERROR
    assert "Permission denied" in findings["80 (http)"].summary
    assert findings["443 (https)"].status is Status.PASS


def test_a_taken_port_is_taken_where_the_table_cannot_be_read() -> None:
    uses = (PortUse(port=80, ipv4="taken", ipv6="taken"),)
    facts = PortTable(ports=uses, listening=(), problem="/proc/self/net/tcp: Permission denied")
    finding = judge(PortsAvailable(context()), facts)["80 (http)"]
    assert finding.status is Status.FAIL and "does not listen" not in finding.summary
    assert "by what could not be told: /proc/self/net/tcp" in finding.summary


def test_two_proxies_of_one_container_are_one_holder() -> None:
    proxies = tuple(
        Listener(address=address, user="root", process=Process(pid=pid, name="docker-proxy"))
        for address, pid in (("0.0.0.0", 5), ("::", 6))
    )
    container = Container(id=ID, name="web", image="nginx", ports=(80,))
    use = PortUse(port=80, listeners=proxies, container=container)
    finding = judge(PortsAvailable(context()), PortTable(ports=(use,), listening=(80,)))[
        "80 (http)"
    ]
    assert finding.summary == (
        "Port 80 (http) is taken on all addresses by docker-proxy (process 5), for the container "
        "web (image nginx)."
    )


def test_it_is_asked_only_before_the_installation_and_of_docker() -> None:
    assert PortsAvailable.why_not(context().scope) is None
    assert PortsAvailable.why_not(context(phase="running").scope)
    assert PortsAvailable.why_not(context(platform="kubernetes").scope)
