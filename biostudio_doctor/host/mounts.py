"""The mount table: /proc/PID/mountinfo, as proc_pid_mountinfo(5) describes it."""

import posixpath
import re
from collections.abc import Sequence

from msgspec import Struct

#: File systems whose data is on other machines.
NETWORK_TYPES = frozenset({
    "9p", "afs", "beegfs", "ceph", "cifs", "fuse.ceph", "fuse.glusterfs", "fuse.juicefs",
    "fuse.rclone", "fuse.s3fs", "fuse.sshfs", "gfs2", "glusterfs", "gpfs", "lustre", "nfs", "nfs4",
    "ocfs2", "orangefs", "smb3", "smbfs", "virtiofs",
})  # fmt: skip
_ESCAPE = re.compile(r"\\([0-7]{3})")


class Mount(Struct, frozen=True, kw_only=True):
    """One line of mountinfo. Escapes such as \\040 are undone."""

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
    return [mount for line in text.splitlines() if (mount := _parse_line(line))]


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
