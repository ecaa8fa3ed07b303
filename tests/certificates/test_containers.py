"""Files of all kinds, honest and hostile: nothing but CertificateError, soon, in little room."""

from __future__ import annotations

import json
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from secrets import token_hex

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.serialization import pkcs12
from hypothesis import given, settings
from hypothesis import strategies as st

from biostudio_doctor.certificates import CertificateError, from_der
from biostudio_doctor.certificates.containers import load
from biostudio_doctor.certificates.private_keys import of as key_of
from tests.lab import der
from tests.lab.pki import DER, PEM, Pki
from tests.lab.timing import within

PASSWORD = token_hex(8)
SECONDS = 1.0  # 0.9 for the work, as confined allows
MEMORY = 100 << 20  # bytes

PBKDF2 = bytes.fromhex("06092a864886f70d01050c")
SCRYPT = bytes.fromhex("06092b06010401da47040b")
RSA = bytes.fromhex("06092a864886f70d0101010500")


@cache
def pki() -> Pki:
    return Pki()


@cache
def p12() -> bytes:
    protection = (
        serialization.PrivateFormat.PKCS12.encryption_builder()
        .kdf_rounds(2048)
        .key_cert_algorithm(pkcs12.PBES.PBESv2SHA256AndAES256CBC)
        .hmac_hash(hashes.SHA256())
        .build(PASSWORD.encode())
    )
    good = pki().good
    return pkcs12.serialize_key_and_certificates(
        b"x", good.key, good.certificate, [pki().sub.certificate], protection
    )


@contextmanager
def bounded() -> Iterator[None]:
    """Within SECONDS, and within so much memory beyond what is mapped already."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm", encoding="ascii") as file:
        mapped = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + MEMORY, hard))
    try:
        with within(SECONDS):
            yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def harmless(data: bytes) -> None:
    for password in (None, PASSWORD):
        with bounded():
            try:
                assert load(data, password=password).certificates
            except CertificateError as error:
                assert str(error).isprintable() and len(str(error)) < 300
                assert PASSWORD not in str(error)


# --- Honest ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", [PEM, DER], ids=["PEM", "DER"])
def test_pkcs7(encoding: serialization.Encoding) -> None:
    found = load(pki().p7(encoding, pki().good, pki().sub))
    assert found.kind == "PKCS#7" and set(found.certificates) == {pki().good.der, pki().sub.der}


def test_pkcs12_opens_with_its_password_only() -> None:
    found = load(p12(), path="/x.p12", password=PASSWORD)
    assert found.kind == "PKCS#12" and found.certificates == [pki().good.der, pki().sub.der]
    assert found.key and found.key.path == "/x.p12"
    assert found.key.public_sha256 == from_der(pki().good.der).key_sha256
    for password, said in ((None, "wants a password"), ("else", "does not open")):
        with pytest.raises(CertificateError, match=said):
            load(p12(), password=password)
    assert load(pki().p12("", pki().good), password=None).key


def test_kubernetes_secrets() -> None:
    found = load(pki().secret(pki().good, pki().sub), path="/s.json")
    assert found.certificates == [pki().good.der, pki().sub.der] and found.key
    assert found.key.public_sha256 == from_der(pki().good.der).key_sha256
    plain = {"kind": "Secret", "stringData": {"tls.crt": pki().good.pem.decode()}}
    assert load(json.dumps(plain).encode()).certificates == [pki().good.der]
    for broken, said in (
        ({"kind": "Secret"}, "without tls.crt"),
        ({"kind": "Secret", "data": {"tls.crt": "?"}}, "is no base64"),
        ({"kind": "Secret", "data": {"tls.crt": "aGVsbG8="}}, "it holds no certificate"),
        ({"kind": "Pod"}, "of the kind 'Pod'"),
        ({"a": 1}, "no Kubernetes secret"),
        ({"kind": 5}, "no Kubernetes secret"),
    ):
        with pytest.raises(CertificateError, match=said):
            load(json.dumps(broken).encode())


# --- Hostile --------------------------------------------------------------------------------------


def kdf(data: bytes, count: int = 0) -> bytes:
    """The parameters of a key derivation in DER."""
    return der.element_after(data, PBKDF2, count)


def many_rounds(data: bytes) -> bytes:
    """Every key derivation in it demands two thousand million rounds."""
    rounds, bomb = der.integer(2048), der.integer((1 << 31) - 1)
    return der.replaced(data, rounds, bomb)


def scrypt_bomb(data: bytes) -> bytes:
    """Its first key derivation becomes scrypt, with 16 GiB."""
    old = der.tlv(der.SEQUENCE, PBKDF2 + kdf(data))
    assert old in data
    demand = der.tlv(4, b"salt") + der.integer(1 << 24) + der.integer(8) + der.integer(1)
    return der.replaced(data, old, der.tlv(der.SEQUENCE, SCRYPT + der.tlv(der.SEQUENCE, demand)))


def huge_key(bits: int) -> bytes:
    """A certificate with an RSA key of so many bits, signed by nobody."""
    data = pki().leaf(key=pki().rsa).der
    numbers = pki().rsa.public_key().public_numbers()
    return der.replaced(data, der.integer(numbers.n), der.integer((1 << bits) - 1))


def huge_exponent() -> bytes:
    own = pki().rsa
    from tests.lab.certificates import make

    made = make(key=own)
    return der.replaced(made.der, der.integer(65537), der.integer((1 << 4000) + 1))


BOMBS: dict[str, Callable[[], bytes]] = {
    "PKCS#12 with rounds": lambda: many_rounds(p12()),
    "PKCS#12 with scrypt": lambda: scrypt_bomb(p12()),
    "RSA of 16384 bits": lambda: huge_key(16384),
    "RSA of a million bits": lambda: huge_key(1_000_000),
    "RSA with a huge exponent": huge_exponent,
    "deep JSON": lambda: b'{"kind":"Secret","data":' + b"[" * 500_000,
    "deep DER": lambda: b"\x30\x80" * 200_000,
    "PEM without end": lambda: b"-----BEGIN PKCS7-----\n" * 40_000,
    "many certificates in PKCS#7": lambda: pki().p7(DER, *[pki().root] * 500),
    "a thousand of one name": lambda: pki().root.pem * 900,
    "blanks": lambda: b" " * (1 << 20),
    "braces": lambda: b"{" * (1 << 20),
    "a PFX of zeros": lambda: bytes.fromhex("30820fff020103 30") + bytes(4000),
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_bombs(name: str) -> None:
    harmless(BOMBS[name]())


def test_the_bombs_are_what_they_are_called() -> None:
    """They differ from honest files in their demands only, and honest demands are met."""
    assert many_rounds(p12()).count(b"\x7f\xff\xff\xff") == p12().count(der.integer(2048))
    assert der.replaced(p12(), der.integer(2048), der.integer(2048)) == p12()
    with pytest.raises(CertificateError, match="demands more work"):
        load(BOMBS["PKCS#12 with rounds"](), password=PASSWORD)


def locked() -> bytes:
    return bytes(
        pki().good.key.private_bytes(
            DER,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(PASSWORD.encode()),
        )
    )


def test_keys_that_demand_too_much() -> None:
    assert not key_of("/k", locked(), PASSWORD).trouble
    for bomb in (many_rounds, scrypt_bomb):
        with bounded():
            found = key_of("/k", bomb(locked()), PASSWORD)
        assert found.trouble == "bad" and PASSWORD not in str(found), bomb
    assert "demands more work" in key_of("/k", many_rounds(locked()), PASSWORD).problem


@given(st.binary(max_size=600))
@settings(max_examples=120, deadline=None)
def test_any_bytes(data: bytes) -> None:
    harmless(data)
    harmless(b"-----BEGIN PKCS7-----\n" + data + b"\n-----END PKCS7-----\n")
    harmless(b'{"kind": "Secret", "data": {"tls.crt": "' + data + b'"}}')


@given(st.data())
@settings(max_examples=120, deadline=None)
def test_any_damage(data: st.DataObject) -> None:
    honest = data.draw(
        st.sampled_from(
            [p12(), pki().p7(DER, pki().good), pki().good.der, pki().secret(pki().good)]
        )
    )
    damaged = bytearray(honest)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    harmless(bytes(damaged))


@given(st.binary(max_size=400))
@settings(max_examples=60, deadline=None)
def test_any_key(data: bytes) -> None:
    with bounded():
        found = key_of("/k", data, PASSWORD)
        assert found.trouble
        key_of("/k", b"-----BEGIN PRIVATE KEY-----\n" + data + b"\n-----END PRIVATE KEY-----\n")


def test_what_is_too_much_is_refused() -> None:
    for data, said in (
        (pki().root.pem * 1001, "more than 1000 certificates"),
        (b"{" + b" " * (1 << 20), "larger than 1 MiB"),
        (p12() + bytes(1 << 20), "larger than 1 MiB"),
    ):
        with bounded(), pytest.raises(CertificateError, match=said):
            load(data)
