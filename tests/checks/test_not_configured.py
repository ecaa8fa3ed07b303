"""What concerns something that the configuration does not name says so in one way.

Exporters then name these checks together in one line, instead of a row for each.
"""

from typing import Any

import pytest

from biostudio_doctor import registry
from biostudio_doctor.check import Check
from biostudio_doctor.model import NOT_CONFIGURED, Status
from tests.conftest import MakeHost, context, judge, observed

CHECKS = registry.find(registry.CHECKS)
NAMED = (
    "activation.token", "https.letsencrypt", "ports.peers", "scaling.nodes",
    *registry.select(CHECKS, ("certificate", "datasources", "sso")),
)  # fmt: skip


@pytest.mark.parametrize("name", NAMED)
def test_nothing_is_configured(name: str, make_host: MakeHost) -> None:
    check: Check[Any] = registry.load_check(CHECKS[name])(context(phase="running"))
    (finding,) = judge(check, observed(check, make_host({}))).values()
    assert (finding.status, finding.cause) == (Status.SKIP, NOT_CONFIGURED)
    assert finding.remedy and "configur" in f"{finding.summary} {finding.remedy.text}"
