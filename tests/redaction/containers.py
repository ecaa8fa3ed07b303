"""What container engines and clusters write: environments, objects, annotations."""

import json
import shlex
from random import Random

from .filetypes import KEEP, block, double, filetype, flat, single, snake, upper
from .material import Material, b64


@filetype("Docker inspect")
def inspect(m: Material, rnd: Random) -> str:
    envs = ["PATH=/usr/local/bin:/usr/bin", *(f"{upper(e)}={e.value}" for e in m.entries)]
    return json.dumps(
        [
            {
                "Id": "x",
                "Name": "/biocolab",
                "Config": {
                    "Hostname": "db.lab.example",
                    "Env": envs,
                    "Cmd": None,
                    "ExposedPorts": {"5432/tcp": {}},
                },
            }
        ],
        indent=4,
    )


@filetype("docker run")
def docker_run(m: Material, rnd: Random) -> str:
    flags = [
        f"-e {upper(e)}={shlex.quote(e.value)}"
        if rnd.random() < 0.5
        else f"--env {shlex.quote(upper(e) + '=' + e.value)}"
        for e in m.entries
    ]
    given = " ".join([*flags, "-e PG_HOST=db.lab.example"])
    return f"docker run -d --name biocolab -p 5432:5432 {given} image:1\n"


@filetype("Docker compose")
def compose(m: Material, rnd: Random) -> str:
    lines = [
        f"      - {single(upper(e) + '=' + flat(e.value))}"
        if rnd.random() < 0.5
        else f"      - {upper(e)}={flat(e.value)}"
        for e in m.entries
    ]
    return "\n".join(
        [
            "services:",
            "  biocolab:",
            "    environment:",
            "      - PG_HOST=db.lab.example",
            *lines,
            "    ports:",
            '      - "5432:5432"',
            "",
        ]
    )


@filetype("Kubernetes Secret, YAML")
def secret_yaml(m: Material, rnd: Random) -> str:
    lines = [f"  {snake(e)}: {b64(e.value.encode())}" for e in m.entries]
    return "\n".join(
        [
            "apiVersion: v1",
            "kind: Secret",
            "metadata:",
            "  name: biocolab",
            "  namespace: db.lab.example",
            "type: Opaque",
            "data:",
            *lines,
            "---",
            "kind: Service",
            "port: 5432",
            "",
        ]
    )


@filetype("Kubernetes Secret, JSON")
def secret_json(m: Material, rnd: Random) -> str:
    data = {f"{snake(e)}": b64(e.value.encode()) for e in m.entries}
    thing = {
        "apiVersion": "v1",
        "data": data,
        "kind": "Secret",
        "metadata": {"name": "biocolab", "namespace": "db.lab.example", "uid": "5432"},
    }
    return json.dumps({"items": [thing]}, indent=rnd.choice((None, 4)))


@filetype("pod environment, YAML")
def pod_yaml(m: Material, rnd: Random) -> str:
    lines = [
        f"    - name: {upper(e)}\n      value: "
        + (block(e.value, "        ").rstrip() if "\n" in e.value else double(e.value))
        for e in m.entries
    ]
    return "\n".join(
        [
            "kind: Pod",
            "spec:",
            "  containers:",
            "  - name: biocolab",
            "    env:",
            "    - name: PG_HOST",
            "      value: db.lab.example",
            *lines,
            "    ports:",
            "    - containerPort: 5432",
            "",
        ]
    )


@filetype("pod environment, JSON")
def pod_json(m: Material, rnd: Random) -> str:
    envs = [{"name": "PG_HOST", "value": KEEP[0]}] + [
        {"name": upper(e), "value": e.value} for e in m.entries
    ]
    pod = {"kind": "Pod", "spec": {"containers": [{"name": "biocolab", "env": envs, "port": 5432}]}}
    return json.dumps(pod, indent=rnd.choice((None, 2)))


@filetype("kubectl's annotation")
def annotation(m: Material, rnd: Random) -> str:
    """kubectl keeps what was applied, escaped, in the object."""
    pod = {"env": [{"name": upper(e), "value": e.value} for e in m.entries], "port": 5432}
    key = "kubectl.kubernetes.io/last-applied-configuration"
    return json.dumps(
        {
            "metadata": {
                "annotations": {key: json.dumps(pod) + "\n"},
                "name": "biocolab",
                "host": KEEP[0],
            }
        },
        indent=2,
    )
