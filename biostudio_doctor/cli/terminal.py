"""What the commands share about the terminal: how wide and how colourful."""

import os
import shlex
import shutil
import sys
from pathlib import Path

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


def can_redraw() -> bool:
    """Whether standard error is a terminal on which a line can be written anew."""
    return sys.stderr.isatty() and not _is_dumb()


def _is_dumb() -> bool:
    return os.environ.get("TERM") == "dumb"


def can_show(character: str) -> bool:
    """Whether standard output's encoding has a character."""
    try:
        character.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True
