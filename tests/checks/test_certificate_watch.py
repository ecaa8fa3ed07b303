"""What the checks of certificates share: one look in a run, and words that can be used."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import msgspec
import pytest
from msgspec import structs

from biostudio_doctor.certificates.chains import Chain
from biostudio_doctor.certificates.facts import from_der
from biostudio_doctor.certificates.private_keys import KeyFacts
from biostudio_doctor.certificates.revocation import Revocation
from biostudio_doctor.certificates.watched import sources
from biostudio_doctor.check import Check
from biostudio_doctor.checks import certificate_revocation
from biostudio_doctor.checks.certificate_chain import CertificateChain, Held
from biostudio_doctor.checks.certificate_expiry import CertificateExpiry
from biostudio_doctor.checks.certificate_key import CertificateKey, Keyed
from biostudio_doctor.checks.certificate_name import CertificateName
from biostudio_doctor.checks.certificate_revocation import CertificateRevocation, Revocations
from biostudio_doctor.checks.certificate_served import CertificateServed
from biostudio_doctor.checks.certificate_tls import CertificateTls
from biostudio_doctor.checks.certificate_trust import CertificateTrust
from biostudio_doctor.checks.certificate_watch import Seen
from biostudio_doctor.host import Host
from biostudio_doctor.model import NOT_ASKED, NOT_CONFIGURED, Status
from biostudio_doctor.observer import run_check
from biostudio_doctor.registry import Plugin
from biostudio_doctor.runner import _shares
from tests.conftest import MakeHost, context, judge
from tests.lab.certificates import make, proper
from tests.lab.peers import Peer, server_context, tls
from tests.lab.pki import DER, Pki

T = TypeVar("T")
CHECKS: tuple[type[Check[Any]], ...] = (
    CertificateChain, CertificateExpiry, CertificateKey, CertificateName, CertificateRevocation,
    CertificateServed, CertificateTls, CertificateTrust,
)  # fmt: skip


def test_each_endpoint_is_looked_at_once_in_a_run(make_host: MakeHost, tmp_path: Path) -> None:
    """By two handshakes: one, and one for old versions, since the first did not verify one more."""
    with Peer(tls(server_context(tmp_path, make(names=("127.0.0.1",))))) as peer:
        told = context(certificates=[f"127.0.0.1:{peer.port}"])
        host = make_host({})
        results = {}

        def run(check: type[Check[Any]]) -> None:
            results[check] = run_check(check(told), Host(host.root))

        threads = [threading.Thread(target=run, args=(check,)) for check in CHECKS]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert peer.connections == 3
        run(CertificateChain)
        assert peer.connections == 3, "a later check of the same run asks nothing anew"
        told = context(certificates=[f"127.0.0.1:{peer.port}"])
        run(CertificateChain)
        assert peer.connections == 6, "another run does"
    assert all(result.findings for result in results.values())


def test_a_family_of_checks_stays_in_one_process() -> None:
    names = ["a.one", "b.one", "a.two", "c.one", "b.two", "a.three"]
    shares = _shares(tuple(Plugin(name, []) for name in names))
    found = [[plugin.name for plugin in share] for share in shares]
    assert sorted(name for share in found for name in share) == sorted(names)
    for family in "abc":
        assert sum(any(name[0] == family for name in share) for share in found) == 1
    assert len(found) == 1 or {len(share) for share in found} == {3}


@pytest.mark.parametrize("phase", ["preinstall", "running"])
def test_what_is_watched(phase: str) -> None:
    told = context(
        domain="studio.lab", phase=phase, ports={"https": 8443},
        certificates=["/a@b.crt", "https://u:secret@b.lab/x", {"at": "/c", "server_name": "c.lab"}],
    ).config  # fmt: skip
    found = sources(told, own="/own/tls.crt", running=phase == "running")
    expected = ["/a@b.crt", "https://b.lab/x", "/c", "/own/tls.crt"]
    assert [one.at for one in found] == expected + ["studio.lab:8443"] * (phase == "running")
    own = found[3]
    assert (own.key, own.domain, own.optional) == ("/own/tls.key", "studio.lab", True)
    assert not any(one.domain for one in found if one is not own)


def test_what_is_configured_is_not_watched_twice() -> None:
    told = context(domain="studio.lab", certificates=["/own", "https://Studio.lab"]).config
    found = sources(told, own="/own/tls.crt", running=True)
    assert [one.at for one in found] == ["/own", "https://Studio.lab"]
    assert found[0].domain == "studio.lab" and not found[0].optional


# --- Words ----------------------------------------------------------------------------------------


def seen(*of: T) -> Seen[T]:
    return Seen(watched=len(of), read=len(of), of=of)


def missing(aia: str) -> Chain:
    return Chain(certificates=(from_der(proper(issuer=Pki().sub, aia=aia).der),), issuers=((),))


def test_the_missing_intermediate_can_be_had_as_it_is_said(tmp_path: Path) -> None:
    p = Pki()
    (tmp_path / "sub.der").write_bytes(p.sub.der)
    held = Held(name="x:443", chain=missing("http://pki.lab/sub.der"))
    remedy = judge(CertificateChain(context()), seen(held))["x:443"].remedy
    assert remedy and len(remedy.commands) == 2
    fetch, convert = remedy.commands
    served = fetch.replace("http://pki.lab", f"file://{tmp_path}")
    for command in (served, convert):
        subprocess.run(command, shell=True, cwd=tmp_path, check=True, timeout=20)
    assert from_der(p.sub.der).sha256 == from_der((tmp_path / "issuer.der").read_bytes()).sha256
    assert b"BEGIN CERTIFICATE" in (tmp_path / "issuer.pem").read_bytes()


def test_an_issuer_in_pkcs7_is_converted_as_such(tmp_path: Path) -> None:
    """IdenTrust and the authorities of governments give .p7c (RFC 5280, 4.2.2.1)."""
    p = Pki()
    (tmp_path / "sub.p7c").write_bytes(p.p7(DER, p.sub))
    held = Held(name="x:443", chain=missing("http://pki.lab/sub.p7c"))
    remedy = judge(CertificateChain(context()), seen(held))["x:443"].remedy
    assert remedy
    for command in remedy.commands:
        served = command.replace("http://pki.lab", f"file://{tmp_path}")
        subprocess.run(served, shell=True, cwd=tmp_path, check=True, timeout=20)
    assert b"BEGIN CERTIFICATE" in (tmp_path / "issuer.pem").read_bytes()


def test_what_openssl_has_trusted_is_complete() -> None:
    """It may know more authorities than the bundle of the system holds, as by SSL_CERT_FILE."""
    held = Held(name="x:443", chain=missing(""), trusted=True)
    assert judge(CertificateChain(context()), seen(held))["x:443"].status is Status.PASS


def test_authorities_that_only_openssl_knows(tmp_path: Path) -> None:
    """In a process of its own: OpenSSL looks at SSL_CERT_FILE when its contexts are made."""
    p = Pki()
    (tmp_path / "root.pem").write_bytes(p.root.pem)
    with Peer(tls(server_context(tmp_path, p.good, p.sub))) as peer:
        config = tmp_path / "doctor.toml"
        at = f'{{ at = "127.0.0.1:{peer.port}", server_name = "studio.lab" }}'
        config.write_text(f"certificates = [{at}]\n")
        checks = ("certificate.chain", "certificate.trust", "certificate.name")
        done = subprocess.run(
            [sys.executable, "-m", "biostudio_doctor", "check", *checks, "--output", "json",
             "--config", str(config)],
            env={**os.environ, "SSL_CERT_FILE": str(tmp_path / "root.pem")},
            capture_output=True, check=False, timeout=60,
        )  # fmt: skip
    found = [one["status"] for result in json.loads(done.stdout)["results"]
             for one in result["findings"]]  # fmt: skip
    assert found == ["pass"] * 3


def test_rules_are_named_and_not_numbered(make_host: MakeHost) -> None:
    p = Pki()
    plain = make("Plain Root", ca=True)  # as `openssl req -x509` makes it: without keyUsage
    host = make_host({"/tls.crt": p.leaf(issuer=plain).pem, "/ca.pem": plain.pem})
    told = context(certificates=[{"at": "/tls.crt", "ca_file": "/ca.pem"}])
    (finding,) = run_check(CertificateTrust(told), host).findings
    assert finding.status is Status.WARN and finding.cause == "certificate.strict"
    assert "Python 3.13" in finding.summary and "2.5.29" not in finding.summary
    assert finding.summary.endswith("lacks the extension keyUsage.")


def test_the_key_is_not_read_into_this_process(
    make_host: MakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    p = Pki()
    host = make_host({"/d/tls.crt": p.good.pem, "/d/tls.key": p.good.key_pem})
    read: list[str] = []
    real = Host.read_bytes

    def read_bytes(self: Host, path: str, limit: int = 1 << 20) -> bytes:
        read.append(path)
        return real(self, path, limit)

    monkeypatch.setattr(Host, "read_bytes", read_bytes)
    found = run_check(CertificateKey(context(certificates=["/d"])), host).findings
    assert [one.cause for one in found] == ["", "certificate.key-open"]  # it was compared
    assert "/d/tls.crt" in read and "/d/tls.key" not in read


def test_lists_beyond_the_limit_are_not_taken_for_read(
    make_host: MakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certificate_revocation, "_LISTS", 0)
    p = Pki()
    host = make_host({"/tls.crt": p.leaf(crl="http://127.0.0.1:1/x").pem})
    told = context(certificates=["/tls.crt"])
    (finding,) = run_check(CertificateRevocation(told), host).findings
    assert finding.status is Status.ERROR and "no more than 0 lists" in finding.summary


def test_it_is_told_whose_list_was_read() -> None:
    good = Revocation(certificate="Sub", url="http://a/x", standing="good")
    check = CertificateRevocation(context())
    for own, end in ((False, "; the server's own certificate names no list."), (True, "revoked.")):
        found = judge(check, seen(Revocations(name="x", lists=(good,), own=own)))["x"]
        assert found.summary.endswith(end) and "'Sub' was not revoked" in found.summary


@pytest.mark.parametrize(
    "address", ["http://a/$(reboot)", "http://a/x y", "http://a/';id", "ldap://a/x", "file:///x"]
)
def test_an_address_that_is_no_plain_one_stands_in_no_command(address: str) -> None:
    held = Held(name="x:443", chain=missing(address))
    remedy = judge(CertificateChain(context()), seen(held))["x:443"].remedy
    assert remedy and not remedy.commands and "Ask the issuer" in remedy.text


def test_paths_are_quoted() -> None:
    leaf = from_der(make().der)
    chain = Chain(certificates=(leaf,), issuers=((),))
    key = KeyFacts(path="/a b/$(id).key", public_sha256=leaf.key_sha256, mode=0o666)
    found = judge(CertificateKey(context()), seen(Keyed(name="/x", chain=chain, key=key)))
    finding = found["/x key file"]
    assert finding.status is Status.WARN and finding.remedy
    assert shlex.split(finding.remedy.commands[0])[-1] == key.path
    assert found["/x"].status is Status.PASS and "/x key" not in found


def test_what_is_not_judged_is_said_in_a_word(make_host: MakeHost) -> None:
    host = make_host({"/tls.crt": make().pem, "/junk": b"?"})
    for names, cause, said in (
        ([], NOT_CONFIGURED, "No certificate is configured"),
        (["/tls.crt"], NOT_ASKED, "Not asked: it concerns only endpoints."),
        (["/junk"], NOT_ASKED, "Not asked: it needs a certificate that can be read, and"),
    ):
        (finding,) = run_check(CertificateTls(context(certificates=names)), host).findings
        assert (finding.status, finding.cause) == (Status.SKIP, cause)
        assert finding.summary.startswith(said)


def test_facts_can_be_judged_elsewhere(make_host: MakeHost) -> None:
    """A bundle carries them as JSON, and names their type by what `observe` returns."""
    told = context(certificates=["/tls.crt"])
    host = make_host({"/tls.crt": make().pem})
    for check_type in CHECKS:
        check = check_type(told)
        facts = check.observe(host)
        carried = msgspec.json.decode(
            msgspec.json.encode(facts), type=get_type_hints(check_type.observe)["return"]
        )
        assert list(check.judge(carried, told.requirements)) == list(
            check.judge(facts, told.requirements)
        )


@pytest.mark.parametrize(("place", "weak"), [(0, True), (1, True), (2, False)])
def test_the_signature_of_a_root_does_not_count(place: int, weak: bool) -> None:
    """Whoever trusts a root trusts its key, and looks at no signature of it."""
    p = Pki()
    held = [from_der(one.der) for one in (p.good, p.sub, p.root)]
    held[place] = structs.replace(held[place], signature_hash="sha1")
    chain = Chain(certificates=tuple(held), issuers=((1,), (2,), ()))
    found = judge(CertificateKey(context()), seen(Keyed(name="x", chain=chain)))
    assert ("x signature" in found) is weak
