"""Peers between three network namespaces, with a firewall of nftables in the way.

The router is the firewall, and the third machine as well. Each port of bioproxy, in the world, has
another fate on the way from the client.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import network
from tests.lab.listening import DOCTOR, Listening, ask, environment, findings, save
from tests.lab.network import (
    CLIENT,
    CLIENT4,
    ROUTER,
    ROUTER4,
    ROUTER6,
    WORLD,
    WORLD4,
    WORLD6,
    Network,
)

_WHY_NOT = network.why_not()
pytestmark = pytest.mark.skipif(bool(_WHY_NOT), reason=_WHY_NOT or "")

RULES = """
tcp dport 443 drop
tcp dport 5432 reject with tcp reset
tcp dport 6379 reject with icmpx admin-prohibited
"""
REDIRECTION = f"""
table ip redirection {{
  chain prerouting {{
    type nat hook prerouting priority dstnat;
    ip daddr {WORLD4} tcp dport 11121 redirect to :9999
    ip daddr {WORLD4} tcp dport 11211 dnat to {WORLD4}:80
  }}
}}
"""
MASQUERADE = """
table inet masquerading {
  chain postrouting {
    type nat hook postrouting priority srcnat;
    masquerade
  }
}
"""
SSH = """
import socket, time
server = socket.create_server(("0.0.0.0", 9999))
while True:
    channel, _ = server.accept()
    channel.sendall(b"SSH-2.0-OpenSSH_9.2\\r\\n")
    time.sleep(0.1)
    channel.close()
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    made = Network(tmp_path_factory.mktemp("peers"))
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def net(lab: Network) -> Iterator[Network]:
    """The lab, with everything let through and nothing running."""
    lab.firewall("")
    yield lab
    lab.stop_all()


def listeners(net: Network, name: str) -> set[int]:
    """The TCP ports that are listened on in a namespace."""
    lines = net.run(name, ["ss", "-Hltn"]).stdout.splitlines()
    return {int(line.split()[3].rpartition(":")[2]) for line in lines}


def test_the_matrix_of_three_machines_names_every_fate(net: Network, tmp_path: Path) -> None:
    bioproxy = Listening(net, WORLD, "--role", "bioproxy")
    biostudio = Listening(net, ROUTER, "--role", "biostudio", code=bioproxy.code)
    net.start(ROUTER, [sys.executable, "-c", SSH])
    net.wait_for(ROUTER, "0.0.0.0", 9999)
    net.firewall(RULES)
    net.run(ROUTER, ["nft", "-f", "-"], input=REDIRECTION)
    peers = (f"bioproxy={WORLD4}", f"biostudio={ROUTER4}")
    done = ask(net, CLIENT, bioproxy.code, *peers)
    from_client = findings(done)
    said = {subject: (item["status"], item["observed"]) for subject, item in from_client.items()}
    assert said.pop(f"bioproxy {WORLD4}: 80 (http)")[1].startswith("open ")
    assert {
        subject: said.pop(subject) for subject in list(said) if subject.startswith("bioproxy")
    } == {
        f"bioproxy {WORLD4}: 443 (https)": ("fail", "filtered"),
        f"bioproxy {WORLD4}: 5432 (postgresql)": ("fail", "rejected"),
        f"bioproxy {WORLD4}: 6379 (redis)": ("fail", "rejected"),
        f"bioproxy {WORLD4}: 11121 (memcached)": ("fail", "something else"),
        f"bioproxy {WORLD4}: 11211 (memcached)": ("fail", "something else"),
    }
    assert len(said) == 5 and {status for status, _ in said.values()} == {"pass"}

    words = {subject.rpartition(": ")[2]: item["summary"] for subject, item in from_client.items()}
    assert "although the listener has it open" in words["5432 (postgresql)"]
    assert f"prohibited) from {ROUTER4}" in words["6379 (redis)"]
    assert "an SSH server (OpenSSH_9.2)" in words["11121 (memcached)"]
    assert f"arrives at port 80 of {WORLD4}" in words["11211 (memcached)"]
    remedy = from_client[f"bioproxy {WORLD4}: 443 (https)"]["remedy"]["text"]
    assert f"let TCP pass from {CLIENT4} to {WORLD4}, port 443 (https)" in remedy

    from_world = ask(net, WORLD, bioproxy.code, f"biostudio={ROUTER4}")
    reports = [save(done, tmp_path / "client.json"), save(from_world, tmp_path / "world.json")]
    shown = subprocess.run(
        [*DOCTOR, "matrix", *reports], capture_output=True, text=True, check=True,
        env={**os.environ, "COLUMNS": "200"},
    ).stdout  # fmt: skip
    header, _, *rows = shown.splitlines()[2:]
    assert header.split()[3:] == [
        "80", "443", "11121", "11211", "6379", "5432", "18000", "11123", "9001", "1883", "11300",
    ]  # fmt: skip
    assert [f"{CLIENT4} -> bioproxy {WORLD4}" in row for row in rows] == [True, False, False]
    assert re.split(r" {2,}", rows[0])[2:8] == [
        "filtered", "something else", "something else", "rejected", "rejected", "-",
    ]  # fmt: skip
    assert rows[1].count("open") == rows[2].count("open") == 5
    for listening in (bioproxy, biostudio):
        net.stop(listening.process)
    assert f"{CLIENT4} proved the code on port 80 (http)" in bioproxy.said
    assert "443 (https): nobody has proved the code" in bioproxy.said


def test_a_wrong_code_is_one_diagnosis_and_nothing_is_answered(net: Network) -> None:
    listening = Listening(net, WORLD, "--role", "bioproxy")
    done = ask(net, CLIENT, "0000-0000-0000-0000", f"bioproxy={WORLD4}")
    found = findings(done)
    assert done.returncode == 3
    assert [subject for subject, item in found.items() if "remedy" in item] == [
        f"bioproxy {WORLD4}"
    ]
    assert {item["cause"] for item in found.values()} == {"peers.no-proof"}
    net.stop(listening.process)
    assert "came with a wrong code on port 80 (http)" in listening.said


def test_without_a_listener_and_without_a_host(net: Network) -> None:
    nobody, absent = f"biostudio={WORLD4}", f"bioproxy={CLIENT4[:-1]}99"
    found = findings(ask(net, CLIENT, "0000-0000-0000-0000", nobody, absent))
    causes = {subject: item["cause"] for subject, item in found.items() if "remedy" in item}
    assert causes == {
        f"biostudio {WORLD4}": "peers.refused",
        f"bioproxy {CLIENT4[:-1]}99": "peers.no-host",
    }


def test_a_port_that_is_taken_there_is_told_by_both_ends(net: Network) -> None:
    program = SSH.replace("9999", "6379")
    holder = net.start(WORLD, [sys.executable, "-c", program])
    net.wait_for(WORLD, "0.0.0.0", 6379)
    listening = Listening(net, WORLD, "--role", "bioproxy", "--address", WORLD4)
    assert "6379 (redis): taken by " in listening.said
    assert f"(process {holder.pid})" in listening.said
    finding = findings(ask(net, CLIENT, listening.code, f"bioproxy={WORLD4}"))[
        f"bioproxy {WORLD4}: 6379 (redis)"
    ]
    assert (finding["status"], finding["observed"]) == ("error", "not listening")
    assert "an SSH server" in finding["summary"]
    net.stop(listening.process)
    net.stop(holder)


def test_a_port_that_is_taken_for_ipv4_only_is_told_so_to_who_comes_by_ipv4(net: Network) -> None:
    """As by a Redis of the distribution on 127.0.0.1: no firewall refuses, and IPv6 works."""
    program = SSH.replace("9999", "6379").replace("0.0.0.0", "127.0.0.1")
    net.start(WORLD, [sys.executable, "-c", program])
    net.wait_for(WORLD, "127.0.0.1", 6379)
    listening = Listening(net, WORLD, "--role", "bioproxy")
    assert "6379 (redis) on 0.0.0.0: taken by " in listening.said
    peers = (f"bioproxy={WORLD4}", f"bioproxy={WORLD6}")
    found = findings(ask(net, CLIENT, listening.code, *peers))
    assert found[f"bioproxy {WORLD4}: 6379 (redis)"]["observed"] == "not listening"
    assert found[f"bioproxy {WORLD6}: 6379 (redis)"]["status"] == "pass"


def test_who_asks_itself_proves_nothing(net: Network) -> None:
    listening = Listening(net, WORLD, "--role", "bioproxy")
    for address in (WORLD4, WORLD6, "127.0.0.1"):
        found = findings(ask(net, WORLD, listening.code, f"bioproxy={address}"))
        assert {item["status"] for item in found.values()} == {"skip"}
        assert "nothing of the network is proven" in next(iter(found.values()))["summary"]


def test_a_name_of_a_process_sends_nothing_to_the_terminal(net: Network) -> None:
    name = 'open("/proc/self/comm", "w").write("\\x1b[2Jshown")\n'
    net.start(WORLD, [sys.executable, "-c", name + SSH.replace("9999", "6379")])
    net.wait_for(WORLD, "0.0.0.0", 6379)
    listening = Listening(net, WORLD, "--role", "bioproxy")
    assert "[2Jshown (process " in listening.said and "\x1b" not in listening.said


def test_a_container_is_told_from_its_host(net: Network) -> None:
    """With what Podman leaves in its containers, which only this listener sees."""
    marked = 'mount -t tmpfs none /run && touch /run/.containerenv && exec "$@"'
    wrapper = ("unshare", "--mount", "--uts", "sh", "-c", marked, "sh")
    listening = Listening(net, WORLD, "--role", "bioproxy", wrapper=wrapper)
    assert re.search(r"This is a container \((podman|docker)\)", listening.said)


def test_ports_that_only_root_may_open_are_told(net: Network) -> None:
    unprivileged = ("setpriv", "--bounding-set=-net_bind_service")
    listening = Listening(net, WORLD, "--role", "bioproxy", wrapper=unprivileged)
    assert "Not opened:\n  80 (http): not permitted\n  443 (https): not permitted" in listening.said
    assert "Only root may open these ports" in listening.said
    found = findings(ask(net, CLIENT, listening.code, f"bioproxy={WORLD4}"))
    assert found[f"bioproxy {WORLD4}: 80 (http)"]["observed"] == "not listening"
    assert found[f"bioproxy {WORLD4}: 6379 (redis)"]["status"] == "pass"


def test_ipv6_by_itself_and_a_translated_address(net: Network) -> None:
    listening = Listening(net, WORLD, "--role", "bioproxy")
    net.firewall(RULES)
    found = findings(ask(net, CLIENT, listening.code, f"bioproxy={WORLD6}"))
    assert [item["observed"].split()[0] for item in found.values()] == [
        "open", "filtered", "open", "open", "rejected", "rejected",
    ]  # fmt: skip
    summary = found[f"bioproxy {WORLD6}: 6379 (redis)"]["summary"]
    assert f"(communication administratively prohibited) from {ROUTER6}" in summary
    net.firewall("")
    net.run(ROUTER, ["nft", "-f", "-"], input=MASQUERADE)
    found = findings(ask(net, CLIENT, listening.code, f"bioproxy={WORLD6}"))
    assert len(found) == 6 and {item["status"] for item in found.values()} == {"pass"}
    assert all("looks like 2001:db8:1::fe from there" in item["summary"] for item in found.values())
    net.stop(listening.process)


def test_who_is_not_allowed_learns_nothing(net: Network) -> None:
    listening = Listening(net, WORLD, "--role", "bioproxy", "--allow", f"{ROUTER4}/32",
                          "--allow", "203.0.113.0/24")  # fmt: skip
    peer = f"bioproxy={WORLD4}"
    denied = findings(ask(net, CLIENT, listening.code, peer))
    assert {item["cause"] for item in denied.values()} == {"peers.no-proof"}
    allowed = findings(ask(net, ROUTER, listening.code, peer))
    assert {item["status"] for item in allowed.values()} == {"pass"}
    net.stop(listening.process)
    assert f"Who is not among those allowed: {CLIENT4} (6 times)" in listening.said


FLOOD = """
import resource, socket, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
channels = []
for number in range(1000):
    channel = socket.create_connection((sys.argv[1], 80 if number % 2 else 6379), 10)
    if number % 3 == 0:
        channel.send(b"garbage" * 20)
    channels.append(channel)
print("open", flush=True)
sys.stdin.read()
answered = 0
for channel in channels:
    channel.settimeout(0.01)
    try:
        answered += len(channel.recv(100))
    except OSError:
        pass
print(answered, flush=True)
"""


@pytest.mark.parametrize("files", ["4096", "128"])
def test_a_thousand_connections_at_once_leave_it_working(net: Network, files: str) -> None:
    limited = ("prlimit", f"--nofile={files}:{files}")
    listening = Listening(net, WORLD, "--role", "bioproxy", wrapper=limited)
    flood = subprocess.Popen(
        ["ip", "netns", "exec", net.namespace(CLIENT), sys.executable, "-c", FLOOD, WORLD4],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert flood.stdout and flood.stdout.readline() == "open\n"
        found = findings(ask(net, CLIENT, listening.code, f"bioproxy={WORLD4}"))
        assert {item["status"] for item in found.values()} == {"pass"}
        answered, _ = flood.communicate("", timeout=60)
    finally:
        flood.kill()
        flood.wait()
    assert answered == "0\n"  # not one byte for all of them
    net.stop(listening.process)
    assert "Traceback" not in listening.said and len(listening.said.splitlines()) < 60


SILENT = """
import socket, sys, time
channel = socket.create_connection((sys.argv[1], 80))
server = socket.create_server(("127.0.0.1", 9998))
time.sleep(60)
"""


@pytest.mark.parametrize(
    "end",
    [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGTSTP, signal.SIGKILL, None],
)
def test_nothing_outlives_it(net: Network, end: signal.Signals | None) -> None:
    arguments = () if end else ("--for", "6s")
    listening = Listening(net, WORLD, "--role", "bioproxy", *arguments)
    process = listening.process
    assert {80, 443, 5432, 6379, 11121, 11211} <= listeners(net, WORLD)
    net.start(CLIENT, [sys.executable, "-c", SILENT, WORLD4])
    net.wait_for(CLIENT, "127.0.0.1", 9998)
    assert not _children(process.pid)
    if end:
        time.sleep(0.1)
        process.send_signal(end)
    assert process.wait(30) == (-9 if end == signal.SIGKILL else 0)
    assert not listeners(net, WORLD)
    if end != signal.SIGKILL:
        left = net.run(WORLD, ["ss", "-Htna"]).stdout
        assert left == "", left  # no TIME_WAIT either
        why = "It was stopped" if end else "The time is over"
        assert f"{why}: all ports are closed again." in listening.said


def _children(pid: int) -> str:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text()


def test_the_code_stays_out_of_reports_and_process_titles(net: Network) -> None:
    listening = Listening(net, WORLD, "--role", "bioproxy")
    code = listening.code
    bare = code.replace("-", "")
    assert code not in Path(f"/proc/{listening.process.pid}/cmdline").read_text()
    for output in ("json", "table"):
        done = net.run(
            CLIENT,
            [*DOCTOR, "check", "ports.peers", "--peer", f"bioproxy={WORLD4}", "--code", code,
             "--output", output],
            env=environment(),
        )  # fmt: skip
        assert "open" in done.stdout
        for words in (code, bare, code.lower(), bare.lower()):
            assert words not in done.stdout + done.stderr
    assert listening.said.count(code) == 1
    shared = Listening(net, ROUTER, "--role", "bioproxy", code=code)
    assert code not in shared.said
