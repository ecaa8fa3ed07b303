"""Discovery documents and key sets: any bytes are understood or refused, at little cost."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biostudio_doctor.sso import oidc
from biostudio_doctor.sso.facts import Discovery, Keys
from tests.lab.idp import discovery, ec_key, rsa_key
from tests.sso.cost import cost

_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
_MEMBERS = st.sampled_from(sorted(discovery("https://idp.lab")))
_KEY_MEMBERS = st.sampled_from(
    ["kty", "n", "e", "crv", "x", "y", "d", "use", "alg", "key_ops", "kid"]
)
_WORDS = st.sampled_from(["RSA", "EC", "OKP", "oct", "P-256", "Ed25519", "sig", "AQAB", "AA", ""])


def both(data: bytes) -> None:
    for read in (oidc.read_discovery, oidc.read_keys):
        try:
            found: Any = read(data)
        except ValueError as error:
            assert str(error) and "\n" not in str(error)
        else:
            assert isinstance(found, (Discovery, Keys))


@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    both(data)


@given(_JSON)
def test_any_json(value: Any) -> None:
    both(json.dumps(value).encode())


@given(st.dictionaries(_MEMBERS, _JSON))
def test_members_of_any_type(members: dict[str, Any]) -> None:
    found = oidc.read_discovery(json.dumps(members).encode())
    assert set(found.missing) <= set(oidc._REQUIRED)


@given(st.lists(st.dictionaries(_KEY_MEMBERS, _WORDS | _JSON) | _JSON, max_size=4))
def test_keys_of_any_shape(keys: list[Any]) -> None:
    found = oidc.read_keys(json.dumps({"keys": keys}).encode())
    assert len(found.keys) == len(keys)


@pytest.mark.parametrize(
    "data",
    [
        b"[" * oidc.SIZE_LIMIT,
        b'{"a":' * (oidc.SIZE_LIMIT // 5),
        b'{"keys":[' + b"[]," * (oidc.SIZE_LIMIT // 3 - 10) + b"[]]}",
        b'{"keys":[' + b"{}," * (oidc.SIZE_LIMIT // 3 - 10) + b"{}]}",
        b"{" + b",".join(b'"%d":0' % at for at in range(50_000)) + b"}",
        b'{"issuer":"' + b"a" * (oidc.SIZE_LIMIT - 13) + b'"}',
        b'{"keys":' + b"9" * (oidc.SIZE_LIMIT - 9) + b"}",
        json.dumps({"keys": [{"kty": "RSA", "n": "A" * 500_000, "e": "AQAB"}]}).encode(),
        json.dumps({"keys": [{"kty": "RSA", "n": "/" * 500_000, "e": "_" * 9000}]}).encode(),
        json.dumps({"keys": [{"kty": "EC", "crv": "P-256", "x": "_" * 250_000, "y": "_" * 250_000}]
                    }).encode(),
    ],
    ids=range(10),
)  # fmt: skip
def test_the_worst_that_fits_costs_little(data: bytes) -> None:
    assert len(data) <= oidc.SIZE_LIMIT + 20
    seconds, mebibytes = cost("from tests.sso.test_oidc import both as work", data)
    assert seconds < 5 and mebibytes < 100, (seconds, mebibytes)


def test_many_good_keys_cost_little() -> None:
    good = ec_key()
    data = json.dumps({"keys": [good] * 2000}).encode()
    found = oidc.read_keys(data)
    assert len(found.keys) == 64 and found.unread == 1936
    assert not any(key.problem for key in found.keys)


def test_a_good_document() -> None:
    found = oidc.read_discovery(json.dumps(discovery("https://idp.lab")).encode())
    assert found.issuer == "https://idp.lab" and not found.missing and not found.odd
    assert found.grant_types == ("authorization_code", "implicit")
    bom = b"\xef\xbb\xbf" + json.dumps(discovery("https://idp.lab")).encode()
    assert oidc.read_discovery(bom).issuer == "https://idp.lab"


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        (rsa_key(), ""),
        (ec_key(), ""),
        (ec_key(alg="ES256", use="sig"), ""),
        (ec_key(alg="RS256"), "does not fit"),
        (rsa_key(alg="ES256"), "does not fit"),
        (rsa_key(alg="HS256"), "does not fit"),
        (rsa_key(use="enc"), "it is for 'enc'"),
        (rsa_key(key_ops=["encrypt"]), "key_ops"),
        (rsa_key(key_ops=["verify"]), ""),
        (rsa_key(1024), "RSA of 1024 bits is too short"),
        (rsa_key(n="_" * 3000), "RSA of 18000 bits is longer than"),
        (ec_key(y="AAAA"), "cannot be read"),
        (ec_key(crv="P-999"), "cannot be read"),
        (rsa_key(n=None), "cannot be read"),
        (rsa_key(n="!!"), "RSA|cannot be read"),
        ({"kty": "oct", "k": "c2VjcmV0"}, "of the type 'oct'"),
        ({}, "no type"),
        ("key", "no JSON object"),
    ],
)
def test_keys(key: Any, problem: str) -> None:
    import re

    (found,) = oidc.read_keys(json.dumps({"keys": [key]}).encode()).keys
    assert bool(found.problem) == bool(problem)
    assert re.search(problem, found.problem)


def test_nothing_of_a_private_key_is_kept() -> None:
    hidden = "c2VjcmV0" * 8
    key = {**ec_key(), "d": hidden}
    found = oidc.read_keys(json.dumps({"keys": [key]}).encode())
    assert found.keys[0].private and hidden not in repr(found)


def test_no_login_in_an_address_is_kept() -> None:
    told = discovery("https://idp.lab", jwks_uri="https://me:hush@idp.lab/keys")
    found = oidc.read_discovery(json.dumps(told).encode())
    assert found.endpoints["jwks_uri"] == "https://...@idp.lab/keys" and "hush" not in repr(found)


def test_where_documents_are() -> None:
    assert oidc.discovery_url("https://a.lab") == "https://a.lab/.well-known/openid-configuration"
    assert oidc.discovery_url("https://a.lab/r/") == (
        "https://a.lab/r/.well-known/openid-configuration"
    )
