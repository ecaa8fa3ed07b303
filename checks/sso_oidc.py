"""sso.oidc; what is said of a provider is in sso_oidc_words, of its keys in sso_oidc_keys."""

from __future__ import annotations

from collections.abc import Awaitable, Iterator, Sequence
from datetime import timedelta
from functools import partial

from msgspec import Struct, structs

from biostudio_doctor.check import Check
from biostudio_doctor.config import OidcProvider
from biostudio_doctor.host import Host
from biostudio_doctor.model import Finding
from biostudio_doctor.requirements import Requirements
from biostudio_doctor.sso import shown, without_user
from biostudio_doctor.sso.facts import Document, Published

from .datasources import subjects
from .egress_one import bad_file, settings, surroundings
from .sso import SHARE, no_provider, unusable


class AskedIssuer(Struct, frozen=True, kw_only=True):
    """One provider, and what it publishes."""

    issuer: str  # as configured, without a user's name
    redirect_uri: str | None = None  # the same
    published: Published | None = None
    token_endpoint: Document | None = None
    problem: str = ""  # why it was not asked


class OidcFacts(Struct, frozen=True):
    """All providers, in the order of the configuration."""

    asked: tuple[AskedIssuer, ...] = ()


class SsoOidc(Check[OidcFacts]):
    """Sign-in by OpenID Connect.

    Asks every provider under [[sso.oidc]] for its discovery document (the issuer, followed by
    /.well-known/openid-configuration) and for the keys that this names, through this host's proxy
    and with its authorities; and goes the way to the token endpoint. Judges whether the issuer is
    the configured one to the letter, whether all that must be there is, whether addresses are
    HTTPS, whether a key can verify signatures, whether the code flow is offered, whether both
    clocks agree, and whether the redirect URI fits the configured domain.

    What cannot be seen from here: whether BioStudio is registered with the provider as a client,
    with which redirect URI and secret, and who may sign in. No secret is needed, nobody is signed
    in. BioStudio's containers may have another proxy and other authorities than this host.

    Why: sign-in fails for everybody if one letter of the issuer differs, if keys cannot be fetched,
    or if the clocks are minutes apart; what users see is a page without a reason.

    Mend: correct the single sign-on settings on BioStudio's dashboard or at the provider, as the
    finding says.
    """

    id = "sso.oidc"
    interval = timedelta(minutes=15)
    timeout = timedelta(seconds=20)
    network = True
    requirement_ids = ("sso.sign-in",)

    def observe(self, host: Host) -> OidcFacts | Awaitable[OidcFacts]:
        providers = self.context.config.sso.oidc
        return self._ask_all(providers, host) if providers else OidcFacts()

    async def _ask_all(self, providers: Sequence[OidcProvider], host: Host) -> OidcFacts:
        from biostudio_doctor.probes.side_by_side import side_by_side

        with host.doing("ask the OpenID Connect providers"):
            return OidcFacts(await side_by_side(partial(self._ask_one, host=host), providers))

    async def _ask_one(self, provider: OidcProvider, host: Host) -> AskedIssuer:
        from biostudio_doctor.sso import asking, oidc

        uri = provider.redirect_uri
        asked = AskedIssuer(issuer=shown(provider.issuer), redirect_uri=uri and without_user(uri))
        problem = _no_issuer(provider.issuer)
        if problem:
            return structs.replace(asked, problem=problem)
        try:
            around = surroundings(settings(self.context), host, provider.ca_file)
        except OSError as error:
            return structs.replace(asked, problem=bad_file(error))
        published, token_endpoint = await asking.ask(
            oidc.discovery_url(provider.issuer),
            around,
            timeout=SHARE * self.allowed_seconds,
        )
        return structs.replace(asked, published=published, token_endpoint=token_endpoint)

    def judge(self, facts: OidcFacts, requirements: Requirements) -> Iterator[Finding]:
        if not facts.asked:
            example = '[[sso.oidc]] with issuer = "https://..."'
            yield no_provider("OpenID Connect provider", "oidc", example)
            return
        names = subjects([one.issuer for one in facts.asked])
        for name, asked in zip(names, facts.asked, strict=True):
            yield from self._judge(name, asked)

    def _judge(self, name: str, asked: AskedIssuer) -> Iterator[Finding]:
        from . import sso_oidc_words as words
        from .sso_redirect import redirect

        if asked.problem:
            yield unusable(name, asked.problem, "[[sso.oidc]]")
        elif asked.published:
            yield from words.judge(name, asked.issuer, asked.published, asked.token_endpoint)
        yield redirect(name, asked.redirect_uri, self.context.config)


def _no_issuer(issuer: str) -> str:
    """Why a text can be no issuer (OpenID Connect Discovery 1.0, 2: scheme, host, port, path)."""
    if ".well-known/" in issuer:
        return "its issuer is the address of a document; leave out /.well-known and what follows"
    if "?" in issuer or "#" in issuer:
        return "an issuer has no '?' and no '#'"
    if issuer != issuer.strip():
        return "there are blanks around its issuer"
    return ""
