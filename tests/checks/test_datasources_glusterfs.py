"""GlusterFS: real volumes in namespaces of their own, and judgements of made facts."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from biostudio_doctor import scratch
from biostudio_doctor.checks.datasources_glusterfs import DatasourcesGlusterfs, GlusterFacts
from biostudio_doctor.config import GlusterfsSource
from biostudio_doctor.host import Host
from biostudio_doctor.host.gluster import Brick, Peer, Pool
from biostudio_doctor.host.mounts import parse_mountinfo
from biostudio_doctor.host.places import Room
from biostudio_doctor.host.trial import Mounted, Trial
from biostudio_doctor.model import Finding, Status
from biostudio_doctor.probes import Failure
from tests.conftest import context, judge
from tests.lab.filesystems import needs, needs_root

NAME = "glusterfs gfs:/gv0"
SOURCE = GlusterfsSource(server="gfs", volume="gv0", mount="/data", write=True)
LINE = (
    "248 62 0:43 / /data rw,relatime - fuse.glusterfs other:/gv0 rw,user_id=0,group_id=0,"
    "default_permissions,allow_other,max_read=131072\n"
)
ROOM = Room(size=10**12, used=0, available=10**11, inodes=1, inodes_free=1)
GOOD = Mounted(
    target="/data", mount=parse_mountinfo(LINE)[0], exists=True, room=ROOM,
    trial=Trial(finished=True, us=0, owner=0, gives_away=True),
)  # fmt: skip
BRICKS = tuple(Brick(host=host, path="/b", port=49152, online=True) for host in "abc")
POOL = Pool(
    peers=(Peer("b", True), Peer("c", True)), volumes=("gv0",), status="Started",
    type="Replicate", group=3, bricks=BRICKS,
)  # fmt: skip
REFUSED = Failure("connect", "refused", "Connection refused")


def found(mounted: Mounted | None = GOOD, **facts: Any) -> dict[str, Finding]:
    check = DatasourcesGlusterfs(context())
    return judge(check, (GlusterFacts(source=SOURCE, mounted=mounted, **facts),))


def test_nothing_configured_is_one_skip() -> None:
    check = DatasourcesGlusterfs(context())
    assert check.observe(Host()) == ()
    (finding,) = judge(check, ()).values()
    assert finding.status is Status.SKIP


def test_a_client_s_mount_from_any_of_the_servers() -> None:
    findings = found()
    assert findings[NAME].status is Status.PASS and f"{NAME}: volume" not in findings
    assert found(server=REFUSED)[NAME].status is Status.PASS  # it is mounted from another one


def test_not_mounted() -> None:
    none = structs.replace(GOOD, mount=None, trial=None)
    (finding,) = found(none, has_helper=False).values()
    assert finding.status is Status.FAIL and finding.remedy
    assert "apt-get install -y glusterfs-client" in finding.remedy.commands
    assert "mount -t glusterfs gfs:/gv0 /data" in finding.remedy.commands
    (finding,) = found(none, server=REFUSED).values()
    assert finding.cause == "datasource.unreachable" and "24007" in finding.summary
    (finding,) = found(None).values()
    assert finding.status is Status.PASS and "names no mount point" in finding.summary


def test_a_mount_whose_program_has_ended() -> None:
    dead = structs.replace(
        GOOD, problem="Transport endpoint is not connected", room=None, trial=None
    )
    finding = found(dead)[NAME]
    assert finding.status is Status.FAIL and "program that served the mount" in finding.summary


@pytest.mark.parametrize(
    ("pool", "status", "said"),
    [
        (POOL, Status.PASS, "all of its 3 bricks run; the pool has 3 servers"),
        (structs.replace(POOL, status="Stopped"), Status.FAIL, "is not started"),
        (Pool(volumes=("other",)), Status.FAIL, "has no volume gv0"),
        (Pool(problem="Connection failed"), Status.ERROR, "Connection failed"),
        (structs.replace(POOL, peers=(Peer("b", False), Peer("c", True))), Status.WARN,
         "servers that are gone: b"),
        (structs.replace(POOL, bricks=(*BRICKS[:2], Brick(host="c", path="/b"))), Status.WARN,
         "not running: c:/b"),
        (structs.replace(POOL, bricks=(Brick(host="c", path="/b"),), group=1), Status.FAIL,
         "out of reach"),
    ],
)  # fmt: skip
def test_the_state_of_the_volume(pool: Pool, status: Status, said: str) -> None:
    finding = found(pool=pool)[f"{NAME}: volume"]
    assert finding.status is status and said in finding.summary
    assert bool(finding.remedy) == (status is not Status.PASS)


def test_bricks_that_are_closed_to_this_host() -> None:
    finding = found(pool=POOL, closed=("b:49152",))[f"{NAME}: volume"]
    assert finding.status is Status.WARN and "closed to this host: b:49152" in finding.summary


#: glusterd knows fixed ports and places only, and takes no loopback address for a peer's.
SCRIPT = """
set -e
ip link set lo up; ip address add 10.99.0.1/24 dev lo
mkdir -p lib log run mnt; mkdir -p /var/lib/glusterd /var/log/glusterfs
mount --bind lib /var/lib/glusterd; mount --bind log /var/log/glusterfs; mount --bind run /run
mkdir -p /run/gluster
glusterd
g() { gluster --mode=script "$@" >>gluster.log 2>&1; }
for try in $(seq 100); do g volume list && break; sleep 0.1; done
g volume create gv0 replica 3 10.99.0.1:$PWD/b1 10.99.0.1:$PWD/b2 10.99.0.1:$PWD/b3 force
g volume start gv0
mount -t glusterfs 10.99.0.1:/gv0 mnt
touch "mnt/$LEFT"
"$@" >well.json || true
ls -A mnt >left.txt
kill -9 $(gluster --mode=script volume status gv0 | awk '/b1/{print $NF}'); sleep 0.5
"$@" >one.json || true
umount -l mnt
g volume stop gv0 force
"$@" >stopped.json || true
"""


@needs_root
@needs("glusterd")
@needs("mount.glusterfs")
def test_a_real_volume(tmp_path: Path) -> None:
    left = structs.replace(scratch.owner(Host()), boot="0" * 8).new_name()
    (tmp_path / "config.toml").write_text(
        '[[datasources.glusterfs]]\nserver = "10.99.0.1"\nvolume = "gv0"\nwrite = true\n'
        f'mount = "{tmp_path}/mnt"\n'
    )
    command = [sys.executable, "-m", "biostudio_doctor", "check", "datasources.glusterfs",
               "--config", "config.toml", "--output", "json"]  # fmt: skip
    done = subprocess.run(
        ["unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child",
         "bash", "-c", SCRIPT, "bash", *command],
        cwd=tmp_path, capture_output=True, text=True, timeout=90, check=False,
        env={**os.environ, "LEFT": left},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr

    def findings(name: str) -> dict[str, dict[str, Any]]:
        (result,) = json.loads((tmp_path / f"{name}.json").read_text())["results"]
        return {one["subject"]: one for one in result["findings"]}

    source = "glusterfs 10.99.0.1:/gv0"
    well = findings("well")
    assert {one["status"] for one in well.values()} == {"pass"}, well
    assert "1 scratch file of a run that was cut off removed" in well[source]["summary"]
    assert (tmp_path / "left.txt").read_text() == ""
    one = findings("one")
    assert one[source]["status"] == "pass" and one[f"{source}: volume"]["status"] == "warn"
    stopped = findings("stopped")
    assert stopped[source]["cause"] == "datasource.not-mounted"
    assert stopped[f"{source}: volume"]["cause"] == "datasource.volume-stopped"
