"""Connecting by name, where a name has several addresses."""

import socket
from collections.abc import Sequence

import anyio
import pytest

from biostudio_doctor.probes import direct
from biostudio_doctor.probes.direct import Dialler
from biostudio_doctor.probes.failures import ProbeError
from biostudio_doctor.probes.results import Lookup
from tests.lab.network import free_port
from tests.lab.peers import Peer, silent
from tests.lab.timing import wait_until, within


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
            dialler = Dialler("studio.lab", peer.port, timeout=60)
            with within(1):
                assert anyio.run(dial, dialler) == "127.0.0.1"
            assert anyio.run(dial, dialler) == "127.0.0.1", "not resolved again"
            wait_until(lambda: peer.connections == 2, "accepting")


def test_the_telling_failure_of_several(named: list[Sequence[str]]) -> None:
    named.append(("255.255.255.255", "127.0.0.1"))
    with pytest.raises(ProbeError) as caught:
        anyio.run(dial, Dialler("studio.lab", free_port(), timeout=20))
    assert (caught.value.failure.phase, caught.value.failure.reason) == ("connect", "refused")


def test_a_name_that_does_not_exist() -> None:
    with pytest.raises(ProbeError) as caught:
        anyio.run(dial, Dialler("nowhere.invalid", 443, timeout=5))
    assert caught.value.failure.phase == "resolve"
