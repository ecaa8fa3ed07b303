"""Who uses given TCP ports of the host: listeners, their processes and containers, and a trial."""

from __future__ import annotations

import socket
from collections.abc import Collection
from typing import TYPE_CHECKING

from msgspec import Struct

from biostudio_doctor.host.containers import Container, running
from biostudio_doctor.host.processes import Process, process, user_name
from biostudio_doctor.host.sockets import TcpSocket, Trial, holders, tcp_sockets, try_bind

if TYPE_CHECKING:
    from biostudio_doctor.host import Host

_READ_AGAIN = 4  # times, at most


class Listener(Struct, frozen=True, kw_only=True):
    """A socket that takes connections, and whose it is."""

    address: str
    user: str
    process: Process | None  # None where it may not be seen, or is none of this system's


class PortUse(Struct, frozen=True, kw_only=True):
    """What there is on one port."""

    port: int
    listeners: tuple[Listener, ...] = ()
    connections: tuple[str, ...] = ()  # the states of the connections on it
    ipv4: Trial | None = None  # could a server take it? None where that was not tried
    ipv6: Trial | None = None
    container: Container | None = None  # Docker's, that publishes the port or listens itself


class PortTable(Struct, frozen=True, kw_only=True):
    """The ports that were asked for, and where one is taken all that are."""

    ports: tuple[PortUse, ...]
    listening: tuple[int, ...]
    problem: str = ""  # why the table of sockets could not be read


def look(host: Host, wanted: Collection[int]) -> PortTable:
    """See who uses these ports.

    A server could take a port: then nobody listens on it, and the table of sockets, which is long
    on a busy host, need not be read. Processes and containers are looked for only if one is taken.
    """
    trials = {port: _try(host, port) for port in sorted(wanted)}
    if all(trial == ("free", "free") for trial in trials.values()):
        free = (PortUse(port=port, ipv4="free", ipv6="free") for port in trials)
        return PortTable(ports=tuple(free), listening=())
    table: list[TcpSocket] = []
    problem = ""
    try:
        table = _table(host, {port for port, trial in trials.items() if "taken" in trial})
    except OSError as error:
        problem = f"{error.filename}: {error.strerror}"
    listening = [item for item in table if item.state == "listen"]
    taken = [item for item in listening if item.port in wanted]
    found = holders(host, [item.inode for item in taken]) if taken else {}
    containers = running(host) if taken else []
    listeners = {item: _listener(host, item, found.get(item.inode)) for item in taken}
    return PortTable(
        ports=tuple(
            _use(port, trial, table, listeners, containers) for port, trial in trials.items()
        ),
        listening=tuple(sorted({item.port for item in listening})),
        problem=problem,
    )


def _table(host: Host, taken: set[int]) -> list[TcpSocket]:
    """The table of sockets; again where it lacks a port that is taken.

    It is no picture of one moment: while others come and go, a line may be left out.
    """
    table = tcp_sockets(host)
    for _ in range(_READ_AGAIN):
        if taken <= {item.port for item in table}:
            break
        table = tcp_sockets(host)
    return table


def _try(host: Host, port: int) -> tuple[Trial | None, Trial | None]:
    """By IPv4 and by IPv6; only this machine's own ports can be tried."""
    if not host.is_local:
        return None, None
    return try_bind(port, socket.AF_INET), try_bind(port, socket.AF_INET6)


def _use(
    port: int,
    trial: tuple[Trial | None, Trial | None],
    table: list[TcpSocket],
    listeners: dict[TcpSocket, Listener],
    containers: list[Container],
) -> PortUse:
    on_port = [item for item in table if item.port == port]
    here = tuple(listeners[item] for item in on_port if item in listeners)
    return PortUse(
        port=port,
        listeners=here,
        connections=tuple(item.state for item in on_port if item.state != "listen"),
        ipv4=trial[0],
        ipv6=trial[1],
        container=_container(port, here, containers),
    )


def _container(
    port: int, listeners: tuple[Listener, ...], containers: list[Container]
) -> Container | None:
    if not listeners:
        return None
    ids = {listener.process.container for listener in listeners if listener.process}
    return next((item for item in containers if port in item.ports or item.id in ids), None)


def _listener(host: Host, item: TcpSocket, pid: int | None) -> Listener:
    return Listener(
        address=item.address,
        user=user_name(host, item.uid),
        process=None if pid is None else process(host, pid),
    )
