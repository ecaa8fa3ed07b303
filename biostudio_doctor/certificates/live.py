"""Certificates that are served, each endpoint asked once, at each of its addresses.

How long it takes: an endpoint costs SECONDS at most, and AT_ONCE are asked at a time; another one
waits TURN seconds at most, so that silent ones hold nobody up. However many there are, all are done
after TURN + SECONDS, and the computing that it takes to shake hands with those that answer.
"""

from __future__ import annotations

from collections.abc import Sequence

import anyio
from anyio.abc import ByteStream
from msgspec import Struct

from biostudio_doctor import endpoints
from biostudio_doctor.certificates.watched import Backend, Source
from biostudio_doctor.probes import Failure, tcp, tls
from biostudio_doctor.probes.dns import lookup
from biostudio_doctor.probes.failures import ProbeError, failure
from biostudio_doctor.probes.results import TlsResult
from biostudio_doctor.probes.side_by_side import side_by_side
from biostudio_doctor.probes.starttls import PRELUDES
from biostudio_doctor.probes.turns import Turns

AT_ONCE = 32  # endpoints
TURN = 3.0  # seconds
SECONDS = 5.0  # for one endpoint: resolving, and the handshakes with all its addresses
COMPUTING = 0.004  # for one endpoint, on one slow processor
_OLD_SECONDS = 2.0  # of them, for old versions of TLS
_ADDRESSES = 8  # of one name
_SHARE = 0.9  # of little time: an endpoint then ends by itself, and says where it got to

_BROKEN = (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError)


class Answer(Struct, kw_only=True):
    """What one endpoint said. It is no fact: certificates are still in DER."""

    tls: TlsResult
    chain: tuple[bytes, ...] = ()
    oldest_version: str | None = None
    backends: tuple[Backend, ...] = ()


async def ask(
    sources: Sequence[Source], ca_files: dict[str, str | None], *, seconds: float
) -> dict[str, Answer]:
    """Ask all endpoints among the sources, `seconds` for all of them, by their names.

    `ca_files` are the authorities to trust besides the system's, by the name of the source.

    Raises:
        OSError: if a file of them cannot be read or holds no certificate.
    """
    answers = {one.at: _unanswered(one) for one in sources if not one.is_file}
    turns = Turns(AT_ONCE, TURN)

    each = min(SECONDS, _SHARE * seconds)

    async def one(source: Source) -> None:
        async with turns.turn():
            answers[source.at] = await _ask(source, ca_files.get(source.at), each)

    with anyio.move_on_after(seconds):
        async with anyio.create_task_group() as tasks:
            for source in sources:
                if not source.is_file:
                    tasks.start_soon(one, source)
    return answers


def server_name(source: Source) -> str:
    """The name that an endpoint is asked for."""
    return source.server_name or endpoints.watched(source.at).endpoint.host


def _unanswered(source: Source) -> Answer:
    problem = Failure("connect", "timeout", "the time was up")
    return Answer(tls=TlsResult(server_name=server_name(source), failure=problem))


async def _ask(source: Source, ca_file: str | None, seconds: float) -> Answer:
    place = endpoints.watched(source.at)
    name = server_name(source)
    deadline = anyio.current_time() + seconds
    addresses: tuple[str, ...] = (place.endpoint.host,)
    if not endpoints.is_address(place.endpoint.host):
        found = await lookup(place.endpoint.host, timeout=seconds)
        if found.failure:
            return Answer(tls=TlsResult(server_name=name, failure=found.failure))
        addresses = found.addresses[:_ADDRESSES]

    async def at(address: str) -> tls.Examined:
        left = deadline - anyio.current_time()
        dial = _Dial(address, place, left)
        return await tls.examine(dial, name, timeout=left, ca_file=ca_file)

    seen = dict(zip(addresses, await side_by_side(at, addresses), strict=True))
    shown = min(addresses, key=lambda address: _rank(seen[address]))
    answer = Answer(tls=seen[shown].result, chain=seen[shown].chain)
    if len(addresses) > 1:
        answer.backends = tuple(_backend(address, seen[address]) for address in addresses)
    if answer.chain:
        left = min(_OLD_SECONDS, deadline - anyio.current_time())
        dial = _Dial(shown, place, left)
        answer.oldest_version = await tls.oldest_version(dial, name, timeout=left)
    return answer


class _Dial:
    """Opens connections to one address, as far as the first byte of TLS."""

    def __init__(self, address: str, place: endpoints.Served, seconds: float) -> None:
        self._address = address
        self._place = place
        self._seconds = seconds

    async def __call__(self) -> ByteStream:
        """A fresh connection.

        Raises:
            OSError: as connect(2).
            ProbeError: if what is said before TLS goes wrong.
        """
        stream = await tcp.connect(self._address, self._place.endpoint.port, timeout=self._seconds)
        if not self._place.prelude:
            return stream
        try:
            with anyio.fail_after(_SHARE * self._seconds):  # so that silence is told from no port
                await PRELUDES[self._place.prelude](stream)
        except BaseException as error:
            with anyio.CancelScope(shield=True):
                await anyio.aclose_forcefully(stream)
            if isinstance(error, (OSError, *_BROKEN)):
                raise ProbeError(failure("tls", error)) from None
            raise
        return stream


def _rank(one: tls.Examined) -> tuple[int, bool, float]:
    """Lowest first: whoever shows a certificate, then whoever is there at all.

    Of several certificates it is the one that stands worst: that of one forgotten backend must not
    be hidden by those of others.
    """
    if one.chain:
        ends = (certificate.not_after.timestamp() for certificate in one.result.chain[:1])
        return 0, one.result.verified, min(ends, default=0.0)
    problem = one.result.failure
    away = problem is not None and problem.reason in ("unreachable", "refused")
    return (2 if away else 1), False, 0.0


def _backend(address: str, one: tls.Examined) -> Backend:
    leaf = next(iter(one.result.chain), None)
    if not leaf:
        return Backend(address=address, failure=one.result.failure)
    return Backend(
        address=address, sha256=leaf.sha256, not_before=leaf.not_before, not_after=leaf.not_after
    )
