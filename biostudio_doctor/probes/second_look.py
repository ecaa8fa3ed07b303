"""A second look at a way that failed or is odd: small experiments that tell its causes apart.

Each repeats a step of the first look with one thing changed. Only what the failure makes
worthwhile is tried, and all of it at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import anyio
from anyio.abc import ByteStream

from biostudio_doctor.probes import CUT, http, tcp, throughput, tls
from biostudio_doctor.probes.path import Surroundings, Target, Way
from biostudio_doctor.probes.results import Attempt, Download, Exchange, Path, SecondLook

HTTPS, HTTP = 443, 80

# Seconds, few of them: the first look has waited already.
_CONNECT = 1.0
_TLS = 2.0
_REQUEST = 2.0

_HTTP11 = ("http/1.1",)


async def look(
    path: Path, target: Target, around: Surroundings, *, other_name: str, timeout: float
) -> SecondLook | None:
    """Try what may tell why a way ended so; None where nothing is worth trying.

    `other_name` is that of a host with which a handshake succeeds, '' if there is none. `timeout`
    is in seconds.
    """
    second = _SecondLook(path, target, around, anyio.current_time() + timeout)
    with anyio.move_on_after(timeout):
        await second.go(other_name)
    return second.result()


async def download(
    path: Path, target: Target, around: Surroundings, *, timeout: float
) -> Download | None:
    """Fetch the target's object over several connections; None where it cannot be had."""
    if not (path.exchange and path.exchange.answer.status == 200):
        return None
    way = Way.known(path, around, anyio.current_time() + timeout)

    async def dial(_host: str, _port: int) -> ByteStream:
        return await way.open()

    context = tls.verifying_context(around.ca_file, _HTTP11)
    return await throughput.measure(dial, path.host, target.url, context=context, timeout=timeout)


class _SecondLook:
    """Carries the experiments out and keeps what came of them."""

    def __init__(self, path: Path, target: Target, around: Surroundings, deadline: float) -> None:
        self._path = path
        self._target = target
        self._around = around
        self._way = Way.known(path, around, deadline)
        self._direct = not path.route.proxy
        self._found: dict[str, Any] = {}

    async def go(self, other_name: str) -> None:
        """All that the failure makes worthwhile, at once."""
        problem = self._path.failure
        phase, reason = (problem.phase, problem.reason) if problem else ("", "")
        async with anyio.create_task_group() as tasks:
            if not problem and self._direct:
                tasks.start_soon(self._again)
            if phase == "connect":  # which no way through a proxy ends in
                tasks.start_soon(self._other_port)
            if phase in ("tls", "request", "transfer") and reason == "timeout" and self._direct:
                tasks.start_soon(self._small_segments)
            if phase == "tls" and reason in CUT:
                # With an address for a name, OpenSSL sends none.
                tasks.start_soon(self._shake_hands, "other_name", other_name or self._way.address)
                tasks.start_soon(self._shake_hands, "same_name", self._path.host)
            if phase == "tls" and reason == "untrusted":
                tasks.start_soon(self._unverified)

    def result(self) -> SecondLook | None:
        """What was found, also where time was up before the end."""
        if not self._found:
            return None
        return SecondLook(host=self._path.host, port=self._path.port, **self._found)

    async def _again(self) -> None:
        """The addresses that failed although there is a route to them: a packet may be lost."""
        deaf = [one.address for one in self._path.attempts if one.failure and one.source]
        if deaf:
            self._found["again"] = await self._connect(deaf, self._path.port)

    async def _other_port(self) -> None:
        """The same addresses on another port: is it the port, or the whole host?"""
        port = HTTP if self._path.port == HTTPS else HTTPS
        addresses = [attempt.address for attempt in self._path.attempts]
        self._found |= {
            "tried_port": port,
            "other_port": await self._connect(addresses, port),
        }

    async def _connect(self, addresses: Sequence[str], port: int) -> tuple[Attempt, ...]:
        return await tcp.probe(addresses, port, timeout=self._way.patience(_CONNECT))

    async def _small_segments(self) -> None:
        """Everything in small packets: only where large ones vanish does that get through."""

        async def dial(_host: str, _port: int) -> ByteStream:
            return await tcp.connect_in_small_segments(
                self._way.address, self._path.port, timeout=self._way.patience(_CONNECT)
            )

        exchange = await self._request(dial, tls.verifying_context(self._around.ca_file, _HTTP11))
        self._found["small_segments"] = exchange.answer

    async def _shake_hands(self, experiment: str, name: str) -> None:
        self._found[experiment] = await tls.probe(
            self._way.open,
            name,
            timeout=self._way.patience(_TLS),
            ca_file=self._around.ca_file,
        )

    async def _unverified(self) -> None:
        """What whoever presents that certificate answers, and what time it has; nothing secret is
        asked for.
        """

        async def dial(_host: str, _port: int) -> ByteStream:
            return await self._way.open()

        exchange = await self._request(dial, tls.lenient_context(_HTTP11))
        self._found |= {"unverified": exchange.answer, "unverified_left_at": exchange.left_at}

    async def _request(self, dial: http.Dial, context: Any) -> Exchange:
        return await http.probe(
            dial,
            self._target.url,
            context=context,
            timeout=self._way.patience(_REQUEST),
            redirects=0,
        )
