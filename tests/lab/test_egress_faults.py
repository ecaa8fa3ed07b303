"""Faults of a network, by real components, and what egress.hosts calls each of them."""

import json
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab import confusion, network
from tests.lab.faults import FAULTS, HEALTHY, Fault, prepare
from tests.lab.timing import SLACK
from tests.lab.world import ODD4, World

pytestmark = pytest.mark.skipif(bool(network.why_not()), reason=network.why_not() or "")
PAGE = Path(__file__).parents[2] / "docs/egress.md"


def needs(fault: Fault) -> None:
    for program in filter(None, ("dnsmasq", "nginx", "nft", fault.needs)):
        if not shutil.which(program):
            pytest.skip(f"needs {program}")


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_the_culprit_is_named_and_nobody_else(fault: Fault, tmp_path: Path) -> None:
    needs(fault)
    result = confusion.report(fault, tmp_path)
    assert confusion.causes(result) == {fault.cause}
    of_cause = [one for one in result["findings"] if one.get("cause") == fault.cause]
    (diagnosis,) = [one for one in of_cause if "remedy" in one]
    assert diagnosis["status"] == min((one["status"] for one in of_cause), key=_SEVERITY.index)
    assert diagnosis["summary"].endswith(".") and diagnosis["remedy"]["text"]
    words = f"{diagnosis['summary']}\n{diagnosis['remedy']['text']}"
    assert not re.search(r"\S  | [,;]|\( |\{|None", words)
    if "To hand on:" in diagnosis["remedy"]["text"]:
        affected = {one["subject"] for one in of_cause if one is not diagnosis}
        can_be_handed_on(diagnosis["remedy"]["text"], affected, result)


def can_be_handed_on(words: str, affected: set[str], result: dict[str, Any]) -> None:
    """When, from where, to where, on which port: what a network team asks first."""
    request = words.partition("To hand on:")[2]
    observed = result["observation"]["observed_at"]
    assert f"{observed[:10]} {observed[11:19]} UTC" in request
    sources = {
        attempt["source"] for path in result["observation"]["paths"] for attempt in path["attempts"]
    } | set(result["observation"]["sources"])
    assert any(source in request for source in sources if source)
    assert all(host in words for host in affected)
    assert re.search(r"(port|ports) \d+", request)
    for until in re.findall(r"(?:ended on|until) (\d{4}-\d\d-\d\d)", words):
        assert until <= observed[:10]


_SEVERITY = ("fail", "error", "warn")


@pytest.mark.parametrize("fault", HEALTHY, ids=lambda fault: fault.name)
def test_health_is_left_alone(fault: Fault, tmp_path: Path) -> None:
    needs(fault)
    tmp_path.chmod(0o755)
    for place in (tmp_path / "once", tmp_path / "again"):  # chance loses packets, and is no fault
        place.mkdir()
        result = confusion.report(fault, place)
        found = [one for one in result["findings"] if one["status"] != "pass"]
        if not found:
            break
    assert not found, "and found again"
    measured = result["observation"]["download"]
    assert measured["length"] > 100_000 and measured["failure"] is None


def test_the_page_shows_every_fault() -> None:
    page = PAGE.read_text()
    for fault in (*HEALTHY, *FAULTS):
        wanted = fault.cause or confusion.NONE
        assert f"| {fault.name} | {wanted} | {wanted} |" in page


# --- Many hosts -----------------------------------------------------------------------------------

DROPPED = 20
MANY = 60

#: Only looks, and tells how much memory that took at most (KiB).
_LOOK = """
import asyncio, json, re, sys
from biostudio_doctor import config, requirements
from biostudio_doctor.check import Context
from biostudio_doctor.checks.egress_hosts import EgressHosts, EgressSettings
from biostudio_doctor.host import Host
from biostudio_doctor.model import Scope

given = config.convert(json.loads(sys.argv[1]), EgressSettings, "test")
host = Host("/")
scope = Scope(role="bioproxy", phase="preinstall", platform="docker", profile="published")
context = Context(scope=scope, machine=host.machine, requirements=requirements.load())
asyncio.run(EgressHosts(context, given).observe(host))
print(re.search(r"VmHWM:\\s+(\\d+) kB", host.read("/proc/self/status"))[1])
"""


@pytest.fixture
def crowd(tmp_path: Path) -> Iterator[tuple[World, list[str]]]:
    """A world with hosts besides the published ones; the first of them are silent."""
    needs(FAULTS[0])
    tmp_path.chmod(0o755)
    lab = network.Network(tmp_path)
    try:
        world = prepare(lab)
        more = [f"host{number}.lab.com" for number in range(MANY - len(world.names))]
        world.names = sorted([*world.names, *more])
        world.resolver(answers={name: [ODD4] for name in more[:DROPPED]})
        world.web()
        lab.firewall(f"ip daddr {ODD4} drop")
        yield world, more
    finally:
        lab.close()


def test_sixty_hosts_of_which_twenty_are_silent(crowd: tuple[World, list[str]]) -> None:
    world, more = crowd
    config = world.directory / "doctor.toml"
    added = json.dumps([f"https://{name}/" for name in more])
    config.write_text(f'[checks."egress.hosts"]\nadd = {added}\n')
    started = time.monotonic()
    done = world.doctor("check", "egress.hosts", "--output", "json", "--config", str(config))
    seconds = time.monotonic() - started
    (result,) = json.loads(done.stdout)["results"]
    statuses = {one["subject"]: one["status"] for one in result["findings"]}
    assert len(statuses) == MANY + 1  # the diagnosis
    assert {name for name in more if statuses[name] == "fail"} == set(more[:DROPPED])
    assert confusion.causes(result) == {"tcp.dropped"}
    assert seconds < 4 + 6 + SLACK  # a probe waits 4 s for a connection; one after the other: 80 s


def test_a_host_costs_little_memory(crowd: tuple[World, list[str]]) -> None:
    world, more = crowd
    peaks = []
    for count in (0, len(more)):
        given = json.dumps({"add": [f"https://{name}/" for name in more[:count]]})
        peaks.append(int(world.python(_LOOK, given)))
    assert (peaks[1] - peaks[0]) / len(more) < 90, f"{peaks} KiB"
