"""What `egress trace --output json` prints: one Path, with what is needed to keep it."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from biostudio_doctor.probes.results import Path

SCHEMA_VERSION = "1.0"


class Trace(Struct, frozen=True, kw_only=True):
    """The way to one host, gone once. It holds no user name, password or query of a URL."""

    schema_version: str = SCHEMA_VERSION
    tool_version: str
    started_at: datetime
    reached: Annotated[
        bool | None, Meta(description="null: this tool cannot look through that proxy.")
    ]
    summary: Annotated[str, Meta(description="For people: where the way ended, and why.")]
    path: Path
