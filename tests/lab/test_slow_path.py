"""The slow path itself: it is there on both sides, and outlives a side that is still down."""

import errno
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import slow_path
from tests.lab.network import ROUTER, WORLD, Network, why_not

#: A closed port answers with a reset, so this takes a round trip.
ROUND_TRIP = """
import socket, time
started = time.monotonic()
print(socket.socket().connect_ex(("203.0.113.1", 9)), time.monotonic() - started)
"""
SEND = """
import socket
for _ in range(3):
    socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", ("203.0.113.1", 9))
"""

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not() or "")


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    net = Network(tmp_path)
    try:
        yield net
    finally:
        net.close()


def test_packets_for_a_side_that_is_down_are_lost(network: Network) -> None:
    """Linux sends of itself on a device that comes up (router solicitations)."""
    ends = network.namespace(ROUTER), network.namespace(WORLD)
    carrier = network.start(ROUTER, [sys.executable, str(slow_path.__file__), *ends, "0", "0"])
    for name in (ROUTER, WORLD):
        network.wait_for_link(name, "slow", carrier)
    network.run(ROUTER, ["ip", "link", "set", "slow", "up"])
    network.run(ROUTER, ["ip", "route", "add", "203.0.113.0/25", "dev", "slow"])
    network.run(ROUTER, [sys.executable, "-c", SEND])
    with pytest.raises(subprocess.TimeoutExpired):
        carrier.wait(0.3)


def test_it_carries(network: Network) -> None:
    network.slow_down(delay=0.05, loss=0)
    code, seconds = network.run(ROUTER, [sys.executable, "-c", ROUND_TRIP]).stdout.split()
    assert int(code) == errno.ECONNREFUSED and float(seconds) >= 0.1


def test_a_carrier_that_ends_is_told_at_once(network: Network) -> None:
    carrier = network.start(ROUTER, ["false"])
    with pytest.raises(AssertionError, match="has ended"):
        network.wait_for_link(ROUTER, "slow", carrier)
