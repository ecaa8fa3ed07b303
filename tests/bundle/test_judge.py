"""A bundle's observations judged elsewhere and later: the same findings, or an honest error."""

import builtins
import datetime as real
import io
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any
from unittest import mock

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from biostudio_doctor import config as configuration
from biostudio_doctor import registry, requirements
from biostudio_doctor.bundle import judging
from biostudio_doctor.bundle.errors import BundleError
from biostudio_doctor.config import Config
from biostudio_doctor.model import Report, Result, Status
from tests.conftest import report as sample
from tests.lab import bundles
from tests.lab.pki import Pki
from tests.lab.timing import within
from tests.test_cli import doctor


@pytest.fixture(scope="module")
def config_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration by which a certificate is watched that soon expires."""
    place = tmp_path_factory.mktemp("config")
    (place / "tls.crt").write_bytes(Pki().chain(days=(-60, 12)))
    (place / "config.toml").write_text(f'certificates = ["{place}/tls.crt"]\n')
    return place / "config.toml"


@pytest.fixture(scope="module")
def config(config_file: Path) -> Config:
    return configuration.load(config_file)


@pytest.fixture(scope="module", params=["preinstall", "running"])
def observed(request: pytest.FixtureRequest, config_file: Path) -> Report:
    """What this machine really says, without the network."""
    asked = ("--offline", "--phase", request.param, "--config", str(config_file))
    return msgspec.json.decode(doctor("check", *asked, "--output", "json").stdout, type=Report)


def by_id(report: Report) -> dict[str, Result]:
    return {result.id: result for result in report.results}


def lone(result: Result) -> Report:
    return judging.settled(structs.replace(sample(), results=(result,)))


def test_judging_again_finds_the_same(observed: Report, config: Config) -> None:
    again = judging.judge(observed, config)
    assert list(judging.changes(observed, again)) == []
    assert again.summary == observed.summary and again.status is observed.status
    for old, new in zip(observed.results, again.results, strict=True):
        told = [(one.subject, one.summary, one.remedy, one.cause) for one in old.findings]
        assert [(one.subject, one.summary, one.remedy, one.cause) for one in new.findings] == told
        assert new.tables == old.tables
    assert sum(result.observation is not None for result in observed.results) > 20


def test_no_clock_and_no_machine_is_asked(
    observed: Report, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the result is the same next year, and on another machine."""
    # In this process, since what makes another one asks the machine.
    monkeypatch.setattr(judging, "confined", lambda work, *_: work())
    expected = judging.judge(observed, config)  # and everything is imported now
    rules = requirements.load(observed.scope.profile)

    def asked(*_: Any, **__: Any) -> Any:
        raise AssertionError("a judgement asked the clock or the machine")

    class Stopped(real.datetime):
        now = utcnow = today = classmethod(asked)

    with monkeypatch.context() as patched:
        patched.setattr(requirements, "load", lambda profile: rules)
        for name, module in list(sys.modules.items()):
            if name.startswith("biostudio_doctor") and hasattr(module, "datetime"):
                patched.setattr(module, "datetime", Stopped)
        for module, names in (
            (time, ("time", "time_ns", "gmtime", "localtime")),
            (os, ("open", "stat", "lstat", "listdir", "scandir", "uname", "getuid", "geteuid")),
            (socket, ("socket", "gethostname", "getaddrinfo")),
            (subprocess, ("Popen",)),
            (io, ("open",)),
            (builtins, ("open",)),
        ):
            for name in names:
                patched.setattr(module, name, asked)
        again = judging.judge(observed, config)
    assert again == expected
    (expiry,) = by_id(again)["certificate.expiry"].findings
    assert expiry.status is Status.WARN and " 11 days" in expiry.summary


@pytest.mark.parametrize("name", registry.find(registry.CHECKS))
def test_the_facts_of_every_check_can_be_read_again(name: str) -> None:
    check = registry.load_check(registry.find(registry.CHECKS)[name])
    with pytest.raises(msgspec.ValidationError):
        judging._facts(check, 3.5)


def test_newer_rules_judge_otherwise(observed: Report, config: Config) -> None:
    results = []
    for result in observed.results:
        if result.id == "cpu.count":
            findings = tuple(structs.replace(one, status=Status.FAIL) for one in result.findings)
            result = structs.replace(result, findings=findings)  # noqa: PLW2901
        results.append(result)
    old = judging.settled(structs.replace(observed, results=tuple(results)))
    new = judging.judge(old, config)
    changed = list(judging.changes(old, new))
    assert [(one.check, one.was and one.was.status) for one in changed] == [("cpu.count", "fail")]
    assert changed[0].now and changed[0].now.status is not Status.FAIL
    assert new.summary[Status.FAIL] == old.summary[Status.FAIL] - 1


def test_the_bundle_s_own_configuration_and_settings_count(observed: Report) -> None:
    limits = by_id(observed)["os.time"]
    if limits.observation is None:
        pytest.skip("os.time was not asked")
    strict = Config(checks={"os.time": {"nosuch": 1}})
    new = by_id(judging.judge(observed, strict))["os.time"]
    assert new.status is Status.ERROR and "nosuch" in new.findings[0].summary


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ({"id": "acme.gone", "observation": {"x": 1}}, "has no check of this id"),
        ({"id": "cpu.count", "observation": {"x": 1}}, "are not those that this version"),
        ({"id": "cpu.count", "observation": "x\x1b[31m"}, "are not those that this version"),
        ({"id": "cpu.count", "observation": []}, "are not those that this version"),
    ],
)
def test_what_cannot_be_judged_is_an_error_and_never_fine(
    result: dict[str, Any], said: str
) -> None:
    one = structs.replace(sample(Status.PASS).results[0], **result)
    judged = judging.judge(lone(one), Config()).results[0]
    assert judged.status is Status.ERROR
    (finding,) = judged.findings
    assert said in finding.summary and finding.remedy
    assert finding.summary.isprintable()


def test_what_was_not_observed_stays_as_it_was() -> None:
    skipped = sample(Status.SKIP)
    assert judging.judge(skipped, Config()).results == skipped.results


def test_a_profile_that_is_unknown_here() -> None:
    odd = structs.replace(sample(), scope=structs.replace(sample().scope, profile="mine\x1b"))
    with pytest.raises(BundleError, match=r"'mine.' is unknown"):
        judging.judge(odd, Config())


def forever(*_: object) -> None:
    while True:
        pass


def hungry(*_: object) -> None:
    kept = []
    while True:
        kept.append(bytes(16 << 20))


def deep(*_: object) -> None:
    deep()


def killed(*_: object) -> None:
    os.kill(os.getpid(), 9)


@pytest.mark.parametrize(
    ("judge", "said"),
    [
        (forever, "takes too long, or too much memory"),
        (hungry, "MemoryError"),
        (deep, "maximum recursion depth"),
        (killed, "takes too long, or too much memory"),
    ],
)
def test_facts_that_a_judgement_does_not_survive(
    judge: Callable[..., None], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is made in a process that is expendable, so that the others are made all the same."""
    monkeypatch.setattr(judging, "_SECONDS", 0.5 if judge is forever else 20)
    check = registry.load_check(registry.find(registry.CHECKS)["cpu.count"])
    monkeypatch.setattr(check, "judge", judge)
    monkeypatch.setattr(judging, "_facts", lambda kind, observation: observation)
    one = structs.replace(sample().results[0], id="cpu.count", observation={"online": 2})
    (finding,) = judging.judge(lone(one), Config()).results[0].findings
    assert finding.status is Status.ERROR and said in finding.summary and finding.remedy


def test_all_judgements_together_have_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    check = registry.load_check(registry.find(registry.CHECKS)["cpu.count"])
    monkeypatch.setattr(check, "judge", forever)
    monkeypatch.setattr(judging, "_facts", lambda kind, observation: observation)
    monkeypatch.setattr(judging, "_ALL_SECONDS", 0.5)
    one = structs.replace(sample().results[0], id="cpu.count", observation={"online": 2})
    many = structs.replace(sample(), results=(one,) * 30)
    with within(10):  # each may take 5 s
        judged = judging.judge(many, Config())
    assert {result.status for result in judged.results} == {Status.ERROR}


@settings(max_examples=300)
@given(st.data())
def test_facts_that_no_machine_has_never_break_the_report(data: st.DataObject) -> None:
    observed = _observed()
    result = data.draw(st.sampled_from([one for one in observed.results if one.observation]))
    facts = {"facts": deepcopy(result.observation)}
    for _ in range(data.draw(st.integers(1, 3))):
        bundles.mutate(facts, data)
    one = structs.replace(result, observation=facts["facts"])
    with mock.patch.object(judging, "confined", lambda work, *_: work()):  # a fork takes longer
        judged = judging.judge(structs.replace(observed, results=(one,)), Config())
    assert judged.results[0].findings
    msgspec.json.encode(judged)


_CACHE: list[Report] = []


def _observed() -> Report:
    if not _CACHE:
        done = doctor("check", "--offline", "--output", "json")
        _CACHE.append(msgspec.json.decode(done.stdout, type=Report))
    return _CACHE[0]
