"""What an exporter is: a function from the report to a text, under `biostudio_doctor.exporters`."""

from typing import Protocol

from msgspec import Struct

from biostudio_doctor.model import Report


class Style(Struct, frozen=True, kw_only=True):
    """What the destination can show."""

    width: int = 80  # columns
    color: bool = False
    program: str = ""  # how biostudio-doctor is called there, if not by its bare name


class Exporter(Protocol):
    """The entry point's name is what `--output` calls it.

    It may have an attribute `mode`: the permissions of the file that `--output-file` makes of its
    text. Without one only the owner can read it.
    """

    def __call__(self, report: Report, style: Style) -> str:
        """The whole text, with its last newline."""
