"""runtime.engine

What is said of Docker's settings, containerd and Kubernetes is in the modules beside this one.
"""

from collections.abc import Iterator
from datetime import timedelta
from shlex import quote
from typing import Annotated

from msgspec import Meta

from biostudio_doctor import distribution, vendors
from biostudio_doctor.check import Check
from biostudio_doctor.config import AbsolutePath, Settings
from biostudio_doctor.host import Host
from biostudio_doctor.host.containerd import CONTAINERD_SOCKET, ContainerRuntime
from biostudio_doctor.host.docker import DockerEngine
from biostudio_doctor.host.engines import EngineFacts, look
from biostudio_doctor.model import Finding, Remedy, Requirement, Status
from biostudio_doctor.requirements import Feature, Requirements, Version

from .runtime_containerd import (
    denied,
    is_inside,
    judge_runtime,
    judge_version,
    unseen,
)
from .runtime_docker import enable_docker, judge_set_up
from .runtime_kubernetes import judge_kubernetes


class EngineSettings(Settings, frozen=True, kw_only=True):
    """Settings of runtime.engine."""

    socket: Annotated[
        AbsolutePath | None,
        Meta(description="Docker's socket, where it is none of the usual ones."),
    ] = None


class RuntimeEngine(Check[EngineFacts]):
    """A container engine that runs and suits BioStudio.

    Asks Docker, containerd or CRI-O through their sockets, and the kubelet through its health port:
    does it answer, which version is it, and is it set up so that BioStudio's containers can work
    (storage driver, privileged containers, limited logs, start at boot, networks). With
    `--platform kubernetes` the node is judged instead of Docker. Where systemd would start an
    engine at the first connection, none is made.

    Why: BioStudio is a set of containers. Without an engine nothing starts; with one that is
    rootless or maps users, bioproxy does not; with one that keeps endless logs, the disk fills up.

    Mend: install Docker Engine, start it (`systemctl enable --now docker`), or change what the
    finding names in /etc/docker/daemon.json and restart Docker.
    """

    id = "runtime.engine"
    interval = timedelta(minutes=1)
    timeout = timedelta(seconds=20)
    requirement_ids = (
        "runtime.engine", "runtime.docker", "runtime.containerd", "runtime.kubernetes",
        "runtime.privileged", "runtime.storage-driver",
    )  # fmt: skip
    Settings = EngineSettings

    def observe(self, host: Host) -> EngineFacts:
        return look(host, self.settings.socket)

    def judge(self, facts: EngineFacts, requirements: Requirements) -> Iterator[Finding]:
        if self.context.scope.platform == "kubernetes":
            yield from judge_kubernetes(facts, self.context.machine, requirements)
            return
        runtime = next((one for one in facts.runtimes if one.socket == CONTAINERD_SOCKET), None)
        if facts.docker_host:
            yield _elsewhere(facts.docker_host)
        if facts.has_docker:
            yield self._docker(facts, requirements)
            yield from judge_set_up(facts, self.context)
            yield from self._containerd_of_docker(runtime, requirements)
        elif runtime:
            yield judge_runtime("containerd", runtime, self.context.machine, requirements)
        else:
            yield self._nothing(facts, requirements.demand("runtime.engine", Feature))
        if facts.kubernetes:
            yield Finding(
                Status.SKIP,
                "Kubernetes",
                f"This host is also a node of {facts.kubernetes.flavour}, which is judged with "
                "--platform kubernetes.",
            )

    def _docker(self, facts: EngineFacts, requirements: Requirements) -> Finding:
        engine, wanted = facts.docker, requirements.demand("runtime.engine", Feature)
        if engine is None or engine.podman:
            return self._down("Docker is installed, but it does not run.", facts, wanted)
        if engine.state == "answers":
            return _answers(engine, requirements)
        if engine.state == "denied":
            return denied("Docker", engine.socket, self.context.machine, wanted)
        if engine.state == "silent":
            return self._hangs(engine, facts, wanted)
        if engine.state == "asleep":
            return self._sleeps(facts, wanted)
        if engine.state == "odd":
            return _not_understood(engine, wanted)
        said = f"Docker does not run: there is a socket {engine.socket}, but nobody listens."
        if engine.state == "absent":
            said = f"There is no {engine.socket}, where Docker is configured to be."
        return self._down(said, facts, wanted)

    def _down(self, said: str, facts: EngineFacts, wanted: Requirement) -> Finding:
        machine = self.context.machine
        if not facts.dockerd:
            remedy = vendors.docker_engine(machine)
        elif facts.daemon and facts.daemon.config == "broken":
            remedy = Remedy(
                f"Mend {facts.daemon.config_file} first, then start it.",
                enable_docker(machine, snap=facts.snap),
            )
        else:
            remedy = Remedy(
                "Start it, now and at every boot. If it does not stay up, its log says why.",
                (*enable_docker(machine, snap=facts.snap), *self._log(facts)),
            )
        return Finding(
            Status.FAIL, "Docker", said, observed="not running", remedy=remedy, requirement=wanted
        )

    def _hangs(self, engine: DockerEngine, facts: EngineFacts, wanted: Requirement) -> Finding:
        machine = self.context.machine
        restart = ("snap restart docker",)
        status = (f"systemctl status --no-pager {facts.docker_unit}",) if machine.systemd else ()
        said = f"Docker listens at {engine.socket}, but it does not answer: it hangs or is swamped."
        if engine.version:
            said = (
                f"Docker {engine.version} answers at {engine.socket}, but not when it is asked for "
                "its state (/info): a part of it hangs, or it is swamped."
            )
        return Finding(
            Status.FAIL,
            "Docker",
            said,
            observed="no answer",
            remedy=Remedy(
                "See what it does and what its log says. If it does not recover, restart it; that "
                "stops its containers unless live-restore is on.",
                (
                    *status,
                    *self._log(facts),
                    *(
                        restart
                        if facts.snap
                        else distribution.service(machine, "restart", "docker")
                    ),
                ),
            ),
            requirement=wanted,
        )

    def _sleeps(self, facts: EngineFacts, wanted: Requirement) -> Finding:
        return Finding(
            Status.WARN,
            "Docker",
            "Docker does not run now; systemd would start it when it is first used.",
            observed="not running",
            remedy=Remedy(
                "Let it start by itself at every boot: BioStudio's containers start with it.",
                enable_docker(self.context.machine, snap=facts.snap),
            ),
            requirement=wanted,
        )

    def _log(self, facts: EngineFacts) -> tuple[str, ...]:
        if not self.context.machine.systemd:
            return ()
        return (f"journalctl --no-pager -n 50 -u {facts.docker_unit}",)

    def _containerd_of_docker(
        self, runtime: ContainerRuntime | None, requirements: Requirements
    ) -> Iterator[Finding]:
        if runtime is None or runtime.state in ("absent", "refused"):
            return  # Docker has one of its own then, or none before it starts
        if runtime.state == "denied":
            said = "containerd is Docker's here, and may be asked by root only."
            yield Finding(Status.SKIP, "containerd", said)
        else:
            yield judge_runtime("containerd", runtime, self.context.machine, requirements)

    def _nothing(self, facts: EngineFacts, wanted: Requirement) -> Finding:
        machine, subject = self.context.machine, "Docker"
        if facts.kubernetes:
            return Finding(
                Status.WARN,
                subject,
                f"There is no Docker here, but this is a node of {facts.kubernetes.flavour}.",
                remedy=Remedy(
                    "If BioStudio is to run on Kubernetes, say so.",
                    ("biostudio-doctor check --platform kubernetes",),
                    as_root=False,
                ),
                requirement=wanted,
            )
        if is_inside(machine):
            return unseen(subject, machine, wanted)
        said = "No container engine was found: neither Docker nor containerd is installed."
        if facts.docker:
            said = (
                f"Podman is here ({facts.docker.socket}), but BioStudio is published for Docker, "
                "containerd or Kubernetes, and none of them was found."
            )
        return Finding(
            Status.FAIL,
            subject,
            said,
            observed="Podman" if facts.docker else "none",
            expected="Docker, containerd or Kubernetes",
            remedy=vendors.docker_engine(machine),
            requirement=wanted,
        )


def _answers(engine: DockerEngine, requirements: Requirements) -> Finding:
    said = f"Docker Engine {engine.version} answers at {engine.socket}"
    if engine.info:
        info, version = engine.info, engine.info.cgroup_version
        said += f": storage driver {info.storage_driver}, cgroup driver {info.cgroup_driver}"
        said += f" (version {version})" if version else ""
        said += f", data in {info.data_root}"
    return judge_version(
        "Docker",
        said,
        engine.version,
        requirements.demand("runtime.docker", Version),
        requirements.demand("runtime.engine", Feature),
        Remedy(f"Upgrade Docker Engine; its page is {vendors.DOCKER_PAGE}"),
    )


def _not_understood(engine: DockerEngine, wanted: Requirement) -> Finding:
    return Finding(
        Status.ERROR,
        "Docker",
        f"What listens at {engine.socket} could not be understood: {engine.detail}.",
        remedy=Remedy(
            "See what the docker command says, and which program holds the socket.",
            (
                f"docker -H {quote(f'unix://{engine.socket}')} version",
                f"ss -xlp src {quote(engine.socket)}",
            ),
        ),
        requirement=wanted,
    )


def _elsewhere(address: str) -> Finding:
    return Finding(
        Status.WARN,
        "DOCKER_HOST",
        f"DOCKER_HOST sends the docker commands of this shell to {address}, not to this host.",
        observed=address,
        remedy=Remedy(
            "Unset it before you install BioStudio here.", ("unset DOCKER_HOST",), as_root=False
        ),
    )
