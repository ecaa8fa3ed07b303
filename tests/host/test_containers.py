"""What Docker says of its containers; that it says it for real is tried with the ports."""

import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biostudio_doctor.host import Host
from biostudio_doctor.host.containers import (
    Container,
    Startup,
    parse_containers,
    parse_startup,
    startup,
)
from tests.lab import engines

ID = "3f" * 32
#: As Docker 20.10 replies, shortened.
REPLY = [
    {
        "Id": ID,
        "Names": ["/bioproxy", "/web/bioproxy"],
        "Image": "bioturing/bioproxy:1.0.28",
        "Ports": [
            {"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 80, "Type": "tcp"},
            {"IP": "::", "PrivatePort": 80, "PublicPort": 80, "Type": "tcp"},
            {"PrivatePort": 5432, "Type": "tcp"},
            {"IP": "0.0.0.0", "PrivatePort": 111, "PublicPort": 111, "Type": "udp"},
        ],
    }
]


def test_a_reply() -> None:
    assert parse_containers(json.dumps(REPLY).encode()) == [
        Container(id=ID, name="bioproxy", image="bioturing/bioproxy:1.0.28", ports=(80,))
    ]


@given(st.one_of(st.binary(), st.text().map(lambda text: json.dumps([{"Id": text}]).encode())))
def test_no_reply_raises(body: bytes) -> None:
    parse_containers(body)


def test_replies_that_are_none() -> None:
    for body in (b"", b"{}", b"[1]", b'[{"Ports": 1}]', b"[" * 100_000, b'[{"Names": []}]'):
        assert [item.name for item in parse_containers(body)] in ([], [""])


def inspected(started: str, **more: object) -> bytes:
    """As Docker 20.10 replies to /containers/ID/json, shortened."""
    return json.dumps({"Id": ID, "State": {"StartedAt": started}, **more}).encode()


IMAGE = "bioturing/biocolab:2.0.50"
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def test_since_when_a_container_runs() -> None:
    reply = inspected("2026-11-24T11:56:30.123456789Z", RestartCount=3)
    assert parse_startup(reply, "node", NOW) == Startup(name="node", age=209.9, restarts=3)
    ahead = parse_startup(inspected("2026-11-24T13:00:00+00:00"), "node", NOW)
    assert ahead == Startup(name="node", age=0.0, restarts=0)


@given(st.one_of(st.binary(), st.text().map(inspected)))
def test_no_reply_about_a_start_raises(body: bytes) -> None:
    parse_startup(body, "node", NOW)


def test_replies_that_tell_of_no_start() -> None:
    for body in (b"", b"{}", b'{"State": {}}', inspected("2026-11-24T11:00:00"), b"[" * 100_000):
        assert parse_startup(body, "node", NOW) is None


@pytest.mark.skipif(bool(engines.why_not()), reason=str(engines.why_not()))
def test_a_real_engine_tells_since_when_its_container_runs(tmp_path: Path) -> None:
    """A program that sleeps, in an image that is named as the vendor's."""
    (tmp_path / "pause.c").write_text("#include <unistd.h>\nint main(void) { return pause(); }\n")
    subprocess.run(["gcc", "-static", "-o", "pause", "pause.c"], cwd=tmp_path, check=True)
    subprocess.run(["tar", "-cf", "root.tar", "pause"], cwd=tmp_path, check=True)
    lab = engines.Engines()
    host = Host(str(lab.root))

    def docker(*command: str) -> None:
        address = f"unix://{lab.docker_socket}"
        subprocess.run(["docker", "-H", address, *command], check=True, capture_output=True)

    try:
        lab.dockerd(alone=True)
        docker("import", str(tmp_path / "root.tar"), IMAGE)
        assert startup(host, 11123, ["biocolab"]) is None
        docker("run", "-d", "--name", "node", "--network=none", IMAGE, "/pause")
        try:
            found = startup(host, 11123, ["biocolab"])
            assert found and (found.name, found.restarts) == ("node", 0) and found.age < 60
            assert startup(host, 11123, ["bioproxy"]) is None
        finally:
            docker("rm", "-f", "node")
    finally:
        lab.close()
