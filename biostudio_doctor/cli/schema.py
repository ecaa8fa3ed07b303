"""`biostudio-doctor schema`."""

import json

import click
from msgspec import Struct

from biostudio_doctor import reference
from biostudio_doctor.bundle.manifest import Manifest
from biostudio_doctor.certificates.inspection import Inspection
from biostudio_doctor.config import Config
from biostudio_doctor.model import Report
from biostudio_doctor.trace import Trace

_SCHEMAS: dict[str, type[Struct]] = {
    "report": Report,
    "config": Config,
    "trace": Trace,
    "certificate": Inspection,
    "bundle": Manifest,
}


@click.command()
@click.argument("name", type=click.Choice(tuple(_SCHEMAS)))
def schema(name: str) -> None:
    """Print the JSON Schema of the configuration, or of what is printed as JSON."""
    click.echo(json.dumps(reference.schema(_SCHEMAS[name]), indent=2))
