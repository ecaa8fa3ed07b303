"""SAML metadata, judged and put into words."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from msgspec import structs

from biostudio_doctor import text
from biostudio_doctor.certificates import CertificateFacts
from biostudio_doctor.check import Context
from biostudio_doctor.model import Finding, Remedy, Status
from biostudio_doctor.sso.facts import Entity, Metadata

from .sso import INSTALL_EXTRA, ONE_PROVIDER, is_harmless, named, unfetched
from .sso_expiry import expiry

if TYPE_CHECKING:
    from .sso_saml import AskedMetadata

_KEY = "ca_file under [[sso.saml]]"
#: Bindings by which browsers are sent to sign in (saml-bindings-2.0-os, 3.4 and 3.5).
_USUAL = ("HTTP-Redirect", "HTTP-POST")
#: How long before their end metadata must have been replaced: a file by hand, others by themselves.
_FILE_LEAD, _FETCHED_LEAD = timedelta(days=30), timedelta(days=1)
_AGAIN = (
    "Get the provider's current metadata (of one identity provider, in XML) from its "
    "administration page, and name them under [[sso.saml]]."
)
_LEAST_BITS = 2048


def judge(name: str, asked: AskedMetadata, now: datetime, context: Context) -> Iterator[Finding]:
    """All that is to be said of one provider's metadata, each by itself."""
    trouble = _not_had(name, asked)
    metadata = asked.metadata
    if trouble or not metadata:
        if trouble:
            yield trouble
        return
    yield Finding(
        Status.PASS,
        name,
        f"{name} holds SAML 2.0 metadata of {text.number(metadata.count, 'entity', 'entities')}.",
        observed=named(metadata.entities),
    )
    entity = metadata.entity
    trouble = _no_entity(name, asked.entity_id, metadata)
    if trouble or not entity:
        if trouble:
            yield trouble
        return
    yield _found(name, entity)
    yield _sign_on(name, entity)
    yield from _certificates(name, entity, now, context)
    yield _validity(name, entity, asked.is_file, now)
    yield _signature(name, entity)


def _not_had(name: str, asked: AskedMetadata) -> Finding | None:
    """What is wrong with the document as a whole; None if nothing."""
    document = asked.document
    if asked.no_library:
        return Finding(
            Status.ERROR,
            name,
            f"{name} was not judged: the library defusedxml is not installed.",
            remedy=INSTALL_EXTRA,
            cause="sso.no-library",
        )
    if document and not asked.is_file and not asked.refused:
        return unfetched(name, "the SAML metadata", document, "xml", _KEY)
    if not document or not asked.refused:
        return None
    if asked.refused == "too-large":  # that limit is ours
        return Finding(
            Status.ERROR,
            name,
            f"{name} was not judged: {document.problem}.",
            observed=f"{document.length} bytes or more",
            remedy=Remedy(ONE_PROVIDER),
            cause="sso.too-large",
        )
    return Finding(
        Status.FAIL,
        name,
        f"{name} holds no SAML metadata that can be used: {document.problem}.",
        observed=f"{document.length} bytes",
        expected="SAML 2.0 metadata of an identity provider",
        remedy=Remedy(_AGAIN),
        cause=f"sso.{asked.refused}",
    )


# --- Whose they are -------------------------------------------------------------------------------


def _no_entity(name: str, wanted: str | None, metadata: Metadata) -> Finding | None:
    subject = f"{name} entity"
    if metadata.entity is None and wanted:
        near = next((one for one in metadata.entities if _nearly(one, wanted)), "")
        hint = f" {near} is nearly the same: entity IDs are compared letter by letter."
        return Finding(
            Status.FAIL,
            subject,
            f"The entity {wanted} is not in {name}.{hint if near else ''}",
            observed=named(metadata.entities) or "no entity at all",
            expected=wanted,
            remedy=Remedy(
                f"Correct entity_id under [[sso.saml]]; there {_are(metadata)}: "
                f"{named(metadata.entities, 10) or 'none'}."
            ),
            cause="sso.other-entity",
        )
    if metadata.entity is None and metadata.count:
        return Finding(
            Status.ERROR,
            subject,
            f"{name} holds {metadata.count} entities, and which of them is yours was not "
            "configured.",
            observed=named(metadata.providers or metadata.entities),
            remedy=Remedy(
                "Name one as entity_id under [[sso.saml]]: "
                f"{named(metadata.providers or metadata.entities, 10)}."
            ),
            cause="sso.several-entities",
        )
    if metadata.entity is None:
        return Finding(
            Status.FAIL,
            subject,
            f"{name} holds no entity at all.",
            remedy=Remedy(_AGAIN),
            cause="sso.no-entity",
        )
    return _no_provider(subject, name, metadata.entity)


def _no_provider(subject: str, name: str, entity: Entity) -> Finding | None:
    if entity.is_provider and entity.id and entity.speaks_saml2:
        return None
    if entity.is_provider:
        why = "it is an identity provider, but not of SAML 2.0" if entity.id else "it has no name"
    elif entity.is_service:
        why = (
            "it describes a service that users sign in to, as BioStudio is one, and no identity "
            "provider"
        )
    else:
        why = "it describes no identity provider"
    return Finding(
        Status.FAIL,
        subject,
        f"The entity {entity.id or 'without a name'} in {name} cannot sign users in: {why}.",
        observed="a service provider" if entity.is_service else "no identity provider",
        expected="an entity with an entityID and an IDPSSODescriptor of SAML 2.0",
        remedy=Remedy(_AGAIN),
        cause="sso.no-provider",
    )


def _found(name: str, entity: Entity) -> Finding:
    return Finding(
        Status.PASS,
        f"{name} entity",
        f"The identity provider {entity.id} is in {name}. Whether BioStudio is registered with it "
        "cannot be seen from here.",
        observed=entity.id,
    )


def _nearly(one: str, other: str) -> bool:
    return one.strip().rstrip("/").lower() == other.strip().rstrip("/").lower()


def _are(metadata: Metadata) -> str:
    return "is" if metadata.count == 1 else "are"


# --- What they say --------------------------------------------------------------------------------


def _sign_on(name: str, entity: Entity) -> Finding:
    subject = f"{name} sign-on"
    usual = [one for one in entity.sign_on if one.binding in _USUAL]
    if not usual:
        others = named(dict.fromkeys(one.binding for one in entity.sign_on))
        return Finding(
            Status.FAIL,
            subject,
            f"{entity.id} names no address that browsers can be sent to for signing in"
            + (f", but only such by {others}." if others else "."),
            observed=others or "no SingleSignOnService",
            expected="a SingleSignOnService by HTTP-Redirect or HTTP-POST",
            remedy=Remedy(_AGAIN),
            cause="sso.no-sign-on",
        )
    open_ones = [one.location for one in entity.sign_on if not is_harmless(one.location)]
    if open_ones:
        return Finding(
            Status.FAIL,
            subject,
            f"{entity.id} sends browsers to an address that is not https://: {named(open_ones)}.",
            observed=named(open_ones),
            expected="https://",
            remedy=Remedy("Have the provider publish https:// addresses."),
            cause="sso.not-https",
        )
    return Finding(
        Status.PASS,
        subject,
        f"{entity.id} signs users in at https:// addresses; the browsers of users must reach them.",
        observed=named(f"{one.binding} {one.location}" for one in usual),
    )


def _certificates(name: str, entity: Entity, now: datetime, context: Context) -> Iterator[Finding]:
    """One that expires is no harm while another one is good: that is how they are changed."""
    subject = f"{name} certificate"
    if not entity.certificates or entity.unread:
        why = f": {named(entity.unread)}" if entity.unread else ""
        yield Finding(
            Status.FAIL if not entity.certificates else Status.WARN,
            subject,
            f"{entity.id} has a certificate for its signatures that cannot be read{why}."
            if entity.unread
            else f"{entity.id} has no certificate for its signatures; most software needs one.",
            observed=named(entity.unread) or "no KeyDescriptor for signing",
            expected="a certificate in X509Data",
            remedy=Remedy(_AGAIN),
            cause="sso.bad-certificate" if entity.unread else "sso.no-certificate",
        )
    judged = [
        (one, expiry(name, one, now, context, _RENEW, "signatures in "))
        for one in entity.certificates
    ]
    good = any(finding.status is Status.PASS for _, finding in judged)
    for number, (one, finding) in enumerate(judged, 1):
        replaced = good and finding.status is not Status.PASS
        yield structs.replace(
            _replaced(finding) if replaced else finding, subject=f"{name} certificate {number}"
        )
        if _is_weak(one):
            yield _weak(f"{name} key {number}", entity, one)


_RENEW = Remedy(
    "Ask whoever runs the provider for metadata with its next certificate, and load them on "
    "BioStudio's dashboard, best before this one ends: both can stand there side by side."
)
_REPLACED = Remedy(
    "Another certificate stands beside it and is good, as while a provider changes them. See that "
    "BioStudio's dashboard has these same metadata; once this one has ended, have the provider "
    "take it out."
)


def _replaced(finding: Finding) -> Finding:
    status = Status.WARN if finding.status is Status.FAIL else finding.status
    return structs.replace(finding, status=status, remedy=_REPLACED)


def _is_weak(certificate: CertificateFacts) -> bool:
    bits = certificate.key_bits
    return certificate.key_type in ("RSA", "DSA") and bits is not None and bits < _LEAST_BITS


def _weak(subject: str, entity: Entity, certificate: CertificateFacts) -> Finding:
    return Finding(
        Status.WARN,
        subject,
        f"A key of {entity.id} for signatures is too weak: {certificate.key_type} of "
        f"{certificate.key_bits} bits.",
        observed=f"{certificate.key_type} of {certificate.key_bits} bits",
        expected=f"RSA of {_LEAST_BITS} bits or more, or an elliptic curve",
        remedy=_RENEW,
        cause="sso.weak-key",
    )


def _validity(name: str, entity: Entity, is_file: bool, now: datetime) -> Finding:
    subject = f"{name} validity"
    if entity.odd:
        return Finding(
            Status.WARN,
            subject,
            f"How long the metadata in {name} are valid cannot be told: {named(entity.odd)} makes "
            "no sense.",
            observed=named(entity.odd),
            expected="a time in ISO 8601",
            remedy=Remedy("Have the provider publish metadata by the rules."),
            cause="sso.odd-validity",
        )
    cached = f", to be fetched anew after {entity.cache_duration}" * bool(entity.cache_duration)
    end = entity.valid_until
    if end is None:
        summary = f"The metadata in {name} name no end of their validity."
        return Finding(Status.PASS, subject, summary, observed=f"no validUntil{cached}")
    left = end - now
    if left <= timedelta(0):
        status, words, cause = Status.FAIL, f"ended on {end:%Y-%m-%d %H:%M} UTC", "sso.expired"
    elif left < (_FILE_LEAD if is_file else _FETCHED_LEAD):
        status, words, cause = Status.WARN, f"end soon, on {end:%Y-%m-%d %H:%M} UTC", "sso.expiring"
    else:
        status, words, cause = Status.PASS, f"are valid until {end:%Y-%m-%d}", ""
    return Finding(
        status,
        subject,
        f"The metadata in {name} {words}.",
        observed=f"validUntil {end:%Y-%m-%dT%H:%M:%SZ}{cached}",
        expected=f"{text.number((_FILE_LEAD if is_file else _FETCHED_LEAD).days, 'day')} or more",
        remedy=Remedy(_FRESH_FILE if is_file else _FRESH) if cause else None,
        cause=cause,
    )


_FRESH_FILE = (
    "Get the provider's current metadata, and load them on BioStudio's dashboard as well; better "
    "still, name their address instead of a file."
)
_FRESH = (
    "Whoever publishes them must do so anew: what should renew them seems to have stopped. "
    "Software that goes by this date refuses the provider once they have ended."
)


def _signature(name: str, entity: Entity) -> Finding:
    subject = f"{name} signature"
    words = (
        "are signed; whether that signature is good was not verified"
        if entity.signed
        else "are not signed, as is usual where they come by HTTPS or from an administrator"
    )
    return Finding(
        Status.SKIP,
        subject,
        f"The metadata in {name} {words}.",
        observed="a signature" if entity.signed else "no signature",
    )
