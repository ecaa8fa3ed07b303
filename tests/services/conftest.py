"""Real services, started once for all tests of clients, and how the stores are asked."""

import asyncio
import secrets
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from biostudio_doctor.services import Answer, Target
from tests.lab import servers
from tests.lab.timing import within

PASSWORD = secrets.token_hex(8)  # of Redis


def ask(client: ModuleType, port: int, **target: Any) -> Answer:
    """What a client says, within the time it was given."""
    wanted = Target(host="127.0.0.1", port=port, **{"timeout": 4.0, **target})
    with within(wanted.timeout):
        answer: Answer = asyncio.run(client.ask(wanted))
    if wanted.login and wanted.login.password:
        assert wanted.login.password not in repr(answer)
    return answer


@pytest.fixture(scope="session")
def authority() -> Iterator[servers.Authority]:
    with servers.directory() as place:
        yield servers.Authority(place)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[servers.Postgresql]:
    """Without TLS."""
    with servers.postgresql() as server:
        yield server


@pytest.fixture(scope="session")
def postgresql_tls(authority: servers.Authority) -> Iterator[servers.Postgresql]:
    with servers.postgresql(authority) as server:
        yield server


@pytest.fixture(scope="session")
def redis() -> Iterator[servers.Server]:
    """That lets everybody in."""
    with servers.redis() as server:
        yield server


@pytest.fixture(scope="session")
def memcached() -> Iterator[servers.Server]:
    with servers.memcached() as server:
        yield server


@pytest.fixture(scope="session")
def redis_password() -> Iterator[servers.Server]:
    with servers.redis(password=PASSWORD) as server:
        yield server


@pytest.fixture(scope="session")
def redis_tls(authority: servers.Authority) -> Iterator[servers.Server]:
    with servers.redis(authority, password=PASSWORD) as server:
        yield server
