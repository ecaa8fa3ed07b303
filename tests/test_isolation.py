"""Checks that raise, hang, crash or cannot be imported cost themselves and nothing else.

Two packages are built and installed beside the tool, as a third party's would be.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from uuid import uuid4

import psutil
import pytest

from tests.lab.plugins import install
from tests.lab.stuck import stuck_mount
from tests.lab.timing import wait_until, within


@pytest.fixture(scope="module")
def acme(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install("acme", tmp_path_factory.mktemp("acme") / "site")


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install("faulty", tmp_path_factory.mktemp("faulty") / "site")


def doctor(
    *arguments: str, site: Path, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "biostudio_doctor", *arguments],
        env={**os.environ, "PYTHONPATH": str(site), **(env or {})},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def results(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, object]]:
    assert done.stderr == ""
    return {result["id"]: result for result in json.loads(done.stdout)["results"]}


def test_a_plug_in_appears_everywhere_without_a_change_here(acme: Path) -> None:
    listed = doctor("list", site=acme)
    assert "acme.scratch" in listed.stdout and "acme-doctor" in listed.stdout
    table = doctor("check", "acme.scratch", site=acme)
    assert table.returncode == 0 and "/ has room." in table.stdout
    explained = doctor("explain", "acme.scratch", site=acme).stdout
    assert "Room in ACME's scratch area" in explained and "least_bytes" in explained
    found = results(doctor("check", "acme", "--output", "json", site=acme))["acme.scratch"]
    assert found["status"] == "pass" and found["observation"]["path"] == "/"  # type: ignore[index]
    assert doctor("check", "acme", "--output", "oneline", site=acme).stdout == "pass\n"


def test_a_plug_in_has_settings(acme: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[checks."acme.scratch"]\nleast_bytes = 999999999999999\n')
    done = doctor("check", "acme", "--config", str(config), site=acme)
    assert done.returncode == 1 and "find / -mtime +30" in done.stdout
    config.write_text('[checks."acme.scratch"]\nleast = 1\n')
    done = doctor("check", "acme", "--config", str(config), site=acme)
    assert done.returncode == 2
    assert done.stderr.startswith(f"biostudio-doctor: {config}: checks.acme.scratch.least: unknown")


@pytest.mark.parametrize(
    ("check_id", "said"),
    [
        ("faulty.raises", "The check broke: ValueError: no such thing as this (faulty_doctor.py,"),
        ("faulty.judge", "The check broke: KeyError: 'second'"),
        ("faulty.exits", "The check broke: SystemExit: 5"),
        ("faulty.silent", "it gave no finding"),
        ("faulty.unserialisable", "The check broke: TypeError"),
        ("faulty.surrogates", "The check broke: UnicodeEncodeError"),
        ("faulty.unspeakable", "could not be observed: /srv/caf\ufffd: Permission denied"),
        ("faulty.import", "cannot be imported: RuntimeError: this plug-in is broken on two lines."),
        ("faulty.importexit", "cannot be imported: SystemExit: 7."),
        ("faulty.missing", "cannot be imported: ModuleNotFoundError"),
        ("faulty.nocheck", "of the package faulty-doctor is no Check."),
        ("faulty.othername", "calls itself 'faulty.raises'."),
        ("cpu.count", "is provided more than once, by biostudio-doctor and faulty-doctor."),
    ],
)  # fmt: skip
def test_a_broken_check_is_one_error_finding(faulty: Path, check_id: str, said: str) -> None:
    done = doctor("check", check_id, "faulty.waits", "--output", "json", site=faulty)
    found = results(done)
    (finding,) = found[check_id]["findings"]  # type: ignore[misc]
    assert finding["status"] == "error" and said in finding["summary"]
    assert "Traceback" not in done.stdout and finding["remedy"]["text"]
    assert found["faulty.waits"]["status"] == "pass"
    assert done.returncode == 3


def test_what_a_run_does_not_ask_is_not_imported(faulty: Path) -> None:
    """Both cannot be imported, which nobody notices where they are not asked."""
    checks = ("faulty.later", "faulty.far", "faulty.waits", "--output", "json")
    found = results(doctor("check", *checks, "--offline", site=faulty))
    later, far = found["faulty.later"], found["faulty.far"]
    assert later["status"] == far["status"] == "skip"
    assert "is asked in the phase running (--phase running)" in str(later["findings"])
    assert "needs the network, and --offline was given" in str(far["findings"])
    found = results(doctor("check", *checks, "--phase", "running", site=faulty))
    for name in ("faulty.later", "faulty.far"):
        assert "cannot be imported: RuntimeError" in str(found[name]["findings"])


def test_a_check_in_the_wrong_group_is_told(faulty: Path) -> None:
    checks = ("faulty.misplaced", "--phase", "running", "--output", "json")
    found = results(doctor("check", *checks, site=faulty))["faulty.misplaced"]
    assert "is listed in an entry-point group that its phases" in str(found["findings"])


def test_what_a_plug_in_prints_does_not_spoil_the_report(faulty: Path) -> None:
    done = doctor("check", "faulty.prints", "--output", "json", site=faulty)
    assert results(done)["faulty.prints"]["status"] == "pass" and "noise" not in done.stdout


@pytest.mark.parametrize(
    ("check_id", "said"),
    [
        ("faulty.sleeps", "did not end within 1 s, so it was abandoned"),
        ("faulty.blocks", "within 1 s while it tried to read a pipe that nobody writes to"),
        ("faulty.spins", "did not end within 1 s"),
    ],
)
def test_a_hung_check_costs_its_own_timeout(faulty: Path, check_id: str, said: str) -> None:
    with within(2):  # of which 1 s is the check's timeout
        checks = (check_id, "faulty.waits", "os.kernel")
        done = doctor("check", *checks, "--output", "json", site=faulty)
    found = results(done)
    assert said in found[check_id]["findings"][0]["summary"]  # type: ignore[index]
    assert found[check_id]["title"] != check_id
    assert found["faulty.waits"]["status"] == "pass"
    assert found["os.kernel"]["status"] != "error"


def test_an_interrupt_ends_it_at_once_and_quietly(faulty: Path) -> None:
    command = [sys.executable, "-m", "biostudio_doctor", "check", "faulty.sleeps", "faulty.waits"]
    with subprocess.Popen(
        [*command, "--timeout", "60"],
        env={**os.environ, "PYTHONPATH": str(faulty)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        while not psutil.Process(process.pid).children():  # until the checks run
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (130, "", "\nbiostudio-doctor: interrupted\n")


@pytest.mark.parametrize("check_id", ["faulty.asks", "faulty.leaves"])
def test_no_program_outlives_the_check_that_started_it(faulty: Path, check_id: str) -> None:
    """Or a daemon whose check hangs in a program would gather one of them with each run."""
    nap = f"3600.{uuid4().int}"
    doctor("check", check_id, "--output", "json", site=faulty, env={"NAP": nap})
    wait_until(lambda: not napping(nap))


def test_no_program_outlives_us(faulty: Path) -> None:
    nap = f"3600.{uuid4().int}"
    with subprocess.Popen(
        [sys.executable, "-m", "biostudio_doctor", "check", "faulty.asks", "--timeout", "60"],
        env={**os.environ, "PYTHONPATH": str(faulty), "NAP": nap},
        stdout=subprocess.DEVNULL,
    ) as process:
        wait_until(lambda: napping(nap))
        process.kill()
    wait_until(lambda: not napping(nap))


_ORPHANED = """
import os, sys, threading, time
from biostudio_doctor.expendable import Expendable, accompany

parent = os.getpid()

def main(_):
    while os.getppid() == parent:
        time.sleep(0.01)
    nap = threading.Thread(target=time.sleep, args=(120,), daemon=True)
    nap.start()
    accompanied = accompany([nap], parent)
    with open(sys.argv[1], "w") as file:
        file.write(str(accompanied))

Expendable(main)
os._exit(0)
"""


def test_we_may_be_gone_before_the_checks_run(tmp_path: Path) -> None:
    told = tmp_path / "told"
    subprocess.run([sys.executable, "-c", _ORPHANED, str(told)], check=True, timeout=60)
    wait_until(lambda: told.exists() and told.read_text())
    assert told.read_text() == "False"


def test_who_starts_us_may_ignore_the_end_of_children(faulty: Path) -> None:
    """Which we would inherit, and take every program and process for one that ended well."""
    ignoring = "import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); "
    ours = [sys.executable, "-m", "biostudio_doctor", "check", "faulty.dies", "--output", "json"]
    done = subprocess.run(
        [sys.executable, "-c", f"{ignoring}os.execv(sys.argv[1], sys.argv[1:])", *ours],
        env={**os.environ, "PYTHONPATH": str(faulty)},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    (finding,) = results(done)["faulty.dies"]["findings"]  # type: ignore[misc]
    assert finding["summary"] == "The check ended its process (killed by SIGABRT)."


def napping(nap: str) -> bool:
    running = (process.info["cmdline"] for process in psutil.process_iter(["cmdline"]))
    return ["sleep", nap] in running


def test_a_crash_loses_only_the_culprit(faulty: Path) -> None:
    done = doctor(
        "check", "faulty.dies", "faulty.waits", "os.kernel", "--output", "json", site=faulty
    )
    found = results(done)
    (finding,) = found["faulty.dies"]["findings"]  # type: ignore[misc]
    assert finding["summary"] == "The check ended its process (killed by SIGABRT)."
    assert found["faulty.waits"]["status"] == "pass"
    assert found["os.kernel"]["status"] != "error"


def test_the_timeout_can_be_given(faulty: Path) -> None:
    done = doctor("check", "faulty.sleeps", "--timeout", "0.3", "--output", "json", site=faulty)
    assert "within 0.3 s" in results(done)["faulty.sleeps"]["findings"][0]["summary"]  # type: ignore[index]


@pytest.mark.skipif(
    os.geteuid() != 0 or not os.path.exists("/dev/fuse"), reason="needs root and /dev/fuse to mount"
)
def test_the_program_ends_although_a_check_cannot_be_killed(faulty: Path, tmp_path: Path) -> None:
    directory = tmp_path / "mount"
    directory.mkdir()
    with stuck_mount(directory), within(2):
        done = doctor(
            "check", "faulty.stuck", "faulty.waits", "--output", "json", site=faulty,
            env={"STUCK_MOUNT": str(directory)},
        )  # fmt: skip
    found = results(done)
    (finding,) = found["faulty.stuck"]["findings"]  # type: ignore[misc]
    assert f"while it tried to statvfs {directory}" in finding["summary"]
    assert found["faulty.waits"]["status"] == "pass"


def test_an_exporter_that_cannot_be_imported_is_one_line(faulty: Path) -> None:
    done = doctor("check", "faulty.waits", "--output", "broken", site=faulty)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and "'broken' of the package faulty-doctor" in done.stderr
