"""How certificates hang together: which one issued which, and which authority is above them.

Links are made by names and verified by signatures. What a judgement needs of them is kept in
`Chain`, so that it can be judged again where the certificates themselves are not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from functools import cached_property
from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, Literal, NamedTuple

from msgspec import Struct, structs

from biostudio_doctor.certificates.facts import CertificateFacts

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.x509 import verification

Above = Literal["system", "given", ""]
Role = Literal["server", "intermediate", "root"]

_CANDIDATES = 4  # issuers of the same name that are tried for one certificate
_LONGEST = 20  # certificates on the way from a server to its root
_LOOKED_AT = 100  # certificates that are looked up among the known authorities


class Chain(Struct, frozen=True, kw_only=True):
    """Certificates in the order in which they were found, and their links."""

    certificates: tuple[CertificateFacts, ...]
    issuers: tuple[tuple[int, ...], ...]  # of each, the places of those that signed it; not itself
    way: tuple[int, ...] = ()  # places, from the server's up to the authority that is known
    above: Above = ""  # whose authority is above the last one of `way`, or is that one
    anchor: str = ""  # its name
    anchor_until: datetime | None = None  # UTC, when it expires

    @property
    def leaf_at(self) -> int:
        """The place of the server's own certificate: the first that is no authority's."""
        return next((at for at, one in enumerate(self.certificates) if not one.is_ca), 0)

    @property
    def leaf(self) -> CertificateFacts:
        """The server's own certificate."""
        return self.certificates[self.leaf_at]

    @property
    def path(self) -> tuple[int, ...]:
        """The places from the server's certificate up to an authority that is known.

        Others may be sent that nobody needs, such as a root's older self that another root signed.
        Where no authority is known, they are those of `upwards`.
        """
        return self.way or self.upwards

    @property
    def upwards(self) -> tuple[int, ...]:
        """The places from the server's certificate upwards, as far as they lead."""
        path = list(self.way) or [self.leaf_at]
        while len(path) < _LONGEST:
            above = [at for at in self.issuers[path[-1]] if at not in path]
            if not above:
                break
            path.append(max(above, key=lambda at: self.certificates[at].not_after))
        return tuple(path)

    @property
    def top(self) -> CertificateFacts:
        """The last one of the path."""
        return self.certificates[self.path[-1]]

    @property
    def is_complete(self) -> bool:
        """It leads to a root, one of its own or one that is known here."""
        return bool(self.above) or self.top.self_signed

    @property
    def is_trusted(self) -> bool:
        """It leads to a known authority, through certificates that may issue others."""
        return bool(self.above) and all(self.certificates[at].is_ca for at in self.path[1:])

    @property
    def unrelated(self) -> tuple[int, ...]:
        """The places of those that issued neither the server's certificate nor one above it."""
        related, pending = {self.leaf_at}, [self.leaf_at]
        while pending:
            fresh = set(self.issuers[pending.pop()]) - related
            related |= fresh
            pending += fresh
        prints = {self.certificates[at].sha256 for at in related}
        places = enumerate(self.certificates)
        return tuple(at for at, one in places if at not in related and one.sha256 not in prints)

    @property
    def is_store(self) -> bool:
        """Only authorities, and not of one chain: a bundle to trust, and no server's."""
        return bool(self.unrelated) and all(one.is_ca for one in self.certificates)

    def role(self, at: int) -> Role:
        """What a certificate is in it."""
        if at == self.leaf_at:
            return "server"
        return "root" if self.certificates[at].self_signed else "intermediate"


class Anchor(NamedTuple):
    """An authority that is trusted."""

    origin: Above
    name: str
    until: datetime


class Authorities:
    """Certificates of authorities that are trusted, found by their names."""

    def __init__(self, system: Iterable[bytes] = (), given: Iterable[bytes] = ()) -> None:
        from cryptography import x509

        self.all: list[x509.Certificate] = []
        self._by_name: dict[bytes, list[tuple[x509.Certificate, Above]]] = {}
        origins: tuple[tuple[Iterable[bytes], Above], ...] = ((given, "given"), (system, "system"))
        for ders, origin in origins:
            for der in ders:
                with suppress(Exception):  # cryptography names no closed list; others may help
                    certificate = x509.load_der_x509_certificate(der)
                    known = self._by_name.setdefault(certificate.subject.public_bytes(), [])
                    known.append((certificate, origin))
                    self.all.append(certificate)

    @cached_property
    def store(self) -> verification.Store:
        """All of them, for the verifier; there must be one at least."""
        from cryptography.x509 import verification

        return verification.Store(self.all)

    def above(self, certificate: x509.Certificate) -> Anchor | None:
        """The authority that a certificate is, or was issued by: the one that is valid longest."""
        try:
            own, issuer = certificate.subject.public_bytes(), certificate.issuer.public_bytes()
        except Exception:  # a name that cannot be read
            return None
        found = [one for one in self._by_name.get(own, ()) if one[0] == certificate] or [
            one
            for one in self._by_name.get(issuer, ())[:_CANDIDATES]
            if _issued(certificate, one[0])
        ]
        if not found:
            return None
        known, origin = max(found, key=lambda one: one[0].not_valid_after_utc)
        return Anchor(origin, _called(known), known.not_valid_after_utc)


def link(
    certificates: Sequence[x509.Certificate],
    facts: Sequence[CertificateFacts],
    authorities: Authorities,
) -> Chain:
    """The chain that certificates make, in their order, with what is above it."""
    by_name: dict[bytes, list[int]] = {}
    for at, one in enumerate(certificates):
        by_name.setdefault(_name(one), []).append(at)
    issuers = tuple(_issuers(at, certificates, by_name) for at in range(len(certificates)))
    chain = Chain(certificates=tuple(facts), issuers=issuers)
    found = _way(chain, lambda at: authorities.above(certificates[at]))
    if not found:
        return chain
    way, anchor = found
    return structs.replace(
        chain, way=way, above=anchor.origin, anchor=anchor.name, anchor_until=anchor.until
    )


def _way(
    chain: Chain, above: Callable[[int], Anchor | None]
) -> tuple[tuple[int, ...], Anchor] | None:
    """The way from the server's certificate to a known authority that is valid longest.

    Of several that are, it is the shortest. This is Dijkstra's algorithm with dates for widths, so
    that a heap of certificates that all issued each other takes no longer than their links.
    """
    start = chain.leaf_at
    seen: set[int] = set()
    order = count()  # ways and anchors are not to be compared
    until = chain.certificates[start].not_after
    pending: list[tuple[float, int, int, tuple[int, ...], Anchor | None]] = [
        (-until.timestamp(), 1, next(order), (start,), None)
    ]
    while pending and len(seen) < _LOOKED_AT:
        width, length, _, way, anchor = heappop(pending)
        if anchor:
            return way, anchor
        at = way[-1]
        if at in seen:
            continue
        seen.add(at)
        anchor = above(at)
        if anchor:
            ends = max(width, -anchor.until.timestamp())
            heappush(pending, (ends, length, next(order), way, anchor))
        for other in chain.issuers[at] if length < _LONGEST else ():
            ends = max(width, -chain.certificates[other].not_after.timestamp())
            heappush(pending, (ends, length + 1, next(order), (*way, other), None))
    return None


def _issuers(
    at: int, certificates: Sequence[x509.Certificate], by_name: dict[bytes, list[int]]
) -> tuple[int, ...]:
    own = certificates[at]
    try:
        wanted = own.issuer.public_bytes()
    except Exception:  # a name that cannot be read
        return ()
    candidates = [
        other for other in by_name.get(wanted, ()) if other != at and certificates[other] != own
    ]
    return tuple(one for one in candidates[:_CANDIDATES] if _issued(own, certificates[one]))


def _name(certificate: x509.Certificate) -> bytes:
    try:
        return certificate.subject.public_bytes()
    except Exception:  # a name that cannot be read
        return b""


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """By name and signature; by the name alone where the signature is one of old.

    `cryptography` verifies no SHA-1 any more. The strict verifier refuses such a chain, and its
    weak signature is told, so this makes nothing good that is not.
    """
    from cryptography.exceptions import InvalidSignature

    try:
        certificate.verify_directly_issued_by(issuer)
    except InvalidSignature:
        return False
    except Exception:  # names that differ, keys of another kind, algorithms that are gone
        return _is_of_old(certificate) and certificate.issuer == issuer.subject
    return True


def _is_of_old(certificate: x509.Certificate) -> bool:
    try:
        algorithm = certificate.signature_hash_algorithm
    except Exception:  # an algorithm that nobody knows
        return False
    return algorithm is not None and algorithm.name in ("md5", "sha1")


def _called(certificate: x509.Certificate) -> str:
    from cryptography.x509.oid import NameOID

    from biostudio_doctor.text import printable

    for oid in (NameOID.COMMON_NAME, NameOID.ORGANIZATIONAL_UNIT_NAME, NameOID.ORGANIZATION_NAME):
        found = certificate.subject.get_attributes_for_oid(oid)
        if found:
            return printable(str(found[0].value))[:100]
    return ""
