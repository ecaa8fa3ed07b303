"""What providers publish, as plain facts. Nothing heavy is imported for them."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct

from biostudio_doctor.certificates import CertificateFacts
from biostudio_doctor.probes.results import Path

#: What the bytes of a document begin like; '' where none were had.
Kind = Literal["json", "xml", "html", "empty", "large", "other", ""]


class Document(Struct, frozen=True, kw_only=True):
    """A document that was asked for, and the way to it."""

    url: str  # without user and query
    path: Path | None = None  # None of a file, and of an address that is none
    left_at: str = ""  # where the answer redirects to
    kind: Kind = ""
    length: int = 0  # bytes
    problem: str = ""  # why it was not asked for, or what is wrong with its content

    @property
    def status(self) -> int:
        """Of the HTTP answer; 0 without one."""
        answer = self.path.exchange.answer if self.path and self.path.exchange else None
        return answer.status or 0 if answer else 0

    @property
    def clock_offset(self) -> float | None:
        """Seconds that the server's clock is ahead of ours, if it tells."""
        answer = self.path.exchange.answer if self.path and self.path.exchange else None
        return answer.clock_offset if answer else None


# --- OpenID Connect -------------------------------------------------------------------------------


class Discovery(Struct, frozen=True, kw_only=True):
    """A discovery document (OpenID Connect Discovery 1.0, 3)."""

    issuer: str = ""
    endpoints: dict[str, str] = {}  # by the name of the member, such as token_endpoint
    missing: tuple[str, ...] = ()  # of the members that must be there
    odd: tuple[str, ...] = ()  # members that are no text, or no list of texts
    response_types: tuple[str, ...] = ()
    grant_types: tuple[str, ...] = ()
    algorithms: tuple[str, ...] = ()  # by which ID tokens are signed


class Key(Struct, frozen=True, kw_only=True):
    """A published key (RFC 7517), without the key itself."""

    id: str = ""
    kind: str = ""  # kty
    use: str = ""
    algorithm: str = ""
    bits: int = 0
    curve: str = ""
    private: bool = False  # its private half is published as well
    problem: str = ""  # why it cannot be used for verifying signatures


class Keys(Struct, frozen=True, kw_only=True):
    """A JWKS."""

    keys: tuple[Key, ...] = ()
    unread: int = 0  # more keys than are looked at
    no_library: bool = False  # the one that reads keys is not installed


class Published(Struct, frozen=True, kw_only=True):
    """What an issuer publishes of itself."""

    document: Document
    discovery: Discovery | None = None
    keys_document: Document | None = None  # None where no address of keys is known
    keys: Keys | None = None


# --- SAML -----------------------------------------------------------------------------------------


class SignOn(Struct, frozen=True):
    """Where a browser is sent to sign in."""

    binding: str  # the last part of its name, such as HTTP-POST
    location: str


class Entity(Struct, frozen=True, kw_only=True):
    """What the metadata say of one entity."""

    id: str
    is_provider: bool = False  # it has an IDPSSODescriptor
    is_service: bool = False  # it has an SPSSODescriptor
    speaks_saml2: bool = False
    sign_on: tuple[SignOn, ...] = ()
    certificates: tuple[CertificateFacts, ...] = ()  # by which its signatures are verified
    unread: tuple[str, ...] = ()  # why others are not among them
    valid_until: datetime | None = None  # UTC; the first of those that enclose it
    cache_duration: str = ""
    signed: bool = False  # there is a signature; whether it is good is not known
    odd: tuple[str, ...] = ()  # attributes that make no sense


class Metadata(Struct, frozen=True, kw_only=True):
    """SAML 2.0 metadata (saml-metadata-2.0-os)."""

    entities: tuple[str, ...] = ()  # the first entity IDs
    count: int = 0  # of all
    providers: tuple[str, ...] = ()  # of them, the first that are identity providers
    entity: Entity | None = None  # the one that was looked for, or the only one
