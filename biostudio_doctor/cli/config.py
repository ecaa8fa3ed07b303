"""`biostudio-doctor config init|validate|show`."""

from pathlib import Path
from typing import Any

import click
import msgspec

from biostudio_doctor import config as configuration
from biostudio_doctor import plan, reference
from biostudio_doctor.cli.lazy import Group
from biostudio_doctor.cli.terminal import write
from biostudio_doctor.errors import DoctorError

_FILE = click.argument("file", type=click.Path(path_type=Path), required=False, metavar="[FILE]")


@click.group(cls=Group)
def config() -> None:
    """Make, check and show the configuration file."""


@config.command()
@_FILE
def init(file: Path | None) -> None:
    """Write a commented configuration to FILE, or to the terminal. Never overwrites."""
    if file and file.exists():
        raise DoctorError(f"{file} exists already; it is left as it is")
    if file and not file.parent.is_dir():
        raise DoctorError(f"the directory {file.parent} does not exist")
    write(reference.config_template(), file)


@config.command()
@_FILE
def validate(file: Path | None) -> None:
    """Check FILE, or the installed configuration, without running anything."""
    from biostudio_doctor.daemon.changes import refuse_unfit

    source = file or configuration.DEFAULT_FILE
    refuse_unfit(plan.make(configuration.load(source), source=str(source)))
    click.echo(f"{source}: valid")


@config.command()
@_FILE
def show(file: Path | None) -> None:
    """Show the configuration in force, with its defaults, as TOML."""
    import tomli_w

    data = msgspec.to_builtins(configuration.load(file))
    click.echo(tomli_w.dumps(_without_none(data)), nl=False)


def _without_none(data: Any) -> Any:
    """The same without keys that have no value, which TOML cannot say."""
    if isinstance(data, dict):
        return {key: _without_none(value) for key, value in data.items() if value is not None}
    return [_without_none(item) for item in data] if isinstance(data, list | tuple) else data
