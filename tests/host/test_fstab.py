"""What is mounted at boot."""

import shutil
import subprocess

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from biostudio_doctor.host.fstab import (
    boot_of,
    fstab_line,
    parse_fstab,
    unit_name,
    unit_state,
    uuid_of,
)
from biostudio_doctor.host.mounts import Mount, parse_mountinfo
from tests.conftest import MakeHost

# Copied from an installer's, with lines that people add.
FSTAB = """\
# /etc/fstab: static file system information.
UUID=8a1c5d3e-0001 / ext4 errors=remount-ro 0 1
UUID=8a1c5d3e-0002\tnone\tswap\tsw\t0\t0
  # indented comment
UUID=8a1c5d3e-0003   /mnt/my\\040data/  xfs  defaults,nofail  0  0
//nas/share /mnt/nas cifs credentials=/root/secret,password=hunter2,noauto,_netdev 0 0
10.0.0.5:/export /mnt/nfs nfs4
https://me:hunter2/1@dav.example.org /mnt/dav davfs noauto,x-systemd.automount
/mnt/big/home /home none bind
"""


def mount(
    target: str = "/data", fs_type: str = "xfs", source: str = "/dev/sdb1", root: str = "/"
) -> Mount:
    line = f"1 1 8:17 {root} {target} rw - {fs_type} {source} rw"
    return parse_mountinfo(line)[0]


def test_a_real_fstab() -> None:
    entries = {entry.target: entry for entry in parse_fstab(FSTAB)}
    assert list(entries) == ["/", "/mnt/my data", "/mnt/nas", "/mnt/nfs", "/mnt/dav", "/home"]
    assert entries["/mnt/my data"].options == ("defaults", "nofail")
    assert entries["/mnt/nfs"].options == ("defaults",) and entries["/mnt/nfs"].at_boot
    assert not entries["/mnt/nas"].at_boot and entries["/mnt/dav"].at_boot


def test_no_password_is_kept() -> None:
    assert "hunter2" not in repr(parse_fstab(FSTAB)) and "/root/secret" not in repr(
        parse_fstab(FSTAB)
    )


@given(st.text())
def test_any_text_is_no_trouble(text: str) -> None:
    for entry in parse_fstab(text):
        assert entry.target.startswith("/")


@given(st.text(st.characters(exclude_characters="\0\n/", exclude_categories=["Cs"]), min_size=1))
@example(" a\tb\\040")
def test_the_line_that_is_advised_is_read_back(name: str) -> None:
    target = "/mnt/x" + name
    advised = Mount(
        mount_id=1, device="8:17", root="/", target=target, options=(), type="xfs",
        source="/dev/sdb1", super_options=(),
    )  # fmt: skip
    (entry,) = parse_fstab(fstab_line(advised, "1234-5678"))
    assert (entry.target, entry.source, entry.type) == (target, "UUID=1234-5678", "xfs")


@pytest.mark.parametrize(
    ("described", "uuid", "line"),
    [
        (mount(), "1234", "UUID=1234 /data xfs defaults 0 0"),
        (mount(fs_type="ext4"), "1234", "UUID=1234 /data ext4 defaults 0 2"),
        (mount(source="/dev/mapper/vg-d"), "", "/dev/mapper/vg-d /data xfs defaults 0 0"),
        (mount(), "", ""),
        (mount(source="/dev/loop3"), "1234", ""),
        (mount(root="/app"), "1234", ""),
        (mount(fs_type="btrfs", root="/@"), "12", "UUID=12 /data btrfs defaults,subvol=/@ 0 0"),
        (mount(fs_type="nfs4", source="nas:/x"), "", "nas:/x /data nfs4 defaults,_netdev 0 0"),
        (mount(fs_type="cifs", source="//nas/x"), "", ""),
    ],
)  # fmt: skip
def test_advised_lines(described: Mount, uuid: str, line: str) -> None:
    assert fstab_line(described, uuid) == line


@pytest.mark.skipif(not shutil.which("systemd-escape"), reason="needs systemd-escape to compare")
def test_unit_names_are_systemds() -> None:
    paths = [
        "/", "/data", "/mnt/my data", "/mnt/a-b", "/.hidden", "/a/.b", "/srv//x/", "/mnt/é",
        "/a:b_c.d", "/mnt/\\back", "/-",
    ]  # fmt: skip
    done = subprocess.run(
        ["systemd-escape", "--path", "--suffix=mount", "--", *paths],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    names = done.stdout.replace("\n", " ").split()
    assert [unit_name(path) for path in paths] == names


@pytest.mark.parametrize(
    ("tree", "state"),
    [
        ({}, ""),
        ({"/etc/systemd/system/srv-data.mount": "[Mount]\n"}, "disabled"),
        ({"/etc/systemd/system/local-fs.target.wants/srv-data.mount": "-> ../x"}, "enabled"),
        ({"/etc/systemd/system/multi-user.target.wants/srv-data.automount": "-> ../x"}, "enabled"),
        ({"/run/systemd/generator.late/srv-data.mount": "[Mount]\n"}, "enabled"),
        ({"/run/systemd/generator/srv-data.mount": "[Unit]\nSourcePath=/etc/fstab\n"}, ""),
    ],
    ids=["none", "disabled", "enabled", "automount", "generated", "an fstab of yesterday"],
)
def test_systemd_units(make_host: MakeHost, tree: dict[str, str], state: str) -> None:
    assert unit_state(make_host(tree), "/srv/data") == state


@pytest.mark.parametrize(
    "tree",
    [
        {"/sys/dev/block/8:17": "-> ../../devices/pci0/block/sdb/sdb1"},
        {"/dev/disk/by-label/data": "-> ../../sdb1"},
    ],
    ids=["by its number", "by its name"],
)
def test_the_uuid_of_a_device(make_host: MakeHost, tree: dict[str, str]) -> None:
    links = {"/dev/disk/by-uuid/aaaa": "-> ../../sda1", "/dev/disk/by-uuid/bbbb": "-> ../../sdb1"}
    host = make_host({**links, **tree})
    assert uuid_of(host, mount()) == "bbbb"
    assert uuid_of(host, mount(source="/dev/sdz9")) == ("bbbb" if "8:17" in str(tree) else "")


def test_boot_tells_what_fstab_means_a_path_for(make_host: MakeHost) -> None:
    host = make_host({"/etc/fstab": FSTAB, "/proc/1/mountinfo": "1 1 8:1 / / rw - ext4 x rw\n"})
    boot = boot_of(host, [mount("/data")])
    meant = boot.meant_for("/mnt/my data/app")
    assert meant and meant.target == "/mnt/my data"
    assert boot.units == {"/data": ""}


def test_a_host_without_fstab_mounts_nothing_by_it(make_host: MakeHost) -> None:
    boot = boot_of(make_host({"/proc/1/mountinfo": ""}), [])
    assert boot.entries == () and boot.problem == ""
