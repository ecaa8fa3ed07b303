"""What `certificate inspect --output json` prints: certificates, and what each client says of them.

Keys and passwords do not stand in it: of a private key only whether it belongs to the certificate.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

from biostudio_doctor.certificates.facts import CertificateFacts

SCHEMA_VERSION = "1.0"

Client = Literal["browser", "curl", "conda"]
Says = Literal["accepts", "partly", "refuses", "unknown"]
Role = Literal["server", "intermediate", "root", "authority"]
State = Literal["fine", "wrong", "undetermined", "unreached", "unread"]


class Reason(Struct, frozen=True, kw_only=True):
    """Why a client does not simply accept."""

    cause: Annotated[str, Meta(description="A stable word, such as 'expired'.")]
    text: Annotated[str, Meta(description="A clause in plain words, about 'it'.")]
    rule: Annotated[
        bool,
        Meta(description="Known from what the client publishes, and not tried out here."),
    ] = False
    words: Annotated[
        tuple[str, ...],
        Meta(description="The client's own words; of browsers, Chrome's, then Firefox's."),
    ] = ()
    advice: Annotated[str, Meta(description="What helps, or what comes of it.")] = ""


class Verdict(Struct, frozen=True, kw_only=True):
    """What one client says."""

    client: Annotated[Client, Meta(description="'conda' stands for requests and pip as well.")]
    says: Annotated[
        Says, Meta(description="'partly': some versions do, or only under a condition.")
    ]
    trusts: Annotated[str, Meta(description="The authorities that it was verified with.")]
    anchor: Annotated[str, Meta(description="The one of them at which trust ends.")] = ""
    reasons: Annotated[
        tuple[Reason, ...], Meta(description="The one that the client names stands first.")
    ] = ()


class Link(Struct, frozen=True, kw_only=True):
    """One certificate in its place."""

    role: Role
    certificate: CertificateFacts
    seconds_left: Annotated[int, Meta(description="Negative once it has expired.")]
    related: Annotated[bool, Meta(description="It is the server's certificate, or above it.")] = (
        True
    )


class Inspected(Struct, frozen=True, kw_only=True):
    """One target."""

    target: Annotated[str, Meta(description="As it was given, without user and password.")]
    state: State
    problem: Annotated[str, Meta(description="Why no certificate was had.")] = ""
    kind: Annotated[str, Meta(description="Of a file, such as 'PEM'; 'TLS' of an endpoint.")] = ""
    path: Annotated[str, Meta(description="The file in a directory that was read.")] = ""
    spoken: Annotated[str, Meta(description="Version and cipher of TLS.")] = ""
    name: Annotated[str, Meta(description="The host that it was asked for; '' for any.")] = ""
    chain: Annotated[tuple[Link, ...], Meta(description="As they stand there.")] = ()
    anchor: Annotated[
        str, Meta(description="The authority known to this host, or given, at which it ends.")
    ] = ""
    anchored_by: Literal["system", "given", ""] = ""
    key: Annotated[
        Literal["matches", "differs", "unreadable", ""],
        Meta(description="Whether the private key that was found belongs to it."),
    ] = ""
    remarks: Annotated[tuple[Reason, ...], Meta(description="What is wrong besides.")] = ()
    verdicts: tuple[Verdict, ...] = ()


class Inspection(Struct, frozen=True, kw_only=True):
    """All targets, in the order in which they were given."""

    schema_version: str = SCHEMA_VERSION
    tool_version: str
    inspected_at: datetime
    inspected: tuple[Inspected, ...]
