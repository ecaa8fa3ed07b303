"""The command line: exit codes, one clear line for wrong usage, and nobody sees a traceback."""

import json
import os
import pty
import shlex
import subprocess
import sys
import threading
from pathlib import Path

import jsonschema
import pytest

from biostudio_doctor import __version__
from biostudio_doctor.model import Report, Result, Status
from biostudio_doctor.runner import exit_code
from tests.conftest import report

_PLAIN = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
DOCTOR = [sys.executable, "-m", "biostudio_doctor"]


def doctor(
    *arguments: str, cwd: Path | None = None, **env: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*DOCTOR, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=cwd,
        env={**os.environ, **env},
        check=False,
    )


def test_version() -> None:
    done = doctor("--version")
    assert (done.returncode, done.stdout) == (0, f"biostudio-doctor {__version__}\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["check", "nosuch.check"], "no check matches 'nosuch.check'"),
        (["check", "cpu.cuont"], "did you mean 'cpu.count'?"),
        (["check", "--skip", "nosuch"], "no check matches 'nosuch'"),
        (["check", "cpu.count", "--skip", "cpu"], "no check is left to run"),
        (["check", "--role", "proxy"], "Invalid value for '--role'"),
        (["check", "--phase", "before"], "Invalid value for '--phase'"),
        (["check", "--platform", "podman"], "Invalid value for '--platform'"),
        (["check", "--profile", "mine"], "profile: 'mine' is unknown; known: published"),
        (["check", "--timeout", "0"], "command line: timeout: expected a number > 0"),
        (["check", "--timeout", "nan"], "command line: timeout: expected a number > 0"),
        (["check", "--timeout", "soon"], "Invalid value for '--timeout'"),
        (["check", "--config", "/nonexistent.toml"], "/nonexistent.toml: the configuration file"),
        (["check", "--host-root", "/nonexistent"], "--host-root: /nonexistent is no directory"),
        (
            ["check", "--output", "xml"],
            "'xml' is unknown; known: html, json, openmetrics, prometheus, table, textfile",
        ),
        (["check", "--output-file", "/nonexistent/x"], "the directory /nonexistent does not exist"),
        (["check", "--output-file", "/"], "--output-file: / is a directory"),
        (["check", "--nosuch"], "No such option"),
        (["explain", "cpu.*"], "means several checks: cpu.count"),
        (["explain", "nosuch"], "no check matches 'nosuch'"),
        (["explain"], "Missing argument"),
        (["config", "validate", "/nonexistent"], "the configuration file does not exist"),
        (["config", "init", "/nonexistent/x"], "the directory /nonexistent does not exist"),
        (["schema", "nosuch"], "'nosuch'"),
        (["nosuch"], "No such command 'nosuch'"),
    ],
)
def test_wrong_usage_is_exit_code_2(arguments: list[str], said: str) -> None:
    done = doctor(*arguments)
    assert done.returncode == 2 and done.stdout == ""
    assert said in done.stderr and "Traceback" not in done.stderr


def test_help_names_the_exit_codes() -> None:
    done = doctor("check", "--help")
    assert done.returncode == 0 and "2 wrong usage or configuration" in done.stdout


@pytest.mark.parametrize(
    ("statuses", "strict", "code"),
    [
        ("pass", False, 0),
        ("pass skip", True, 0),
        ("pass warn", False, 0),
        ("pass warn", True, 1),
        ("fail error", False, 1),
        ("error warn", False, 3),
        ("error warn", True, 1),
        ("error pass", True, 3),
    ],
)
def test_exit_codes(statuses: str, strict: bool, code: int) -> None:
    assert exit_code(report(*[Status(status) for status in statuses.split()]), strict) == code


def test_exit_code_of_a_run() -> None:
    done = doctor("check", "cpu.count", "--output", "json")
    status = json.loads(done.stdout)["status"]
    assert done.returncode == {"pass": 0, "warn": 0, "fail": 1}[status]
    strict = doctor("check", "cpu.count", "--strict")
    assert strict.returncode == {"pass": 0, "warn": 1, "fail": 1}[status]


def test_json_keeps_to_the_published_schema() -> None:
    schema = json.loads(doctor("schema", "report").stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    written = json.loads(doctor("check", "cpu", "memory", "os", "--output", "json").stdout)
    jsonschema.validate(written, schema)
    assert written["schema_version"] == "1.0"
    (result,) = [result for result in written["results"] if result["id"] == "cpu.count"]
    assert {"id", "status", "findings", "observation", "duration_seconds"} <= set(result)
    assert result["observation"]["online"] >= 1


def test_the_report_s_types_are_those_of_the_schema() -> None:
    """Every field of the report is described, so that a reader need not guess."""
    schema = json.loads(doctor("schema", "report").stdout)
    for model in (Report, Result):
        assert set(schema["$defs"][model.__name__]["properties"]) == set(model.__struct_fields__)


def test_globs_groups_and_skip() -> None:
    done = doctor("check", "cpu", "*.total", "--skip", "cpu.load", "--output", "json")
    ids = [result["id"] for result in json.loads(done.stdout)["results"]]
    assert ids == ["cpu.count", "cpu.features", "memory.total"]


def test_offline_and_deep_are_skips_that_say_why() -> None:
    done = doctor("check", "egress.hosts", "storage.performance", "--offline", "--output", "json")
    for result in json.loads(done.stdout)["results"]:
        assert result["status"] == "skip" and "Not asked: it" in result["findings"][0]["summary"]
    assert done.returncode == 0


def test_output_file_is_private_and_replaced_whole(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    file.write_text("old")
    file.chmod(0o644)
    done = doctor("check", "cpu.count", "--output", "json", "--output-file", str(file))
    assert done.stdout == "" and json.loads(file.read_text())["results"]
    assert file.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.json"]


@pytest.mark.parametrize("kind", ["a pipe", "a link to a pipe"])
def test_what_is_no_file_is_written_to_and_not_replaced(tmp_path: Path, kind: str) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    link = tmp_path / "link"
    link.symlink_to(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    target = str(pipe if kind == "a pipe" else link)
    done = doctor("check", "cpu.count", "--output", "json", "--output-file", target)
    reader.join(10)
    assert done.returncode in (0, 1) and json.loads(read[0])["results"]
    assert pipe.is_fifo() and link.is_symlink()


def test_a_link_to_a_file_stays_one(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    link = tmp_path / "link"
    link.symlink_to("real")
    doctor("check", "cpu.count", "--output", "json", "--output-file", str(link))
    assert link.is_symlink() and json.loads((tmp_path / "real").read_text())["results"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("arguments", [["check", "cpu.count"], ["list"], ["--version"]])
def test_a_full_disk_behind_standard_output_is_one_line(arguments: list[str]) -> None:
    command = f"{shlex.join([*DOCTOR, *arguments])} > /dev/full"
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert done.stderr == "biostudio-doctor: No space left on device\n"


def test_a_root_that_nothing_is_mounted_in_is_refused(tmp_path: Path) -> None:
    done = doctor("check", "--host-root", str(tmp_path))
    assert done.returncode == 2
    assert f"{tmp_path} is no root of a host: it has no etc and no proc" in done.stderr


def test_a_full_disk_leaves_nothing_half() -> None:
    done = doctor("check", "cpu.count", "--output-file", "/proc/x")
    assert done.returncode == 2 and "/proc/x cannot be written" in done.stderr


def test_a_closed_pipe_is_no_traceback() -> None:
    done = subprocess.run(
        ["bash", "-c", 'set -o pipefail; "$@" | true', "bash", *DOCTOR, "list"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr and "Exception" not in done.stderr


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_spoil_nothing(tmp_path: Path, closed: str) -> None:
    file = tmp_path / "report.json"
    command = f'"$@" --output json --output-file {file} {closed}'
    done = subprocess.run(
        ["bash", "-c", command, "bash", *DOCTOR, "check", "cpu.count"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == "" and done.returncode in (0, 1)
    assert json.loads(file.read_text())["results"][0]["observation"]["online"] >= 1


def test_in_an_ascii_locale_nothing_breaks() -> None:
    done = doctor("check", "cpu.count", "os", PYTHONIOENCODING="ascii", LC_ALL="C")
    assert "Traceback" not in done.stderr and "cpu.count" in done.stdout


def on_terminal(*arguments: str, **env: str) -> str:
    """What a terminal of 80 columns shows."""
    terminal, ours = pty.openpty()
    with subprocess.Popen(
        [*DOCTOR, *arguments],
        stdout=ours,
        stderr=subprocess.DEVNULL,
        env={**_PLAIN, "TERM": "xterm", "COLUMNS": "80", **env},
    ):
        os.close(ours)
        shown = b""
        while True:
            try:
                data = os.read(terminal, 4096)
            except OSError:  # the other end is closed
                break
            shown += data
    os.close(terminal)
    return shown.decode()


def test_colour_only_on_a_terminal_and_only_if_wanted() -> None:
    assert "\x1b[" in on_terminal("check", "cpu.count")
    assert "\x1b[" not in on_terminal("check", "cpu.count", NO_COLOR="1")
    assert "\x1b[" not in on_terminal("check", "cpu.count", "--no-color")
    assert "\x1b[" not in on_terminal("check", "cpu.count", TERM="dumb")
    assert "\x1b[" not in doctor("check", "cpu.count").stdout


@pytest.mark.parametrize("group", [(), ("bundle",), ("config",)])
def test_the_help_of_a_group_says_whole_sentences(group: tuple[str, ...]) -> None:
    shown = doctor(*group, "--help").stdout
    assert "\nCommands:\n" in shown and "..." not in shown.partition("\nCommands:\n")[2]


def test_list_names_every_check_and_explain_explains_it() -> None:
    shown = doctor("list").stdout
    listed = [line.split()[0] for line in shown.splitlines()[2:]]
    assert listed == sorted(listed) and len(listed) == len(set(listed)) >= 18
    assert "biostudio-doctor" not in shown  # only another package's checks are said to be its
    for check_id in ("cpu.count", "storage.capacity"):
        page = doctor("explain", check_id).stdout
        for part in (f"# {check_id}: ", "Why: ", "Mend: ", "Requirement:", "Runs: "):
            assert part in page
