"""A small internet in network namespaces: a client, the router in its way, and the world behind it.

    client  10.77.0.2 fd77::2  --  router (firewall, proxy) 10.77.0.1 fd77::1
                                     |
    world   203.0.113.0/24, 2001:db8:1::/64: resolvers, web servers

Addresses are of the documentation ranges (RFC 5737, RFC 3849): no route leads out, so no traffic
leaves the machine. Everything made here is undone by `close`, processes by their ids.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.lab.namespaces import Namespaces

CLIENT, ROUTER, WORLD = "client", "router", "world"
NAMES = (CLIENT, ROUTER, WORLD)
CLIENT4, ROUTER4, WORLD4 = "10.77.0.2", "10.77.0.1", "203.0.113.1"
CLIENT6, ROUTER6, WORLD6 = "fd77::2", "fd77::1", "2001:db8:1::1"


def why_not() -> str | None:
    """Why namespaces cannot be made here, or None if they can."""
    if os.geteuid() != 0:
        return "needs root to make network namespaces"
    if not shutil.which("ip"):
        return "needs ip, of the package iproute2"
    name = f"bd{os.getpid()}try"
    done = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if done.returncode:
        return f"network namespaces are not allowed here: {done.stderr.strip()}"
    subprocess.run(["ip", "netns", "delete", name], check=True)
    return None


class Network(Namespaces):
    """Three namespaces, joined; servers run in them, and faults are put into the router."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, "bd")
        try:
            self._build()
        except BaseException:
            self.close()
            raise

    def start(self, name: str, command: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
        """Start a server in a namespace; it is ended by `stop` or `close`."""
        log = self.directory / f"{Path(command[0]).name}-{len(self._processes)}.log"
        return self.spawn(name, command, log, **options)

    def wait_for(self, name: str, address: str, port: int, seconds: float = 60) -> None:
        """Until a TCP server of a namespace listens."""
        family = "-6" if ":" in address else "-4"
        query = ["ss", family, "-Hltn", f"src [{address}]:{port} or src :{port}"]
        deadline = time.monotonic() + seconds
        while not self.run(name, query, check=False).stdout.strip():
            assert time.monotonic() < deadline, f"nothing listens on {address}:{port}"
            time.sleep(0.02)

    def firewall(self, rules: str) -> None:
        """Replace the router's forwarding rules: nft statements, one a line; '' lets all pass."""
        lines = "\n".join(f"    {line}" for line in rules.strip().splitlines())
        ruleset = (
            "flush ruleset\ntable inet lab {\n  chain forward {\n"
            f"    type filter hook forward priority 0;\n{lines}\n  }}\n}}\n"
        )
        self.run(ROUTER, ["nft", "-f", "-"], input=ruleset)

    def slow_down(self, delay: float, loss: float) -> None:
        """Send everything between client and world by a path with a one-way delay and a loss."""
        ends = self.namespace(ROUTER), self.namespace(WORLD)
        script = Path(__file__).with_name("slow_path.py")
        path = self.start(ROUTER, [sys.executable, str(script), *ends, str(delay), str(loss)])
        for name in (ROUTER, WORLD):
            self.wait_for_link(name, "slow", path)
        for name in (ROUTER, WORLD):
            self.run(name, ["ip", "link", "set", "slow", "up"])
        for name, routes in (
            (ROUTER, ("203.0.113.0/25", "2001:db8:1::/65")),
            (WORLD, ("10.77.0.0/24", "fd77::/64")),
        ):
            for route in routes:
                self.run(name, ["ip", "route", "add", route, "dev", "slow"])

    def wait_for_link(
        self, name: str, link: str, maker: subprocess.Popen[bytes], seconds: float = 60
    ) -> None:
        """Until a namespace has a device that a process is to make there."""
        deadline = time.monotonic() + seconds
        while self.run(name, ["ip", "link", "show", link], check=False).returncode:
            assert maker.poll() is None, f"what was to make {link} in {name} has ended"
            assert time.monotonic() < deadline, f"there is no {link} in {name}"
            time.sleep(0.02)

    def resolvers(self, *addresses: str, attempts: int = 1) -> None:
        """Write the client's resolv.conf, as `ip netns exec` shows it there."""
        place = Path("/etc/netns") / self.namespace(CLIENT)
        place.mkdir(parents=True, exist_ok=True)
        lines = [f"nameserver {address}\n" for address in addresses]
        lines.append(f"options timeout:1 attempts:{attempts}\n")
        (place / "resolv.conf").write_text("".join(lines))

    def close(self) -> None:
        """Undo everything."""
        self.stop_all()
        self._delete(NAMES)
        shutil.rmtree(Path("/etc/netns") / self.namespace(CLIENT), ignore_errors=True)

    def _build(self) -> None:
        self._add(NAMES)
        self._join(CLIENT, "eth0", (CLIENT4 + "/24", CLIENT6 + "/64"), ROUTER, "lan",
                   (ROUTER4 + "/24", ROUTER6 + "/64"))  # fmt: skip
        self._join(ROUTER, "wan", ("203.0.113.254/24", "2001:db8:1::fe/64"), WORLD, "eth0",
                   (WORLD4 + "/24", WORLD6 + "/64"))  # fmt: skip
        for name, via4, via6 in (
            (CLIENT, ROUTER4, ROUTER6),
            (WORLD, "203.0.113.254", "2001:db8:1::fe"),
        ):
            self.run(name, ["ip", "route", "add", "default", "via", via4])
            self.run(name, ["ip", "-6", "route", "add", "default", "via", via6])
        for key in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
            self.run(ROUTER, ["sysctl", "-qw", f"{key}=1"])

    def _join(
        self, left: str, left_link: str, left_addresses: Sequence[str],
        right: str, right_link: str, right_addresses: Sequence[str],
    ) -> None:  # fmt: skip
        self.run(left, ["ip", "link", "add", left_link, "type", "veth", "peer", "name", right_link,
                        "netns", self.namespace(right)])  # fmt: skip
        for name, link, addresses in (
            (left, left_link, left_addresses),
            (right, right_link, right_addresses),
        ):
            for address in addresses:
                nodad = ["nodad"] if ":" in address else []
                self.run(name, ["ip", "address", "add", address, "dev", link, *nodad])
            self.run(name, ["ip", "link", "set", link, "up"])


def _own_ports() -> Iterator[int]:
    """Below those that the kernel gives out, and apart from what pytest's other workers have."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first, many = 10_000 + worker % 9 * 2_500, 2_500
    return itertools.cycle(random.SystemRandom().sample(range(first, first + many), many))


_PORTS = _own_ports()


def free_port() -> int:
    """A port of this host that nothing listens on, nor will until whom it is for has started."""
    for port in _PORTS:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("there are always more")
