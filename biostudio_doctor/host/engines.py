"""The container engines of a host, seen together: Docker, containerd and CRI-O, Kubernetes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from msgspec import Struct

from biostudio_doctor.host import containerd, docker, kubernetes, programs
from biostudio_doctor.host.containerd import ContainerRuntime
from biostudio_doctor.host.docker import Daemon, DockerEngine
from biostudio_doctor.host.kubernetes import Kubernetes
from biostudio_doctor.host.routes import Route, parse_routes

if TYPE_CHECKING:
    from biostudio_doctor.host import Host

#: Where the programs of snap packages are, on Ubuntu and elsewhere.
_SNAP = ("/snap/bin", "/var/lib/snapd/snap/bin")


class EngineFacts(Struct, frozen=True, kw_only=True):
    """The engines that were found, and how Docker is set up."""

    docker: DockerEngine | None = None
    docker_host: str = ""  # of the environment, where it leads to another machine
    dockerd: str = ""  # the program's path
    snap: bool = False  # Docker is the snap package
    at_boot: bool | None = None  # docker.service is enabled; None without systemd
    daemon: Daemon | None = None  # of the system's dockerd
    runtimes: tuple[ContainerRuntime, ...] = ()
    kubernetes: Kubernetes | None = None
    in_pod: bool = False
    routes: tuple[Route, ...] = ()

    @property
    def has_docker(self) -> bool:
        """Whether Docker is here at all, running or not."""
        return bool(self.dockerd) or (self.docker is not None and not self.docker.podman)

    @property
    def docker_unit(self) -> str:
        """The service of systemd that Docker runs in."""
        return _docker_unit(self.snap)


def look(host: Host, socket: str | None) -> EngineFacts:
    """Ask all engines that are there; `socket` is Docker's, where it is none of the usual ones."""
    environment = os.environ if host.is_local else {}
    engine = docker.find(host, environment, socket)
    dockerd, snapped = programs.find(host, "dockerd"), programs.find(host, "docker", only=_SNAP)
    data_root = engine.info.data_root if engine and engine.info else ""
    snap = data_root.startswith("/var/snap/") or bool(snapped and not dockerd)
    system = (dockerd or snapped) and (engine is None or engine.system)
    version = engine.containerd_version if engine else ""
    return EngineFacts(
        docker=engine,
        docker_host=docker.remote(environment),
        dockerd=dockerd or snapped,
        snap=snap,
        at_boot=programs.starts_at_boot(host, _docker_unit(snap)),
        daemon=docker.daemon(host, snap=snap) if system else None,
        runtimes=tuple(containerd.find(host, version)),
        kubernetes=kubernetes.find(host),
        in_pod=kubernetes.in_pod(environment),
        routes=tuple(parse_routes(host.read_if_any(f"{host.process}/net/route") or "")),
    )


def _docker_unit(snap: bool) -> str:
    return "snap.docker.dockerd.service" if snap else "docker.service"
