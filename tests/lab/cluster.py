"""A LAN of network namespaces: machines on one bridge, and the outside.

    here 10.78.0.1 fd78::1  --  machines 10.78.0.2, .3 ... fd78::2, ::3 ...
          |
       outside 198.51.100.99   (here has 198.51.100.1 there where a test gives it)

Addresses are private ones and of the documentation ranges; no route leads out of the namespaces.
Everything made here is undone by `close`, processes by their ids.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from biostudio_doctor.host.sockets import parse_tcp
from tests.lab.namespaces import Namespaces

HERE, OUTSIDE = "here", "outside"
HERE4, HERE6, PUBLIC4, OUTSIDE4 = "10.78.0.1", "fd78::1", "198.51.100.1", "198.51.100.99"
LAN4, LAN6 = "10.78.0.0/24", "fd78::/64"
DOCTOR = str(Path(sys.executable).with_name("biostudio-doctor"))


class Cluster(Namespaces):
    """Namespaces that see each other; servers run in them."""

    def __init__(self, directory: Path, *machines: str) -> None:
        super().__init__(directory, "bc")
        self.address = {HERE: HERE4} | {
            name: f"10.78.0.{number}" for number, name in enumerate(machines, 2)
        }
        self.address6 = {
            name: f"fd78::{ip.rpartition('.')[2]}" for name, ip in self.address.items()
        }
        try:
            self._build(machines)
        except BaseException:
            self.close()
            raise

    def firewall(self, name: str, rules: str, chain: str = "input") -> None:
        """Replace a machine's rules: nft statements, one a line; '' lets all pass."""
        lines = "\n".join(f"    {line}" for line in rules.strip().splitlines())
        hook = f"type filter hook {chain} priority 0; policy accept;"
        table = f"table inet lab {{\n  chain {chain} {{\n    {hook}\n{lines}\n  }}\n}}\n"
        self.run(name, ["nft", "-f", "-"], input="flush ruleset\n" + (table if rules else ""))

    def start(self, name: str, command: Sequence[str], *ports: int) -> subprocess.Popen[bytes]:
        """Start a server in a namespace, and wait until it listens; `stop` or `close` ends it."""
        log = self.directory / f"{Path(command[0]).name}-{name}-{len(self._processes)}.log"
        process = self.spawn(name, command, log)
        deadline = time.monotonic() + 60
        while not set(ports) <= _listening(process.pid):
            assert process.poll() is None, f"{command} has ended: {log.read_text()}"
            assert time.monotonic() < deadline, f"{command} does not listen: {log.read_text()}"
            time.sleep(0.02)
        return process

    def serve(self, name: str, answers: Mapping[int, Any], *, ahead: float = 0) -> None:
        """Made servers in one process: see node_server.py; `ahead` is how wrong its clock is."""
        script = str(Path(__file__).with_name("node_server.py"))
        given = json.dumps({str(port): answer for port, answer in answers.items()})
        self.start(name, [sys.executable, "-B", script, given, str(ahead)], *answers)

    def clear(self) -> None:
        """End all servers and forget all rules."""
        self.stop_all()
        for name in (*self.address, OUTSIDE):
            self.run(name, ["nft", "flush", "ruleset"])

    def hosts(self, name: str, text: str) -> None:
        """Write /etc/hosts, as `ip netns exec` shows it in a namespace; no DNS is asked there."""
        place = Path("/etc/netns") / self.namespace(name)
        place.mkdir(parents=True, exist_ok=True)
        (place / "hosts").write_text(f"127.0.0.1 localhost\n{text}")
        (place / "resolv.conf").write_text("options timeout:1 attempts:1\n")
        (place / "nsswitch.conf").write_text("hosts: files\n")

    def doctor(self, name: str, check: str, config: str, *options: str) -> dict[str, Any]:
        """Run the program itself in a namespace; the result of one check, as JSON has it."""
        file = self.directory / "doctor.toml"
        file.write_text(config)
        file.chmod(0o644)
        command = [*options, DOCTOR, "check", check, "--config", str(file)]
        done = self.run(
            name, [*command, "--phase", "running", "--output", "json"], check=False, cwd="/"
        )
        assert "Traceback" not in done.stderr, done.stderr
        report = json.loads(done.stdout)
        (result,) = report["results"]
        found: dict[str, Any] = result
        return found

    def close(self) -> None:
        """Undo everything."""
        self.stop_all()
        self._delete((*self.address, OUTSIDE))
        for name in (*self.address, OUTSIDE):
            shutil.rmtree(Path("/etc/netns") / self.namespace(name), ignore_errors=True)

    def _build(self, machines: Sequence[str]) -> None:
        self._add((HERE, OUTSIDE, *machines))
        self.run(HERE, ["ip", "link", "add", "lan", "type", "bridge"])
        self._up(HERE, "lan", f"{HERE4}/24", f"{HERE6}/64")
        for name in machines:
            self._join(name, "eth0", f"to-{name}"[:15])
            self.run(HERE, ["ip", "link", "set", f"to-{name}"[:15], "master", "lan", "up"])
            self._up(name, "eth0", f"{self.address[name]}/24", f"{self.address6[name]}/64")
            self.run(name, ["ip", "route", "add", "default", "via", HERE4])
        self._join(OUTSIDE, "eth0", "wan")
        self._up(HERE, "wan")
        self._up(OUTSIDE, "eth0", f"{OUTSIDE4}/24")

    def _join(self, name: str, link: str, here: str) -> None:
        peer = ["peer", "name", here, "netns", self.namespace(HERE)]
        self.run(name, ["ip", "link", "add", link, "type", "veth", *peer])

    def _up(self, name: str, link: str, *addresses: str) -> None:
        for address in addresses:
            nodad = ["nodad"] if ":" in address else []
            self.run(name, ["ip", "address", "add", address, "dev", link, *nodad])
        self.run(name, ["ip", "link", "set", link, "up"])


def _listening(pid: int) -> set[int]:
    """The ports on which anybody listens in the network namespace of a process."""
    tables = "".join(Path(f"/proc/{pid}/net/{name}").read_text() for name in ("tcp", "tcp6"))
    return {item.port for item in parse_tcp(tables) if item.state == "listen"}
