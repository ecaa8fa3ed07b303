"""Certificates that are watched: where they are, and what was seen of each.

Files and directories are named by their whole path, everything else is an endpoint. What went
wrong with one is told beside the others.
"""

from __future__ import annotations

import os
from datetime import datetime

from msgspec import Struct

from biostudio_doctor import endpoints
from biostudio_doctor.certificates.chains import Chain
from biostudio_doctor.certificates.facts import CertificateFacts
from biostudio_doctor.certificates.private_keys import KeyFacts
from biostudio_doctor.config import CertificateSource, Config, Secret
from biostudio_doctor.probes import Failure
from biostudio_doctor.probes.results import TlsResult


class Source(Struct, frozen=True, kw_only=True):
    """A certificate to watch, with what belongs to it."""

    at: str  # as configured, without user and password
    key: str | None = None
    password: Secret | None = None
    server_name: str | None = None
    ca_file: str | None = None
    domain: str = ""  # the name that bioproxy's own must be for as well
    optional: bool = False  # it is left out where there is no such file

    @property
    def is_file(self) -> bool:
        """Files are named by their whole path."""
        return self.at.startswith("/")


class Trust(Struct, frozen=True, kw_only=True):
    """Whether a chain is trusted, apart from names and dates."""

    trusted: bool
    code: int = 0  # X509_V_ERR_... of OpenSSL, where it was asked
    problem: str = ""  # the same in words that follow "it"
    weak: bool = False  # by a signature that anybody could forge, SHA-1 or MD5
    strict: str = ""  # why a verifier that takes the rules to the letter refuses it


class Backend(Struct, frozen=True, kw_only=True):
    """One address of a name, and the certificate that it serves."""

    address: str
    sha256: str = ""  # '' where none was had
    not_before: datetime | None = None
    not_after: datetime | None = None
    failure: Failure | None = None


class Watched(Struct, frozen=True, kw_only=True):
    """What was seen of one source."""

    name: str  # as configured, without user and password
    is_file: bool = False
    own: bool = False  # bioproxy's
    path: str = ""  # the file that was read, where the source is a directory
    kind: str = ""  # of file, such as PEM
    names: tuple[str, ...] = ()  # that it must be for
    chain: Chain | None = None  # None where no certificate was had
    trust: Trust | None = None
    key: KeyFacts | None = None  # None where none is known
    tls: TlsResult | None = None  # of an endpoint that was asked; its chain is in `chain`
    oldest_version: str | None = ""  # of TLS 1.0 and 1.1, if offered; None where it was not tried
    backends: tuple[Backend, ...] = ()  # where the name has several addresses
    problem: str = ""  # of a file: why nothing was read
    denied: bool = False  # this user may not read the file

    @property
    def leaf(self) -> CertificateFacts | None:
        """The server's own certificate."""
        return self.chain.leaf if self.chain else None


def sources(config: Config, *, own: str, running: bool) -> tuple[Source, ...]:
    """All that a configuration watches, in its order.

    bioproxy's own file `own` is watched too once it exists, and so is what is served under the
    configured domain once services are `running`.
    """
    found: dict[str, Source] = {}
    for one in config.certificates:
        given = CertificateSource(at=one) if isinstance(one, str) else one
        source = Source(
            at=endpoints.without_user(given.at).strip(),
            key=given.key,
            password=given.password,
            server_name=given.server_name,
            ca_file=given.ca_file,
            domain=_domain(config, given.at, own),
        )
        found.setdefault(source.at, source)
    if own not in found and os.path.dirname(own) not in found:
        found[own] = Source(
            at=own, key=_beside(own), domain=_domain(config, own, own), optional=True
        )
    if config.domain and running:
        endpoint = endpoints.Endpoint(config.domain, config.ports.https)
        if not any(_leads_to(one, endpoint) for one in found.values()):
            found[str(endpoint)] = Source(at=str(endpoint))
    return tuple(found.values())


def _domain(config: Config, at: str, own: str) -> str:
    return config.domain or "" if at.rstrip("/") in (own, os.path.dirname(own)) else ""


def _beside(own: str) -> str:
    """Where bioproxy keeps the key of its certificate: /x/tls.key beside /x/tls.crt."""
    return f"{os.path.splitext(own)[0]}.key"


def _leads_to(source: Source, endpoint: endpoints.Endpoint) -> bool:
    if source.is_file:
        return False
    there = endpoints.watched(source.at).endpoint
    return (there.host.lower(), there.port) == (endpoint.host.lower(), endpoint.port)
