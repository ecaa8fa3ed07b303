"""ports.peers: what each knock means, and one diagnosis for what has one reason.

Real listeners and firewalls are in tests/lab/test_peers.py; here are the words for cases that are
hard to make, on facts that are made up.
"""

import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from biostudio_doctor.checks.ports_peers import PortsPeers
from biostudio_doctor.host import Host
from biostudio_doctor.model import Finding, Status
from biostudio_doctor.observer import run_check
from biostudio_doctor.peers import CODE_VARIABLE
from biostudio_doctor.peers.facts import Knock, PeersFacts, Place, Proof, Stop, Visit
from biostudio_doctor.peers.verdicts import matrix
from biostudio_doctor.probes import Failure, Reason
from tests.conftest import context, judge

HERE, THERE = "10.0.0.7", "10.0.0.5"
REDIS, DATABASE, WEB = (6379, "redis"), (5432, "postgresql"), (80, "http")


def knock(port: tuple[int, str], reason: Reason | None = None, **changes: Any) -> Knock:
    phase = changes.pop("phase", "connect")
    failure = Failure(phase, reason) if reason else None
    return Knock(port=port[0], service=port[1], source=HERE, failure=failure, **changes)


def proven(port: tuple[int, str], *, at: Place | None = None, ports: tuple[int, ...] = ()) -> Knock:
    proof = Proof(
        role="bioproxy", client=Place(HERE, 40000), listener=at or Place(THERE, port[0]),
        ports=ports or (80, 5432, 6379),
    )  # fmt: skip
    return knock(port, seconds=0.0004, proof=proof)


def visit(*knocks: Knock, name: str = THERE, address: str = THERE) -> Visit:
    return Visit(role="bioproxy", name=name, address=address, knocks=knocks)


def findings(*visits: Visit) -> dict[str, Finding]:
    return judge(PortsPeers(context()), PeersFacts(hostname="lab", visits=visits))


def finding(*knocks: Knock) -> Finding:
    """That of the first knock."""
    return findings(visit(*knocks))[f"bioproxy {THERE}: {knocks[0].port} ({knocks[0].service})"]


OWN, ROUTER = Stop(HERE, "host unreachable"), Stop("10.0.0.1", "host unreachable")


@pytest.mark.parametrize(
    ("knocks", "status", "observed", "said"),
    [
        ([proven(REDIS)], "pass", "open 0.4 ms", "is open from end to end, 0.4 ms."),
        ([proven(REDIS, at=Place(THERE, 5432))], "fail", "something else",
         "redirected: what is sent there arrives at port 5432 of 10.0.0.5"),
        ([proven(REDIS, at=Place("10.0.0.9", 6379)), proven(WEB)], "fail", "something else",
         "arrives at port 6379 of 10.0.0.9"),
        ([proven(REDIS, at=Place("192.0.2.1", 6379)), proven(WEB, at=Place("192.0.2.1", 80))],
         "pass", "open 0.4 ms", "the address is translated to 192.0.2.1 on the way"),
        ([knock(REDIS, "timeout")], "fail", "filtered", "no answer came"),
        ([knock(REDIS, "refused")], "error", "refused", "whether a listener is there is not known"),
        ([knock(REDIS, "refused"), proven(WEB)], "fail", "rejected", "has it open"),
        ([knock(REDIS, "refused"), proven(WEB, ports=(80,))], "error", "not listening",
         "nobody listens on it"),
        ([knock(REDIS, "refused", stop=Stop("10.0.0.1", "port unreachable"))], "fail", "rejected",
         "an ICMP message (port unreachable) from 10.0.0.1"),
        ([knock(REDIS, "unreachable", stop=OWN)], "fail", "no host", "no host of our own network"),
        ([knock(REDIS, "unreachable", stop=ROUTER)], "fail", "no route", "from 10.0.0.1"),
        ([knock(REDIS, "unreachable", stop=ROUTER), proven(WEB)], "fail", "rejected", "10.0.0.1"),
        ([knock(REDIS, "unreachable")], "fail", "no route", "no route leads there"),
        ([knock(REDIS, "unreachable"), proven(WEB)], "fail", "rejected", "has it open"),
        ([knock(REDIS, "reset")], "error", "no proof", "hangs up without"),
        ([knock(REDIS, "closed", phase="request")], "error", "no proof", "hangs up without"),
        ([knock(REDIS, "closed", phase="request"), proven(WEB)], "fail", "something else",
         "hangs up, although the code is right"),
        ([knock(REDIS, "timeout", phase="request")], "fail", "something else", "says nothing"),
        ([knock(REDIS, "bad-response", phase="request", heard="an HTTP server (squid)")], "fail",
         "something else", "an HTTP server (squid)"),
        ([knock(REDIS, "bad-response", phase="request", heard="Redis"), proven(WEB, ports=(80,))],
         "error", "not listening", "could not be opened by the listener there: Redis has it"),
    ],
)  # fmt: skip
def test_what_a_knock_means(knocks: list[Knock], status: str, observed: str, said: str) -> None:
    found = finding(*knocks)
    assert (found.status, found.observed) == (status, observed)
    assert said in found.summary
    assert bool(found.remedy) == (found.status is not Status.PASS)


def test_the_network_team_is_told_source_destination_and_all_ports() -> None:
    found = findings(visit(knock(REDIS, "timeout"), knock(DATABASE, "timeout"), proven(WEB)))
    (remedy,) = {item.remedy for item in found.values() if item.status is Status.FAIL}
    assert remedy and (
        "to let TCP pass from 10.0.0.7 to 10.0.0.5, port 6379 (redis) and 5432 (postgresql)."
        in remedy.text
    )


@pytest.mark.parametrize("reason", ["timeout", "refused", "unreachable"])
def test_what_ends_all_ports_is_one_diagnosis(reason: Reason) -> None:
    found = findings(visit(knock(REDIS, reason), knock(DATABASE, reason)))
    assert [subject for subject, item in found.items() if item.remedy] == [f"bioproxy {THERE}"]
    assert len({item.cause for item in found.values()}) == 1 and len(found) == 3


def test_a_port_that_is_open_at_another_address_is_a_warning() -> None:
    both = (
        visit(knock(REDIS, "timeout"), name="db", address="2001:db8::5"),
        visit(proven(REDIS), name="db"),
    )
    found = findings(*both)["bioproxy db (2001:db8::5): 6379 (redis)"]
    assert found.status is Status.WARN and "at 10.0.0.5 the same port is open" in found.summary


def test_a_listener_of_another_role_is_told() -> None:
    """Nothing is wrong with the ports that it was not told to open."""
    asked = structs.replace(
        visit(proven(WEB, ports=(80,)), knock((1883, "mqtt-tcp"), "refused")), role="all-in-one"
    )
    found = findings(asked)[f"all-in-one {THERE}: 1883 (mqtt-tcp)"]
    assert "by the listener there, which has the role bioproxy" in found.summary
    assert found.remedy and found.remedy.commands == ("biostudio-doctor listen --role all-in-one",)


def test_a_name_that_does_not_exist() -> None:
    found = findings(
        Visit(role="bioproxy", name="db", address="", failure=Failure("resolve", "nxdomain"))
    )
    assert found["bioproxy db"].status is Status.ERROR
    assert found["bioproxy db"].summary.endswith("could not be resolved: it does not exist.")


def test_reports_of_several_machines_make_one_matrix() -> None:
    first = PeersFacts(hostname="a", visits=(visit(proven(WEB), knock(REDIS, "timeout")),))
    second = PeersFacts(hostname="b", visits=(visit(knock(DATABASE, "refused")),))
    found = matrix([first, second])
    assert found and found.columns == ("from -> to", "80", "6379", "5432")
    assert found.rows == (
        ("a 10.0.0.7 -> bioproxy 10.0.0.5", "open 0.4 ms", "filtered", "-"),
        ("b 10.0.0.7 -> bioproxy 10.0.0.5", "-", "-", "refused"),
    )
    assert matrix([PeersFacts(hostname="a")]) is None


reasons = st.sampled_from(["timeout", "refused", "unreachable", "reset", "closed", "bad-response"])
stops = st.none() | st.builds(Stop, st.sampled_from([HERE, "10.0.0.1"]), st.text(max_size=20))


@given(st.lists(st.tuples(st.booleans(), reasons, st.sampled_from(["connect", "request"]), stops),
                min_size=1, max_size=6))  # fmt: skip
def test_any_facts_are_judged(fates: list[tuple[bool, Any, str, Stop | None]]) -> None:
    knocks = [
        proven((port, "x"), ports=(1,))
        if good
        else knock((port, "x"), reason, phase=phase, stop=stop)
        for port, (good, reason, phase, stop) in enumerate(fates, 1)
    ]
    found = findings(visit(*knocks))
    assert len(found) in (len(knocks), len(knocks) + 1)
    for item in found.values():
        advised = [other for other in found.values() if other.cause == item.cause and other.remedy]
        assert item.status is Status.PASS or advised


# --- Asked or not --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("peers", "said"),
    [((), "no peer is configured"), (("bioproxy=10.0.0.5",), "no code was given")],
)
def test_it_is_skipped_without_a_peer_or_a_code(
    peers: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(CODE_VARIABLE, raising=False)
    result = run_check(PortsPeers(context(peers=peers)), Host())
    assert result.status is Status.SKIP and said in result.findings[0].summary
    assert result.tables == ()


def test_a_code_that_is_none_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CODE_VARIABLE, "not-a-code-at-all")
    result = run_check(PortsPeers(context(peers=["bioproxy=127.0.0.1"])), Host())
    assert result.status is Status.ERROR and "it is no code" in result.findings[0].summary
    assert "not-a-code" not in str(result)


def test_nothing_heavy_is_imported_where_nobody_is_asked() -> None:
    program = (
        "import sys; from biostudio_doctor.checks.ports_peers import PortsPeers;"
        "from tests.conftest import context; from biostudio_doctor.host import Host;"
        "before = set(sys.modules); PortsPeers(context()).observe(Host());"
        "print([name for name in ('anyio', 'asyncio', 'ssl', 'hmac', 'secrets', 'socket')"
        " if name in set(sys.modules) - before])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
