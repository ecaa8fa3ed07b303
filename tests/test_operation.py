"""The systemd unit is valid, hardened and blinds no check; users and directories are made."""

from __future__ import annotations

import configparser
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from biostudio_doctor.config import DaemonConfig
from tests.lab.filesystems import needs, needs_root

ROOT = Path(__file__).parents[1]
PACKAGING = ROOT / "packaging"
UNIT = PACKAGING / "systemd/biostudio-doctor.service"
STATE = "var/lib/biostudio-doctor"
PLACES = [
    ROOT / "docs/daemon.md",
    *sorted((ROOT / "docs/runbooks").glob("*.md")),
    PACKAGING / "monitoring/scrape.yml",
]


def service() -> dict[str, str]:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[method-assign,assignment]
    parser.read(UNIT)
    return dict(parser["Service"])


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The unit as it would be with a program where it expects one."""
    unit = tmp_path / UNIT.name
    unit.write_text(re.sub("(?m)^ExecStart=[^ ]+", f"ExecStart={sys.executable}", UNIT.read_text()))
    return unit


@needs("systemd-analyze")
def test_systemd_understands_every_line(installed: Path) -> None:
    """It returns 0 whatever it finds, and tells it on stderr."""
    done = subprocess.run(
        ["systemd-analyze", "verify", installed], capture_output=True, text=True, check=False
    )
    assert (done.stderr, done.returncode) == ("", 0)
    with installed.open("a") as file:
        file.write("[Service]\nProtectEverything=yes\n")
    done = subprocess.run(
        ["systemd-analyze", "verify", installed], capture_output=True, text=True, check=False
    )
    assert "ProtectEverything" in done.stderr  # so it does look


@needs("systemd-analyze")
def test_it_is_hardened(installed: Path) -> None:
    done = subprocess.run(
        [
            "systemd-analyze",
            "security",
            "--offline=true",
            "--threshold=20",
            "--no-pager",
            installed,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-500:]
    exposure = re.search(r"exposure level for \S+: (\S+)", done.stdout)
    assert exposure and float(exposure[1]) <= 2.0


def test_it_blinds_no_check() -> None:
    """With these, checks would describe the sandbox: a read-only disk, a host without GPU."""
    unit = service()
    for key in ("PrivateDevices", "PrivateUsers", "ProtectHome", "ProtectKernelModules",
                "ProtectProc", "ProcSubset"):  # fmt: skip
        assert key not in unit
    assert unit["ProtectSystem"] == "full"


def test_it_is_watched_and_comes_back() -> None:
    unit = service()
    assert (unit["Type"], unit["Restart"]) == ("notify", "always")
    assert int(unit["WatchdogSec"]) >= 10
    assert unit["CapabilityBoundingSet"] == unit["AmbientCapabilities"] == ""


@needs("systemd-sysusers")
@needs_root
def test_the_user_and_its_directories(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    for program, room in (("systemd-sysusers", "sysusers.d"), ("systemd-tmpfiles", "tmpfiles.d")):
        file = PACKAGING / room / "biostudio-doctor.conf"
        create = ["--create"] if room == "tmpfiles.d" else []
        subprocess.run([program, f"--root={tmp_path}", *create, file], check=True)
    user = next(
        line.split(":")
        for line in (tmp_path / "etc/passwd").read_text().splitlines()
        if line.startswith("biostudio-doctor:")
    )
    assert user[5:] == ["/var/lib/biostudio-doctor", "/usr/sbin/nologin"]
    uid, gid = int(user[2]), int(user[3])
    told = {
        path: (found.st_uid, found.st_gid, oct(found.st_mode & 0o777))
        for path in ("etc/biostudio-doctor", "etc/biostudio-doctor/secrets", STATE)
        for found in [os.stat(tmp_path / path)]
    }  # fmt: skip
    assert told == {
        "etc/biostudio-doctor": (0, 0, "0o755"),
        "etc/biostudio-doctor/secrets": (0, gid, "0o750"),
        STATE: (uid, gid, "0o700"),
    }


@pytest.mark.parametrize("page", PLACES, ids=lambda page: page.name)
def test_the_port_that_is_told_is_the_default(page: Path) -> None:
    port = DaemonConfig().listen.rpartition(":")[2]
    told = set(re.findall(r"(?<![\d.])19\d{3}\b", page.read_text()))
    assert told <= {port}


def test_the_yaml_that_is_shown_is_yaml() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/daemon.md").read_text(), re.DOTALL)
    assert [sorted(yaml.safe_load(block)) for block in blocks] == [
        ["basic_auth_users", "tls_server_config"],
        ["livenessProbe", "readinessProbe", "startupProbe"],
    ]
