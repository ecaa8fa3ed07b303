"""Signs of Kubernetes on a host: which distribution of it, and whether its kubelet is well.

The API server is not asked: that takes credentials. A node's own kubelet answers /healthz on
127.0.0.1:10248 without any (kubernetes.io, "Kubelet", --healthz-port).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec import Struct

from biostudio_doctor.host import programs
from biostudio_doctor.host.daemons import State, http_get_local

if TYPE_CHECKING:
    from biostudio_doctor.host import Host

HEALTH_PORT = 10248
_TIMEOUT = 2.0  # seconds
_VERSION = re.compile(r"\bv(\d+\.\d+\.\d+\S*)")


class Flavour(Struct, frozen=True):
    """A distribution of Kubernetes: how a node of it is recognised, and its service."""

    name: str
    marks: tuple[str, ...]
    program: str
    units: tuple[str, ...]


#: The first whose mark is found; kubeadm's last, since others keep files where it does.
FLAVOURS = (
    Flavour("k3s", ("/etc/rancher/k3s", "/var/lib/rancher/k3s"), "k3s", ("k3s", "k3s-agent")),
    Flavour("RKE2", ("/etc/rancher/rke2", "/var/lib/rancher/rke2"), "rke2",
            ("rke2-server", "rke2-agent")),
    Flavour("MicroK8s", ("/var/snap/microk8s",), "microk8s.kubelet",
            ("snap.microk8s.daemon-kubelite",)),
    Flavour("k0s", ("/var/lib/k0s",), "k0s", ("k0scontroller", "k0sworker")),
    Flavour("Kubernetes", ("/etc/kubernetes/kubelet.conf", "/var/lib/kubelet/config.yaml"),
            "kubelet", ("kubelet",)),
)  # fmt: skip


class Kubernetes(Struct, frozen=True, kw_only=True):
    """A node, seen from itself."""

    flavour: str
    unit: str  # of systemd, that its kubelet runs in
    version: str = ""  # as its program says; '' where it could not be asked
    kubelet: State | None = None  # None where it could not be asked
    detail: str = ""


def find(host: Host) -> Kubernetes | None:
    """The node that this host is, or None if it is none."""
    found = next((one for one in FLAVOURS if any(host.exists(mark) for mark in one.marks)), None)
    if found is None:
        return None
    unit = next((unit for unit in found.units if _has_unit(host, unit)), found.units[0])
    if not host.is_local:  # its 127.0.0.1 need not be ours
        return Kubernetes(flavour=found.name, unit=unit)
    answer = http_get_local(host, HEALTH_PORT, "/healthz", _TIMEOUT)
    return Kubernetes(
        flavour=found.name,
        unit=unit,
        version=_version(host, found.program),
        kubelet=answer.state,
        detail=answer.detail,
    )


def in_pod(environment: Mapping[str, str]) -> bool:
    """Whether this process is in a pod of a cluster."""
    return bool(environment.get("KUBERNETES_SERVICE_HOST"))


def parse_version(words: str) -> str:
    """1.29.3 of "Kubernetes v1.29.3", or of "k3s version v1.29.3+k3s1 (8aecc26b)" with its tail."""
    found = _VERSION.search(words)
    return found[1] if found else ""


def _version(host: Host, program: str) -> str:
    path = programs.find(host, program, also=("/opt/bin", "/var/lib/rancher/rke2/bin", "/snap/bin"))
    if not path:
        return ""
    try:
        return parse_version(host.run([path, "--version"], timeout=_TIMEOUT).stdout)
    except OSError:
        return ""


def _has_unit(host: Host, unit: str) -> bool:
    directories = ("/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
    return any(host.exists(os.path.join(directory, f"{unit}.service")) for directory in directories)
