"""Modes and places: only the owner reads it, and nobody else decides where it goes."""

import os
import stat
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from msgspec import structs

from biostudio_doctor import scratch
from biostudio_doctor.host import Host
from tests.bundle.conftest import Command

PLAIN = ("--only", "made.plain")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to be somebody else")
NOBODY = 65534


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.mark.parametrize("umask", ["000", "022", "777"])
def test_only_the_owner_reads_it_whatever_the_umask(bundle: Command, umask: str) -> None:
    """Also before it has its name."""
    before = ("sh", "-c", f'umask {umask}; exec "$@"', "sh")
    seen: set[int] = set()
    slow = ("--only", "made.slow")
    with bundle.start(*PLAIN, *slow, before=before, MADE_SLEEP="0.5") as process:
        while process.poll() is None:
            for name in bundle.left:
                seen.add(mode(bundle.directory / name))
            time.sleep(0.01)
        assert process.returncode == 0, process.stderr and process.stderr.read()
    assert {0o600} <= seen <= {0, 0o600} and mode(bundle.path) == 0o600
    assert os.stat(bundle.path).st_nlink == 1


def test_a_file_that_was_open_to_all_is_replaced(bundle: Command) -> None:
    path = bundle.directory / "b.tar.gz"
    path.write_text("old")
    path.chmod(0o666)
    with path.open() as reader:
        assert bundle(*PLAIN, "--output", "b.tar.gz").returncode == 0
        assert reader.read() == "old", "whoever had it open sees nothing of the new one"
    assert mode(path) == 0o600 and bundle.manifest.verified


@pytest.mark.parametrize("kind", ["link", "dangling", "pipe", "device"])
def test_nothing_else_is_written_to(bundle: Command, tmp_path: Path, kind: str) -> None:
    path, target = bundle.directory / "b.tar.gz", tmp_path / "target"
    if kind == "link":
        target.write_text("theirs")
    if kind in ("link", "dangling"):
        path.symlink_to(target)
    elif kind == "pipe":
        os.mkfifo(path)
    elif os.geteuid():
        pytest.skip("only root makes devices")
    else:
        os.mknod(path, 0o20666, os.makedev(1, 3))
    done = bundle(*PLAIN, "--output", "b.tar.gz")
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "b.tar.gz" in done.stderr
    assert (bundle.left == ["b.tar.gz"] and not path.is_file()) or kind == "link"
    if kind == "link":
        assert target.read_text() == "theirs" and path.is_symlink()
    assert kind != "dangling" or not target.exists()


def test_a_link_that_is_laid_meanwhile(bundle: Command, tmp_path: Path) -> None:
    path, target = bundle.directory / "b.tar.gz", tmp_path / "target"
    target.write_text("theirs")
    with bundle.start("--only", "made.slow", "--output", "b.tar.gz", MADE_SLEEP="2") as process:
        while not bundle.left:
            time.sleep(0.01)
        path.symlink_to(target)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 2 and "symbolic link" in err
    assert bundle.left == ["b.tar.gz"] and target.read_text() == "theirs"


def _as_nobody(script: str, directory: Path) -> None:
    command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-ec", script]
    subprocess.run(command, cwd=directory, check=True)


@as_root
@pytest.mark.parametrize("planted", ["ln -s /etc/passwd", "ln -s x", "touch"])
def test_what_another_user_planted(made: Path, public: Path, planted: str) -> None:
    _as_nobody(f"{planted} b.tar.gz", public)
    passwd = Path("/etc/passwd").read_bytes()
    done = Command(made, public)(*PLAIN, "--output", "b.tar.gz")
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert Path("/etc/passwd").read_bytes() == passwd
    assert os.listdir(public) == ["b.tar.gz"] and not (public / "x").exists()
    assert (public / "b.tar.gz").lstat().st_uid == NOBODY


@as_root
def test_anothers_private_file_is_not_removed(made: Path, public: Path) -> None:
    """It has the very name that a run of ours that was killed would have left."""
    with subprocess.Popen([sys.executable, "-c", "pass"]) as ended:
        pass
    gone = structs.replace(scratch.owner(Host()), pid=ended.pid, start=1)
    name = f".biostudio-doctor-bundle{gone.new_name()}"
    _as_nobody(f"touch '{name}'", public)
    bundle = Command(made, public)
    assert bundle(*PLAIN).returncode == 0
    assert name in bundle.left
    (public / name).unlink()
    (public / name).touch()  # now it is our own
    assert bundle(*PLAIN, "--output", "second.tar.gz").returncode == 0
    assert name not in bundle.left


def test_a_directory_may_be_named(bundle: Command, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    done = bundle(*PLAIN, "--output", str(other))
    assert done.returncode == 0
    (name,) = os.listdir(other)
    assert name.startswith("biostudio-doctor-bundle-") and name.endswith("Z.tar.gz")
    assert f" bundle inspect {other}/{name}\n" in done.stdout
    assert bundle.left == []


@pytest.mark.parametrize("obfuscate", [(), ("--obfuscate", "hosts")])
def test_a_name_that_nobody_gave_replaces_nothing(
    bundle: Command, obfuscate: tuple[str, ...]
) -> None:
    """Reproducible bundles have all the same name, as others of the same second have."""
    with ExitStack() as stack:
        runs = [
            stack.enter_context(bundle.start(*PLAIN, "--reproducible", *obfuscate))
            for _ in range(3)
        ]
        told = [run.communicate(timeout=90)[0].splitlines() for run in runs]
    paths = sorted(Path(lines[0]).name for lines in told)
    stem = paths[-1].removesuffix(".tar.gz")
    assert paths == [f"{stem}-2.tar.gz", f"{stem}-3.tar.gz", f"{stem}.tar.gz"]
    assert len({(bundle.directory / path).read_bytes() for path in paths}) == 1
    maps = [f"{path}.names.json" for path in paths] if obfuscate else []
    assert bundle.left == sorted(paths + maps)
    assert all(f"for you alone: {lines[0]}.names.json" in "".join(lines) for lines in told if maps)
    for name in maps:
        (bundle.directory / name).unlink()
    assert bundle(*PLAIN, "--reproducible", *obfuscate).returncode == 0
    new = [f"{stem}-4.tar.gz", f"{stem}-4.tar.gz.names.json"][: len(maps) + 1]
    assert bundle.left == sorted(paths + new), "a map has the name of its bundle"


@pytest.mark.parametrize("output", ["none/", "none/x.tar.gz", "a" * 300])
def test_where_nothing_can_be_written(bundle: Command, output: str) -> None:
    done = bundle(*PLAIN, "--output", output)
    assert done.returncode == 2 and bundle.left == []
    assert done.stderr.startswith("biostudio-doctor: --output: ")
    assert output.partition("/")[0] in done.stderr and done.stderr.count("\n") == 1
