"""Many endpoints at once, and the time that they may take together."""

import anyio
import pytest

from biostudio_doctor.certificates import live
from biostudio_doctor.certificates.watched import Source
from tests.lab.peers import Peer, silent
from tests.lab.timing import within


def test_the_time_is_kept_however_many_wait_for_their_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(live, "AT_ONCE", 2)
    monkeypatch.setattr(live, "TURN", 60.0)
    with Peer(silent) as peer:
        names = [f"127.0.{number}.1:{peer.port}" for number in range(20)]
        names[:4] = [f"smtp://127.0.0.1:{peer.port}/{number}" for number in range(4)]

        async def ask() -> dict[str, live.Answer]:
            return await live.ask([Source(at=name) for name in names], {}, seconds=1)

        with within(1):
            answers = anyio.run(ask)
    assert list(answers) == names
    failures = [answer.tls.failure for answer in answers.values()]
    assert all(failure and failure.reason == "timeout" for failure in failures)
    assert {failure.detail for failure in failures if failure} >= {"the time was up"}
