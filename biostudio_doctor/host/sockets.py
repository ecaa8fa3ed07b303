"""TCP sockets of the host: /proc/net/tcp and tcp6 (proc_net(5)), and the processes behind them."""

from __future__ import annotations

import errno
import os
import re
import socket
import sys
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from biostudio_doctor.host.processes import pids

if TYPE_CHECKING:
    from biostudio_doctor.host import Host

#: include/net/tcp_states.h
_STATES = {
    1: "established", 2: "syn-sent", 3: "syn-recv", 4: "fin-wait-1", 5: "fin-wait-2",
    6: "time-wait", 7: "close", 8: "close-wait", 9: "last-ack", 10: "listen", 11: "closing",
}  # fmt: skip
_WORD = 8  # hexadecimal digits of the 32-bit words that an address is written in
_LINK = re.compile(r"socket:\[(\d+)\]")

Trial = Literal["free", "taken", "denied", "impossible"]


class TcpSocket(Struct, frozen=True, kw_only=True):
    """One line of the table, by its own end."""

    address: str
    port: int
    state: str  # as ss names it: listen, established, time-wait ...
    uid: int
    inode: int  # 0 for connections that no process has any more


def tcp_sockets(host: Host) -> list[TcpSocket]:
    """All TCP sockets of the host's network namespace, IPv6 too where there is any.

    The kernel lists those that listen first, so a table too long to be read whole still has them.

    Raises:
        OSError: if the table cannot be read.
    """
    table = host.read(f"{host.process}/net/tcp")
    return parse_tcp(table) + parse_tcp(host.read_if_any(f"{host.process}/net/tcp6") or "")


def parse_tcp(table: str) -> list[TcpSocket]:
    """Read /proc/net/tcp or tcp6; lines that are no such lines are passed over."""
    return [found for line in table.splitlines() if (found := _parse_line(line))]


def holders(host: Host, inodes: Collection[int]) -> dict[int, int]:
    """The process that holds each socket, as far as this user may see it: inode -> PID.

    Of several that share it, such as a server and its workers, the first that was started is named;
    the init system, which opens sockets on behalf of others, only if there is no other.
    """
    wanted, found = set(inodes), dict[int, int]()
    numbers = sorted(pids(host), key=lambda pid: (pid == 1, pid))
    with host.doing("look through the open files of all processes"):
        for pid in numbers:
            if not wanted:
                break
            for inode in wanted.intersection(_open_sockets(host.path(f"/proc/{pid}/fd"))):
                found[inode] = pid
                wanted.discard(inode)
    return found


def try_bind(port: int, family: socket.AddressFamily) -> Trial:
    """Whether a server could take this port on all addresses, of this machine only.

    The socket does not listen, so nobody can connect to it, and it is closed at once. Like almost
    every server it allows the address to be reused (SO_REUSEADDR, socket(7)), so that the remains
    of closed connections (TIME_WAIT) do not count.
    """
    try:
        with socket.socket(family, socket.SOCK_STREAM) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                trial.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            trial.bind(("", port))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return "taken"
        return "denied" if error.errno in (errno.EACCES, errno.EPERM) else "impossible"
    return "free"


def _open_sockets(directory: str) -> Iterable[int]:
    """The inodes of the sockets in a /proc/PID/fd, none where it may not be read."""
    try:
        names = os.listdir(directory)
    except OSError:  # another user's process, or one that has ended
        return
    for name in names:
        try:
            link = _LINK.fullmatch(os.readlink(f"{directory}/{name}"))
        except OSError:
            continue
        if link:
            yield int(link[1])


def _parse_line(line: str) -> TcpSocket | None:
    fields = line.split()
    try:
        address, _, port = fields[1].partition(":")
        state = _STATES[int(fields[3], 16)]
        return TcpSocket(
            address=_address(address),
            port=int(port, 16),
            state=state,
            uid=int(fields[7]),
            inode=int(fields[9]),
        )
    except (IndexError, KeyError, ValueError, OverflowError):
        return None


def _address(text: str) -> str:
    """An address that is written as 32-bit words in the byte order of the machine."""
    words = [int(text[start : start + _WORD], 16) for start in range(0, len(text), _WORD)]
    packed = b"".join(word.to_bytes(4, sys.byteorder) for word in words)
    family = socket.AF_INET6 if len(words) > 1 else socket.AF_INET
    return socket.inet_ntop(family, packed)
