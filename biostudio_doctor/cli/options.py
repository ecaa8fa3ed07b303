"""The options that several commands share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from biostudio_doctor.config import DEFAULT_FILE, PHASES, PLATFORMS, ROLES

CommandT = TypeVar("CommandT", bound=Callable[..., Any])

CONFIG = click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help=f"Configuration file.  [default: {DEFAULT_FILE}, if it exists]",
)
HOST_ROOT = click.option(
    "--host-root",
    default="/",
    show_default=True,
    metavar="DIR",
    help="Where the host's file system is, such as /host in a container.",
)
NO_COLOR = click.option("--no-color", is_flag=True, help="No colours on the terminal.")

_SCOPE = (
    click.option("--role", type=click.Choice(ROLES), help="What this machine runs, or will run."),
    click.option("--phase", type=click.Choice(PHASES), help="Before the installation, or running."),
    click.option("--platform", type=click.Choice(PLATFORMS), help="What the containers run on."),
)


def scope(command: CommandT) -> CommandT:
    """--role, --phase and --platform, which else the configuration tells."""
    for option in reversed(_SCOPE):
        command = option(command)
    return command
