"""What the tests of making bundles share: gathering with made collectors, and the whole command."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from biostudio_doctor.bundle.gather import Gathered, Gathering
from biostudio_doctor.bundle.manifest import BundledFile, Manifest
from biostudio_doctor.bundle.reader import reading
from biostudio_doctor.collector import Collector, Item, Surroundings, Window
from biostudio_doctor.config import Config
from biostudio_doctor.host import Host
from biostudio_doctor.redaction.redactor import Redactor
from tests.conftest import DEBIAN
from tests.lab.plugins import install

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def collector(
    items: Callable[[Collector], Iterator[Item]],
    seconds: float = 10,
    why_not: str | None = None,
) -> type[Collector]:
    """A collector's class."""

    class Made(Collector):
        """Made for a test."""

        id = "made"
        timeout = timedelta(seconds=seconds)

        def items(self) -> Iterator[Item]:
            return items(self)

        def why_not(self) -> str | None:
            return why_not

    return Made


def surroundings(host: Host | None = None) -> Surroundings:
    return Surroundings(
        host=host or Host(),
        machine=DEBIAN,
        config=Config(),
        window=Window(since=NOW - timedelta(days=1), until=NOW),
    )


def gather(
    *classes: type[Collector],
    host: Host | None = None,
    seconds: float = 20,
    most: int = 1 << 30,
    **options: Any,
) -> list[Gathered]:
    """What is gathered by collectors, which are called made0, made1 ..."""
    redactor = Redactor(b"k" * 32, ["known-secret-of-a-test"])
    gathering = Gathering(
        {f"made{number}": one for number, one in enumerate(classes)},
        surroundings(host),
        redactor,
        new_spool=lambda: tempfile.TemporaryFile(buffering=0),  # noqa: SIM115
        most=most,
        concurrency=options.pop("concurrency", 4),
        **options,
    )
    return gathering.run(seconds)


def files(one: Gathered) -> dict[str, BundledFile]:
    """By their names below the collector's directory."""
    return {file.path.partition("/")[2]: file for file in one.files}


def content(one: Gathered, name: str) -> bytes:
    """Of an entry."""
    assert one.spool
    (number,) = [i for i, file in enumerate(one.files) if file.path.partition("/")[2] == name]
    return os.pread(one.spool.fileno(), one.files[number].size, one.places[number])


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the collectors of tests/plugins/gathering are installed."""
    return install("gathering", tmp_path_factory.mktemp("gathering") / "site")


class Command:
    """`bundle`, run as by a person in a directory of its own."""

    def __init__(self, site: Path, directory: Path) -> None:
        self.site = site
        self.directory = directory

    def environment(self, env: dict[str, str]) -> dict[str, str]:
        path = os.pathsep.join([str(self.site), *filter(None, [os.environ.get("PYTHONPATH")])])
        return {**os.environ, "PYTHONPATH": path, **env}

    def start(
        self, *arguments: str, before: tuple[str, ...] = (), **env: str
    ) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*before, sys.executable, "-m", "biostudio_doctor", "bundle", *arguments],
            env=self.environment(env),
            cwd=self.directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(
        self, *arguments: str, before: tuple[str, ...] = (), **env: str
    ) -> subprocess.CompletedProcess[str]:
        with self.start(*arguments, before=before, **env) as process:
            out, err = process.communicate(timeout=90)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    @property
    def left(self) -> list[str]:
        """All names in the directory."""
        return sorted(os.listdir(self.directory))

    @property
    def path(self) -> Path:
        """Of the only bundle there is."""
        (name,) = self.left
        return self.directory / name

    @property
    def manifest(self) -> Manifest:
        """Of the only bundle, every byte of which is checked against it."""
        with reading(self.path) as bundle:
            for _ in bundle.entries():
                pass
            return bundle.manifest

    def entry(self, path: str) -> bytes:
        with reading(self.path) as bundle:
            return bundle.documents(lambda file: file.path == path)[path]


@pytest.fixture
def bundle(made: Path, tmp_path: Path) -> Command:
    directory = tmp_path / "out"
    directory.mkdir()
    return Command(made, directory)


@pytest.fixture
def public() -> Iterator[Path]:
    """A directory such as /tmp: everybody may write there, and remove only what is theirs."""
    directory = Path(tempfile.mkdtemp())
    directory.chmod(0o1777)
    yield directory
    shutil.rmtree(directory)
