"""The mount table: /proc/PID/mountinfo, as proc_pid_mountinfo(5) describes it."""

import posixpath
import re
from collections.abc import Sequence

from msgspec import Struct

from biostudio_doctor import endpoints

#: Object stores behind a file system: no hard links, no atomic rename, a file at a time.
OBJECT_TYPES = frozenset({
    "fuse.blobfuse", "fuse.blobfuse2", "fuse.gcsfuse", "fuse.goofys", "fuse.mount-s3",
    "fuse.mountpoint-s3", "fuse.rclone", "fuse.s3fs",
})  # fmt: skip
#: File systems whose data is on other machines.
NETWORK_TYPES = OBJECT_TYPES | {
    "9p", "afs", "beegfs", "ceph", "cifs", "fuse.ceph", "fuse.glusterfs", "fuse.juicefs",
    "fuse.sshfs", "gfs2", "glusterfs", "gpfs", "lustre", "nfs", "nfs4", "ocfs2", "orangefs", "smb3",
    "smbfs", "virtiofs",
}  # fmt: skip
#: Local file systems that keep owners and permissions and survive a crash.
LOCAL_TYPES = frozenset({
    "bcachefs", "btrfs", "ext3", "ext4", "f2fs", "jfs", "nilfs2", "reiserfs", "xfs", "zfs",
})  # fmt: skip
#: Those that live in memory.
MEMORY_TYPES = frozenset({"devtmpfs", "ramfs", "tmpfs"})
#: Those that keep no POSIX owners and permissions of their own. ntfs-3g calls itself fuseblk.
OWNERLESS_TYPES = frozenset({
    "cifs", "exfat", "fuse.exfat", "fuse.sshfs", "fuseblk", "hfs", "hfsplus", "iso9660", "msdos",
    "ntfs", "ntfs3", "smb3", "smbfs", "vfat",
})  # fmt: skip
_ESCAPE = re.compile(r"\\([0-7]{3})")


class Mount(Struct, frozen=True, kw_only=True):
    """One line of mountinfo. Escapes such as \\040 are undone, users in sources left out."""

    mount_id: int
    device: str  # major:minor; equal numbers are one file system, whatever the source says
    root: (
        str  # the directory of the file system that is mounted: other than / is a bind or subvolume
    )
    target: str
    options: tuple[str, ...]
    type: str
    source: str
    super_options: tuple[str, ...]

    @property
    def is_network(self) -> bool:
        """Whether its data is on other machines, which may be slow, gone, or map owners."""
        return self.type in NETWORK_TYPES

    @property
    def read_only(self) -> bool:
        """Whether the mount, or the file system under it, refuses to be written."""
        return "ro" in self.options or "ro" in self.super_options


def parse_mountinfo(text: str) -> list[Mount]:
    """Read mountinfo; lines that are no such lines are passed over."""
    return [mount for line in text.split("\n") if (mount := _parse_line(line))]


def mount_of(path: str, mounts: Sequence[Mount]) -> Mount | None:
    """The mount that a link-free path lies on: the longest target, the latest of equals."""
    path = posixpath.normpath("/" + path.lstrip("/"))
    found: Mount | None = None
    for mount in mounts:
        below = (path + "/").startswith(mount.target.rstrip("/") + "/")
        if below and (not found or len(mount.target) >= len(found.target)):
            found = mount
    return found


def _parse_line(line: str) -> Mount | None:
    fields = line.split(" ")
    try:
        separator = fields.index("-", 6)
        mount_id, _parent, device, root, target, options = fields[:6]
        fs_type, source, super_options = fields[separator + 1 : separator + 4]
        return Mount(
            mount_id=int(mount_id),
            device=device,
            root=unescape(root),
            target=unescape(target),
            options=tuple(options.split(",")),
            type=fs_type,
            source=without_user(unescape(source)),
            super_options=tuple(super_options.split(",")),
        )
    except ValueError:
        return None


def without_user(source: str) -> str:
    """A source such as https://user:password@host/share without what is nobody's business."""
    return endpoints.without_user(source) if "//" in source else source


def unescape(text: str) -> str:
    """Undo the octal escapes that mountinfo and fstab(5) write spaces and tabs with."""
    return _ESCAPE.sub(lambda match: chr(int(match[1], 8)), text)
