"""ufw, firewalld and Docker in earnest, in the namespace of a wall, with files of their own."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
import tempfile
import time
from pathlib import Path

from tests.lab.walls import SERVER, Wall

_BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path={bus}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/>
<allow send_destination="*"/><allow send_type="signal"/><allow receive_type="signal"/>
<allow send_requested_reply="true" send_type="method_return"/>
<allow send_requested_reply="true" send_type="error"/>
<allow receive_type="method_call"/><allow receive_type="method_return"/>
<allow receive_type="error"/></policy></busconfig>
"""

#: As Docker 29 writes it with "firewall-backend": "nftables" for `docker run -p 80:5432`; made
#: after its documentation, since the engine here is an older one.
DOCKER_NFT = """table ip docker-bridges {
    map filter-forward-in-jumps { type ifname : verdict
        elements = { "docker0" : jump filter-forward-in__docker0 }
    }
    map filter-forward-out-jumps { type ifname : verdict
        elements = { "docker0" : jump filter-forward-out__docker0 }
    }
    chain filter-FORWARD { type filter hook forward priority filter; policy accept;
        oifname vmap @filter-forward-in-jumps
        iifname vmap @filter-forward-out-jumps
    }
    chain nat-PREROUTING { type nat hook prerouting priority dstnat; policy accept;
        fib daddr type local counter jump nat-prerouting-and-output
    }
    chain nat-OUTPUT { type nat hook output priority -100; policy accept;
        ip daddr != 127.0.0.0/8 fib daddr type local counter jump nat-prerouting-and-output
    }
    chain nat-prerouting-and-output {
        iifname != "docker0" tcp dport 80 counter dnat to 172.17.0.2:5432 comment "DNAT"
        iifname != "docker0" tcp dport 443 counter dnat to 172.17.0.2:6379 comment "DNAT"
    }
    chain raw-PREROUTING { type filter hook prerouting priority raw; policy accept;
        ip daddr 172.17.0.2 iifname != "docker0" counter drop comment "DROP DIRECT ACCESS"
    }
    chain filter-forward-in__docker0 {
        ct state established,related counter accept
        iifname "docker0" counter accept comment "ICC"
        ip daddr 172.17.0.2 tcp dport 5432 counter accept
        counter drop comment "UNPUBLISHED PORT DROP"
    }
    chain filter-forward-out__docker0 {
        ct state established,related counter accept
        counter accept comment "OUTGOING"
    }
}"""


class Ufw:
    """ufw with copies of its files, which each command sees in place of the machine's own."""

    def __init__(self, wall: Wall, directory: Path) -> None:
        self._wall = wall
        self._etc, self._default = directory / "ufw", directory / "default"
        shutil.copytree("/etc/ufw", self._etc)
        shutil.copy("/etc/default/ufw", self._default)

    def sh(self, command: str) -> str:
        """Run a shell command that may call ufw."""
        mounts = (
            f"mount --bind {self._etc} /etc/ufw && mount --bind {self._default} /etc/default/ufw"
        )
        return self._wall.run("sh", "-c", f"{mounts} && {command}")

    def close(self) -> None:
        """Take its rules away."""
        self.sh("ufw --force disable")
        for program in ("iptables", "ip6tables"):
            self._wall.run("sh", "-c", f"{program} -F; {program} -X; {program} -P INPUT ACCEPT")


class Firewalld:
    """firewalld on a bus of its own."""

    def __init__(self, wall: Wall, directory: Path) -> None:
        self._wall = wall
        self._address = f"unix:path={directory}/bus"
        self._daemons: list[subprocess.Popen[bytes]] = []
        (directory / "bus.conf").write_text(_BUS.format(bus=directory / "bus"))
        (directory / "etc").mkdir()
        self._start(f"exec dbus-daemon --nofork --config-file={directory}/bus.conf")
        deadline = time.monotonic() + 60
        while not (directory / "bus").exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        self._start(
            f"mount --bind {directory}/etc /etc/firewalld; "
            f"exec firewalld --nofork --nopid --log-file {directory}/log"
        )
        while "running" not in self.sh("firewall-cmd --state 2>&1 || true").splitlines():
            assert time.monotonic() < deadline, (directory / "log").read_text()
            time.sleep(0.1)

    def sh(self, command: str) -> str:
        """Run a shell command that may call firewall-cmd."""
        return self._wall.run(
            "sh", "-c", f"export DBUS_SYSTEM_BUS_ADDRESS={self._address}; {command}"
        )

    def close(self) -> None:
        """End it, and with it its rules."""
        for daemon in reversed(self._daemons):
            daemon.terminate()
            daemon.wait(10)

    def _start(self, script: str) -> None:
        self._daemons.append(
            subprocess.Popen(
                ["ip", "netns", "exec", self._wall.namespace(SERVER), "sh", "-c", script],
                env={**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": self._address},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        )


_SERVE = """
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
int main(void) {
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_port = htons(8080)};
    int server = socket(AF_INET, SOCK_STREAM, 0);
    bind(server, (void *)&where, sizeof where);
    listen(server, 64);
    for (;;) close(accept(server, 0, 0));
}
"""


class Docker:
    """A Docker Engine in the namespace of a wall, with an image that listens on port 8080.

    It makes its own docker0 in place of the one that the wall had.
    """

    def __init__(self, wall: Wall) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="bdd-"))  # a socket's path must be short
        self._client = ["docker", "-H", f"unix://{self._directory}/socket"]
        wall.run("ip", "link", "delete", "docker0")
        script = (
            "mount -t tmpfs none /etc/docker 2>/dev/null; exec dockerd --iptables=true "
            f"--data-root {self._directory}/data --exec-root {self._directory}/exec "
            f"--pidfile {self._directory}/pid -H unix://{self._directory}/socket"
        )
        # `ip netns exec` would hide the control groups.
        self._daemon = subprocess.Popen(
            ["nsenter", f"--net=/var/run/netns/{wall.namespace(SERVER)}", "unshare", "--mount",
             "--propagation", "private", "sh", "-c", script],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        deadline = time.monotonic() + 60
        while subprocess.run([*self._client, "version"], capture_output=True).returncode:  # noqa: PLW1510
            assert self._daemon.poll() is None, "dockerd has ended"
            assert time.monotonic() < deadline, "dockerd does not answer"
            time.sleep(0.1)
        self._build()

    def run(self, *publish: str) -> None:
        """Start a container that publishes these ports."""
        options = [word for one in publish for word in ("-p", f"{one}:8080")]
        self._docker("run", "-d", *options, "listener", "/serve")

    def close(self) -> None:
        """Remove its containers and end it."""
        for name in self._docker("ps", "-aq").split():
            self._docker("rm", "-f", name)
        self._daemon.terminate()
        self._daemon.wait(20)
        shutil.rmtree(self._directory, ignore_errors=True)

    def _docker(self, *words: str, given: bytes = b"") -> str:
        done = subprocess.run(
            [*self._client, *words], input=given, capture_output=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.decode()

    def _build(self) -> None:
        source, program = self._directory / "serve.c", self._directory / "serve"
        source.write_text(_SERVE)
        subprocess.run(["cc", "-static", "-o", program, source], check=True)
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as tar:
            tar.add(program, "serve")
        self._docker("import", "-", "listener", given=packed.getvalue())
