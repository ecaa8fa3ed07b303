"""How colleagues reach BioStudio and sign in: [https], [[certificates]], [activation], [sso]."""

from typing import Annotated, Literal

from msgspec import Meta

from biostudio_doctor import endpoints
from biostudio_doctor.config.values import AbsolutePath, CaFile, SecretPlace, Settings, check


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
        check("public_addresses", endpoints.check_address, *self.public_addresses)


class CertificateSource(Settings, frozen=True, kw_only=True):
    """A certificate to watch, with what belongs to it."""

    at: Annotated[str, Meta(description="As in `certificates`: a file, a directory, an endpoint.")]
    key: Annotated[
        AbsolutePath | None,
        Meta(
            description="The file of its private key, which stays unread but for its public half."
        ),
    ] = None
    password: SecretPlace = None
    server_name: Annotated[
        str | None, Meta(description="The name that it must be for, if not its endpoint's.")
    ] = None
    ca_file: CaFile = None


class ActivationConfig(Settings, frozen=True, kw_only=True):
    """The token that activates BioStudio."""

    token: SecretPlace = None


class OidcProvider(Settings, frozen=True, kw_only=True):
    """An OpenID Connect provider of your own."""

    issuer: Annotated[str, Meta(description="Its issuer URL, letter by letter.")]
    redirect_uri: Annotated[
        str | None, Meta(description="The redirect URI that is registered for BioStudio.")
    ] = None
    ca_file: CaFile = None


class SamlProvider(Settings, frozen=True, kw_only=True):
    """A SAML identity provider of your own."""

    metadata: Annotated[str, Meta(description="Where its metadata is: a URL or a file.")]
    entity_id: Annotated[str | None, Meta(description="The entity ID to find in it.")] = None
    ca_file: CaFile = None


class LdapDirectory(Settings, frozen=True, kw_only=True):
    """An LDAP directory that a sign-in relies on."""

    url: Annotated[
        str, Meta(pattern="^ldaps?://", description="ldaps://host, or ldap://host for STARTTLS.")
    ]
    ca_file: CaFile = None


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

            check("providers", providers.find, *self.providers)
