"""The asking end, before peers that are no listeners: bounded, and told what they look like."""

import asyncio
import time

import pytest

from biostudio_doctor.peers import Peer, client, protocol
from biostudio_doctor.peers.facts import Visit
from biostudio_doctor.peers.verdicts import verdict
from tests.lab import peers
from tests.lab.network import free_port
from tests.lab.peers import Behaviour
from tests.lab.timing import within

KEY = protocol.key(protocol.new_code())


def drip_a_proof(connection: peers.socket.socket) -> None:
    """Begin like a proof, a byte at a time."""
    connection.recv(4096)
    for byte in protocol.PROOF + bytes(100):
        connection.sendall(bytes([byte]))
        time.sleep(0.05)


def greet_and_wait(connection: peers.socket.socket) -> None:
    connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
    while connection.recv(4096):
        pass


def hang_up(connection: peers.socket.socket) -> None:
    connection.recv(4096)


@pytest.mark.parametrize(
    ("behaviour", "reason", "heard"),
    [
        (peers.silent, "timeout", ""),
        (drip_a_proof, "timeout", ""),
        (peers.reset, "closed", ""),
        (hang_up, "closed", ""),
        (greet_and_wait, "bad-response", "an SSH server (OpenSSH_9.2)"),
        (peers.endless(b"x" * 65536), "bad-response", "something that says 'xxx"),
        (peers.saying(b"HTTP/1.0 400 Bad Request\r\nServer: squid/5.7\r\n\r\n"), "bad-response",
         "an HTTP server (squid/5.7)"),
        (peers.saying(b"SSH-2.0-OpenSSH_9.2\r\n", first=True), "bad-response", "an SSH server"),
        (peers.saying(b"\x1b[2J\x07"), "bad-response", "the bytes 1b 5b 32 4a 07"),
        (peers.saying(protocol.PROOF + bytes(104)), "bad-response", "something that says"),
    ],
)  # fmt: skip
def test_something_else(behaviour: Behaviour, reason: str, heard: str) -> None:
    patience = 1 if reason == "timeout" else 30
    with peers.Peer(behaviour) as peer, within(patience):
        found = asyncio.run(client.knock("127.0.0.1", peer.port, "redis", KEY, patience))
    assert found.proof is None and found.failure
    assert (found.failure.phase, found.failure.reason) == ("request", reason)
    assert heard in found.heard and found.heard.isprintable() and len(found.heard) < 200


def test_its_own_hello_sent_back_is_no_proof() -> None:
    def echo(connection: peers.socket.socket) -> None:
        connection.sendall(connection.recv(4096))

    with peers.Peer(echo) as peer:
        found = asyncio.run(client.knock("127.0.0.1", peer.port, "redis", KEY, 5))
    assert found.proof is None
    visit = Visit(role="bioproxy", name="x", address="127.0.0.1", knocks=(found,))
    assert verdict(found, visit) == "foreign"


def test_nobody_listens_and_no_such_name() -> None:
    port = free_port()
    asked = [Peer("bioproxy", "127.0.0.1"), Peer("bioproxy", "nosuch.invalid")]
    here, nowhere = asyncio.run(client.visit(asked, {"bioproxy": {port: "redis"}}, KEY, 5))
    assert here.knocks[0].failure and here.knocks[0].failure.reason == "refused"
    assert nowhere.failure and nowhere.failure.phase == "resolve" and not nowhere.knocks
