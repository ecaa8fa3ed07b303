"""What tests of report.html share: one full report, which takes some seconds to make."""

import pytest

from biostudio_doctor.model import Report
from tests.lab.full_report import full


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return full(tmp_path_factory.mktemp("full"))
