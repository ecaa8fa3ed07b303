"""BioStudio's own services: the tables below [services]."""

from typing import Annotated

from msgspec import Meta, field

from biostudio_doctor import endpoints
from biostudio_doctor.config.values import CaFile, PortNumber, SecretPlace, Settings, check


class ServiceConfig(Settings, frozen=True, kw_only=True):
    """A service of BioStudio, where it differs from what is published."""

    port: Annotated[
        PortNumber | None, Meta(description="Its port, if it is not the published one.")
    ] = None


class LoginServiceConfig(ServiceConfig, frozen=True, kw_only=True):
    """A service that may ask who calls. Without user and password it is asked anonymously."""

    user: Annotated[str | None, Meta(description="Whom to log in as.")] = None
    password: SecretPlace = None
    tls: Annotated[bool, Meta(description="It is expected to speak TLS.")] = False
    ca_file: CaFile = None


class DatabaseServiceConfig(LoginServiceConfig, frozen=True, kw_only=True):
    """A database of BioStudio."""

    database: Annotated[str, Meta(description="The database to log in to.")] = "postgres"


class ServicesConfig(Settings, frozen=True, kw_only=True):
    """BioStudio's own services, asked in the phase 'running'."""

    address: Annotated[
        str, Meta(description="Where those of this host answer: a name or an IP address.")
    ] = "127.0.0.1"
    postgresql: DatabaseServiceConfig = field(default_factory=DatabaseServiceConfig)
    redis: LoginServiceConfig = field(default_factory=LoginServiceConfig)
    memcached: ServiceConfig = field(default_factory=ServiceConfig)
    workspace: ServiceConfig = field(default_factory=ServiceConfig)
    app: ServiceConfig = field(default_factory=ServiceConfig)
    mqtt_tcp: LoginServiceConfig = field(default_factory=LoginServiceConfig)
    mqtt_websocket: LoginServiceConfig = field(default_factory=LoginServiceConfig)
    job: ServiceConfig = field(default_factory=ServiceConfig)

    def __post_init__(self) -> None:
        check("address", endpoints.check_host, self.address)
