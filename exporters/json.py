"""The report for machines; its schema is what `biostudio-doctor schema report` prints."""

import msgspec

from biostudio_doctor.exporter import Style
from biostudio_doctor.model import Report


def render(report: Report, style: Style) -> str:
    """The report as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2).decode() + "\n"
