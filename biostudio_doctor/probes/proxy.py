"""HTTP proxies: which one the environment names for a host, and what it says to CONNECT.

What programs do with these variables is nowhere standardised. `ROUTERS` are the rules of those that
BioStudio depends on: curl, conda (Python's requests) and docker (Go's net/http). A host counts as
exempt from the proxy only where all of them agree; who does not is part of the facts.
"""

import re
import ssl
import time
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from ipaddress import ip_address, ip_network
from typing import Any
from urllib.parse import SplitResult, unquote_to_bytes, urlsplit

import anyio
from anyio.abc import ByteStream
from msgspec import structs

from biostudio_doctor.endpoints import is_address, is_loopback
from biostudio_doctor.probes import Failure, Reason
from biostudio_doctor.probes.failures import ProbeError, failure, one_line
from biostudio_doctor.probes.results import Proxy, Reply, Route

#: What counts for https:// URLs, in the order of curl(1), "ENVIRONMENT"; each also in upper case.
VARIABLES = ("https_proxy", "all_proxy")

CONFIGURATION = "the configuration"  # stands for the variable where that named the proxy

_NAME = re.compile(r"\w[\w-]{0,62}(\.\w[\w-]{0,62})*")  # RFC 1123, 2.1, and '_'; IDNs too
_ADDRESS = re.compile(r"[\w.:%-]+")  # of which ip_address lets a zone be anything
_DEFAULT_PORTS = {"http": 80, "https": 443}  # conda's and docker's; curl alone says 1080
_SCHEMES = 8  # that a proxy may offer
_HEAD_LIMIT = 65536  # bytes of an answer to CONNECT
_HTTP = b"HTTP/"  # how it begins
_HEARD = 40  # bytes of it that are repeated where it begins otherwise


class UnsupportedProxyError(ValueError):
    """A proxy that may well work, for programs that can do more than this one."""


def route(environ: Mapping[str, str], host: str, port: int, configured: str = "") -> Route:
    """Decide by the environment, or by a proxy that was configured and goes before it.

    NO_PROXY counts in both cases. Whatever stands there, the answer is a Route.
    """
    variable, value = (CONFIGURATION, configured) if configured else _setting(environ)
    if not value:
        return Route()
    other = environ.get(variable.swapcase())
    exempt_for = tuple(name for name, exempts in ROUTERS.items() if exempts(environ, host, port))
    found = Route(
        variable=variable,
        contradicted_by=variable.swapcase() if other and other != value else "",
        exempt_for=exempt_for,
    )
    if len(exempt_for) == len(ROUTERS):
        return found
    try:
        return structs.replace(found, proxy=parse(value))
    except ValueError as error:  # its words are ours, and repeat nothing of the value
        reason: Reason = "other" if isinstance(error, UnsupportedProxyError) else "bad-proxy"
        return structs.replace(found, failure=Failure("proxy", reason, str(error)))


def parse(value: str) -> Proxy:
    """Read the value of a proxy variable; one without a scheme means http, as everywhere.

    Raises:
        ValueError: why it makes no sense, without repeating it: it may hold a password.
    """
    parts = _split(value)
    if parts.scheme.startswith("socks"):
        raise UnsupportedProxyError("names a SOCKS proxy, through which this tool cannot look")
    if parts.scheme not in _DEFAULT_PORTS:
        raise ValueError("begins with neither http:// nor https://")
    try:
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        raise ValueError("has no valid port number (1 to 65535)") from None
    if not host:
        raise ValueError("names no host")
    if not _is_host(host):
        raise ValueError("names neither a host name nor an IP address")
    if port == 0:
        raise ValueError("has no valid port number (1 to 65535)")
    return Proxy(
        scheme=parts.scheme,
        host=host,
        port=port or _DEFAULT_PORTS[parts.scheme],
        port_given=port is not None,
        authenticated=parts.username is not None,
    )


def authorization(value: str) -> str | None:
    """The Proxy-Authorization that a setting asks for (RFC 7617); never to be kept or shown."""
    try:
        parts = _split(value)
        if parts.username is None:
            return None
    except ValueError:
        return None
    secret = unquote_to_bytes(parts.username) + b":" + unquote_to_bytes(parts.password or "")
    return "Basic " + b64encode(secret).decode("ascii")


def _is_host(host: str) -> bool:
    if is_address(host):
        return _ADDRESS.fullmatch(host) is not None
    return _NAME.fullmatch(host) is not None


def _split(value: str) -> SplitResult:
    if not value.isprintable() or any(character.isspace() for character in value):
        raise ValueError("contains blanks or control characters")
    whole = "://" in value
    try:
        parts = urlsplit(value if whole else f"http://{value}")
    except ValueError:
        raise ValueError("is no valid URL") from None
    if "@" in parts.path + parts.query + parts.fragment:
        raise ValueError("has '/', '?' or '#' in the user name or password: write %2F, %3F, %23")
    if parts.path not in ("", "/") and not whole:  # http:/proxy, https//proxy
        raise ValueError("is no valid URL")
    return parts


def _setting(environ: Mapping[str, str]) -> tuple[str, str]:
    """The variable that is in force, and its value.

    For curl and Python alike lower case goes before upper case, even where it is empty.
    """
    for name in VARIABLES:
        variable = name if name in environ else name.upper()
        if environ.get(variable):
            return variable, environ[variable]
    return "", ""


def _curl_exempts(environ: Mapping[str, str], host: str, port: int) -> bool:
    """CURLOPT_NOPROXY(3): suffixes, CIDR (from 7.86), '*' only alone, no ports, no brackets."""
    no_proxy = environ.get("no_proxy", environ.get("NO_PROXY", "")).lower()
    name = host.strip("[]").lower()
    if no_proxy == "*":
        return True
    entries = list(_curl_entries(no_proxy))
    if is_address(name):
        return any(_within(name, entry) for entry in entries)
    return _below(name.rstrip("."), (entry.rstrip(".").removeprefix(".") for entry in entries))


def _curl_entries(no_proxy: str) -> Iterator[str]:
    for part in no_proxy.split(","):
        words = part.split()
        yield from words[:1]
        if len(words) > 1:  # newer versions end the list at a blank that stands for a comma
            return


def _conda_exempts(environ: Mapping[str, str], host: str, port: int) -> bool:
    """requests.utils.should_bypass_proxies: any suffix, with or without the port; IPv4 CIDR."""
    no_proxy = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    if no_proxy == "*":
        return True
    name = host.strip("[]").lower()
    entries = [entry for entry in no_proxy.replace(" ", "").lower().split(",") if entry]
    if is_address(name) and ":" not in name:
        return any(_within(name, entry) for entry in entries)
    if any(name.endswith(entry) or f"{name}:{port}".endswith(entry) for entry in entries):
        return True
    return _below(name, (entry.lstrip(".") for entry in entries))  # urllib's rule comes after


def _docker_exempts(environ: Mapping[str, str], host: str, port: int) -> bool:
    """golang.org/x/net/http/httpproxy: host, .subdomains, *.subdomains, IP, CIDR, each with port.

    Loopback hosts are always exempt, and a '*' anywhere exempts all.
    """
    no_proxy = environ.get("NO_PROXY") or environ.get("no_proxy") or ""
    name = host.strip("[]").lower()
    if is_loopback(name):
        return True
    for entry in (part.strip().lower() for part in no_proxy.split(",")):
        if entry == "*":
            return True
        pattern, wanted_port = _host_and_port(entry)
        if not pattern or wanted_port not in ("", str(port)):
            continue
        if is_address(name):
            if _within(name, pattern):
                return True
            continue
        domain = pattern[1:] if pattern.startswith("*.") else pattern
        if _below(name, [domain], itself=not domain.startswith(".")):
            return True
    return False


#: What exempts a host from the proxy, program by program: (environment, host, port) -> bool.
ROUTERS: Mapping[str, Callable[[Mapping[str, str], str, int], bool]] = {
    "curl": _curl_exempts,
    "conda": _conda_exempts,
    "docker": _docker_exempts,
}


def _below(name: str, domains: Iterable[str], itself: bool = True) -> bool:
    return any(
        domain and (name.endswith(f".{domain.lstrip('.')}") or (itself and name == domain))
        for domain in domains
    )


def _within(address: str, entry: str) -> bool:
    try:
        return ip_address(address) in ip_network(entry, strict=False)
    except ValueError:
        return False


def _host_and_port(entry: str) -> tuple[str, str]:
    """host:port or [IPv6]:port, where the port is optional; a bare IPv6 address has none."""
    if entry.startswith("["):
        host, _, port = entry[1:].partition("]")
        return host, port.removeprefix(":")
    host, colon, port = entry.partition(":")
    return (entry, "") if ":" in port or not colon else (host, port)


async def connect(
    stream: ByteStream, proxy: Proxy, host: str, port: int, *, secret: str | None, context: Any
) -> tuple[ByteStream, Reply]:
    """Ask the proxy at the other end of a stream for a tunnel; `secret` is Proxy-Authorization.

    Raises:
        ProbeError: if what comes back is no answer of a proxy; `reply.status` tells whether it
            opened the tunnel.
    """
    try:
        if proxy.scheme == "https":
            stream = await _wrapped(stream, proxy, context)
        return stream, await _ask(stream, host, port, secret)
    except (OSError, ValueError, anyio.EndOfStream, anyio.BrokenResourceError) as error:
        raise ProbeError(failure("proxy", error)) from None


async def _wrapped(stream: ByteStream, proxy: Proxy, context: ssl.SSLContext) -> ByteStream:
    from anyio.streams.tls import TLSStream

    return await TLSStream.wrap(
        stream, hostname=proxy.host, ssl_context=context, standard_compatible=False
    )


async def _ask(stream: ByteStream, host: str, port: int, secret: str | None) -> Reply:
    import h11

    started = time.perf_counter()
    target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    headers = [("Host", target), ("User-Agent", "biostudio-doctor")]
    if secret:
        headers.append(("Proxy-Authorization", secret))
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD_LIMIT)
    request = connection.send(h11.Request(method="CONNECT", target=target, headers=headers))
    await stream.send((request or b"") + (connection.send(h11.EndOfMessage()) or b""))
    try:
        response = await _response(connection, stream)
    except h11.RemoteProtocolError as error:  # h11's own words, such as "illegal status line"
        raise ProbeError(Failure("proxy", "bad-response", one_line(str(error)))) from None
    return Reply(
        status=response.status_code,
        phrase=one_line(response.reason.decode("latin-1")),
        seconds=round(time.perf_counter() - started, 6),
        schemes=tuple(_schemes(response.headers)),
        server=_header(response.headers, b"server") or _header(response.headers, b"via"),
    )


async def _response(connection: Any, stream: ByteStream) -> Any:
    """The head of the answer; EndOfStream if the proxy hangs up before that."""
    import h11

    heard = b""
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            data = await stream.receive()
            heard = (heard + data)[:_HEARD]
            if not heard.startswith(_HTTP[: len(heard)]):  # h11 would wait for more
                said = one_line(heard.decode("ascii", "replace"))
                raise ProbeError(Failure("proxy", "bad-response", f"it says '{said}'"))
            connection.receive_data(data)
        elif isinstance(event, h11.Response):
            return event


def _schemes(headers: Iterable[tuple[bytes, bytes]]) -> Iterator[str]:
    """The schemes of Proxy-Authenticate, one header each, as proxies send them (RFC 9110, 11.7)."""
    offered = [value.split(None, 1)[:1] for name, value in headers if name == b"proxy-authenticate"]
    for words in offered[:_SCHEMES]:
        for word in words:
            yield one_line(word.decode("latin-1").strip(","))[:40]


def _header(headers: Iterable[tuple[bytes, bytes]], wanted: bytes) -> str:
    found = next((value for name, value in headers if name == wanted), b"")
    return one_line(found.decode("latin-1"))[:100]
