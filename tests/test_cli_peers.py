"""`listen`, `matrix` and `check --peer`: wrong usage is one line that never repeats the code."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from biostudio_doctor.model import SCHEMA_VERSION
from biostudio_doctor.peers import CODE_VARIABLE, protocol

DOCTOR = str(Path(sys.executable).with_name("biostudio-doctor"))
CODE = protocol.new_code()


def doctor(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    ours = {name: value for name, value in os.environ.items() if name != CODE_VARIABLE}
    return subprocess.run(
        [DOCTOR, *arguments], capture_output=True, text=True, timeout=60, check=False,
        env={**ours, **env},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["listen", "--role", "proxy"], "Invalid value for '--role'"),
        (["listen", "--for", "10"], "--for: '10': expected a duration such as 90s, 10m, 24h"),
        (["listen", "--for", "0m"], "--for: '0m': expected 1s at least"),
        (["listen", "--for", "25h"], "24h at most"),
        (["listen", "--allow", "10.0.0.0/33"], "--allow: expected 10.0.0.0/24 or an IP address"),
        (["listen", "--address", "db1"], "--address: expected an IP address, not 'db1'"),
        (["listen", "--address", "192.0.2.99"], "--address: 192.0.2.99: Cannot assign"),
        (["listen", "--address", "fe80::1%nosuch0"], "--address: fe80::1%nosuch0: "),
        (["listen", "--code-file", "/nonexistent"], "--code-file: its file /nonexistent cannot"),
        (["matrix"], "Missing argument"),
        (["matrix", "/nonexistent"], "/nonexistent: cannot be read"),
        (["matrix", "/etc/passwd"], "/etc/passwd: is no JSON report of biostudio-doctor"),
        (["check", "ports.peers", "--peer", "bioproxy=127.0.0.1"], f"in {CODE_VARIABLE}"),
        (["check", "ports.peers", "--peer", "x=127.0.0.1", "--code", CODE], "'x=127.0.0.1': expe"),
        (["check", "ports.peers", "--peer", "bioproxy=127.0.0.1", "--code", "abc"], "is no code"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(arguments: list[str], said: str) -> None:
    done = doctor(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr and "Traceback" not in done.stderr and CODE not in done.stderr


def test_a_shared_code_that_is_none_is_not_repeated(tmp_path: Path) -> None:
    file = tmp_path / "code"
    file.write_text("hush-hush-hush\n")
    for done in (
        doctor("listen", **{CODE_VARIABLE: "hush-hush-hush"}),
        doctor("listen", "--code-file", str(file)),
    ):
        assert done.returncode == 2 and "it is no code" in done.stderr
        assert "hush" not in done.stderr + done.stdout


def test_a_peer_in_the_configuration_is_checked(tmp_path: Path) -> None:
    file = tmp_path / "doctor.toml"
    file.write_text('peers = ["bioproxy=10.0.0.5", "biostudio=a b"]\n')
    done = doctor("config", "validate", str(file))
    assert done.returncode == 2
    assert "peers: 'biostudio=a b': after ROLE= stands no host name" in done.stderr


def report(check: str, observation: object) -> str:
    results = [{"id": check, "observation": observation}]
    return json.dumps({"schema_version": SCHEMA_VERSION, "results": results})


def test_a_report_without_peers_makes_no_matrix(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    file.write_text(report("cpu.count", 1))
    assert "no peer was asked in" in doctor("matrix", str(file)).stderr
    file.write_text(report("ports.peers", {"x": 1}))
    assert "is no JSON report" in doctor("matrix", str(file)).stderr


def test_a_report_of_another_schema_is_told_as_such(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    file.write_text(json.dumps({"schema_version": "99.0", "results": []}))
    done = doctor("matrix", str(file))
    assert done.returncode == 2 and "is of another version of biostudio-doctor" in done.stderr


def test_the_code_in_the_environment_disturbs_no_other_check() -> None:
    done = doctor("check", "cpu.count", **{CODE_VARIABLE: "something else"})
    assert done.returncode in (0, 1)
