"""Control groups: of trees that are made after real ones, of broken ones, and of this kernel."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biostudio_doctor.host import Host
from biostudio_doctor.host.cgroups import MemoryGroup, parse_cgroup, parse_cpu_max, parse_flat_keyed
from tests.conftest import MakeHost, Tree

GIB = 1 << 30
V2: Tree = {
    "/proc/1/mountinfo": "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n",
    "/proc/1/cgroup": "0::/app.slice/box.service\n",
}
V1: Tree = {
    "/proc/1/mountinfo": "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpuacct,cpu\n"
    "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
    "/proc/1/cgroup": "9:name=systemd:/\n4:memory:/docker/abc\n1:cpu,cpuacct:/docker/abc\n",
}
UNIFIED = "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"


@pytest.mark.parametrize(
    ("mounts", "version"),
    [
        (V2["/proc/1/mountinfo"], "v2"),
        (V1["/proc/1/mountinfo"], "v1"),
        (f"{V1['/proc/1/mountinfo']}{UNIFIED}", "hybrid"),
        ("1 1 0:1 / / rw - ext4 /dev/vda rw\n", "none"),
        ("", "none"),
    ],
)
def test_the_version(make_host: MakeHost, mounts: str, version: str) -> None:
    assert make_host({"/proc/1/mountinfo": mounts}).cgroups.version == version


def test_every_level_of_v2_that_limits_is_seen(make_host: MakeHost) -> None:
    cgroups = make_host(
        {
            **V2,
            "/sys/fs/cgroup/app.slice/box.service/memory.max": "max\n",
            "/sys/fs/cgroup/app.slice/box.service/memory.high": f"{8 * GIB}\n",
            "/sys/fs/cgroup/app.slice/box.service/memory.current": f"{2 * GIB}\n",
            "/sys/fs/cgroup/app.slice/box.service/memory.stat": f"anon 1\ninactive_file {GIB}\n",
            "/sys/fs/cgroup/app.slice/memory.max": f"{4 * GIB}\n",
            "/sys/fs/cgroup/app.slice/memory.high": "max\n",
            "/sys/fs/cgroup/app.slice/memory.current": f"{3 * GIB}\n",
        }
    ).cgroups
    ours, around = cgroups.memory_groups()
    assert (ours.path, ours.limit, ours.left) == (
        "/sys/fs/cgroup/app.slice/box.service", 8 * GIB, 7 * GIB,
    )  # fmt: skip
    assert (around.limit, around.left) == (4 * GIB, GIB)


def test_v1_and_its_way_to_say_no_limit(make_host: MakeHost) -> None:
    cgroups = make_host(
        {
            **V1,
            "/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
            "/sys/fs/cgroup/memory/docker/memory.limit_in_bytes": "9223372036854771712\n",
            "/sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes": f"{GIB}\n",
            "/sys/fs/cgroup/memory/docker/abc/memory.usage_in_bytes": f"{GIB}\n",
            "/sys/fs/cgroup/memory/docker/abc/memory.stat": "inactive_file 1\n"
            f"total_inactive_file {GIB // 4}\n",
            "/sys/fs/cgroup/cpu/docker/abc/cpu.cfs_quota_us": "150000\n",
            "/sys/fs/cgroup/cpu/docker/abc/cpu.cfs_period_us": "100000\n",
            "/sys/fs/cgroup/cpu/docker/cpu.cfs_quota_us": "-1\n",
            "/sys/fs/cgroup/cpu/docker/cpu.cfs_period_us": "100000\n",
        }
    ).cgroups
    (group,) = cgroups.memory_groups()
    assert (group.limit, group.left) == (GIB, GIB // 4)
    assert cgroups.cpu_quota() == 1.5


@pytest.mark.parametrize(
    ("root", "limit"),
    [
        ("/docker/abc", GIB),  # a container that sees its own group only
        ("/", None),  # there the group would be below, where there is nothing
        ("/docker/ab", None),  # another group, whose name merely begins alike
    ],
)
def test_the_root_of_the_mount_counts(make_host: MakeHost, root: str, limit: int | None) -> None:
    host = make_host(
        {
            **V1,
            "/proc/1/mountinfo": f"35 31 0:32 {root} /cg rw - cgroup cgroup rw,memory\n",
            "/cg/c/memory.limit_in_bytes": "1\n",
            **({"/cg/memory.limit_in_bytes": f"{GIB}\n"} if limit else {}),
        }
    )
    assert [group.limit for group in host.cgroups.memory_groups()] == ([limit] if limit else [])


def test_usage_that_cannot_be_read_is_not_none_used(make_host: MakeHost) -> None:
    (group,) = make_host(
        {**V2, "/sys/fs/cgroup/app.slice/memory.max": "9\n"}
    ).cgroups.memory_groups()
    assert group.usage is None and group.left is None


def test_nothing_is_left_when_usage_exceeds_the_limit() -> None:
    assert MemoryGroup(path="/x", limit=10, usage=25, inactive_file=5).left == 0
    assert MemoryGroup(path="/x", limit=10, usage=5, inactive_file=9).left == 10


class Files(Host):
    """A host whose files are in memory."""

    def __init__(self, files: dict[str, str]) -> None:
        super().__init__("/nowhere")
        self._files = files

    def read_bytes(self, path: str, limit: int = 1 << 20) -> bytes:
        if path not in self._files:
            raise FileNotFoundError(path)
        return self._files[path].encode("utf-8", "surrogatepass")


WORDS = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        ["max", "-1", "0", "nan", "inf", "9" * 5000, "1e999", "\uff11", "max 0", "1 1e-320"]
    ),
)
FILES = st.dictionaries(
    st.sampled_from([
        "/proc/1/cgroup", "/cg/a/memory.max", "/cg/a/memory.high", "/cg/a/memory.current",
        "/cg/a/memory.stat", "/cg/a/cpu.max", "/v1/a/memory.limit_in_bytes",
        "/v1/a/memory.usage_in_bytes", "/v1/a/memory.stat", "/v1/a/cpu.cfs_quota_us",
        "/v1/a/cpu.cfs_period_us",
    ]),
    WORDS,
)  # fmt: skip


@given(FILES)
def test_malformed_files_never_raise(files: dict[str, str]) -> None:
    tree = {
        "/proc/1/mountinfo": "1 1 0:1 / /cg rw - cgroup2 cgroup2 rw\n"
        "2 1 0:2 / /v1 rw - cgroup cgroup rw,memory,cpu\n",
        "/proc/1/cgroup": "0::/a\n3:memory,cpu:/a\n",
        **files,
    }
    cgroups = Files(tree).cgroups
    quota = cgroups.cpu_quota()
    assert quota is None or 0 < quota < float("inf")
    assert all(group.left is None or group.left >= 0 for group in cgroups.memory_groups())


@given(st.text())
def test_parsers_never_raise(text: str) -> None:
    parse_cgroup(text)
    parse_flat_keyed(text)
    parse_cpu_max(text)


@pytest.fixture
def limited_group() -> Iterator[Path]:
    """A group of this kernel with a limit of 1 GiB, v1 or v2."""
    mounts = [mount for mount in Host().mounts() if mount.type in ("cgroup", "cgroup2")]
    parents = [
        (mount.target, "memory.limit_in_bytes" if mount.type == "cgroup" else "memory.max")
        for mount in mounts
        if mount.type == "cgroup2" or "memory" in mount.super_options
    ]
    for parent, name in parents:
        group = Path(parent) / f"biostudio-doctor-test-{os.getpid()}"
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            if (group / name).exists():
                (group / name).write_text(str(GIB))
                yield group
                return
        finally:
            group.rmdir()
    pytest.skip("no control group with the memory controller can be made here")


def test_the_limit_of_a_real_group(limited_group: Path) -> None:
    program = (
        "import msgspec; from biostudio_doctor.host import Host;"
        "print(msgspec.json.encode(Host().cgroups.memory_groups()).decode())"
    )
    shell = 'echo $$ > "$1/cgroup.procs" && exec "$2" -c "$3"'
    done = subprocess.run(
        ["sh", "-c", shell, "sh", str(limited_group), sys.executable, program],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    ours = json.loads(done.stdout)[0]
    assert ours["path"] == str(limited_group) and ours["limit"] == GIB
    assert 1 << 20 < ours["usage"] < GIB // 2
