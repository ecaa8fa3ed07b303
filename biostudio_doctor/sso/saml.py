"""SAML 2.0 metadata (OASIS saml-metadata-2.0-os), understood. Any bytes may be given.

XML is parsed by defusedxml, which refuses document types: so there are no entities that could grow
without end, or name files and addresses to be fetched. What is left is bounded here.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any
from xml.etree.ElementTree import Element, ParseError, TreeBuilder

from biostudio_doctor.certificates import CertificateError, CertificateFacts, from_der
from biostudio_doctor.probes.failures import one_line
from biostudio_doctor.sso.facts import Entity, Metadata, SignOn

SIZE_LIMIT = 2 << 20  # bytes; of one identity provider they are some ten KiB
_ELEMENTS = 50_000
_DEPTH = 64
_ATTRIBUTES = 64  # of one element
_SHOWN = 20  # entity IDs
_CERTIFICATES = 16
_CERTIFICATE_LIMIT = 64 << 10  # characters of base64
_TEXT_LIMIT = 300

_MD = "{urn:oasis:names:tc:SAML:2.0:metadata}"
_DS = "{http://www.w3.org/2000/09/xmldsig#}"
_SAML2 = "urn:oasis:names:tc:SAML:2.0:protocol"
#: ISO 8601, as xs:duration has it; only told.
_DURATION = re.compile(r"-?P(?=.)(\d+Y)?(\d+M)?(\d+D)?(T(?=.)(\d+H)?(\d+M)?(\d+(\.\d+)?S)?)?")


class SamlError(Exception):
    """What was given is no SAML metadata that is read: a stable word, and one line of why."""

    def __init__(self, cause: str, problem: str) -> None:
        super().__init__(problem)
        self.cause = cause
        self.problem = problem


def read(data: bytes, entity_id: str | None = None) -> Metadata:
    """Understand metadata, and find the entity that was named, or else the only one.

    Raises:
        SamlError: if it is something else, or is refused.
        ImportError: if defusedxml is not installed.
    """
    if len(data) > SIZE_LIMIT:
        raise SamlError("too-large", f"it is larger than {SIZE_LIMIT >> 20} MiB")
    root = _parse(data)
    if root.tag not in (f"{_MD}EntityDescriptor", f"{_MD}EntitiesDescriptor"):
        raise SamlError("no-metadata", _what_else(root))
    found = list(_entities(root, ()))
    providers = [one for one in found if one[-1].find(f"{_MD}IDPSSODescriptor") is not None]
    named = [one for one in found if one[-1].get("entityID") == entity_id]
    likely = named if entity_id else providers or found
    only = likely[0] if likely and (entity_id or len(likely) == 1) else None
    return Metadata(
        entities=tuple(_id(one[-1]) for one in found[:_SHOWN]),
        count=len(found),
        providers=tuple(_id(one[-1]) for one in providers[:_SHOWN]),
        entity=_entity(only) if only else None,
    )


def _parse(data: bytes) -> Element:
    from defusedxml.common import DefusedXmlException, DTDForbidden
    from defusedxml.ElementTree import DefusedXMLParser

    parser = DefusedXMLParser(target=_Bounded(), forbid_dtd=True)
    try:
        parser.feed(data)
        root: Element = parser.close()
    except DTDForbidden as error:
        if str(error.name).lower() == "html":
            raise SamlError("html", "it is an HTML page") from None
        raise SamlError("document-type", _REFUSED) from None
    except DefusedXmlException:
        raise SamlError("document-type", _REFUSED) from None
    except ParseError as error:
        said = one_line(str(error), 100)
        raise SamlError("no-xml", f"it is no well-formed XML ({said})") from None
    except (ValueError, LookupError):  # an encoding that nobody knows
        raise SamlError("no-xml", "it is no well-formed XML (in an unknown encoding)") from None
    return root


_REFUSED = (
    "it begins with a document type (DOCTYPE), by which XML can be made to read files, fetch "
    "addresses or fill the memory; honest metadata have none"
)


class _Bounded(TreeBuilder):
    """Builds a tree of no more than an honest size."""

    def __init__(self) -> None:
        super().__init__()
        self._count = 0
        self._depth = 0

    def start(self, tag: Any, attrs: Any, /) -> Element:
        self._count += 1
        self._depth += 1
        if self._count > _ELEMENTS or self._depth > _DEPTH or len(attrs) > _ATTRIBUTES:
            raise SamlError("too-large", "it has more elements than are read")
        return super().start(tag, attrs)

    def end(self, tag: Any, /) -> Element:
        self._depth -= 1
        return super().end(tag)


def _what_else(root: Element) -> str:
    name = one_line(str(root.tag).rpartition("}")[2], 60)
    if name.lower() == "html":
        return "it is an HTML page"
    if name in ("EntityDescriptor", "EntitiesDescriptor"):
        return f"its {name} is not in the namespace of SAML 2.0"
    return f"it is XML, but its root is <{name}>"


def _entities(root: Element, above: tuple[Element, ...]) -> Iterator[tuple[Element, ...]]:
    """Each entity, with the elements that enclose it before it."""
    if root.tag == f"{_MD}EntityDescriptor":
        yield (*above, root)
    elif root.tag == f"{_MD}EntitiesDescriptor":
        for child in root:
            yield from _entities(child, (*above, root))


def _id(entity: Element) -> str:
    return one_line(entity.get("entityID", ""), 1024)  # its limit by the standard, 2.2.1


def _entity(enclosed: tuple[Element, ...]) -> Entity:
    own = enclosed[-1]
    roles = own.findall(f"{_MD}IDPSSODescriptor")
    odd: list[str] = []
    certificates, unread = _certificates(roles)
    return Entity(
        id=_id(own),
        is_provider=bool(roles),
        is_service=own.find(f"{_MD}SPSSODescriptor") is not None,
        speaks_saml2=any(_SAML2 in one.get("protocolSupportEnumeration", "").split()
                         for one in roles),
        sign_on=tuple(_sign_on(roles)),
        certificates=certificates,
        unread=unread,
        valid_until=_valid_until((*enclosed, *roles), odd),
        cache_duration=_cache_duration((*enclosed, *roles), odd),
        signed=any(one.find(f"{_DS}Signature") is not None for one in enclosed),
        odd=tuple(odd),
    )  # fmt: skip


def _sign_on(roles: Iterable[Element]) -> Iterator[SignOn]:
    for role in roles:
        for one in role.findall(f"{_MD}SingleSignOnService")[:_SHOWN]:
            binding = one.get("Binding", "").rpartition(":")[2]
            yield SignOn(one_line(binding, 60), one_line(one.get("Location", ""), _TEXT_LIMIT))


def _certificates(
    roles: Iterable[Element],
) -> tuple[tuple[CertificateFacts, ...], tuple[str, ...]]:
    """Those that signatures are verified by: use="signing", or of no stated use (2.4.1.1)."""
    found: dict[str, CertificateFacts] = {}
    unread: list[str] = []
    for role in roles:
        for key in role.findall(f"{_MD}KeyDescriptor")[:_CERTIFICATES]:
            if key.get("use", "signing") != "signing":
                continue
            for element in list(key.iter(f"{_DS}X509Certificate"))[:_CERTIFICATES]:
                if len(found) + len(unread) >= _CERTIFICATES:
                    break
                try:
                    certificate = _certificate(element.text or "")
                    found[certificate.sha256] = certificate
                except CertificateError as error:
                    unread.append(str(error))
    return tuple(found.values()), tuple(unread)


def _certificate(text: str) -> CertificateFacts:
    compact = "".join(text[:_CERTIFICATE_LIMIT].split())
    try:
        der = base64.b64decode(compact, validate=True)
    except ValueError:
        raise CertificateError("it is no base64") from None
    return from_der(der)


def _valid_until(enclosing: Iterable[Element], odd: list[str]) -> datetime | None:
    """The first end among those of an entity and of what encloses it."""
    ends: list[datetime] = []
    for element in enclosing:
        text = element.get("validUntil")
        if text is None:
            continue
        try:
            end = datetime.fromisoformat(text.strip())
            ends.append((end if end.tzinfo else end.replace(tzinfo=UTC)).astimezone(UTC))
        except (ValueError, OverflowError):
            odd.append(f"validUntil '{one_line(text, 40)}'")
    return min(ends, default=None)


def _cache_duration(enclosing: Iterable[Element], odd: list[str]) -> str:
    for element in enclosing:
        text = element.get("cacheDuration")
        if text and _DURATION.fullmatch(text[:40]):
            return text[:40]
        if text is not None:
            odd.append(f"cacheDuration '{one_line(text, 40)}'")
    return ""
