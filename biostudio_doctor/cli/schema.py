"""`biostudio-doctor schema`."""

import click
import msgspec

from biostudio_doctor.config import Config
from biostudio_doctor.model import Report

_SCHEMAS = {"report": Report, "config": Config}


@click.command()
@click.argument("name", type=click.Choice(tuple(_SCHEMAS)))
def schema(name: str) -> None:
    """Print the JSON Schema of the JSON report or of the configuration."""
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **msgspec.json.schema(_SCHEMAS[name]),
    }
    click.echo(msgspec.json.format(msgspec.json.encode(document), indent=2).decode())
