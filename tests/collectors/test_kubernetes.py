"""The collector `kubernetes`: the real kubectl, asking a made API server."""

import json
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from biostudio_doctor.host import Host
from tests.conftest import MakeHost
from tests.lab.collecting import Collection, collect
from tests.lab.kubernetes_api import Api, serving

SECRET, VALUE, SETTING, OTHERS = (secrets.token_hex(8) for _ in range(4))


def named(name: str, namespace: str = "", **more: Any) -> dict[str, Any]:
    where = {"namespace": namespace} if namespace else {}
    return {"metadata": {"name": name, **where, **more.pop("metadata", {})}, **more}


def pod(name: str, namespace: str, image: str, restarts: int) -> dict[str, Any]:
    env = [
        {"name": "PG_PASSWORD", "value": VALUE},
        {"name": "PG_HOST", "value": "bioproxy"},
        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "biostudio", "key": "token"}}},
    ]
    container = {"name": "main", "image": image, "env": env, "args": ["--password", VALUE]}
    applied = {"kubectl.kubernetes.io/last-applied-configuration": json.dumps(env)}
    return named(
        name,
        namespace,
        metadata={"annotations": applied, "managedFields": [{"manager": VALUE}]},
        spec={"containers": [container]},
        status={"phase": "Running", "containerStatuses": [
            {"name": "main", "restartCount": restarts, "image": image, "ready": True}
        ]},
    )  # fmt: skip


OBJECTS = {
    "nodes": [named("node-1")],
    "storageclasses": [named("fast", provisioner="lab")],
    "pods": [
        pod("biocolab-0", "bio", "bioturing/biocolab:2.0.50", 3),
        pod("bioproxy-0", "bio", "registry.example:5000/bioturing/bioproxy:1.0.28@sha256:1", 0),
        pod("payroll-0", OTHERS, "payroll:1", 0),
    ],
    "statefulsets": [named("biocolab", "bio", spec={"replicas": 1})],
    "configmaps": [named("settings", "bio", data={"config.yaml": SETTING})],
    "secrets": [named("biostudio", "bio", data={"token": SECRET})],
    "events": [
        named(
            "pulled", "bio", reason="Pulled", message="image is there", type="Normal",
            involvedObject={"kind": "Pod", "name": "biocolab-0"},
            lastTimestamp="2026-11-24T10:00:00Z",
        )
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def api() -> Api:
    return Api(OBJECTS, {"biocolab-0": "hub is up\n", "bioproxy-0": "haproxy is up\n"})


@pytest.fixture(scope="module")
def got(api: Api, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    if not shutil.which("kubectl"):
        pytest.skip("needs kubectl")
    with serving(api, tmp_path_factory.mktemp("api")) as config, pytest.MonkeyPatch.context() as m:
        m.setenv("KUBECONFIG", str(config))
        m.setenv("HOME", str(config.parent))  # where kubectl keeps what it has learnt
        yield collect(Host(), "kubernetes", platform="kubernetes")


def test_nothing_failed(got: Collection) -> None:
    troubles = {path: why for path, why in got.troubles.items() if "top-nodes" not in path}
    assert not troubles and got.of["kubernetes"].outcome != "failed"


def test_secrets_are_not_even_asked_for(got: Collection, api: Api) -> None:
    assert any("/pods" in path for path in api.asked)
    assert not any("secrets" in path for path in api.asked)
    for secret in (SECRET, VALUE, SETTING, OTHERS):
        assert secret.encode() not in got.everything


def test_objects_of_biostudio(got: Collection) -> None:
    pods = json.loads(got.text("kubernetes/bio/pods.json"))["items"]
    assert {one["metadata"]["name"] for one in pods} == {"biocolab-0", "bioproxy-0"}
    container = pods[0]["spec"]["containers"][0]
    assert {entry["name"]: entry.get("value") for entry in container["env"]} == {
        "PG_PASSWORD": "(left out)", "PG_HOST": "bioproxy", "TOKEN": None,
    }  # fmt: skip
    assert container["env"][2]["valueFrom"]["secretKeyRef"]["name"] == "biostudio"
    assert container["args"] == ["(2 arguments left out)"]
    assert "managedFields" not in pods[0]["metadata"]
    assert json.loads(got.text("kubernetes/bio/statefulsets.json"))["items"][0]["spec"]
    assert got.text("kubernetes/bio/configmaps.txt") == "settings config.yaml\n"
    assert "image is there" in got.text("kubernetes/bio/events.txt")


def test_the_cluster(got: Collection) -> None:
    assert "node-1" in got.text("kubernetes/cluster/nodes.json")
    assert "node-1" in got.text("kubernetes/nodes.txt")
    assert "fast" in got.text("kubernetes/cluster/storageclasses.json")
    assert "v1.31.0" in got.text("kubernetes/version.txt")


def test_logs(got: Collection) -> None:
    assert "hub is up" in got.text("kubernetes/bio/logs/biocolab-0.log")
    assert "haproxy is up" in got.text("kubernetes/bio/logs/bioproxy-0.log")
    assert "kubernetes/bio/logs/biocolab-0-previous.log" in got.content
    assert "kubernetes/bio/logs/bioproxy-0-previous.log" not in got.content


def test_an_api_server_that_is_gone_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not shutil.which("kubectl"):
        pytest.skip("needs kubectl")
    with serving(Api({}, {}), tmp_path) as config:
        pass
    monkeypatch.setenv("KUBECONFIG", str(config))
    monkeypatch.setenv("HOME", str(tmp_path))
    got = collect(Host(), "kubernetes", platform="kubernetes")
    assert list(got.files) == ["kubernetes/biostudio-pods.txt"]
    assert "refused" in got.troubles["kubernetes/biostudio-pods.txt"]


def test_another_cluster_of_whoever_runs_this_is_left_alone(
    make_host: MakeHost, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path))
    got = collect(make_host({"/usr/bin/kubectl": ""}), "kubernetes")
    assert got.of["kubernetes"].reason == (
        "the platform is Docker, and this host is no node of a cluster"
    )


def test_logs_of_pods_on_a_node(make_host: MakeHost) -> None:
    pods = "/var/log/pods"
    host = make_host({
        "/var/lib/kubelet/config.yaml": "",
        f"{pods}/bio_biocolab-0_uid/main/0.log": "hub is up\n",
        f"{pods}/bio_biocolab-0_uid/main/link.log": "-> /etc/shadow",
        f"{pods}/kube-system_dns_uid/dns/1.log": "dns\n",
        f"{pods}/{OTHERS}_payroll-0_uid/main/0.log": OTHERS,
        "/etc/shadow": SECRET,
    })  # fmt: skip
    got = collect(host, "kubernetes")
    assert "no kubectl" in got.troubles["kubernetes/state.txt"]
    assert got.text(f"kubernetes{pods}/bio_biocolab-0_uid/main/0.log") == "hub is up\n"
    assert got.text(f"kubernetes{pods}/kube-system_dns_uid/dns/1.log") == "dns\n"
    assert SECRET.encode() not in got.everything and OTHERS.encode() not in got.everything
