"""`biostudio-doctor daemon` as it is called, with its real web process."""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.lab.network import free_port
from tests.lab.plugins import install
from tests.lab.timing import SLACK, wait_until, within

DOCTOR = [sys.executable, "-m", "biostudio_doctor", "daemon"]


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install("faulty", tmp_path_factory.mktemp("faulty") / "site")


class Called:
    """A daemon that serves."""

    def __init__(self, directory: Path, site: Path) -> None:
        self.port = free_port()
        self.config = directory / "config.toml"
        self.state = directory
        self.configure("")
        self.process = subprocess.Popen(
            [*DOCTOR, "--config", self.config.name, "--phase", "running",
             "--listen", f"127.0.0.1:{self.port}"],
            env={**os.environ, "PYTHONPATH": str(site)}, cwd=directory,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def configure(self, more: str, daemon: str = "") -> None:
        skip = ["egress.*", "activation.*", "cpu.count"]
        self.config.write_text(
            f"skip = {json.dumps(skip)}\n{more}[daemon]\nstate = '{self.state}'\n"
            f"{daemon}[daemon.intervals]\n'faulty.*' = 1\n"
        )

    def get(self, path: str, method: str = "GET") -> tuple[int, str]:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", method=method)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def until(self, path: str, status: int, seconds: float = 30) -> None:
        start = time.monotonic()
        while self.get(path)[0] != status:
            assert self.process.poll() is None and time.monotonic() - start < seconds, path
            time.sleep(0.1)


@pytest.fixture
def called(tmp_path: Path, faulty: Path) -> Iterator[Called]:
    daemon = Called(tmp_path, faulty)
    try:
        daemon.until("/healthz", 200)
        yield daemon
    finally:
        daemon.process.kill()
        daemon.process.communicate()


def test_it_serves_while_checks_hang_and_ends_in_the_middle_of_them(called: Called) -> None:
    called.until("/readyz", 200)
    slowest = 0.0
    for _ in range(30):
        start = time.monotonic()
        assert called.get("/metrics")[0] == 200
        slowest = max(slowest, time.monotonic() - start)
        time.sleep(0.05)
    assert slowest < SLACK, "the benchmark tells more"
    report = json.loads(called.get("/api/v1/report")[1])
    statuses = {result["id"]: result["status"] for result in report["results"]}
    assert statuses["faulty.sleeps"] == statuses["faulty.spins"] == "error"
    assert statuses["faulty.waits"] == "pass" and statuses["services.redis"] != "unknown"
    family = psutil.Process(called.process.pid).children(recursive=True)
    with within(2):
        called.process.send_signal(signal.SIGTERM)
        _, log = called.process.communicate(timeout=60)
    assert called.process.returncode == 0
    assert "Traceback" not in log and "event=stop" in log
    assert not any(psutil.pid_exists(child.pid) for child in family)


def test_reload_by_http_shows_at_the_next_scrape(called: Called) -> None:
    called.until("/readyz", 200)
    assert 'check="faulty.waits"' in called.get("/metrics")[1]
    called.configure("")
    called.config.write_text(called.config.read_text().replace('"cpu.count"', '"faulty"'))
    status, _ = called.get("/-/reload", "POST")
    assert status == 200
    assert 'check="faulty.waits"' not in called.get("/metrics")[1]
    assert 'check="os.kernel"' in called.get("/metrics")[1]
    called.config.write_text("nonsense")
    status, said = called.get("/-/reload", "POST")
    assert status >= 400 and "no valid TOML" in said
    assert 'check="os.kernel"' in called.get("/metrics")[1]


@pytest.mark.parametrize("by", ["SIGHUP", "POST"])
def test_a_bad_web_config_keeps_what_was_and_says_so(called: Called, by: str) -> None:
    """Nothing of such a configuration is taken: neither what is good of it nor half a login."""

    def ends(name: str, value: str) -> bool:
        return (
            f"\nbiostudio_doctor_config_last_reload_{name} {value}\n" in called.get("/metrics")[1]
        )

    called.until("/readyz", 200)
    web_config = called.state / "web.yml"
    for content in ("basic_auth_users: {a: no-hash}\n", "", "tls_server_config: {}\n"):
        web_config.write_text(content)
        called.configure('role = "bioproxy"\n', f"web_config = '{web_config}'\n")
        if by == "POST":
            status, said = called.get("/-/reload", "POST")
            assert status == 400 and f"{web_config}: " in said and "stays as it was" in said
        else:
            called.process.send_signal(signal.SIGHUP)
        wait_until(lambda: ends("successful", "0.0"), "the reload has failed")
        report = json.loads(called.get("/api/v1/report")[1])
        assert str(web_config) in report["daemon"]["reload_problem"]
        assert report["scope"]["role"] == "all-in-one"
        web_config.write_text("{}\n")
        assert called.get("/-/reload", "POST")[0] == 200 and ends("successful", "1.0")
        called.configure("")
        assert called.get("/-/reload", "POST")[0] == 200


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--config", "/no/such.toml"], "the configuration file does not exist"),
        (["--listen", "nowhere"], "command line: daemon: listen: "),
        (["--host-root", "/no/such"], "--host-root: /no/such is no directory"),
    ],
)
def test_what_the_user_can_mend_is_one_line(arguments: list[str], said: str) -> None:
    done = subprocess.run(
        [*DOCTOR, *arguments], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 2 and said in done.stderr and done.stderr.count("\n") == 1


def test_what_forbids_to_serve_is_told_once_and_nothing_is_begun(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        assert refused(tmp_path, place) == f'"daemon.listen: {place}: Address already in use"'


def test_a_web_config_that_is_wrong_is_one_line(tmp_path: Path) -> None:
    password = secrets.token_hex(8)
    (tmp_path / "web.yml").write_text(f"basic_auth_users: {{a: {password}}}\n")
    (tmp_path / "c.toml").write_text(f"[daemon]\nweb_config = '{tmp_path}/web.yml'\n")
    done = subprocess.run(
        [*DOCTOR, "--config", str(tmp_path / "c.toml")],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"biostudio-doctor: {tmp_path}/web.yml: basic_auth_users.a: ")
    assert "expected the bcrypt hash" in done.stderr and password not in done.stderr


def refused(directory: Path, listen: str) -> str:
    """Why the daemon does not begin to serve there."""
    (directory / "c.toml").write_text(f"[daemon]\nstate = '{directory}/no-such'\n")
    done = subprocess.run(
        [*DOCTOR, "--config", str(directory / "c.toml"), "--listen", listen],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    start, why = done.stderr.splitlines()
    assert done.returncode == 2 and "event=start" in start and "event=web.failed" in why
    assert "phase=preinstall" in start, "what is not asked is no surprise"
    return why.partition("problem=")[2]


@pytest.mark.parametrize("missing", ["uvicorn", "httptools", "bcrypt"])
def test_a_part_of_the_extra_that_is_missing_is_one_line(tmp_path: Path, missing: str) -> None:
    # As where it is not installed: nobody finds it.
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as util\nfind = util.find_spec\n"
        f"util.find_spec = lambda name, *rest: None if name == {missing!r} else find(name, *rest)\n"
    )
    done = subprocess.run(
        DOCTOR, env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 2 and done.stderr == (
        f"biostudio-doctor: the daemon needs {missing}: pip install 'biostudio-doctor[daemon]'\n"
    )


@pytest.mark.parametrize(
    ("daemon", "words"),
    [
        ("intervals = { 'nope.*' = 5 }", "daemon.intervals: no check matches 'nope.*'"),
        ("web_config = '/nonexistent.yml'", "/nonexistent.yml: cannot be read"),
        ("[daemon.probe]", ""),
    ],
)
def test_what_is_called_valid_the_daemon_can_run_by(
    tmp_path: Path, daemon: str, words: str
) -> None:
    file = tmp_path / "config.toml"
    file.write_text(f"[daemon]\n{daemon}\n")
    done = subprocess.run(
        [*DOCTOR[:-1], "config", "validate", file], capture_output=True, text=True, check=False
    )
    assert done.returncode == (2 if words else 0)
    assert words in done.stderr and done.stderr.count("\n") == (1 if words else 0)
