"""What is mounted again after a reboot: /etc/fstab (fstab(5)) and systemd's mount units."""

from __future__ import annotations

import posixpath
import string
from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from biostudio_doctor.host.mounts import NETWORK_TYPES, Mount, unescape, without_user

if TYPE_CHECKING:
    from biostudio_doctor.host import Host

FSTAB = "/etc/fstab"
_UNITS = "/etc/systemd/system"
#: Where generators put units; those that come from fstab say so, and fstab is read itself.
_GENERATED = ("/run/systemd/generator", "/run/systemd/generator.late")
_FROM_FSTAB = "SourcePath=/etc/fstab"
_PLAIN = frozenset(string.ascii_letters + string.digits + ":_.")


class FstabEntry(Struct, frozen=True, kw_only=True):
    """One line of fstab. Of options only the names are kept: values may be passwords."""

    source: str
    target: str
    type: str
    options: tuple[str, ...]

    @property
    def at_boot(self) -> bool:
        """Whether it is mounted at boot, or by systemd at its first use."""
        return "noauto" not in self.options or "x-systemd.automount" in self.options


class Boot(Struct, frozen=True, kw_only=True):
    """How some mounts come back after a reboot."""

    entries: tuple[FstabEntry, ...]
    problem: str = ""  # why fstab could not be read
    automounted: tuple[str, ...]  # where an automounter stands ready
    units: dict[str, str]  # by mount point that fstab does not name: as `unit_state` says
    uuids: dict[str, str]  # of those, "" where it is not known

    def entry(self, target: str) -> FstabEntry | None:
        """The line of a mount point; the last of several."""
        found = [entry for entry in self.entries if entry.target == target]
        return found[-1] if found else None

    def meant_for(self, path: str) -> FstabEntry | None:
        """The line that is to hold a path, the deepest of several."""
        above = [entry for entry in self.entries if _is_below(path, entry.target)]
        return max(above, key=lambda entry: len(entry.target), default=None)

    def is_automounted(self, target: str) -> bool:
        """Whether an automounter mounts it at its first use."""
        return any(_is_below(target, point) for point in self.automounted)


def boot_of(host: Host, mounts: Sequence[Mount]) -> Boot:
    """See how these come back. A host without fstab mounts nothing by it."""
    problem, text = "", ""
    try:
        text = host.read(FSTAB)
    except FileNotFoundError:
        pass
    except OSError as error:
        problem = error.strerror or str(error)
    entries = parse_fstab(text)
    named = {entry.target for entry in entries}
    unnamed = {mount.target: mount for mount in mounts if mount.target not in (*named, "/")}
    return Boot(
        entries=tuple(entries),
        problem=problem,
        automounted=tuple(mount.target for mount in host.mounts() if mount.type == "autofs"),
        units={target: unit_state(host, target) for target in unnamed},
        uuids={target: uuid_of(host, mount) for target, mount in unnamed.items()},
    )


def parse_fstab(text: str) -> list[FstabEntry]:
    """Read fstab; comments, swap and lines that lack fields are passed over."""
    entries = []
    for line in text.split("\n"):
        fields = [field for field in line.replace("\t", " ").split(" ") if field]
        if len(fields) < 3 or fields[0].startswith("#") or not fields[1].startswith("/"):
            continue
        options = fields[3].split(",") if len(fields) > 3 else ["defaults"]
        entries.append(
            FstabEntry(
                source=without_user(unescape(fields[0])),
                target=posixpath.normpath(unescape(fields[1])),
                type=fields[2],
                options=tuple(option.partition("=")[0] for option in options),
            )
        )
    return entries


def unit_name(path: str, suffix: str = "mount") -> str:
    """The unit of a mount point, as `systemd-escape --path --suffix=mount` spells it."""
    parts = [part for part in path.split("/") if part]
    if not parts:
        return f"-.{suffix}"
    name = "".join(
        "-" if byte == "/" else byte if byte in _PLAIN else _escaped(byte)
        for byte in "/".join(parts)
    )
    return f"{_escaped('.') + name[1:] if name[0] == '.' else name}.{suffix}"


def unit_state(host: Host, path: str) -> str:
    """Whether a systemd unit mounts this path at boot: "enabled", "disabled", or "" for no unit."""
    units = [unit_name(path, "mount"), unit_name(path, "automount")]
    for directory in _GENERATED:
        text = host.read_if_any(f"{directory}/{units[0]}")
        if text is not None and _FROM_FSTAB not in text:
            return "enabled"
    names = host.listdir_if_any(_UNITS)
    wanted = [name for name in names if name.endswith((".wants", ".requires"))]
    if any(unit in host.listdir_if_any(f"{_UNITS}/{name}") for name in wanted for unit in units):
        return "enabled"
    return "disabled" if any(unit in names for unit in units) else ""


def uuid_of(host: Host, mount: Mount) -> str:
    """The UUID of a mounted block device, as udev knows it; "" where it does not."""
    names = set()
    for read in (_kernel_name, _resolved_name):
        try:
            names.add(read(host, mount))
        except OSError:
            continue
    for uuid in host.listdir_if_any("/dev/disk/by-uuid"):
        try:
            if posixpath.basename(host.readlink(f"/dev/disk/by-uuid/{uuid}")) in names:
                return uuid
        except OSError:
            continue
    return ""


def fstab_line(mount: Mount, uuid: str) -> str:
    """The line that would mount this again; "" where that takes knowledge that is not here.

    Names such as /dev/sdb1 may mean another disk after the next boot, and are not used.
    """
    target = escape(mount.target)
    if mount.type in ("nfs", "nfs4", "fuse.glusterfs"):
        fs_type = mount.type.removeprefix("fuse.")
        return f"{escape(mount.source)} {target} {fs_type} defaults,_netdev 0 0"
    stable = uuid or mount.source.startswith("/dev/mapper/")
    if mount.type in NETWORK_TYPES or mount.source.startswith("/dev/loop") or not stable:
        return ""
    source = f"UUID={uuid}" if uuid else escape(mount.source)
    if mount.type == "btrfs":
        subvolume = "" if mount.root == "/" else f",subvol={escape(mount.root)}"
        return f"{source} {target} btrfs defaults{subvolume} 0 0"
    if mount.root != "/":  # a directory of that file system, which is mounted somewhere else
        return ""
    return f"{source} {target} {mount.type} defaults 0 {2 if mount.type.startswith('ext') else 0}"


def _is_below(path: str, directory: str) -> bool:
    return (path.rstrip("/") + "/").startswith(directory.rstrip("/") + "/")


def _kernel_name(host: Host, mount: Mount) -> str:
    return posixpath.basename(host.readlink(f"/sys/dev/block/{mount.device}"))


def _resolved_name(host: Host, mount: Mount) -> str:
    """For btrfs, whose device numbers are made up, and where /sys is not there."""
    return posixpath.basename(host.real_path(mount.source))


def _escaped(character: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))


def escape(text: str) -> str:
    """A name as fstab(5) wants it written."""
    return text.replace("\\", "\\134").replace(" ", "\\040").replace("\t", "\\011")
