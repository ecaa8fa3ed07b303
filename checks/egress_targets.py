"""Which hosts egress.hosts probes, and through which proxy: the requirements and the settings."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Annotated

from msgspec import Meta

from biostudio_doctor import endpoints
from biostudio_doctor import requirements as published
from biostudio_doctor.config import AbsolutePath, Settings
from biostudio_doctor.model import Strength
from biostudio_doctor.requirements import Endpoint, Requirements

GROUP = "your own hosts"
_HTTPS = "https"


class EgressSettings(Settings, frozen=True, kw_only=True):
    """Settings of egress.hosts."""

    ca_file: Annotated[
        AbsolutePath | None,
        Meta(
            description="PEM file of authorities to trust besides the system's, such as that of a "
            "proxy which looks into TLS."
        ),
    ] = None
    add: Annotated[
        tuple[str, ...],
        Meta(description="Hosts to probe as well, as https:// URLs, such as a mirror of your own."),
    ] = ()
    remove: Annotated[
        tuple[str, ...], Meta(description="Published hosts that are not to be probed, by name.")
    ] = ()
    proxy: Annotated[
        str,
        Meta(
            description="http://HOST:PORT of the proxy to go through, instead of the one that the "
            "environment names; NO_PROXY still counts. Without user name and password."
        ),
    ] = ""
    proxy_login_file: Annotated[
        AbsolutePath | None,
        Meta(
            description="A file with one line USER:PASSWORD for `proxy`; without it, they are "
            "taken from the environment, if that names the same proxy."
        ),
    ] = None

    def __post_init__(self) -> None:
        """Refuse what makes no sense; a ValueError here becomes one line for a person."""
        validate(self.add, self.remove)
        validate_proxy(self.proxy)


def validate(add: Sequence[str], remove: Sequence[str]) -> None:
    """Refuse settings that make no sense.

    Raises:
        ValueError: one line that names the key and the value.
    """
    if not (add or remove):
        return
    hosts = published.load().hosts  # which no other profile changes
    known = {endpoint.host for endpoint in hosts}
    for host in remove:
        if host not in known:
            from difflib import get_close_matches

            close = get_close_matches(host, known, n=1)
            hint = f"did you mean '{close[0]}'?" if close else "`explain egress.hosts` names them"
            raise ValueError(f"remove: '{host}' is no published host; {hint}")
    taken = {(one.host, one.port) for one in hosts if one.host not in remove}
    for url in add:
        endpoint = _added(url)
        place = (endpoint.host, endpoint.port)
        if place in taken:
            raise ValueError(f"add: '{endpoint.host}' is probed already; `remove` it first")
        taken.add(place)


def validate_proxy(value: str) -> None:
    """Refuse a proxy that makes no sense, or has a user name in it; nothing of it is repeated.

    Raises:
        ValueError: one line that names the key.
    """
    if not value:
        return
    from biostudio_doctor.probes import proxy

    try:
        parsed = proxy.parse(value)
    except ValueError as error:
        raise ValueError(f"proxy: the value {error}") from None
    if parsed.authenticated:
        raise ValueError("proxy: user name and password do not belong here: see proxy_login_file")


def chosen(requirements: Requirements, add: Sequence[str], remove: Sequence[str]) -> list[Endpoint]:
    """The hosts of the requirements without those removed, and those added."""
    return [one for one in requirements.hosts if one.host not in remove] + [
        _added(url) for url in add
    ]


def proxy_value(configured: str, login: str, environ: Mapping[str, str]) -> str:
    """The configured proxy with its user name and password: never to be kept or shown.

    They come from the file's content `login`, USER:PASSWORD, or else from the environment, where it
    names the same proxy.
    """
    if not configured:
        return ""
    from urllib.parse import quote

    from biostudio_doctor.probes import proxy

    named = proxy.parse(configured)
    if login.strip():
        user, _, password = login.strip().partition(":")
        where = named.url.partition("://")[2]
        return f"{named.scheme}://{quote(user, safe='')}:{quote(password, safe='')}@{where}"
    for variable in (*proxy.VARIABLES, *(name.upper() for name in proxy.VARIABLES)):
        try:
            same = proxy.parse(environ.get(variable, ""))
        except ValueError:
            continue
        if same.url == named.url:
            return environ[variable]
    return configured


def _added(url: str) -> Endpoint:
    """A host of the configuration.

    Raises:
        ValueError: if it is no https:// URL.
    """
    shown, good = endpoints.without_user(url), False
    with suppress(ValueError):  # also where a password may have been taken for the path
        parts = endpoints.split_url(url)
        host, port = parts.hostname or "", parts.port or 443
        good = parts.scheme == _HTTPS and bool(host) and url == shown and url.isprintable()
    if not good or " " in url:
        raise ValueError(
            f"add: '{shown}' is no https:// URL (https://HOST[:PORT][/PATH], without user name)"
        )
    return Endpoint(
        id=f"egress.added.{host}:{port}",
        strength=Strength.REQUIRED,
        section="checks.egress.hosts",
        says=f"add: https://{parts.netloc}{parts.path}",
        source="your configuration",
        host=host,
        domain=host,
        group=GROUP,
        purpose="your configuration names it",
        path=parts.path or "/",
        port=port,
    )
