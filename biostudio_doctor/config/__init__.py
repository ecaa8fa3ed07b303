"""The configuration file: what may stand in it, and one clear line for whatever may not.

The classes are the reference: their descriptions become `config init` and docs/configuration.md.

    whole.py         the file: its own keys, [storage] and [ports]
    services.py      [services]: BioStudio's own
    datasources.py   [datasources]: your own data
    access.py        [https], [[certificates]], [activation], [sso]
    daemon.py        [daemon]
    bundle.py        [bundle]
    values.py        what they have in common, such as where a secret is kept
    reading.py       a file, or a text, read and understood
    errors.py        what is wrong with it, in words
"""

from biostudio_doctor.config.access import (
    CertificateSource,
    LdapDirectory,
    OidcProvider,
    SamlProvider,
)
from biostudio_doctor.config.daemon import DaemonConfig, ProbeConfig
from biostudio_doctor.config.datasources import (
    DatabaseSource,
    EcosystemSource,
    GlusterfsSource,
    NfsSource,
    S3Source,
)
from biostudio_doctor.config.reading import DEFAULT_FILE, convert, load, parse
from biostudio_doctor.config.services import LoginServiceConfig, ServiceConfig
from biostudio_doctor.config.values import AbsolutePath, PortNumber, Secret, Settings
from biostudio_doctor.config.whole import Config, PortsConfig, StorageConfig

__all__ = [
    "DEFAULT_FILE",
    "AbsolutePath",
    "CertificateSource",
    "Config",
    "DaemonConfig",
    "DatabaseSource",
    "EcosystemSource",
    "GlusterfsSource",
    "LdapDirectory",
    "LoginServiceConfig",
    "NfsSource",
    "OidcProvider",
    "PortNumber",
    "PortsConfig",
    "ProbeConfig",
    "S3Source",
    "SamlProvider",
    "Secret",
    "ServiceConfig",
    "Settings",
    "StorageConfig",
    "convert",
    "load",
    "parse",
]
