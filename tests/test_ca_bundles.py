"""Bundles of authorities: what is counted in them, and that the quick reader of dates is right."""

import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path

import certifi
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from hypothesis import example, given
from hypothesis import strategies as st

from biostudio_doctor import ca_bundles, certificates
from biostudio_doctor.ca_bundles import SYSTEM_BUNDLES, WELL_KNOWN
from biostudio_doctor.certificates import CertificateError
from tests.conftest import MakeHost, Tree
from tests.lab.certificates import make

NOW = datetime.now(UTC)
AUTHORITY = make("Site CA", ca=True)
OTHER = make("Other CA", ca=True)
EXPIRED = make("Old CA", ca=True, days=(-90, -1))
REAL = [path for path in (*SYSTEM_BUNDLES, certifi.where()) if Path(path).exists()]


# --- Dates ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", REAL)
def test_dates_are_those_that_cryptography_reads(path: str) -> None:
    authorities = list(certificates.pem_certificates(Path(path).read_bytes()))
    assert len(authorities) > 50
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for der in authorities:
            right = x509.load_der_x509_certificate(der).not_valid_after_utc
            assert ca_bundles._not_after(der) == right


@pytest.mark.parametrize("year", [1951, 2049, 2050, 2199])
def test_dates_of_all_centuries(year: int) -> None:
    end = datetime(year, 3, 4, 5, 6, 7, tzinfo=UTC)
    made = make(start=datetime(1950, 1, 1, tzinfo=UTC), end=end)
    assert ca_bundles._not_after(made.der) == end


@given(
    st.binary(max_size=200)
    | st.integers(0, len(AUTHORITY.der) - 1).map(lambda length: AUTHORITY.der[:length])
)
@example(b"")
@example(b"\x30")
@example(b"\x30\x84\xff\xff\xff\xff")
def test_what_is_no_certificate_is_an_error_of_ours(data: bytes) -> None:
    with pytest.raises(CertificateError):
        ca_bundles.not_after(data)


@given(st.integers(0, len(AUTHORITY.der) - 1), st.integers(0, 255))
def test_a_changed_byte_is_never_another_exception(index: int, byte: int) -> None:
    data = bytearray(AUTHORITY.der)
    data[index] = byte
    try:
        assert ca_bundles.not_after(bytes(data)).tzinfo
    except CertificateError as error:
        assert str(error)


# --- Bundles --------------------------------------------------------------------------------------


def test_the_well_known_are_those_of_that_name() -> None:
    found: dict[str, str] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for path in REAL:
            for der in certificates.pem_certificates(Path(path).read_bytes()):
                one = x509.load_der_x509_certificate(der)
                found[one.fingerprint(hashes.SHA256()).hex()] = one.subject.rfc4514_string()
    names = {"GlobalSign Root CA - R6": "OU=GlobalSign Root CA - R6"}
    for print_, name in WELL_KNOWN.items():
        if print_ in found:
            assert names.get(name, f"CN={name},") in found[print_] + ","
    assert set(WELL_KNOWN.values()) == {WELL_KNOWN[one] for one in WELL_KNOWN if one in found}


def test_a_good_bundle(make_host: MakeHost) -> None:
    host = make_host({"/ca.pem": b"# text\n" + AUTHORITY.pem + EXPIRED.pem + OTHER.key_pem})
    found = ca_bundles.look(host, "/ca.pem", NOW)
    assert (found.state, found.count, found.expired, found.is_good) == ("good", 2, 1, True)
    assert found.well_known == ()


def test_a_real_bundle_has_the_well_known(make_host: MakeHost) -> None:
    host = make_host({"/ca.pem": Path(certifi.where()).read_bytes()})
    assert set(ca_bundles.look(host, "/ca.pem", NOW).well_known) == set(WELL_KNOWN.values())


@pytest.mark.parametrize(
    ("content", "state", "said"),
    [
        (b"", "bad", "it is empty"),
        (b"\n\n", "bad", "it is empty"),
        (OTHER.key_pem, "bad", "private key"),
        (b"hello", "bad", "it holds no certificate"),
        (AUTHORITY.der, "bad", "it is in DER"),
        (AUTHORITY.pem[:-40], "bad", "cut off"),
        (AUTHORITY.pem.decode().encode("utf-16"), "bad", "UTF-16"),
        (b"-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----", "bad", "no certificate"),
        (b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n", "bad", "no base64"),
        (b"x" * (5 << 20), "bad", "larger than 4 MiB"),
        ("-> /nowhere", "missing", "it does not exist"),
        ("-> /ca.pem", "bad", "it cannot be read"),
        (None, "bad", "without files that are named after hashes"),
    ],
)  # fmt: skip
def test_bad_files_are_named(
    make_host: MakeHost, content: bytes | str | None, state: str, said: str
) -> None:
    found = ca_bundles.look(make_host({"/ca.pem": content}), "/ca.pem", NOW)
    assert found.state == state and said in found.problem and not found.is_good


def test_a_directory_of_hashes(make_host: MakeHost) -> None:
    host = make_host({"/certs/0a1b2c3d.0": AUTHORITY.pem, "/certs/readme": "x"})
    found = ca_bundles.look(host, "/certs", NOW)
    assert found.is_good and found.directory and found.count == 1


def test_only_expired_ones_are_no_good(make_host: MakeHost) -> None:
    found = ca_bundles.look(make_host({"/ca.pem": EXPIRED.pem}), "/ca.pem", NOW)
    assert found.state == "good" and not found.is_good
    assert ca_bundles.look(make_host({}), "/ca.pem", NOW - timedelta(days=30)).is_good


# --- The system's own -----------------------------------------------------------------------------

ADDED = "/usr/local/share/ca-certificates"


def test_added_authorities(make_host: MakeHost) -> None:
    tree: Tree = {
        SYSTEM_BUNDLES[0]: AUTHORITY.pem + EXPIRED.pem,
        f"{ADDED}/site.crt": AUTHORITY.pem,
        f"{ADDED}/deep/old.crt": EXPIRED.pem,
        f"{ADDED}/forgotten.crt": OTHER.pem,
        f"{ADDED}/wrong.pem": OTHER.pem,
        f"{ADDED}/key.crt": OTHER.key_pem,
        "/etc/pki/ca-trust/source/anchors/site.der": AUTHORITY.der,
    }
    store = ca_bundles.system_store(make_host(tree), NOW)
    found = {one.path.rpartition("/")[2]: one for one in store.added}
    assert store.bundle and store.bundle.count == 2 and len(found) == 6
    assert found["site.crt"].in_bundle and not found["site.crt"].expired
    assert found["old.crt"].in_bundle and found["old.crt"].expired
    assert not found["forgotten.crt"].in_bundle and not found["forgotten.crt"].problem
    assert found["wrong.pem"].ignored and not found["wrong.pem"].in_bundle
    assert "private key" in found["key.crt"].problem
    assert found["site.der"].in_bundle


def test_no_bundle_at_all(make_host: MakeHost) -> None:
    assert ca_bundles.system_store(make_host({}), NOW).bundle is None
