"""One look at all certificates that are watched, for whoever judges them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from msgspec import Struct, structs

from biostudio_doctor.certificates import files
from biostudio_doctor.certificates.facts import CertificateError, CertificateFacts
from biostudio_doctor.certificates.files import Found
from biostudio_doctor.certificates.formats import SIZE_LIMIT
from biostudio_doctor.certificates.watched import Source, Trust, Watched
from biostudio_doctor.host import Host

if TYPE_CHECKING:
    from cryptography import x509

    from biostudio_doctor.certificates.chains import Authorities, Chain
    from biostudio_doctor.certificates.live import Answer

_FILES_SHARE, _ENDPOINTS_SHARE = 0.2, 0.6  # of the time; the rest is for judging
_BUNDLE_LIMIT = 4 << 20  # bytes
_NOT_FOR_SERVERS = 26  # X509_V_ERR_INVALID_PURPOSE


class Survey(Struct, kw_only=True):
    """All that was seen. Only `watched`, `observed_at` and `ca_problems` are facts."""

    observed_at: datetime  # UTC, by this host's clock
    watched: tuple[Watched, ...] = ()
    ca_problems: dict[str, str] = {}  # why authorities could not be used, by their file
    loaded: dict[str, list[x509.Certificate]] = {}  # by the name of the source
    authorities: dict[str, Authorities] = {}  # what is trusted, by the name of the source
    given: dict[str, list[bytes]] = {}  # authorities (DER) by their file


def survey(
    host: Host, sources: Sequence[Source], *, ca_file: str | None, offline: bool, seconds: float
) -> Survey:
    """Read all files and, unless `offline`, ask all endpoints, in `seconds` for all of it."""
    found = files.read(host, sources, seconds=_FILES_SHARE * seconds)
    kept = [
        one for one in sources if not (one.optional and one.at in found and found[one.at].missing)
    ]
    if not kept:
        return Survey(observed_at=datetime.now(UTC))
    return _Looking(host, kept, ca_file).run(found, offline, _ENDPOINTS_SHARE * seconds)


class _Looking:
    """Gathers what belongs to each source."""

    def __init__(self, host: Host, sources: Sequence[Source], ca_file: str | None) -> None:
        self._host = host
        self._sources = sources
        self._ca_file = ca_file
        self._given: dict[str, list[bytes]] = {}  # by the file of authorities
        self._stores: dict[tuple[bytes, ...], Authorities] = {}
        self._system: list[bytes] | None = None
        self._done = Survey(observed_at=datetime.now(UTC))

    def run(self, found: dict[str, Found], offline: bool, seconds: float) -> Survey:
        """Everything, in the order of the sources."""
        for path in {self._ca_of(one) for one in self._sources}:
            if path:
                self._read_authorities(path)
        answers = {} if offline else self._ask(seconds)
        self._done.observed_at = datetime.now(UTC)
        self._done.given = self._given
        self._done.watched = tuple(
            self._file(one, found[one.at]) if one.is_file else self._endpoint(one, answers)
            for one in self._sources
        )
        return self._done

    def _ca_of(self, source: Source) -> str | None:
        return source.ca_file or self._ca_file

    def _ask(self, seconds: float) -> dict[str, Answer]:
        if all(one.is_file for one in self._sources):
            return {}
        import asyncio

        from biostudio_doctor.certificates import live

        usable: dict[str, str | None] = {
            one.at: self._host.path(path)
            for one in self._sources
            if (path := self._ca_of(one)) and path in self._given
        }
        return asyncio.run(live.ask(self._sources, usable, seconds=seconds))

    def _read_authorities(self, path: str) -> None:
        from biostudio_doctor.certificates.formats import read, single_or_pem

        try:
            data = self._host.read_bytes(path, SIZE_LIMIT + 1)
            read(data)
            if b"-----BEGIN " not in data:
                raise CertificateError("it is in DER, where PEM is wanted")
            self._given[path] = single_or_pem(data)
        except (OSError, ValueError) as error:  # ValueError: a NUL byte in the path
            self._done.ca_problems[path] = getattr(error, "strerror", None) or str(error)
        except CertificateError as error:
            self._done.ca_problems[path] = str(error)

    def _file(self, source: Source, found: Found) -> Watched:
        seen = Watched(
            name=source.at,
            is_file=True,
            own=bool(source.domain),
            path="" if found.path == source.at else found.path,
            kind=found.kind,
            names=tuple(filter(None, (source.server_name, source.domain))),
            key=found.key,
            problem=found.problem,
            denied=found.denied,
        )
        return self._with_chain(source, seen, found.certificates, found.authorities)

    def _endpoint(self, source: Source, answers: dict[str, Answer]) -> Watched:
        from biostudio_doctor import endpoints

        name = source.server_name or endpoints.watched(source.at).endpoint.host
        seen = Watched(name=source.at, names=(name,))
        answer = answers.get(source.at)
        if not answer:
            return seen
        seen = structs.replace(
            seen,
            tls=structs.replace(answer.tls, chain=()),
            oldest_version=answer.oldest_version,
            backends=answer.backends,
        )
        ders = list(answer.chain[: len(answer.tls.chain)])
        return self._with_chain(source, seen, ders, [], answer.tls.chain)

    def _with_chain(
        self,
        source: Source,
        seen: Watched,
        ders: list[bytes],
        beside: list[bytes],
        facts: Sequence[CertificateFacts] = (),
    ) -> Watched:
        """What was seen, with the links of its certificates and whether they are trusted."""
        if not ders:
            return seen
        from cryptography import x509

        from biostudio_doctor.certificates import chains
        from biostudio_doctor.certificates.facts import of

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of old sins, such as a negative serial number
            loaded = [x509.load_der_x509_certificate(der) for der in ders]
            store = self._store(self._given.get(self._ca_of(source) or "", beside))
            chain = chains.link(loaded, facts or [of(one) for one in loaded], store)
            self._done.loaded[source.at] = loaded
            self._done.authorities[source.at] = store
            trust = self._trust(seen, chain, loaded, store)
        return structs.replace(seen, chain=chain, trust=trust)

    def _trust(
        self,
        seen: Watched,
        chain: Chain,
        loaded: list[x509.Certificate],
        store: Authorities,
    ) -> Trust | None:
        from biostudio_doctor.certificates import verification

        if chain.is_store:
            return None
        now = self._done.observed_at
        asked = seen.tls if seen.tls and (seen.tls.verified or seen.tls.verify_code) else None
        trusted = asked.verified if asked else chain.is_trusted
        if not trusted:
            code, problem = (asked.verify_code, asked.verify_error) if asked else (0, "")
            return Trust(trusted=False, code=code, problem=problem)
        if chain.leaf.self_signed or not chain.above:  # OpenSSL may know more authorities
            return Trust(trusted=True)
        if not asked:
            problem = verification.path_problem(loaded, chain, store, now)
            if problem == verification.NOT_FOR_SERVERS:  # every client asks for that
                return Trust(trusted=False, code=_NOT_FOR_SERVERS, problem=problem)
        if any(chain.certificates[at].is_signed_weakly for at in chain.path):
            return Trust(trusted=True, weak=True)
        strict = verification.strict_problem(loaded, chain, store, now)
        return Trust(trusted=True, strict="" if _is_told(seen, chain, strict, now) else strict)

    def _store(self, given: list[bytes]) -> Authorities:
        from biostudio_doctor.ca_bundles import SYSTEM_BUNDLES
        from biostudio_doctor.certificates.chains import Authorities
        from biostudio_doctor.certificates.formats import pem_certificates

        if self._system is None:
            self._system = []
            path = next((one for one in SYSTEM_BUNDLES if self._host.exists(one)), "")
            try:
                data = self._host.read_bytes(path, _BUNDLE_LIMIT) if path else b""
                self._system = list(pem_certificates(data))
            except (OSError, CertificateError):
                pass  # egress.trust says what is wrong with it
        key = tuple(given)
        if key not in self._stores:
            self._stores[key] = Authorities(self._system, given)
        return self._stores[key]


def _is_told(seen: Watched, chain: Chain, strict: str, now: datetime) -> bool:
    """Other checks say the same: certificate.name or .expiry."""
    from biostudio_doctor.certificates.verification import NO_NAMES

    return (strict == NO_NAMES and bool(seen.names)) or (
        chain.anchor_until is not None and chain.anchor_until <= now
    )
