"""What the checks sso.* share: how a provider is asked, and what is said where that goes wrong."""

from __future__ import annotations

from collections.abc import Iterable
from shlex import quote

from biostudio_doctor.endpoints import Endpoint
from biostudio_doctor.model import Finding, Remedy, Status
from biostudio_doctor.probes import wording
from biostudio_doctor.probes.results import Path
from biostudio_doctor.sso.facts import Document

from .unconfigured import not_configured

#: The extra that brings what reads JWKS and SAML metadata.
INSTALL_EXTRA = Remedy(
    "Install what is missing into the environment that biostudio-doctor runs in.",
    ("pip install 'biostudio-doctor[sso]'",),
    as_root=False,
)
_PROXY_HINT = (
    "If only a proxy leads out of here, name it: https_proxy=http://HOST:PORT (under sudo with "
    "--preserve-env=https_proxy,no_proxy)."
)


def no_provider(what: str, key: str, example: str) -> Finding:
    """The one finding of a kind of which the configuration names none."""
    return not_configured(
        f"sso.{key}",
        f"No {what} is configured.",
        f"To have one asked, name it in the configuration: {example}.",
    )


#: Of a check's time: what asking may take.
SHARE = 0.9


def unusable(subject: str, problem: str, key: str) -> Finding:
    """A provider that was not asked, for what the configuration says of it."""
    return Finding(
        Status.ERROR,
        subject,
        f"{subject} was not asked: {problem}.",
        remedy=Remedy(f"Correct {key} in the configuration."),
        cause="sso.configuration",
    )


# --- A document that was not had ------------------------------------------------------------------


def unreached(subject: str, what: str, document: Document, key: str) -> Finding | None:
    """What is wrong with the way to an address; None where HTTP answered.

    `what` is its name ("the discovery document"), `key` where its authority can be configured.
    """
    path = document.path
    if path is None:
        return Finding(
            Status.FAIL,
            subject,
            f"The address of {what} cannot be used: {document.problem} ({document.url}).",
            observed=document.url,
            expected="an https:// address",
            remedy=Remedy(
                "Correct it in the configuration. If the provider publishes it so, have it "
                "publish an https:// address: who sits between could exchange what it says."
            ),
            cause="sso.address",
        )
    if path.failure is None:
        return None
    said = wording.failed(path, path.failure)
    return Finding(
        Status.ERROR if path.undetermined else Status.FAIL,
        subject,
        f"{_start(what)} cannot be reached at {Endpoint(path.host, path.port)}: {said}.",
        observed=f"{path.failure.phase}: {path.failure.reason}",
        expected="answers by HTTPS, as this host's proxy and authorities have it",
        remedy=_way_remedy(path, document, key),
        cause=f"sso.{_cause(path)}",
    )


def unfetched(subject: str, what: str, document: Document, kind: str, key: str) -> Finding | None:
    """What is wrong with a document that should be of a kind, `json` or `xml`; None if nothing."""
    trouble = unreached(subject, what, document, key)
    if trouble:
        return trouble
    if document.kind == "large" and kind == "xml":
        return _too_large(subject, what, document)
    said = _answered(document, kind)
    if not said:
        return None
    cause, words, remedy = said
    return Finding(
        Status.FAIL,
        subject,
        f"{_start(what)} is not at {document.url}: {words}.",
        observed=f"HTTP {document.status}, {document.length} bytes",
        expected=f"HTTP 200 with {'JSON' if kind == 'json' else 'XML'}",
        remedy=Remedy(remedy, (_curl(document.url),), as_root=False),
        cause=f"sso.{cause}",
    )


def _too_large(subject: str, what: str, document: Document) -> Finding:
    """Of a federation, for instance: no fault of it, but it is not known."""
    return Finding(
        Status.ERROR,
        subject,
        f"{_start(what)} at {document.url} was not judged: it is larger than any of one provider, "
        "and was not read to its end.",
        observed=f"more than {document.length} bytes",
        remedy=Remedy(ONE_PROVIDER),
        cause="sso.too-large",
    )


ONE_PROVIDER = (
    "Configure the address, or a file, of one provider alone: it publishes that itself, and some "
    "federations have a service for it (MDQ)."
)
_FIND_IT = (
    "Copy the address anew from the provider's administration page: a part of the path, such as "
    "the tenant or realm, may be missing or misspelt."
)
_SIGN_IN = (
    "If a filter, a proxy or a captive portal answers in its place, have this host exempted from "
    "it. If the address needs a sign-in, have the provider publish the document without one."
)


def _answered(document: Document, kind: str) -> tuple[str, str, str] | None:
    """A stable word, what is wrong with the answer, and what to do."""
    status = document.status
    if document.left_at or 300 <= status < 400:
        where = document.left_at or "nowhere"
        return (
            "redirected",
            f"HTTP {status} redirects to {where}, which sign-in software need not follow",
            f"If that is the provider's own new address, configure it. {_SIGN_IN}",
        )
    if status == 511:
        return "captive-portal", "a captive portal answers instead (HTTP 511)", _SIGN_IN
    if status in (401, 403):
        return "denied", f"the answer is HTTP {status}, so not everybody may read it", _SIGN_IN
    if status >= 500:
        words = f"the provider, or a proxy before it, fails with HTTP {status}"
        return "provider-fails", words, "Look at the provider: its log or its status page."
    if status != 200:
        return "not-found", f"the answer is HTTP {status}", _FIND_IT
    if document.kind == "html":
        words = "an HTML page comes instead, as of a sign-in, a block page or a wrong path"
        return "html", words, f"{_FIND_IT} {_SIGN_IN}"
    if document.kind == "empty":
        return "empty", "the answer is empty", _FIND_IT
    if document.kind == "large":
        return "too-large", "it is larger than any, and was not read to its end", _FIND_IT
    if document.kind not in (kind, "other"):
        return f"no-{kind}", f"what comes looks like {document.kind.upper()}", _FIND_IT
    return None


def _way_remedy(path: Path, document: Document, key: str) -> Remedy:
    problem = path.failure
    host = quote(path.host)
    place = quote(str(Endpoint(path.host, path.port)))
    if problem and problem.phase == "proxy":
        return Remedy(
            f"If {path.host} is inside your network, exempt it from the proxy by NO_PROXY. "
            "Otherwise see what egress.proxy says of the proxy.",
            ("biostudio-doctor check egress.proxy",),
            as_root=False,
        )
    if problem and problem.phase == "resolve":
        return Remedy(
            "See whether the name is spelt right, and whether this host's name servers know it. "
            f"{_PROXY_HINT}",
            (f"getent hosts {host}",),
            as_root=False,
        )
    if problem and problem.reason == "untrusted":
        return Remedy(
            f"If an authority of your own issued its certificate, name that in PEM as {key}, and "
            "let the BioStudio containers trust it too. If it is for another name or has expired, "
            "the provider must renew it.",
            (f"openssl s_client -connect {place} -servername {host} -showcerts < /dev/null",),
            as_root=False,
        )
    return Remedy(
        f"Have the firewall let this host out to {place} (TCP), or look at the provider. "
        f"{_PROXY_HINT}",
        (_curl(document.url),),
        as_root=False,
    )


def _cause(path: Path) -> str:
    problem = path.failure
    if problem is None:
        return ""
    if problem.reason == "untrusted":
        return "untrusted"
    return {"resolve": "no-name", "connect": "no-connection", "tls": "no-tls"}.get(
        problem.phase, "proxy" if problem.phase == "proxy" else "no-http"
    )


def _curl(url: str) -> str:
    return f"curl -sSi --max-time 10 {quote(url)}"


def _start(words: str) -> str:
    return words[:1].upper() + words[1:]


def is_harmless(url: str) -> bool:
    """Whether an address begins with https://."""
    return url.lower().startswith("https://")


def named(items: Iterable[str], shown: int = 5) -> str:
    """A few of many, in one line."""
    every = list(items)
    more = f" and {len(every) - shown} more" if len(every) > shown else ""
    return ", ".join(every[:shown]) + more
