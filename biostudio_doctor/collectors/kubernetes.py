"""Kubernetes: BioStudio's objects and logs, as the API server has them."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from datetime import timedelta
from functools import cached_property, partial
from typing import Any

import msgspec

from biostudio_doctor.collector import MIB, Ask, Collector, Item, Say
from biostudio_doctor.collectors import pruning
from biostudio_doctor.collectors.shared import files, output, program, refused
from biostudio_doctor.host import kubernetes
from biostudio_doctor.host.containers import BIOSTUDIO_IMAGES, base_image

_ALSO = ("/opt/bin", "/var/lib/rancher/rke2/bin", "/snap/bin")
#: Of programs that bring a kubectl along, and configure it themselves.
_CARRIERS = (("k3s", "kubectl"), ("microk8s", "kubectl"), ("k0s", "kubectl"))
_CONFIGS = (
    "/etc/kubernetes/admin.conf", "/etc/rancher/k3s/k3s.yaml", "/etc/rancher/rke2/rke2.yaml",
)  # fmt: skip
_OF_CLUSTER = (
    "nodes", "persistentvolumes", "storageclasses", "ingressclasses", "runtimeclasses",
    "csidrivers",
)  # fmt: skip
_OF_NAMESPACE = (
    "pods", "statefulsets", "deployments", "daemonsets", "replicasets", "jobs", "services",
    "endpoints", "ingresses", "persistentvolumeclaims", "networkpolicies", "resourcequotas",
    "limitranges",
)  # fmt: skip
_IMAGES = (
    "jsonpath={range .items[*]}{.metadata.namespace}{' '}{.metadata.name}{' '}"
    "{.status.containerStatuses[*].restartCount}{' ;'}{.spec.containers[*].image}{'\\n'}{end}"
)
_EVENTS = (
    "custom-columns=LAST:.lastTimestamp,TYPE:.type,REASON:.reason,KIND:.involvedObject.kind,"
    "NAME:.involvedObject.name,COUNT:.count,MESSAGE:.message"
)
_PODS = 30
_LINES = 20_000
_NO_KUBECTL = (
    "the API server was not asked: there is no kubectl with a configuration here; run this where "
    "kubectl works, with --platform kubernetes"
)
_WAIT = "--request-timeout=8s"


class KubernetesCollector(Collector):
    """Kubernetes: nodes, BioStudio's objects, events and logs.

    From kubectl (or that of k3s, MicroK8s, k0s or RKE2) with the configuration of whoever runs
    this, or the cluster's own in /etc: nodes, persistent volumes and classes; and in each namespace
    with a pod of BioStudio's images its pods, workloads, services, ingresses, claims, policies,
    quotas and events, the names and keys of its ConfigMaps, and the logs of its pods, previous
    ones too where a container was restarted. From /var/log/pods on a node those of BioStudio and
    of the system. Only where the platform is Kubernetes, or this host or process is part of a
    cluster.

    Leaves out: secrets, always, and with them Helm's releases and values; the contents of
    ConfigMaps; of environments all values but those that are known to be harmless; arguments of
    commands; logs that containers write to files of their own (such as /var/log/supervisor), which
    would take running something in them; other namespaces.
    """

    id = "kubernetes"
    timeout = timedelta(seconds=60)

    @cached_property
    def _kubectl(self) -> tuple[str, ...]:
        found = program(self.host, "kubectl", *_ALSO)
        own = os.environ.get("KUBECONFIG") or os.path.expanduser("~/.kube/config")
        if found and (os.path.exists(own) or kubernetes.in_pod(os.environ)):
            return (found, _WAIT)
        for name, word in _CARRIERS:
            carrier = program(self.host, name, *_ALSO)
            if carrier:
                return (carrier, word, _WAIT)
        config = next((path for path in _CONFIGS if self.host.exists(path)), "")
        return (found, f"--kubeconfig={config}", _WAIT) if found and config else ()

    def why_not(self) -> str | None:
        """Without a cluster that this host is known to be part of."""
        wanted = self.surroundings.config.platform == "kubernetes"
        if wanted or kubernetes.in_pod(os.environ) or kubernetes.find(self.host):
            return None
        return "the platform is Docker, and this host is no node of a cluster"

    def items(self) -> Iterator[Item]:
        """The cluster, then BioStudio's namespaces, then the logs of this node."""
        if self._kubectl and self.host.is_local:
            yield from self._asked()
        else:
            yield refused(OSError(errno.ENOTCONN, _NO_KUBECTL), "state.txt", "kubectl")
        for name in ("*bioproxy*", "*biocolab*", "*biostudio*", "kube-system_*"):
            yield from files(self.host, f"/var/log/pods/{name}/*/*.log*", within=True, newest=12)

    def _asked(self) -> Iterator[Item]:
        pods: list[tuple[str, str, bool]] = []
        try:
            pods = self._pods()
        except OSError as error:
            source = "kubectl get pods --all-namespaces"
            yield refused(error, "biostudio-pods.txt", source)
            if "forbidden" not in str(error).lower():  # and so nothing else would be told
                return
        yield from self._cluster()
        for namespace in dict.fromkeys(namespace for namespace, _, _ in pods):
            yield from self._namespace(namespace)
        for namespace, pod, restarted in pods[:_PODS]:
            yield from self._logs(namespace, pod, restarted)

    def _cluster(self) -> Iterator[Item]:
        yield Ask(command=(*self._kubectl, "version"), name="version.txt")
        yield Ask(command=(*self._kubectl, "get", "nodes", "-o", "wide"), name="nodes.txt")
        yield Ask(command=(*self._kubectl, "top", "nodes"), name="top-nodes.txt")
        for kind in _OF_CLUSTER:
            yield self._objects(kind, f"cluster/{kind}.json")

    def _namespace(self, namespace: str) -> Iterator[Item]:
        inside = (*self._kubectl, "--namespace", namespace, "get")
        yield Ask(command=(*inside, "pods", "-o", "wide"), name=f"{namespace}/pods.txt")
        events = (*inside, "events", "--sort-by=.lastTimestamp", "-o", _EVENTS)
        yield Ask(command=events, name=f"{namespace}/events.txt")
        yield Ask(
            command=(
                *inside, "configmaps", "-o",
                "go-template={{range .items}}{{.metadata.name}}{{range $key, $_ := .data}} "
                '{{$key}}{{end}}{{"\\n"}}{{end}}',
            ),
            name=f"{namespace}/configmaps.txt",
        )  # fmt: skip
        for kind in _OF_NAMESPACE:
            yield self._objects(kind, f"{namespace}/{kind}.json", "--namespace", namespace)

    def _objects(self, kind: str, name: str, *where: str) -> Say:
        command = (*self._kubectl, *where, "get", kind, "-o", "json")
        return Say(tell=partial(self._pruned, command), name=name, source=" ".join(command))

    def _pruned(self, command: tuple[str, ...]) -> Any:
        try:
            return pruning.kubernetes(msgspec.json.decode(output(self.host, command, 10)))
        except (ValueError, RecursionError):
            raise OSError(errno.EPROTO, "what kubectl said is no JSON") from None

    def _logs(self, namespace: str, pod: str, restarted: bool) -> Iterator[Ask]:
        since = f"--since-time={self.surroundings.window.since:%Y-%m-%dT%H:%M:%SZ}"
        command = (
            *self._kubectl, "--namespace", namespace, "logs", pod, "--all-containers", "--prefix",
            "--timestamps", f"--tail={_LINES}", since,
        )  # fmt: skip
        name = f"{namespace}/logs/{pod}"
        yield Ask(command=command, name=f"{name}.log", seconds=12, limit=4 * MIB)
        if restarted:
            yield Ask(command=(*command, "--previous"), name=f"{name}-previous.log", seconds=12)

    def _pods(self) -> list[tuple[str, str, bool]]:
        """Namespace and name of BioStudio's pods, and whether a container of it was restarted."""
        command = (*self._kubectl, "get", "pods", "--all-namespaces", "-o", _IMAGES)
        found = []
        for line in output(self.host, command, 10).splitlines():
            pod, _, images = line.partition(" ;")
            ours = any(base_image(image) in BIOSTUDIO_IMAGES for image in images.split())
            words = pod.split()
            if ours and len(words) > 1:
                found.append((words[0], words[1], any(count != "0" for count in words[2:])))
        return found
