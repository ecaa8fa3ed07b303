"""What a client raises, as an answer."""

import asyncio
import errno
import os

import pytest

from biostudio_doctor.probes.direct import Dialler
from biostudio_doctor.services import Answer, Target, connection
from tests.lab.peers import Peer, saying


@pytest.mark.parametrize("ca_file", [None, "/etc/ca.pem"])
def test_not_every_error_of_the_system_is_of_the_authorities(ca_file: str | None) -> None:
    """A router says so in the middle of a conversation, or no descriptor is left."""

    async def talk(dial: Dialler, target: Target) -> Answer:
        raise OSError(errno.EHOSTUNREACH, os.strerror(errno.EHOSTUNREACH))

    with Peer(saying(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as peer:
        target = Target(host="127.0.0.1", port=peer.port, ca_file=ca_file)
        answer = asyncio.run(connection.ask(target, "redis", talk))
    assert answer.state == "foreign"
    assert answer.failure and answer.failure.reason == "unreachable"
