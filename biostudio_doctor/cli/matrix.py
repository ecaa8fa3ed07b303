"""`biostudio-doctor matrix`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec
from msgspec import Struct

from biostudio_doctor import tables
from biostudio_doctor.cli import terminal
from biostudio_doctor.errors import DoctorError
from biostudio_doctor.model import SCHEMA_VERSION
from biostudio_doctor.peers import verdicts
from biostudio_doctor.peers.facts import PeersFacts

_CHECK = "ports.peers"
_SIZE_LIMIT = 64 << 20  # bytes of a report


class _Result(Struct):
    id: str
    observation: Any = None


class _Report(Struct):
    """What is read of a report."""

    schema_version: str
    results: tuple[_Result, ...]


@click.command()
@click.argument(
    "files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path)
)
def matrix(files: tuple[Path, ...]) -> None:
    """Show which machine reaches which on which port, from the reports of several machines.

    Each FILE is what `biostudio-doctor check ports.peers --output json` wrote on one of them. Exit
    code: 0, or 2 where a file is no such report.
    """
    found = verdicts.matrix([facts for file in files for facts in _read(file)])
    if not found:
        raise DoctorError(f"no peer was asked in {', '.join(map(str, files))}")
    click.echo(tables.render(found, terminal.style(None, no_color=True).width))


def _read(file: Path) -> Iterator[PeersFacts]:
    try:
        with file.open("rb") as stream:
            report = msgspec.json.decode(stream.read(_SIZE_LIMIT), type=_Report)
        if _major(report.schema_version) != _major(SCHEMA_VERSION):
            wanted = f"this one reads schema {_major(SCHEMA_VERSION)}"
            raise DoctorError(f"{file}: is of another version of biostudio-doctor; {wanted}")
        for result in report.results:
            if result.id == _CHECK and result.observation is not None:
                yield msgspec.convert(result.observation, PeersFacts)
    except OSError as error:
        raise DoctorError(f"{file}: cannot be read: {error.strerror}") from None
    except (msgspec.MsgspecError, RecursionError):
        raise DoctorError(f"{file}: is no JSON report of biostudio-doctor") from None


def _major(version: str) -> str:
    return version.partition(".")[0]
