"""A firewall in earnest for the tests of this directory."""

from collections.abc import Iterator

import pytest

from tests.lab import walls
from tests.lab.walls import Wall


@pytest.fixture(scope="package")
def shared_wall() -> Iterator[Wall]:
    wall = Wall()
    yield wall
    wall.close()


@pytest.fixture
def wall(shared_wall: Wall) -> Iterator[Wall]:
    if reason := walls.why_not():
        pytest.skip(reason)
    yield shared_wall
    shared_wall.reset()
