"""What an OpenID Connect provider publishes, judged and put into words."""

from __future__ import annotations

from collections.abc import Iterator

from biostudio_doctor import text
from biostudio_doctor.model import Finding, Remedy, Status
from biostudio_doctor.sso.facts import Discovery, Document, Published

from .sso import is_harmless, named, unfetched, unreached
from .sso_oidc_keys import judge_keys

#: Seconds between the clocks: what some programs allow, and what most do.
_CLOCK_WARN, _CLOCK_FAIL = 60, 300
_KEY = "ca_file under [[sso.oidc]]"
#: Without these nobody signs in; without the others some programs refuse the document.
_VITAL = ("authorization_endpoint", "token_endpoint", "jwks_uri")


def judge(
    name: str, issuer: str, published: Published, token_endpoint: Document | None
) -> Iterator[Finding]:
    """All that is to be said of one provider, each by itself."""
    document, found = published.document, published.discovery
    trouble = not_had(name, document, _KEY)
    if trouble or not found:
        if trouble:
            yield trouble
        return
    yield Finding(
        Status.PASS,
        name,
        f"The discovery document of {name} can be had.",
        observed=f"{document.url}, {document.length} bytes",
    )
    yield _issuer(name, issuer, found)
    yield _members(name, found)
    yield _https(name, found)
    yield judge_keys(name, published, _KEY)
    yield _code_flow(name, found)
    yield _clock(name, [document, published.keys_document, token_endpoint])
    if token_endpoint:
        yield _token_endpoint(name, token_endpoint)


def not_had(name: str, document: Document, key: str) -> Finding | None:
    """What is wrong with the discovery document itself; None if nothing."""
    trouble = unfetched(name, f"the discovery document of {name}", document, "json", key)
    if trouble or not document.problem:
        return trouble
    return Finding(
        Status.FAIL,
        name,
        f"The discovery document of {name} cannot be read: {document.problem}.",
        observed=f"{document.length} bytes from {document.url}",
        expected="a JSON object",
        remedy=Remedy("Copy the issuer anew from the provider's administration page."),
        cause="sso.no-discovery",
    )


def _issuer(name: str, configured: str, found: Discovery) -> Finding:
    subject = f"{name} issuer"
    if found.issuer == configured:
        summary = f"{name} calls itself by the configured issuer, to the letter."
        return Finding(Status.PASS, subject, summary, observed=found.issuer, expected=configured)
    if not found.issuer:
        why = "it names no issuer"
    elif found.issuer.rstrip("/") == configured.rstrip("/"):
        slash = "with" if found.issuer.endswith("/") else "without"
        why = f"it calls itself {found.issuer}, {slash} a slash at its end"
    elif found.issuer.lower() == configured.lower():
        why = f"it calls itself {found.issuer}, with other capital letters"
    else:
        why = f"it calls itself {found.issuer}"
    remedy = f"Configure the issuer as {found.issuer}, in BioStudio and here."
    if "{" in found.issuer:  # AzureAD under `common`
        remedy = (
            "That address stands for any tenant. Use the issuer of your own tenant, in which its "
            "number stands in this place: the provider's administration page shows it. If people "
            'of any tenant shall sign in, check that with sso.providers = ["azuread"] instead.'
        )
    return Finding(
        Status.FAIL,
        subject,
        f"The issuer of {name} is another than the configured one: {why}. Sign-in software "
        "compares them letter by letter and refuses.",
        observed=found.issuer or "none",
        expected=configured,
        remedy=Remedy(remedy if found.issuer else "Have the provider publish its issuer."),
        cause="sso.other-issuer",
    )


def _members(name: str, found: Discovery) -> Finding:
    subject = f"{name} members"
    wrong = [*(f"{one} is missing" for one in found.missing),
             *(f"{one} is of a wrong type" for one in found.odd)]  # fmt: skip
    if not wrong:
        summary = f"The discovery document of {name} has all that it must have."
        return Finding(Status.PASS, subject, summary)
    vital = set(_VITAL) & {*found.missing, *found.odd}
    return Finding(
        Status.FAIL if vital else Status.WARN,
        subject,
        f"The discovery document of {name} is not as it must be: {named(wrong)}.",
        observed=named(wrong),
        expected="all members that OpenID Connect Discovery 1.0 (3) requires",
        remedy=Remedy("Look at the provider's settings, or whether this is its document at all."),
        cause="sso.members",
    )


def _https(name: str, found: Discovery) -> Finding:
    subject = f"{name} endpoints"
    open_ones = [
        f"{member} ({url})" for member, url in found.endpoints.items() if not is_harmless(url)
    ]
    if not open_ones:
        summary = f"All addresses that {name} names begin with https://."
        return Finding(Status.PASS, subject, summary, observed=named(found.endpoints))
    return Finding(
        Status.FAIL,
        subject,
        f"{name} names addresses that are not https://: {named(open_ones)}.",
        observed=named(open_ones),
        expected="https://",
        remedy=Remedy(
            "Have the provider publish https:// addresses. Behind a reverse proxy it must be told "
            "its outer address (Keycloak: KC_HOSTNAME, and KC_PROXY_HEADERS for forwarded headers)."
        ),
        cause="sso.not-https",
    )


def _code_flow(name: str, found: Discovery) -> Finding:
    subject = f"{name} code flow"
    offered = "code" in found.response_types and "authorization_code" in found.grant_types
    if offered or not found.response_types:
        return Finding(
            Status.PASS if offered else Status.SKIP,
            subject,
            f"{name} offers the authorization code flow."
            if offered
            else f"{name} does not say which flows it offers.",
            observed=named(found.response_types),
        )
    return Finding(
        Status.FAIL,
        subject,
        f"{name} does not offer the authorization code flow, by which servers sign users in.",
        observed=f"response types {named(found.response_types)}; grants {named(found.grant_types)}",
        expected="response type code, grant authorization_code",
        remedy=Remedy("Turn the authorization code (standard) flow on at the provider."),
        cause="sso.no-code-flow",
    )


def _clock(name: str, documents: list[Document | None]) -> Finding:
    """By the answer that is nearest to our clock: others may come out of a cache."""
    subject = f"{name} clock"
    known = [one.clock_offset for one in documents if one and one.clock_offset is not None]
    if not known:
        return Finding(Status.SKIP, subject, f"{name} does not tell the time.")
    offset = min(known, key=abs)
    if abs(offset) < _CLOCK_WARN:
        summary = f"The clock of {name} and this host's agree."
        return Finding(Status.PASS, subject, summary, observed=f"{offset:+.0f} s")
    apart = text.number(int(abs(offset)) // 60, "minute")
    side = "behind" if offset > 0 else "ahead of"
    return Finding(
        Status.FAIL if abs(offset) >= _CLOCK_FAIL else Status.WARN,
        subject,
        f"This host's clock is {apart} {side} that of {name}: tokens are refused as expired or as "
        "not valid yet.",
        observed=f"{offset:+.0f} s",
        expected=f"less than {_CLOCK_WARN} s apart; most programs allow {_CLOCK_FAIL} s at most",
        remedy=Remedy(
            "See what os.time says of this host's clock; if that is right, the provider's is not.",
            ("date -u", "biostudio-doctor check os.time"),
            as_root=False,
        ),
        cause="sso.clock",
    )


def _token_endpoint(name: str, document: Document) -> Finding:
    subject = f"{name} token endpoint"
    trouble = unreached(subject, f"the token endpoint of {name}", document, _KEY)
    if trouble:
        return trouble
    fails = document.status >= 500 and document.status not in (501, 505)
    return Finding(
        Status.WARN if fails else Status.PASS,
        subject,
        f"The token endpoint of {name} {'fails with' if fails else 'answers:'} HTTP "
        f"{document.status} to a request without parameters.",
        observed=document.url,
        expected="any answer but a failure of the server",
        remedy=Remedy("Look at the provider: its log or its status page.") if fails else None,
        cause="sso.provider-fails" if fails else "",
    )
