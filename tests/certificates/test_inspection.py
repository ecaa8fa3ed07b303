"""What is said of a browser, curl and conda, held against the real curl and conda's own client.

conda, pip and requests verify with urllib3. There is no browser in the lab: of those, what is known
is written down in the expectations.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
import urllib3
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from biostudio_doctor.certificates.inspection import Inspected, Verdict
from biostudio_doctor.certificates.inspector import inspect
from biostudio_doctor.certificates.watched import Source
from biostudio_doctor.errors import DoctorError
from biostudio_doctor.host import Host
from tests.lab.certificates import Made, make, proper
from tests.lab.pki import Pki, edwards
from tests.lab.servers import program
from tests.lab.tls_servers import Site, nginx

NAME = "studio.lab"
_WEAK = "ssl_protocols TLSv1.2 TLSv1.3; ssl_ciphers ALL:@SECLEVEL=0;"


class Case(NamedTuple):
    """A chain; what is said by a browser, curl and conda, with the causes in their order."""

    chain: tuple[Made, ...]
    browser: str
    curl: str
    conda: str
    directives: str = ""


def _others_only() -> x509.NameConstraints:
    return x509.NameConstraints([x509.DNSName("other.lab")], None)


def cases(p: Pki) -> dict[str, Case]:
    bound = p.authority("Bound Sub", extensions=[_others_only()])
    issuing = p.leaf(names=("issuer.lab",))  # no authority, and issues all the same
    nameless = p.leaf(names=())
    everything = "ssl_protocols TLSv1.1; ssl_ciphers ALL:@SECLEVEL=0;"

    def same(chain: tuple[Made, ...], says: str, directives: str = "") -> Case:
        return Case(chain, says, says, says, directives)

    return {
        "good": same((p.good, p.sub), "accepts"),
        "root sent along": same((p.good, p.sub, p.root), "accepts"),
        "expired": same((p.leaf(days=(-90, -2)), p.sub), "refuses expired"),
        "early": same((p.leaf(days=(2, 92)), p.sub), "refuses not-yet-valid"),
        "old sub": same(
            (p.leaf(issuer=(old := p.authority("Old Sub", days=(-90, -1)))), old),
            "refuses expired",
        ),
        "self": same((p.self_signed,), "refuses self-signed"),
        "private": same(
            (p.leaf(issuer=p.strange_sub), p.strange_sub, p.stranger), "refuses private-authority"
        ),
        "stranger": same((p.leaf(issuer=p.strange_sub), p.strange_sub), "refuses issuer-unknown"),
        "leaf alone": same((p.leaf(),), "refuses issuer-unknown"),
        "with an address": Case(
            (p.leaf(aia=p.aia),), "partly intermediate-missing", "refuses issuer-unknown",
            "refuses issuer-unknown",
        ),
        "for clients": same(
            (p.leaf(purpose=ExtendedKeyUsageOID.CLIENT_AUTH), p.sub), "refuses not-for-servers"
        ),
        "no purpose": Case(
            (make(issuer=p.sub), p.sub), "partly no-purpose-apple", "accepts", "partly letter"
        ),
        "other name": same((p.leaf(names=("other.lab",)), p.sub), "refuses other-name"),
        "expired, other name": Case(
            (p.leaf(names=("other.lab",), days=(-90, -2)), p.sub), "refuses expired other-name",
            "refuses expired other-name", "refuses other-name expired",
        ),
        "common name": Case(
            (nameless, p.sub), "refuses no-names", "accepts", "refuses no-names"
        ),
        "other common name": same(
            (p.leaf(name="other.lab", names=()), p.sub), "refuses no-names"
        ),
        "wildcard": same((p.leaf(names=("*.lab",)), p.sub), "refuses other-name"),
        "misordered": same(
            (p.leaf(issuer=(low := p.authority("Low", issuer=p.sub))), p.sub, low), "accepts"
        ),
        "extra": same((p.good, p.sub, p.stranger), "accepts"),
        "weak key": Case(
            (p.leaf(key=p.weak_rsa), p.sub), "partly short-key-apple", "refuses weak-key",
            "refuses weak-key", _WEAK,
        ),
        "sha1": Case(
            (p.sha1,), "refuses weak-signature no-purpose-apple", "refuses weak-signature",
            "refuses weak-signature", _WEAK,
        ),
        "for long": Case(
            (p.leaf(days=(-10, 900)), p.sub), "partly long-life-apple", "accepts", "accepts"
        ),
        "edwards": Case(
            (p.leaf(key=edwards()), p.sub), "refuses unusual-key", "accepts", "accepts"
        ),
        "bound": same((p.leaf(issuer=bound), bound), "refuses refused"),
        "issued by none": same((p.leaf(issuer=issuing), issuing, p.sub), "refuses no-authority"),
        "old TLS": same((p.good, p.sub), "refuses old-tls", everything),
    }  # fmt: skip


@pytest.fixture(scope="module")
def lab() -> Iterator[tuple[dict[str, Case], dict[str, int], Pki]]:
    pki = Pki()
    told = cases(pki)
    sites = {name: Site(case.chain, case.directives) for name, case in told.items()}
    with nginx(sites) as ports:
        yield told, ports, pki


@pytest.fixture(scope="module")
def ca_file(
    lab: tuple[dict[str, Case], dict[str, int], Pki], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    file = tmp_path_factory.mktemp("authorities") / "ca.pem"
    file.write_bytes(lab[2].root.pem)
    return file


@pytest.fixture(scope="module")
def seen(
    lab: tuple[dict[str, Case], dict[str, int], Pki],
    ca_file: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Inspected]:
    """All servers, and their chains as files, in one inspection."""
    told, ports, _ = lab
    place = tmp_path_factory.mktemp("chains")
    sources = {}
    for name, case in told.items():
        file = place / f"{name}.pem"
        file.write_bytes(b"".join(one.pem for one in case.chain))
        sources[f"file {name}"] = Source(at=str(file), server_name=NAME)
        sources[name] = Source(at=f"127.0.0.1:{ports[name]}", server_name=NAME)
    found = inspect(
        Host("/"), list(sources.values()), {}, ca_file=str(ca_file), seconds=20
    ).inspected
    return dict(zip(sources, found, strict=True))


def said(verdict: Verdict) -> str:
    return " ".join([verdict.says, *(reason.cause for reason in verdict.reasons)])


CASES = sorted(cases(Pki()))


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("kind", ["", "file "])
def test_what_each_says(
    name: str,
    kind: str,
    lab: tuple[dict[str, Case], dict[str, int], Pki],
    seen: dict[str, Inspected],
) -> None:
    case, one = lab[0][name], seen[kind + name]
    wanted = [case.browser, case.curl, case.conda]
    if kind and name == "old TLS":  # which a file has not
        wanted = ["accepts"] * 3
    assert [said(verdict) for verdict in one.verdicts] == wanted


@pytest.mark.parametrize("name", CASES)
def test_curl_says_so(
    name: str,
    lab: tuple[dict[str, Case], dict[str, int], Pki],
    seen: dict[str, Inspected],
    ca_file: Path,
) -> None:
    port = lab[1][name]
    command = [
        program("curl"), "-sS", "-o", "/dev/null", "--cacert", str(ca_file), "--noproxy", "*",
        "--resolve", f"{NAME}:{port}:127.0.0.1", f"https://{NAME}:{port}/",
    ]  # fmt: skip
    # Any status will do: it is the connection that counts.
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    verdict = next(one for one in seen[name].verdicts if one.client == "curl")
    assert (done.returncode == 0) is (verdict.says == "accepts"), done.stderr
    assert not verdict.reasons or _says(done.stderr, verdict), done.stderr


@pytest.mark.parametrize("name", CASES)
def test_the_client_of_conda_says_so(
    name: str,
    lab: tuple[dict[str, Case], dict[str, int], Pki],
    seen: dict[str, Inspected],
    ca_file: Path,
) -> None:
    verdict = next(one for one in seen[name].verdicts if one.client == "conda")
    pool = urllib3.HTTPSConnectionPool(
        "127.0.0.1", lab[1][name], server_hostname=NAME,
        ca_certs=str(ca_file), retries=False, timeout=5,
    )  # fmt: skip
    try:
        pool.request("GET", "/")
    except urllib3.exceptions.SSLError as error:
        assert verdict.says == "refuses" and _says(str(error), verdict), error
    else:
        assert verdict.says == "accepts" or said(verdict) == "partly letter"


def _says(printed: str, verdict: Verdict) -> bool:
    """The words of the first reason, without what differs by version."""
    if not verdict.reasons[0].words:  # some are left open: versions differ too much
        return True
    words = re.sub(r"curl: \(\d+\) (SSL certificate problem: )?", "", verdict.reasons[0].words[0])
    words = words.removeprefix("certificate verify failed: ")
    return words in printed


def test_remarks(seen: dict[str, Inspected]) -> None:
    assert [one.cause for one in seen["misordered"].remarks] == ["misordered"]
    assert [one.cause for one in seen["extra"].remarks] == ["unrelated"]
    assert seen["extra"].state == seen["misordered"].state == "wrong"
    assert seen["good"].state == "fine" and not seen["good"].remarks


def test_roles_and_where_trust_ends(seen: dict[str, Inspected]) -> None:
    one = seen["root sent along"]
    assert [link.role for link in one.chain] == ["server", "intermediate", "root"]
    assert (one.anchor, one.anchored_by) == ("Lab Root", "given")
    assert [verdict.anchor for verdict in one.verdicts] == ["Lab Root"] * 3
    assert seen["private"].anchored_by == ""


# --- Settings of the clients ----------------------------------------------------------------------


def inspected(
    tmp_path: Path, data: bytes, environ: dict[str, str] | None = None, **source: str
) -> Inspected:
    file = tmp_path / "tls.crt"
    file.write_bytes(data)
    sources = [Source(at=str(file), server_name=source.get("name"))]
    (one,) = inspect(Host("/"), sources, environ or {}, ca_file=None, seconds=10).inspected
    return one


def test_each_client_trusts_its_own(tmp_path: Path) -> None:
    pki = Pki()
    bundle = tmp_path / "mine.pem"
    bundle.write_bytes(pki.root.pem)
    one = inspected(tmp_path, pki.chain(), {"CURL_CA_BUNDLE": str(bundle), "CONDA_SSL_VERIFY": ""})
    assert [verdict.says for verdict in one.verdicts] == ["refuses", "accepts", "accepts"]
    one = inspected(tmp_path, pki.chain(), {"SSL_CERT_FILE": str(bundle)})
    assert [verdict.says for verdict in one.verdicts] == ["refuses", "accepts", "refuses"]
    hashed = tmp_path / "hashed"
    hashed.mkdir()
    (hashed / "0a1b2c3d.0").write_bytes(pki.root.pem)
    one = inspected(tmp_path, pki.chain(), {"REQUESTS_CA_BUNDLE": str(hashed)})
    assert [verdict.says for verdict in one.verdicts] == ["refuses", "refuses", "accepts"]


def test_settings_that_break_or_switch_off(tmp_path: Path) -> None:
    chain = Pki().chain()
    one = inspected(tmp_path, chain, {"CURL_CA_BUNDLE": "/nowhere.pem", "CONDA_SSL_VERIFY": "no"})
    by = {verdict.client: verdict for verdict in one.verdicts}
    assert said(by["curl"]) == said(by["conda"]) == "refuses bad-authorities"
    assert "/nowhere.pem, which CURL_CA_BUNDLE names" in by["curl"].reasons[0].text
    one = inspected(tmp_path, chain, {"CONDA_SSL_VERIFY": "false"})
    (conda,) = [verdict for verdict in one.verdicts if verdict.client == "conda"]
    assert said(conda) == "partly unverified" and one.state == "wrong"


def test_what_the_verifier_does_not_understand_is_not_known(tmp_path: Path) -> None:
    """Constraints on directory names: OpenSSL knows them, the verifier of cryptography does not."""
    pki = Pki()
    names = x509.NameConstraints([x509.DirectoryName(pki.good.certificate.subject)], None)
    bound = pki.authority("Odd Sub", extensions=[names])
    bundle = tmp_path / "mine.pem"
    bundle.write_bytes(pki.root.pem)
    data = pki.leaf(issuer=bound).pem + bound.pem
    one = inspected(tmp_path, data, {"CURL_CA_BUNDLE": str(bundle)})
    assert [said(one) for one in one.verdicts[1:]] == ["unknown not-understood"] * 2


def test_an_authority_that_has_expired(tmp_path: Path) -> None:
    root = proper("Dead Root", ca=True, names=(), days=(-400, -1))
    bundle = tmp_path / "mine.pem"
    bundle.write_bytes(root.pem + Pki().root.pem)  # of which one is alive
    data = Pki().leaf(issuer=root).pem
    one = inspected(tmp_path, data, {"REQUESTS_CA_BUNDLE": str(bundle)})
    assert said(one.verdicts[2]) == "refuses expired"


def test_a_public_authority_has_limits_of_its_own(tmp_path: Path) -> None:
    """A certificate below one of the system: made so by a bundle of the test's own."""
    from biostudio_doctor.certificates import clients, verdicts
    from biostudio_doctor.certificates.survey import survey

    pki = Pki()
    file = tmp_path / "long.pem"
    file.write_bytes(pki.chain(days=(-10, 500)))
    found = survey(Host("/"), [Source(at=str(file))], ca_file=None, offline=True, seconds=10)
    watched = found.watched[0]
    assert watched.chain
    public = clients.Trusting(
        client="browser", trusts="all", authorities=clients.Authorities([pki.root.der])
    )
    shown = verdicts.Shown(
        watched=watched, chain=watched.chain, loaded=found.loaded[str(file)], name="",
        now=found.observed_at,
    )  # fmt: skip
    assert said(verdicts.verdict(public, shown)) == "refuses long-life"


def test_authorities_that_cannot_be_read(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_bytes(b"junk")
    with pytest.raises(DoctorError, match=r"--ca-file: .*: it holds no certificate"):
        inspect(Host("/"), [Source(at=str(file))], {}, ca_file=str(file), seconds=5)


# --- Whatever a file holds ------------------------------------------------------------------------

_PEM = proper().pem


@given(
    st.one_of(
        st.binary(max_size=4000),
        st.binary(max_size=200).map(lambda junk: _PEM + junk),
        st.tuples(st.integers(0, len(_PEM) - 1), st.integers(0, 255)).map(
            lambda change: _PEM[: change[0]] + bytes([change[1]]) + _PEM[change[0] + 1 :]
        ),
    )
)
def test_any_bytes_are_answered(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    one = inspected(tmp_path_factory.mktemp("any"), data)
    assert (one.state == "unread") is bool(one.problem)
    assert bool(one.chain) is not bool(one.problem)
    msgspec.json.encode(one)


@given(st.integers(0, 900), st.integers(0, 255))
def test_any_change_of_a_certificate_is_answered(
    tmp_path_factory: pytest.TempPathFactory, at: int, byte: int
) -> None:
    der = proper().der
    one = inspected(tmp_path_factory.mktemp("any"), der[:at] + bytes([byte]) + der[at + 1 :])
    assert all(verdict.says == "refuses" for verdict in one.verdicts)
