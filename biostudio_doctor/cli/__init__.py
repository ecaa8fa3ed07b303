"""The command line. Each command's module is imported only when it is called: start-up counts."""

import contextlib
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


def _settle_streams() -> None:
    """Open streams that are closed, as some cron jobs leave them; spare poor terminals errors."""
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:  # else the next pipe would be taken for it
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free, which is this one
            setattr(sys, name, os.fdopen(descriptor, "w" if descriptor else "r"))
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def main() -> None:
    """Run the program: exit code 2 and one line for whatever the user can mend.

    Leaves without the interpreter's own clearing up, which costs a tenth of a whole run.
    """
    _settle_streams()
    code: int | str | None
    try:
        cli(prog_name="biostudio-doctor")
        code = 0
    except DoctorError as error:
        click.echo(f"biostudio-doctor: {error}", err=True)
        code = 2
    except SystemExit as end:
        code = end.code
    with contextlib.suppress(OSError):  # whoever read our output is gone
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 0)
