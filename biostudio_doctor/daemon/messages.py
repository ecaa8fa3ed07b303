"""What the supervisor and the web process say to each other: one JSON object a line."""

from msgspec import Struct

from biostudio_doctor.config import Config
from biostudio_doctor.model import Report


class Snapshot(Struct, frozen=True, tag="snapshot"):
    """To the web process, whenever a check has ended or the configuration was reloaded.

    It holds every check of the plan: one that has not run yet has the status `unknown` and no
    finding. `config` is the one in force, for what the web process itself is configured by.
    """

    report: Report
    config: Config


class Beat(Struct, frozen=True, tag="beat"):
    """To the web process, about once a second while the schedule moves: what /healthz tells."""


class Listening(Struct, frozen=True, tag="listening"):
    """To the supervisor, once: the web process accepts connections."""

    at: str  # as URLs have it, such as "127.0.0.1:19842"


class Reload(Struct, frozen=True, tag="reload"):
    """To the supervisor: read the configuration again."""


class Reloaded(Struct, frozen=True, tag="reloaded"):
    """To the web process: the answer to Reload; `problem` is '' where it went well."""

    problem: str = ""


ToWeb = Snapshot | Beat | Reloaded
ToSupervisor = Listening | Reload
