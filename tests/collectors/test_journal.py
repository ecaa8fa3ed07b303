"""The collectors `journal` and `kernel` on a journal that systemd's own program made.

Its entries are written in the export format, so that they have any unit and any time, and read by
journalctl in a mount namespace, where they are the journal of this machine.
"""

import json
import os
import secrets
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from biostudio_doctor.collectors import xids
from tests.conftest import MakeHost
from tests.lab.collecting import NOW, collect

REMOTE = "/usr/lib/systemd/systemd-journal-remote"
SUDO = secrets.token_hex(8)
XID = "NVRM: Xid (PCI:0000:3b:00): 79, pid=4321, name=python, GPU has fallen off the bus."


def entry(message: str, *, hours: float = 1, priority: int = 6, **fields: str) -> str:
    """An entry so many hours ago."""
    at = int((NOW - timedelta(hours=hours)).timestamp() * 1_000_000)
    return "".join(
        f"{name}={value}\n"
        for name, value in {
            "__REALTIME_TIMESTAMP": at,
            "__MONOTONIC_TIMESTAMP": at % 10_000_000_000,
            "_BOOT_ID": "0f1e2d3c4b5a69788796a5b4c3d2e1f0",
            "_MACHINE_ID": Path("/etc/machine-id").read_text().strip(),
            "_HOSTNAME": "lab",
            "PRIORITY": priority,
            "MESSAGE": message,
            **fields,
        }.items()
    )


ENTRIES = [
    entry("older than wanted", hours=48, _SYSTEMD_UNIT="docker.service"),
    entry("dockerd is up", _SYSTEMD_UNIT="docker.service"),
    entry("kubelet is up", _SYSTEMD_UNIT="kubelet.service"),
    entry("check.failed", _SYSTEMD_UNIT="biostudio-doctor.service"),
    entry(
        f"root : COMMAND=/usr/bin/mysql -p{SUDO}", priority=5, SYSLOG_FACILITY="10",
        SYSLOG_IDENTIFIER="sudo",
    ),
    entry("the disk is slow", priority=4, SYSLOG_IDENTIFIER="smartd"),
    entry("clock unstable", _TRANSPORT="kernel", priority=4),
    entry(XID, _TRANSPORT="kernel", priority=3),
    entry(XID, hours=0.5, _TRANSPORT="kernel", priority=3),
    *(
        entry(f"request {number} {'x' * 100}", hours=0.4, _SYSTEMD_UNIT="nginx.service")
        for number in range(30_000)
    ),
]  # fmt: skip


def journal(directory: Path) -> Path:
    """Make one; where it is."""
    if os.geteuid() != 0:
        pytest.skip("needs root for a mount namespace")
    if not Path(REMOTE).exists() or not shutil.which("journalctl"):
        pytest.skip(f"needs {REMOTE} (package systemd-journal-remote)")
    machine = Path("/etc/machine-id").read_text().strip()
    (directory / machine).mkdir()
    file = directory / machine / "lab.journal"
    made = subprocess.run(
        [REMOTE, "-o", str(file), "-"],
        input="\n".join([*ENTRIES, ""]),
        text=True,
        capture_output=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    return file


def read(directory: Path) -> dict[str, Any]:
    """What the collectors take, where this is the journal."""
    Path("/var/log/journal").mkdir(exist_ok=True)
    script = f"mount --bind {directory} /var/log/journal && exec {sys.executable} -m"
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", f"{script} tests.lab.collecting journal kernel"],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@pytest.fixture(scope="module")
def got(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    directory = tmp_path_factory.mktemp("journal")
    journal(directory)
    told = read(directory)
    assert not told["troubles"]
    contents: dict[str, str] = told["contents"]
    return contents


def test_each_group_of_services_has_a_file_of_this_time(got: dict[str, str]) -> None:
    assert "dockerd is up" in got["journal/docker.log"]
    assert "older than wanted" not in got["journal/docker.log"]
    assert "kubelet is up" in got["journal/kubernetes.log"]
    assert "check.failed" in got["journal/biostudio-doctor.log"]
    assert "journal/nvidia.log" not in got, "no file where there is nothing"
    assert "lab " in got["journal/docker.log"] and f"{NOW:%Y}-" in got["journal/docker.log"]


def test_of_too_many_lines_the_first_and_the_last_are_kept(got: dict[str, str]) -> None:
    lines = got["journal/front.log"].splitlines()
    assert "request 0 " in lines[0] and "request 29999 " in lines[-1]
    assert 20_000 < len(lines) < 30_000 and any("left out" in line for line in lines)


def test_warnings_of_everybody_and_nobodys_commands(got: dict[str, str]) -> None:
    warnings = got["journal/warnings.log"]
    assert "the disk is slow" in warnings and "clock unstable" in warnings
    assert "dockerd is up" not in warnings
    assert SUDO not in "".join(got.values()), "what was run with sudo"


def test_kernel_messages_and_the_xids_among_them(got: dict[str, str]) -> None:
    assert "clock unstable" in got["kernel/journal.log"]
    told = got["kernel/gpu-xids.txt"]
    assert told.count(XID) == 2 and "clock unstable" not in told
    assert "GPU 0000:3b:00: 2 x XID 79: the GPU has fallen off the bus" in told


def test_boots(got: dict[str, str]) -> None:
    assert "0f1e2d3c4b5a69788796a5b4c3d2e1f0" in got["journal/boots.txt"]


def test_a_damaged_file_is_told_of_all_that_lacks_it(tmp_path: Path) -> None:
    whole = journal(tmp_path)
    shutil.copy(whole, whole.with_name("damaged.journal"))
    os.truncate(whole.with_name("damaged.journal"), whole.stat().st_size // 2)
    told = read(tmp_path)
    assert "dockerd is up" in told["contents"]["journal/docker.log"]
    logs = ("docker.log", "front.log", "warnings.log", "boots.txt")
    for path in ("kernel/journal.log", *(f"journal/{name}" for name in logs)):
        assert "damaged.journal is truncated, ignoring file" in told["troubles"][path], path


# --- Without a journal ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("NVRM: Xid (PCI:0000:01:00): 31, pid=1, Ch 00000008", "GPU 0000:01:00: 1 x XID 31: GPU"),
        ("[1.0] NVRM: Xid (0000:01:00): 13, 0005 0000", "GPU 0000:01:00: 1 x XID 13: graphics"),
        ("NVRM: Xid (PCI:0000:01:00 GPU-I:05): 94, pid=9", "GPU 0000:01:00: 1 x XID 94: contained"),
        ("NVRM: Xid (PCI:0000:01:00): 999, new", "XID 999: see the page above"),
        (
            "nvidia-nvswitch3: SXid (PCI:0000:c1:00.0): 20034, Fatal, Link 30 LTSSM Fault Up",
            "NVSwitch 0000:c1:00.0: 1 x SXID 20034: see the page above",
        ),
    ],
)
def test_forms_of_xids(line: str, told: str) -> None:
    assert told in "".join(xids.mark([line]))


@pytest.mark.parametrize(
    "line", ["NVRM: loading NVIDIA UNIX x86_64 Kernel Module  550.54.14", "Xid: 79", "", "usb: 79"]
)
def test_what_is_no_xid(line: str) -> None:
    assert "".join(xids.mark([line])).startswith("No XID")


def test_journalctl_gives_reasons_and_no_hints(make_host: MakeHost) -> None:
    """Who may read nothing is told so, and not first of whom they see no messages."""
    host = make_host({"/usr/bin/journalctl": "", "/var/log/journal/x/system.journal": ""})
    commands = [one.source for one in collect(host, "journal").files.values()]
    assert len(commands) > 3 and all(" --quiet" in one for one in commands)


def test_why_there_is_no_journal(make_host: MakeHost) -> None:
    got = collect(make_host({"/usr/bin/journalctl": ""}), "journal")
    assert "no journal is kept here" in got.of["journal"].reason
    Path(f"{make_host({}).root}/usr/bin/journalctl").unlink()
    got = collect(make_host({"/etc/hostname": ""}), "journal")
    assert "no journalctl" in got.of["journal"].reason


def test_log_files_of_this_time_with_their_rotated_ones(make_host: MakeHost) -> None:
    host = make_host({
        "/var/log/syslog": "now\n", "/var/log/syslog.1": "yesterday\n",
        "/var/log/syslog.2.gz": "old\n", "/var/log/kern.log": "-> /etc/shadow",
        "/etc/shadow": "root:secret", "/var/log/auth.log": "sudo", "/var/log/secure": "sudo",
        "/var/log/messages-20261101": "suse\n", "/var/log/btmp": "",
    })  # fmt: skip
    os.utime(f"{host.root}/var/log/syslog.2.gz", (1e9, 1e9))
    got = collect(host, "syslog")
    assert sorted(got.files) == [
        f"syslog/var/log/{name}" for name in ("messages-20261101", "syslog", "syslog.1")
    ]
