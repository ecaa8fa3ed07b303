"""What runtime.engine says of Kubernetes, with --platform kubernetes."""

from collections.abc import Iterator

from biostudio_doctor import distribution
from biostudio_doctor.host.containerd import CONFIG_FILE, CONTAINERD_SOCKET
from biostudio_doctor.host.engines import EngineFacts
from biostudio_doctor.host.kubernetes import Kubernetes
from biostudio_doctor.model import Finding, Machine, Remedy, Requirement, Status
from biostudio_doctor.requirements import Feature, Requirements, Version

from .runtime_containerd import (
    is_inside,
    judge_runtime,
    judge_version,
    unseen,
)


def judge_kubernetes(
    facts: EngineFacts, machine: Machine, requirements: Requirements
) -> Iterator[Finding]:
    """Is this a node, is its kubelet well, and does what it runs containers with answer?"""
    if facts.kubernetes:
        yield _kubelet(facts.kubernetes, machine, requirements)
        yield from _runtimes(facts, facts.kubernetes, machine, requirements)
    else:
        yield _no_node(facts, machine, requirements.demand("runtime.engine", Feature))
    if facts.docker and not facts.docker.podman:
        said = "There is a Docker too, which Kubernetes does not need; it is not judged."
        yield Finding(Status.SKIP, "Docker", said)


def _no_node(facts: EngineFacts, machine: Machine, wanted: Requirement) -> Finding:
    if facts.in_pod:
        said = "Kubernetes runs this very pod; which version it is cannot be seen from inside."
        return Finding(Status.PASS, "Kubernetes", said, requirement=wanted)
    if is_inside(machine):
        return unseen("Kubernetes", machine, wanted)
    return Finding(
        Status.FAIL,
        "Kubernetes",
        "No sign of Kubernetes was found on this host: it is no node.",
        observed="no node",
        remedy=Remedy(
            "Run biostudio-doctor on a node of the cluster, or join this host to one (`kubeadm "
            "join`, or the agent of k3s). For an installation on Docker, leave out --platform "
            "kubernetes."
        ),
        requirement=wanted,
    )


def _kubelet(node: Kubernetes, machine: Machine, requirements: Requirements) -> Finding:
    wanted = requirements.demand("runtime.engine", Feature)
    name = f"{node.flavour} {node.version}".strip()
    if node.kubelet == "answers":
        return judge_version(
            "Kubernetes",
            f"This host is a node of {name}, and its kubelet is well",
            node.version,
            requirements.demand("runtime.kubernetes", Version) if node.version else None,
            wanted,
            Remedy("Upgrade the cluster, one minor version after the other."),
        )
    if node.kubelet is None:
        return Finding(
            Status.ERROR,
            "Kubernetes",
            f"This host is a node of {name}, but its kubelet cannot be asked from here.",
            remedy=Remedy(
                "See whether the cluster calls it ready.", ("kubectl get nodes",), as_root=False
            ),
            requirement=wanted,
        )
    problem = {
        "silent": "does not answer: it hangs",
        "odd": f"is not well: {node.detail}",
    }.get(node.kubelet, "does not run")
    look = (
        f"systemctl status --no-pager {node.unit}",
        f"journalctl --no-pager -n 50 -u {node.unit}",
    )
    return Finding(
        Status.FAIL,
        "Kubernetes",
        f"This host is a node of {name}, but its kubelet {problem}.",
        observed=node.kubelet,
        remedy=Remedy(
            f"The log of {node.unit} says why (swap, cgroups and certificates are the usual "
            "reasons).",
            look if machine.systemd else (),
        ),
        requirement=wanted,
    )


def _runtimes(
    facts: EngineFacts, node: Kubernetes, machine: Machine, requirements: Requirements
) -> Iterator[Finding]:
    well = node.kubelet == "answers"
    names = [runtime.name for runtime in facts.runtimes]
    for runtime in facts.runtimes:
        several = names.count(runtime.name) > 1
        subject = f"{runtime.name} at {runtime.socket}" if several else runtime.name
        if runtime.cri is False and not well and runtime.socket == CONTAINERD_SOCKET:
            yield _cri_off(subject, machine, requirements.demand("runtime.engine", Feature))
        elif well and runtime.state not in ("answers", "silent"):
            said = f"{subject} could not be asked, but the kubelet is well with what it uses."
            yield Finding(Status.SKIP, subject, said)
        else:
            yield judge_runtime(subject, runtime, machine, requirements)


def _cri_off(subject: str, machine: Machine, wanted: Requirement) -> Finding:
    return Finding(
        Status.FAIL,
        subject,
        "containerd's interface for Kubernetes is switched off (disabled_plugins).",
        observed="cri disabled",
        remedy=Remedy(
            f'Remove "cri" from disabled_plugins in {CONFIG_FILE}, then restart containerd.',
            distribution.service(machine, "restart", "containerd"),
        ),
        requirement=wanted,
    )
