"""Connecting by name, where a name has several addresses."""

import socket
import time
from collections.abc import Sequence

import anyio
import pytest

from biostudio_doctor.probes import direct
from biostudio_doctor.probes.direct import Dialler
from biostudio_doctor.probes.failures import ProbeError
from biostudio_doctor.probes.results import Lookup
from tests.lab.peers import Peer, silent


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> list[Sequence[str]]:
    """What the name leads to, the next time it is asked for: a resolver's answers are given."""
    answers: list[Sequence[str]] = []

    async def lookup(name: str, *, timeout: float) -> Lookup:
        return Lookup(name=name, addresses=tuple(answers.pop(0)), seconds=0.0)

    monkeypatch.setattr(direct, "lookup", lookup)
    return answers


async def dial(dialler: Dialler) -> str:
    stream = await dialler()
    await anyio.aclose_forcefully(stream)
    return dialler.address


def test_a_silent_address_is_not_waited_for_and_the_other_one_kept(
    named: list[Sequence[str]],
) -> None:
    """A full backlog is silent on Linux: the kernel drops the SYN."""
    named.append(("127.0.0.2", "127.0.0.1"))
    with Peer(silent) as peer, socket.socket() as full:
        full.bind(("127.0.0.2", peer.port))
        full.listen(0)
        with socket.create_connection(("127.0.0.2", peer.port)):
            dialler = Dialler("studio.lab", peer.port, timeout=5)
            started = time.perf_counter()
            assert anyio.run(dial, dialler) == "127.0.0.1"
            assert time.perf_counter() - started < 2
            assert anyio.run(dial, dialler) == "127.0.0.1", "not resolved again"
            while peer.connections < 2:  # until the thread that accepts has come round
                assert time.perf_counter() - started < 5
                time.sleep(0.01)


def test_the_telling_failure_of_several(named: list[Sequence[str]]) -> None:
    with Peer(silent) as peer:
        port = peer.port
    named.append(("255.255.255.255", "127.0.0.1"))
    with pytest.raises(ProbeError) as caught:
        anyio.run(dial, Dialler("studio.lab", port, timeout=2))
    assert (caught.value.failure.phase, caught.value.failure.reason) == ("connect", "refused")


def test_a_name_that_does_not_exist() -> None:
    with pytest.raises(ProbeError) as caught:
        anyio.run(dial, Dialler("nowhere.invalid", 443, timeout=5))
    assert caught.value.failure.phase == "resolve"
