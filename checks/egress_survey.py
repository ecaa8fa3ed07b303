"""The way to all hosts at once, and then a second look at those that need one."""

import time
from collections.abc import Sequence

import anyio

from biostudio_doctor.probes import path, second_look
from biostudio_doctor.probes.path import Surroundings, Target
from biostudio_doctor.probes.results import Download, Path, SecondLook
from biostudio_doctor.requirements import Endpoint

#: Whose published object the throughput is measured by: it is of S3, which is never the bottleneck.
_MEASURED = "egress.s3-us"

# Shares of the check's timeout, so that every host has its finding in time.
_FIRST_SHARE = 0.65
_SHARE = 0.85

# Seconds.
_SECOND_LOOK = 2.0
_DOWNLOAD = 5.0  # of which 2 count, from the first answer on
_QUIET = 1.5  # that a download waits at most for the others to have ended


class Survey:
    """One run over some endpoints."""

    def __init__(self, endpoints: Sequence[Endpoint], around: Surroundings) -> None:
        self._endpoints = endpoints
        self._around = around
        self._targets = {
            endpoint.id: Target(host=endpoint.host, port=endpoint.port, path=endpoint.path)
            for endpoint in endpoints
        }
        self._paths: dict[str, Path] = {}
        self._looks: dict[str, SecondLook] = {}
        self._measurable = anyio.Event()
        self._all_ended = anyio.Event()
        self.download: Download | None = None

    @property
    def paths(self) -> tuple[Path, ...]:
        """The ways, in the order of the endpoints."""
        return tuple(self._paths[endpoint.id] for endpoint in self._endpoints)

    @property
    def second_looks(self) -> tuple[SecondLook, ...]:
        """What was tried besides."""
        order = (endpoint.id for endpoint in self._endpoints)
        return tuple(self._looks[name] for name in order if name in self._looks)

    async def run(self, started: float, seconds: float) -> None:
        """Look at everything; `seconds` are those of the check, since `started` (monotonic)."""
        first_end = started + _FIRST_SHARE * seconds
        end = started + _SHARE * seconds
        async with anyio.create_task_group() as whole:
            whole.start_soon(self._measure, end)
            async with anyio.create_task_group() as first:
                for endpoint in self._endpoints:
                    first.start_soon(self._go, endpoint.id, first_end)
            self._all_ended.set()
            other_name = self._a_name_that_passes()
            for endpoint in self._endpoints:
                whole.start_soon(self._look_again, endpoint.id, other_name, end)

    async def _go(self, name: str, end: float) -> None:
        left = end - time.monotonic()
        self._paths[name] = await path.probe(self._targets[name], self._around, timeout=left)
        if name == _MEASURED:
            self._measurable.set()

    async def _look_again(self, name: str, other_name: str, end: float) -> None:
        found = await second_look.look(
            self._paths[name],
            self._targets[name],
            self._around,
            other_name=other_name,
            timeout=_at_most(_SECOND_LOOK, end),
        )
        if found:
            self._looks[name] = found

    async def _measure(self, end: float) -> None:
        """Once the others do not need the line any more, or not for long."""
        if _MEASURED not in self._targets:
            return
        await self._measurable.wait()
        with anyio.move_on_after(_QUIET):
            await self._all_ended.wait()
        self.download = await second_look.download(
            self._paths[_MEASURED],
            self._targets[_MEASURED],
            self._around,
            timeout=_at_most(_DOWNLOAD, end),
        )

    def _a_name_that_passes(self) -> str:
        """Of a host with which TLS was agreed on; '' if there is none."""
        passed = (one.host for one in self._paths.values() if one.tls and one.tls.chain)
        return next(passed, "")


def _at_most(seconds: float, end: float) -> float:
    return max(0.0, min(seconds, end - time.monotonic()))
