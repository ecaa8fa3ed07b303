"""The main process: what happens to it, injected one after the other."""

import json
import os
import signal
import socket
import sqlite3
import time
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from biostudio_doctor import registry
from tests.lab.daemon import Running, running, write
from tests.lab.faketime import FakedClock, needs_faketime
from tests.lab.network import free_port
from tests.lab.plugins import PLUGINS, install
from tests.lab.stuck import stuck_mount
from tests.lab.timing import SLACK

CALM = ("faulty.waits", "os.kernel")


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install("faulty", tmp_path_factory.mktemp("faulty") / "site")


def config(*checks: str, **daemon: object) -> str:
    """A plan of these checks only."""
    faulty = tomllib.loads((PLUGINS / "faulty" / "pyproject.toml").read_text())
    groups = faulty["project"]["entry-points"]
    theirs = [name for group, names in groups.items() if registry.CHECKS in group for name in names]
    skip = {*registry.find(registry.CHECKS), *theirs} - set(checks)
    lines = [f"{key} = {json.dumps(value)}" for key, value in daemon.items()]
    return "\n".join([f"skip = {json.dumps(sorted(skip))}", "[daemon]", *lines, ""])


def intervals(seconds: float = 1.0) -> str:
    return f'[daemon.intervals]\n"faulty.*" = {seconds}\n"os.kernel" = {seconds}\n'


@pytest.fixture
def calm(tmp_path: Path, faulty: Path) -> Iterator[Running]:
    with running(tmp_path, config(*CALM) + intervals(), site=faulty) as daemon:
        yield daemon


def test_unknown_first_then_results_with_their_times(calm: Running) -> None:
    first = next(each["report"] for each in calm.told() if each["type"] == "snapshot")
    assert {result["status"] for result in first["results"]} == {"unknown"}
    assert first["status"] == "unknown" and first["summary"]["unknown"] == 2
    calm.until(lambda: set(calm.statuses().values()) == {"pass"})
    calm.until(lambda: calm.results()["faulty.waits"]["schedule"]["runs"] >= 3)
    result = calm.results()["faulty.waits"]
    assert calm.results()["os.kernel"]["title"] not in ("", "os.kernel")
    schedule = result["schedule"]
    assert (schedule["interval_seconds"], schedule["timeout_seconds"]) == (1, 1)
    assert schedule["failures"] == 0 and len(schedule["history"]) == schedule["runs"]
    assert schedule["last_run"] == schedule["last_success"] == schedule["history"][-1]["at"]
    report = calm.report()
    assert report["machine"]["hostname"] and report["daemon"]["reload_succeeded"]
    assert report["daemon"]["lag_seconds"] < SLACK


@pytest.mark.parametrize(
    ("culprit", "said"),
    [
        ("faulty.sleeps", "did not end within 1 s"),
        ("faulty.blocks", "while it tried to read a pipe"),
        ("faulty.spins", "did not end within 1 s"),
        ("faulty.raises", "ValueError"),
        ("faulty.dies", "killed by SIGABRT"),
        ("faulty.exits", "SystemExit"),
        ("faulty.import", "cannot be imported"),
        ("faulty.surrogates", "UnicodeEncodeError"),
    ],
)
def test_a_bad_check_harms_no_other(tmp_path: Path, faulty: Path, culprit: str, said: str) -> None:
    with running(tmp_path, config(*CALM, culprit) + intervals(), site=faulty) as daemon:
        daemon.until(lambda: "unknown" not in daemon.statuses().values())
        runs = daemon.results()["faulty.waits"]["schedule"]["runs"]
        more = daemon.until(
            lambda: daemon.results()["faulty.waits"]["schedule"]["runs"] >= runs + 4
        )
        assert more < 4 * 1.0 + SLACK, "as often as ever"
        results = daemon.results()
        assert results[culprit]["status"] == "error"
        assert said in results[culprit]["findings"][0]["summary"]
        assert results["faulty.waits"]["status"] == results["os.kernel"]["status"] == "pass"
        schedule = results[culprit]["schedule"]
        assert schedule["failures"] == schedule["runs"] >= 1 and schedule["last_success"] is None
        _, log = daemon.end()
    assert log.count(f"check={culprit} status=error") == 1, "told at the transition only"


def test_a_leak_leaves_nothing(tmp_path: Path, faulty: Path) -> None:
    with running(tmp_path, config(*CALM, "faulty.leaks") + intervals(), site=faulty) as daemon:
        daemon.until(lambda: daemon.results()["faulty.leaks"]["schedule"]["runs"] >= 2)
        before = daemon.psutil.memory_info().rss
        daemon.until(lambda: daemon.results()["faulty.leaks"]["schedule"]["runs"] >= 8)
        daemon.until(lambda: daemon.results()["faulty.leaks"]["observation"])  # in time, when busy
        result = daemon.results()["faulty.leaks"]
        assert result["observation"]["bytes"] == 100 << 20, "each run begins anew"
        assert daemon.psutil.memory_info().rss - before < 1 << 20


def test_it_ends_at_once_in_the_middle_of_checks(tmp_path: Path, faulty: Path) -> None:
    checks = ("faulty.sleeps", "faulty.blocks", "faulty.spins")
    text = f"timeout = 60\n{config(*checks)}"
    for number in (signal.SIGTERM, signal.SIGINT):
        with running(tmp_path, text, site=faulty) as daemon:
            daemon.until(daemon.observers)
            family = [*daemon.psutil.children(recursive=True)]
            assert len(family) == 2, "the web process, and one for the family"
            took, log = daemon.end(number)
            assert took < 2 + SLACK and daemon.process.returncode == 0
            assert f"event=stop signal={number.name}" in log and "Traceback" not in log
            assert not any(psutil.pid_exists(child.pid) for child in family)


def test_a_web_process_that_dies_is_replaced(calm: Running) -> None:
    calm.until(lambda: set(calm.statuses().values()) == {"pass"})
    first = calm.web()
    os.kill(first, signal.SIGKILL)
    calm.until(lambda: calm.web() != first)
    calm.until(lambda: [each for each in calm.told() if each["pid"] != first and
                        each["type"] == "snapshot"])  # fmt: skip
    assert set(calm.statuses().values()) == {"pass"}, "and is told everything"
    assert not psutil.pid_exists(first)


def test_a_web_process_that_reads_nothing_delays_nothing(tmp_path: Path, faulty: Path) -> None:
    with running(tmp_path, config(*CALM) + intervals(), site=faulty) as daemon:
        daemon.until(lambda: set(daemon.statuses().values()) == {"pass"})
        memory = daemon.psutil.memory_info().rss
        os.kill(daemon.web(), signal.SIGSTOP)
        stopped = datetime.now(UTC).isoformat()
        time.sleep(6)
        resumed = datetime.now(UTC).isoformat()
        os.kill(daemon.web(), signal.SIGCONT)

        def ran() -> list[str]:
            return [run["at"] for run in daemon.results()["faulty.waits"]["schedule"]["history"]]

        daemon.until(lambda: ran()[-1] > resumed)
        assert len([at for at in ran() if stopped < at < resumed]) >= 2, "nothing was delayed"
        assert daemon.psutil.memory_info().rss - memory < 2 << 20
        told = [each["report"] for each in daemon.told() if each["type"] == "snapshot"]
        assert told[-1] == daemon.report()


def reload(daemon: Running, directory: Path, text: str) -> None:
    before = sum(each["type"] == "reloaded" for each in daemon.told())
    write(directory, text)
    daemon.process.send_signal(signal.SIGHUP)
    daemon.until(lambda: sum(each["type"] == "reloaded" for each in daemon.told()) > before)


def test_a_reload_keeps_what_stays(calm: Running, tmp_path: Path) -> None:
    calm.until(lambda: calm.results()["os.kernel"]["schedule"]["runs"] >= 2)
    runs = calm.results()["os.kernel"]["schedule"]["runs"]
    reload(calm, tmp_path, config("os.kernel", "faulty.prints") + intervals(300))
    told = calm.told()
    place = max(number for number, each in enumerate(told) if each["type"] == "reloaded")
    assert told[place]["problem"] == ""
    report = next(each["report"] for each in reversed(told[:place]) if each["type"] == "snapshot")
    results = {result["id"]: result for result in report["results"]}
    assert results.keys() == {"os.kernel", "faulty.prints"}, "told before the answer"
    assert results["os.kernel"]["status"] == "pass"
    assert results["os.kernel"]["schedule"]["runs"] >= runs
    assert results["os.kernel"]["schedule"]["interval_seconds"] == 300
    assert results["faulty.prints"]["status"] == "unknown"
    calm.until(lambda: calm.statuses()["faulty.prints"] == "pass")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nonsense", "no valid TOML"),
        ("role = 'none'\n", "role"),
        ("[daemon.intervals]\n'no.such' = 5\n", "no check matches 'no.such'"),
        ("[daemon]\nlisten = '127.0.0.1:TAKEN'\n", "Address already in use"),
    ],
)
def test_a_bad_configuration_changes_nothing(
    calm: Running, tmp_path: Path, text: str, said: str
) -> None:
    calm.until(lambda: set(calm.statuses().values()) == {"pass"})
    with socket.create_server(("127.0.0.1", 0)) as taken:
        text = text.replace("TAKEN", str(taken.getsockname()[1]))
        reload(calm, tmp_path, text)
    answer = next(each for each in calm.told() if each["type"] == "reloaded")
    assert said in answer["problem"] and "\n" not in answer["problem"]
    report = calm.report()
    assert report["daemon"]["reload_succeeded"] is False
    assert report["daemon"]["reload_problem"] == answer["problem"]
    assert set(calm.statuses()) == set(CALM) and set(calm.statuses().values()) == {"pass"}
    runs = calm.results()["os.kernel"]["schedule"]["runs"]
    calm.until(lambda: calm.results()["os.kernel"]["schedule"]["runs"] > runs)
    reload(calm, tmp_path, config(*CALM) + intervals())
    assert calm.report()["daemon"]["reload_succeeded"] is True
    assert calm.report()["daemon"]["reload_problem"] == ""


def test_the_web_process_may_ask_for_a_reload(calm: Running, tmp_path: Path) -> None:
    write(tmp_path, config("os.kernel"))
    os.kill(calm.web(), signal.SIGUSR1)
    calm.until(lambda: [each for each in calm.told() if each["type"] == "reloaded"])
    assert calm.statuses().keys() == {"os.kernel"}


def test_another_place_to_listen_at_makes_another_web_process(
    calm: Running, tmp_path: Path
) -> None:
    first = calm.web()
    port = free_port()
    reload(calm, tmp_path, config(*CALM, listen=f"127.0.0.1:{port}"))
    calm.until(lambda: calm.web() != first)
    assert not psutil.pid_exists(first)
    _, log = calm.end()
    assert log.count("event=web.listening") == 2 and f"at=127.0.0.1:{port}" in log


def test_what_was_found_by_another_phase_is_forgotten(calm: Running, tmp_path: Path) -> None:
    calm.until(lambda: set(calm.statuses().values()) == {"pass"})
    reload(calm, tmp_path, "phase = 'running'\n" + config(*CALM))
    place = [each["type"] for each in calm.told()].index("reloaded")
    told = [each for each in calm.told()[:place] if each["type"] == "snapshot"]
    assert {each["status"] for each in told[-1]["report"]["results"]} == {"unknown"}
    calm.until(lambda: set(calm.statuses().values()) == {"pass"})


def test_the_last_runs_survive(tmp_path: Path, faulty: Path) -> None:
    text = config(*CALM) + intervals()
    with running(tmp_path, text, site=faulty) as daemon:
        daemon.until(lambda: daemon.results()["os.kernel"]["schedule"]["runs"] >= 3)
    kept = sqlite3.connect(tmp_path / "state" / "history.sqlite3")
    assert kept.execute("SELECT count(*) FROM run").fetchone()[0] >= 6, "also the last, unflushed"
    kept.close()
    (tmp_path / "told").unlink()
    with running(tmp_path, text, site=faulty) as daemon:
        first = next(each["report"] for each in daemon.told() if each["type"] == "snapshot")
        for result in first["results"]:
            assert result["status"] == "unknown" and len(result["schedule"]["history"]) >= 3
            assert result["schedule"]["runs"] == 0 and result["schedule"]["last_success"]


def test_no_place_for_the_history_is_told_and_harmless(tmp_path: Path, faulty: Path) -> None:
    with running(tmp_path, config(*CALM, state="/proc/none"), site=faulty) as daemon:
        daemon.until(lambda: set(daemon.statuses().values()) == {"pass"})
        assert "in memory only" in daemon.report()["daemon"]["history_problem"]
        write(tmp_path, config(*CALM))  # a place that is good
        daemon.process.send_signal(signal.SIGHUP)
        daemon.until(lambda: not daemon.report()["daemon"]["history_problem"])
        _, log = daemon.end()
    assert log.count("event=history.memory-only") == log.count("event=history.on-disk") == 1


def test_a_damaged_history_is_moved_aside_and_told(tmp_path: Path, faulty: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "history.sqlite3").write_bytes(b"no database " * 1000)
    with running(tmp_path, config(*CALM), site=faulty) as daemon:
        daemon.until(lambda: set(daemon.statuses().values()) == {"pass"})
        _, log = daemon.end()
    aside = f"{tmp_path}/state/history.sqlite3.damaged"
    assert f"level=warning event=history.moved-aside to={aside}\n" in log
    assert log.count("moved-aside") == 1 and "memory-only" not in log


def test_systemd_is_told(tmp_path: Path, faulty: Path) -> None:
    heard: list[str] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(30)
        deadline = time.monotonic() + 60

        def hear(message: str) -> str:
            """Listen until that is told, or heard before."""
            while not any(one.startswith(message) for one in heard):
                heard.append(listener.recv(4096).decode())
                assert time.monotonic() < deadline, heard
            return next(one for one in heard if one.startswith(message))

        env = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "5000000"}
        with running(tmp_path, config(*CALM) + intervals(), site=faulty, env=env) as daemon:
            hear("READY=1")
            hear("STATUS=2 checks: 2 pass")
            hear("WATCHDOG=1")
            heard.clear()
            daemon.process.send_signal(signal.SIGHUP)
            told = hear("RELOADING=1")
            assert told.partition("MONOTONIC_USEC=")[2].isdecimal()
            heard.clear()
            hear("READY=1")
            daemon.process.send_signal(signal.SIGTERM)
            hear("STOPPING=1")


def test_a_stopped_daemon_catches_up_without_a_storm(calm: Running) -> None:
    calm.until(lambda: set(calm.statuses().values()) == {"pass"})
    began, before = time.monotonic(), calm.results()["faulty.waits"]["schedule"]["runs"]
    calm.psutil.suspend()
    time.sleep(4)
    calm.psutil.resume()
    time.sleep(1)
    runs = calm.results()["faulty.waits"]["schedule"]["runs"] - before
    assert runs <= time.monotonic() - began - 4 + 2


@needs_faketime
@pytest.mark.parametrize("jump", [86400, -86400])
def test_a_clock_that_is_set_changes_no_time_between_runs(
    tmp_path: Path, faulty: Path, jump: int
) -> None:
    clock = FakedClock(tmp_path, FAKETIME_NO_CACHE="1")
    with running(tmp_path, config(*CALM) + intervals(), site=faulty, env=clock.env) as daemon:
        daemon.until(lambda: set(daemon.statuses().values()) == {"pass"})
        began, before = time.monotonic(), daemon.results()["faulty.waits"]["schedule"]
        clock.move(jump)
        time.sleep(3)
        daemon.until(
            lambda: daemon.results()["faulty.waits"]["schedule"]["runs"] >= before["runs"] + 3
        )
        after = daemon.results()["faulty.waits"]["schedule"]
        assert after["runs"] - before["runs"] <= time.monotonic() - began + 2
        assert after["last_run"][:10] != before["last_run"][:10], "the clock was moved"


@pytest.mark.skipif(
    os.geteuid() != 0 or not os.path.exists("/dev/fuse"), reason="needs root and /dev/fuse to mount"
)
def test_what_cannot_be_killed_is_not_begun_again(tmp_path: Path, faulty: Path) -> None:
    mount = tmp_path / "mount"
    mount.mkdir()
    text = config(*CALM, "faulty.stuck") + intervals()
    env = {"STUCK_MOUNT": str(mount)}
    with stuck_mount(mount), running(tmp_path, text, site=faulty, env=env) as daemon:
        daemon.until(lambda: daemon.statuses()["faulty.stuck"] == "error")
        runs = daemon.results()["faulty.waits"]["schedule"]["runs"]
        daemon.until(lambda: daemon.results()["faulty.waits"]["schedule"]["runs"] > runs + 6)
        assert daemon.results()["faulty.stuck"]["schedule"]["runs"] == 1
        assert len(daemon.observers()) <= 2, "the stuck one, and perhaps one of now"
        took, _ = daemon.end()
        assert took < 2 + SLACK
