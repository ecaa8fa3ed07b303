"""sso.providers"""

from __future__ import annotations

from collections.abc import Awaitable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from msgspec import Struct, structs

from biostudio_doctor.check import Check
from biostudio_doctor.host import Host
from biostudio_doctor.model import Finding, Remedy, Status
from biostudio_doctor.requirements import Requirements
from biostudio_doctor.sso.facts import Document, Published
from biostudio_doctor.sso.providers import Provider, find, is_issuer

from .egress_one import bad_file, settings, surroundings
from .sso import SHARE, no_provider, unreached, unusable
from .sso_oidc_keys import judge_keys
from .sso_oidc_words import not_had

if TYPE_CHECKING:
    from biostudio_doctor.probes.path import Surroundings

_KEY = 'ca_file in the table [checks."egress.hosts"]'


class AskedProvider(Struct, frozen=True, kw_only=True):
    """One provider: the way to each of its hosts, and what it publishes."""

    provider: Provider
    reached: dict[str, Document] = {}  # by host
    published: Published | None = None  # None where it has no discovery document


class ProvidersFacts(Struct, frozen=True):
    """All providers, in the order in which they are named."""

    asked: tuple[AskedProvider, ...] = ()
    problem: str = ""  # why none was asked


class SsoProviders(Check[ProvidersFacts]):
    """Sign-in by providers that are known by name.

    Asks the providers named under sso.providers, or with --provider, at the addresses that they
    publish: azuread (or azuread=TENANT), okta=DOMAIN, apple, twitter, linkedin, google and github.
    Of each, the hosts that BioStudio itself must reach and those that users' browsers must reach
    are gone to, as far as an HTTP answer, whatever its status; where there is an OpenID Connect
    discovery document, that and its keys are fetched. Nothing is sent but GET without parameters.

    What cannot be seen from here: whether BioStudio is registered with the provider as a client,
    with which redirect URI and secret, and whether users' computers reach the provider. Which of
    these addresses BioStudio uses is not documented. Without any provider of its own a site signs
    in by portal.bioturing.com, which egress.hosts probes.

    Why: of a provider that this host cannot reach, users see the sign-in page, and then an error.

    Mend: let this host out to the hosts that the finding names.
    """

    id = "sso.providers"
    interval = timedelta(minutes=15)
    timeout = timedelta(seconds=20)
    network = True
    requirement_ids = ("sso.sign-in",)

    def observe(self, host: Host) -> ProvidersFacts | Awaitable[ProvidersFacts]:
        names = dict.fromkeys(self.context.config.sso.providers)
        providers = [find(name) for name in names]
        if not providers:
            return ProvidersFacts()
        try:
            around = surroundings(settings(self.context), host)
        except OSError as error:
            return ProvidersFacts(problem=bad_file(error))
        return self._ask_all(providers, around, host)

    async def _ask_all(
        self, providers: Sequence[Provider], around: Surroundings, host: Host
    ) -> ProvidersFacts:
        import anyio

        allowed = SHARE * self.allowed_seconds
        reached: dict[str, dict[str, Document]] = {one.name: {} for one in providers}
        published: dict[str, Published] = {}
        from biostudio_doctor.sso import asking, documents

        async def reach(name: str, at: str, url: str) -> None:
            reached[name][at] = await documents.reach(url, around, timeout=allowed)

        async def ask(name: str, url: str) -> None:
            published[name], _ = await asking.ask(url, around, timeout=allowed, knock=False)

        with host.doing("reach the sign-in providers"):
            async with anyio.create_task_group() as tasks:
                for one in providers:
                    for at, url in _hosts(one).items():
                        tasks.start_soon(reach, one.name, at, url)
                    if one.discovery:
                        tasks.start_soon(ask, one.name, one.discovery)
        return ProvidersFacts(
            tuple(
                AskedProvider(
                    provider=one, reached=reached[one.name], published=published.get(one.name)
                )
                for one in providers
            )
        )

    def judge(self, facts: ProvidersFacts, requirements: Requirements) -> Iterator[Finding]:
        if facts.problem:
            for name in dict.fromkeys(self.context.config.sso.providers):
                yield unusable(find(name).title, facts.problem, _KEY)
            return
        if not facts.asked:
            yield no_provider("sign-in provider", "providers", 'sso.providers = ["github"]')
            return
        for asked in facts.asked:
            yield from _judge(asked)


def _hosts(provider: Provider) -> dict[str, str]:
    """The address to ask for each host; those that this host itself must reach go first."""
    urls = (*provider.server, *provider.former, *provider.browser)
    return {_host(url): url for url in reversed(urls)}


def _host(url: str) -> str:
    return url.partition("://")[2].partition("/")[0]


def _judge(asked: AskedProvider) -> Iterator[Finding]:
    title = asked.provider.title
    if asked.published:
        yield from _published(title, asked.provider, asked.published)
    own = {_host(url) for url in asked.provider.server}
    former = {_host(url) for url in asked.provider.former}
    for at in (_host(url) for url in _order(asked.provider, asked.reached)):
        document = asked.reached[at]
        if at in own:
            yield _reached(title, at, document)
        else:
            yield _softened(_reached(title, at, document), at in former)


def _order(provider: Provider, reached: Mapping[str, Document]) -> list[str]:
    urls = (*provider.server, *provider.former, *provider.browser)
    first = {_host(url): url for url in reversed(urls)}
    return [first[at] for at in dict.fromkeys(map(_host, urls)) if at in reached]


def _reached(title: str, at: str, document: Document) -> Finding:
    subject = f"{title} {at}"
    trouble = unreached(subject, title, document, _KEY)
    if trouble:
        return trouble
    fails = document.status in (502, 503, 504) or document.status == 511
    led = f" and leads to {document.left_at}" if document.left_at else ""
    return Finding(
        Status.WARN if fails else Status.PASS,
        subject,
        f"{at} of {title} {'fails with' if fails else 'answers:'} HTTP {document.status}{led}.",
        observed=document.url,
        expected="any answer by HTTPS but a failure",
        remedy=Remedy(
            "Look at the provider's status page, and whether a filter or a captive portal answers "
            "in its place: egress.hosts tells those apart.",
            ("biostudio-doctor check egress.hosts",),
            as_root=False,
        )
        if fails
        else None,
        cause="sso.provider-fails" if fails else "",
    )


def _softened(finding: Finding, former: bool) -> Finding:
    """What this host itself may not need is no failure."""
    if finding.status is not Status.FAIL:
        return finding
    why = (
        "Only programs that know the provider by its former name need it."
        if former
        else "Only the browsers of users need it: see whether their computers reach it."
    )
    return structs.replace(finding, status=Status.WARN, summary=f"{finding.summary} {why}")


def _published(title: str, provider: Provider, published: Published) -> Iterator[Finding]:
    trouble = not_had(title, published.document, _KEY)
    found = published.discovery
    if trouble or not found:
        if trouble:
            yield trouble
        return
    expected = provider.issuer
    if is_issuer(expected, found.issuer):
        yield Finding(
            Status.PASS,
            title,
            f"{title} publishes its discovery document. Whether BioStudio is registered there "
            "cannot be seen from here.",
            observed=f"issuer {found.issuer}",
        )
    else:
        yield Finding(
            Status.WARN,
            title,
            f"{title} calls itself by another issuer than is known of it: "
            f"{found.issuer or 'none'}.",
            observed=found.issuer or "none",
            expected=expected,
            remedy=Remedy(
                "See whether the name after '=' is right, and whether something else answers in "
                "the provider's place; or the provider has changed its issuer, which BioStudio "
                "must then know."
            ),
            cause="sso.other-issuer",
        )
    yield judge_keys(title, published, _KEY)
