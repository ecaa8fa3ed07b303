"""What several tests of the daemon begin with."""

from collections.abc import Iterator

import pytest

from tests.lab.web_process import WebProcess, sixty_checks


@pytest.fixture(scope="module")
def web() -> Iterator[WebProcess]:
    """A web process that was told the report of a full daemon."""
    with WebProcess() as process:
        process.show(sixty_checks())
        process.wait_for()
        yield process
