"""`biostudio-doctor listen`."""

from __future__ import annotations

import errno
import os
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import TYPE_CHECKING

import click
from msgspec import Struct

from biostudio_doctor import config as configuration
from biostudio_doctor import durations, requirements, text
from biostudio_doctor.cli import options, terminal
from biostudio_doctor.config import Secret
from biostudio_doctor.errors import DoctorError
from biostudio_doctor.host import Host
from biostudio_doctor.host.machine import application_container, identify
from biostudio_doctor.model import ROLES
from biostudio_doctor.peers import CODE_VARIABLE
from biostudio_doctor.ports import ports_of

if TYPE_CHECKING:
    import asyncio

    from biostudio_doctor.host.ports import PortUse
    from biostudio_doctor.peers.listener import Unopened

Network = IPv4Network | IPv6Network

_LONGEST = 24 * 3600  # seconds
_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - as the services will listen
_GRACE = 10  # seconds that the end may take, before the kernel makes one
_SHOWN = 4  # own addresses
_NOTHING_OPEN = 3


@click.command()
@click.option("--role", type=click.Choice(ROLES), help="What this machine will run.")
@click.option(
    "--for",
    "duration",
    default="10m",
    show_default=True,
    metavar="TIME",
    help="How long to listen, such as 90s, 10m or 2h.",
)
@click.option(
    "--allow", multiple=True, metavar="CIDR", help="Hang up on all others; may be repeated."
)
@click.option("--address", metavar="ADDRESS", help="Listen on this one only.  [default: all]")
@click.option(
    "--code-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help=f"Share the code in this file, or in {CODE_VARIABLE}, with other listeners.",
)
@options.CONFIG
def listen(
    role: str | None,
    duration: str,
    allow: tuple[str, ...],
    address: str | None,
    code_file: Path | None,
    config_file: Path | None,
) -> None:
    """Open the ports that this machine will serve, for other machines to prove.

    It prints a code; with it, `biostudio-doctor check ports.peers --peer ROLE=ADDRESS` on the other
    machines proves each port. Without the code nothing is answered. Ports that are taken
    stay as they are. All are closed at the time, or by Ctrl-C. Exit code: 0 it has listened,
    2 wrong usage, 3 no port could be opened.
    """
    import asyncio

    config = configuration.load(config_file, {"role": role})
    wanted = ports_of(config, requirements.load(config.profile).ports(config.role))
    code, shown = _code(code_file)
    task = _Task(
        role=config.role,
        services={port: service for service, port in wanted},
        code=code,
        shown=shown,
        seconds=_seconds(duration),
        allowed=tuple(_network(cidr) for cidr in allow),
        addresses=(_address(address),) if address else _EVERYWHERE,
    )
    sys.exit(asyncio.run(_serve(task)))


class _Task(Struct, frozen=True, kw_only=True):
    """What is to be done; never shown as it is."""

    role: str
    services: dict[int, str]  # by port
    code: str
    shown: str  # instead of the code, where it is another listener's
    seconds: float
    allowed: tuple[Network, ...]
    addresses: tuple[str, ...]


class _Console:
    """Standard output, for as long as somebody reads it: then the listener is to end."""

    def __init__(self, stopped: asyncio.Event) -> None:
        self._stopped = stopped
        self._width = terminal.style(None, no_color=True).width

    def say(self, *lines: str) -> None:
        """Write lines; sentences are wrapped, and commands, which are indented, are not."""
        try:
            for line in lines:
                shown = text.printable(line)  # names of processes are others' words
                whole = line.startswith(" ") or not line
                click.echo(shown if whole else self._wrapped(shown))
        except OSError:
            self._stopped.set()

    def _wrapped(self, sentence: str) -> str:
        return textwrap.fill(sentence, self._width, break_on_hyphens=False)


async def _serve(task: _Task) -> int:
    import asyncio

    from biostudio_doctor.peers import listener, protocol
    from biostudio_doctor.peers.visitors import Visitors

    stopped = asyncio.Event()
    _end_by(stopped, task.seconds)
    console = _Console(stopped)
    sockets, unopened = listener.open_ports(sorted(task.services), task.addresses)
    opened = {channel.getsockname()[1] for channel in sockets}
    console.say(*_not_opened(unopened, opened, task))
    if not sockets:
        console.say("No port could be opened.")
        return _NOTHING_OPEN
    services = {port: task.services[port] for port in sorted(opened)}
    visitors = Visitors(console.say, services)
    open_for_all = listener.Listener(
        sockets, protocol.key(task.code), role=task.role, witness=visitors.note,
        allowed=task.allowed, connections=listener.room(),
    )  # fmt: skip
    console.say(*_introduction(services, task))
    await _wait(stopped, task.seconds, visitors.tick)
    open_for_all.close()
    visitors.tick()
    why = "It was stopped" if stopped.is_set() else "The time is over"
    console.say(f"{why}: all ports are closed again. Who came:", *visitors.summary())
    return 0


def _end_by(stopped: asyncio.Event, seconds: float) -> None:
    """End on signals, also when the terminal goes; and at any rate, by the kernel's own clock.

    Ctrl-Z ends it too: a process that is stopped would keep its ports for ever.
    """
    import asyncio
    import signal

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGTSTP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has it
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    signal.alarm(int(seconds) + _GRACE)  # kills a process that waits for a terminal that stands


async def _wait(stopped: asyncio.Event, seconds: float, tick: Callable[[], None]) -> None:
    import asyncio

    from biostudio_doctor.peers.visitors import INTERVAL

    end = asyncio.get_running_loop().time() + seconds
    while not stopped.is_set() and (left := end - asyncio.get_running_loop().time()) > 0:
        try:
            await asyncio.wait_for(stopped.wait(), min(INTERVAL, left))
        except TimeoutError:
            tick()


def _introduction(services: dict[int, str], task: _Task) -> Iterator[str]:
    ports = text.listing(f"{port} ({service})" for port, service in services.items())
    yield f"Listening as {task.role} for {_spoken(task.seconds)} on {ports}."
    if container := application_container(identify(Host())):
        yield f"This is a container ({container}): these need not be the ports of its host."
    if task.allowed:
        yield f"Allowed are only {text.listing(task.allowed)}."
    yield "Without the code nothing is answered. Ctrl-C ends it."
    yield ""
    yield f"The code: {task.shown or task.code}"
    yield ""
    yield "Put it into a variable, and ask on each machine that must reach this one:"
    yield ""
    yield f"  read -r {CODE_VARIABLE} && export {CODE_VARIABLE}"
    for address in _own_addresses(task.addresses):
        yield f"  biostudio-doctor check ports.peers --peer {task.role}={address}"
    yield ""


def _own_addresses(listening: Sequence[str]) -> list[str]:
    """Where others may reach us."""
    if not set(listening) <= set(_EVERYWHERE):
        return list(listening)
    from biostudio_doctor.host.addresses import own

    try:
        known = own(Host())
    except OSError:
        known = ()
    lan = [
        item.address
        for item in known
        if item.kind in ("private", "public")
        and not item.guests
        and _EVERYWHERE[item.is_ipv6] in listening
    ]
    return lan[:_SHOWN] or ["ADDRESS"]


def _not_opened(unopened: Sequence[Unopened], opened: set[int], task: _Task) -> Iterator[str]:
    """What could not be listened on, and why; that there is no IPv6 here is no loss."""
    missing = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)
    failed = [item for item in unopened if item.port not in opened or item.error not in missing]
    if not failed:
        return
    yield "Not opened:"
    taken = {item.port for item in failed if item.error == errno.EADDRINUSE}
    uses = _uses(taken)
    reasons: dict[tuple[int, str], list[str]] = {}
    for item in failed:
        reason = (item.port, _reason(item, uses.get(item.port)))
        reasons.setdefault(reason, []).append(item.address)
    for (port, said), addresses in reasons.items():
        where = "" if len(addresses) == len(task.addresses) else f" on {text.listing(addresses)}"
        yield f"  {port} ({task.services[port]}){where}: {said}"
    if any(item.error in (errno.EACCES, errno.EPERM) for item in failed):
        yield "Only root may open these ports: run the same as root, such as by sudo."
    if taken:
        yield "What is taken cannot be proven. If BioStudio is to have it, stop that program first."


def _uses(ports: set[int]) -> dict[int, PortUse]:
    if not ports:
        return {}
    from biostudio_doctor.host.ports import look

    return {use.port: use for use in look(Host(), ports).ports}


def _reason(item: Unopened, use: PortUse | None) -> str:
    if item.error in (errno.EACCES, errno.EPERM):
        return "not permitted"
    if item.error != errno.EADDRINUSE:
        return os.strerror(item.error)
    names = {
        f"{held.process.name} (process {held.process.pid})" if held.process else f"user {held.user}"
        for held in (use.listeners if use else ())
    }
    said = f"taken by {text.listing(sorted(names))}" if names else "taken"
    return f"{said}, for the container {use.container.name}" if use and use.container else said


def _code(file: Path | None) -> tuple[str, str]:
    """The code, and what to show instead of it: one that is shared was shown elsewhere."""
    from biostudio_doctor import secret
    from biostudio_doctor.peers import protocol

    if not file and not os.environ.get(CODE_VARIABLE):
        return protocol.new_code(), ""
    place = f"{file}" if file else CODE_VARIABLE
    kept = Secret(file=os.path.abspath(file)) if file else Secret(env=CODE_VARIABLE)
    try:
        code = secret.reveal(kept, Host()).strip()
        protocol.key(code)
    except (secret.SecretError, ValueError) as error:
        raise DoctorError(f"{'--code-file' if file else place}: {error}") from None
    return code, f"that of {place}"


def _seconds(duration: str) -> int:
    try:
        seconds = durations.seconds(duration)
    except ValueError as error:
        raise DoctorError(f"--for: {error}") from None
    if not 0 < seconds <= _LONGEST:
        raise DoctorError(f"--for: {duration!r}: expected 1s at least, and 24h at most")
    return seconds


def _spoken(seconds: float) -> str:
    whole = int(seconds)
    for unit, length in (("hour", 3600), ("minute", 60)):
        if whole % length == 0:
            return text.number(whole // length, unit)
    return text.number(whole, "second")


def _network(cidr: str) -> Network:
    try:
        return ip_network(cidr.strip(), strict=False)
    except ValueError:
        raise DoctorError(f"--allow: expected 10.0.0.0/24 or an IP address, not {cidr!r}") from None


def _address(address: str) -> str:
    try:
        bare = str(ip_address(address.strip().strip("[]")))
    except ValueError:
        raise DoctorError(f"--address: expected an IP address, not {address!r}") from None
    import socket

    from biostudio_doctor.probes.tcp import socket_address

    try:
        family, where = socket_address(bare, 0)
        with socket.socket(family, socket.SOCK_STREAM) as trial:
            trial.bind(where)
    except OSError as error:
        raise DoctorError(f"--address: {bare}: {error.strerror}") from None
    return bare
