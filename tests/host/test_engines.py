"""What engines and kernels say of themselves, understood or refused, never with a surprise."""

import http.server
import json
import socket
import struct
import sys
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biostudio_doctor.host import Host, docker, kubernetes
from biostudio_doctor.host.containerd import offers_cri
from biostudio_doctor.host.daemons import http_get_local
from biostudio_doctor.host.docker import parse_config, parse_info, parse_options
from biostudio_doctor.host.routes import Route, parse_routes
from tests.conftest import MakeHost
from tests.lab.network import free_port

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)


INFO_KEYS = st.sampled_from(["Driver", "DriverStatus", "Runtimes", "SecurityOptions", "Warnings"])


@given(st.binary(max_size=64) | st.dictionaries(INFO_KEYS, JSON).map(json.dumps).map(str.encode))
def test_any_bytes_are_an_info_or_a_value_error(body: bytes) -> None:
    with suppress(ValueError):
        parse_info(body)


def test_an_info_of_docker_29_with_nulls_where_docker_has_them() -> None:
    info = parse_info(
        b'{"Driver": "overlayfs", "DriverStatus": [["driver-type", "snapshotter.v1"]], '
        b'"SecurityOptions": ["name=apparmor", "name=rootless"], "Warnings": null, '
        b'"Runtimes": {"nvidia": {"path": "nvidia-container-runtime"}, "runc": {}}, '
        b'"HttpProxy": "http://user:word@proxy.example:3128"}'
    )
    assert info.http_proxy == "http://proxy.example:3128"
    assert info.storage_driver == "overlayfs" and info.d_type is None and info.rootless
    assert info.runtimes == ("nvidia", "runc") and info.warnings == () and not info.userns_remap


def test_nesting_without_end_is_refused() -> None:
    with pytest.raises(ValueError, match="nested too deeply"):
        parse_info(b'{"Driver": "x", "y":' + b"[" * 100_000)
    with pytest.raises(ValueError, match="nested too deeply"):
        parse_config("[" * 100_000)


@given(st.text() | JSON.map(json.dumps))
def test_any_text_is_a_configuration_or_a_value_error(text: str) -> None:
    with suppress(ValueError):
        assert isinstance(parse_config(text), dict)


@given(st.lists(st.text(max_size=12)))
def test_any_command_line_is_read(arguments: list[str]) -> None:
    assert all(isinstance(values, list) for values in parse_options(arguments).values())


def test_options_with_a_space_and_with_an_equals_sign() -> None:
    line = ["/usr/bin/dockerd", "-H", "fd://", "--log-opt", "max-size=1m", "--log-opt=max-file=3"]
    assert parse_options(line)["log-opt"] == ["max-size=1m", "max-file=3"]


def test_docker_host_leads_to_a_socket_or_elsewhere(make_host: MakeHost) -> None:
    assert docker.remote({"DOCKER_HOST": "unix:///run/x.sock"}) == "" == docker.remote({})
    assert docker.remote({"DOCKER_HOST": "ssh://me@build.example"}) == "ssh://build.example"
    host = make_host({"/run/x.sock": "", "/var/run/docker.sock": ""})
    found = docker.find(host, {"DOCKER_HOST": "unix:///run/x.sock"}, None)
    assert found and found.socket == "/run/x.sock" and found.state == "refused"


def test_a_rootless_socket_is_found_where_there_is_no_other(make_host: MakeHost) -> None:
    host = make_host({"/run/user/1000/docker.sock": "", "/var/run": "-> /run"})
    found = docker.find(host, {}, None)
    assert found and found.socket == "/run/user/1000/docker.sock"
    stale = make_host({"/run/docker.sock": "", "/run/podman/podman.sock": ""})
    lively = docker.find(stale, {}, None)
    assert lively and lively.podman  # rather than one whose socket nobody listens at
    configured = docker.find(host, {}, "/none.sock")
    assert configured and configured.state == "absent"


@pytest.mark.parametrize(
    ("config", "offers"),
    [
        (None, None),
        ("", True),
        ('disabled_plugins = ["cri"]', False),
        ('version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]', False),
        ('disabled_plugins = ["aufs"]', True),
        ("disabled_plugins = 3", None),
        ("disabled_plugins = [", None),
    ],
)
def test_whether_containerd_serves_kubernetes(config: str | None, offers: bool | None) -> None:
    assert offers_cri(config) is offers


@given(st.text())
def test_any_containerd_configuration_is_read(config: str) -> None:
    offers = offers_cri(config)
    try:
        readable = "disabled_plugins" not in tomllib.loads(config)
    except ValueError:
        assert offers is None, "what containerd cannot read says nothing"
        return
    assert offers is True or not readable


@given(st.lists(st.sampled_from(["cri", "io.containerd.grpc.v1.cri", "aufs", "cri-o", "zfs"])))
def test_any_list_of_plugins_is_searched_whole(names: list[str]) -> None:
    off = {"cri", "io.containerd.grpc.v1.cri"} & set(names)
    assert offers_cri(f"disabled_plugins = {json.dumps(names)}") is not bool(off)


@pytest.mark.parametrize(
    ("words", "version"),
    [
        ("Kubernetes v1.29.3\n", "1.29.3"),
        ("k3s version v1.31.2+k3s1 (6da20424)\ngo version go1.22.8", "1.31.2+k3s1"),
        ("kubelet: command not found", ""),
        ("", ""),
    ],
)
def test_the_version_of_a_node(words: str, version: str) -> None:
    assert kubernetes.parse_version(words) == version


ROUTES = """\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
"""


@pytest.mark.skipif(sys.byteorder != "little", reason="the sample is of a little-endian machine")
def test_routes_as_the_kernel_writes_them() -> None:
    """The first two lines are of a real machine, the third is made after one with Docker."""
    assert parse_routes(ROUTES) == [
        Route("192.0.2.0/24", "eth0"),
        Route("172.17.0.0/16", "docker0"),
    ]


@pytest.mark.parametrize(
    ("interface", "of_engine"),
    [
        ("docker0", True),
        ("br-3f2a9c01d4e5", True),
        ("br0", False),
        ("br-lan", False),
        ("eth0", False),
    ],
)
def test_whose_interface_it_is(interface: str, of_engine: bool) -> None:
    assert Route("172.17.0.0/16", interface).of_engine is of_engine


@given(st.text() | st.lists(st.text("0123456789ABCDEF-\t \n")).map("\n".join))
def test_any_routing_table_is_read(text: str) -> None:
    assert all(route.network for route in parse_routes(text))


@contextmanager
def health(status: int) -> Iterator[int]:
    """A server of HTTP on a free port of 127.0.0.1, as the kubelet's is."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/healthz" else 404)
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def test_a_kubelet_is_well_or_says_that_it_is_not() -> None:
    with health(200) as port:
        assert http_get_local(Host(), port, "/healthz", 2).state == "answers"
    assert http_get_local(Host(), free_port(), "/healthz", 2).state == "refused"
    with health(500) as port:
        answer = http_get_local(Host(), port, "/healthz", 2)
    assert answer.state == "odd" and "HTTP 500" in answer.detail


def test_a_kubelet_that_hangs() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        answer = http_get_local(Host(), server.getsockname()[1], "/healthz", 0.1)
    assert answer.state == "silent"


def test_one_that_resets_is_not_taken_for_an_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def reset() -> None:
            connection, _ = server.accept()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()

        thread = threading.Thread(target=reset, daemon=True)
        thread.start()
        answer = http_get_local(Host(), server.getsockname()[1], "/healthz", 2)
        thread.join(5)
    assert answer.state == "odd"


def test_what_the_kubelet_program_says_is_asked_for_only_on_a_node(tmp_path: Path) -> None:
    assert kubernetes.find(Host(str(tmp_path))) is None
