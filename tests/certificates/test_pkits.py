"""NIST's conformance set of certificate paths (PKITS) is judged with no false `pass`.

The certificates and revocation lists come with `cryptography_vectors`, and are no others than
NIST's; pkits.tsv says which belong to which test, and what the standard's result is. A path counts
as accepted where certificate.trust, .expiry and .key have nothing against it but that it lacks
names, for the set knows none of hosts. What lists decide is asked of certificate.revocation.

Our checks do not follow policies (sections 4.8 to 4.12). They do not need to: paths that demand
policies are refused for their critical extensions.
"""

from __future__ import annotations

import functools
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography import x509
from msgspec import structs

from biostudio_doctor.certificates.inspection import Inspected
from biostudio_doctor.certificates.inspector import inspect
from biostudio_doctor.certificates.revocation import look_up
from biostudio_doctor.certificates.verification import NO_NAMES
from biostudio_doctor.certificates.watched import Source
from biostudio_doctor.checks.certificate_expiry import CertificateExpiry
from biostudio_doctor.checks.certificate_key import CertificateKey
from biostudio_doctor.checks.certificate_trust import CertificateTrust
from biostudio_doctor.checks.certificate_watch import settings
from biostudio_doctor.host import Host
from biostudio_doctor.model import Status
from tests.conftest import context, judge

vectors = pytest.importorskip("cryptography_vectors", reason="the extra `test` brings it")
PKITS = Path(vectors.__file__).parent / "x509/PKITS_data"
ANCHOR = "TrustAnchorRootCertificate"
MOMENT = datetime(2020, 1, 1, tzinfo=UTC)  # the set is valid from 2010 until 2030

#: Tests whose result lies in revocation lists; the paths themselves are in order.
BY_LISTS = ("4.4.", "4.14.", "4.15.", "4.5.2", "4.5.5", "4.5.7", "4.5.8", "4.7.4", "4.7.5")

#: Valid paths that are refused all the same, and why. Public authorities issue none of these.
REFUSED = {
    **dict.fromkeys(("4.1.4", "4.1.5"), "DSA"),
    "4.2.4": "a date in a form that RFC 5280 does not allow any more",
    **dict.fromkeys(("4.3.3", "4.3.4", "4.3.5", "4.3.10", "4.3.11"), "names are equal or not"),
    **dict.fromkeys(("4.6.15", "4.6.17"), "two authorities have one name"),
    **dict.fromkeys(("4.9.1", "4.9.2", "4.9.4", "4.9.6"), "policies are demanded"),
    **dict.fromkeys((f"4.10.{one}" for one in (1, 3, 5, 6, 9, 11, 12, 13, 14)), "policies mapped"),
    **dict.fromkeys(("4.11.2", "4.11.4", "4.11.7"), "policies mapped"),
    **dict.fromkeys(("4.12.2", "4.12.7", "4.12.9"), "policies are limited"),
    **dict.fromkeys((f"4.13.{one}" for one in (1, 4, 5, 6, 11, 14, 18, 19, 27)), "directory names"),
    **dict.fromkeys(("4.13.34", "4.13.36"), "constraints on addresses of the web"),
}  # fmt: skip

#: Valid by lists that are not relied on: signed by another key, for some reasons only, or indirect.
LISTS_NOT_RELIED_ON = {
    "4.4.19", *(f"4.14.{one}" for one in (18, 19, 22, 24, 25, 28, 29, 30, 33)), "4.15.5",
}  # fmt: skip


class Case(NamedTuple):
    """One of the set."""

    number: str
    path: tuple[str, ...]  # the end entity's certificate, and those above it
    valid: bool

    @property
    def is_by_lists(self) -> bool:
        return any(
            self.number.startswith(one) if one.endswith(".") else self.number == one
            for one in BY_LISTS
        )


def cases() -> list[Case]:
    found = []
    for line in (Path(__file__).parent / "pkits.tsv").read_text().splitlines():
        if line.startswith("#"):
            continue
        number, leaf, between, result = line.split("\t")
        above = () if between == "-" else tuple(between.split(","))
        if result != "-":
            found.append(Case(number, (leaf, *above), result == "valid"))
    return found


TESTS = cases()


def der(name: str) -> bytes:
    return (PKITS / f"certs/{name}.crt").read_bytes()


@functools.cache
def loaded(name: str) -> x509.Certificate:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a negative serial number, which is one of the tests
        return x509.load_der_x509_certificate(der(name))


def pem(name: str) -> bytes:
    import ssl

    return ssl.DER_cert_to_PEM_cert(der(name)).encode()


@pytest.fixture(scope="module")
def accepted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bool]:
    """By test, whether our checks find the path in order, but for its lack of names."""
    place = tmp_path_factory.mktemp("pkits")
    (place / "ca.pem").write_bytes(pem(ANCHOR))
    for test in TESTS:
        (place / f"{test.number}.pem").write_bytes(b"".join(map(pem, test.path)))
    told = context(
        certificates=[f"/{test.number}.pem" for test in TESTS],
        checks={"certificate.expiry": {"ca_file": "/ca.pem"}},
        offline=True,
    )
    host = Host(str(place))
    trust, key = CertificateTrust(told, None), CertificateKey(told, None)
    expiry = CertificateExpiry(told, settings(told))
    trusted = trust.observe(host)
    dates = judge(expiry, structs.replace(expiry.observe(host), observed_at=MOMENT))
    weak = {
        subject.partition(" ")[0]
        for subject, finding in judge(key, key.observe(host)).items()
        if finding.status is Status.FAIL
    }
    verified = {one.name: one.trust for one in trusted.of}
    return {
        test.number: name in verified
        and verified[name].trusted
        and verified[name].strict in ("", NO_NAMES)
        and dates[name].status is Status.PASS
        and name not in weak
        for test in TESTS
        if (name := f"/{test.number}.pem")
    }


@functools.cache
def lists() -> dict[str, bytes]:
    return {file.stem: file.read_bytes() for file in (PKITS / "crls").glob("*.crl")}


def in_lists(test: Case) -> bool:
    """Whether certificate.revocation would call all of the path good, by whatever list it is in."""
    known = [loaded(name) for name in (*test.path[1:], ANCHOR)]
    for name in test.path:
        certificate = loaded(name)
        issuers = [one for one in known if _issued(certificate, one)]
        standings = {
            look_up(data, "", certificate, issuers, name, MOMENT).standing
            for data in lists().values()
        }
        if "good" not in standings or "revoked" in standings:
            return False
    return True


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except Exception:  # names, signatures, algorithms
        return False
    return True


def test_the_set_is_whole() -> None:
    assert len(TESTS) == len({test.number for test in TESTS}) == 203
    assert sum(not test.valid for test in TESTS) == 115


@pytest.mark.parametrize("test", TESTS, ids=lambda test: test.number)
def test_no_false_pass(test: Case, accepted: dict[str, bool]) -> None:
    if test.is_by_lists:
        assert not (accepted[test.number] and in_lists(test)) or test.valid
    else:
        assert not accepted[test.number] or test.valid


def test_which_valid_paths_are_refused(accepted: dict[str, bool]) -> None:
    valid = [test for test in TESTS if test.valid]
    assert {test.number for test in valid if not accepted[test.number]} == set(REFUSED)
    by_lists = [test for test in valid if test.is_by_lists]
    assert {test.number for test in by_lists if not in_lists(test)} == LISTS_NOT_RELIED_ON


@pytest.fixture(scope="module")
def inspected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Inspected]:
    place = tmp_path_factory.mktemp("inspected")
    (place / "ca.pem").write_bytes(pem(ANCHOR))
    sources = []
    for test in TESTS:
        file = place / f"{test.number}.pem"
        file.write_bytes(b"".join(map(pem, test.path)))
        sources.append(Source(at=str(file)))
    found = inspect(Host("/"), sources, {}, ca_file=str(place / "ca.pem"), seconds=60)
    return {Path(one.target).stem: one for one in found.inspected}


@pytest.mark.parametrize(
    "test",
    [one for one in TESTS if not (one.valid or one.is_by_lists)],
    ids=lambda test: test.number,
)
def test_no_client_is_said_to_accept_what_is_invalid(
    test: Case, inspected: dict[str, Inspected]
) -> None:
    assert "accepts" not in [verdict.says for verdict in inspected[test.number].verdicts]
