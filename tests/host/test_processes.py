"""Processes: what a control group's path tells of them, and real ones."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biostudio_doctor.host import Host
from biostudio_doctor.host.processes import (
    largest,
    named,
    parse_container,
    parse_unit,
    pids,
    process,
    user_name,
)
from tests.conftest import MakeHost

ID = "3f" * 32


@pytest.mark.parametrize(
    ("groups", "unit"),
    [
        ("0::/system.slice/nginx.service\n", "nginx.service"),
        ("0::/system.slice/system-pg.slice/pg@15-main.service", "pg@15-main.service"),
        ("1:name=systemd:/system.slice/httpd.service\n4:memory:/\n", "httpd.service"),
        ("0::/db.slice/redis.service/worker\n", "redis.service"),
        ("0::/../../system.slice/nginx.service\n", "nginx.service"),
        ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/x.service\n", ""),
        ("0::/user.slice/user-1000.slice/session-3.scope\n", ""),
        ("0::/init.scope\n", ""),
        (f"0::/system.slice/docker-{ID}.scope\n", ""),
        ("", ""),
    ],
)  # fmt: skip
def test_the_unit(groups: str, unit: str) -> None:
    assert parse_unit(groups) == unit


@pytest.mark.parametrize(
    ("groups", "engine"),
    [
        (f"0::/system.slice/docker-{ID}.scope\n", "docker"),
        (f"9:pids:/docker/{ID}\n", "docker"),
        (f"0::/machine.slice/libpod-{ID}.scope/container\n", "podman"),
        (f"0::/kubepods.slice/kubepods-burstable.slice/cri-containerd-{ID}.scope\n", "kubernetes"),
        (f"4:memory:/kubepods/besteffort/pod1/{ID}\n", "kubernetes"),
        (f"0::/default/{ID}\n", ""),
    ],
)
def test_the_container(groups: str, engine: str) -> None:
    assert parse_container(groups) == (engine, ID)


@pytest.mark.parametrize(
    "groups", ["", "0::/\n", "0::/system.slice/docker.service\n", f"0::/{ID}ff\n"]
)
def test_no_container(groups: str) -> None:
    assert parse_container(groups) == ("", "")


@given(st.text())
def test_parsers_never_raise(text: str) -> None:
    for groups in (text, f"0::/system.slice/{text}", f"0::/docker/{text}"):
        parse_unit(groups)
        parse_container(groups)


def test_this_process() -> None:
    host = Host()
    assert os.getpid() in pids(host) and pids(host)[0] == 1
    comm = host.read("/proc/self/comm").strip()
    assert process(host, os.getpid()).name == comm


def test_the_largest_processes_hold_what_they_hold() -> None:
    ballast = bytearray(os.urandom(1 << 20)) * 200
    found = {item.pid: item.size for item in largest(Host(), 5)}
    assert len(ballast) < found[os.getpid()] < 4 * len(ballast)
    assert list(found.values()) == sorted(found.values(), reverse=True)


def test_processes_by_name_are_looked_at_once(make_host: MakeHost) -> None:
    """However many checks ask, and at the same time."""
    activities: list[str] = []
    tree = {"/proc/7/comm": "chronyd\n", "/proc/8/comm": "dockerd\n", "/proc/9": None}
    host = Host(make_host({**tree, "/proc/self/comm": "dockerd\n"}).root, activities.append)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda name: named(host, [name]), ["chronyd", "dockerd", "ntpd"]))
    assert found == [{7: "chronyd"}, {8: "dockerd"}, {}]
    assert activities.count("look at the names of all processes") == 1
    make_host({"/proc/10/comm": "ntpd\n"})  # another host
    assert named(host, ["ntpd"]) == {10: "ntpd"}


def test_a_name_is_never_read_from_outside_the_root(make_host: MakeHost, tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("secret\n")
    host = make_host({"/proc/7/comm": f"-> {tmp_path}/outside", "/proc/8/comm": "init\n"})
    assert named(host, ["secret", "init"]) == {8: "init"}


def test_no_processes_are_seen_without_proc(make_host: MakeHost) -> None:
    assert named(make_host({"/etc": None}), ["init"]) == {}


def test_users(make_host: MakeHost) -> None:
    host = make_host({"/etc/passwd": "root:x:0:0::/:/bin/sh\nbroken\npg:x:112:9::/:/bin/sh\n"})
    assert [user_name(host, uid) for uid in (0, 112, 999)] == ["root", "pg", "999"]
