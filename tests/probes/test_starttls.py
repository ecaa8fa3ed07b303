"""What is said before TLS: honest peers, and those that say something else, or too much.

The peers are made; PostgreSQL itself is in the table of certificate cases.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from biostudio_doctor.certificates import live
from biostudio_doctor.certificates.live import Answer
from biostudio_doctor.certificates.watched import Source
from biostudio_doctor.probes import Failure
from biostudio_doctor.probes.failures import ProbeError
from biostudio_doctor.probes.starttls import PRELUDES
from tests.lab.certificates import make
from tests.lab.peers import Behaviour, Peer, endless, reset, saying, server_context, silent
from tests.lab.timing import within
from tests.lab.tls_servers import ldap, smtp


def asked(url: str, seconds: float = 20.0) -> Answer:
    async def ask() -> dict[str, Answer]:
        return await live.ask([Source(at=url)], {}, seconds=seconds)

    return anyio.run(ask)[url]


def failure(scheme: str, behaviour: Behaviour, seconds: float = 20.0) -> Failure:
    with Peer(behaviour) as peer, within(seconds):
        answer = asked(f"{scheme}://127.0.0.1:{peer.port}", seconds)
    assert answer.tls.failure and not answer.chain
    return answer.tls.failure


_BAD = dict.fromkeys(PRELUDES, "bad-response")
_TOO_LARGE = {**_BAD, "smtp": "too-large"}


@pytest.mark.parametrize("scheme", PRELUDES)
@pytest.mark.parametrize(
    ("behaviour", "reasons"),
    [
        (silent, dict.fromkeys(PRELUDES, "timeout")),
        (reset, {"postgresql": "reset", "ldap": "reset", "smtp": "timeout"}),  # SMTP speaks first
        (saying(b"", first=True), dict.fromkeys(PRELUDES, "closed")),
        (endless(b"\x30\x84\x7f\xff\xff\xff" + bytes(1000)), _TOO_LARGE),
        (endless(b"220-more\r\n"), _TOO_LARGE),
        (endless(b"2" * 1000), _TOO_LARGE),
        (saying(b"HTTP/1.1 400 Bad Request\r\n\r\n", first=True), _BAD),
    ],
    ids=["silent", "reset", "closed", "huge", "many lines", "a line without end", "HTTP"],
)
def test_whatever_comes_is_a_failure_of_tls(
    scheme: str, behaviour: Behaviour, reasons: dict[str, str]
) -> None:
    reason = reasons[scheme]
    found = failure(scheme, behaviour, 1.0 if reason == "timeout" else 20.0)
    assert (found.phase, found.reason) == ("tls", reason)
    assert found.detail.isprintable() and len(found.detail) < 400


@pytest.mark.parametrize(
    ("scheme", "behaviour", "said"),
    [
        ("postgresql", saying(b"N"), "has no TLS here"),
        ("postgresql", saying(b"E\0\0\0\x10"), "is no PostgreSQL"),
        ("smtp", smtp(None), "does not offer STARTTLS"),
        ("smtp", saying(b"554 no service \x1b[2J\r\n", first=True), "the mail server says '554"),
        ("ldap", ldap(None), "LDAP result 52"),
        ("ldap", saying(bytes.fromhex("300c02010161070a010004000400")), "is no LDAP"),
    ],
)
def test_a_refusal_is_told(scheme: str, behaviour: Behaviour, said: str) -> None:
    assert said in failure(scheme, behaviour).detail


def test_what_comes_before_tls_is_not_taken_for_tls(tmp_path: Path) -> None:
    """Bytes after the answer would be read as part of the handshake, and end it."""
    context = server_context(tmp_path, make())
    with Peer(smtp(context, ready=b"220 go ahead\r\n250 injected\r\n")) as peer:
        answer = asked(f"smtp://127.0.0.1:{peer.port}")
    assert answer.tls.failure and not answer.chain


class Said:
    """A stream that has said some bytes, and then hangs up."""

    def __init__(self, data: bytes) -> None:
        self.left = data

    async def send(self, item: bytes) -> None:
        pass

    async def receive(self, max_bytes: int = 65536) -> bytes:
        if not self.left:
            raise anyio.EndOfStream
        data, self.left = self.left[:max_bytes], self.left[max_bytes:]
        return data


@pytest.mark.parametrize("scheme", PRELUDES)
@given(st.binary(max_size=200))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_answer(scheme: str, data: bytes) -> None:
    async def hear() -> None:
        for start in (
            b"",
            b"S",
            b"220 a\r\n250 STARTTLS\r\n220 b\r\n",
            b"\x30\x0c\x02\x01\x01\x78",
        ):
            with suppress(ProbeError, anyio.EndOfStream):
                await PRELUDES[scheme](Said(start + data))  # type: ignore[arg-type]

    anyio.run(hear)
