"""The keys that an OpenID Connect provider publishes, judged and put into words."""

from __future__ import annotations

from collections.abc import Iterator

from biostudio_doctor import text
from biostudio_doctor.model import Finding, Remedy, Status
from biostudio_doctor.sso.facts import Key, Keys, Published

from .sso import INSTALL_EXTRA, named, unfetched

_ROTATE = "Have the provider make a new key for signatures (RSA of 2048 bits or more, or P-256)"
_FOR_SIGNATURES = ("RSA", "EC", "OKP")


def judge_keys(name: str, published: Published, key: str) -> Finding:
    """Whether one of them can verify the tokens of this provider."""
    subject = f"{name} keys"
    document = published.keys_document
    if document is None:
        return Finding(
            Status.FAIL,
            subject,
            f"{name} does not say where its keys are, so no token can be verified.",
            expected="jwks_uri in the discovery document",
            remedy=Remedy("Look whether this is the discovery document of the provider at all."),
            cause="sso.no-keys",
        )
    trouble = unfetched(subject, f"the key set (JWKS) of {name}", document, "json", key)
    if trouble:
        return trouble
    if document.problem or not published.keys:
        return _fail(subject, f"The key set (JWKS) of {name} cannot be read: {document.problem}.")
    return _judged(name, subject, published.keys, published)


def _judged(name: str, subject: str, keys: Keys, published: Published) -> Finding:
    from biostudio_doctor.sso.oidc import algorithms

    if keys.no_library:
        return Finding(
            Status.ERROR,
            subject,
            f"The keys of {name} can be had, but not judged: the library joserfc is not installed.",
            remedy=INSTALL_EXTRA,
            cause="sso.no-library",
        )
    if any(one.private for one in keys.keys):
        return Finding(
            Status.FAIL,
            subject,
            f"{name} publishes the private half of a key: whoever reads it can sign in as anybody.",
            expected="public keys only",
            remedy=Remedy(f"{_ROTATE} at once, take the old one out, and publish public halves."),
            cause="sso.private-key",
        )
    usable = [one for one in keys.keys if not one.problem]
    if not usable:
        reasons = named(dict.fromkeys(one.problem for one in keys.keys)) or "there is none"
        return _fail(subject, f"{name} publishes no key that can verify a token: {reasons}.")
    discovery = published.discovery
    wanted = discovery.algorithms if discovery else ()
    fitting = {word for one in usable for word in algorithms(one)}
    if wanted and not fitting & set(wanted):
        return _fail(
            subject,
            f"None of the keys of {name} fits what it signs tokens by: it says {named(wanted)}, "
            f"and has keys for {named(sorted(fitting))}.",
        )
    odd = [one for one in keys.keys if _is_odd(one)]
    kinds = text.listing(dict.fromkeys(map(_kind, usable)))
    return Finding(
        Status.WARN if odd else Status.PASS,
        subject,
        f"{name} publishes {text.number(len(usable), 'key')} that can verify tokens ({kinds})"
        + (f", and others that cannot: {named(_why(odd))}." if odd else "."),
        observed=f"{len(keys.keys) + keys.unread} keys",
        expected="keys for signatures, RSA of 2048 bits or more or an elliptic curve",
        remedy=Remedy(f"{_ROTATE}, and take out those that cannot be used.") if odd else None,
        cause="sso.odd-keys" if odd else "",
    )


def _fail(subject: str, summary: str) -> Finding:
    return Finding(
        Status.FAIL,
        subject,
        summary,
        expected="a key for signatures, RSA of 2048 bits or more or an elliptic curve",
        remedy=Remedy(f"{_ROTATE}, and publish it."),
        cause="sso.no-keys",
    )


def _is_odd(key: Key) -> bool:
    """Meant for signatures, and no good for them; keys for encryption are nobody's fault."""
    return bool(key.problem) and key.kind in _FOR_SIGNATURES and key.use in ("", "sig")


def _why(keys: list[Key]) -> Iterator[str]:
    for key in keys:
        yield f"'{key.id}': {key.problem}" if key.id else key.problem


def _kind(key: Key) -> str:
    return f"RSA of {key.bits} bits" if key.kind == "RSA" else key.curve
