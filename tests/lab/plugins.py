"""Packages of tests/plugins, built and installed beside the tool, as a third party's would be."""

import subprocess
import sys
from pathlib import Path

PLUGINS = Path(__file__).parent.with_name("plugins")


def install(name: str, target: Path) -> Path:
    """Build a package of tests/plugins and install it into a directory."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    command += ["--no-build-isolation", "--target", str(target), str(_copied(name, target))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return target


def _copied(name: str, target: Path) -> Path:
    """A copy to build in, since setuptools writes beside the sources."""
    copy = target.parent / f"{name}-source"
    copy.mkdir()
    for file in (PLUGINS / name).iterdir():
        if file.is_file():
            (copy / file.name).write_bytes(file.read_bytes())
    return copy
