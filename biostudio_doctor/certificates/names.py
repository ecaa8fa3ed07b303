"""Which hosts a certificate is for (RFC 6125 and RFC 9525)."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address


def matches(name: str, host: str) -> bool:
    """Whether a name of a certificate stands for a host.

    IP addresses are equal or not, in whatever notation. A wildcard stands for one label, the first,
    and for all of it (RFC 9525, 6.3); there must be two labels below it, since curl and OpenSSL
    (X509_check_host(3)) take no *.lab. Names outside ASCII are compared as A-labels (xn--...).
    """
    address = as_address(host)
    if address:
        return as_address(name) == address
    wanted, offered = as_ascii(host), as_ascii(name)
    if not wanted or not offered:
        return False
    label, _, rest = wanted.partition(".")
    return offered == wanted or bool(label and "." in rest and offered == f"*.{rest}")


def as_address(name: str) -> IPv4Address | IPv6Address | None:
    """An IP address without brackets and zone; None for what is none."""
    try:
        return ip_address(name.strip("[]").partition("%")[0])
    except ValueError:
        return None


def as_ascii(name: str) -> str:
    """A name in lower case, with A-labels; '' for what is none."""
    name = name.strip().removesuffix(".").lower()
    if name.isascii():
        return name
    import idna

    try:
        return idna.encode(name, uts46=True).decode("ascii").lower()
    except idna.IDNAError:
        return ""


def readable(name: str) -> str:
    """A name with A-labels, followed by what people see in it: xn--bcher-kva.example (bücher.…)."""
    if "xn--" not in name.lower():
        return name
    import idna

    try:
        seen = idna.decode(name)
    except idna.IDNAError:
        return name
    return f"{name} ({seen})" if seen.isprintable() else name
