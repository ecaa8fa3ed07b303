"""What /probe may ask: the list of the configuration, and what a target must be to match it.

An entry is a host, host:port, a URL or a network. Hosts are compared as they are connected to,
never as they are written: in lower case, without a trailing dot, international names as A-labels
(xn--...), IPv6 addresses in one form and IPv4 addresses that are mapped into IPv6 as IPv4. A host
in a form that programs read differently (127.1, 0x7f.1, 2130706433, %31) is no host here.
"""

import re
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import unquote, urlsplit

from msgspec import Struct

from biostudio_doctor import endpoints
from biostudio_doctor.certificates.names import as_ascii

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

PORTS = {"http": 80, "https": 443}

#: What a name may not lead to, and a wide network does not include: this very host, its links,
#: what is no single host, and where clouds tell a machine its secrets.
_INSIDE: tuple[Network, ...] = tuple(
    ip_network(network)
    for network in (
        "0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4",
        "::/128", "::1/128", "fe80::/10", "ff00::/8",
        "169.254.169.254/32", "169.254.170.2/32", "fd00:ec2::254/128",  # Amazon, and most others
        "100.100.100.200/32", "168.63.129.16/32", "192.0.0.192/32",  # Alibaba, Azure, Oracle
    )
)  # fmt: skip

_TRANSLATED = IPv6Network("64:ff9b::/96")  # RFC 6052: the IPv4 address is in the last 32 bits
_COMPATIBLE = IPv6Network("::/96")  # RFC 4291, 2.5.5.1

_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")  # as the last label: an IPv4 address, to inet_aton(3)
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


class Target(Struct, frozen=True, kw_only=True):
    """What shall be asked, understood."""

    host: str  # as it is connected to: a name, or an address in its one form
    port: int
    scheme: str = ""  # http or https; '' for what is no URL
    path: str = ""  # as it goes over the wire, without query

    @property
    def address(self) -> Address | None:
        """The address, if that is how the host is given."""
        return _address(self.host)


class Entry(Struct, frozen=True, kw_only=True):
    """One entry of the list: either `host` or `network` is set."""

    host: str = ""
    network: Network | None = None
    port: int | None = None  # none: every port
    scheme: str = ""  # of a URL, whose `path` a request must be at or below
    path: str = ""

    def admits(self, target: Target) -> bool:
        """Whether this entry names the target."""
        address = target.address
        if self.host != target.host and not (address and self.includes(address)):
            return False
        if self.port not in (None, target.port):
            return False
        return not self.scheme or (self.scheme == target.scheme and _below(target.path, self.path))

    def includes(self, address: Address) -> bool:
        """Whether the address is in this entry's network."""
        network = self.network
        return network is not None and address.version == network.version and address in network


class Allowed:
    """The list of the configuration."""

    def __init__(self, entries: Iterable[str]) -> None:
        self._entries = tuple(one for text in entries for one in understood(text))

    def target(self, target: Target) -> bool:
        """Whether the list admits a target. No name is looked up for it."""
        admitting = [entry for entry in self._entries if entry.admits(target)]
        address = target.address
        return bool(admitting) and (address is None or _is_outside_or_named(address, admitting))

    def address(self, address: Address, port: int) -> bool:
        """Whether a name that is admitted may lead to this address.

        It may lead anywhere but inside, where the list must name the address with all its ports or
        this one; a URL of the address does not count, since it stands for a part of that server.
        """
        here = [entry for entry in self._entries if entry.port in (None, port)]
        return _is_outside_or_named(address, [entry for entry in here if not entry.scheme])


def understood(text: str) -> tuple[Entry, ...]:
    """What an entry of the list stands for; `localhost` for its two addresses besides (RFC 6761).

    Raises:
        ValueError: one line with the entry, and what is wrong with it.
    """
    try:
        if "/" in text and not _SCHEME.match(text):
            return (Entry(network=_network(text)),)
        entry = _url_entry(text) if "://" in text else _place_entry(text)
    except ValueError as error:
        raise ValueError(f"{endpoints.without_user(text)!r}: {error}") from None
    address = _address(entry.host)
    if address:
        return (_of(address, entry),)
    if entry.host == "localhost":
        return (entry, *(_of(ip_address(here), entry) for here in ("127.0.0.1", "::1")))
    return (entry,)


def place(text: str, default_port: int | None = None) -> Target:
    """Understand host:port, or a host alone where there is a default.

    Raises:
        ValueError: one line that says what is wrong.
    """
    _check_characters(text, "/?#%")
    host, port = endpoints.parse(text, default_port)
    return Target(host=host_of(host), port=port)


def scheme_of(text: str) -> str:
    """The scheme of a URL in lower case; '' for what is none."""
    found = _SCHEME.match(text)
    return found[1].lower() if found else ""


def host_of(host: str) -> str:
    """A host, without brackets, as it is connected to.

    Raises:
        ValueError: for what is none, or not the same to every program.
    """
    if ":" in host:
        if "%" in host:
            raise ValueError("an IPv6 address with a zone is not probed")
        try:
            address = IPv6Address(host)
        except ValueError:
            raise ValueError("it is no IPv6 address") from None
        return str(address.ipv4_mapped or address)
    name = as_ascii(host)
    labels = name.split(".")
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError("it has no proper host name")
    if _NUMBER.fullmatch(labels[-1]) and not _address(name):
        raise ValueError("write an IPv4 address as four decimal numbers, such as 192.0.2.1")
    return name


def _check_characters(text: str, others: str = "") -> None:
    """Refuse what parsers disagree about.

    Raises:
        ValueError: naming the first such character.
    """
    for character in text:
        if not character.isprintable() or character in " \\@" or character in others:
            raise ValueError(f"{character!r} does not belong there")


def check(text: str) -> None:
    """Whether a target is worth understanding at all, before it is taken apart.

    Raises:
        ValueError: one line that says what is wrong.
    """
    if len(text) > 2048:
        raise ValueError("it is longer than 2048 characters")
    _check_characters(text)


def _place_entry(text: str) -> Entry:
    _check_characters(text, "?#%")
    if text.count(":") > 1 and not text.startswith("["):
        return Entry(host=host_of(text))  # an IPv6 address without a port
    if text.startswith("[") and text.endswith("]"):
        return Entry(host=host_of(text[1:-1]))
    if ":" not in text:
        return Entry(host=host_of(text))
    target = place(text)
    return Entry(host=target.host, port=target.port)


def _url_entry(text: str) -> Entry:
    _check_characters(text, "?#")
    parts = urlsplit(text)
    if parts.scheme not in PORTS:
        raise ValueError("a URL begins with http:// or https://")
    target = place(parts.netloc, PORTS[parts.scheme])
    if not _is_plain(parts.path):
        raise ValueError("its path must be written without detours")
    return Entry(
        host=target.host, port=target.port, scheme=parts.scheme, path=parts.path.rstrip("/")
    )


def _network(text: str) -> Network:
    try:
        return ip_network(text)
    except ValueError as error:
        said = str(error)
        hint = "its last bits must be 0" if "host bits" in said else "it is no network and no URL"
        raise ValueError(hint) from None


def _of(address: Address, entry: Entry) -> Entry:
    """The entry of one address, as a network of one."""
    return Entry(network=ip_network(address), port=entry.port, scheme=entry.scheme, path=entry.path)


def _address(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _is_outside_or_named(address: Address, entries: Sequence[Entry]) -> bool:
    """Whether an address is an ordinary one, or named by an entry that is no wider than its kind.

    So 127.0.0.0/8 opens the loopback interface, and 0.0.0.0/0 does not.
    """
    faces = _faces(address)
    for inside in _INSIDE:
        for face in faces:
            if face.version != inside.version or face not in inside:
                continue
            if not any(_names(entry, address, face, inside) for entry in entries):
                return False
    return True


def _names(entry: Entry, address: Address, face: Address, inside: Network) -> bool:
    if entry.network is None:
        return False
    if entry.network.num_addresses == 1:
        return entry.includes(address) or entry.includes(face)
    return entry.includes(face) and entry.network.prefixlen >= inside.prefixlen


def _faces(address: Address) -> set[Address]:
    """The address, and the IPv4 addresses that gateways make of it."""
    faces: set[Address | None] = {address}
    if isinstance(address, IPv6Address):
        faces |= {address.ipv4_mapped, address.sixtofour, *(address.teredo or ())}
        if address in _TRANSLATED or (address in _COMPATIBLE and int(address) > 1):
            faces.add(IPv4Address(int(address) & 0xFFFFFFFF))
    return {face for face in faces if face}


def _below(path: str, prefix: str) -> bool:
    """Whether a path is at or below another one, also for a server that decodes it twice."""
    if not prefix:
        return True
    return (path == prefix or path.startswith(f"{prefix}/")) and _is_plain(path)


def _is_plain(path: str) -> bool:
    """Whether a path leads straight down: nothing in it climbs, is doubled, or hides a slash."""
    decoded = path
    while (once := unquote(decoded)) != decoded:
        decoded = once
    segments = [segment.partition(";")[0] for segment in decoded.split("/")]
    climbs = any(segment in (".", "..") for segment in segments)
    return not climbs and "\\" not in decoded and decoded.count("/") == path.count("/")
