"""One rule for all checks: the timeout of the run, where one is given, replaces their own.

What would wait is replaced by what notes how long it may: nobody waits for minutes to see it.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NoReturn

import pytest

from biostudio_doctor import nodes
from biostudio_doctor.certificates.survey import Survey
from biostudio_doctor.check import Check
from biostudio_doctor.checks import (
    certificate_revocation,
    certificate_watch,
    datasources_glusterfs,
    datasources_nfs,
    datasources_s3,
    egress_one,
)
from biostudio_doctor.checks.activation_server import ActivationServer
from biostudio_doctor.checks.certificate_expiry import CertificateExpiry
from biostudio_doctor.checks.datasources_ecosystem import DatasourcesEcosystem
from biostudio_doctor.checks.datasources_postgresql import DatasourcesPostgresql
from biostudio_doctor.checks.exposure_lan import ExposureLan
from biostudio_doctor.checks.ports_peers import PortsPeers
from biostudio_doctor.checks.scaling_nodes import ScalingNodes
from biostudio_doctor.checks.services_redis import ServicesRedis
from biostudio_doctor.host import ports
from biostudio_doctor.host.ports import Listener, PortTable, PortUse
from biostudio_doctor.peers import CODE_VARIABLE, client, protocol
from biostudio_doctor.services import Target, ecosystem, postgresql, redis
from tests.conftest import context, observed

SETTINGS: dict[str, Any] = {
    "phase": "running",
    "nodes": ["127.0.0.1"],
    "peers": ["bioproxy=127.0.0.1"],
    "certificates": ["127.0.0.1:443"],
    "datasources": {
        "nfs": [{"server": "127.0.0.1", "export": "/x"}],
        "s3": [{"bucket": "b"}],
        "glusterfs": [{"server": "127.0.0.1", "volume": "v"}],
        "postgresql": [{"host": "127.0.0.1"}],
        "ecosystem": [{"url": "https://127.0.0.1"}],
    },
}

#: Checks, and what of each is told how long it may take.
CASES: list[tuple[type[Check[Any]], Any, str]] = [
    (ActivationServer, egress_one, "look"),
    (CertificateExpiry, certificate_watch, "survey"),
    (certificate_revocation.CertificateRevocation, certificate_revocation, "_ask"),
    (DatasourcesEcosystem, ecosystem, "ask"),
    (datasources_glusterfs.DatasourcesGlusterfs, datasources_glusterfs, "look_at_each"),
    (datasources_nfs.DatasourcesNfs, datasources_nfs, "look_at_each"),
    (DatasourcesPostgresql, postgresql, "ask"),
    (datasources_s3.DatasourcesS3, datasources_s3, "look_at_each"),
    (ExposureLan, redis, "ask"),
    (PortsPeers, client, "visit"),
    (ScalingNodes, nodes, "look"),
    (ServicesRedis, redis, "ask"),
]


class ReachedError(Exception):
    """What would have waited was reached."""


def noting(noted: list[float]) -> Callable[..., NoReturn]:
    def note(*given: Any, **named: Any) -> NoReturn:
        numbers = [one for one in (*given, *named.values()) if isinstance(one, float)]
        noted.extend(numbers or [one.timeout for one in given if isinstance(one, Target)])
        raise ReachedError

    return note


@pytest.mark.parametrize(("kind", "place", "name"), CASES, ids=[case[0].id for case in CASES])
def test_the_timeout_of_the_run_replaces_that_of_the_check(
    kind: type[Check[Any]], place: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted: list[float] = []
    monkeypatch.setattr(place, name, noting(noted))
    monkeypatch.setenv(CODE_VARIABLE, protocol.new_code())
    listener = Listener(address="127.0.0.1", user="root", process=None)
    in_use = PortTable(ports=(PortUse(port=6379, listeners=(listener,)),), listening=(6379,))
    monkeypatch.setattr(ports, "look", lambda host, wanted: in_use)
    if place is certificate_revocation:
        monkeypatch.setattr(place, "_questions", lambda seen: [None])
        monkeypatch.setattr(kind, "look", lambda self, host: Survey(observed_at=datetime.now(UTC)))
    own = kind.timeout.total_seconds()
    given: list[dict[str, Any]] = [{}, {"timeout": own / 10}, {"timeout": own * 10}]
    for timeout in given:
        try:  # noqa: SIM105 - suppress takes no groups before Python 3.12
            observed(kind(context(**SETTINGS, **timeout)))
        except* ReachedError:
            pass
    usual, shorter, longer = noted
    assert shorter == pytest.approx(usual / 10, rel=0.3)
    assert longer == pytest.approx(usual * 10, rel=0.3)
