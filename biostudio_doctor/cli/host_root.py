"""What may be given as --host-root."""

import os

from biostudio_doctor.errors import DoctorError


def refuse_unlikely(host_root: str) -> None:
    """An empty directory is a mount that was forgotten, and no host to find fault with.

    Raises:
        DoctorError: if it does not look like the root of a host.
    """
    if not os.path.isdir(host_root):
        raise DoctorError(f"--host-root: {host_root} is no directory")
    missing = [name for name in ("etc", "proc") if not os.path.isdir(os.path.join(host_root, name))]
    if missing:
        raise DoctorError(
            f"--host-root: {host_root} is no root of a host: it has no {' and no '.join(missing)}"
        )
