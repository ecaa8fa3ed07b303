"""The command line. Each command's module is imported only when it is called: start-up counts."""

import importlib
import os
import sys

import click

from biostudio_doctor import __version__
from biostudio_doctor.errors import DoctorError

_COMMANDS = {
    "check": "biostudio_doctor.cli.check:check",
    "list": "biostudio_doctor.cli.catalogue:list_checks",
    "explain": "biostudio_doctor.cli.catalogue:explain",
    "config": "biostudio_doctor.cli.config:config",
    "schema": "biostudio_doctor.cli.schema:schema",
}


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="biostudio-doctor %(version)s")
def cli() -> None:
    """Is this server fit for BioStudio, and if not, what must be done?

    Begin with `biostudio-doctor check`. It only reads.
    """


def main() -> None:
    """Run the program: exit code 2 and one line for whatever the user can mend."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal may know fewer characters than we
    try:
        cli(prog_name="biostudio-doctor")
    except DoctorError as error:
        click.echo(f"biostudio-doctor: {error}", err=True)
        _leave(2)


def _leave(code: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
