"""containerd and CRI-O."""

from __future__ import annotations

from collections.abc import Iterator

from biostudio_doctor.collector import Ask, Collector, Item
from biostudio_doctor.collectors.shared import files
from biostudio_doctor.host import containerd, programs

#: Where it keeps what Docker runs, and what Kubernetes runs.
_NAMESPACES = ("moby", "k8s.io", "default")
_K3S = "/run/k3s/"


class ContainerdCollector(Collector):
    """containerd or CRI-O: what runs, images, configuration.

    From ctr (version, plug-ins, and for each of the namespaces moby, k8s.io and default its
    containers, tasks and images) and from crictl, where that is installed (info, pods, containers,
    images), for each socket that is known. From /etc/containerd, /etc/crictl.yaml and
    /etc/crio/crio.conf. Logs of pods are in `kubernetes`, those of the service in `journal`.

    Leaves out: environment and arguments of containers (`ctr containers info`, `crictl inspect`).
    """

    id = "containerd"

    def why_not(self) -> str | None:
        """Without a socket."""
        if any(self.host.exists(socket) for socket in containerd.SOCKETS):
            return None
        if programs.find(self.host, "containerd"):
            return "containerd is installed and does not run: it has no socket"
        return "neither containerd nor CRI-O is here"

    def items(self) -> Iterator[Item]:
        """Socket by socket."""
        yield from files(
            self.host,
            "/etc/containerd/config.toml", "/etc/containerd/conf.d/*.toml", "/etc/crictl.yaml",
            "/etc/crio/crio.conf", "/etc/crio/crio.conf.d/*",
            "/var/lib/rancher/k3s/agent/etc/containerd/config.toml",
            "/var/lib/rancher/rke2/agent/etc/containerd/config.toml",
        )  # fmt: skip
        sockets = [socket for socket in containerd.SOCKETS if self.host.exists(socket)]
        for socket in sockets:
            name = socket.removeprefix("/run/").removesuffix(".sock").replace("/", "-")
            if containerd.SOCKETS[socket] == "containerd":
                yield from self._ctr(socket, name)
            yield from self._crictl(socket, name)

    def _ctr(self, socket: str, name: str) -> Iterator[Ask]:
        program = self._program(socket, "ctr")
        if not program:
            return
        ctr = (*program, "--address", socket, "--connect-timeout", "3s")
        yield Ask(command=(*ctr, "version"), name=f"{name}/version.txt", seconds=5)
        yield Ask(command=(*ctr, "plugins", "ls"), name=f"{name}/plugins.txt", seconds=5)
        yield Ask(command=(*ctr, "namespaces", "ls"), name=f"{name}/namespaces.txt", seconds=5)
        for namespace in _NAMESPACES:
            for what in ("containers", "tasks", "images"):
                yield Ask(
                    command=(*ctr, "--namespace", namespace, what, "ls"),
                    name=f"{name}/{namespace}-{what}.txt",
                    seconds=5,
                )

    def _crictl(self, socket: str, name: str) -> Iterator[Ask]:
        program = self._program(socket, "crictl")
        if not program:
            return
        crictl = (*program, "--runtime-endpoint", f"unix://{socket}", "--timeout", "3s")
        for what in (("info",), ("pods",), ("ps", "-a"), ("images",), ("stats",)):
            yield Ask(command=(*crictl, *what), name=f"{name}/crictl-{what[0]}.txt", seconds=8)

    def _program(self, socket: str, name: str) -> tuple[str, ...]:
        """k3s has both in itself."""
        found = programs.find(self.host, name)
        if found:
            return (found,)
        k3s = programs.find(self.host, "k3s") if socket.startswith(_K3S) else ""
        return (k3s, name) if k3s else ()
