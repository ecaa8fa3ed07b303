"""Peers: do the ports between the machines work, before anything is installed on them?

On one machine `listen` opens the ports that its role will serve (`listener`), on another the check
`ports.peers` proves each of them (`client`). `protocol` says what they say to each other, `facts`
what was found, and `verdicts` what that means.
"""

import re

from msgspec import Struct

from biostudio_doctor import endpoints
from biostudio_doctor.model import ROLES

#: Where the code is looked for: arguments can be seen by every user of a machine, this cannot.
CODE_VARIABLE = "BIOSTUDIO_DOCTOR_CODE"

_NAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?")
_NAME_LIMIT = 253  # RFC 1035, 2.3.4
_INTERFACE = re.compile(r"[\w.@-]{1,15}")


class Peer(Struct, frozen=True):
    """A machine on which `listen` runs."""

    role: str
    address: str  # a name or an IP address, without brackets


def parse(text: str) -> Peer:
    """Understand ROLE=ADDRESS.

    Raises:
        ValueError: one line that says what is wrong.
    """
    shown = repr(endpoints.without_user(text))
    role, _, address = (part.strip() for part in text.partition("="))
    if role not in ROLES or not address:
        raise ValueError(f"{shown}: expected ROLE=ADDRESS, the role {' or '.join(ROLES)}")
    bare = address[1:-1] if address[0] + address[-1] == "[]" else address
    if not (_is_ip(bare) or (len(bare) <= _NAME_LIMIT and _NAME.fullmatch(bare))):
        raise ValueError(f"{shown}: after ROLE= stands no host name and no IP address")
    if re.fullmatch(r"[\d.]+", bare) and not _is_ip(bare):
        raise ValueError(f"{shown}: after ROLE= stands no valid IPv4 address")
    if problem := _no_host(bare):
        raise ValueError(f"{shown}: {problem}")
    return Peer(role, bare)


def _no_host(address: str) -> str:
    """Why no host can be asked at an IP address; '' if one can, also at a name."""
    from ipaddress import ip_address

    if not _is_ip(address):
        return ""
    parsed = ip_address(address)
    if parsed.is_unspecified or parsed.is_multicast:
        return "after ROLE= stands the address of no single host"
    scope = address.partition("%")[2]
    if parsed.version == 6 and parsed.is_link_local and not scope:
        return "after ROLE= stands a link-local address without interface, unlike fe80::1%eth0"
    if scope and not _INTERFACE.fullmatch(scope):
        return "after ROLE=, what follows % names no interface"
    return ""


def _is_ip(text: str) -> bool:
    from ipaddress import ip_address

    try:
        ip_address(text)
    except ValueError:
        return False
    return True
