"""storage.capacity, on facts, on fixture trees, and on real mounts compared with df."""

import os
import subprocess
from pathlib import Path

import pytest

from biostudio_doctor.checks.storage_capacity import StorageCapacity
from biostudio_doctor.host import Host
from biostudio_doctor.host.places import Place, Volume
from biostudio_doctor.model import Finding, Machine, Status
from biostudio_doctor.tiers import StorageFacts
from tests.conftest import DEBIAN, MakeHost, context, judge
from tests.lab import filesystems
from tests.lab.filesystems import place
from tests.lab.stuck import stuck_mount
from tests.lab.timing import wait_until, within

PATHS = {"app": "/srv/app", "metadata": "/srv/metadata", "user": "/srv/user"}
LARGE = place("/mnt", 900, target="/mnt", device="8:33", source="/dev/sdc1")


def found(
    *places: Place, candidates: tuple[Place, ...] = (), **config: object
) -> dict[str, Finding]:
    """Judge places of the tiers by the end of their paths; the others are not configured."""
    names = {made.path.rpartition("/")[2]: made for made in places}
    storage = {key: made.path for key, made in names.items() if key in PATHS}
    facts = StorageFacts(
        places={key.upper(): made for key, made in names.items()}, candidates=candidates
    )
    return judge(StorageCapacity(context(storage=storage, **config)), facts)


def three(gb: float, used: float = 0, **more: object) -> list[Place]:
    """All three tiers on one file system."""
    return [place(path, gb, used, **more) for path in PATHS.values()]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("path", "gb", "status"),
    [
        ("/srv/app", 40, Status.PASS),
        ("/srv/app", 39.9, Status.WARN),
        ("/srv/app", 10, Status.WARN),
        ("/srv/app", 9.9, Status.FAIL),
        ("/srv/metadata", 50, Status.PASS),
        ("/srv/metadata", 5, Status.WARN),
        ("/srv/metadata", 4.9, Status.FAIL),
        ("/srv/user", 500, Status.PASS),
        ("/srv/user", 499.9, Status.WARN),
        ("/srv/user", 0, Status.FAIL),
    ],
)
def test_the_lines(path: str, gb: float, status: Status) -> None:
    finding = found(place(path, gb))[path.rpartition("/")[2].upper()]
    assert finding.status is status and finding.requirement
    assert (finding.remedy is None) == (status is Status.PASS)
    if status is Status.FAIL:
        assert "our estimate" in finding.summary


def test_sizes_are_said_in_both_units() -> None:
    finding = found(place("/srv/app", 85, target="/srv"))["APP"]
    assert finding.summary == (
        "APP is at /srv/app on /srv: 85 GB (79.2 GiB) available; 40 GB or more are recommended."
    )


def test_a_path_that_is_not_there_yet_says_so() -> None:
    finding = found(place("/srv/app", 85, existing="/srv", exists=False))["APP"]
    assert finding.summary.startswith(
        "APP is to be at /srv/app, which does not exist yet and would lie on /: 85 GB"
    )


@pytest.mark.parametrize(
    ("gb", "status"),
    [(590, Status.PASS), (589, Status.WARN), (25, Status.WARN), (24.9, Status.FAIL)],
)
def test_tiers_on_one_file_system_must_fit_it_together(gb: float, status: Status) -> None:
    finding = found(*three(gb))["APP, METADATA and USER"]
    assert finding.status is status
    assert "are to have 590 GB together" in finding.summary
    assert bool(finding.remedy) == (status is not Status.PASS)


def test_bind_mounts_are_one_file_system_and_partitions_are_not() -> None:
    bound = found(
        place("/srv/app", 60, target="/srv/app"),
        place("/srv/metadata", 60, target="/srv/metadata", root="/m"),
        place("/srv/user", 600, target="/srv/user", device="8:17"),
    )
    assert bound["APP and METADATA"].status is Status.WARN
    assert "one file system (/srv/app and /srv/metadata)" in bound["APP and METADATA"].summary
    assert {"APP", "METADATA", "USER", "APP and METADATA"} == set(bound)


def test_directories_with_quotas_of_their_own_are_apart() -> None:
    apart = found(place("/srv/app", 50, size=50), place("/srv/metadata", 60, size=60))
    assert "APP and METADATA" not in apart


def test_datasets_of_a_zfs_pool_share_it() -> None:
    pool = Volume(pool="tank")
    shared = found(
        place("/srv/app", 80, 10, fs_type="zfs", device="0:40", volume=pool),
        place("/srv/metadata", 80, 200, fs_type="zfs", device="0:41", volume=pool),
    )["APP and METADATA"]
    assert shared.status is Status.WARN and "the pool tank" in shared.summary
    assert "80 GB (74.5 GiB) available" in shared.summary


def test_thin_volumes_hold_no_more_than_their_pool() -> None:
    pool = Volume(lvm=True, pool="vg-thin", pool_size=int(70e9))
    shared = found(
        place("/srv/app", 100, device="253:4", volume=pool),
        place("/srv/metadata", 100, device="253:5", volume=pool),
    )
    assert shared["APP"].status is Status.PASS and shared["APP"].observed.startswith("70 GB")
    assert shared["APP and METADATA"].status is Status.WARN


def test_before_the_installation_only_free_space_counts_and_afterwards_what_is_used_too() -> None:
    full = place("/srv/user", 300, 250)
    assert found(full)["USER"].status is Status.WARN
    running = found(full, phase="running")["USER"]
    assert running.status is Status.PASS
    assert "550 GB (512.2 GiB) in all, 300 GB available" in running.summary


@pytest.mark.parametrize(
    ("gb", "used", "status"),
    [
        (60, 540, Status.PASS),  # a tenth
        (59, 541, Status.WARN),
        (5, 595, Status.FAIL),
        (600, 99_400, Status.PASS),  # less than a tenth, yet more than a whole tier
    ],
)
def test_nearly_full(gb: float, used: float, status: Status) -> None:
    finding = found(place("/srv/user", gb, used), phase="running")["USER"]
    assert finding.status is status
    assert ("is left" in finding.summary) == (status is not Status.PASS)


def test_memory_is_no_storage() -> None:
    all_three = found(*three(700, fs_type="tmpfs", source="tmpfs"))
    assert {finding.status for finding in all_three.values()} == {Status.FAIL}
    assert "tmpfs, which is memory" in all_three["USER"].summary and len(all_three) == 3


def test_the_layer_of_a_container_is_no_storage() -> None:
    finding = found(place("/srv/app", 700, fs_type="overlay"))["APP"]
    assert finding.status is Status.WARN and "gone with it" in finding.summary
    assert finding.remedy and "--host-root" in finding.remedy.text
    assert found(place("/srv/app", 7, fs_type="overlay"))["APP"].status is Status.FAIL


@pytest.mark.parametrize(
    ("role", "subjects"),
    [
        ("bioproxy", {"METADATA"}),
        ("biostudio", {"APP", "USER", "APP and USER"}),
        ("all-in-one", {"APP", "METADATA", "USER", "APP, METADATA and USER"}),
    ],
)
def test_a_role_has_its_own_tiers(role: str, subjects: set[str]) -> None:
    places = [made for made in three(700) if made.path.rpartition("/")[2].upper() in subjects]
    assert set(found(*places, role=role)) == subjects


def test_a_volume_of_lvm_is_told_to_grow_by_what_is_missing() -> None:
    volume = Volume(lvm=True)
    finding = found(place("/srv/user", 400, source="/dev/mapper/vg-user", volume=volume))["USER"]
    assert finding.remedy
    assert finding.remedy.commands[-1] == "lvextend --resizefs --size +94G /dev/mapper/vg-user"


def test_space_that_ext4_keeps_for_root_is_pointed_out() -> None:
    data = {"target": "/srv/user", "source": "/dev/sdb1", "size": 525}
    finding = found(place("/srv/user", 499, **data))["USER"]  # type: ignore[arg-type]
    assert finding.remedy and finding.remedy.commands[-1] == "tune2fs -m 0 /dev/sdb1"
    not_enough = found(place("/srv/user", 400, 100, **data))["USER"]  # type: ignore[arg-type]
    assert not_enough.remedy and "tune2fs" not in str(not_enough.remedy.commands)


def test_commands_are_those_of_the_distribution() -> None:
    alpine = Machine(hostname="lab", os_id="alpine")
    facts = StorageFacts(places={"APP": place("/srv/app", 1)})
    check = StorageCapacity(context(alpine, role="biostudio", storage={"app": "/srv/app"}))
    remedy = judge(check, facts)["APP"].remedy
    assert remedy and "lsblk" not in str(remedy.commands)


def test_the_later_vendor_values_have_a_root_and_a_configuration() -> None:
    vendor = {"profile": "vendor-installer", "role": "bioproxy"}
    root = place("/root", 90, 20)
    configs = place("/biocolab/config", 90, 20, exists=False, existing="/")
    fits = found(place("/srv/metadata", 90, device="8:2"), configs, root, **vendor)
    assert fits["ROOT"].status is Status.PASS
    assert "110 GB (102.4 GiB) in size, 90 GB available" in fits["ROOT"].summary
    assert fits["CONFIG"].status is Status.PASS
    shared = found(place("/srv/metadata", 90, 20), configs, root, **vendor)
    together = shared["METADATA and CONFIG"]  # for ROOT the size of what they are on counts
    assert together.status is Status.PASS and "51 GB together" in together.summary
    assert together.observed == "90 GB (83.8 GiB) available"
    assert not any("in all" in finding.summary for finding in shared.values())
    small = found(
        place("/srv/metadata", 90, device="8:2"), configs, place("/root", 40, 20), **vendor
    )
    assert small["ROOT"].status is Status.FAIL and "below 60 GiB" in small["ROOT"].summary


def test_a_small_root_is_told_to_grow_by_what_it_lacks_itself() -> None:
    """Not by the sum of all that lies on it; what is kept for root counts as its size."""
    vendor = {"profile": "vendor-installer", "role": "bioproxy"}
    lvm = {"source": "/dev/mapper/vg-root", "volume": Volume(lvm=True)}
    places = [place(path, 60, 20, size=80, **lvm) for path in ("/root", "/srv/metadata")]  # type: ignore[arg-type]
    finding = found(*places, **vendor)["ROOT"]
    assert finding.status is Status.WARN and finding.remedy
    assert finding.remedy.commands[-1].endswith("--size +19G /dev/mapper/vg-root")


# --- Without configured paths ---------------------------------------------------------------------


def test_without_paths_tiers_are_judged_where_they_fit_best() -> None:
    small = place("/", 60)
    proposed = found(candidates=(small, LARGE))
    assert {proposed[name].status for name in ("APP", "METADATA", "USER")} == {Status.PASS}
    assert proposed["APP"].summary.startswith("APP (no path configured) would be on /mnt: 900 GB")
    how = proposed["paths"]
    assert how.status is Status.SKIP and "config init" in how.summary
    assert how.remedy and 'user = "/mnt/biocolab/userdata"' in how.remedy.text


def test_tiers_are_spread_only_where_they_must_be() -> None:
    spread = found(candidates=(place("/", 60), place("/mnt", 545, target="/mnt", device="8:33")))
    assert {spread[name].status for name in ("APP", "METADATA", "USER")} == {Status.PASS}
    assert "would be on /mnt" in spread["USER"].summary
    together = [finding for name, finding in spread.items() if " and " in name]
    assert [finding.status for finding in together] == [Status.PASS]


def test_databases_are_not_proposed_for_the_network() -> None:
    nfs = place("/mnt", 9000, target="/mnt", device="0:50", fs_type="nfs4")
    proposed = found(candidates=(place("/", 60), nfs))
    assert "would be on /:" in proposed["METADATA"].summary
    assert "would be on /mnt:" in proposed["USER"].summary


def test_what_is_configured_takes_its_room_first() -> None:
    user = place("/mnt/user", 520, target="/mnt", device="8:33")
    mount = place("/mnt", 520, target="/mnt", device="8:33")
    proposed = found(user, candidates=(mount, place("/", 95)))
    assert "would be on /:" in proposed["METADATA"].summary
    assert "would be on /:" in proposed["APP"].summary


def test_a_host_that_can_hold_nothing_is_told_the_truth() -> None:
    poor = found(candidates=(place("/", 20), place("/mnt", 4, target="/mnt", device="8:33")))
    assert poor["USER"].status in (Status.WARN, Status.FAIL)
    assert Status.PASS not in {poor[name].status for name in ("APP", "METADATA", "USER")}


def test_no_file_system_at_all_is_an_error() -> None:
    nothing = found()
    assert {finding.status for finding in nothing.values()} == {Status.ERROR}
    assert set(nothing) == {"APP", "METADATA", "USER"}


def test_the_vendors_directory_is_the_default_once_it_is_there(make_host: MakeHost) -> None:
    host = make_host(
        {
            "/proc/1/mountinfo": "26 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
            "30 26 8:17 / /biocolab rw - xfs /dev/sdb1 rw\n",
            "/biocolab/metadata": None,
        }
    )
    check = StorageCapacity(context())
    findings = judge(check, check.observe(host))
    assert findings["METADATA"].summary.startswith(
        "METADATA is at /biocolab/metadata (the vendor's default path) on /biocolab: "
    )
    assert "would lie on /biocolab" in findings["USER"].summary and "paths" not in findings


@filesystems.needs_root
def test_a_default_path_that_may_not_be_seen_is_one_all_the_same(
    make_host: MakeHost, tmp_path: Path
) -> None:
    root = "26 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
    host = make_host({"/proc/1/mountinfo": root, "/biocolab/metadata": None})
    (tmp_path / "root/biocolab").chmod(0o700)
    check = StorageCapacity(context(role="bioproxy"))

    def says_so() -> bool:
        finding = judge(check, check.observe(host))["METADATA"]
        return finding.summary.startswith("METADATA is at /biocolab/metadata (the vendor's")

    assert filesystems.as_nobody(tmp_path, says_so)


def test_on_kubernetes_tiers_are_claims_unless_a_path_says_otherwise(make_host: MakeHost) -> None:
    host = make_host({"/proc/1/mountinfo": "26 1 8:1 / / rw - ext4 /dev/sda1 rw\n", "/pv": None})
    check = StorageCapacity(context(platform="kubernetes", storage={"user": "/pv"}))
    findings = judge(check, check.observe(host))
    assert findings["APP"].status is findings["METADATA"].status is Status.SKIP
    assert "(PVC) of 40 GB" in findings["APP"].summary
    assert findings["USER"].status is not Status.SKIP


# --- What cannot be looked at ---------------------------------------------------------------------


def unseen(root: bool, **problem: object) -> Finding:
    facts = StorageFacts(
        places={"APP": Place(path="/srv/app", **problem), "USER": place("/srv/user", 600)}  # type: ignore[arg-type]
    )
    machine = DEBIAN if root else Machine(hostname="lab", os_id="debian")
    check = StorageCapacity(context(machine, role="biostudio", storage=PATHS))
    findings = judge(check, facts)
    assert findings["USER"].status is Status.PASS, "the other tier has its answer"
    return findings["APP"]


def test_what_may_not_be_seen_is_an_error_that_says_who_may() -> None:
    finding = unseen(root=False, problem="Permission denied", denied=True)
    assert finding.status is Status.ERROR and "/srv/app: Permission denied." in finding.summary
    assert finding.remedy and "as root" in finding.remedy.text
    finding = unseen(root=True, problem="Permission denied", denied=True)
    assert finding.remedy and "as root" not in finding.remedy.text


def test_a_stale_mount_is_an_error_that_names_it() -> None:
    finding = unseen(root=True, problem="Stale file handle")
    assert finding.status is Status.ERROR and finding.remedy
    assert finding.remedy.commands[0] == "ls -ld /srv/app"


def test_a_candidate_that_fails_is_told_of() -> None:
    dead = Place(path="/mnt/nfs", problem="no answer within 4 s", hung=True)
    findings = found(candidates=(place("/", 900), dead))
    assert findings["/mnt/nfs"].status is Status.ERROR
    assert "/mnt/nfs was not considered" in findings["/mnt/nfs"].summary
    assert findings["USER"].status is Status.PASS


def test_a_mount_point_that_fails_is_no_candidate_and_no_secret(make_host: MakeHost) -> None:
    host = make_host(
        {
            "/proc/1/mountinfo": "26 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
            "30 26 0:50 / /mnt/nfs rw - nfs4 nas:/export rw\n",
            "/mnt/nfs": "-> /mnt/nfs",
        }
    )
    check = StorageCapacity(context())
    findings = judge(check, check.observe(host))
    assert findings["/mnt/nfs"].status is Status.ERROR
    assert "nas:/export" in str(findings["/mnt/nfs"].remedy)
    assert "would be on /:" in findings["USER"].summary


@pytest.mark.skipif(
    os.geteuid() != 0 or not os.path.exists("/dev/fuse"), reason="needs root and /dev/fuse to mount"
)
def test_a_mount_that_never_answers_hides_no_other_tier(tmp_path: Path) -> None:
    directory = tmp_path / "hung"
    directory.mkdir()
    storage = {**PATHS, "metadata": str(directory / "metadata")}
    check = StorageCapacity(context(storage=storage, timeout=4))
    with stuck_mount(directory), within(4):
        findings = judge(check, check.observe(Host()))
    hung = findings["METADATA"]
    assert hung.status is Status.ERROR
    assert hung.summary == (
        f"METADATA could not be looked at: {directory}/metadata: no answer within 2 s."
    )
    assert hung.remedy and str(directory) in hung.remedy.text
    assert Status.ERROR not in {findings["APP"].status, findings["USER"].status}


# --- Real mounts ----------------------------------------------------------------------------------


lab = filesystems.lab
BTRFS = "loop big 700G defaults mkfs.btrfs -q\n"
EXT4 = "loop mid 60G defaults mkfs.ext4 -q -i 65536 -J size=4 -E lazy_itable_init=1,nodiscard\n"


@filesystems.needs("mkfs.btrfs")
def test_real_file_systems_agree_with_df(lab: Path) -> None:
    script = BTRFS + EXT4 + (
        "mkdir -p $LAB/bound $LAB/sub; mount --bind $LAB/big $LAB/bound\n"
        "btrfs subvolume create $LAB/big/s >/dev/null\n"
        "mount -o subvol=s $(losetup -n -O NAME -j $LAB/big.img) $LAB/sub\n"
        "df -B1 --output=avail $LAB/bound $LAB/mid > $LAB/df\n"
    )  # fmt: skip
    tiers = filesystems.config(lab, app="bound/app", metadata="mid", user="sub")
    result = filesystems.doctor(lab, script, "storage.capacity", "--config", tiers)
    findings = filesystems.findings(result["storage.capacity"])
    _, on_btrfs, on_ext4 = (lab / "df").read_text().split()
    rooms = {
        name: seen["room"]["available"]
        for name, seen in result["storage.capacity"]["observation"]["places"].items()
    }
    assert rooms == {"APP": int(on_btrfs), "METADATA": int(on_ext4), "USER": int(on_btrfs)}
    assert {finding["status"] for finding in findings.values()} == {"pass"}
    assert "one file system" in findings["APP and USER"]["summary"]


def test_a_full_file_system_fails(lab: Path) -> None:
    script = EXT4 + "fallocate -l 58G $LAB/mid/x\n"
    tiers = filesystems.config(lab, metadata="mid")
    result = filesystems.doctor(
        lab, script, "storage.capacity", "--config", tiers, "--role", "bioproxy"
    )
    finding = filesystems.findings(result["storage.capacity"])["METADATA"]
    assert finding["status"] == "fail"
    running = filesystems.doctor(
        lab, script.replace("mid ", "more ").replace("/mid/", "/more/"), "storage.capacity",
        "--config", filesystems.config(lab, metadata="more"), "--role", "bioproxy",
        "--phase", "running",
    )  # fmt: skip
    finding = filesystems.findings(running["storage.capacity"])["METADATA"]
    assert finding["status"] == "fail" and "is left" in finding["summary"]


def test_nothing_stays_mounted(lab: Path) -> None:
    filesystems.doctor(lab, "loop small 8M defaults mkfs.ext4 -q\n", "storage.capacity")
    assert str(lab) not in Path("/proc/self/mountinfo").read_text()
    wait_until(  # the kernel detaches a loop device some time after its mount
        lambda: str(lab) not in subprocess.check_output(["losetup", "--all"], text=True),
        "no loop device attached",
    )


def test_this_host() -> None:
    check = StorageCapacity(context())
    assert {"APP", "METADATA", "USER"} <= set(judge(check, check.observe(Host())))
