"""Your own data: the tables below [datasources]."""

from typing import Annotated, Literal

from msgspec import Meta

from biostudio_doctor import endpoints
from biostudio_doctor.config.values import (
    AbsolutePath,
    CaFile,
    PortNumber,
    SecretPlace,
    Settings,
    check,
)

MayWrite = Annotated[
    bool, Meta(description="May be tried by writing a scratch object, which is removed again.")
]


class NfsSource(Settings, frozen=True, kw_only=True):
    """In-house data on NFS."""

    server: Annotated[str, Meta(description="Its name or IP address.")]
    export: Annotated[AbsolutePath, Meta(description="The exported directory.")]
    mount: Annotated[AbsolutePath | None, Meta(description="Where it is mounted here.")] = None
    write: MayWrite = False

    def __post_init__(self) -> None:
        check("server", endpoints.check_host, self.server)


class GlusterfsSource(Settings, frozen=True, kw_only=True):
    """In-house data on GlusterFS."""

    server: Annotated[str, Meta(description="One of its servers: a name or IP address.")]
    volume: Annotated[str, Meta(description="The name of the volume.")]
    mount: Annotated[AbsolutePath | None, Meta(description="Where it is mounted here.")] = None
    write: MayWrite = False

    def __post_init__(self) -> None:
        check("server", endpoints.check_host, self.server)


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
    access_key: SecretPlace = None
    secret_key: SecretPlace = None
    ca_file: CaFile = None
    write: MayWrite = False


class DatabaseSource(Settings, frozen=True, kw_only=True):
    """A database of your own that colleagues will use."""

    host: Annotated[str, Meta(description="Its name or IP address.")]
    port: Annotated[PortNumber | None, Meta(description="Its port, if not the usual one.")] = None
    database: Annotated[str | None, Meta(description="The database to log in to.")] = None
    user: Annotated[str | None, Meta(description="Whom to log in as; none only knocks.")] = None
    password: SecretPlace = None
    tls: Annotated[bool, Meta(description="It is expected to speak TLS.")] = False
    ca_file: CaFile = None

    def __post_init__(self) -> None:
        check("host", endpoints.check_host, self.host)


class EcosystemSource(Settings, frozen=True, kw_only=True):
    """A BBrowserX or Talk2Data server of your own."""

    url: Annotated[
        str, Meta(pattern="^https?://", description="https://host or https://host:port.")
    ]
    product: Annotated[
        Literal["bbrowserx", "talk2data"], Meta(description="What is served there.")
    ] = "bbrowserx"
    ca_file: CaFile = None


class DatasourcesConfig(Settings, frozen=True, kw_only=True):
    """Your own data, which BioStudio will read. Each kind may be given several times."""

    nfs: tuple[NfsSource, ...] = ()
    s3: tuple[S3Source, ...] = ()
    glusterfs: tuple[GlusterfsSource, ...] = ()
    postgresql: tuple[DatabaseSource, ...] = ()
    mysql: tuple[DatabaseSource, ...] = ()
    mariadb: tuple[DatabaseSource, ...] = ()
    ecosystem: tuple[EcosystemSource, ...] = ()
