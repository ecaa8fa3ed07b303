"""The mount table. The lines are copied from real hosts."""

import posixpath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biostudio_doctor.host.mounts import mount_of, parse_mountinfo

TABLE = """\
21 26 0:20 / /proc rw,nosuid,nodev,noexec,relatime shared:14 - proc proc rw
26 1 253:0 / / rw,relatime shared:1 - xfs /dev/mapper/rl-root rw,attr2,inode64,noquota
35 26 8:1 / /boot rw,relatime shared:30 - xfs /dev/sda1 rw,seclabel,attr2,inode64,noquota
40 26 8:17 / /mnt/my\\040data rw,noexec,relatime shared:40 master:3 - ext4 /dev/sdb1 rw
41 26 8:17 /app /srv/app ro,relatime shared:40 - ext4 /dev/sdb1 rw
42 26 0:45 /@data /data rw,relatime - btrfs /dev/sdc rw,ssd,subvolid=256,subvol=/@data
43 26 0:50 / /mnt/nfs rw,relatime - nfs4 10.0.0.5:/export rw,vers=4.2,hard,proto=tcp
44 26 0:51 / /mnt/dav rw,nosuid - fuse https://colleague:hunter2/1@dav.example.org/x rw,user_id=0
"""


def test_real_lines() -> None:
    mounts = {mount.target: mount for mount in parse_mountinfo(TABLE)}
    assert len(mounts) == 8
    data = mounts["/mnt/my data"]
    assert (data.device, data.type, data.source) == ("8:17", "ext4", "/dev/sdb1")
    assert "noexec" in data.options and not data.read_only
    assert mounts["/srv/app"].read_only and mounts["/srv/app"].root == "/app"
    assert mounts["/mnt/nfs"].is_network and "hard" in mounts["/mnt/nfs"].super_options


def test_users_and_passwords_in_sources_are_left_out() -> None:
    (mount,) = [mount for mount in parse_mountinfo(TABLE) if mount.target == "/mnt/dav"]
    assert mount.source == "https://dav.example.org/x"


@pytest.mark.parametrize(
    "line",
    [
        "",
        " ",
        "-",
        "36",
        "36 35 98:0 /",
        "36 35 98:0 / /mnt rw",
        "36 35 98:0 / /mnt rw -",
        "36 35 98:0 / /mnt rw - ext4",
        "36 35 98:0 / /mnt rw - ext4 /dev/sda1",
        "x 35 98:0 / /mnt rw - ext4 /dev/sda1 rw",
        "- - - - - - - - -",
        "36 35 98:0 / /mnt rw shared:1 ext4 /dev/sda1 rw",
        "36\t35\t98:0\t/\t/mnt\trw\t-\text4\t/dev/sda1\trw",
        "\0" * 40,
        "36.5 35 98:0 / /mnt rw - ext4 /dev/sda1 rw",
        "/dev/sda1 / ext4 rw,relatime 0 0",
    ],
)
def test_malformed_lines_are_passed_over(line: str) -> None:
    assert len(parse_mountinfo(line + "\n" + TABLE + line)) == 8


@given(st.text())
def test_any_text_is_no_trouble(text: str) -> None:
    for mount in parse_mountinfo(text):
        assert isinstance(mount.mount_id, int)


@given(st.text(st.characters(exclude_characters="\0\n", exclude_categories=["Cs"]), min_size=1))
def test_every_name_that_the_kernel_escapes_comes_back(name: str) -> None:
    target = "/mnt/" + name.replace("/", "")
    escaped = target.replace("\\", "\\134")
    for character in " \t#":
        escaped = escaped.replace(character, f"\\{ord(character):03o}")
    (mount,) = parse_mountinfo(f"36 35 98:0 / {escaped} rw - ext4 /dev/sda1 rw\n")
    assert mount.target == target


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/", "/"),
        ("/etc/fstab", "/"),
        ("/mnt/my data/deep/er", "/mnt/my data"),
        ("/mnt/my database", "/"),
        ("/srv/app", "/srv/app"),
        ("/srv/application", "/"),
        ("/data/../etc", "/"),
        ("/data/", "/data"),
    ],
)
def test_the_mount_of_a_path(path: str, target: str) -> None:
    found = mount_of(path, parse_mountinfo(TABLE))
    assert found and found.target == target


def test_the_latest_of_mounts_over_each_other_counts() -> None:
    over = "50 26 8:33 / /data rw - ext4 /dev/sdd1 rw\n"
    found = mount_of("/data/x", parse_mountinfo(TABLE + over))
    assert found and found.source == "/dev/sdd1"


PATHS = st.lists(st.sampled_from(["a", "b", "ab", "c"]), max_size=4).map(
    lambda p: "/" + "/".join(p)
)


@given(PATHS, st.lists(PATHS))
def test_no_deeper_mount_holds_the_path(path: str, targets: list[str]) -> None:
    lines = [f"{n} 1 8:{n} / {target} rw - ext4 x rw" for n, target in enumerate(["/", *targets])]
    found = mount_of(path, parse_mountinfo("\n".join(lines)))
    holding = [t for t in ["/", *targets] if posixpath.commonpath([t, path]) == t]
    assert found and len(found.target) == max(len(target) for target in holding)
