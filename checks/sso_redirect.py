"""The redirect URI that is registered for BioStudio, compared with where BioStudio will be."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

from biostudio_doctor.certificates.names import as_ascii
from biostudio_doctor.config import Config
from biostudio_doctor.model import Finding, Remedy, Status
from biostudio_doctor.sso import shown

_LOCAL = ("localhost", "127.0.0.1", "::1")
_UNSEEN = (
    "Whether it is registered with the provider, and whether its path is the one that BioStudio "
    "uses, cannot be seen from here."
)


def redirect(name: str, uri: str | None, config: Config) -> Finding:
    """Whether the provider would send users back to BioStudio."""
    subject = f"{name} redirect URI"
    if uri is None:
        return Finding(
            Status.SKIP,
            subject,
            f"Which redirect URI is registered for BioStudio with {name} was not configured, so it "
            "was not compared. Whether BioStudio is registered there cannot be seen from here.",
            remedy=Remedy("Name it as redirect_uri under [[sso.oidc]]."),
            cause="sso.no-redirect-uri",
        )
    problem = _problem(uri, config)
    if problem:
        return Finding(
            Status.FAIL,
            subject,
            f"The redirect URI {shown(uri)!r} does not lead back to BioStudio: {problem}.",
            observed=shown(uri),
            expected=f"https://{config.domain or 'DOMAIN'}{_port(config)}/...",
            remedy=Remedy(
                "Register with the provider, letter by letter, the redirect URI that BioStudio's "
                "dashboard shows in its single sign-on settings, and name it here too."
            ),
            cause="sso.redirect-uri",
        )
    if not config.domain:
        return Finding(
            Status.SKIP,
            subject,
            f"The redirect URI {shown(uri)} was not compared with BioStudio's name: that is not "
            f"configured. {_UNSEEN}",
            remedy=Remedy('Name it in the configuration: domain = "studio.example.org".'),
            cause="sso.no-domain",
        )
    return Finding(
        Status.PASS,
        subject,
        f"The redirect URI leads to {config.domain} by HTTPS. {_UNSEEN}",
        observed=shown(uri),
    )


def _problem(uri: str, config: Config) -> str:
    """What is wrong with it; '' if nothing is known to be."""
    if uri != uri.strip() or not uri.isprintable() or " " in uri:
        return "there are blanks in it or around it"
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "it is no valid URL"
    return _bad_form(parts, host) or _bad_place(parts, host, port, config)


def _bad_form(parts: SplitResult, host: str) -> str:
    if parts.scheme not in ("https", "http") or not host:
        return "it is no https:// URL"
    if parts.scheme == "http" and host not in _LOCAL:
        return "it begins with http://, which providers accept for localhost only"
    if parts.fragment or "#" in parts.geturl():
        return "it has a '#', which none may have (RFC 6749, 3.1.2)"
    if "*" in parts.geturl():
        return "it has a '*', and providers compare it letter by letter"
    if "@" in parts.netloc:
        return "it has a user name in it"
    return ""


def _bad_place(parts: SplitResult, host: str, port: int | None, config: Config) -> str:
    if not config.domain:
        return ""
    if host.endswith(".") and not config.domain.endswith("."):
        return "a dot stands after the host name, and providers compare it letter by letter"
    if as_ascii(host) != as_ascii(config.domain):
        encoded = "" if host.isascii() else f" (in DNS {as_ascii(host)})"  # lookalikes
        return f"its host is {host}{encoded}, and BioStudio's is {config.domain}"
    served = config.ports.https if parts.scheme == "https" else config.ports.http
    usual = 443 if parts.scheme == "https" else 80
    if (port or usual) not in (served, usual):
        return f"its port is {port}, and BioStudio is served on {served}"
    return ""


def _port(config: Config) -> str:
    return "" if config.ports.https == 443 else f":{config.ports.https}"
