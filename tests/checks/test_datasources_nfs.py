"""NFS: ports and exports of a real server; mounts by recorded mount tables, as there is no kernel
NFS to test on, with the scratch file written to a real directory.
"""

import asyncio
import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from biostudio_doctor import scratch
from biostudio_doctor.checks import datasources_nfs
from biostudio_doctor.checks.datasources_nfs import DatasourcesNfs, NfsFacts
from biostudio_doctor.config import NfsSource
from biostudio_doctor.host import Host
from biostudio_doctor.host.exports import Exports, parse_exports
from biostudio_doctor.host.mounts import parse_mountinfo
from biostudio_doctor.host.places import Room
from biostudio_doctor.host.trial import Mounted, Trial
from biostudio_doctor.model import Finding, Status
from biostudio_doctor.probes import Failure
from biostudio_doctor.services import Answer, nfs
from tests.conftest import MakeHost, context, judge
from tests.lab.filesystems import needs, needs_root
from tests.lab.network import free_port
from tests.lab.peers import Peer, endless, saying, silent
from tests.lab.stuck import stuck_mount
from tests.lab.timing import within

NAME = "nfs nas.example:/export"
SOURCE = NfsSource(server="nas.example", export="/export", mount="/data", write=True)
#: As Linux 6.1 shows an NFS 4.2 mount.
LINE = (
    "411 28 0:57 / /data rw,relatime shared:210 - nfs4 nas.example:/export "
    "rw,vers=4.2,rsize=1048576,wsize=1048576,namlen=255,hard,proto=tcp,timeo=600,retrans=2,"
    "sec=sys,clientaddr=192.0.2.10,local_lock=none,addr=192.0.2.7\n"
)
#: As it shows one of NFS 3, mounted with soft and nolock.
LINE3 = (
    "412 28 0:58 / /data rw,relatime - nfs 192.0.2.7:/export rw,vers=3,rsize=65536,wsize=65536,"
    "namlen=255,soft,nolock,proto=tcp,timeo=600,retrans=2,sec=sys,mountaddr=192.0.2.7,"
    "mountvers=3,mountproto=tcp,local_lock=all,addr=192.0.2.7\n"
)
UP = Answer(host="nas.example", port=2049, state="healthy", version="3 to 4")
DONE = Trial(step="remove it", finished=True, us=0, owner=0, gives_away=True, clock=0.0)


def mounted(line: str = LINE, trial: Trial | None = DONE, **changes: Any) -> Mounted:
    room = Room(size=10**13, used=0, available=10**12, inodes=1, inodes_free=1)
    mount = parse_mountinfo(line)[0] if line else None
    made = Mounted(target="/data", mount=mount, exists=True, room=room, trial=trial)
    return structs.replace(made, **changes)


def found(
    at: Mounted | None, source: NfsSource = SOURCE, answer: Answer | None = UP,
    config: dict[str, Any] | None = None, **facts: Any,
) -> dict[str, Finding]:  # fmt: skip
    check = DatasourcesNfs(context(**(config or {})))
    return judge(check, (NfsFacts(source=source, nfs=answer, mounted=at, **facts),))


def test_nothing_configured_is_one_skip_that_imports_nothing() -> None:
    code = (
        "import sys; from tests.conftest import context; from biostudio_doctor.host import Host\n"
        "from biostudio_doctor.checks.datasources_nfs import DatasourcesNfs\n"
        "check = DatasourcesNfs(context()); facts = check.observe(Host())\n"
        "(finding,) = check.judge(facts, check.context.requirements)\n"
        "print(finding.status, {'anyio', 'asyncio', 'ssl'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "skip set()\n"


def test_a_good_mount_passes() -> None:
    findings = found(mounted())
    assert {finding.status for finding in findings.values()} == {Status.PASS}
    assert "(NFS 4.2), 1 TB of 10 TB available" in findings[NAME].summary
    (finding,) = found(mounted(trial=None), structs.replace(SOURCE, write=False)).values()
    assert finding.status is Status.PASS and "write = false" in finding.summary


def test_soft_and_nolock_are_warned_of_and_the_server_known_by_its_address() -> None:
    source = structs.replace(SOURCE, server="192.0.2.7")
    findings = found(mounted(LINE3), source)
    assert {one.cause for one in findings.values() if one.status is Status.WARN} == {
        "datasource.soft", "datasource.local-locks",
    }  # fmt: skip
    for one in findings.values():  # NFS 3 may be all that the server has
        assert not one.remedy or "vers=4.2" not in one.remedy.text
    spaced = mounted(LINE3.replace("/data", "/my\\040data"), target="/my data")
    soft = found(spaced, source)[f"{next(iter(findings))}: soft"]
    assert soft.remedy and soft.remedy.commands[0] == "findmnt '/my data'"
    assert found(mounted(LINE3))[NAME].cause == "datasource.other-mounted"
    assert found(mounted(LINE3), addresses=("192.0.2.7",))[NAME].status is Status.PASS


def test_not_mounted_comes_with_the_commands() -> None:
    exports = Exports(listed=("/export",))
    (finding,) = found(mounted("", None), exports=exports, has_helper=False).values()
    assert finding.status is Status.FAIL and finding.cause == "datasource.not-mounted"
    assert "speaks NFS (versions 3 to 4) and exports /export" in finding.summary
    assert finding.remedy and finding.remedy.commands == (
        "apt-get update",
        "apt-get install -y nfs-common",
        "mkdir -p /data",
        "mount -t nfs nas.example:/export /data",
        "echo 'nas.example:/export /data nfs defaults,_netdev,x-systemd.automount 0 0' "
        ">> /etc/fstab",
        "systemctl daemon-reload",
    )
    (finding,) = found(mounted("", None), elsewhere=("/mnt/nas",)).values()
    assert "It is mounted at /mnt/nas." in finding.summary
    (finding,) = found(mounted("", None), in_fstab=True).values()
    assert finding.remedy and finding.remedy.commands == ("mkdir -p /data", "mount /data")


def test_not_mounted_since_the_server_is_down() -> None:
    refused = Failure("connect", "refused", "Connection refused")
    answer = Answer(host="nas.example", port=2049, state="refused", failure=refused)
    (finding,) = found(mounted("", None), answer=answer).values()
    assert (
        finding.cause == "datasource.refused" and "not mounted at /data either" in finding.summary
    )
    assert finding.remedy and "mount" not in str(finding.remedy.commands)


def test_something_else_mounted_there() -> None:
    line = "5 1 8:1 / /data rw - ext4 /dev/sdb1 rw\n"
    (finding,) = found(mounted(line, None)).values()
    assert finding.status is Status.FAIL and "/dev/sdb1 (ext4)" in finding.summary
    line = LINE.replace("nas.example:/export", "nas.example:/other")
    assert found(mounted(line))[NAME].cause == "datasource.other-mounted"


def test_read_only_fails_where_writing_is_expected() -> None:
    line = LINE.replace("/data rw", "/data ro")
    (finding,) = found(mounted(line, None)).values()
    assert finding.status is Status.FAIL and finding.cause == "datasource.read-only"


def test_stale_and_hanging_mounts() -> None:
    gone = mounted(problem=os.strerror(errno.ESTALE), room=None, trial=None)
    (finding,) = found(gone).values()
    assert finding.status is Status.FAIL and finding.cause == "datasource.stale"
    assert finding.remedy and finding.remedy.commands[0] == "umount -l /data"
    hung = mounted(problem="no answer within 3 s", hung=True, room=None, trial=None)
    (finding,) = found(hung).values()
    assert finding.status is Status.ERROR and finding.cause == "datasource.hung"
    assert "speaks NFS" in finding.summary


@pytest.mark.parametrize(
    ("us", "owner", "gives_away", "said"),
    [
        (0, 65534, False, "root is made user 65534 there (root_squash or all_squash)"),
        (1000, 65534, None, "user 1000 is made user 65534 there (all_squash"),
        (0, 0, False, "root may not change the owner"),
    ],
)
def test_squashed_owners_are_told(us: int, owner: int, gives_away: bool | None, said: str) -> None:
    trial = structs.replace(DONE, us=us, owner=owner, gives_away=gives_away)
    finding = found(mounted(trial=trial))[f"{NAME}: owners"]
    assert finding.status is Status.PASS and said in finding.summary
    config = {"storage": {"user": "/data/home", "app": "/database"}}
    finding = found(mounted(trial=trial), config=config)[f"{NAME}: owners"]
    assert finding.status is Status.FAIL and "and USER lies there" in finding.summary


def test_locks_clocks_and_room() -> None:
    trial = structs.replace(DONE, byte_lock="No locks available", clock=-42.0)
    room = Room(size=10**12, used=10**12, available=10**8, inodes=1, inodes_free=1)
    findings = found(mounted(trial=trial, room=room))
    assert findings[f"{NAME}: locks"].status is Status.FAIL
    assert "42 s behind" in findings[f"{NAME}: clock"].summary
    assert findings[NAME].status is Status.WARN and findings[NAME].cause == "datasource.full"


@pytest.mark.parametrize(
    ("number", "status", "said"),
    [
        (errno.EACCES, Status.FAIL, "does not let this user write"),
        (errno.EDQUOT, Status.FAIL, "quota"),
        (errno.ETIMEDOUT, Status.ERROR, "It hangs"),
        (errno.EIO, Status.FAIL, "It does not work"),
    ],
)
def test_what_stands_against_writing(number: int, status: Status, said: str) -> None:
    trial = Trial(step="create a file", problem=os.strerror(number), errno=number)
    (finding,) = found(mounted(trial=trial)).values()
    assert finding.status is status and said in finding.summary and finding.remedy


def test_one_export_twice_is_two_subjects() -> None:
    check = DatasourcesNfs(context())
    facts = NfsFacts(source=SOURCE, nfs=UP, mounted=mounted())
    assert f"{NAME} (2)" in judge(check, (facts, facts))


# --- Observed -------------------------------------------------------------------------------------


def host_with(make_host: MakeHost, line: str) -> Host:
    return make_host(
        {"/data": None, "/proc/1/mountinfo": f"28 1 8:1 / / rw - ext4 /dev/sda1 rw\n{line}"}
    )


def observed(host: Host, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> dict[str, Finding]:
    """With the server on a port where nobody listens."""
    monkeypatch.setattr(datasources_nfs, "NFS", free_port())
    monkeypatch.setattr(datasources_nfs, "PORTMAPPER", free_port())
    source = {
        "server": "127.0.0.1",
        "export": "/export",
        "mount": "/data",
        "write": True,
        **changes,
    }
    check = DatasourcesNfs(context(datasources={"nfs": [source]}))
    return judge(check, check.observe(host))


def test_a_scratch_file_is_written_to_what_is_mounted_and_nothing_stays(
    make_host: MakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = host_with(make_host, LINE.replace("addr=192.0.2.7", "addr=127.0.0.1"))
    left = structs.replace(scratch.owner(host), boot="0" * 8).new_name()
    directory = Path(host.path("/data"))
    (directory / left).write_bytes(scratch.content(left))
    findings = observed(host, monkeypatch)
    assert findings["nfs 127.0.0.1:/export"].status is Status.PASS
    assert "1 scratch file of a run that was cut off removed" in str(findings)
    assert list(directory.iterdir()) == []
    (directory / left).write_bytes(scratch.content(left))
    findings = observed(host, monkeypatch, write=False)
    assert [name.name for name in directory.iterdir()] == [left]  # nothing at all is touched


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("", "refused"),
        ("5 1 8:1 / /data rw - ext4 /dev/sdb1 rw\n", "other-mounted"),
        (LINE.replace("nas.example:/export", "127.0.0.1:/other"), "other-mounted"),
        (LINE.replace("nas.example:/export", "127.0.0.1:/export").replace(" rw", " ro"),
         "read-only"),
    ],
)  # fmt: skip
def test_nothing_is_written_to_anything_else(
    make_host: MakeHost, monkeypatch: pytest.MonkeyPatch, line: str, cause: str
) -> None:
    host = host_with(make_host, line)
    monkeypatch.setattr(scratch.Owner, "new_name", None)
    (finding,) = observed(host, monkeypatch).values()
    assert finding.cause == f"datasource.{cause}"
    assert os.listdir(host.path("/data")) == []


@needs_root
def test_a_mount_that_hangs_costs_its_own_time(
    make_host: MakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = host_with(make_host, LINE)
    with stuck_mount(Path(host.path("/data"))):
        monkeypatch.setattr(DatasourcesNfs, "timeout", DatasourcesNfs.timeout / 10)
        with within(DatasourcesNfs.timeout.total_seconds()):
            (finding,) = observed(host, monkeypatch).values()
    assert finding.cause == "datasource.hung"


@pytest.mark.parametrize(
    ("behaviour", "state"),
    [
        (silent, "silent"),
        (saying(b""), "closed"),
        (saying(b"SSH-2.0-OpenSSH_9.2\r\n", first=True), "foreign"),
        (endless(b"\x80\x00\x00\x20bdnf"), "foreign"),
    ],
    ids=["silent", "closed", "ssh", "flood"],
)
def test_what_is_no_nfs(behaviour: Any, state: str) -> None:
    timeout = 1.5 if state == "silent" else 6
    with Peer(behaviour) as peer, within(timeout):
        answer = asyncio.run(nfs.probe("127.0.0.1", timeout=timeout, port=peer.port))
    assert answer.state == state
    (finding,) = found(None, answer=answer).values()
    assert finding.status is Status.FAIL and finding.remedy


@given(st.binary(max_size=200))
def test_replies_are_never_trusted(heard: bytes) -> None:
    assert nfs.parse_reply(heard) is None
    assert nfs._is_whole(heard) in (True, False)


@given(st.text())
def test_listings_are_never_trusted(listing: str) -> None:
    for path in parse_exports(listing):
        assert path.startswith("/") and len(path) <= 200


def test_exports_are_read() -> None:
    listing = "/srv/my data 10.0.0.0/8,nas\n/export (everyone)\n/home   *.lab\n"
    assert parse_exports(listing) == ("/srv/my data", "/export", "/home")


GANESHA = """
NFS_CORE_PARAM {{ Protocols = 3, 4; Enable_NLM = false; Enable_RQUOTA = false; }}
NFSV4 {{ Graceless = true; RecoveryBackend = fs_ng; }}
EXPORT {{ Export_Id = 1; Path = {0}/export; Pseudo = /data; Access_Type = RW; Squash = Root_Squash;
  SecType = sys; FSAL {{ Name = VFS; }} }}
"""
#: In namespaces of its own, as rpcbind and ganesha know fixed ports and places only. Ganesha gives
#: up where rpcbind does not answer yet.
SCRIPT = """
set -e
ip link set lo up
mkdir -p run lib export; mount --bind run /run; mount --bind lib /var/lib/nfs
mkdir -p /run/rpcbind /run/ganesha
rpcbind -w -f >rpcbind.log 2>&1 & first=$!
for try in $(seq 200); do rpcinfo -p 127.0.0.1 >/dev/null 2>&1 && break; sleep 0.1; done
ganesha.nfsd -F -f ganesha.conf -L ganesha.log -p ganesha.pid >/dev/null 2>&1 & second=$!
trap 'kill $first $second; wait' EXIT
for try in $(seq 200); do
    showmount -e --no-headers 127.0.0.1 2>/dev/null | grep -q export && break; sleep 0.1
done
"$@"
"""


@needs_root
@needs("ganesha.nfsd")
@needs("rpcbind")
@needs("showmount")
def test_a_real_server_s_versions_and_exports(tmp_path: Path) -> None:
    (tmp_path / "ganesha.conf").write_text(GANESHA.format(tmp_path))
    (tmp_path / "config.toml").write_text(
        f'[[datasources.nfs]]\nserver = "127.0.0.1"\nexport = "{tmp_path}/export"\n'
        f'mount = "{tmp_path}"\n[[datasources.nfs]]\nserver = "127.0.0.1"\nexport = "/absent"\n'
    )
    command = [sys.executable, "-m", "biostudio_doctor", "check", "datasources.nfs",
               "--config", "config.toml", "--output", "json"]  # fmt: skip
    done = subprocess.run(
        ["unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child",
         shutil.which("bash") or "bash", "-c", SCRIPT, "bash", *command],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    (result,) = json.loads(done.stdout)["results"]
    missing, absent = result["findings"]
    assert missing["cause"] == "datasource.not-mounted", done.stderr
    assert f"speaks NFS (versions 3 to 4) and exports {tmp_path}/export." in missing["summary"]
    assert absent["cause"] == "datasource.not-exported" and absent["status"] == "warn"


def test_an_export_that_is_not_listed_is_warned_of_unless_one_above_it_is() -> None:
    for listed, status in ((("/other",), Status.WARN), (("/",), Status.PASS), ((), Status.WARN)):
        (finding,) = found(None, exports=Exports(listed=listed)).values()
        assert finding.status is status
    (finding,) = found(None, exports=Exports(problem="showmount is not installed here")).values()
    assert finding.status is Status.PASS and "could not be listed: showmount" in finding.summary
