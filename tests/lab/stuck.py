"""A mounted file system that takes requests and never answers: the hang that SIGKILL cannot end.

It speaks just enough of the kernel's FUSE protocol (linux/fuse.h) to be mounted. A request that
its server has read and not answered leaves the caller in uninterruptible sleep, as a dead NFS
server does with a hard mount, until the descriptor of /dev/fuse is closed.
"""

import ctypes
import os
import select
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_INIT = 26
_HEADER = struct.Struct("<IIQQIIII")  # fuse_in_header


@contextmanager
def stuck_mount(directory: Path) -> Iterator[Path]:
    """Mount it over a directory; on leaving, all callers come back with an error."""
    libc = ctypes.CDLL(None, use_errno=True)
    device = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0".encode()
    if libc.mount(b"stuck", os.fsencode(directory), b"fuse.stuck", 0, options):
        os.close(device)
        raise OSError(ctypes.get_errno(), "mount")
    stop, stopping = os.pipe()
    server = threading.Thread(target=_serve, args=(device, stop), daemon=True)
    server.start()
    try:
        yield directory
    finally:
        libc.umount2(os.fsencode(directory), 2)  # MNT_DETACH
        os.close(stopping)
        server.join()  # before its descriptors' numbers may be given to other files
        os.close(stop)
        os.close(device)  # the last one: the kernel ends all requests


def _serve(device: int, stop: int) -> None:
    while stop not in select.select([device, stop], [], [])[0]:
        try:
            request = os.read(device, 1 << 18)
        except OSError:  # unmounted
            return
        _length, opcode, unique, *_ = _HEADER.unpack_from(request)
        if opcode == _INIT:
            body = struct.pack("<IIIIHHIIHHI7I", 7, 31, 0, 0, 1, 1, 1 << 16, 1, 0, 0, 0, *[0] * 7)
            os.write(device, struct.pack("<IiQ", 16 + len(body), 0, unique) + body)
