"""When certificates expire, also those that nobody trusts: values from the facts of checks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..reading import at, certificate_name, each, unix
from .families import Group, Sample

GROUP = Group("Certificates")

_OF = "certificate.expiry, sso.ldap or sso.saml"
_NOT_AFTER = GROUP.gauge(
    "certificate_not_after_timestamp_seconds", "target", "position", "subject",
    says="When a certificate expires, as Unix time, trusted or not: the server's own (leaf), those "
    "above it (chain), the authority that is known here (anchor), and of SAML the one that signs "
    "(signing).",
    of=_OF,
)  # fmt: skip
_NOT_BEFORE = GROUP.gauge(
    "certificate_not_before_timestamp_seconds", "target", "subject",
    says="From when on the server's own certificate is good, as Unix time.", of=_OF,
)  # fmt: skip
_BACKEND = GROUP.gauge(
    "certificate_backend_not_after_timestamp_seconds", "target", "address",
    says="When the certificate expires that one address of a name serves, as Unix time.", of=_OF,
)  # fmt: skip
_TRUSTED = GROUP.gauge(
    "certificate_trusted", "target",
    says="1 if this host trusts the chain, names and dates apart, 0 if not.", of=_OF,
)  # fmt: skip
_READ = GROUP.gauge(
    "certificate_read", "target", says="1 if a certificate was had, 0 if not.", of=_OF
)


def watched(check: str, facts: Any) -> Iterator[Sample]:
    """From certificate.expiry and sso.ldap, which look at certificates in the same way."""
    for one in each(facts, "watched"):
        target = one.get("name", "")
        chain = list(each(one, "chain", "certificates"))
        yield _READ, (target,), bool(chain)
        yield _TRUSTED, (target,), at(one, "trust", "trusted")
        yield from _chain(target, one.get("chain"), chain)
        for backend in each(one, "backends"):
            yield _BACKEND, (target, backend.get("address")), unix(backend.get("not_after"))


def _chain(target: str, facts: Any, chain: list[dict[str, Any]]) -> Iterator[Sample]:
    """Of a chain that leads to an authority, what is sent along without need is left out."""
    leaf = next((one for one in chain if not one.get("is_ca")), chain[0] if chain else None)
    way = at(facts, "way")
    needed = way if isinstance(way, (list, tuple)) and way else range(len(chain))
    ends: dict[tuple[str, str, str], float] = {}
    for at_place, one in enumerate(chain):
        end = unix(one.get("not_after"))
        if end is None or (one is not leaf and at_place not in needed):
            continue
        of = (target, "leaf" if one is leaf else "chain", certificate_name(one))
        ends[of] = min(end, ends.get(of, end))  # a root's older and newer self have one name
    for of, end in ends.items():
        yield _NOT_AFTER, of, end
    if leaf:
        yield _NOT_BEFORE, (target, certificate_name(leaf)), unix(leaf.get("not_before"))
    anchor = (target, "anchor", at(facts, "anchor") or "")
    yield _NOT_AFTER, anchor, unix(at(facts, "anchor_until"))


def signing(check: str, facts: Any) -> Iterator[Sample]:
    """From sso.saml."""
    for asked in each(facts, "asked"):
        for one in each(asked, "metadata", "entity", "certificates"):
            of = (asked.get("at", ""), "signing", certificate_name(one))
            yield _NOT_AFTER, of, unix(one.get("not_after"))


EXTRACTORS = {
    "certificates": (watched, ("certificate.expiry", "sso.ldap")),
    "signing": (signing, ("sso.saml",)),
}
