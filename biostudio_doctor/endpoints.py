"""Endpoints as people write them: host:port, [IPv6]:port, or a URL such as https://host."""

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from urllib.parse import SplitResult

#: What precedes an @: the beginning of a URL or a share (//host/share), which is no user; and what
#: is none at all, since it is in a path or a query.
_START = r"\s*([A-Za-z][A-Za-z0-9+.-]*:)?//"
_PATH = r"/(?!/)|(?i:https?)://[^:\s@/?#]+[/?#][^:\s]*$"

#: How TLS begins by the scheme of a URL: the port without one, and what is said before TLS (a name
#: of probes.starttls.PRELUDES). Ports are IANA's.
SCHEMES = {
    "https": (443, ""),
    "postgresql": (5432, "postgresql"),
    "postgres": (5432, "postgresql"),
    "mqtts": (8883, ""),
    "rediss": (6379, ""),
    "smtp": (25, "smtp"),
    "smtps": (465, ""),
    "ldap": (389, "ldap"),
    "ldaps": (636, ""),
}

#: Schemes that are no TLS, with the one that is.
_PLAIN = {"http": "https", "redis": "rediss", "mqtt": "mqtts", "tcp": "https", "ws": "https"}

#: Names that the public DNS never has: IANA's special-use names (RFC 6761, 6762, 7686, 8375, 9476),
#: `internal`, which ICANN reserved in 2024, and what RFC 6762, appendix G, says is used in private.
_PRIVATE = (
    "alt", "arpa", "corp", "example", "home", "internal", "intranet", "invalid", "lan", "local",
    "localdomain", "localhost", "mail", "onion", "private", "test", "example.com", "example.net",
    "example.org",
)  # fmt: skip


class Endpoint(NamedTuple):
    """Where a TCP service is."""

    host: str  # a name or an IP address, without brackets
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def private_suffix(name: str) -> str:
    """What a name (in lower case) ends in that the public DNS never has; '' if nothing."""
    return next((one for one in _PRIVATE if name == one or name.endswith(f".{one}")), "")


def without_user(text: str, instead: str = "") -> str:
    """What may be shown of a URL or an endpoint: user and password before an @ are secret.

    They end at the last @, since a password may have anything in it that somebody did not encode.
    Only an @ that can end no password is left alone: one in a file's whole path, or beyond the host
    of an http(s) URL without any other colon. What precedes the user is its scheme, and no more.
    """
    before, at, rest = text.rpartition("@")
    if not at or re.match(_PATH, before):
        return text
    start = re.match(_START, before)
    return (start[0] if start else "") + instead + rest


def split_url(url: str) -> "SplitResult":
    """A URL taken apart, its port understood, without user and password.

    Raises:
        ValueError: one line without what may be a password.
    """
    from urllib.parse import urlsplit

    try:
        whole, bare = urlsplit(url), urlsplit(without_user(url))
        _ = bare.port
    except ValueError:  # whose words repeat what may be a password
        raise ValueError("its host or port cannot be one") from None
    if whole.netloc.rpartition("@")[2] != bare.netloc:
        problem = "before an @ in it stands '/', '?' or '#'"
        raise ValueError(f"{problem}: write %2F, %3F, %23 in a password, and %40 in a path")
    return bare


def parse(text: str, default_port: int | None = None) -> Endpoint:
    """Understand an endpoint. An https:// URL may do without a port, others if there is a default.

    Raises:
        ValueError: one line that says what is wrong.
    """
    place = without_user(text.strip())
    default = default_port
    if place.lower().startswith("https://"):
        place, default = place[len("https://") :].partition("/")[0], 443
    host, separator, digits = _split(place)
    if not host or "/" in host or any(character.isspace() for character in host):
        raise ValueError("it is no host:port")
    if not separator and default:
        return Endpoint(host, default)
    if not (digits.isascii() and digits.isdigit() and len(digits) < 6 and 0 < int(digits) < 65536):
        raise ValueError("after the host stands no port (1 to 65535)")
    return Endpoint(host, int(digits))


def is_address(host: str) -> bool:
    """Whether a host is given by its IP address, be it with a scope, and not by a name."""
    from ipaddress import ip_address

    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether a host, without brackets, is this very one: what is said to it stays here.

    Names other than localhost are not resolved, so they are not.
    """
    from ipaddress import IPv6Address, ip_address

    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return host.lower() == "localhost"
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


class Served(NamedTuple):
    """Where a certificate is served, and what is said before TLS there."""

    endpoint: Endpoint
    prelude: str = ""  # a name of probes.starttls.PRELUDES


def watched(text: str) -> Served:
    """Understand host:port, TLS from the start, or a URL with one of SCHEMES.

    Raises:
        ValueError: one line that says what is wrong.
    """
    scheme, separator, rest = without_user(text.strip()).partition("://")
    if not separator:
        return Served(parse(text))
    scheme = scheme.lower()
    if scheme not in SCHEMES:
        other = _PLAIN.get(scheme)
        hint = f"with TLS it is {other}://" if other else f"known are {', '.join(SCHEMES)}"
        raise ValueError(f"{scheme[:20]}:// is no way to a certificate; {hint}")
    port, prelude = SCHEMES[scheme]
    return Served(parse(rest.partition("/")[0].partition("?")[0], port), prelude)


def check_watched(name: str) -> None:
    """Whether this names a certificate to watch: a file by its whole path, or an endpoint.

    Raises:
        ValueError: one line with the name, without user and password, and what is wrong with it.
    """
    try:
        if "\0" in name:
            raise ValueError("it holds a NUL byte")
        if not name.startswith("/"):
            watched(name)
    except ValueError as error:
        hint = "name a file by its whole path (/path/tls.crt) and an endpoint as host:port"
        raise ValueError(f"{without_user(name)!r}: {error}; {hint}") from None


def check_address(text: str) -> None:
    """Whether this is an IP address.

    Raises:
        ValueError: one line with the text, without user and password.
    """
    if not is_address(text):
        raise ValueError(f"{without_user(text)!r} is no IP address")


def check_host(name: str) -> None:
    """Whether this is a host alone: a name or an IP address, IPv6 without brackets.

    Raises:
        ValueError: one line with the name, without user and password, and what is wrong with it.
    """
    shown = repr(without_user(name))
    if not name.strip():
        raise ValueError("expected a name or an IP address, not nothing")
    if "/" in name or "@" in name or any(character.isspace() for character in name):
        raise ValueError(f"{shown} is no name or IP address")
    if ":" in name and not _is_ipv6(name):
        raise ValueError(f"{shown} is no name or IP address; write it without port and brackets")


def _is_ipv6(name: str) -> bool:
    from ipaddress import IPv6Address

    try:
        IPv6Address(name)
    except ValueError:
        return False
    return True


def _split(place: str) -> tuple[str, str, str]:
    """Host, colon and port. An IPv6 address with a port stands in brackets (RFC 3986, 3.2.2)."""
    if place.startswith("["):
        host, closed, rest = place[1:].partition("]")
        understood = closed and ":" in host and rest[:1] in ("", ":")
        return (host if understood else ""), rest[:1], rest[1:]
    if place.count(":") > 1:
        raise ValueError("an IPv6 address stands in brackets before its port: [2001:db8::1]:443")
    host, separator, digits = place.rpartition(":")
    return (host, separator, digits) if separator else (place, "", "")
