"""storage.performance: the judgement on facts, and real runs that are ended by signals."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from biostudio_doctor.checks.storage_performance import PerformanceFacts, StoragePerformance
from biostudio_doctor.host import Host, disk
from biostudio_doctor.host.disk import Performance
from biostudio_doctor.host.places import Place
from biostudio_doctor.model import Finding, Machine, Status
from biostudio_doctor.tiers import StorageFacts
from tests.conftest import DEBIAN, context, judge
from tests.lab import filesystems
from tests.lab.filesystems import place
from tests.lab.timing import wait_until

lab = filesystems.lab
FAST = Performance(
    fsyncs=1000, fsync_p50=0.0002, fsync_p99=0.001, write_rate=5e8, read_rate=6e8, direct=True
)


def performance(**changes: float) -> Performance:
    return Performance(
        **{**{name: getattr(FAST, name) for name in FAST.__struct_fields__}, **changes}
    )


def found(
    tier: str, made: Place, measured: Performance | None, failed: str = "", root: bool = True
) -> Finding:
    facts = PerformanceFacts(
        storage=StorageFacts(places={tier: made}),
        measured={made.filesystem: measured} if measured else {},
        failed={made.existing: failed} if failed else {},
    )
    machine = DEBIAN if root else Machine(hostname="lab", os_id="debian")
    config = context(machine, deep=True, storage={tier.lower(): made.path})
    return judge(StoragePerformance(config), facts)[tier]


@pytest.mark.parametrize(
    ("p99", "status"),
    [(0.010, Status.PASS), (0.0101, Status.WARN), (0.1, Status.WARN), (0.11, Status.FAIL)],
)
def test_databases_are_judged_by_their_commits(p99: float, status: Status) -> None:
    finding = found("METADATA", place("/srv/m", 100), performance(fsync_p99=p99, write_rate=1e6))
    assert finding.status is status and finding.requirement
    assert bool(finding.remedy) == (status is not Status.PASS)


def test_few_commits_have_no_percentile() -> None:
    finding = found("METADATA", place("/srv/m", 100), performance(fsyncs=20, fsync_p99=0.09))
    assert "(the slowest 90 ms)" in finding.summary


@pytest.mark.parametrize(
    ("write", "read", "status"),
    [
        (50e6, 50e6, Status.PASS),
        (49e6, 500e6, Status.WARN),
        (500e6, 49e6, Status.WARN),
        (4e6, 500e6, Status.FAIL),
    ],
)
def test_the_others_are_judged_by_throughput(write: float, read: float, status: Status) -> None:
    measured = performance(write_rate=write, read_rate=read, fsync_p99=1.0)
    for tier in ("APP", "USER"):
        finding = found(tier, place("/srv/x", 100), measured)
        assert finding.status is status and "page cache" not in finding.summary
    assert "iostat" in str(found("APP", place("/srv/x", 9), performance(read_rate=1)).remedy)


def test_a_reading_from_the_page_cache_is_called_one() -> None:
    finding = found("APP", place("/srv/x", 100), performance(direct=False))
    assert "from the page cache" in finding.summary


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (place("/srv/x", 3.9), "less than 4 GB are available on /"),
        (place("/srv/x", 100, options="ro"), "/ is mounted read-only"),
        (place("/srv/x", 100, fs_type="tmpfs"), "/ is memory"),
    ],
)
def test_what_is_left_alone_says_why(made: Place, said: str) -> None:
    finding = found("APP", made, None)
    assert finding.status is Status.SKIP and said in finding.summary


def test_a_failure_is_an_error_with_its_reason() -> None:
    finding = found("APP", place("/srv/x", 9), None, "Permission denied", root=False)
    assert finding.status is Status.ERROR and "/srv/x: Permission denied." in finding.summary
    assert finding.remedy and "as root" in finding.remedy.text
    finding = found("APP", place("/srv/x", 9), None, "Input/output error")
    assert finding.remedy and "as root" not in finding.remedy.text


def test_nothing_is_written_without_a_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "_nameless_file", None)
    check = StoragePerformance(context(deep=True))
    facts = check.observe(Host())
    assert facts.measured == {} and facts.failed == {}
    findings = judge(check, facts)
    if not os.path.exists("/biocolab"):
        assert {finding.status for finding in findings.values()} == {Status.SKIP}
        assert "set storage.metadata" in findings["METADATA"].summary


def test_tiers_on_one_file_system_are_measured_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "FSYNC_LIMIT", 5)
    monkeypatch.setattr(disk, "TRANSFER_LIMIT", 1 << 20)
    really_open, opened = disk._nameless_file, []
    monkeypatch.setattr(
        disk, "_nameless_file", lambda path: opened.append(path) or really_open(path)
    )
    (tmp_path / "app").mkdir()
    storage = {"app": str(tmp_path / "app"), "metadata": str(tmp_path / "not/yet")}
    check = StoragePerformance(context(deep=True, storage=storage))
    facts = check.observe(Host())
    assert len(opened) == len(facts.measured) == 1 and facts.failed == {}
    findings = judge(check, facts)
    assert {findings[name].status for name in ("APP", "METADATA")} <= set(Status) - {Status.ERROR}
    assert [path.name for path in tmp_path.rglob("*")] == ["app"]


def test_it_runs_only_when_asked_for() -> None:
    assert StoragePerformance.why_not(context().scope)
    assert StoragePerformance.why_not(context(deep=True).scope) is None


@filesystems.needs_root
def test_without_the_right_to_write_it_says_so(tmp_path: Path) -> None:
    app = tmp_path / "app"
    app.mkdir(mode=0o755)
    check = StoragePerformance(context(deep=True, storage={"app": str(app)}))
    denied = {str(app): "Permission denied"}
    assert filesystems.as_nobody(tmp_path, lambda: check.observe(Host()).failed == denied)


# --- Ended by a signal ----------------------------------------------------------------------------


@pytest.fixture
def running(tmp_path: Path) -> Iterator["tuple[subprocess.Popen[str], Path]"]:
    """The tool in the middle of writing to a directory."""
    directory = tmp_path / "metadata"
    directory.mkdir()
    config = tmp_path / "config.toml"
    config.write_text(f'role = "bioproxy"\n[storage]\nmetadata = "{directory}"\n')
    slow = "import biostudio_doctor.host.disk as d; d.FSYNC_LIMIT = 10**9; d.FSYNC_SECONDS = 99.0"
    command = "from biostudio_doctor.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", f"{slow}; {command}", "check", "storage.performance", "--deep",
         "--config", str(config), "--output", "json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield process, directory
    finally:
        process.kill()
        process.communicate()


def holders(directory: Path) -> list[int]:
    """The processes that have a file of this directory open, also one without a name."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                links = [os.readlink(link) for link in (entry / "fd").iterdir()]
                if any(link.startswith(f"{directory}/") for link in links):
                    found.append(int(entry.name))
    return found


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_when_it_is_ended(
    running: "tuple[subprocess.Popen[str], Path]", signal_number: int
) -> None:
    process, directory = running
    wait_until(lambda: holders(directory))
    assert list(directory.iterdir()) == [], "the file has no name while it is written"
    process.send_signal(signal_number)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode != 0 and "Traceback" not in stderr
    wait_until(lambda: not holders(directory))
    assert list(directory.iterdir()) == []


def test_the_observing_process_may_be_killed_too(
    running: "tuple[subprocess.Popen[str], Path]",
) -> None:
    process, directory = running
    wait_until(lambda: holders(directory))
    for pid in holders(directory):
        os.kill(pid, signal.SIGKILL)
    output, _ = process.communicate(timeout=30)
    (result,) = json.loads(output)["results"]
    assert result["status"] == "error"
    assert list(directory.iterdir()) == []


def test_a_real_disk_is_measured(lab: Path) -> None:
    script = (
        "loop data 6G defaults mkfs.ext4 -q -J size=4 -E lazy_itable_init=1,nodiscard\n"
        "mkdir $LAB/data/metadata\n"
    )
    config = filesystems.config(lab, metadata="data/metadata")
    result = filesystems.doctor(
        lab, script, "storage.performance", "--deep", "--role", "bioproxy", "--config", config
    )["storage.performance"]
    (measured,) = result["observation"]["measured"].values()
    assert measured["fsyncs"] > 1 and 0 < measured["fsync_p50"] <= measured["fsync_p99"]
    slowest = min(measured["write_rate"], measured["read_rate"])
    fsync, *_ = result["findings"]
    p99 = measured["fsync_p99"]
    judged = "pass" if p99 <= 0.010 else "warn" if p99 <= 0.100 else "fail"
    assert slowest > 0
    assert (fsync["subject"], fsync["status"]) == ("METADATA", judged)
