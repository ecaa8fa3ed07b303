"""What an exporter is: a function from the report to a text, under `biostudio_doctor.exporters`."""

import re
from typing import Protocol

from msgspec import Struct

from biostudio_doctor.model import Report, Status

#: What a terminal shows a status in, as click names colours.
COLORS = {
    Status.FAIL: "red", Status.ERROR: "magenta", Status.WARN: "yellow",
    Status.UNKNOWN: "bright_black", Status.SKIP: "bright_black", Status.PASS: "green",
}  # fmt: skip
_READABLE = 110  # columns

_OUR_COMMANDS = (
    r"(?<![\w/.-])biostudio-doctor"
    r"(?= (?:bundle|certificate|check|config|explain|list|egress|listen|matrix)\b)"
)


class Style(Struct, frozen=True, kw_only=True):
    """What the destination can show."""

    width: int = 80  # columns
    color: bool = False
    program: str = ""  # how biostudio-doctor is called there, if not by its bare name

    @property
    def readable(self) -> int:
        """Columns; no sentence is set wider."""
        return min(self.width, _READABLE)

    def as_called(self, words: str) -> str:
        """Words with our own commands as they work there, where they may not be on PATH."""
        if not self.program:
            return words
        return re.sub(_OUR_COMMANDS, lambda _: self.program, words)


class Exporter(Protocol):
    """The entry point's name is what `--output` calls it.

    It may have an attribute `mode`: the permissions of the file that `--output-file` makes of its
    text. Without one only the owner can read it.
    """

    def __call__(self, report: Report, style: Style) -> str:
        """The whole text, with its last newline."""
