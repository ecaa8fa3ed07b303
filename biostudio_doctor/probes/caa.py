"""CAA records: who may issue certificates for a name, as name servers say (RFC 8659)."""

from collections.abc import Sequence
from typing import Any

from msgspec import structs

from biostudio_doctor.probes import dns
from biostudio_doctor.probes.failures import one_line
from biostudio_doctor.probes.results import Caa, CaaAnswer
from biostudio_doctor.probes.side_by_side import side_by_side

_RECORDS = 64  # of one name: more are not read
_VALUE = 1000  # characters of a record


async def climb(
    name: str, servers: Sequence[str], *, timeout: float, port: int = 53
) -> tuple[CaaAnswer, ...]:
    """Ask every server for a name and all names above it up to the top-level domain, all at once.

    The answers are in the order in which an issuer goes by them: the name itself first.
    """
    labels = name.split(".")
    names = [".".join(labels[index:]) for index in range(len(labels))]
    questions = [(level, server) for level in names for server in servers]
    return await side_by_side(
        lambda question: _ask(*question, timeout=timeout, port=port), questions
    )


async def _ask(name: str, server: str, timeout: float, port: int) -> CaaAnswer:
    answer = CaaAnswer(name=name, server=server)
    try:
        reply, _ = await dns.question(name, "CAA", server, timeout=timeout, port=port)
        return _read(answer, reply)
    except dns.UNANSWERED as error:
        return structs.replace(answer, failure=dns.unanswered(error))


def _read(answer: CaaAnswer, reply: Any) -> CaaAnswer:
    code, extended, failed = dns.verdict(reply)
    answer = structs.replace(answer, code=code, extended=extended)
    if failed:
        missing = failed.reason == "nxdomain"
        return structs.replace(answer, failure=None if missing else failed)
    found = reply.resolve_chaining().answer or ()  # an alias has the records of its target
    records = [
        Caa(
            record.flags,
            record.tag.decode("ascii", "replace").lower(),
            one_line(record.value.decode("utf-8", "replace"), _VALUE),
        )
        for record in list(found)[:_RECORDS]
    ]
    return structs.replace(answer, records=tuple(records))
