"""A firewall in earnest: a server with rules, who calls it, and a container behind it.

    caller  10.9.0.1 fd09::1, and everybody for whom `firewall.look` tries the rules
      |
    server  10.9.0.2 fd09::2 on eth0; 172.17.0.1 on docker0      (the rules are here)
      |
    container  172.17.0.2

In each namespace a worker (this file, run as a program) does what it is told, line by line: the
server looks at its own firewall, the caller makes real connections.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import os
import selectors
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import msgspec

from biostudio_doctor.host.firewall.calls import FAR_AWAY
from biostudio_doctor.host.firewall.facts import FirewallFacts

PORTS = (80, 443, 5432, 6379, 8080)
CALLER, SERVER, CONTAINER = "caller", "server", "container"
SERVER4, SERVER6, CONTAINER4 = "10.9.0.2", "fd09::2", "172.17.0.2"
_NUMBERS = itertools.count()
PATIENCE = 0.25  # seconds; a SYN is repeated after 1
PEER = "10.9.0.7"
CALLERS = (
    "10.9.0.1/24", "10.9.0.249/24", f"{PEER}/24", f"{FAR_AWAY[4]}/32",
    "fd09::1/64", "fd09::ffff:ffff:ffff:fff9/64", f"{FAR_AWAY[6]}/128",
)  # fmt: skip


class Wall:
    """Three namespaces and their workers; `close` undoes all."""

    def __init__(self) -> None:
        self._prefix = f"bdw{os.getpid()}n{next(_NUMBERS)}"
        self._workers: dict[str, subprocess.Popen[str]] = {}
        self._lock = Path(tempfile.gettempdir(), f"{self._prefix}.lock")
        try:
            self._build()
        except BaseException:
            self.close()
            raise

    def namespace(self, name: str) -> str:
        """The name that `ip netns` knows it by."""
        return self._prefix + name

    def run(self, *command: str, name: str = SERVER, given: str = "") -> str:
        """Run a command in a namespace."""
        done = subprocess.run(
            ["ip", "netns", "exec", self.namespace(name), *command],
            input=given, capture_output=True, text=True, check=False, timeout=60,
            # Of the machine's own lock another wall may be the holder.
            env={**os.environ, "XTABLES_LOCKFILE": str(self._lock)},
        )  # fmt: skip
        assert done.returncode == 0, f"{command}: {done.stderr}{done.stdout}\n{given}"
        return done.stdout

    def reset(self) -> None:
        """Let everything pass."""
        self.run("nft", "flush", "ruleset")
        for program in ("iptables", "ip6tables"):
            for table in self.ask(SERVER, legacy=program):
                names = {"filter": "INPUT FORWARD OUTPUT", "nat": "PREROUTING INPUT OUTPUT "
                         "POSTROUTING", "raw": "PREROUTING OUTPUT"}  # fmt: skip
                chains = names.get(table, "PREROUTING INPUT FORWARD OUTPUT POSTROUTING").split()
                empty = "".join(f":{chain} ACCEPT [0:0]\n" for chain in chains)
                self.run(f"{program}-legacy-restore", given=f"*{table}\n{empty}COMMIT\n")

    def look(self, *ports: int, publish: bool = False) -> FirewallFacts:
        """What the product says."""
        told = self.ask(SERVER, look=ports or PORTS, publish=publish)
        return msgspec.convert(told, FirewallFacts)

    def call(self, calls: list[tuple[str, str, int]]) -> list[str]:
        """What becomes of real connections (source, address, port): accept, drop or reject."""
        answers: list[str] = self.ask(CALLER, calls=calls)
        return answers

    def ask(self, name: str, **order: Any) -> Any:
        """Have a worker do something."""
        worker = self._workers[name]
        assert worker.stdin and worker.stdout
        worker.stdin.write(json.dumps(order) + "\n")
        worker.stdin.flush()
        line = worker.stdout.readline()
        assert line, f"the worker of {name} has ended"
        return json.loads(line)

    def close(self) -> None:
        """Undo everything."""
        for worker in self._workers.values():
            with contextlib.suppress(OSError):  # it may have ended
                if worker.stdin:
                    worker.stdin.close()
            try:
                worker.wait(5)
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait(5)
        for name in (CALLER, SERVER, CONTAINER):
            subprocess.run(
                ["ip", "netns", "delete", self.namespace(name)], capture_output=True, check=False
            )
        self._lock.unlink(missing_ok=True)

    def _build(self) -> None:
        for name in (CALLER, SERVER, CONTAINER):
            subprocess.run(["ip", "netns", "add", self.namespace(name)], check=True)
            self.run("ip", "link", "set", "lo", "up", name=name)
            self.run("sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0", name=name)
        self._join("eth0", CALLER, "eth0", CALLERS, (f"{SERVER4}/24", f"{SERVER6}/64"))
        self._join("docker0", CONTAINER, "eth0", (f"{CONTAINER4}/16",), ("172.17.0.1/16",))
        self.run("ip", "route", "add", "default", "via", "10.9.0.1")
        self.run("ip", "-6", "route", "add", "default", "via", "fd09::1")
        self.run("ip", "route", "add", "default", "via", "172.17.0.1", name=CONTAINER)
        for setting in (
            "net.ipv4.ip_forward=1",
            "net.ipv4.icmp_ratelimit=0",  # or a rejection may look like silence
            "net.ipv6.icmp.ratelimit=0",
        ):
            self.run("sysctl", "-qw", setting)
        for name in (CALLER, SERVER, CONTAINER):
            self._workers[name] = subprocess.Popen(
                ["ip", "netns", "exec", self.namespace(name),
                 sys.executable, "-m", "tests.lab.walls", name],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                cwd=Path(__file__).parents[2],
            )  # fmt: skip
            assert self.ask(name) == "ready"
        calls = [(address.partition("/")[0], SERVER6 if ":" in address else SERVER4, PORTS[0])
                 for address in CALLERS]  # fmt: skip
        deadline = time.monotonic() + 60
        while set(self.call(calls)) != {"accept"}:
            assert time.monotonic() < deadline, "the server is not reached"

    def _join(
        self, link: str, name: str, far_link: str,
        addresses: tuple[str, ...], own: tuple[str, ...],
    ) -> None:  # fmt: skip
        self.run("ip", "link", "add", link, "type", "veth", "peer", "name", far_link,
                 "netns", self.namespace(name))  # fmt: skip
        for where, device, given in ((SERVER, link, own), (name, far_link, addresses)):
            for address in given:
                nodad = ["nodad"] if ":" in address else []
                self.run("ip", "address", "add", address, "dev", device, *nodad, name=where)
            self.run("ip", "link", "set", device, "up", name=where)


def why_not() -> str | None:
    """Why this cannot be built here, or None if it can."""
    from tests.lab import network

    needed = ("nft", "iptables-legacy", "iptables-nft")
    missing = [name for name in needed if not shutil.which(name)]
    return network.why_not() or (f"needs {', '.join(missing)}" if missing else None)


def _serve(ports: tuple[int, ...]) -> None:
    for port in ports:
        server = socket.create_server(
            ("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=64
        )
        threading.Thread(target=_take, args=(server,), daemon=True).start()


def _take(server: socket.socket) -> None:
    while True:
        server.accept()[0].close()


def _connect_all(calls: list[tuple[str, str, int]]) -> list[str]:
    """All at once, since what is dropped takes its time."""
    waiting: dict[socket.socket, int] = {}
    answers = ["drop"] * len(calls)
    with selectors.DefaultSelector() as selector:
        for number, (source, address, port) in enumerate(calls):
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            client = socket.socket(family)
            client.setblocking(False)
            client.bind((source, 0))
            client.connect_ex((address, port))
            selector.register(client, selectors.EVENT_WRITE)
            waiting[client] = number
        deadline = time.monotonic() + PATIENCE
        # Who answered is heard also where this process was not, for longer than that.
        while waiting and (ready := selector.select(max(0.0, deadline - time.monotonic()))):
            for key, _ in ready:
                client = key.fileobj  # type: ignore[assignment]
                result = client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                assert result != errno.EINPROGRESS
                answers[waiting.pop(client)] = "reject" if result else "accept"
                selector.unregister(client)
                client.close()
        for client in waiting:
            client.close()
    return answers


def _work(name: str) -> None:
    from biostudio_doctor.host import Host, firewall

    if name != CALLER:
        _serve(PORTS)
    for line in sys.stdin:
        order = json.loads(line)
        answer: Any = "ready"
        if "look" in order:
            facts = firewall.look(Host(), order["look"], publish=order["publish"], peers=[PEER])
            answer = msgspec.to_builtins(facts)
        elif "calls" in order:
            answer = _connect_all(order["calls"])
        elif "legacy" in order:
            family = "ip6" if order["legacy"] == "ip6tables" else "ip"
            try:
                answer = Path(f"/proc/net/{family}_tables_names").read_text().split()
            except OSError:
                answer = []
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    _work(sys.argv[1])
