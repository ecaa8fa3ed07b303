"""The configuration file: what may stand in it, and one clear line for whatever may not.

The classes are the reference: their descriptions become `config init` and docs/configuration.md.
"""

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

import msgspec
from msgspec import Meta, Struct, field, structs

from biostudio_doctor import endpoints
from biostudio_doctor.errors import ConfigError

Role = Literal["all-in-one", "bioproxy", "biostudio"]
Phase = Literal["preinstall", "running"]
Platform = Literal["docker", "kubernetes"]

ROLES: tuple[str, ...] = get_args(Role)
PHASES: tuple[str, ...] = get_args(Phase)
PLATFORMS: tuple[str, ...] = get_args(Platform)

#: Read when no --config is given and it exists.
DEFAULT_FILE = Path("/etc/biostudio-doctor/config.toml")

AbsolutePath = Annotated[str, Meta(pattern=r"^/[^\x00]*$")]
PortNumber = Annotated[int, Meta(ge=1, le=65535)]


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the configuration. A check's own settings derive from it."""


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


def _check(key: str, understand: Callable[[str], object], *values: str | None) -> None:
    """Have values understood by whoever uses them; a ValueError then names their key, too."""
    for value in values:
        try:
            if value is not None:
                understand(value)
        except ValueError as error:
            raise ValueError(f"{key}: {error}") from None


class Secret(Settings, frozen=True, kw_only=True):
    """Where a password or key is kept; it never stands in the configuration itself."""

    file: Annotated[AbsolutePath | None, Meta(description="A file that holds nothing else.")] = None
    env: Annotated[str | None, Meta(description="An environment variable.")] = None

    def __post_init__(self) -> None:
        if bool(self.file) == bool(self.env):
            raise ValueError('expected one of { file = "/path" } and { env = "NAME" }')


class ServiceConfig(Settings, frozen=True, kw_only=True):
    """A service of BioStudio, where it differs from what is published."""

    port: Annotated[
        PortNumber | None, Meta(description="Its port, if it is not the published one.")
    ] = None


class LoginServiceConfig(ServiceConfig, frozen=True, kw_only=True):
    """A service that may ask who calls. Without user and password it is asked anonymously."""

    user: Annotated[str | None, Meta(description="Whom to log in as.")] = None
    password: Annotated[
        Secret | None, Meta(description='Where it is: { file = "/path" } or { env = "NAME" }.')
    ] = None
    tls: Annotated[bool, Meta(description="It is expected to speak TLS.")] = False
    ca_file: Annotated[
        AbsolutePath | None, Meta(description="Authorities (PEM) to trust besides the system's.")
    ] = None


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
        _check("address", endpoints.check_host, self.address)


_CA_FILE = Annotated[
    AbsolutePath | None, Meta(description="Authorities (PEM) to trust besides the system's.")
]
_WRITE = Annotated[
    bool, Meta(description="May be tried by writing a scratch object, which is removed again.")
]
_SECRET = Annotated[
    Secret | None, Meta(description='Where it is: { file = "/path" } or { env = "NAME" }.')
]


class NfsSource(Settings, frozen=True, kw_only=True):
    """In-house data on NFS."""

    server: Annotated[str, Meta(description="Its name or IP address.")]
    export: Annotated[AbsolutePath, Meta(description="The exported directory.")]
    mount: Annotated[AbsolutePath | None, Meta(description="Where it is mounted here.")] = None
    write: _WRITE = False

    def __post_init__(self) -> None:
        _check("server", endpoints.check_host, self.server)


class GlusterfsSource(Settings, frozen=True, kw_only=True):
    """In-house data on GlusterFS."""

    server: Annotated[str, Meta(description="One of its servers: a name or IP address.")]
    volume: Annotated[str, Meta(description="The name of the volume.")]
    mount: Annotated[AbsolutePath | None, Meta(description="Where it is mounted here.")] = None
    write: _WRITE = False

    def __post_init__(self) -> None:
        _check("server", endpoints.check_host, self.server)


class S3Source(Settings, frozen=True, kw_only=True):
    """In-house data in a bucket of Amazon S3 or of a compatible storage."""

    bucket: Annotated[str, Meta(description="Its name.")]
    endpoint: Annotated[
        Annotated[str, Meta(pattern="^https?://")] | None,
        Meta(description="URL of a compatible storage; none means Amazon."),
    ] = None
    region: Annotated[str | None, Meta(description="The region to sign for.")] = None
    prefix: Annotated[str, Meta(description="Only keys that begin so are looked at.")] = ""
    style: Annotated[
        Literal["auto", "path", "virtual"],
        Meta(description="How BioStudio will address the bucket: in the path or the host name."),
    ] = "auto"
    access_key: _SECRET = None
    secret_key: _SECRET = None
    ca_file: _CA_FILE = None
    write: _WRITE = False


class DatabaseSource(Settings, frozen=True, kw_only=True):
    """A database of your own that colleagues will use."""

    host: Annotated[str, Meta(description="Its name or IP address.")]
    port: Annotated[PortNumber | None, Meta(description="Its port, if not the usual one.")] = None
    database: Annotated[str | None, Meta(description="The database to log in to.")] = None
    user: Annotated[str | None, Meta(description="Whom to log in as; none only knocks.")] = None
    password: _SECRET = None
    tls: Annotated[bool, Meta(description="It is expected to speak TLS.")] = False
    ca_file: _CA_FILE = None

    def __post_init__(self) -> None:
        _check("host", endpoints.check_host, self.host)


class EcosystemSource(Settings, frozen=True, kw_only=True):
    """A BBrowserX or Talk2Data server of your own."""

    url: Annotated[
        str, Meta(pattern="^https?://", description="https://host or https://host:port.")
    ]
    product: Annotated[
        Literal["bbrowserx", "talk2data"], Meta(description="What is served there.")
    ] = "bbrowserx"
    ca_file: _CA_FILE = None


class DatasourcesConfig(Settings, frozen=True, kw_only=True):
    """Your own data, which BioStudio will read. Each kind may be given several times."""

    nfs: tuple[NfsSource, ...] = ()
    s3: tuple[S3Source, ...] = ()
    glusterfs: tuple[GlusterfsSource, ...] = ()
    postgresql: tuple[DatabaseSource, ...] = ()
    mysql: tuple[DatabaseSource, ...] = ()
    mariadb: tuple[DatabaseSource, ...] = ()
    ecosystem: tuple[EcosystemSource, ...] = ()


class CertificateSource(Settings, frozen=True, kw_only=True):
    """A certificate to watch, with what belongs to it."""

    at: Annotated[str, Meta(description="As in `certificates`: a file, a directory, an endpoint.")]
    key: Annotated[
        AbsolutePath | None,
        Meta(
            description="The file of its private key, which stays unread but for its public half."
        ),
    ] = None
    password: _SECRET = None
    server_name: Annotated[
        str | None, Meta(description="The name that it must be for, if not its endpoint's.")
    ] = None
    ca_file: _CA_FILE = None


class HttpsConfig(Settings, frozen=True, kw_only=True):
    """How colleagues will reach BioStudio by HTTPS."""

    method: Annotated[
        Literal["self-signed", "letsencrypt", "bought"] | None,
        Meta(description="Where the certificate comes from; what 'letsencrypt' needs is checked."),
    ] = None
    public_addresses: Annotated[
        tuple[str, ...],
        Meta(
            description="The public IP addresses of this site, of which this host need know "
            "nothing: those of a router that forwards to it, or of a load balancer."
        ),
    ] = ()
    port_80_leads_here: Annotated[
        bool,
        Meta(description="You know that port 80 of these addresses leads to bioproxy's HTTP port."),
    ] = False

    def __post_init__(self) -> None:
        from ipaddress import ip_address

        _check("public_addresses", ip_address, *self.public_addresses)


class ActivationConfig(Settings, frozen=True, kw_only=True):
    """The token that activates BioStudio."""

    token: _SECRET = None


class OidcProvider(Settings, frozen=True, kw_only=True):
    """An OpenID Connect provider of your own."""

    issuer: Annotated[str, Meta(description="Its issuer URL, letter by letter.")]
    redirect_uri: Annotated[
        str | None, Meta(description="The redirect URI that is registered for BioStudio.")
    ] = None
    ca_file: _CA_FILE = None


class SamlProvider(Settings, frozen=True, kw_only=True):
    """A SAML identity provider of your own."""

    metadata: Annotated[str, Meta(description="Where its metadata is: a URL or a file.")]
    entity_id: Annotated[str | None, Meta(description="The entity ID to find in it.")] = None
    ca_file: _CA_FILE = None


class LdapDirectory(Settings, frozen=True, kw_only=True):
    """An LDAP directory that a sign-in relies on."""

    url: Annotated[
        str, Meta(pattern="^ldaps?://", description="ldaps://host, or ldap://host for STARTTLS.")
    ]
    ca_file: _CA_FILE = None


class SsoConfig(Settings, frozen=True, kw_only=True):
    """How colleagues will sign in. Each kind may be given several times."""

    providers: Annotated[
        tuple[str, ...],
        Meta(
            description="Providers that are known by name: azuread or azuread=TENANT, okta=DOMAIN, "
            "apple, twitter, linkedin, google, github; `--provider` names others for one run."
        ),
    ] = ()
    oidc: tuple[OidcProvider, ...] = ()
    saml: tuple[SamlProvider, ...] = ()
    ldap: tuple[LdapDirectory, ...] = ()

    def __post_init__(self) -> None:
        if self.providers:
            from biostudio_doctor.sso import providers

            _check("providers", providers.find, *self.providers)


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

            _check("allow", allow.understood, *self.allow)


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
        _check("listen", endpoints.parse, self.listen)


class RedactionConfig(Settings, frozen=True, kw_only=True):
    """What is taken out of a support bundle besides what always is, and what stays."""

    rules: Annotated[
        dict[Annotated[str, Meta(pattern="^[a-z0-9-]{1,40}$")], str],
        Meta(
            description="Regular expressions (RE2) by the word that names what they find; of one "
            "with a group, the group is the secret."
        ),
    ] = field(default_factory=dict)
    exempt: Annotated[
        tuple[str, ...],
        Meta(description="Regular expressions (RE2) of what stays, though it looks like a secret."),
    ] = ()

    def __post_init__(self) -> None:
        if self.rules or self.exempt:
            from biostudio_doctor.redaction.engine import check

            for kind, rule in self.rules.items():
                _check(f"rules.{kind}", check, rule)
            _check("exempt", check, *self.exempt)


class BundleConfig(Settings, frozen=True, kw_only=True):
    """`biostudio-doctor bundle`."""

    timeout: Annotated[
        Annotated[float, Meta(gt=0, le=3600)],
        Meta(description="Seconds that gathering may take; what is not there then is told."),
    ] = 120
    size_limit: Annotated[
        Annotated[int, Meta(ge=1, le=2048)],
        Meta(description="MiB of all files together, before they are compressed."),
    ] = 256
    recipients: Annotated[
        tuple[str, ...],
        Meta(
            description="Whom to encrypt to: age recipients, SSH public keys, or files of them; "
            "`--recipient` names others for one bundle."
        ),
    ] = ()
    process_arguments: Annotated[
        bool, Meta(description="Processes are listed with their arguments.")
    ] = False
    redaction: RedactionConfig = field(default_factory=RedactionConfig)


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

            _check("peers", peers.parse, *self.peers)
        watched = (one if isinstance(one, str) else one.at for one in self.certificates)
        _check("certificates", endpoints.check_watched, *watched)
        given: dict[str, str | CertificateSource] = {}
        for one in self.certificates:
            at = one if isinstance(one, str) else one.at
            if given.setdefault(at, one) != one:
                shown = endpoints.public(at)
                raise ValueError(f"certificates: {shown!r} stands there twice, and differently")
        _check("bioproxy", endpoints.check_host, self.bioproxy)
        _check("nodes", endpoints.check_host, *self.nodes)


def load(path: Path | None, overrides: Mapping[str, Any] | None = None) -> Config:
    """Read the configuration, or the defaults where no file is named and none is installed.

    `overrides` are keys that the command line sets instead, but for those that are None.

    Raises:
        ConfigError: if a named file is missing, or the file cannot be read or understood.
    """
    if path is None and _is_there(DEFAULT_FILE):
        path = DEFAULT_FILE
    config = parse(_read(path), str(path)) if path else Config()
    told = {key: value for key, value in (overrides or {}).items() if value is not None}
    given = convert(told, Config, "command line")
    return structs.replace(config, **{key: getattr(given, key) for key in told})


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:  # only root may look into the directory
        problem = f"cannot be read: {error.strerror}; run as root, or name another with --config"
        raise ConfigError(str(path), "", problem) from None


def parse(text: str, source: str) -> Config:
    """Understand a configuration text; `source` names it in errors.

    Raises:
        ConfigError: one line with the source, the key and what was expected there.
    """
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(source, "", f"is no valid TOML: {error}") from None
    return convert(data, Config, source)


SettingsT = TypeVar("SettingsT", bound=Settings)


def convert(data: Any, settings_type: type[SettingsT], source: str, prefix: str = "") -> SettingsT:
    """Fit parsed data to a settings class; `prefix` is the key of the table it came from.

    Raises:
        ConfigError: one line with the source, the key and what was expected there.
    """
    try:
        return msgspec.convert(data, settings_type)
    except msgspec.ValidationError as error:
        from biostudio_doctor.config_errors import explain

        key, problem = explain(str(error), settings_type, data)
        raise ConfigError(
            source, ".".join(part for part in (prefix, key) if part), problem
        ) from None


def _read(path: Path) -> str:
    try:
        if not path.is_file():
            problem = "is no regular file" if path.exists() else "does not exist"
            raise ConfigError(str(path), "", f"the configuration file {problem}")
        return path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(str(path), "", f"is no UTF-8 text (byte {error.start})") from None
    except OSError as error:
        raise ConfigError(str(path), "", f"cannot be read: {error.strerror}") from None
    except ValueError as error:  # a NUL byte in the path
        raise ConfigError(repr(str(path)), "", str(error)) from None
