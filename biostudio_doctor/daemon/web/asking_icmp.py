"""The module icmp of /probe: an echo request, through the socket that the kernel has for it.

Such a socket (icmp(7)) needs no privilege where the sysctl net.ipv4.ping_group_range allows it, as
most distributions do. The kernel numbers it, and hands it only the answers to what it has sent.
"""

import secrets
import socket
import struct
import sys
import time
from ipaddress import ip_address
from typing import NamedTuple

import anyio

from biostudio_doctor.daemon.allow import Target, host_of
from biostudio_doctor.daemon.web.asking import Probe, Question

_PAYLOAD = 28  # bytes, as the blackbox exporter sends
_LARGEST = 1500  # bytes of an answer that are read
_IP_RECVTTL = 12  # of ip(7), which Python's socket does not name


class _Kind(NamedTuple):
    """What differs between the two versions of IP."""

    family: int
    protocol: int
    request: int  # the types of messages: RFC 792 and RFC 4443
    reply: int
    level: int
    ask_hop_limit: int
    hop_limit: int


_KINDS = {
    4: _Kind(
        socket.AF_INET, socket.IPPROTO_ICMP, 8, 0,
        socket.IPPROTO_IP, _IP_RECVTTL, socket.IP_TTL,
    ),
    6: _Kind(
        socket.AF_INET6, socket.IPPROTO_ICMPV6, 128, 129,
        socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, socket.IPV6_HOPLIMIT,
    ),
}  # fmt: skip


def a_host(text: str, _name: str) -> Question:
    """Understand a name or an address. Port 0 is on no list, so an entry must be of every port.

    Raises:
        ValueError: if it is none, or this host lets us ping nobody: the target is not to blame.
    """
    if text.count(":") == 1:
        raise ValueError("a host is pinged as a whole: leave out the port")
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    target = Target(host=host_of(bare), port=0)
    try:
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP).close()
    except PermissionError:
        raise ValueError(
            "this host lets the daemon ping nobody: net.ipv4.ping_group_range leaves its group out"
        ) from None
    except OSError:
        pass  # the probe runs into it, too, and tells
    return Question(target)


async def icmp(probe: Probe, _seconds: float) -> bool:
    """Does it answer an echo request?"""
    measured = probe.measured
    for phase in ("resolve", "setup", "rtt"):
        measured.set("probe_icmp_duration_seconds", 0, phase)
    address, took = await probe.resolve(probe.question.target)
    measured.set("probe_icmp_duration_seconds", took, "resolve")
    kind = _KINDS[ip_address(address).version]
    started = time.perf_counter()
    with socket.socket(kind.family, socket.SOCK_DGRAM, kind.protocol) as pinging:
        pinging.setblocking(False)
        pinging.setsockopt(kind.level, kind.ask_hop_limit, 1)
        pinging.connect((address, 0))
        payload = secrets.token_bytes(_PAYLOAD)
        # The kernel fills in the checksum and the identifier.
        pinging.send(struct.pack("!BBHHH", kind.request, 0, 0, 0, 1) + payload)
        sent = time.perf_counter()
        measured.set("probe_icmp_duration_seconds", sent - started, "setup")
        probe.phase = "request"
        hop_limit = await _reply(pinging, kind, payload)
        measured.set("probe_icmp_duration_seconds", time.perf_counter() - sent, "rtt")
    if hop_limit is not None:
        measured.set("probe_icmp_reply_hop_limit", hop_limit)
    return True


async def _reply(pinging: socket.socket, kind: _Kind, payload: bytes) -> int | None:
    """Wait for the answer that holds this payload; its hop limit, if that is told.

    Raises:
        OSError: if a router or the host itself says that it cannot be reached.
    """
    while True:
        await anyio.wait_readable(pinging)
        data, told, _, _ = pinging.recvmsg(_LARGEST, socket.CMSG_SPACE(4))
        if data[:1] == bytes([kind.reply]) and data[8:] == payload:
            break
    for level, what, value in told:
        if (level, what) == (kind.level, kind.hop_limit):
            return int.from_bytes(value[:4], sys.byteorder)
    return None
