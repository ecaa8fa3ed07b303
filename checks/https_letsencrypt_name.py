"""Whether Let's Encrypt can issue a certificate for a name at all."""

import re
from typing import NamedTuple

from biostudio_doctor.certificates.names import as_address, as_ascii
from biostudio_doctor.endpoints import private_suffix

_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_NAME_LIMIT = 253  # RFC 1035, 2.3.4


class Name(NamedTuple):
    """A name as it stands in DNS, and why no certificate can be had for it."""

    ascii: str  # '' for what is no name
    problem: str = ""  # completes "The domain NAME ..."
    cause: str = ""


def examine(domain: str) -> Name:
    """Look at a domain of the configuration."""
    bare = domain.strip()
    if as_address(bare):
        return Name(
            "", "is an IP address, and Let's Encrypt inside bioproxy needs a name", "https.address"
        )
    if "://" in bare or "/" in bare or ":" in bare:
        return Name(
            "", "is more than a name: a scheme, port or path stands with it", "https.no-name"
        )
    if "*" in bare:
        return Name(
            "",
            "has a wildcard: HTTP-01, which asks a server, cannot prove that (only DNS-01 can)",
            "https.wildcard",
        )
    name = as_ascii(bare)
    labels = name.split(".")
    if len(name) > _NAME_LIMIT or not all(_LABEL.fullmatch(label) for label in labels):
        return Name("", "is no valid host name", "https.no-name")
    if not all(_decodes(label) for label in labels):
        return Name("", "has a label that only looks like an encoded one (xn--)", "https.no-name")
    if len(labels) == 1:
        return Name(name, "is a single word, which no public name is", "https.not-public")
    private = private_suffix(name)
    if private:
        return Name(
            name,
            f"ends in .{private}, which the public DNS never has: nobody outside can look it up",
            "https.not-public",
        )
    if labels[-1].isdigit():
        return Name("", "is no valid host name", "https.no-name")
    return Name(name)


def _decodes(label: str) -> bool:
    if not label.startswith("xn--"):
        return True
    import idna

    try:
        idna.decode(label)
    except (idna.IDNAError, UnicodeError):
        return False
    return True
