"""A report on its way out, by any exporter that is installed."""

from pathlib import Path

from biostudio_doctor import registry
from biostudio_doctor.cli import terminal
from biostudio_doctor.errors import DoctorError
from biostudio_doctor.exporter import Exporter
from biostudio_doctor.model import Report


def refuse(name: str, path: Path | None) -> None:
    """Say at once, not after the run, that there is no such exporter, or no place for the file."""
    if path and not path.parent.is_dir():
        raise DoctorError(f"--output-file: the directory {path.parent} does not exist")
    if path and path.is_dir():
        raise DoctorError(f"--output-file: {path} is a directory")
    known = registry.find(registry.EXPORTERS)
    if name not in known:
        raise DoctorError(f"--output: '{name}' is unknown; known: {', '.join(sorted(known))}")


def load(name: str) -> Exporter:
    """Import one that is known."""
    try:
        exporter: Exporter = registry.find(registry.EXPORTERS)[name].load()
    except registry.PluginError as error:
        raise DoctorError(str(error)) from None
    return exporter


def write(report: Report, render: Exporter, path: Path | None, no_color: bool) -> None:
    """Export it, to a file or to the terminal."""
    text = render(report, terminal.style(path, no_color))
    terminal.write(text, path, getattr(render, "mode", 0o600))
