"""storage.filesystem, on facts and fixture trees, and on real mounts."""

from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest
from msgspec import structs

from biostudio_doctor.checks.storage_filesystem import FilesystemFacts, StorageFilesystem
from biostudio_doctor.host import Host
from biostudio_doctor.host.fstab import Boot, parse_fstab
from biostudio_doctor.host.places import Place
from biostudio_doctor.model import Finding, Machine, Status
from biostudio_doctor.tiers import StorageFacts
from tests.conftest import DEBIAN, MakeHost, Tree, context, judge
from tests.lab import filesystems
from tests.lab.filesystems import place

lab = filesystems.lab
BOOT = Boot(entries=(), automounted=(), units={}, uuids={})


def found(
    made: Place,
    tier: str = "APP",
    *,
    boot: Boot = BOOT,
    ftype: Mapping[str, bool | None] | None = None,
    machine: Machine = DEBIAN,
) -> dict[str, Finding]:
    """Judge one place as a tier, or as the engine's data."""
    engine = {made.path: made} if tier == "engine" else {}
    facts = FilesystemFacts(
        storage=StorageFacts(places={} if engine else {tier: made}, others=engine),
        boot=boot,
        ftype=dict(ftype or {}),
    )
    storage = {} if engine else {tier.lower(): made.path}
    return judge(StorageFilesystem(context(machine, storage=storage)), facts)


def statuses(findings: Mapping[str, Finding]) -> dict[str, Status]:
    return {subject: finding.status for subject, finding in findings.items()}


def boot(fstab: str = "", **changes: object) -> Boot:
    return structs.replace(BOOT, entries=tuple(parse_fstab(fstab)), **changes)


@pytest.mark.parametrize("fs_type", ["ext4", "xfs", "btrfs", "zfs", "ext3"])
def test_good_types(fs_type: str) -> None:
    for tier in ("APP", "METADATA", "USER"):
        findings = found(place("/srv/x", 100, fs_type=fs_type), tier)
        assert statuses(findings) == {tier: Status.PASS}
        assert f"{fs_type}, writable, 9 million inodes free" in findings[tier].summary


@pytest.mark.parametrize(
    ("fs_type", "tier", "status"),
    [
        ("tmpfs", "APP", Status.FAIL),
        ("ramfs", "METADATA", Status.FAIL),
        ("vfat", "USER", Status.FAIL),
        ("exfat", "USER", Status.FAIL),
        ("fuseblk", "USER", Status.FAIL),
        ("ntfs3", "METADATA", Status.FAIL),
        ("cifs", "METADATA", Status.FAIL),
        ("cifs", "USER", Status.FAIL),
        ("overlay", "APP", Status.WARN),
        ("ext2", "APP", Status.WARN),
        ("fuse.mergerfs", "USER", Status.WARN),
        ("fuse.s3fs", "METADATA", Status.FAIL),
        ("fuse.s3fs", "USER", Status.WARN),
    ],
)
def test_unfit_types(fs_type: str, tier: str, status: Status) -> None:
    finding = found(place("/srv/x", 100, fs_type=fs_type), tier)[f"{tier} type"]
    assert finding.status is status and fs_type in finding.summary and finding.remedy


@pytest.mark.parametrize(
    ("fs_type", "options", "status"),
    [
        ("nfs4", "rw,vers=4.2,hard", Status.WARN),
        ("nfs", "rw,soft,timeo=600", Status.FAIL),
        ("nfs4", "rw,softerr", Status.FAIL),
        ("ceph", "rw", Status.WARN),
        ("fuse.glusterfs", "rw", Status.WARN),
    ],
)
def test_databases_on_the_network(fs_type: str, options: str, status: Status) -> None:
    made = place("/srv/x", 100, fs_type=fs_type, super_options=options, source="nas:/x")
    assert statuses(found(made, "METADATA")) == {"METADATA network": status}
    assert statuses(found(made, "USER")) == {"USER": Status.PASS}


@pytest.mark.parametrize(
    ("tier", "expected"), [("APP", Status.FAIL), ("USER", Status.FAIL), ("METADATA", None)]
)
def test_noexec_stops_programs_but_no_databases(tier: str, expected: Status | None) -> None:
    findings = found(place("/srv/x", 100, options="rw,nosuid,nodev,noexec"), tier)
    if expected:
        assert statuses(findings) == {f"{tier} noexec": Status.FAIL}
        remedy = findings[f"{tier} noexec"].remedy
        assert remedy and remedy.commands[0] == "mount -o remount,exec /"
    else:
        assert "nosuid and nodev do no harm" in findings[tier].summary


def test_read_only_by_itself_points_at_the_disk() -> None:
    finding = found(place("/srv/x", 100, super_options="ro"))["APP read-only"]
    assert finding.status is Status.FAIL and finding.remedy
    assert finding.remedy.commands[0].startswith("dmesg")


def test_read_only_by_fstab_points_at_fstab() -> None:
    made = place("/data/x", 100, target="/data", options="ro")
    finding = found(made, boot=boot("LABEL=x /data ext4 ro 0 2"))["APP read-only"]
    assert finding.summary == "APP, on /data: /etc/fstab mounts it read-only."
    assert finding.remedy and finding.remedy.commands[0] == "mount -o remount,rw /data"


def test_a_file_in_the_way() -> None:
    below = place("/srv/x/app", 100, directory=False, existing="/srv/x", exists=False)
    for made in (place("/srv/x", 100, directory=False), below):
        finding = found(made)["APP directory"]
        assert finding.status is Status.FAIL and "/srv/x is a file" in finding.summary


def test_facts_survive_a_bundle() -> None:
    check = StorageFilesystem(context())
    facts = check.observe(Host())
    assert msgspec.json.decode(msgspec.json.encode(facts), type=FilesystemFacts) == facts
    assert judge(check, facts)


@pytest.mark.parametrize(
    ("tier", "free", "status"),
    [
        ("APP", 1_000_000, Status.PASS),
        ("APP", 999_999, Status.WARN),
        ("USER", 99_999, Status.FAIL),
        ("METADATA", 100_000, Status.PASS),
        ("METADATA", 99_999, Status.WARN),
        ("METADATA", 9_999, Status.FAIL),
        ("engine", 999_999, Status.WARN),
    ],
)
def test_inodes(tier: str, free: int, status: Status) -> None:
    (finding,) = found(place("/srv/x", 100, inodes=(2_000_000, free)), tier).values()
    assert finding.status is status
    assert status is Status.PASS or f"{free} of 2 million inodes are free" in finding.summary


def test_file_systems_that_make_inodes_as_needed_never_lack_them() -> None:
    findings = found(place("/srv/x", 100, fs_type="btrfs", inodes=(0, 0)))
    assert statuses(findings) == {"APP": Status.PASS} and "inodes" not in findings["APP"].summary


# --- After a reboot -------------------------------------------------------------------------------

DATA = place("/data/x", 100, target="/data", device="8:17", source="/dev/sdb1")


@pytest.mark.parametrize(
    "known",
    [
        boot("LABEL=data /data/ ext4 defaults 0 2"),
        boot("LABEL=data /data ext4 noauto,x-systemd.automount 0 2"),
        boot(units={"/data": "enabled"}),
        boot(automounted=("/data",)),
    ],
    ids=["fstab", "automount in fstab", "unit", "autofs"],
)
def test_what_comes_back_after_a_reboot(known: Boot) -> None:
    assert statuses(found(DATA, boot=known)) == {"APP": Status.PASS}


def test_nofail_is_mentioned() -> None:
    findings = found(DATA, boot=boot("LABEL=data /data ext4 defaults,nofail 0 2"))
    assert "with nofail a boot goes on without it" in findings["APP"].summary


def test_a_mount_made_by_hand_is_told_its_line() -> None:
    known = boot(units={"/data": ""}, uuids={"/data": "1234-abcd"})
    finding = found(DATA, boot=known)["APP boot"]
    assert finding.status is Status.WARN and finding.remedy
    assert finding.remedy.commands == (
        "echo 'UUID=1234-abcd /data ext4 defaults 0 2' >> /etc/fstab",
        "systemctl daemon-reload",
        "mount -fav",
    )
    without_uuid = found(DATA, boot=boot())["APP boot"].remedy
    assert without_uuid and without_uuid.commands == ("blkid /dev/sdb1",)
    old = Machine(hostname="lab", os_id="centos", os_version="6.5")
    remedy = found(DATA, boot=known, machine=old)["APP boot"].remedy
    assert remedy and "systemctl" not in str(remedy.commands)


@pytest.mark.parametrize(
    ("known", "said"),
    [
        (boot("LABEL=data /data ext4 noauto 0 2"), "with noauto"),
        (boot(units={"/data": "disabled"}), "its systemd unit data.mount is not enabled"),
    ],
)
def test_what_does_not_come_back(known: Boot, said: str) -> None:
    finding = found(DATA, boot=known)["APP boot"]
    assert finding.status is Status.WARN and said in finding.summary and finding.remedy


@pytest.mark.parametrize(
    ("fs_type", "options", "subjects"),
    [
        ("fuse.juicefs", "defaults", {"USER boot"}),
        ("fuse.juicefs", "_netdev", {"USER"}),
        ("nfs4", "defaults", {"USER"}),
        ("fuse.glusterfs", "defaults", {"USER"}),
    ],
)
def test_the_network_must_be_there_first(fs_type: str, options: str, subjects: set[str]) -> None:
    made = place("/data/x", 100, target="/data", fs_type=fs_type, source="nas:/x")
    findings = found(made, "USER", boot=boot(f"nas:/x /data {fs_type} {options}"))
    assert set(findings) == subjects


def test_what_needs_no_fstab() -> None:
    for fs_type, target in (("ext4", "/"), ("zfs", "/tank")):
        made = place(f"{target}/x", 100, target=target, fs_type=fs_type)
        assert statuses(found(made, boot=boot())) == {"APP": Status.PASS}
    inside = structs.replace(DEBIAN, container="docker")
    assert found(DATA, boot=boot(), machine=inside)["APP"].status is Status.PASS


def test_a_line_of_fstab_that_is_not_mounted_now() -> None:
    made = place("/data/app", 100)
    finding = found(made, boot=boot("LABEL=data /data xfs defaults"))["APP mount"]
    assert finding.status is Status.WARN and finding.remedy
    assert "has LABEL=data for /data, which is not mounted now" in finding.summary
    assert finding.remedy.commands[-1] == "mount /data"


def test_an_unreadable_fstab_is_an_error_beside_the_other_answers() -> None:
    findings = found(DATA, boot=boot(problem="Permission denied"))
    assert statuses(findings) == {"APP": Status.PASS, "/etc/fstab": Status.ERROR}


# --- The engine's data ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fs_type", "ftype", "aspect", "status"),
    [
        ("ext4", None, "", Status.PASS),
        ("xfs", True, "", Status.PASS),
        ("xfs", False, " ftype", Status.FAIL),
        ("xfs", None, " ftype", Status.ERROR),
        ("nfs4", None, " type", Status.FAIL),
        ("vfat", None, " type", Status.FAIL),
        ("tmpfs", None, " type", Status.WARN),
        ("overlay", None, " type", Status.WARN),
    ],
)
def test_the_engines_data(fs_type: str, ftype: bool | None, aspect: str, status: Status) -> None:
    made = place("/var/lib/docker", 100, fs_type=fs_type)
    findings = found(made, "engine", ftype={"/": ftype})
    assert statuses(findings) == {f"engine data /var/lib/docker{aspect}": status}
    (finding,) = findings.values()
    assert finding.requirement and finding.requirement.id == "runtime.engine"


ROOT = "26 1 8:1 / / rw - ext4 /dev/sda1 rw\n30 26 8:17 / /data rw - ext4 /dev/sdb1 rw\n"


@pytest.mark.parametrize(
    ("tree", "platform", "subjects"),
    [
        ({}, "docker", ["/var/lib/docker"]),
        ({"/etc/docker/daemon.json": '{"data-root": "/data/d"}'}, "docker", ["/data/d"]),
        ({"/etc/docker/daemon.json": '{"data-root": 5'}, "docker", ["/var/lib/docker"]),
        ({"/etc/docker/daemon.json": '{"data-root": 5}'}, "docker", ["/var/lib/docker"]),
        ({"/etc/docker/daemon.json": "[]"}, "docker", ["/var/lib/docker"]),
        ({"/var/lib/containerd": None}, "docker", ["/var/lib/docker"]),
        (
            {"/etc/containerd/config.toml": 'root = "/data/c"\n', "/data/c": None},
            "docker",
            ["/var/lib/docker", "/data/c"],
        ),
        ({"/etc/containerd/config.toml": "root = "}, "kubernetes", ["/var/lib/containerd"]),
    ],
)
def test_where_the_engine_keeps_its_data(
    make_host: MakeHost, tree: Tree, platform: str, subjects: list[str]
) -> None:
    fstab = "LABEL=data /data ext4 defaults 0 2\n"
    host = make_host(
        {"/proc/1/mountinfo": ROOT, "/etc/fstab": fstab, "/var/lib": None, "/data": None, **tree}
    )
    check = StorageFilesystem(context(platform=platform))
    findings = judge(check, check.observe(host))
    engine = [subject for subject in findings if subject.startswith("engine data")]
    # Both data directories are told of only where they lie on different file systems; below a
    # temporary root all sizes are one, so that the device numbers of the mount table decide.
    assert engine == [f"engine data {subject}" for subject in subjects]


def test_the_engines_data_is_not_seen_from_inside_a_container() -> None:
    inside = structs.replace(DEBIAN, container="docker")
    findings = found(place("/var/lib/docker", 100), "engine", machine=inside)
    assert findings["engine data"].status is Status.SKIP


# --- Real mounts ----------------------------------------------------------------------------------


def subjects(lab: Path, script: str, tier: str, path: str) -> dict[str, dict[str, str]]:
    config = filesystems.config(lab, **{tier: path})
    result = filesystems.doctor(lab, script, "storage.filesystem", "--config", config)
    name = tier.upper()
    findings = filesystems.findings(result["storage.filesystem"])
    return {subject: item for subject, item in findings.items() if subject.startswith(name)}


def test_real_inodes_run_out(lab: Path) -> None:
    script = (
        "loop few 60M defaults mkfs.ext4 -q -N 300\n"
        "for n in $(seq 250); do : > $LAB/few/$n; done\n"
        "df --output=iavail,itotal $LAB/few > $LAB/df\n"
    )
    finding = subjects(lab, script, "app", "few")["APP inodes"]
    free, total = (lab / "df").read_text().split()[-2:]
    assert finding["status"] == "fail" and f": {free} of {total} inodes" in finding["summary"]


def test_real_options(lab: Path) -> None:
    script = "loop odd 60M noexec mkfs.ext4 -q\nmount -o remount,ro $LAB/odd\n"
    found = subjects(lab, script, "user", "odd")
    assert found["USER noexec"]["status"] == found["USER read-only"]["status"] == "fail"
    assert found["USER boot"]["status"] == "warn"


def test_a_real_tmpfs(lab: Path) -> None:
    script = "mkdir $LAB/memory; mount -t tmpfs none $LAB/memory\n"
    assert subjects(lab, script, "metadata", "memory")["METADATA type"]["status"] == "fail"


@filesystems.needs("mkfs.xfs")
def test_a_real_xfs_has_ftype(lab: Path) -> None:
    script = (
        "loop xfs 400M defaults mkfs.xfs -q\nmkdir -p /var/lib\n"
        "mkdir -p $LAB/xfs/docker $LAB/lib; mount --bind $LAB/lib /var/lib\n"
        "mkdir /var/lib/docker; mount --bind $LAB/xfs/docker /var/lib/docker\n"
        "xfs_info $LAB/xfs > $LAB/info\n"
    )
    result = filesystems.doctor(lab, script, "storage.filesystem")["storage.filesystem"]
    assert "ftype=1" in (lab / "info").read_text()
    assert result["observation"]["ftype"] == {"/var/lib/docker": True}
    assert not any("ftype" in finding["subject"] for finding in result["findings"])


def test_an_advised_line_of_fstab_is_one_that_mount_takes(lab: Path) -> None:
    table = lab / "fstab"
    line = f"UUID=$(blkid -o value -s UUID $LAB/ok.img) {lab}/ok ext4 defaults 0 2"
    script = f'loop ok 60M defaults mkfs.ext4 -q\necho "{line}" > {table}\nmount -fav -T {table}\n'
    done = filesystems.run(lab, script, ["true"])
    assert done.returncode == 0 and "already mounted" in done.stdout, done
