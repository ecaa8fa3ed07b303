"""The options that several commands share."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from biostudio_doctor.config import DEFAULT_FILE
from biostudio_doctor.model import PHASES, PLATFORMS, ROLES

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
TIMEOUT = click.option(
    "--timeout",
    type=float,
    default=15,
    show_default=True,
    metavar="SECONDS",
    help="How long all of it may take.",
)
CA_FILE = click.option(
    "--ca-file", metavar="FILE", help="PEM file of authorities to trust besides."
)
NO_COLOR = click.option("--no-color", is_flag=True, help="No colours on the terminal.")
TEXT_OR_JSON = click.option(
    "--output",
    type=click.Choice(("text", "json")),
    default="text",
    show_default=True,
    help="For people, or for programs.",
)

_SCOPE = (
    click.option("--role", type=click.Choice(ROLES), help="What this machine runs, or will run."),
    click.option("--phase", type=click.Choice(PHASES), help="Before the installation, or running."),
    click.option("--platform", type=click.Choice(PLATFORMS), help="What the containers run on."),
)
_REPORT = (
    click.option("--strict", is_flag=True, help="Exit with 1 for warnings too."),
    click.option(
        "--output",
        default="table",
        show_default=True,
        metavar="FORMAT",
        help="table, json, html, prometheus, openmetrics, textfile, or any exporter that is "
        "installed.",
    ),
    click.option(
        "--output-file",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Write there instead of to the terminal; only you can read it, unless it is a "
        "textfile.",
    ),
    NO_COLOR,
)


def scope(command: CommandT) -> CommandT:
    """--role, --phase and --platform, which else the configuration tells."""
    return _all(_SCOPE, command)


def report(command: CommandT) -> CommandT:
    """--strict, --output, --output-file and --no-color: what becomes of a report."""
    return _all(_REPORT, command)


def _all(options: Sequence[Callable[[CommandT], CommandT]], command: CommandT) -> CommandT:
    for option in reversed(options):
        command = option(command)
    return command
