"""A Docker Engine and a containerd of our own, below a directory that serves as a host's root.

Each runs in its own mount and network namespace, so that neither mounts nor firewall rules nor
forwarding of this machine are touched, and what a killed one leaves mounted goes with it.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

_TABLE = """
version = 2
root = "{base}/containerd"
state = "{base}/containerd-state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = "{socket}"
[plugins."io.containerd.internal.v1.opt"]
path = "{base}/opt"
"""


def why_not() -> str | None:
    """Why no engine can be started here, or None if one can."""
    if os.geteuid() != 0:
        return "needs root to start container engines"
    missing = [name for name in ("dockerd", "containerd", "unshare") if not shutil.which(name)]
    return f"needs {', '.join(missing)} (packages docker.io and util-linux)" if missing else None


class Engines:
    """The daemons below one root; `close` ends them by their ids and removes all they wrote."""

    def __init__(self) -> None:
        # A socket's address has room for 107 bytes, fewer than pytest's directories may take.
        self.base = Path(tempfile.mkdtemp(prefix="bd-"))
        self.base.chmod(0o711)  # for users without rights, and for those that userns-remap makes
        self.root = self.base / "root"
        self.docker_socket = self.root / "var/run/docker.sock"
        self.containerd_socket = self.root / "run/containerd/containerd.sock"
        self.processes: list[subprocess.Popen[bytes]] = []
        for socket in (self.docker_socket, self.containerd_socket):
            socket.parent.mkdir(parents=True)

    def write(self, name: str, text: str) -> Path:
        """A file below the root."""
        file = self.root / name.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def containerd(self) -> subprocess.Popen[bytes]:
        """Start containerd and wait until it listens."""
        config = self.base / "containerd.toml"
        config.write_text(_TABLE.format(base=self.base, socket=self.containerd_socket))
        process = self._start(f"exec containerd -c {config}", "containerd")
        self._until(process, "containerd", ["ctr", "-a", str(self.containerd_socket), "version"])
        return process

    def dockerd(
        self, *options: str, before: str = ":", alone: bool = False
    ) -> subprocess.Popen[bytes]:
        """Start dockerd on that containerd and wait until it answers.

        `before` is a shell command that runs first in its mount namespace. To run containers it
        must be `alone`, on a containerd that it starts itself in its own namespaces.
        """
        on = [] if alone else ["--containerd", str(self.containerd_socket)]
        command = [
            "dockerd", *on,
            "--data-root", f"{self.base}/docker", "--exec-root", f"{self.base}/exec",
            "--pidfile", f"{self.base}/docker.pid", "-H", f"unix://{self.docker_socket}",
            "--iptables=false", "--ip6tables=false", "--bridge=none", *options,
        ]  # fmt: skip
        # It writes a key beside its configuration: into a tmpfs that only it sees.
        private = "mount -t tmpfs none /etc/docker 2>/dev/null || true"
        process = self._start(f"{private}; {before}; exec {' '.join(command)}", "dockerd")
        address = f"unix://{self.docker_socket}"
        self._until(process, "dockerd", ["docker", "-H", address, "version"])
        return process

    def kill(self, process: subprocess.Popen[bytes], how: int = signal.SIGTERM) -> None:
        """End a daemon, and what it started."""
        if process in self.processes:
            self.processes.remove(process)
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.send_signal(how)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(5)

    def close(self) -> None:
        """End everything, the last started first."""
        for process in reversed(list(self.processes)):
            self.kill(process)
        shutil.rmtree(self.base, ignore_errors=True)

    def _start(self, script: str, name: str) -> subprocess.Popen[bytes]:
        with (self.base / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                ["unshare", "--mount", "--net", "--propagation", "private", "sh", "-c", script],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    def _until(self, process: subprocess.Popen[bytes], name: str, command: list[str]) -> None:
        """Wait until a client's command succeeds."""
        deadline = time.monotonic() + 60
        while subprocess.run(command, capture_output=True, check=False).returncode:
            log = self.base / f"{name}.log"
            assert process.poll() is None, f"{name} ended: {log.read_text()[-2000:]}"
            assert time.monotonic() < deadline, f"{name} is not ready: {log.read_text()[-2000:]}"
            time.sleep(0.05)
