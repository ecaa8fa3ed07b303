"""The command line. Each command's module is imported only when it is called: start-up counts."""

import contextlib
import gc
import os
import signal
import sys

import click

from biostudio_doctor import __version__
from biostudio_doctor.cli.lazy import LazyGroup
from biostudio_doctor.errors import DoctorError

_COMMANDS = {
    "check": "biostudio_doctor.cli.check:check",
    "list": "biostudio_doctor.cli.catalogue:list_checks",
    "explain": "biostudio_doctor.cli.catalogue:explain",
    "listen": "biostudio_doctor.cli.listen:listen",
    "daemon": "biostudio_doctor.cli.daemon:daemon",
    "matrix": "biostudio_doctor.cli.matrix:matrix",
    "egress": "biostudio_doctor.cli.egress:egress",
    "certificate": "biostudio_doctor.cli.certificate:certificate",
    "bundle": "biostudio_doctor.cli.bundle:bundle",
    "config": "biostudio_doctor.cli.config:config",
    "schema": "biostudio_doctor.cli.schema:schema",
}


class _Commands(LazyGroup):
    places = _COMMANDS


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
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
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored, it hides how programs end
    gc.set_threshold(100_000)  # to look for garbage among what is being imported finds none
    code = _run()
    with contextlib.suppress(OSError):  # whoever read our output is gone
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def _run() -> int:
    try:
        cli(prog_name="biostudio-doctor", standalone_mode=False)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    except (click.Abort, KeyboardInterrupt):
        return _refuse("interrupted", 130)  # as shells say it: 128 + SIGINT
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except DoctorError as error:
        return _refuse(str(error))
    except OSError as error:  # a full disk behind standard output, no more processes ...
        place = f"{error.filename}: " if error.filename else ""
        return _refuse(f"{place}{error.strerror or error}")
    return 0


def _refuse(problem: str, code: int = 2) -> int:
    with contextlib.suppress(OSError):
        click.echo(f"biostudio-doctor: {problem}", err=True)
    return code
