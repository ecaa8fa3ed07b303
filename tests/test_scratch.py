"""Whose scratch objects are whose, and what is never touched."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from biostudio_doctor import scratch
from biostudio_doctor.host import Host
from biostudio_doctor.host.trial import Trial, see, try_out
from tests.conftest import DEBIAN, MakeHost
from tests.lab import filesystems
from tests.lab.filesystems import as_nobody, needs_root
from tests.lab.stuck import stuck_mount

lab = filesystems.lab
US = scratch.owner(Host())
MINE = {os.geteuid()}


def ended() -> scratch.Owner:
    """A process of this host and boot that is no more."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    gone = structs.replace(US, pid=child.pid, start=scratch._start_of(child.pid) or 1)
    child.wait()
    return gone


def leave(directory: Path, owner: scratch.Owner, data: bytes | None = None) -> Path:
    file = directory / owner.new_name()
    file.write_bytes(scratch.content(file.name) if data is None else data)
    return file


def test_an_ended_run_s_file_is_removed_and_a_live_one_s_is_not(tmp_path: Path) -> None:
    gone, alive = leave(tmp_path, ended()), leave(tmp_path, US)
    renamed = leave(tmp_path, ended())
    renamed = renamed.rename(str(renamed) + scratch.RENAMED)
    assert scratch.sweep(str(tmp_path), US, MINE) == 2
    assert not gone.exists() and not renamed.exists() and alive.exists()


def test_half_written_and_empty_files_are_removed_too(tmp_path: Path) -> None:
    owner = ended()
    leave(tmp_path, owner, b"")
    file = leave(tmp_path, owner)
    os.truncate(file, 20)
    assert scratch.sweep(str(tmp_path), US, MINE) == 2 and not list(tmp_path.iterdir())


def test_of_another_boot_everything_has_ended() -> None:
    other = structs.replace(US, boot="0" * 8)
    assert US.abandoned([other.new_name()])


def test_another_container_s_file_is_in_use_for_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    name = structs.replace(US, space=1).new_name()
    assert not US.abandoned([name])
    now = scratch._uptime()
    monkeypatch.setattr(scratch, "_uptime", lambda: now + scratch._LONGEST_USE + 60)
    assert US.abandoned([name]) == [name]


def test_a_pid_that_was_given_anew_is_another_process() -> None:
    earlier = structs.replace(US, start=US.start - 1)
    assert US.abandoned([earlier.new_name()])


def test_clones_and_other_hosts_are_told_apart(make_host: MakeHost) -> None:
    host = make_host({"/etc/machine-id": "0123456789abcdef\n"})
    owners = []
    for name in ("one", "two"):
        host.machine = structs.replace(DEBIAN, hostname=name)
        owners.append(scratch.owner(host))
    assert owners[0].host != owners[1].host
    theirs = structs.replace(owners[1], boot="0" * 8).new_name()
    assert not owners[0].abandoned([theirs]) and owners[1].abandoned([theirs])


def test_what_only_looks_similar_is_never_touched(tmp_path: Path) -> None:
    owner, other = ended(), structs.replace(ended(), host="f" * 16)
    kept = [leave(tmp_path, other), leave(tmp_path, owner, b"my thesis")]
    kept.append(leave(tmp_path, owner))
    kept[-1].write_bytes(kept[-1].read_bytes() + b"and my own words")
    for name in (
        scratch.PREFIX + "notes.txt",
        owner.new_name() + ".bak",
        owner.new_name()[:-1] + "x",
        owner.prefix + "1-2-3-4-5-6-7",
    ):
        kept.append(tmp_path / name)
        kept[-1].write_bytes(scratch.content(name))
    edited = owner.new_name()
    kept.append(tmp_path / edited.replace(f"-{owner.pid}-", "-1-"))  # its seal does not fit
    kept[-1].write_bytes(scratch.content(kept[-1].name))
    target = tmp_path / "target"
    target.write_bytes(b"")
    kept.append(tmp_path / owner.new_name())
    kept[-1].symlink_to(target)
    kept.append(tmp_path / owner.new_name())
    os.link(leave(tmp_path, owner), kept[-1])
    kept.append(tmp_path / owner.new_name())
    kept[-1].mkdir()
    kept.append(tmp_path / owner.new_name())
    os.mkfifo(kept[-1])
    before = sorted(os.listdir(tmp_path))
    assert scratch.sweep(str(tmp_path), US, MINE) == 0
    assert sorted(os.listdir(tmp_path)) == before and target.exists()


@needs_root
def test_another_user_s_file_is_left_alone(tmp_path: Path) -> None:
    file = leave(tmp_path, ended())
    os.chown(file, 4711, -1)
    assert scratch.sweep(str(tmp_path), US, MINE) == 0 and file.exists()
    assert scratch.sweep(str(tmp_path), US, {0, 4711}) == 1


@given(st.text() | st.from_regex(scratch._NAME), st.binary(max_size=300))
def test_no_name_and_no_content_confuses(name: str, data: bytes) -> None:
    assert US.abandoned([name]) in ([], [name])
    assert not scratch.is_ours(name, data) or scratch.content(name).startswith(data)


def test_names_of_a_bucket_and_a_directory_are_bounded() -> None:
    assert len(US.new_name()) + len(scratch.RENAMED) < 200  # NAME_MAX is 255
    assert US.new_name() != US.new_name() and US.new_name().startswith(US.prefix)


def test_a_trial_leaves_nothing_and_takes_away_what_was_left(tmp_path: Path) -> None:
    leave(tmp_path, ended())
    trial = try_out(Host(), str(tmp_path), 5)
    assert trial.finished and not trial.problem and trial.removed_earlier == 1
    assert trial.owner == trial.us == os.geteuid()
    assert (trial.byte_lock, trial.whole_lock) == ("", "")
    assert abs(trial.clock or 0) < 1 and list(tmp_path.iterdir()) == []
    if trial.us == 0:
        assert trial.gives_away is True


def test_a_killed_trial_is_cleaned_up_by_the_next(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys; from biostudio_doctor.host import Host, trial\n"
        "trial.os.fchmod = lambda *a: os.kill(os.getpid(), signal.SIGKILL)\n"
        "trial.try_out(Host(), sys.argv[1], 5)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    assert done.returncode == -9 and len(list(tmp_path.iterdir())) == 1
    assert try_out(Host(), str(tmp_path), 5).removed_earlier == 1
    assert list(tmp_path.iterdir()) == []


@needs_root
def test_a_trial_where_writing_is_not_allowed(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)

    def denied() -> bool:
        trial = try_out(Host(), str(tmp_path), 5)
        return (trial.step, trial.problem) == ("create a file", "Permission denied")

    assert as_nobody(tmp_path, denied)


@needs_root
def test_a_full_and_a_read_only_file_system(lab: Path) -> None:
    script = """
    mkdir -p $LAB/full; mount -t tmpfs -o size=16k full $LAB/full
    head -c 64k /dev/zero > $LAB/full/all 2>/dev/null || true
    loop still 4M defaults mkfs.ext4 -q; mount -o remount,ro $LAB/still
    """
    code = (
        "import os, sys; from biostudio_doctor.host import Host; "
        "from biostudio_doctor.host.trial import *\n"
        "for name in 'full', 'still':\n"
        "    where = os.path.join(sys.argv[1], name)\n"
        "    trial = try_out(Host(), where, 5)\n"
        "    left = [name for name in os.listdir(where) if 'scratch' in name]\n"
        "    print(name, trial.errno, trial.finished, left)\n"
    )
    done = filesystems.run(lab, script, [sys.executable, "-c", code, str(lab)])
    assert done.stdout.split("\n")[:2] == ["full 28 False []", "still 30 False []"], done.stderr


@needs_root
def test_a_mount_that_hangs_costs_its_own_time(tmp_path: Path) -> None:
    tmp_path.joinpath("m").mkdir()
    with stuck_mount(tmp_path / "m") as stuck:
        mounted = see(Host(), str(stuck), 0.3)
        assert mounted.hung and "no answer within 0.3 s" in mounted.problem
        trial = try_out(Host(), str(stuck), 0.3)
        assert isinstance(trial, Trial) and trial.errno == 110 and trial.step == "create a file"
