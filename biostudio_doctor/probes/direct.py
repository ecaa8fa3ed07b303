"""A direct connection to a host by its name, as a program without a proxy makes it."""

from collections.abc import Sequence

import anyio
from anyio.abc import ByteStream

from biostudio_doctor.probes import Failure
from biostudio_doctor.probes.dns import lookup
from biostudio_doctor.probes.failures import ProbeError, failure
from biostudio_doctor.probes.tcp import connect


class Dialler:
    """Resolves once, and then keeps to the address that answered: a name may have many backends."""

    def __init__(self, host: str, port: int, *, timeout: float) -> None:
        self._host = host
        self._port = port
        self._timeout = timeout
        self.address = ""  # the one that answered; '' before

    async def __call__(self) -> ByteStream:
        """A fresh connection.

        Raises:
            ProbeError: with the phase `resolve` or `connect`.
        """
        if self.address:
            return await self._first([self.address])
        found = await lookup(self._host, timeout=self._timeout)
        if found.failure:
            raise ProbeError(found.failure)
        return await self._first(found.addresses)

    async def _first(self, addresses: Sequence[str]) -> ByteStream:
        """Try all addresses at once and keep whichever connects first."""
        streams: list[ByteStream] = []
        problems: list[Failure] = []

        async def attempt(address: str) -> None:
            try:
                stream = await connect(address, self._port, timeout=self._timeout)
            except OSError as error:
                problems.append(failure("connect", error))
                return
            streams.append(stream)
            self.address = self.address or address
            race.cancel_scope.cancel()

        async with anyio.create_task_group() as race:
            for address in addresses:
                race.start_soon(attempt, address)
        for late in streams[1:]:
            await anyio.aclose_forcefully(late)
        if not streams:
            telling = (problem for problem in problems if problem.reason != "unreachable")
            raise ProbeError(next(telling, problems[0]))
        return streams[0]


async def knock(host: str, ports: Sequence[int], *, timeout: float) -> dict[int, Failure | None]:
    """Whether ports of a host take a connection, which is given up at once."""
    outcomes: dict[int, Failure | None] = {}

    async def try_port(port: int) -> None:
        try:
            await anyio.aclose_forcefully(await Dialler(host, port, timeout=timeout)())
            outcomes[port] = None
        except ProbeError as error:
            outcomes[port] = error.failure

    async with anyio.create_task_group() as tasks:
        for port in ports:
            tasks.start_soon(try_port, port)
    return {port: outcomes[port] for port in ports}
