"""What lies under a directory: fixture trees that are made, and this machine's own root."""

import os
import subprocess
from pathlib import Path

from biostudio_doctor.host import Host
from biostudio_doctor.host.mounts import parse_mountinfo
from biostudio_doctor.host.places import candidates, look, look_at, volume_of
from tests.conftest import MakeHost
from tests.lab import filesystems

ROOT = "26 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n"
DATA = "30 26 8:17 / /data rw,relatime - xfs /dev/sdb1 rw\n"
MOUNTS = parse_mountinfo(ROOT + DATA)


def test_a_directory_is_itself(make_host: MakeHost) -> None:
    place = look(make_host({"/data/app": None}), "/data/app/", MOUNTS)
    assert (place.existing, place.exists, place.target) == ("/data/app", True, "/data")
    assert place.room and place.device == "8:17" and not place.problem


def test_a_path_that_is_not_there_yet_lies_on_its_nearest_parent(make_host: MakeHost) -> None:
    place = look(make_host({"/data/team": None}), "/data/team/app/x", MOUNTS)
    assert (place.existing, place.exists, place.target) == ("/data/team", False, "/data")


def test_links_are_followed_as_the_host_would_also_where_they_lead_nowhere_yet(
    make_host: MakeHost,
) -> None:
    host = make_host({"/data/team": None, "/srv/app": "-> /data/team/app"})
    place = look(host, "/srv/app", MOUNTS)
    assert (place.existing, place.exists, place.target) == ("/data/team", False, "/data")


def test_a_file_is_no_directory(make_host: MakeHost) -> None:
    host = make_host({"/data/app": "text"})
    assert look(host, "/data/app", MOUNTS).directory is False
    place = look(host, "/data/app/below", MOUNTS)
    assert place.existing == "/data/app" and place.directory is False


def test_a_loop_of_links_is_a_problem_and_no_crash(make_host: MakeHost) -> None:
    place = look(make_host({"/srv/app": "-> /srv/app"}), "/srv/app", MOUNTS)
    assert place.problem == os.strerror(40) and not place.hung
    assert look(make_host({}), "/srv/\0", MOUNTS).problem


def test_numbers_are_those_of_df(tmp_path: Path) -> None:
    host = Host()
    place = look(host, str(tmp_path), host.mounts())
    done = subprocess.run(
        ["df", "-B1", "--output=size,used,avail,itotal,iavail,target", str(tmp_path)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    size, used, available, inodes, inodes_free, target = done.stdout.splitlines()[1].split()
    room = place.room
    assert room and place.target == target
    assert (room.size, room.inodes) == (int(size), int(inodes))
    assert abs(room.available - int(available)) < 1e9 and abs(room.used - int(used)) < 1e9
    assert abs(room.inodes_free - int(inodes_free)) < 1e5


@filesystems.needs_root
def test_the_mount_point_speaks_for_what_may_not_be_seen(tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)

    def answered() -> bool:
        place = look(Host(), str(private / "app"), Host().mounts())
        known = place.existing == place.target and place.room is not None
        return known and place.exists is None and not place.problem

    assert filesystems.as_nobody(tmp_path, answered)


def test_several_places_keep_their_own_answers(make_host: MakeHost) -> None:
    host = make_host({"/data/app": None, "/srv/user": "-> /srv/user"})
    found = look_at(host, ["/data/app", "/srv/user"], MOUNTS, 5)
    assert not found["/data/app"].problem and found["/srv/user"].problem


def test_bind_mounts_and_subvolumes_share_their_room(make_host: MakeHost) -> None:
    mounts = parse_mountinfo(
        ROOT + DATA + "31 26 8:17 /sub /srv/bound rw - xfs /dev/sdb1 rw\n"
        "32 26 0:40 /@a /a rw - btrfs /dev/sdc rw\n33 26 0:40 /@b /b rw - btrfs /dev/sdc rw\n"
        "34 26 0:50 / /tank/a rw - zfs tank/a rw\n35 26 0:51 / /tank/b rw - zfs tank/b rw\n"
    )
    paths = ["/data", "/srv/bound", "/a", "/b", "/tank/a", "/tank/b", "/srv"]
    host = make_host(dict.fromkeys(paths))
    keys = [look(host, path, mounts).filesystem for path in paths]
    assert keys[0] == keys[1] and keys[2] == keys[3] and keys[4] == keys[5]
    assert len(set(keys)) == 4


def test_thin_volumes_are_known_by_their_pool(make_host: MakeHost) -> None:
    # Made after /sys of a host with LVM: a LUKS mapping on a thin volume of the pool vg-thin.
    pool = {"dm/uuid": "LVM-abc-tpool\n", "dm/name": "vg-thin-tpool\n", "size": "2097152\n"}
    host = make_host(
        {
            "/sys/dev/block/253:7/dm/uuid": "CRYPT-LUKS2-abc\n",
            "/sys/dev/block/253:7/slaves/dm-5": None,
            "/sys/class/block/dm-5/dm/uuid": "LVM-def\n",
            "/sys/class/block/dm-5/slaves/dm-3": None,
            **{f"/sys/class/block/dm-3/{name}": text for name, text in pool.items()},
            "/sys/dev/block/253:0/dm/uuid": "LVM-xyz\n",
        }
    )
    line = "26 1 253:{} / / rw - ext4 /dev/mapper/x rw\n"
    thin = volume_of(host, parse_mountinfo(line.format(7))[0])
    assert (thin.pool, thin.pool_size) == ("vg-thin", 1 << 30)
    thick = volume_of(host, parse_mountinfo(line.format(0))[0])
    assert thick.lvm and not thick.pool


def test_candidates_are_what_could_hold_storage() -> None:
    # Copied from a Docker host and an Ubuntu with snaps, shortened.
    mounts = parse_mountinfo(
        ROOT
        + DATA
        + "31 26 8:17 /x /srv/bound rw - xfs /dev/sdb1 rw\n"
        + "32 26 8:2 / /boot/efi rw - vfat /dev/sda2 rw\n"
        + "33 26 8:3 / /boot rw - ext4 /dev/sda3 rw\n"
        + "34 26 7:1 / /snap/core22/1 ro - squashfs /dev/loop1 ro\n"
        + "35 26 0:60 / /var/lib/docker/overlay2/a/merged rw - overlay overlay rw\n"
        + "36 26 8:33 / /var/lib/docker rw - ext4 /dev/sdc1 rw\n"
        + "37 26 0:61 / /run/user/0 rw - tmpfs tmpfs rw\n"
        + "38 26 0:62 / /mnt/nfs rw - nfs4 nas:/export rw\n"
        + "39 26 0:63 / /mnt/win rw - cifs //nas/share rw\n"
        + "40 26 8:49 / /media/old ro - ext4 /dev/sdd1 ro\n"
        + "41 26 8:50 / /bootstrap rw - ext4 /dev/sdd2 rw\n"
        + "42 26 0:64 / /mnt/auto rw - autofs systemd-1 rw\n"
        + "43 26 0:65 / /mnt/bucket rw - fuse.s3fs s3fs rw\n"
        + "44 26 8:51 / /scratch rw,noexec - ext4 /dev/sdd3 rw\n"
    )
    assert candidates(mounts) == ["/", "/bootstrap", "/data", "/mnt/nfs"]


def test_a_root_that_is_nothing_else_is_the_last_resort() -> None:
    overlay = parse_mountinfo("1 1 0:30 / / rw - overlay overlay rw\n")
    assert candidates(overlay) == ["/"]
