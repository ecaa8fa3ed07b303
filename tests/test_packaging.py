"""A plain installation works as the editable one does, and puts nothing else into site-packages."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built in a copy, since setuptools writes beside the sources."""
    copy = tmp_path_factory.mktemp("source")
    tracked = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split("\0")  # fmt: skip
    for name in tracked:
        if (ROOT / name).is_file():  # git lists what was just removed, too
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).write_bytes((ROOT / name).read_bytes())
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index"]
    command += ["--no-build-isolation", "--wheel-dir", str(out), str(copy)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (built,) = out.iterdir()
    return built


def test_the_wheel_holds_the_three_rooms_and_nothing_beside_them(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"biostudio_doctor"}
    shipped = {name for name in names if name.startswith("biostudio_doctor/")}
    for room, inside in (
        ("biostudio_doctor", ""),
        ("checks", "checks/"),
        ("exporters", "exporters/"),
    ):
        for file in (ROOT / room).rglob("*"):
            if file.suffix in (".py", ".toml", ".typed", ".css", ".html", ".js"):
                relative = file.relative_to(ROOT / room)
                assert f"biostudio_doctor/{inside}{relative}" in shipped


def test_a_plain_installation_works(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*command, "--target", str(site), str(wheel)], check=True)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "biostudio_doctor", "check", "cpu.count", "os.kernel"],
        env={**os.environ, "PYTHONPATH": str(site)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "cpu.count" in done.stdout and "broke" not in done.stdout and done.stderr == ""
    place = "import biostudio_doctor.checks.cpu_count as c; print(c.__file__)"
    shown = subprocess.run(
        [sys.executable, "-P", "-c", place],
        env={**os.environ, "PYTHONPATH": str(site)},
        cwd=tmp_path, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert shown.startswith(str(site))


def test_packages_are_all_listed() -> None:
    """A folder of the engine that is not listed would be missing in the wheel."""
    import tomllib

    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    rooms = {
        "biostudio_doctor": "",
        "checks": "biostudio_doctor.",
        "exporters": "biostudio_doctor.",
    }
    found = {
        prefix + ".".join(init.parent.relative_to(ROOT).parts)
        for room, prefix in rooms.items()
        for init in (ROOT / room).rglob("__init__.py")
    }
    assert set(listed) == found
