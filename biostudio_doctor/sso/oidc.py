"""OpenID Connect: discovery documents and key sets, understood. Any bytes may be given."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from biostudio_doctor.probes.failures import one_line
from biostudio_doctor.sso import without_user
from biostudio_doctor.sso.facts import Discovery, Key, Keys

WELL_KNOWN = "/.well-known/openid-configuration"
SIZE_LIMIT = 512 << 10  # bytes; honest ones have some ten KiB
_KEY_LIMIT = 64
_LIST_LIMIT = 64
_TEXT_LIMIT = 300  # characters

_ENDPOINTS = ("authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri",
              "end_session_endpoint")  # fmt: skip
#: OpenID Connect Discovery 1.0, 3: REQUIRED.
_REQUIRED = (
    "issuer", "authorization_endpoint", "token_endpoint", "jwks_uri", "response_types_supported",
    "subject_types_supported", "id_token_signing_alg_values_supported",
)  # fmt: skip
_WHEN_LEFT_OUT = ("authorization_code", "implicit")  # grant types, by the same section

#: Which algorithms (RFC 7518, 3.1; RFC 8037; RFC 9864) a key can verify.
_RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_CURVES = {"P-256": ("ES256",), "P-384": ("ES384",), "P-521": ("ES512",),
           "secp256k1": ("ES256K",), "Ed25519": ("EdDSA", "Ed25519"),
           "Ed448": ("EdDSA", "Ed448")}  # fmt: skip
LEAST_BITS = 2048  # of RSA (RFC 7518, 3.3)
_MOST_BITS = 16384  # of RSA: OpenSSL verifies by none that is longer
_PUBLIC = ("kty", "n", "e", "crv", "x", "y")
_PRIVATE = ("d", "p", "q", "dp", "dq", "qi", "oth", "k")


def discovery_url(issuer: str) -> str:
    """Where an issuer publishes its document (OpenID Connect Discovery 1.0, 4.1)."""
    return issuer.removesuffix("/") + WELL_KNOWN


def read_discovery(data: bytes) -> Discovery:
    """Understand a discovery document.

    Raises:
        ValueError: one line that says what it is instead.
    """
    document = _object(data)
    odd: list[str] = []

    def text(name: str) -> str:
        value = document.get(name)
        if value is None or isinstance(value, str):
            return one_line(value or "", _TEXT_LIMIT)
        odd.append(name)
        return ""

    def texts(name: str) -> tuple[str, ...]:
        value = document.get(name)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            odd.append(name)
            return ()
        return tuple(one_line(one, 80) for one in value[:_LIST_LIMIT])

    return Discovery(
        issuer=_as_it_is(document.get("issuer")) or text("issuer"),
        endpoints={name: without_user(found) for name in _ENDPOINTS if (found := text(name))},
        missing=tuple(name for name in _REQUIRED if document.get(name) in (None, "", [])),
        response_types=texts("response_types_supported"),
        grant_types=texts("grant_types_supported") or _WHEN_LEFT_OUT,
        algorithms=texts("id_token_signing_alg_values_supported"),
        odd=tuple(odd),
    )


def _as_it_is(value: object) -> str:
    """An issuer to the letter, where that is harmless to show."""
    harmless = isinstance(value, str) and value.isprintable() and len(value) <= _TEXT_LIMIT
    return str(value) if harmless else ""


def read_keys(data: bytes) -> Keys:
    """Understand a JWKS (RFC 7517, 5); of no key more than its kind is kept.

    Raises:
        ValueError: one line that says what it is instead.
    """
    document = _object(data)
    keys = document.get("keys")
    if not isinstance(keys, list):
        raise ValueError("it has no list `keys`, so it is no JWKS")
    try:
        from joserfc.jwk import JWKRegistry  # noqa: F401
    except ImportError:
        return Keys(no_library=True)
    return Keys(
        keys=tuple(_key(one) for one in keys[:_KEY_LIMIT]), unread=max(0, len(keys) - _KEY_LIMIT)
    )


def algorithms(key: Key) -> tuple[str, ...]:
    """Those that a usable key verifies."""
    if key.problem:
        return ()
    if key.algorithm:
        return (key.algorithm,)
    return _RSA if key.kind == "RSA" else _CURVES.get(key.curve, ())


def _key(found: object) -> Key:
    if not isinstance(found, dict):
        return Key(problem="it is no JSON object")

    def text(name: str) -> str:
        value = found.get(name)
        return one_line(value, 80) if isinstance(value, str) else ""

    key = Key(
        id=text("kid"),
        kind=text("kty"),
        use=text("use"),
        algorithm=text("alg"),
        curve=text("crv"),
        private=any(name in found for name in _PRIVATE),
    )
    bits, problem = _measured(key, found)
    problem = problem or next(_misfits(key, bits, found), "")
    return msgspec.structs.replace(key, bits=bits, problem=problem)


def _measured(key: Key, found: Mapping[str, Any]) -> tuple[int, str]:
    """Its size, and why it cannot be read: by joserfc, which is given its public half only."""
    from joserfc.jwk import JWKRegistry

    if key.kind not in ("RSA", "EC", "OKP"):
        return 0, f"keys of the type '{key.kind}' sign no tokens here" if key.kind else "no type"
    public = {name: found[name] for name in _PUBLIC if name in found}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of short keys, which are told by us
        try:
            loaded: Any = JWKRegistry.import_key(public)
            return int(getattr(loaded.public_key, "key_size", 0)), ""
        except Exception:  # it passes on what cryptography raises; its words may repeat the key
            return 0, "it cannot be read"


def _misfits(key: Key, bits: int, found: Mapping[str, Any]) -> Iterator[str]:
    operations = found.get("key_ops")
    if key.use and key.use != "sig":
        yield f"it is for '{key.use}', not for signatures"
    if isinstance(operations, list) and "verify" not in operations:
        yield "its key_ops are without 'verify'"
    if key.kind == "RSA" and bits < LEAST_BITS:
        yield f"RSA of {bits} bits is too short"
    if key.kind == "RSA" and bits > _MOST_BITS:
        yield f"RSA of {bits} bits is longer than programs verify by ({_MOST_BITS})"
    known = _RSA if key.kind == "RSA" else _CURVES.get(key.curve, ())
    if not known:
        yield f"keys on the curve '{key.curve}' sign no tokens"
    if key.algorithm and key.algorithm not in known:
        yield f"its algorithm '{key.algorithm}' does not fit a key of the type {key.kind}"


def _object(data: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(data.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ValueError("it is no JSON") from None
    if not isinstance(found, dict):
        raise ValueError("it is JSON, but no object")
    return found
