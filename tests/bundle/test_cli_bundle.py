"""The command as a person sees it: what it says, lists and refuses."""

import json
import os
import pty
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from biostudio_doctor.bundle import window
from biostudio_doctor.errors import DoctorError
from tests.bundle.conftest import Command

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def test_what_it_says_at_the_end(bundle: Command) -> None:
    done = bundle("--only", "made.plain")
    assert done.returncode == 0 and done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0] == str(bundle.path)
    size, digest = re.fullmatch(r"  (.+), SHA-256 ([0-9a-f]{64})", lines[1]).groups()  # type: ignore[union-attr]
    summed = subprocess.run(["sha256sum", bundle.path], capture_output=True, text=True, check=True)
    assert summed.stdout.split()[0] == digest and size.endswith("kB")
    assert lines[2] == "  Redacted: 1 password."
    look = lines[3].removeprefix("Look into it: ")
    assert look.endswith(f" bundle inspect {bundle.path.name}")
    looked = subprocess.run(
        look, shell=True, cwd=bundle.directory, capture_output=True, check=False
    )
    assert looked.returncode == 0 and b"What it holds" in looked.stdout


def test_the_whole_of_this_host(bundle: Command) -> None:
    done = bundle("--offline", "--skip", "made")
    assert done.returncode == 0, done.stderr
    found = {one.id: one for one in bundle.manifest.collectors}
    assert found[""].outcome == "whole" and found["host"].outcome in ("whole", "partial")
    assert b"<redacted" not in bundle.entry("report.txt"), "there is no secret in a table of ours"
    assert b"<redacted" not in bundle.entry("report.html")
    ids = {result["id"] for result in json.loads(bundle.entry("report.json"))["results"]}
    assert "os.release" in ids
    verified = subprocess.run(
        [sys.executable, "-m", "biostudio_doctor", "bundle", "verify", str(bundle.path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_a_dry_run(bundle: Command) -> None:
    done = bundle("--dry-run", "--only", "made.plain", "--only", "host", "--only", "report")
    assert done.returncode == 0 and bundle.left == []
    assert re.search(r"^made\.plain +a test$", done.stdout, re.MULTILINE)
    assert re.search(r"^report +biostudio-doctor check$", done.stdout, re.MULTILINE)
    assert re.search(r"^host +\d+ bytes +/", done.stdout, re.MULTILINE)
    assert done.stdout.endswith("Nothing was gathered.\n")


def test_a_dry_run_fits_the_terminal_and_grep(bundle: Command, tmp_path: Path) -> None:
    logs = tmp_path / "a-directory-of-logs" / ("x" * 60)
    logs.mkdir(parents=True)
    (logs / "a.log").write_text("x")
    asked = ("--dry-run", "--only", "made.files", "--only", "report")
    listed = bundle(*asked, MADE_LOGS=str(logs), COLUMNS="80").stdout
    lines = listed.splitlines()
    assert max(map(len, lines)) <= 80 and str(logs) not in listed
    assert str(logs / "a.log") in "".join(line[12 + 11 :] for line in lines).replace(" ", "")
    assert f" {logs}/a.log\n" in bundle(*asked, MADE_LOGS=str(logs), COLUMNS="").stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--since", "yesterday"), "--since: 'yesterday': expected a duration such as 90s"),
        (("--since", "999999w"), "--since: '999999w' is too long ago"),
        (("--since", "1h", "--until", "2h"), "--since: 1h is not before 2h"),
        (("--only", "no-such"), "no collector matches 'no-such'"),
        (("--only", "reprt"), "did you mean 'report'?"),
        (("--only", "report", "--skip", "report"), "--only and --skip leave nothing to gather"),
        (("--host-root", "/nonexistent"), "--host-root: /nonexistent is no directory"),
        (("--recipient", "age1x", "--gpg-recipient", "x"), "cannot be had together"),
    ],
)
def test_what_is_refused(bundle: Command, arguments: tuple[str, ...], said: str) -> None:
    done = bundle(*arguments)
    assert done.returncode == 2 and said in done.stderr and bundle.left == []
    assert done.stderr.count("\n") == 1


def test_progress_on_a_terminal(bundle: Command) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "biostudio_doctor", "bundle", "--only", "made.plain"]
    with subprocess.Popen(
        command, cwd=bundle.directory, env=bundle.environment({"TERM": "xterm"}),
        stdout=subprocess.DEVNULL, stderr=theirs,
    ) as process:  # fmt: skip
        os.close(theirs)
        said = b""
        try:
            while piece := os.read(ours, 4096):
                said += piece
        except OSError:  # as a terminal ends
            pass
    os.close(ours)
    assert process.returncode == 0
    assert re.search(rb"made\.plain: 1 file, \d+ bytes", said)


def test_moments() -> None:
    found = window.understood("24h", None, NOW)
    assert (found.since, found.until) == (NOW - timedelta(days=1), NOW)
    found = window.understood("2026-11-20", "2026-11-21T10:00+02:00", NOW)
    assert found.until == datetime(2026, 11, 21, 8, tzinfo=UTC)
    for since in ("", "5", "5y", "-1h", "2026-13-01", "9999999d", "\ud800"):
        with pytest.raises(DoctorError):
            window.understood(since, None, NOW)


def test_neither_check_nor_version_knows_of_it() -> None:
    script = (
        "import sys; from biostudio_doctor.cli import cli, check; "
        "print([name for name in sys.modules if 'bundle.' in name or 'redaction' in name])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
