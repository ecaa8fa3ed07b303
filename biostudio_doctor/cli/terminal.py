"""What the commands share about their output: the terminal's width and colours, and files."""

import os
import shlex
import shutil
import sys
from pathlib import Path

import click

from biostudio_doctor.errors import DoctorError
from biostudio_doctor.exporter import Style


def style(output_file: Path | None, no_color: bool) -> Style:
    """What the destination can show."""
    terminal = output_file is None and sys.stdout.isatty()
    color = terminal and not no_color and not os.environ.get("NO_COLOR") and not _is_dumb()
    width = max(60, shutil.get_terminal_size((80, 24)).columns)
    return Style(width=width, color=color, program=_program())


def _program() -> str:
    """The path that we were called by, where the shell would not find us by name."""
    called = sys.argv[0]
    if os.path.basename(called) != "biostudio-doctor":  # python -m
        return f"{shlex.quote(sys.executable)} -m biostudio_doctor"
    found = shutil.which("biostudio-doctor")
    return (
        "" if found and os.path.realpath(found) == os.path.realpath(called) else shlex.quote(called)
    )


class Line:
    """A line on standard error that tells what is waited for; nothing where that is no terminal."""

    def __init__(self) -> None:
        self.able = sys.stderr.isatty() and not _is_dumb()
        self._shown = ""

    def show(self, words: str) -> None:
        """Write it anew, as far as it fits: what goes on in a next line could not be cleared."""
        if not self.able or words == self._shown:
            return
        width = (os.get_terminal_size(sys.stderr.fileno()).columns or 80) - 1
        click.echo(f"\r\x1b[K{words[:width]}", err=True, nl=False)
        self._shown = words

    def clear(self) -> None:
        """Leave an empty line."""
        if self._shown:
            click.echo("\r\x1b[K", err=True, nl=False)
            self._shown = ""


def _is_dumb() -> bool:
    return os.environ.get("TERM") == "dumb"


def can_show(character: str) -> bool:
    """Whether standard output's encoding has a character."""
    try:
        character.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def write(text: str, path: Path | None, mode: int = 0o600) -> None:
    """To the terminal, or whole or not at all to a file that only its owner can read.

    Another `mode` holds whatever the umask is.
    """
    if path is None:
        click.echo(text, nl=False)
        return
    path = Path(os.path.realpath(path))  # a link stays one
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        if path.exists() and not path.is_file():  # a pipe or a device is written to, not replaced
            path.write_text(text, encoding="utf-8", errors="replace")
            return
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with open(descriptor, "w", encoding="utf-8", errors="replace") as file:
                file.write(text)
                os.fchmod(descriptor, mode)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise DoctorError(f"--output-file: {path} cannot be written: {error.strerror}") from None
