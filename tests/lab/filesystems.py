"""Real file systems in a mount namespace of their own, which is gone with the commands run in it.

A shell script mounts what a test wants, below a directory that is $LAB to it; then the tool runs
beside those mounts. Loop devices detach themselves with their last mount. `place` makes facts of
file systems that cannot be had here.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from biostudio_doctor.host.mounts import Mount
from biostudio_doctor.host.places import Place, Room

_LOOP = """
loop() { # loop DIRECTORY SIZE OPTIONS MKFS...: make and mount a file system in a sparse file
    local directory="$LAB/$1" size=$2 options=$3; shift 3
    mkdir -p "$directory"
    truncate -s "$size" "$directory.img"
    "$@" "$directory.img" >/dev/null 2>&1
    mount -o "loop,$options" "$directory.img" "$directory"
}
"""


@functools.cache
def _why_not() -> str | None:
    """Why loop devices cannot be mounted here, or None if they can."""
    if os.geteuid() != 0:
        return "needs root to mount"
    with tempfile.TemporaryDirectory() as directory:
        done = run(Path(directory), "loop try 8M defaults mkfs.ext4 -q", ["true"])
    return f"loop mounts are not allowed here: {done.stderr.strip()}" if done.returncode else None


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """The directory to mount below; skips where that is not possible."""
    reason = _why_not()
    if reason:
        pytest.skip(reason)
    return tmp_path


def let_all_in(directory: Path) -> None:
    """Let every user enter a directory of pytest's, which keeps them and those above to itself."""
    for each in (directory, *directory.parents):
        if Path(tempfile.gettempdir()) in each.parents:
            each.chmod(0o755)


def as_nobody(directory: Path, question: Callable[[], bool]) -> bool:
    """Ask something in a process without any rights, which may enter the directory."""
    let_all_in(directory)
    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(BaseException):
            os.setgroups([])
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
            os._exit(0 if question() else 1)
        os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give it up, or to mount")


def needs(program: str) -> pytest.MarkDecorator:
    """Skip a test where a program is missing."""
    found = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    return pytest.mark.skipif(not found, reason=f"needs {program}")


def doctor(tmp_path: Path, script: str, *arguments: str) -> dict[str, dict[str, Any]]:
    """Mount, then run `check` there; the results by id."""
    command = [sys.executable, "-m", "biostudio_doctor", "check", "--output", "json", *arguments]
    done = run(tmp_path, script, command)
    assert done.stderr == "", done.stderr
    return {result["id"]: result for result in json.loads(done.stdout)["results"]}


def findings(result: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The findings of one result by subject."""
    return {finding["subject"]: finding for finding in result["findings"]}


def config(tmp_path: Path, **paths: str) -> str:
    """A configuration with these directories of the lab as tiers."""
    file = tmp_path / "config.toml"
    lines = [f'{tier} = "{tmp_path}/{path}"' for tier, path in paths.items()]
    file.write_text("\n".join(["[storage]", *lines, ""]))
    return str(file)


def run(tmp_path: Path, script: str, command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a command beside the mounts that a script makes."""
    return subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "bash", "-c",
         f'set -e\n{_LOOP}\n{script}\nexec "$@"', "bash", *command],
        env={**os.environ, "LAB": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )  # fmt: skip


def place(
    path: str,
    gb: float,
    used: float = 0,
    *,
    size: float | None = None,
    device: str = "8:1",
    fs_type: str = "ext4",
    target: str = "/",
    source: str = "/dev/sda1",
    options: str = "rw",
    root: str = "/",
    super_options: str = "rw",
    inodes: tuple[int, int] = (10_000_000, 9_000_000),
    **changes: Any,
) -> Place:
    """A made place, with sizes in GB; `inodes` in all and free."""
    mount = Mount(
        mount_id=1, device=device, root=root, target=target, options=tuple(options.split(",")),
        type=fs_type, source=source, super_options=tuple(super_options.split(",")),
    )  # fmt: skip
    room = Room(
        size=int((gb + used if size is None else size) * 1e9),
        used=int(used * 1e9),
        available=int(gb * 1e9),
        inodes=inodes[0],
        inodes_free=inodes[1],
    )
    made = Place(path=path, existing=path, exists=True, mount=mount, device=device, room=room)
    return structs.replace(made, **changes)
