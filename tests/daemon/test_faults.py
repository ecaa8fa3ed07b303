"""The daemon as it is installed, scraped all the while, as one fault after the other befalls it.

No scrape may fail. How long one takes says on a shared machine more of that machine, so the bound
is a loose one, unless DOCTOR_SLOWEST_SCRAPE gives the one that the project promises. The figures:

    DOCTOR_SLOWEST_SCRAPE=0.1 .venv/bin/python -m pytest -q -s tests/daemon/test_faults.py
"""

import contextlib
import os
import signal
import socket
import statistics
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest

from tests.lab.faketime import FakedClock, needs_faketime
from tests.lab.plugins import install
from tests.lab.scraped_daemon import (
    DAY,
    NAME,
    PATIENCE,
    SITECUSTOMIZE,
    SLOWEST,
    Daemon,
    Lab,
    NameServer,
    started,
)
from tests.lab.scraping import EVERY, crowd, descriptors
from tests.lab.stuck import stuck_mount
from tests.lab.timing import SLACK

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not os.path.exists("/dev/fuse"),
    reason="needs root for mounts of its own, and /dev/fuse",
)


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    site = install("faulty", tmp_path_factory.mktemp("faulty") / "site")
    (site / "sitecustomize.py").write_text(SITECUSTOMIZE)
    return site


@pytest.fixture(scope="module")
def figures() -> Iterator[list[str]]:
    lines: list[str] = []
    yield lines
    print("\n" + "\n".join(lines))


@pytest.fixture(scope="module")
def names() -> Iterator[NameServer]:
    server = NameServer()
    yield server
    server.end()


@pytest.fixture(scope="module")
def stuck(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, ExitStack]]:
    """A mount that never answers; closing the stack ends it."""
    with ExitStack() as stack:
        yield stack.enter_context(stuck_mount(tmp_path_factory.mktemp("mount"))), stack


@pytest.fixture(scope="module")
def lab(
    tmp_path_factory: pytest.TempPathFactory,
    faulty: Path,
    figures: list[str],
    names: NameServer,
    stuck: tuple[Path, ExitStack],
) -> Iterator[Lab]:
    directory = tmp_path_factory.mktemp("daemon")
    resolv = directory / "resolv.conf"
    resolv.write_text(f"nameserver {names.address}\noptions timeout:4 attempts:1\n")
    # All in a mount namespace of its own, which goes when it ends.
    prelude = (
        f"mount --bind {resolv} /etc/resolv.conf\n"
        f"mount -t tmpfs -o size=512k,mode=755 none {directory}/state"
    )
    env = {"STUCK_MOUNT": str(stuck[0])}
    with started(directory, faulty, figures, prelude, env) as lab:
        lab.daemon.until(lambda: lab.daemon.status("faulty.obeys", "faulty") == "pass")
        yield lab


# --- What checks do -------------------------------------------------------------------------------


def test_nothing_yet(lab: Lab) -> None:
    with lab.fault("nothing", 2):
        pass


@pytest.mark.parametrize("fault", ["sleeps", "spins", "raises"])
def test_a_check_hangs_or_raises(lab: Lab, fault: str) -> None:
    with lab.fault(f"a check {fault}") as daemon:
        daemon.obeys(f"faulty.{fault}", "error")
        assert daemon.status("faulty.waits", "faulty") == "pass"
        daemon.obeys("", "pass")


def test_a_check_leaks(lab: Lab) -> None:
    with lab.fault("a check leaks 100 MB") as daemon:
        before = daemon.resident()
        daemon.obeys("faulty.leaks", "pass")
        assert daemon.resident() - before < 50 << 20
        daemon.obeys("", "pass")


def test_a_stale_mount(lab: Lab, stuck: tuple[Path, ExitStack]) -> None:
    with lab.fault("a stale mount", 3) as daemon:
        daemon.obeys("faulty.stuck", "error")
        runs = daemon.value("check_runs_total", check="faulty.waits") or 0
        daemon.until(lambda: daemon.value("check_runs_total", check="faulty.waits") != runs)
        daemon.fault.write_text("")
        stuck[1].close()
        daemon.obeys("", "pass")


# --- What the host does ---------------------------------------------------------------------------


def test_no_name_is_found_any_more(lab: Lab, names: NameServer) -> None:
    """Neither a check's nor one of many that /probe is asked for."""
    with lab.fault("DNS gone") as daemon:
        query = urllib.parse.urlencode({"module": "tcp_connect", "target": f"{NAME}:443"})
        _, said = daemon.get(f"/probe?{query}")
        assert "probe_success 0" in said and names.asked
        names.speaks, asked = False, names.asked
        probes = [
            threading.Thread(target=daemon.get, args=(f"/probe?{query}",), daemon=True)
            for _ in range(50)
        ]
        for probe in probes:
            probe.start()
        daemon.until(lambda: names.asked > asked)
        time.sleep(1)
        assert probes[0].is_alive(), "the resolver waits longer than that"
        names.speaks = True
        for probe in probes:
            probe.join(PATIENCE)
            assert not probe.is_alive()


def test_the_disk_is_full(lab: Lab) -> None:
    with lab.fault("disk full under the store") as daemon:
        assert daemon.value("doctor_history_on_disk") == 1
        state = Path(f"/proc/{daemon.process.pid}/root{daemon.state}")
        with (state / "ballast").open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
        daemon.until(lambda: daemon.value("doctor_history_on_disk") == 0)
        (state / "ballast").unlink()


def waits(daemon: Daemon) -> tuple[float, float]:
    """How often faulty.waits, whose interval is 1 s, has run, and when last (Unix time)."""
    found, labels = daemon.metrics(), (("check", "faulty.waits"),)
    return (
        found["biostudio_check_runs_total", labels],
        found["biostudio_check_last_run_timestamp_seconds", labels],
    )


@needs_faketime
def test_the_clock_is_moved_by_a_day(tmp_path: Path, faulty: Path, figures: list[str]) -> None:
    """In a daemon of its own, since every look at such a clock costs it something."""
    clock = FakedClock(tmp_path, FAKETIME_CACHE_DURATION="1")
    with started(tmp_path, faulty, figures, "", clock.env) as lab:
        for jump in (DAY, -DAY):
            with lab.fault(f"clock moved by {jump:+} s") as daemon:
                before, start = waits(daemon), time.monotonic()
                clock.move(jump)
                daemon.until(lambda at=before[1]: abs(waits(daemon)[1] - at) > DAY / 2)
                moved = waits(daemon)
                time.sleep(1.5)
                daemon.until(lambda runs=moved[0]: waits(daemon)[0] > runs)
                runs = waits(daemon)[0] - before[0]
                assert runs <= time.monotonic() - start + 2, "no storm"


# --- What the configuration does ------------------------------------------------------------------


def test_the_configuration_is_broken_and_mended(lab: Lab) -> None:
    with lab.fault("configuration broken, reloaded") as daemon:
        good = daemon.directory / "config.toml"
        text = good.read_text()
        good.write_text("nonsense")
        series = {key for key in daemon.metrics() if key[0] == "biostudio_check_success"}
        daemon.process.send_signal(signal.SIGHUP)
        reloaded = "doctor_config_last_reload_successful"
        daemon.until(lambda: daemon.value(reloaded) == 0)
        status, said = daemon.get("/-/reload", "POST")
        assert status == 400 and "no valid TOML" in said
        assert series <= daemon.metrics().keys()
        good.write_text(text)
        assert daemon.get("/-/reload", "POST")[0] == 200
        assert daemon.value(reloaded) == 1


def test_sighup(lab: Lab) -> None:
    with lab.fault("20 SIGHUP", 3) as daemon:
        daemon.fault.write_text("faulty.sleeps")
        for _ in range(20):
            daemon.process.send_signal(signal.SIGHUP)
            time.sleep(0.1)
        daemon.obeys("", "pass")


def test_a_target_that_is_gone_leaves_at_the_next_scrape(lab: Lab) -> None:
    with lab.fault("a target removed") as daemon:
        gone = daemon.certificates[-1]

        def told() -> list[str]:
            return [name for name, labels in daemon.metrics() if gone in dict(labels).values()]

        daemon.until(told)
        daemon.certificates.remove(gone)
        daemon.configure()
        assert daemon.get("/-/reload", "POST")[0] == 200
        assert told() == []
        kept = daemon.certificates[-1]
        daemon.until(lambda: kept in daemon.get("/metrics")[1])


@pytest.mark.parametrize(
    ("part", "told"),
    [
        ("collector", 'biostudio_collector_errors{collector="memory"} 1.0'),
        ("exporter", "biostudio_doctor_exporter_success 0.0"),
    ],
)
def test_what_raises_loses_its_own_series_only(lab: Lab, part: str, told: str) -> None:
    with lab.fault(f"one {part} raises") as daemon:
        before = {name for name, _ in daemon.metrics()}
        daemon.fault.write_text(part)  # which faulty.obeys cannot obey: so there is a new snapshot
        daemon.until(lambda: told in daemon.get("/metrics")[1])
        after = {name for name, _ in daemon.metrics()}
        assert "biostudio_memory_total_bytes" in before - after
        assert ("biostudio_check_success" in after) == (part == "collector")
        assert "process_open_fds" in after and daemon.get("/api/v1/report")[0] == 200
        daemon.obeys("", "pass")
        assert before <= {name for name, _ in daemon.metrics()}


# --- What those do who ask ------------------------------------------------------------------------


@contextmanager
def connected(port: int, count: int) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        yield [
            stack.enter_context(socket.create_connection(("127.0.0.1", port), PATIENCE))
            for _ in range(count)
        ]


def test_500_silent_connections(lab: Lab, files: None) -> None:
    with lab.fault("500 silent connections") as daemon, connected(daemon.port, 500):
        time.sleep(2)


def test_slowloris(lab: Lab, files: None) -> None:
    """Heads of requests without an end, a line at a time; test_web_pressure.py sees their end."""
    with lab.fault("slowloris") as daemon, connected(daemon.port, 500) as sockets:
        for one in sockets:
            one.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n")
        for _ in range(10):
            time.sleep(0.3)
            for one in sockets:
                one.sendall(b"X-A: b\r\n")


def test_2000_scrapes_at_once(lab: Lab, files: None) -> None:
    """Three times."""
    with lab.fault("2,000 scrapes at once") as daemon:
        answers = [each for _ in range(3) for each in crowd(daemon.port, 2000)]
    assert {answer[:12] for answer, _ in answers} == {b"HTTP/1.1 200"}
    seconds = [each for _, each in answers]
    lab.figures.append(
        f"  these 2,000 themselves: median {statistics.median(seconds) * 1000:.0f} ms, "
        f"slowest {max(seconds) * 1000:.0f} ms"
    )
    assert max(seconds) < SLOWEST


@pytest.fixture
def files() -> Iterator[None]:
    """Enough descriptors."""
    with descriptors():
        yield


# --- The end --------------------------------------------------------------------------------------


def test_sigterm_in_the_middle_of_probes(lab: Lab) -> None:
    """The last one: what is under way is answered, and nothing is left."""
    daemon = lab.daemon
    with socket.create_server(("127.0.0.1", 0)) as server:
        target = f"http://127.0.0.1:{server.getsockname()[1]}"
        daemon.allow.append(target)
        daemon.configure()
        assert daemon.get("/-/reload", "POST")[0] == 200
        began = time.monotonic()
        daemon.obeys("faulty.sleeps", "error")
        daemon.until(lambda: len(psutil.Process(daemon.process.pid).children()) > 1)
        query = urllib.parse.urlencode({"module": "http_2xx", "target": target})
        answers: list[tuple[int, str]] = []
        asking = threading.Thread(target=lambda: answers.append(daemon.get(f"/probe?{query}")))
        asking.start()
        peer, _ = server.accept()
        with peer:
            peer.recv(4096)
            family = psutil.Process(daemon.process.pid).children(recursive=True)
            terminated = time.monotonic()
            daemon.process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes")
            asking.join(PATIENCE)
    daemon.process.wait(PATIENCE)
    took = time.monotonic() - terminated
    lab.figures.append(f"SIGTERM in the middle of probes: ended after {took:.2f} s")
    assert took < 2 + SLACK and daemon.process.returncode == 0
    assert answers and answers[0][0] == 200 and "probe_success 1" in answers[0][1]
    assert not [child for child in family if child.is_running()]
    log = daemon.log.read_text()
    assert "Traceback" not in log and "event=stop" in log
    lab.judge("before SIGTERM", began, terminated - EVERY)
    refused = {scrape.problem for scrape in lab.scrapes.since(terminated)}
    # The kept connection is closed between two scrapes; nobody is cut off within an answer.
    assert refused <= {"", "ConnectionRefusedError", "RemoteDisconnected", "ConnectionResetError"}
