"""Certificates as facts: good ones, odd ones, and files that are something else."""

import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import pkcs7, pkcs12
from cryptography.x509.oid import AuthorityInformationAccessOID
from hypothesis import given, settings
from hypothesis import strategies as st

from biostudio_doctor.certificates import SIZE_LIMIT, CertificateError, from_der, read
from tests.lab.certificates import Made, make, patched

PEM, DER = serialization.Encoding.PEM, serialization.Encoding.DER


@cache
def plain() -> Made:
    return make()


@cache
def request() -> x509.CertificateSigningRequest:
    builder = x509.CertificateSigningRequestBuilder(plain().certificate.subject)
    return builder.sign(plain().key, hashes.SHA256())


@cache
def revocations() -> x509.CertificateRevocationList:
    now = datetime(2026, 11, 24, tzinfo=UTC)
    subject = plain().certificate.subject
    builder = x509.CertificateRevocationListBuilder(subject, now, now.replace(year=2027))
    return builder.sign(plain().key, hashes.SHA256())


def key(encoding: serialization.Encoding, password: bytes = b"") -> bytes:
    protection = (
        serialization.BestAvailableEncryption(password)
        if password
        else serialization.NoEncryption()
    )
    return plain().key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, protection)


def public_key(encoding: serialization.Encoding) -> bytes:
    return (
        plain()
        .key.public_key()
        .public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)
    )


def p12() -> bytes:
    certificate = plain().certificate
    protection = serialization.BestAvailableEncryption(b"secret")
    return pkcs12.serialize_key_and_certificates(b"x", plain().key, certificate, None, protection)


def trusted() -> bytes:
    return plain().pem.replace(b"CERTIFICATE", b"TRUSTED CERTIFICATE")


def test_what_it_says() -> None:
    root = make("Lab Root", ca=True, names=(), organisation="Lab")
    address = x509.AccessDescription(
        AuthorityInformationAccessOID.CA_ISSUERS,
        x509.UniformResourceIdentifier("http://pki.lab/root.crt"),
    )
    leaf = make(
        issuer=root,
        names=("studio.lab", "*.lab", "192.0.2.1", "2001:db8::1"),
        start=datetime(2026, 1, 2, tzinfo=UTC),
        end=datetime(2026, 4, 2, 3, 4, 5, tzinfo=UTC),
        serial=0xC0FFEE,
        extensions=[x509.AuthorityInformationAccess([address])],
    )
    (facts,) = read(leaf.pem)
    assert facts.subject == "CN=studio.lab" and facts.issuer == "O=Lab,CN=Lab Root"
    assert (facts.name, facts.issuer_name, facts.serial) == ("studio.lab", "Lab", "c0ffee")
    assert facts.not_after == datetime(2026, 4, 2, 3, 4, 5, tzinfo=UTC)
    assert facts.lifetime.days == 90
    assert facts.dns_names == ("studio.lab", "*.lab")
    assert facts.ip_addresses == ("192.0.2.1", "2001:db8::1")
    assert (facts.key_type, facts.key_bits, facts.signature_hash) == ("EC", 256, "sha256")
    assert facts.sha256 == leaf.certificate.fingerprint(hashes.SHA256()).hex()
    assert facts.issuer_urls == ("http://pki.lab/root.crt",)
    assert not facts.is_ca and not facts.self_signed and not facts.unread
    (above,) = read(root.der)
    assert above.is_ca and above.self_signed and above.name == "Lab Root"


@pytest.mark.parametrize(
    ("make_key", "kind", "bits", "hash_name"),
    [
        (lambda: rsa.generate_private_key(65537, 2048), "RSA", 2048, "sha256"),
        (lambda: ec.generate_private_key(ec.SECP384R1()), "EC", 384, "sha256"),
        (ed25519.Ed25519PrivateKey.generate, "Ed25519", None, ""),
    ],
    ids=["RSA", "EC", "Ed25519"],
)
def test_keys(make_key: Callable[[], object], kind: str, bits: int | None, hash_name: str) -> None:
    (facts,) = read(make(key=make_key()).pem)
    assert (facts.key_type, facts.key_bits, facts.signature_hash) == (kind, bits, hash_name)
    assert facts.self_signed


@pytest.mark.parametrize(
    ("host", "names", "covered"),
    [
        ("studio.lab", ("other.lab", "Studio.LAB"), True),
        ("studio.site.lab.", ("*.site.lab",), True),
        ("a.studio.site.lab", ("*.site.lab",), False),
        ("site.lab", ("*.site.lab",), False),
        ("name.lab", ("studio.lab",), False),  # the common name does not count beside others
        ("name.lab", (), True),
        ("192.0.2.7", ("192.0.2.7",), True),
        ("192.0.2.8", ("192.0.2.7",), False),
    ],
)
def test_which_hosts_it_covers(host: str, names: tuple[str, ...], covered: bool) -> None:
    assert from_der(make("name.lab", names=names).der).covers(host) is covered


def test_same_name_but_another_key_is_not_self_signed() -> None:
    (facts,) = read(make("Twin", issuer=make("Twin", ca=True)).pem)
    assert facts.subject == facts.issuer and not facts.self_signed


def test_a_bundle_keeps_its_order_and_passes_over_what_stands_around() -> None:
    leaf, root = make("leaf"), make("root", ca=True)
    bundle = b"\xef\xbb\xbfsubject: leaf\r\n" + leaf.key_pem + leaf.pem.replace(b"\n", b"\r\n")
    bundle += b"# the root\n" + root.pem.rstrip() + leaf.pem.rstrip() + b"junk \xff"
    assert [facts.common_name for facts in read(bundle)] == ["leaf", "root", "leaf"]


def swapped_extensions() -> bytes:
    """Two extensions of one kind: RFC 5280, 4.2 forbids it."""
    first, second = (x509.ObjectIdentifier(f"1.2.3.4.{number}") for number in (5, 6))
    unknown = [x509.UnrecognizedExtension(oid, b"\x05\x00") for oid in (first, second)]
    return patched(make(extensions=unknown).der, b"\x2a\x03\x04\x06", b"\x2a\x03\x04\x05")


ODD: dict[str, Callable[[], bytes]] = {
    "negative serial": lambda: patched(
        make(serial=0x1122).der, b"\x02\x02\x11\x22", b"\x02\x02\x91\x22"
    ),
    "year 9999": lambda: make(end=datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)).der,
    "before 1950": lambda: patched(
        make(start=datetime(2050, 1, 1, tzinfo=UTC), end=datetime(2051, 1, 1, tzinfo=UTC)).der,
        b"20500101000000Z",
        b"19000101000000Z",
    ),
    "ends before it starts": lambda: patched(
        make(start=datetime(2050, 1, 1, tzinfo=UTC), end=datetime(2051, 1, 1, tzinfo=UTC)).der,
        b"20510101000000Z",
        b"20490101000000Z",
    ),
    "an extension twice": swapped_extensions,
    "no names at all": lambda: make("", names=()).der,
    "a terminal's control sequence": lambda: make("\x1b[2Jstudio\nlab").der,
    "a thousand names": lambda: make(names=[f"host{number}.lab" for number in range(1000)]).der,
}  # fmt: skip


@pytest.mark.parametrize("case", ODD)
def test_odd_certificates_are_read(case: str) -> None:
    facts = from_der(ODD[case]())
    assert facts.name and facts.name.isprintable() and facts.not_after.tzinfo


def test_what_could_not_be_read_of_it_is_told() -> None:
    facts = from_der(swapped_extensions())
    assert facts.unread and "extensions" in facts.unread[0] and facts.common_name == "studio.lab"
    assert from_der(ODD["negative serial"]()).serial.startswith("-")
    assert from_der(ODD["ends before it starts"]()).lifetime.days < 0


SOMETHING_ELSE: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "it is empty"),
    "blank": (lambda: b" \n\n", "it is empty"),
    "text": (lambda: b"hello", "it holds no certificate"),
    "zeros": (lambda: b"\0" * 100, "it holds no certificate"),
    "too large": (lambda: b"x" * (SIZE_LIMIT + 1), "it is larger than 1 MiB"),
    "UTF-16": (lambda: plain().pem.decode().encode("utf-16"), "it is text in UTF-16"),
    "UTF-16 without a mark": (lambda: plain().pem.decode().encode("utf-16-be"), "UTF-16"),
    "key": (lambda: key(PEM), "it holds a private key and no certificate"),
    "encrypted key": (lambda: key(PEM, b"geheim"), "it holds a private key"),
    "key in DER": (lambda: key(DER), "it holds a private key"),
    "encrypted key in DER": (lambda: key(DER, b"geheim"), "private key"),
    "public key": (lambda: public_key(PEM), "it holds a public key"),
    "public key in DER": (lambda: public_key(DER), "it holds a public key"),
    "CSR": (lambda: request().public_bytes(PEM), "it is a certificate signing request"),
    "CSR in DER": (lambda: request().public_bytes(DER), "it is a certificate signing request"),
    "CRL": (lambda: revocations().public_bytes(PEM), "it is a revocation list"),
    "CRL in DER": (lambda: revocations().public_bytes(DER), "it is a revocation list"),
    "PKCS#7": (
        lambda: pkcs7.serialize_certificates([plain().certificate], PEM),
        "openssl pkcs7 -inform PEM -in FILE -print_certs",
    ),
    "PKCS#7 in DER": (
        lambda: pkcs7.serialize_certificates([plain().certificate], DER),
        "openssl pkcs7 -inform DER -in FILE -print_certs",
    ),
    "PKCS#12": (p12, "openssl pkcs12 -in FILE -nokeys"),
    "Java keystore": (lambda: bytes.fromhex("feedfeed00000002") * 9, "keytool -list -rfc"),
    "trusted form": (trusted, "openssl x509 -in FILE"),
    "no base64": (
        lambda: plain().pem.replace(b"MII", b"?!?", 1),
        "certificate 1 in it: what stands between BEGIN and END is no base64",
    ),
    "base64 of nothing": (
        lambda: plain().pem + b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
        "certificate 2 in it: it is no certificate",
    ),
    "bare base64": (
        lambda: b"".join(plain().pem.splitlines(keepends=True)[1:-1]),
        "base64 without the lines -----BEGIN CERTIFICATE-----",
    ),
    "cut off PEM": (lambda: plain().pem[:-30], "cut off: its END line is missing"),
    "cut off first of two": (
        lambda: plain().pem[:-30] + b"\n" + plain().pem,
        "cut off: its END line is missing",
    ),
    "cut off DER": (lambda: plain().der[:-30], "it is no certificate"),
    "DER and more": (lambda: plain().der + b"\0", "it is no certificate"),
    "year 0": (
        lambda: patched(
            make(end=datetime(2050, 1, 1, tzinfo=UTC)).der, b"20500101000000Z", b"00000101000000Z"
        ),
        "it is no certificate",
    ),
}


@pytest.mark.parametrize("case", SOMETHING_ELSE)
def test_something_else_is_named_in_one_line(case: str) -> None:
    data, said = SOMETHING_ELSE[case]
    with pytest.raises(CertificateError) as caught:
        read(data())
    message = str(caught.value)
    assert said in message and message.isprintable() and len(message) < 300


@pytest.mark.skipif(not shutil.which("openssl"), reason="needs the program openssl")
def test_the_commands_that_convert_work(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What the messages advise, done to the letter."""
    directory = tmp_path_factory.mktemp("convert")
    for case in ("PKCS#7", "PKCS#7 in DER", "trusted form", "PKCS#12"):
        data = SOMETHING_ELSE[case][0]()
        (directory / "FILE").write_bytes(data)
        (directory / "tls.crt").unlink(missing_ok=True)
        with pytest.raises(CertificateError) as caught:
            read(data)
        command = str(caught.value).partition("convert it with: ")[2]
        command += " -passin pass:secret" * (case == "PKCS#12")  # else it asks for it
        subprocess.run(command.split(), cwd=directory, check=True, capture_output=True)
        assert read((directory / "tls.crt").read_bytes())[0].common_name == "studio.lab", case


def harmless(data: bytes) -> None:
    try:
        assert read(data)
    except CertificateError as error:
        assert str(error).isprintable()


@given(st.binary(max_size=400))
@settings(max_examples=150, deadline=1000)
def test_any_bytes(data: bytes) -> None:
    harmless(data)
    harmless(b"-----BEGIN CERTIFICATE-----\n" + data + b"\n-----END CERTIFICATE-----\n")
    harmless(b"\x30\x82\x01\x00" + data)


@given(st.data())
@settings(max_examples=150, deadline=1000)
def test_any_damage(data: st.DataObject) -> None:
    der = bytearray(plain().der)
    for _ in range(data.draw(st.integers(1, 4))):
        der[data.draw(st.integers(0, len(der) - 1))] = data.draw(st.integers(0, 255))
    harmless(bytes(der))


def test_many_beginnings_without_an_end_cost_little() -> None:
    with pytest.raises(CertificateError):
        read(b"-----BEGIN CERTIFICATE-----\n" * 35000)
    with pytest.raises(CertificateError):
        read(b"-----BEGIN X-----\n" * 55000)
