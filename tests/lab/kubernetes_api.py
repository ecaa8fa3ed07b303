"""A made Kubernetes API server, for the real kubectl: what it is asked is written down.

No API server can be had here. This one knows how to tell which kinds there are, and gives lists,
single objects and logs; it is no test of Kubernetes, only of the questions that kubectl is told.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

Object = dict[str, Any]

#: Plural, kind and whether it is in a namespace, by group.
KINDS = {
    "v1": {
        "nodes": ("Node", False), "persistentvolumes": ("PersistentVolume", False),
        "pods": ("Pod", True), "services": ("Service", True), "endpoints": ("Endpoints", True),
        "persistentvolumeclaims": ("PersistentVolumeClaim", True), "events": ("Event", True),
        "configmaps": ("ConfigMap", True), "secrets": ("Secret", True),
        "resourcequotas": ("ResourceQuota", True), "limitranges": ("LimitRange", True),
    },
    "apps/v1": {
        "statefulsets": ("StatefulSet", True), "deployments": ("Deployment", True),
        "daemonsets": ("DaemonSet", True), "replicasets": ("ReplicaSet", True),
    },
    "batch/v1": {"jobs": ("Job", True)},
    "networking.k8s.io/v1": {
        "ingresses": ("Ingress", True), "networkpolicies": ("NetworkPolicy", True),
        "ingressclasses": ("IngressClass", False),
    },
    "storage.k8s.io/v1": {
        "storageclasses": ("StorageClass", False), "csidrivers": ("CSIDriver", False),
    },
    "node.k8s.io/v1": {"runtimeclasses": ("RuntimeClass", False)},
}  # fmt: skip


class Api:
    """What there is (by plural), logs (by pod), and the paths that were asked for."""

    def __init__(self, objects: dict[str, list[Object]], logs: dict[str, str]) -> None:
        self.objects = objects
        self.logs = logs
        self.asked: list[str] = []

    def answer(self, path: str) -> Any:
        """The reply; None for what there is not."""
        if path == "/version":
            return {"major": "1", "minor": "31", "gitVersion": "v1.31.0"}
        if path == "/api":
            return {"kind": "APIVersions", "versions": ["v1"]}
        if path == "/apis":
            groups = [group for group in KINDS if "/" in group]
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": list(map(_group, groups))}
        for group, kinds in KINDS.items():
            base = f"/apis/{group}" if "/" in group else f"/api/{group}"
            if path == base:
                return _kinds(group, kinds)
            if path.startswith(f"{base}/"):
                return self._objects(group, kinds, path.removeprefix(f"{base}/").split("/"))
        return None

    def _objects(self, group: str, kinds: dict[str, Any], parts: list[str]) -> Any:
        namespace = parts[1] if parts[0] == "namespaces" and len(parts) > 2 else ""
        plural, *rest = parts[2:] if namespace else parts
        if plural not in kinds:
            return None
        kind = kinds[plural][0]
        found = [
            {"apiVersion": group, "kind": kind, **one}
            for one in self.objects.get(plural, [])
            if namespace in ("", one["metadata"].get("namespace"))
        ]
        if not rest:
            return {"apiVersion": group, "kind": f"{kind}List", "metadata": {}, "items": found}
        if rest[1:] == ["log"]:
            return self.logs.get(rest[0], "")
        return next((one for one in found if one["metadata"]["name"] == rest[0]), None)


def _group(group: str) -> Object:
    version = {"groupVersion": group, "version": "v1"}
    return {"name": group.partition("/")[0], "versions": [version], "preferredVersion": version}


def _kinds(group: str, kinds: dict[str, Any]) -> Object:
    resources = [
        {"name": plural, "namespaced": inside, "kind": kind, "verbs": ["get", "list"]}
        for plural, (kind, inside) in kinds.items()
    ]  # fmt: skip
    return {"kind": "APIResourceList", "groupVersion": group, "resources": resources}


@contextmanager
def serving(api: Api, directory: Path) -> Iterator[Path]:
    """Serve it on a free port; the configuration for kubectl."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            api.asked.append(self.path)
            reply = api.answer(urlsplit(self.path).path)
            if isinstance(reply, str):
                body, kind = reply.encode(), "text/plain"
            else:
                body, kind = json.dumps(reply or {"kind": "Status"}).encode(), "application/json"
            self.send_response(404 if reply is None else 200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    config = directory / "kubeconfig"
    cluster = {"server": f"http://127.0.0.1:{server.server_port}"}
    context = {"cluster": "lab", "user": "lab"}
    config.write_text(json.dumps({
        "apiVersion": "v1", "kind": "Config", "current-context": "lab",
        "clusters": [{"name": "lab", "cluster": cluster}],
        "contexts": [{"name": "lab", "context": context}], "users": [{"name": "lab", "user": {}}],
    }))  # fmt: skip
    try:
        yield config
    finally:
        server.shutdown()
        server.server_close()
