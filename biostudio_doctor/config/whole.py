"""The whole file: its own keys, its small tables, and those of the other modules."""

from typing import Annotated, Any

from msgspec import Meta, field

from biostudio_doctor import endpoints
from biostudio_doctor.config.access import (
    ActivationConfig,
    CertificateSource,
    HttpsConfig,
    SsoConfig,
)
from biostudio_doctor.config.bundle import BundleConfig
from biostudio_doctor.config.daemon import DaemonConfig
from biostudio_doctor.config.datasources import DatasourcesConfig
from biostudio_doctor.config.services import ServicesConfig
from biostudio_doctor.config.values import AbsolutePath, PortNumber, Settings, check
from biostudio_doctor.model import Phase, Platform, Role


class StorageConfig(Settings, frozen=True, kw_only=True):
    """Where the three storage tiers are, or will be. They need not exist yet."""

    app: Annotated[
        AbsolutePath | None, Meta(description="APP-STORAGE, mounted at /appdata in BioStudio.")
    ] = None
    metadata: Annotated[
        AbsolutePath | None, Meta(description="METADATA-STORAGE, for bioproxy's databases.")
    ] = None
    user: Annotated[
        AbsolutePath | None, Meta(description="USER-STORAGE, mounted at /home in BioStudio.")
    ] = None


class PortsConfig(Settings, frozen=True, kw_only=True):
    """The two ports that the document lets you change."""

    http: Annotated[PortNumber, Meta(description="The port of the HTTP front.")] = 80
    https: Annotated[PortNumber, Meta(description="The port of the HTTPS front.")] = 443


class Config(Settings, frozen=True, kw_only=True):
    """Everything a configuration file may say."""

    role: Annotated[Role, Meta(description="What this machine will run.")] = "all-in-one"
    phase: Annotated[
        Phase, Meta(description="Before the installation, or with the services running.")
    ] = "preinstall"
    platform: Annotated[Platform, Meta(description="What the containers run on.")] = "docker"
    profile: Annotated[
        str, Meta(description="Which requirements: 'published' or 'vendor-installer'.")
    ] = "published"
    timeout: Annotated[
        Annotated[float, Meta(gt=0, le=86400)] | None,
        Meta(description="Seconds that any check may take, instead of its own timeout."),
    ] = None
    skip: Annotated[
        tuple[str, ...], Meta(description="Checks to leave out, by id or glob such as 'gpu.*'.")
    ] = ()
    domain: Annotated[
        str | None, Meta(description="The name by which colleagues will open BioStudio.")
    ] = None
    bioproxy: Annotated[
        str | None, Meta(description="Where bioproxy runs, if not on this host.")
    ] = None
    nodes: Annotated[
        tuple[str, ...],
        Meta(description="The BioStudio hosts behind bioproxy: names or IP addresses."),
    ] = ()
    peers: Annotated[
        tuple[str, ...],
        Meta(description="Hosts on which `listen` runs, as ROLE=ADDRESS; `--peer` adds one."),
    ] = ()
    storage: StorageConfig = field(default_factory=StorageConfig)
    ports: PortsConfig = field(default_factory=PortsConfig)
    services: ServicesConfig = field(default_factory=ServicesConfig)
    daemon: DaemonConfig = field(default_factory=DaemonConfig)
    datasources: DatasourcesConfig = field(default_factory=DatasourcesConfig)
    https: HttpsConfig = field(default_factory=HttpsConfig)
    activation: ActivationConfig = field(default_factory=ActivationConfig)
    sso: SsoConfig = field(default_factory=SsoConfig)
    bundle: BundleConfig = field(default_factory=BundleConfig)
    certificates: Annotated[
        tuple[str | CertificateSource, ...],
        Meta(description="Certificates to watch: files (/path/tls.crt) or endpoints (host:443)."),
    ] = ()
    checks: Annotated[
        dict[str, dict[str, Any]],
        Meta(description="Settings of single checks; `explain ID` tells what each one has."),
    ] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.peers:
            from biostudio_doctor import peers

            check("peers", peers.parse, *self.peers)
        watched = (one if isinstance(one, str) else one.at for one in self.certificates)
        check("certificates", endpoints.check_watched, *watched)
        given: dict[str, str | CertificateSource] = {}
        for one in self.certificates:
            at = one if isinstance(one, str) else one.at
            if given.setdefault(at, one) != one:
                shown = endpoints.without_user(at)
                raise ValueError(f"certificates: {shown!r} stands there twice, and differently")
        if self.domain and "@" in self.domain:
            raise ValueError(f"domain: {endpoints.without_user(self.domain)!r}: no name has an @")
        check("bioproxy", endpoints.check_host, self.bioproxy)
        check("nodes", endpoints.check_host, *self.nodes)
