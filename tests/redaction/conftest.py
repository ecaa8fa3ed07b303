"""Chance makes the secrets of these tests: other ones in each run, and the same ones in CI, where a
rare one that nothing gives away must not decide whether a change may land."""

import os
import secrets

import pytest

from .material import CHANCE


@pytest.fixture(autouse=True)
def _chance(request: pytest.FixtureRequest) -> None:
    seed = f"2 {request.node.nodeid}" if os.environ.get("CI") else secrets.token_hex(4)
    print(f"seed of chance: {seed}")
    CHANCE.seed(seed)
