"""How fast an object comes, which is bounded in bytes and in time."""

from __future__ import annotations

import ssl

import anyio
import httpx

from biostudio_doctor.probes import Failure
from biostudio_doctor.probes.failures import failure
from biostudio_doctor.probes.http import OUR_HEADERS, Dial, Transport
from biostudio_doctor.probes.results import Download

#: As package managers do: conda has 5, docker 3. A long way with losses slows each of them down,
#: and a narrow line all of them together.
CONNECTIONS = 4
_EACH = 1 << 20  # bytes that each of them reads at most
_WINDOW = 2.0  # seconds that are counted, from the first answer on


async def measure(
    dial: Dial, host: str, url: str, *, context: ssl.SSLContext, timeout: float
) -> Download:
    """Fetch one URL over several connections at once; being out of time is no failure."""
    scope = anyio.CancelScope(deadline=anyio.current_time() + timeout)
    meter = _Meter(scope)
    problems: list[Failure] = []

    async def fetch() -> None:
        try:
            await _fetch(dial, url, context, timeout, meter)
        except Exception as error:  # httpx passes on whatever a stream may raise
            problems.append(failure("transfer", error))

    with scope:
        async with anyio.create_task_group() as tasks:
            for _ in range(CONNECTIONS):
                tasks.start_soon(fetch)
    return Download(
        host=host,
        connections=CONNECTIONS,
        length=meter.length,
        seconds=meter.seconds(),
        failure=problems[0] if problems else None,
    )


async def _fetch(
    dial: Dial, url: str, context: ssl.SSLContext, timeout: float, meter: _Meter
) -> None:
    async with (
        httpx.AsyncClient(
            transport=Transport(dial, context), trust_env=False, timeout=timeout
        ) as client,
        client.stream("GET", url, headers=OUR_HEADERS) as response,
    ):
        meter.start()
        received = 0
        async for chunk in response.aiter_raw():
            received += len(chunk)
            meter.length += len(chunk)
            if received >= _EACH:
                break


class _Meter:
    """Bytes of all connections; from the first answer on, the time for all of them is limited."""

    def __init__(self, scope: anyio.CancelScope) -> None:
        self.length = 0
        self._scope = scope
        self._started = 0.0

    def start(self) -> None:
        if not self._started:
            self._started = anyio.current_time()
            self._scope.deadline = min(self._scope.deadline, self._started + _WINDOW)

    def seconds(self) -> float:
        """Until now."""
        return round(anyio.current_time() - self._started, 6) if self._started else 0.0
