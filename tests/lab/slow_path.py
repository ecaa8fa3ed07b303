"""A slow and lossy path between two network namespaces, in user space: this kernel has no netem.

Run: python slow_path.py NAMESPACE NAMESPACE ONE_WAY_DELAY_SECONDS LOSS_SHARE

Opens a TUN device `slow` in each namespace and carries packets between them, each after the delay,
except the share that is lost (by a generator with a fixed seed, so that runs are alike).
"""

import ctypes
import errno
import fcntl
import heapq
import os
import select
import struct
import sys
import time

_CLONE_NEWNET = 0x40000000
_TUNSETIFF = 0x400454CA
_TUN_WITHOUT_HEADER = 0x0001 | 0x1000  # IFF_TUN | IFF_NO_PI


def open_tun(namespace: str) -> int:
    """A TUN device in a namespace; the descriptor stays with it when we leave."""
    libc = ctypes.CDLL(None, use_errno=True)
    place = os.open(f"/var/run/netns/{namespace}", os.O_RDONLY)
    if libc.setns(place, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns", namespace)
    os.close(place)
    device = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH14x", b"slow", _TUN_WITHOUT_HEADER))
    return device


def carry(ends: tuple[int, int], delay: float, loss: float) -> None:
    """Carry packets both ways until killed."""
    lost = 0.0  # evenly: bursts would be another fault
    queue: list[tuple[float, int, int, bytes]] = []  # due, order, destination, packet
    order = 0
    while True:
        wait = max(0.0, queue[0][0] - time.monotonic()) if queue else None
        for source in select.select(ends, (), (), wait)[0]:
            packet = os.read(source, 65536)
            lost += loss
            if lost < 1:
                order += 1
                destination = ends[1] if source == ends[0] else ends[0]
                heapq.heappush(queue, (time.monotonic() + delay, order, destination, packet))
            else:
                lost -= 1
        while queue and queue[0][0] <= time.monotonic():
            _, _, destination, packet = heapq.heappop(queue)
            deliver(destination, packet)


def deliver(destination: int, packet: bytes) -> None:
    """A device that is down takes nothing, as the second is while the first is up already."""
    try:
        os.write(destination, packet)
    except OSError as error:
        if error.errno != errno.EIO:
            raise


if __name__ == "__main__":
    left, right, delay, loss = sys.argv[1:]
    carry((open_tun(left), open_tun(right)), float(delay), float(loss))
