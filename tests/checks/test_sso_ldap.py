"""sso.ldap, on peers that speak LDAP as far as StartTLS, and TLS for real.

No directory is needed for these few bytes: what is said before TLS is made, as tls_servers has it.
"""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from biostudio_doctor.checks.sso_ldap import LdapFacts, SsoLdap
from biostudio_doctor.host import Host
from biostudio_doctor.model import Finding, Status
from tests.conftest import context, judge
from tests.lab.certificates import Made, proper
from tests.lab.network import free_port
from tests.lab.peers import Peer, saying, server_context, silent, tls
from tests.lab.tls_servers import ldap

OK = Status.PASS


@pytest.fixture(scope="module")
def root() -> Made:
    return proper("Lab Root", ca=True, names=())


@pytest.fixture(scope="module")
def ca_file(root: Made, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("ldap") / "ca.pem"
    path.write_bytes(root.pem)
    return str(path)


def ask(url: str, **more: Any) -> dict[str, Finding]:
    check = SsoLdap(context(sso={"ldap": [{"url": url, **more}]}, timeout=3))
    facts = msgspec.json.decode(msgspec.json.encode(check.observe(Host())), type=LdapFacts)
    found = judge(check, facts)
    for finding in found.values():
        assert finding.status is OK or finding.remedy, finding
    return {subject.removeprefix(url).strip(): one for subject, one in found.items()}


@pytest.mark.parametrize("scheme", ["ldaps", "ldap"])
def test_a_good_directory(scheme: str, root: Made, ca_file: str, tmp_path: Path) -> None:
    secured = server_context(tmp_path, proper(names=("127.0.0.1",), issuer=root))
    with Peer(tls(secured) if scheme == "ldaps" else ldap(secured)) as peer:
        found = ask(f"{scheme}://127.0.0.1:{peer.port}", ca_file=ca_file)
    assert {subject: one.status for subject, one in found.items()} == dict.fromkeys(
        ["", "trust", "name", "expiry"], OK
    )
    assert "Nobody was bound" in found[""].summary


@pytest.mark.parametrize(
    ("options", "subject", "status", "cause"),
    [
        ({"names": ("other.lab",)}, "name", "fail", "sso.other-name"),
        ({"days": (-400, -2)}, "expiry", "fail", "certificate.expired"),
        ({"days": (-400, 20)}, "expiry", "warn", "certificate.expiring"),
        ({"issuer": None}, "trust", "fail", "sso.untrusted"),
    ],
)
def test_bad_certificates(
    options: Any, subject: str, status: str, cause: str, root: Made, ca_file: str, tmp_path: Path
) -> None:
    made = proper(**{"names": ("127.0.0.1",), "issuer": root, **options})
    with Peer(ldap(server_context(tmp_path, made))) as peer:
        found = ask(f"ldap://127.0.0.1:{peer.port}", ca_file=ca_file)
    assert (found[subject].status, found[subject].cause) == (status, cause)
    assert {one.status for name, one in found.items() if name != subject} == {OK}
    assert "Update SSL" not in str(found[subject].remedy)


def test_no_tls(ca_file: str) -> None:
    with Peer(ldap(None)) as peer:
        refused = ask(f"ldap://127.0.0.1:{peer.port}")[""]
    assert (refused.status, refused.cause) == (Status.FAIL, "sso.no-tls")
    assert "refuses StartTLS" in refused.summary and "-starttls ldap" in str(refused.remedy)
    for behaviour in (silent, saying(b"SSH-2.0-x\r\n", first=True)):
        for scheme in ("ldap", "ldaps"):
            with Peer(behaviour) as peer:
                found = ask(f"{scheme}://127.0.0.1:{peer.port}")[""]
            assert (found.status, found.cause) == (Status.FAIL, "sso.no-tls")


def test_nobody_there() -> None:
    closed = ask(f"ldaps://127.0.0.1:{free_port()}")[""]
    assert (closed.status, closed.cause) == (Status.FAIL, "sso.no-connection")
    lost = ask("ldaps://nowhere.invalid")[""]
    assert (lost.status, lost.cause) == (Status.FAIL, "sso.no-name")
    assert "getent hosts nowhere.invalid" in str(lost.remedy)


def test_configurations_that_make_no_sense(ca_file: str) -> None:
    bad = ask("ldaps://host:99999")[""]
    assert (bad.status, bad.cause) == (Status.ERROR, "sso.configuration")
    secret = SsoLdap(context(sso={"ldap": [{"url": "ldap://cn=admin:hush@127.0.0.1:1"}]}))
    assert "hush" not in repr(judge(secret, secret.observe(Host())))
    with Peer(silent) as peer:
        url = f"ldaps://127.0.0.1:{peer.port}"
        missing = ask(url, ca_file="/nowhere.pem")["ca_file /nowhere.pem"]
    assert (missing.status, missing.cause) == (Status.ERROR, "sso.configuration")
    assert missing.summary.startswith("The authorities in /nowhere.pem cannot be used: No such")
