"""TCP: addresses that accept, refuse, and have no route."""

import asyncio
import socket

import pytest

from biostudio_doctor.probes import tcp
from biostudio_doctor.probes.results import Attempt
from tests.lab.network import free_port
from tests.lab.peers import Peer, silent
from tests.lab.timing import within


def probe(addresses: list[str], port: int, timeout: float = 20) -> tuple[Attempt, ...]:
    return asyncio.run(tcp.probe(addresses, port, timeout=timeout))


def test_each_address_by_itself() -> None:
    with Peer(silent) as peer:
        attempts = probe(["::1", "127.0.0.1", "127.0.0.2"], peer.port)
    assert [attempt.family for attempt in attempts] == ["IPv6", "IPv4", "IPv4"]
    reasons = [attempt.failure.reason if attempt.failure else None for attempt in attempts]
    assert reasons == ["refused", None, "refused"], "the server listens on 127.0.0.1 alone"
    assert attempts[1].source == "127.0.0.1" and attempts[0].source == "::1"
    chosen = tcp.quickest(attempts)
    assert chosen and chosen.address == "127.0.0.1" and 0 < chosen.seconds < 20


def test_ipv6() -> None:
    with Peer(silent, "::1") as peer:
        (attempt,) = probe(["::1"], peer.port)
    assert attempt.failure is None and attempt.family == "IPv6"


def test_nobody_listens() -> None:
    (attempt,) = probe(["127.0.0.1"], free_port())
    assert attempt.failure and attempt.failure.reason == "refused"
    assert attempt.failure.detail == "Connection refused"
    assert tcp.quickest([attempt]) is None


@pytest.mark.parametrize("address", ["255.255.255.255", "ff02::1"])
def test_no_route(address: str) -> None:
    (attempt,) = probe([address], 443)
    assert attempt.failure and attempt.failure.phase == "connect"
    assert attempt.failure.reason == "unreachable" and "unreachable" in attempt.failure.detail


def test_a_silent_address_costs_its_timeout() -> None:
    """A full backlog is silent on Linux: the kernel drops the SYN."""
    with socket.create_server(("127.0.0.2", 0), backlog=0) as full:
        place = full.getsockname()
        with socket.create_connection(place), within(0.3):
            (attempt,) = probe([place[0]], place[1], timeout=0.3)
    assert attempt.failure and attempt.failure.reason == "timeout"
    assert attempt.seconds > 0.29 and attempt.source == "127.0.0.1"


def test_nothing_to_try() -> None:
    assert probe([], 443) == ()


def test_a_thousand_at_once_are_no_sum() -> None:
    with Peer(silent) as peer:
        addresses = [f"127.0.{number // 250}.{number % 250 + 1}" for number in range(1000)]
        with within(2):
            attempts = probe(addresses, peer.port)
    assert sum(not attempt.failure for attempt in attempts) == 1
