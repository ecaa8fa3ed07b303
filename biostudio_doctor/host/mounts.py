"""The mount table: /proc/PID/mountinfo, as proc_pid_mountinfo(5) describes it."""

import posixpath
import re
from collections.abc import Sequence

from msgspec import Struct

NETWORK_TYPES = frozenset(
    "nfs nfs4 cifs smb3 smbfs 9p afs ceph fuse.glusterfs glusterfs fuse.sshfs fuse.s3fs fuse.ceph "
    "fuse.rclone lustre gpfs beegfs orangefs ocfs2 gfs2 virtiofs fuse.juicefs".split()
)
_ESCAPE = re.compile(r"\\([0-7]{3})")


class Mount(Struct, frozen=True, kw_only=True):
    """One line of mountinfo. Escapes such as \\040 are undone."""

    mount_id: int
    device: str  # major:minor; equal numbers are one file system, whatever the source says
    root: str  # the directory of the file system that is mounted: other than / is a bind or subvolume
    target: str
    options: tuple[str, ...]
    type: str
    source: str
    super_options: tuple[str, ...]

    @property
    def is_network(self) -> bool:
        return self.type in NETWORK_TYPES

    @property
    def read_only(self) -> bool:
        return "ro" in self.options or "ro" in self.super_options


def parse_mountinfo(text: str) -> list[Mount]:
    """Read mountinfo; lines that are no such lines are passed over."""
    return [mount for line in text.splitlines() if (mount := _parse_line(line))]


def mount_of(path: str, mounts: Sequence[Mount]) -> Mount | None:
    """The mount that an absolute, link-free path lies on: the longest target, the latest of equals."""
    path = posixpath.normpath("/" + path.lstrip("/"))
    found: Mount | None = None
    for mount in mounts:
        if not found or len(mount.target) >= len(found.target):
            if mount.target == "/" or path == mount.target or path.startswith(mount.target + "/"):
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
            root=_unescape(root),
            target=_unescape(target),
            options=tuple(options.split(",")),
            type=fs_type,
            source=_unescape(source),
            super_options=tuple(super_options.split(",")),
        )
    except ValueError:
        return None


def _unescape(text: str) -> str:
    return _ESCAPE.sub(lambda match: chr(int(match[1], 8)), text)
