"""What a bundle says of itself: manifest.json, the first entry of its archive.

The archive is a gzipped tar (pax) of one directory:

    NAME/manifest.json     this
    NAME/README.txt        what this is and how to read it without this tool
    NAME/report.html       for people: findings first
    NAME/report.txt        the table of `check`
    NAME/report.json       the whole report with its observations (docs/report.schema.json)
    NAME/config.json       the configuration in force, which `bundle judge` needs (configured.py)
    NAME/COLLECTOR/...     what each collector took

All entries are regular files: mode 0600, owner 0. A public interface (`schema bundle`).
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

SCHEMA_VERSION = "1.0"
NAME = "manifest.json"
REPORT = "report.json"
CONFIG = "config.json"


class Outcome(StrEnum):
    """How a collector or a file ended."""

    WHOLE = "whole"
    CUT = "cut"  # by its size: head and tail are there
    PARTIAL = "partial"  # by time or a failure: the beginning is there
    SKIPPED = "skipped"  # there is nothing to take here, and why
    FAILED = "failed"  # could not be had, and why


class BundledFile(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One entry of the archive, or one that was wanted and could not be had (then without sum)."""

    path: Annotated[str, Meta(description="In the archive, below its one directory.")]
    collector: Annotated[str, Meta(description="The collector's id; '' is the report.")]
    source: Annotated[str, Meta(description="The file, command or interface it is from.")]
    outcome: Outcome
    reason: Annotated[str, Meta(description="Why it is not whole.")] = ""
    size: Annotated[int, Meta(ge=0, description="Bytes in the archive.")] = 0
    left_out: Annotated[int, Meta(ge=0, description="Bytes cut out; 0 if it is whole.")] = 0
    sha256: Annotated[str, Meta(description="Of the entry's bytes; '' where there is none.")] = ""
    redactions: Annotated[
        dict[str, int], Meta(description="How many places of each kind were redacted.")
    ] = {}


class Collected(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How one collector fared."""

    id: str
    title: str
    outcome: Outcome
    reason: Annotated[str, Meta(description="Why it is not whole.")] = ""
    duration_seconds: Annotated[float, Meta(ge=0)] = 0.0


class Manifest(Struct, frozen=True, kw_only=True):
    """The whole bundle."""

    tool_version: str
    created_at: Annotated[datetime | None, Meta(description="UTC; null in a reproducible one.")]
    hostname: str
    since: datetime
    until: datetime
    obfuscated: Annotated[tuple[str, ...], Meta(description="Of hosts, ips and users.")]
    verified: Annotated[bool, Meta(description="Read back and found free of known secrets.")]
    allowed: Annotated[
        tuple[str, ...], Meta(description="Places that verification found and someone allowed.")
    ]
    collectors: tuple[Collected, ...]
    files: tuple[BundledFile, ...]
    schema_version: str = SCHEMA_VERSION


def report_is_whole(manifest: Manifest) -> bool:
    """Whether there is a report to be read: --only may leave it out, and checks may hang."""
    return any(one.path == REPORT and one.outcome is Outcome.WHOLE for one in manifest.files)
