"""The collectors `docker`, `containerd` and `biostudio` on engines of our own."""

import io
import json
import secrets
import socket
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biostudio_doctor.collectors import pruning
from biostudio_doctor.collectors.docker_api import demultiplexed
from biostudio_doctor.host import Host
from tests.conftest import MakeHost
from tests.lab import engines
from tests.lab.collecting import NOW, Collection, collect

IMAGE = "bioturing/biocolab:2.0.50"
#: Made at each run: none of these may be in what collectors take, redacted or not.
PASSWORD, ARGUMENT, LICENSE, KEY, DATABASE, PERSON = (secrets.token_hex(8) for _ in range(6))
PROGRAM = r"""
#include <stdio.h>
#include <unistd.h>
int main(void) {
    puts("jupyterhub listens on 18000"); fflush(stdout);
    fputs("hub: a warning\n", stderr);
    return pause();
}
"""


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    reason = engines.why_not()
    if reason:
        pytest.skip(reason)
    work = tmp_path_factory.mktemp("image")
    (work / "serve.c").write_text(PROGRAM)
    subprocess.run(["gcc", "-static", "-o", "serve", "serve.c"], cwd=work, check=True)
    image = tarfile.open(work / "root.tar", "w")  # noqa: SIM115
    image.add(work / "serve", "serve")
    logs = {
        "t2d_dsc_tool_stderr.log": b"t2d: cannot reach studio.bioturing.com\n",
        "nginx_stdout.log": b"a line of nginx\n" * 300_000,  # 4.8 MB
        "empty.log": b"",
        "old.log": b"long ago\n",
    }
    for name, content in logs.items():
        info = tarfile.TarInfo(f"var/log/supervisor/{name}")
        info.size, info.mtime = len(content), 0 if name == "old.log" else int(time.time())
        image.addfile(info, io.BytesIO(content))
    link = tarfile.TarInfo("var/log/supervisor/shadow.log")
    link.type, link.linkname, link.mtime = tarfile.SYMTYPE, "/etc/shadow", int(time.time())
    image.addfile(link)
    shadow = tarfile.TarInfo("etc/shadow")
    shadow.size = len(KEY)
    image.addfile(shadow, io.BytesIO(KEY.encode()))
    image.close()
    lab = engines.Engines()
    volumes(lab)

    def docker(*command: str) -> None:
        address = f"unix://{lab.docker_socket}"
        subprocess.run(["docker", "-H", address, *command], check=True, capture_output=True)

    try:
        lab.dockerd(alone=True)
        docker("import", str(work / "root.tar"), IMAGE)
        docker(
            "run", "-d", "--name", "node", "--network=none",
            "-e", f"PG_PASSWORD={PASSWORD}", "-e", "PG_HOST=10.1.2.3",
            "-e", f"HTTP_PROXY=http://me:{PASSWORD}@proxy:3128",
            "--label", "com.docker.compose.project.config_files=/opt/compose.yml,/opt/c.yml",
            IMAGE, "/serve", f"--token={ARGUMENT}",
        )  # fmt: skip
        docker("create", "--name", "ended", "--network=none", IMAGE, "/serve")
        try:
            yield Host(str(lab.root))
        finally:
            docker("rm", "-f", "node", "ended")
    finally:
        lab.close()


def volumes(lab: engines.Engines) -> None:
    """As the vendor's installer makes them, with what is nobody's business in them."""
    lab.write("/usr/sbin/dockerd", "")
    lab.write("/etc/docker/daemon.json", '{"log-driver": "json-file"}')
    lab.write("/etc/docker/key.json", KEY)
    lab.write("/root/.docker/config.json", KEY)
    lab.write("/opt/compose.yml", "services: {}\n")
    lab.write("/opt/c.yml", KEY)
    lab.write("/biocolab/appdata/logs/jupyterhub.log", "[I] JupyterHub is up\n")
    lab.write("/biocolab/appdata/.bbcache/lab.license", LICENSE)
    lab.write("/biocolab/appdata/.env", f"PASSWORD={KEY}")
    lab.write("/biocolab/configs/tls.key", f"-----BEGIN PRIVATE KEY-----\n{KEY}\n")
    lab.write("/biocolab/configs/haproxy.cfg", "global\n")
    lab.write("/biocolab/metadata/data/base/1/1259", DATABASE)
    lab.write("/biocolab/metadata/data/postgresql.conf", "max_connections = 5000\n")
    lab.write(f"/biocolab/userdata/{PERSON}/thesis.ipynb", PERSON)
    lab.write(f"/biocolab/userdata/{PERSON}/.bash_history", KEY)
    (lab.root / "biocolab/appdata/logs/evil.log").symlink_to("/biocolab/configs/tls.key")


@pytest.fixture(scope="module")
def got(host: Host) -> Collection:
    return collect(host, "docker", "biostudio", "containerd")


def test_nothing_failed(got: Collection) -> None:
    assert not got.troubles


def test_nothing_of_what_is_secret_or_private(got: Collection) -> None:
    for secret in (PASSWORD, ARGUMENT, LICENSE, KEY, DATABASE, PERSON):
        assert secret.encode() not in got.everything


def test_what_the_engine_says(got: Collection) -> None:
    assert json.loads(got.text("docker/info.json"))["Containers"] == 2
    names = [one["Names"] for one in json.loads(got.text("docker/containers.json"))]
    assert sorted(names) == [["/ended"], ["/node"]]
    assert IMAGE in got.text("docker/images.json")
    assert "LayersSize" in json.loads(got.text("docker/disk-usage.json"))
    for name in ("version", "networks", "volumes"):
        assert json.loads(got.text(f"docker/{name}.json"))
    assert "json-file" in got.text("docker/etc/docker/daemon.json")


def test_a_container_without_its_secrets(got: Collection) -> None:
    node = json.loads(got.text("docker/containers/node.json"))
    env = node["Config"]["Env"]
    assert "PG_PASSWORD=(left out)" in env and "PG_HOST=10.1.2.3" in env
    assert "HTTP_PROXY=http://proxy:3128" in env
    assert node["Args"] == ["(1 arguments left out)"]
    assert node["State"]["Running"] and node["HostConfig"]["NetworkMode"] == "none"
    ended = json.loads(got.text("docker/containers/ended.json"))
    assert ended["State"]["Status"] == "created"


def test_logs_of_containers(got: Collection) -> None:
    lines = got.text("docker/containers/node.log").splitlines()
    assert len(lines) == 2 and all(line.startswith(f"{NOW:%Y-}") for line in lines), "no frames"
    assert any(line.endswith("Z jupyterhub listens on 18000") for line in lines)
    assert any(line.endswith("Z hub: a warning") for line in lines)
    assert got.content["docker/containers/ended.log"] == b""


def test_events(got: Collection) -> None:
    events = [json.loads(line) for line in got.text("docker/events.jsonl").splitlines()]
    actions = [event["action"] for event in events if event["attributes"].get("name") == "node"]
    assert "create" in actions and "start" in actions


def test_logs_inside_containers_running_or_not(got: Collection) -> None:
    inside = "var/log/supervisor"
    for name in ("node", "ended"):
        log = got.text(f"biostudio/{name}/{inside}/t2d_dsc_tool_stderr.log")
        assert log == "t2d: cannot reach studio.bioturing.com\n"
    long = got.files[f"biostudio/node/{inside}/nginx_stdout.log"]
    assert long.outcome == "cut" and long.left_out > 500_000
    left = ("empty.log", "old.log", "shadow.log")
    assert not any(path.endswith(left) for path in got.files)


def test_files_of_volumes(got: Collection) -> None:
    volumes = {path for path in got.content if path.startswith("biostudio/biocolab/")}
    assert volumes == {
        f"biostudio/biocolab/{path}"
        for path in (
            "appdata/logs/jupyterhub.log", "appdata/logs/evil.log", "configs/haproxy.cfg",
            "metadata/data/postgresql.conf",
        )
    }  # fmt: skip
    evil = got.files["biostudio/biocolab/appdata/logs/evil.log"]
    assert evil.outcome == "skipped" and "link" in evil.reason
    assert got.text("biostudio/opt/compose.yml") == "services: {}\n"


def test_the_listing_of_volumes(got: Collection) -> None:
    listing = got.text("biostudio/volumes.txt")
    assert "lab.license" in listing and "tls.key" in listing and "-rw-r--r--" in listing
    user = listing.partition("/biocolab/userdata\n")[2].partition("\n\n")[0]
    assert len(user.splitlines()) == 2, "the directory itself, and nothing in it"


def test_commands_run_in_a_container_are_not_told(host: Host) -> None:
    address = f"unix://{host.root}/var/run/docker.sock"
    command = ["docker", "-H", address, "exec", "node", "/serve", f"--password={ARGUMENT}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as run:
        assert run.stdout and run.stdout.readline()
        got = collect(host, "docker")
        run.kill()
    assert "exec_start" in got.text("docker/events.jsonl")
    assert ARGUMENT.encode() not in got.everything


def test_an_engine_that_is_down_leaves_its_configuration(make_host: MakeHost) -> None:
    host = make_host({"/usr/sbin/dockerd": "", "/etc/docker/daemon.json": "{", "/run": None})
    got = collect(host, "docker", "biostudio")
    assert got.troubles == {"docker/state.txt": "no Docker Engine was found running here"}
    assert got.of["docker"].outcome == "partial"
    assert got.text("docker/etc/docker/daemon.json") == "{"
    assert got.of["biostudio"].reason == "BioStudio has neither a container nor a volume here"


def test_an_engine_that_refuses_is_no_engine_without_containers(make_host: MakeHost) -> None:
    """Nobody may think that there are no logs of containers, where they were not to be had."""
    host = make_host({"/biocolab/appdata/logs/jupyterhub.log": "up\n", "/var/run": None})
    address = Path(host.root, "var/run/docker.sock")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(address))  # and nobody listens
        got = collect(host, "docker", "biostudio")
    assert got.of["docker"].outcome == got.of["biostudio"].outcome == "partial"
    assert "refused" in got.troubles["docker/state.txt"]
    assert got.troubles["biostudio/containers"] == got.troubles["docker/state.txt"]
    assert got.text("biostudio/biocolab/appdata/logs/jupyterhub.log") == "up\n"


def test_links_that_containers_may_have_planted_in_volumes(make_host: MakeHost) -> None:
    canary = secrets.token_hex(8)
    host = make_host({
        f"/home/alice/{canary}.log": canary, "/biocolab/appdata/logs": "-> /home/alice",
        "/biocolab/appdata/apps": "-> ../../home/alice", "/biocolab/configs/a.cfg": "-> ../x.cfg",
        "/biocolab/x.cfg": canary, "/biocolab/metadata/data": "-> /home/alice",
        "/home/alice/postgresql.conf": canary,
    })  # fmt: skip
    got = collect(host, "biostudio")
    assert canary.encode() not in got.everything
    assert "/biocolab/appdata/logs: it is a link" in got.text("biostudio/volumes.txt")


def test_no_engine_at_all(make_host: MakeHost) -> None:
    got = collect(make_host({"/etc/hostname": "lab\n"}), "docker", "containerd", "gpu")
    assert {one.outcome for one in got.of.values()} == {"skipped"}
    assert got.of["docker"].reason == "no Docker Engine is here"
    assert got.of["containerd"].reason == "neither containerd nor CRI-O is here"
    assert got.of["gpu"].reason == "neither a GPU nor a program of NVIDIA's is here"


def test_an_archive_that_is_none_is_told(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the engine, or who stands in for it, sends anything."""
    from biostudio_doctor.collectors.docker_api import Engine

    monkeypatch.setattr(Engine, "stream", lambda *_, **__: iter([b"no tar" * 200]))
    got = collect(host, "biostudio")
    assert "is no tar" in got.troubles["biostudio/node/var/log/supervisor"]
    assert got.text("biostudio/volumes.txt")


# --- Pure pieces ------------------------------------------------------------------------------


@given(st.lists(st.binary(max_size=40)), st.integers(1, 9))
def test_frames_cut_anywhere_are_joined(payloads: list[bytes], size: int) -> None:
    framed = b"".join(
        bytes([1 + number % 2, 0, 0, 0]) + len(payload).to_bytes(4, "big") + payload
        for number, payload in enumerate(payloads)
    )
    pieces = [framed[at : at + size] for at in range(0, len(framed), size)]
    assert b"".join(demultiplexed(pieces)) == b"".join(payloads)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(
        st.sampled_from(["env", "args", "command", "annotations", "Config", "Env", "name"]), inner
    ),
)  # fmt: skip


@given(JSON)
def test_any_object_is_pruned(thing: Any) -> None:
    pruning.kubernetes(thing)
    json.dumps(pruning.kubernetes(thing))


@given(st.dictionaries(st.sampled_from(["Config", "Args", "Cmd"]), JSON))
def test_any_container_is_pruned(thing: dict[str, Any]) -> None:
    json.dumps(pruning.container(thing))


def test_values_of_unknown_variables_are_left_out() -> None:
    given_ = ["A=1", "HOST=h", "no_proxy=x", "B", "REDIS_LIST=redis://:pw@h:6379"]
    assert pruning.environment(given_) == [
        "A=(left out)", "HOST=h", "no_proxy=x", "B=(left out)", "REDIS_LIST=redis://h:6379",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def with_containerd() -> Iterator[Host]:
    reason = engines.why_not()
    if reason:
        pytest.skip(reason)
    lab = engines.Engines()
    try:
        lab.containerd()
        yield Host(str(lab.root))
    finally:
        lab.close()


def test_what_containerd_is_asked(with_containerd: Host, tmp_path: Path) -> None:
    """Its commands, which another root's host is not asked by the engine, by hand."""
    from biostudio_doctor.collector import Ask, Surroundings, Window
    from biostudio_doctor.collectors.containerd import ContainerdCollector
    from biostudio_doctor.config import Config

    local = Host()
    surroundings = Surroundings(
        host=local, machine=local.machine, config=Config(), window=Window(since=NOW, until=NOW)
    )
    collector = ContainerdCollector(surroundings)
    socket = f"{with_containerd.root}/run/containerd/containerd.sock"
    asked = [item for item in collector._ctr(socket, "lab") if isinstance(item, Ask)]
    assert asked
    for ask in asked:
        done = subprocess.run(ask.command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{ask.command}: {done.stderr}"
        if ask.name.endswith("plugins.txt"):
            assert "overlayfs" in done.stdout
