"""certificate.expiry, on files, on facts, and on TLS servers of our own."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from biostudio_doctor.certificates import CertificateFacts
from biostudio_doctor.certificates.chains import Chain
from biostudio_doctor.certificates.watched import Watched
from biostudio_doctor.checks.certificate_expiry import CertificateExpiry, ExpiryFacts
from biostudio_doctor.host import Host
from biostudio_doctor.model import Finding, Status
from biostudio_doctor.probes.results import TlsResult
from tests.conftest import MakeHost, Tree, context, judge
from tests.lab import filesystems
from tests.lab.certificates import make
from tests.lab.network import free_port
from tests.lab.peers import Peer, reset, saying, server_context, silent, tls
from tests.lab.timing import within

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
OWN = "/biocolab/configs/tls.crt"


def check(*names: str, settings: dict[str, Any] | None = None, **options: Any) -> CertificateExpiry:
    own = settings or {}
    told = context(certificates=list(names), checks={"certificate.expiry": own}, **options)
    return CertificateExpiry(told, CertificateExpiry.Settings(**own))


def found(asked: CertificateExpiry, host: Host) -> dict[str, Finding]:
    facts = asked.observe(host)
    # A bundle carries the facts to be judged elsewhere.
    carried = msgspec.json.decode(msgspec.json.encode(facts), type=ExpiryFacts)
    return judge(asked, carried)


def files(make_host: MakeHost, tree: Tree, *names: str, **options: Any) -> dict[str, Finding]:
    return found(check(*names, **options), make_host(tree))


# --- The lines -----------------------------------------------------------------------------------


def certificate(
    lifetime: float, left: float, name: str = "studio.lab", **facts: Any
) -> CertificateFacts:
    """A certificate of so many days, of which so many are left."""
    end = NOW + timedelta(days=left)
    return CertificateFacts(
        subject=f"CN={name}", issuer="CN=Lab", common_name=name, issuer_name="Lab", serial="1",
        not_before=end - timedelta(days=lifetime), not_after=end, sha256="00", **facts,
    )  # fmt: skip


def linked(chain: tuple[CertificateFacts, ...]) -> Chain:
    """A chain in which each was issued by the next."""
    links = tuple((at + 1,) if at + 1 < len(chain) else () for at in range(len(chain)))
    return Chain(certificates=chain, issuers=links)


def judged(*chain: CertificateFacts, **settings: Any) -> Finding:
    watched = Watched(name="/tls.crt", is_file=True, chain=linked(chain))
    facts = ExpiryFacts(observed_at=NOW, watched=(watched,))
    return judge(check(settings=settings), facts)["/tls.crt"]


@pytest.mark.parametrize(
    ("lifetime", "left", "status", "said"),
    [
        (365, 300, Status.PASS, "has 300 days left, until 2027-09-20."),
        (365, 30, Status.PASS, "has 30 days left"),
        (365, 29.9, Status.WARN, "has 29 days left"),
        (365, 7, Status.WARN, "has 7 days left"),
        (365, 6.9, Status.FAIL, "has 6 days left"),
        (365, 0.5, Status.FAIL, "has 12 hours left, until 2026-11-25 00:00 UTC."),
        (365, 0, Status.FAIL, "expired 0 minutes ago"),
        (365, -1 / 24, Status.FAIL, "expired 60 minutes ago, on 2026-11-24 11:00 UTC."),
        (365, -400, Status.FAIL, "expired 400 days ago, on 2025-10-20."),
        (365, 375, Status.FAIL, "becomes valid only in 10 days, on 2026-12-04."),
        # Let's Encrypt renews with 30 of 90 days left, and is given three days for it.
        (90, 28, Status.PASS, "has 28 days left"),
        (90, 26, Status.WARN, "has 26 days left"),
        (90, 6, Status.FAIL, "has 6 days left"),
        # Short-lived certificates are not red all day.
        (6, 5, Status.PASS, "has 5 days left"),
        (6, 1.9, Status.PASS, "has 45 hours left"),
        (6, 1.7, Status.WARN, "has 40 hours left"),
        (6, 0.5, Status.FAIL, "has 12 hours left"),
        (1, 0.9, Status.PASS, "has 21 hours left"),
        (1, 0.29, Status.WARN, "has 6 hours left"),
        (1, 0.05, Status.FAIL, "has 72 minutes left"),
        (-5, 1, Status.FAIL, "becomes valid only in 6 days"),
    ],
)
def test_the_lines(lifetime: float, left: float, status: Status, said: str) -> None:
    finding = judged(certificate(lifetime, left))
    assert finding.status is status and said in finding.summary
    assert finding.summary.startswith("The certificate 'studio.lab' of /tls.crt ")
    assert (finding.remedy is None) is (status is Status.PASS)
    assert finding.requirement and finding.requirement.id == "https.certificate"


def test_other_lines_by_configuration() -> None:
    assert judged(certificate(365, 50), warn_days=60).status is Status.WARN
    assert judged(certificate(365, 10), fail_days=14).status is Status.FAIL
    assert judged(certificate(90, 28), warn_share=0.5).status is Status.WARN
    assert judged(certificate(6, 1), fail_share=0.5).status is Status.FAIL


def test_the_certificate_of_the_chain_that_stands_worst_is_named() -> None:
    leaf, root = certificate(90, 80), certificate(9000, 5000, "Root", self_signed=True)
    good = judged(leaf, certificate(1000, 500, "Middle"), root)
    assert good.status is Status.PASS and "'studio.lab' of" in good.summary
    assert "chain: studio.lab until 2027-02-12, Middle until" in good.observed
    bad = judged(leaf, certificate(1000, 20, "Middle", issuer_urls=("http://lab/r.crt",)), root)
    assert bad.status is Status.WARN
    assert "The intermediate certificate 'Middle' in the chain of /tls.crt has 20" in bad.summary
    assert bad.remedy and "http://lab/r.crt" in bad.remedy.text
    dead = judged(leaf, certificate(1000, 20, "M"), certificate(9, -1, "Root", self_signed=True))
    assert dead.status is Status.FAIL and "The root certificate 'Root'" in dead.summary
    # A short-lived one ends first and still is not what matters.
    assert "'M'" in judged(certificate(6, 3), certificate(1000, 20, "M")).summary


def test_three_ways_to_renew() -> None:
    own = judged(certificate(365, 5, self_signed=True, dns_names=("studio.lab",)))
    assert own.remedy and "DNS:studio.lab" in own.remedy.commands[1]
    early = judged(certificate(365, 375)).remedy
    assert early and "clock" in early.text and early.commands == ("date -u",)


# --- Files ---------------------------------------------------------------------------------------


def test_nothing_configured_is_skipped(make_host: MakeHost) -> None:
    (finding,) = files(make_host, {}).values()
    assert finding.status is Status.SKIP and OWN in finding.summary
    assert finding.remedy and "certificates = [" in finding.remedy.text


def test_bioproxys_own_is_taken_once_it_exists(make_host: MakeHost) -> None:
    tree: Tree = {OWN: make().pem, "/else/tls.crt": make("other.lab").pem}
    assert files(make_host, tree)[OWN].status is Status.PASS
    assert set(files(make_host, tree, OWN, "/else/tls.crt")) == {OWN, "/else/tls.crt"}
    moved = files(make_host, tree, settings={"bioproxy_certificate": "/else/tls.crt"})
    assert "'other.lab'" in moved["/else/tls.crt"].summary


def test_what_was_configured_and_is_no_certificate_is_an_error(make_host: MakeHost) -> None:
    tree: Tree = {
        "/good.pem": make().pem, "/link.pem": "-> /good.pem", "/key.pem": make().key_pem,
        "/dir": None, "/empty": b"", "/der": make().der, "/loop": "-> /loop",
    }  # fmt: skip
    names = ("/good.pem", "/link.pem", "/der", "/key.pem", "/dir", "/empty", "/loop", "/absent",
             "/good.pem/x")  # fmt: skip
    seen = files(make_host, tree, *names, "/good.pem")
    assert list(seen) == list(names), "one finding each, in the order of the configuration"
    for name in names[:3]:
        assert seen[name].status is Status.PASS
    for name in names[3:]:
        assert seen[name].status is Status.ERROR and seen[name].remedy, name
    assert "it holds a private key and no certificate" in seen["/key.pem"].summary
    assert "it is a directory" in seen["/dir"].summary
    assert "there is no such file" in seen["/absent"].summary


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else")
def test_a_file_that_may_not_be_read_is_an_error(make_host: MakeHost, tmp_path: Path) -> None:
    host = make_host({OWN: make().pem, "/own.pem": make().pem, "/open.pem": make().pem})
    (Path(host.root) / "own.pem").chmod(0)
    (Path(host.root) / "biocolab").chmod(0)
    filesystems.let_all_in(tmp_path)
    os.seteuid(65534)
    try:
        facts = check("/own.pem", "/open.pem").observe(host)
    finally:
        os.seteuid(0)
    unprivileged = msgspec.structs.replace(context().machine, root=False)
    seen = judge(CertificateExpiry(context(unprivileged)), facts)
    assert seen["/open.pem"].status is Status.PASS
    for name in ("/own.pem", OWN):
        assert seen[name].status is Status.ERROR and "Permission denied" in seen[name].summary
        assert "as root" in str(seen[name].remedy)


# --- Endpoints -----------------------------------------------------------------------------------


@pytest.fixture
def ca_file(make_host: MakeHost) -> str:
    """The lab's authority, as a path below the root."""
    make_host({"/ca.pem": ROOT.pem})
    return "/ca.pem"


ROOT = make("Lab Root", ca=True, days=(-400, 400))


def asked(
    make_host: MakeHost, peer: Peer | int, ca_file: str | None = None, host: str = "127.0.0.1",
    **options: Any,
) -> dict[str, Finding]:  # fmt: skip
    """The findings for an endpoint, by the subject without its name."""
    name = f"{host}:{peer if isinstance(peer, int) else peer.port}"
    seen = files(make_host, {}, name, settings={"ca_file": ca_file}, **options)
    return {subject.removeprefix(name).strip(): finding for subject, finding in seen.items()}


def test_an_endpoint_is_read_whether_trusted_or_not(
    make_host: MakeHost, ca_file: str, tmp_path: Path
) -> None:
    made = make(issuer=ROOT, names=("127.0.0.1", "studio.lab"))
    with Peer(tls(server_context(tmp_path, made))) as peer:
        seen = [asked(make_host, peer, ca_file), asked(make_host, peer),
                asked(make_host, peer, ca_file, host="localhost")]  # fmt: skip
    until = f"{made.certificate.not_valid_after_utc:%Y-%m-%d}"
    for findings in seen:
        assert list(findings) == [""] and findings[""].status is Status.PASS
        assert findings[""].summary.endswith(f"days left, until {until}.")
        assert "for studio.lab and 127.0.0.1; chain: studio.lab until" in findings[""].observed


@pytest.mark.parametrize(
    ("days", "issuer", "status"),
    [
        ((-90, -2), ROOT, Status.FAIL),
        ((2, 90), ROOT, Status.FAIL),
        ((-90, 20), None, Status.WARN),
        ((-90, -2), None, Status.FAIL),
    ],
    ids=["expired", "not yet valid", "self-signed", "self-signed and expired"],
)
def test_expiry_is_known_without_trust(
    days: tuple[float, float], issuer: Any, status: Status,
    make_host: MakeHost, ca_file: str, tmp_path: Path,
) -> None:  # fmt: skip
    made = make(issuer=issuer, days=days, names=("127.0.0.1",))
    with Peer(tls(server_context(tmp_path, made))) as peer:
        seen = asked(make_host, peer, ca_file)
    assert seen[""].status is status and set(seen) == {""} and seen[""].remedy


def test_by_name_and_by_ipv6(make_host: MakeHost, ca_file: str, tmp_path: Path) -> None:
    context_ = server_context(tmp_path, make(issuer=ROOT, names=("localhost", "::1")))
    with Peer(tls(context_)) as peer:
        assert asked(make_host, peer, ca_file, host="localhost")[""].status is Status.PASS
    try:
        six = Peer(tls(context_), "::1")
    except OSError as error:
        pytest.skip(f"no IPv6 here: {error}")
    with six as peer:
        assert asked(make_host, peer, ca_file, host="[::1]")[""].status is Status.PASS


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        (reset, "the TLS handshake failed (the connection was cut)"),
        (silent, "the TLS handshake failed (nothing came back in time)"),
        (saying(b""), "the TLS handshake failed (the other side hung up)"),
        (saying(b"HTTP/1.0 400 Bad Request\r\n\r\n"), "it says 'HTTP/1.0 400 Bad Request'"),
        (saying(b"\x15\x03\x03\x00\x02\x02\x70"), "with the alert 'unrecognized name'"),
    ],
)
def test_an_endpoint_without_a_certificate_names_the_phase(
    behaviour: Any, said: str, make_host: MakeHost
) -> None:
    with Peer(behaviour) as peer:
        seen = asked(make_host, peer, timeout=2)
    assert list(seen) == [""] and seen[""].status is Status.ERROR
    assert said in seen[""].summary
    assert f"openssl s_client -connect 127.0.0.1:{peer.port} < /dev/null" in str(seen[""].remedy)


def test_an_endpoint_that_is_not_reached_names_the_phase(make_host: MakeHost) -> None:
    closed = asked(make_host, free_port())[""]
    assert closed.status is Status.ERROR and "connecting failed" in closed.summary
    unnamed = asked(make_host, 443, host="nowhere.invalid", timeout=20)[""]
    assert unnamed.status is Status.ERROR and "could not be resolved" in unnamed.summary
    assert "getent hosts nowhere.invalid" in str(unnamed.remedy)


def test_one_silent_endpoint_hides_nothing_and_costs_no_sum(
    make_host: MakeHost, ca_file: str, tmp_path: Path
) -> None:
    good = server_context(tmp_path, make(issuer=ROOT, names=("127.0.0.1",)))
    with Peer(silent) as dumb, Peer(tls(good)) as peer:
        names = (f"127.0.0.1:{dumb.port}", f"localhost:{dumb.port}", f"127.0.0.1:{peer.port}")
        with within(3):
            seen = files(make_host, {}, *names, "/absent/tls.crt",
                     settings={"ca_file": ca_file}, timeout=3)  # fmt: skip
    assert [finding.status for finding in seen.values()] == [
        Status.ERROR, Status.ERROR, Status.PASS, Status.ERROR,
    ]  # fmt: skip


def test_offline_reads_files_and_asks_no_endpoint(make_host: MakeHost) -> None:
    with Peer(silent) as peer:
        name = f"127.0.0.1:{peer.port}"
        seen = files(make_host, {"/a.pem": make().pem}, "/a.pem", name, offline=True)
        assert peer.connections == 0
    assert seen["/a.pem"].status is Status.PASS
    assert seen[name].status is Status.SKIP and "--offline" in seen[name].summary


def test_authorities_that_cannot_be_used(make_host: MakeHost, tmp_path: Path) -> None:
    with Peer(tls(server_context(tmp_path, make(names=("127.0.0.1",))))) as peer:
        name = f"127.0.0.1:{peer.port}"
        for path, said in (("/nowhere", "No such file"), ("/junk", "it holds no certificate")):
            seen = files(make_host, {"/junk": b"?"}, name, settings={"ca_file": path})
            finding = seen[f"ca_file {path}"]
            assert finding.status is Status.ERROR and said in finding.summary and finding.remedy
            assert seen[name].status is Status.PASS


def test_passwords_of_endpoints_are_never_kept(make_host: MakeHost) -> None:
    told = check("https://admin:geheim@127.0.0.1/x", offline=True)
    facts = told.observe(make_host({}))
    assert b"geheim" not in msgspec.json.encode(facts)
    assert "geheim" not in str(judge(told, facts))


def test_a_chain_that_cannot_be_read_to_its_end_is_told_beside_the_expiry() -> None:
    tls_ = TlsResult(server_name="b", unread="certificate 2 of the chain: it is no certificate")
    part = Watched(name="b:443", tls=tls_, chain=linked((certificate(365, 300),)))
    none = Watched(name="c:443", tls=tls_)
    seen = judge(check(), ExpiryFacts(observed_at=NOW, watched=(part, none)))
    assert seen["b:443"].status is Status.PASS and seen["b:443 chain"].status is Status.ERROR
    assert seen["c:443"].status is Status.ERROR and "certificate 2" in seen["c:443"].summary


def test_where_nothing_is_configured_one_line_is_said_and_nothing_heavy_imported() -> None:
    program = (
        "import sys; from biostudio_doctor.host import Host\n"
        "from importlib import import_module\n"
        "from tests.conftest import context\n"
        "told, host = context(), Host('/proc/self/fdinfo')\n"
        "for name in 'expiry chain trust name key tls served revocation'.split():\n"
        "    module = import_module(f'biostudio_doctor.checks.certificate_{name}')\n"
        "    check = getattr(module, f'Certificate{name.title()}')(told)\n"
        "    found = list(check.judge(check.observe(host), told.requirements))\n"
        "    assert [one.cause for one in found] == ['scope.not-configured'], name\n"
        "heavy = {'cryptography', 'ssl', 'anyio', 'asyncio', 'truststore'} & set(sys.modules)\n"
        "sys.exit(' '.join(heavy) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
