"""How fast a directory's disk is: a benchmark that leaves nothing behind.

It writes to one file that has no name, or loses it at once, so that the kernel removes it however
this process ends. What is written is random, since some file systems compress.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import time
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from biostudio_doctor.host import Host

FSYNC_SECONDS = 2.0
FSYNC_LIMIT = 1000  # appends
TRANSFER_SECONDS = 3.0
TRANSFER_LIMIT = 256 << 20  # bytes
_PAGE = 4096  # of an append, as a small commit to a write-ahead log
_BLOCK = 1 << 20
#: What open(2) answers where a file without a name cannot be had; EISDIR is from before Linux 3.11.
_NO_TMPFILE = (errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL, errno.ENOSYS)


class Performance(Struct, frozen=True, kw_only=True):
    """What was measured. Rates are in bytes per second, latencies in seconds."""

    fsyncs: int
    fsync_p50: float
    fsync_p99: float  # the longest, where there were fewer than 100
    write_rate: float
    read_rate: float
    direct: bool  # past the page cache, which else makes reading look faster


def measure(host: Host, directory: str) -> Performance:
    """Measure latency, then throughput; takes FSYNC_SECONDS and twice TRANSFER_SECONDS at most.

    Raises:
        OSError: if the directory cannot be written, or its disk fails.
    """
    with host.doing(f"open a temporary file in {directory}"):
        descriptor = _nameless_file(host.path(directory))
    try:
        with host.doing(f"fdatasync to {directory}"):
            latencies = sorted(_fsyncs(descriptor))
        with host.doing(f"write to {directory}"):
            block = mmap.mmap(-1, _BLOCK)  # page-aligned, as O_DIRECT wants it
            block.write(os.urandom(_BLOCK))
            direct = _go_direct(descriptor, block)
            written, write_seconds = _write(descriptor, block)
        with host.doing(f"read from {directory}"):
            read, read_seconds = _read(descriptor, block, written)
    finally:
        os.close(descriptor)
    return Performance(
        fsyncs=len(latencies),
        fsync_p50=percentile(latencies, 0.50),
        fsync_p99=percentile(latencies, 0.99),
        write_rate=written / write_seconds,
        read_rate=read / read_seconds,
        direct=direct,
    )


def percentile(ordered: list[float], share: float) -> float:
    """The smallest of the ordered values that `share` of them do not exceed (nearest rank)."""
    rank = -int(-share * len(ordered) // 1)
    return ordered[max(0, min(len(ordered), rank) - 1)]


def _nameless_file(directory: str) -> int:
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_EXCL
    try:
        return os.open(directory, flags | os.O_TMPFILE, 0o600)
    except OSError as error:
        if error.errno not in _NO_TMPFILE:
            raise
    path = os.path.join(directory, f".biostudio-doctor-{os.urandom(8).hex()}")
    descriptor = os.open(path, flags | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    os.unlink(path)
    return descriptor


def _fsyncs(descriptor: int) -> list[float]:
    page = os.urandom(_PAGE)
    latencies = []
    end = time.perf_counter() + FSYNC_SECONDS
    for number in range(FSYNC_LIMIT):
        start = time.perf_counter()
        os.pwrite(descriptor, page, number * _PAGE)
        os.fdatasync(descriptor)
        now = time.perf_counter()
        latencies.append(now - start)
        if now >= end:
            break
    return latencies


def _go_direct(descriptor: int, block: mmap.mmap) -> bool:
    """Bypass the page cache, where the file system can: some only refuse at the first write."""
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_DIRECT)
        os.pwrite(descriptor, block, 0)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        fcntl.fcntl(descriptor, fcntl.F_SETFL, flags)
        return False
    return True


def _write(descriptor: int, block: mmap.mmap) -> tuple[int, float]:
    """Bytes and seconds; what lies in the page cache is waited for, so it does not count twice."""
    written = 0
    start = time.perf_counter()
    while written < TRANSFER_LIMIT and time.perf_counter() - start < TRANSFER_SECONDS:
        written += os.pwrite(descriptor, block, written)
    os.fdatasync(descriptor)
    return written, time.perf_counter() - start


def _read(descriptor: int, block: mmap.mmap, size: int) -> tuple[int, float]:
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    read = 0
    start = time.perf_counter()
    while read < size and time.perf_counter() - start < TRANSFER_SECONDS:
        count = os.preadv(descriptor, [block], read)
        if not count:
            break
        read += count
    return read, time.perf_counter() - start
