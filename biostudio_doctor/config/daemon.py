"""`biostudio-doctor daemon`: [daemon], and what /probe may ask."""

from typing import Annotated, Literal

from msgspec import Meta, field

from biostudio_doctor import endpoints
from biostudio_doctor.config.values import AbsolutePath, Settings, check


class ProbeConfig(Settings, frozen=True, kw_only=True):
    """What /probe may ask; nothing, unless it is named here."""

    allow: Annotated[
        tuple[str, ...],
        Meta(description="Targets: host, host:port, URL, or a network such as 10.0.0.0/24."),
    ] = ()
    timeout: Annotated[
        Annotated[float, Meta(gt=0, le=120)], Meta(description="Seconds that a probe may take.")
    ] = 9.5

    def __post_init__(self) -> None:
        if self.allow:
            from biostudio_doctor.daemon import allow

            check("allow", allow.understood, *self.allow)


class DaemonConfig(Settings, frozen=True, kw_only=True):
    """`biostudio-doctor daemon`."""

    # Prometheus's list of default ports has given away all of 9100 to 9999; this one, beyond
    # these, is on neither that list nor IANA's, and below the ports that Linux lends to clients.
    listen: Annotated[str, Meta(description="Where it serves: ADDRESS:PORT.")] = "127.0.0.1:19842"
    web_config: Annotated[
        AbsolutePath | None,
        Meta(description="TLS and logins, as the Prometheus exporters' web-config.yml."),
    ] = None
    state: Annotated[AbsolutePath, Meta(description="The directory of the history.")] = (
        "/var/lib/biostudio-doctor"
    )
    concurrency: Annotated[
        Annotated[int, Meta(ge=1, le=64)],
        Meta(description="Families of checks, such as storage.*, that run at once, at most."),
    ] = 8
    log_format: Annotated[
        Literal["logfmt", "json"], Meta(description="The form of its log, on stderr.")
    ] = "logfmt"
    intervals: Annotated[
        dict[str, Annotated[float, Meta(ge=1, le=604800)]],
        Meta(description="Seconds between two runs, by id or glob, instead of a check's own."),
    ] = field(default_factory=dict)
    grace: Annotated[
        Annotated[float, Meta(ge=0, le=86400)],
        Meta(
            description="Seconds after the start of BioStudio's containers in which services "
            "may fail."
        ),
    ] = 900
    probe: ProbeConfig = field(default_factory=ProbeConfig)

    def __post_init__(self) -> None:
        check("listen", endpoints.parse, self.listen)
