"""sso.saml; what is said of metadata is in sso_saml_words."""

from __future__ import annotations

from collections.abc import Awaitable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

from msgspec import Struct, structs

from biostudio_doctor.check import Check
from biostudio_doctor.config import SamlProvider
from biostudio_doctor.host import Host
from biostudio_doctor.host.patience import bounded
from biostudio_doctor.model import Finding
from biostudio_doctor.requirements import Requirements
from biostudio_doctor.sso import shown
from biostudio_doctor.sso.facts import Document, Metadata

from .datasources import subjects
from .egress_one import bad_file, settings, surroundings
from .sso import SHARE, no_provider, unusable

_FILES_SECONDS = 3.0


class AskedMetadata(Struct, frozen=True, kw_only=True):
    """One provider's metadata."""

    at: str  # the file, or the address without its query
    is_file: bool = False
    entity_id: str | None = None
    document: Document | None = None
    metadata: Metadata | None = None
    refused: str = ""  # a stable word, where they were read and are no metadata
    problem: str = ""  # why they were not asked for or not read
    no_library: bool = False


class SamlFacts(Struct, frozen=True, kw_only=True):
    """All metadata, in the order of the configuration, and the time of that."""

    observed_at: datetime  # UTC, by this host's clock
    asked: tuple[AskedMetadata, ...] = ()


class SsoSaml(Check[SamlFacts]):
    """Sign-in by SAML.

    Reads the metadata of every identity provider under [[sso.saml]], from a file or an https://
    address, through this host's proxy and with its authorities. Judges whether they are SAML 2.0
    metadata of an identity provider with the configured entity ID, whether users are sent to
    https:// addresses by a usual binding, how long the certificates for its signatures and the
    metadata themselves are valid. XML with a document type is refused: by that it could make its
    reader fetch files.

    What cannot be seen from here: whether BioStudio is registered with the provider, who may sign
    in, and which attributes it sends. Whether metadata are signed is told; that signature is not
    verified.

    Why: when a provider changes its certificate and BioStudio still has the old metadata, nobody
    can sign in any more.

    Mend: load the provider's current metadata into the single sign-on settings on BioStudio's
    dashboard, or have the provider publish new ones.
    """

    id = "sso.saml"
    interval = timedelta(hours=1)
    timeout = timedelta(seconds=20)
    network = True
    requirement_ids = ("sso.sign-in",)

    def observe(self, host: Host) -> SamlFacts | Awaitable[SamlFacts]:
        providers = self.context.config.sso.saml
        if not providers:
            return SamlFacts(observed_at=datetime.now(UTC))
        return self._ask_all(providers, host)

    async def _ask_all(self, providers: Sequence[SamlProvider], host: Host) -> SamlFacts:
        from biostudio_doctor.probes.side_by_side import side_by_side
        from biostudio_doctor.sso.saml import SIZE_LIMIT

        paths = [one.metadata for one in providers if one.metadata.startswith("/")]
        calls = {path: partial(_read, path=path, limit=SIZE_LIMIT) for path in paths}
        files = bounded(host, calls, _FILES_SECONDS, "read") if calls else {}

        async def ask(provider: SamlProvider) -> AskedMetadata:
            if provider.metadata in files:
                return _of_file(provider, files[provider.metadata])
            return await self._fetched(provider, host)

        with host.doing("fetch SAML metadata"):
            asked = await side_by_side(ask, providers)
        return SamlFacts(observed_at=datetime.now(UTC), asked=asked)

    async def _fetched(self, provider: SamlProvider, host: Host) -> AskedMetadata:
        from biostudio_doctor.sso import documents, saml

        asked = AskedMetadata(at=shown(provider.metadata), entity_id=provider.entity_id)
        if "://" not in provider.metadata:
            problem = "its metadata are neither an https:// address nor a file by its whole path"
            return structs.replace(asked, problem=problem)
        try:
            around = surroundings(settings(self.context), host, provider.ca_file)
        except OSError as error:
            return structs.replace(asked, problem=bad_file(error))
        document, data = await documents.fetch(
            provider.metadata,
            around,
            limit=saml.SIZE_LIMIT,
            timeout=SHARE * self.allowed_seconds,
        )
        asked = structs.replace(asked, document=document)
        return _understood(asked, data) if data else asked

    def judge(self, facts: SamlFacts, requirements: Requirements) -> Iterator[Finding]:
        if not facts.asked:
            example = '[[sso.saml]] with metadata = "https://..." or "/path"'
            yield no_provider("SAML identity provider", "saml", example)
            return
        from . import sso_saml_words as words

        names = subjects([one.at for one in facts.asked])
        for name, asked in zip(names, facts.asked, strict=True):
            if asked.problem:
                yield unusable(name, asked.problem, "[[sso.saml]]")
            else:
                yield from words.judge(name, asked, facts.observed_at, self.context)


def _read(host: Host, *, path: str, limit: int) -> bytes:
    return host.read_bytes(path, limit + 1)


def _of_file(provider: SamlProvider, read: bytes | OSError) -> AskedMetadata:
    asked = AskedMetadata(at=provider.metadata, is_file=True, entity_id=provider.entity_id)
    if isinstance(read, OSError):
        return structs.replace(asked, problem=f"the file cannot be read ({read.strerror})")
    return _understood(asked, read)


def _understood(asked: AskedMetadata, data: bytes) -> AskedMetadata:
    from biostudio_doctor.sso import documents, saml

    document = asked.document or Document(url=asked.at)
    document = structs.replace(document, kind=documents.look(data), length=len(data))
    asked = structs.replace(asked, document=document)
    if document.kind == "html" and not asked.is_file:
        return asked
    try:
        return structs.replace(asked, metadata=saml.read(data, asked.entity_id))
    except saml.SamlError as error:
        document = structs.replace(document, problem=error.problem)
        return structs.replace(asked, document=document, refused=error.cause)
    except ImportError:
        return structs.replace(asked, no_library=True)
