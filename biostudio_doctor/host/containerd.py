"""containerd and CRI-O, which Docker and Kubernetes run containers with."""

from __future__ import annotations

import tomllib
from functools import partial
from typing import TYPE_CHECKING

from msgspec import Struct

from biostudio_doctor.host import programs
from biostudio_doctor.host.daemons import State, grpc_hello
from biostudio_doctor.host.patience import bounded

if TYPE_CHECKING:
    from biostudio_doctor.host import Host

CONTAINERD_SOCKET = "/run/containerd/containerd.sock"
CONFIG_FILE = "/etc/containerd/config.toml"
#: Where Kubernetes distributions keep theirs, in the order of how common they are.
SOCKETS = {
    CONTAINERD_SOCKET: "containerd",
    "/run/k3s/containerd/containerd.sock": "containerd",
    "/var/snap/microk8s/common/run/containerd.sock": "containerd",
    "/run/k0s/containerd.sock": "containerd",
    "/run/crio/crio.sock": "CRI-O",
}
_TIMEOUT = 3.0  # seconds


class ContainerRuntime(Struct, frozen=True, kw_only=True):
    """A socket of containerd or CRI-O, or the program where there is no socket."""

    name: str
    socket: str
    state: State
    detail: str = ""
    version: str = ""  # as its program says; '' where it could not be asked
    cri: bool | None = None  # whether Kubernetes may use it; None where the configuration is unread


def find(host: Host, known_version: str = "") -> list[ContainerRuntime]:
    """All that are there. An installed containerd without a socket is `absent`.

    `known_version` is that of the usual containerd, where its user Docker has told it.
    """
    there = [path for path in SOCKETS if host.exists(path)]
    calls = {path: partial(grpc_hello, path=path, timeout=_TIMEOUT) for path in there}
    runtimes = []
    for path, answer in bounded(host, calls, 2 * _TIMEOUT, "ask").items():
        state: State = "silent" if isinstance(answer, OSError) else answer.state
        detail = "it did not answer in time" if isinstance(answer, OSError) else answer.detail
        own = path == CONTAINERD_SOCKET
        runtimes.append(
            ContainerRuntime(
                name=SOCKETS[path],
                socket=path,
                state=state,
                detail=detail,
                version=(known_version or _version(host)) if own and state == "answers" else "",
                cri=offers_cri(host.read_if_any(CONFIG_FILE)) if own else None,
            )
        )
    if not runtimes and programs.find(host, "containerd"):
        absent = ContainerRuntime(name="containerd", socket=CONTAINERD_SOCKET, state="absent")
        return [absent]
    return runtimes


def offers_cri(config: str | None) -> bool | None:
    """Whether containerd's configuration leaves its Kubernetes interface on; None if unreadable.

    The packages of Docker's own repository ship it switched off.
    """
    try:
        disabled = tomllib.loads(config or "").get("disabled_plugins", [])
    except (ValueError, RecursionError):
        return None
    if config is None or not isinstance(disabled, list):
        return None
    return not any(str(name).endswith("cri") for name in disabled)


def _version(host: Host) -> str:
    """Of "containerd github.com/containerd/containerd 1.6.20~ds1 COMMIT" the third word."""
    try:
        words = host.run(["containerd", "--version"], timeout=2).stdout.split()
    except OSError:
        return ""
    return words[2].removeprefix("v") if len(words) > 2 else ""
