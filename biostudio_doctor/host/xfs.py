"""Whether an XFS file system keeps file types in its directories (ftype=1), which overlayfs needs.

Asked of the kernel as xfs_info does: ioctl XFS_IOC_FSGEOMETRY_V1 of <xfs/xfs_fs.h>, which any
user may do on any directory of it, and which every kernel with XFS understands.
"""

from __future__ import annotations

import fcntl
import os
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from biostudio_doctor.host import Host

_GEOMETRY = 0x80705864  # _IOR('X', 100, struct xfs_fsop_geom_v1)
_SIZE = 112
_FLAGS = struct.Struct("=I")
_FLAGS_AT = 92
_FTYPE = 1 << 16  # XFS_FSOP_GEOM_FLAGS_FTYPE


def has_ftype(host: Host, directory: str) -> bool:
    """Ask the file system of a directory.

    Raises:
        OSError: if the directory cannot be opened, or is not on XFS.
    """
    with host.doing(f"ask XFS about {directory}"):
        descriptor = os.open(host.path(directory), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return flags_have_ftype(fcntl.ioctl(descriptor, _GEOMETRY, bytes(_SIZE)))
        finally:
            os.close(descriptor)


def flags_have_ftype(geometry: bytes) -> bool:
    """Read struct xfs_fsop_geom_v1."""
    (flags,) = _FLAGS.unpack_from(geometry, _FLAGS_AT)
    return bool(flags & _FTYPE)
