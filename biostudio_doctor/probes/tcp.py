"""TCP: which addresses of a host accept a connection, each measured by itself."""

import socket
import time
from collections.abc import Sequence
from ipaddress import ip_address

import anyio
from anyio.abc import ByteStream, SocketAttribute

from biostudio_doctor.probes.failures import failure
from biostudio_doctor.probes.results import Attempt


async def probe(addresses: Sequence[str], port: int, *, timeout: float) -> tuple[Attempt, ...]:
    """Connect to every address at once, IPv4 and IPv6 side by side, and hang up again."""
    attempts: dict[str, Attempt] = {}

    async def try_address(address: str) -> None:
        attempts[address] = await _attempt(address, port, timeout)

    async with anyio.create_task_group() as tasks:
        for address in addresses:
            tasks.start_soon(try_address, address)
    return tuple(attempts[address] for address in addresses)


async def connect(address: str, port: int, *, timeout: float) -> ByteStream:
    """A connection to an IP address.

    Raises:
        OSError: as connect(2); TimeoutError after `timeout` seconds.
    """
    with anyio.fail_after(timeout):
        return await anyio.connect_tcp(address, port)


def quickest(attempts: Sequence[Attempt]) -> Attempt | None:
    """The attempt that connected first, or None if none did."""
    connected = [attempt for attempt in attempts if not attempt.failure]
    return min(connected, key=lambda attempt: attempt.seconds, default=None)


def is_address(name: str) -> bool:
    """Whether a host is given by its IP address."""
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


async def _attempt(address: str, port: int, timeout: float) -> Attempt:
    started = time.perf_counter()
    problem = None
    source = ""
    try:
        stream = await connect(address, port, timeout=timeout)
        source = str(stream.extra(SocketAttribute.local_address)[0])
        await anyio.aclose_forcefully(stream)
    except (OSError, ValueError) as error:
        problem = failure("connect", error)
    return Attempt(
        address=address,
        family="IPv6" if ip_address(address).version == 6 else "IPv4",
        seconds=round(time.perf_counter() - started, 6),
        source=source or _source(address, port),
        failure=problem,
    )


def _source(address: str, port: int) -> str:
    """The address that the kernel would send from; connect(2) on UDP sends nothing."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probing:
            probing.connect((address, port))
            return str(probing.getsockname()[0])
    except OSError:
        return ""
