"""What all checks of certificates find, as a table: one row a case, files and live servers.

Dates are those of certificates made for the purpose; no clock is patched. nginx, PostgreSQL,
Mosquitto and Redis are real; the peers that speak SMTP and LDAP up to STARTTLS are made, and so is
the answer of the resolver for the one name that has two addresses.
"""

from __future__ import annotations

import gzip
import http.server
import os
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import msgspec
import pytest

from biostudio_doctor.certificates import live
from biostudio_doctor.checks.certificate_chain import CertificateChain
from biostudio_doctor.checks.certificate_expiry import CertificateExpiry
from biostudio_doctor.checks.certificate_key import CertificateKey
from biostudio_doctor.checks.certificate_name import CertificateName
from biostudio_doctor.checks.certificate_revocation import CertificateRevocation
from biostudio_doctor.checks.certificate_served import CertificateServed
from biostudio_doctor.checks.certificate_tls import CertificateTls
from biostudio_doctor.checks.certificate_trust import CertificateTrust
from biostudio_doctor.checks.certificate_watch import settings
from biostudio_doctor.host import Host
from biostudio_doctor.model import NOT_ASKED, NOT_CONFIGURED, Status
from biostudio_doctor.observer import run_check
from biostudio_doctor.probes.results import Lookup
from tests.checks.certificate_cases import (
    CLIENT_AUTH,
    ENDPOINTS,
    FILES,
    OWN,
    PASSWORD,
    REVOKED,
    Case,
)
from tests.conftest import MakeHost, context
from tests.lab import tls_servers
from tests.lab.certificates import proper
from tests.lab.network import free_port
from tests.lab.peers import Peer, server_context, silent, tls
from tests.lab.pki import Pki
from tests.lab.servers import directory, postgresql, redis
from tests.lab.tls_servers import Identity, Site, nginx

CHECKS = (
    CertificateChain, CertificateExpiry, CertificateKey, CertificateName, CertificateRevocation,
    CertificateServed, CertificateTls, CertificateTrust,
)  # fmt: skip


# --- The lab --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pki() -> Iterator[Pki]:
    """Certificates, and a web server for their revocation lists."""

    class Lists(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = made.get(self.path)
            self.send_response(200 if body is not None else 404)
            if self.path == "/packed.crl" and "gzip" in self.headers.get("Accept-Encoding", ""):
                body = gzip.compress(body or b"")
                self.send_header("Content-Encoding", "gzip")
            self.end_headers()
            while self.path == "/endless.crl":
                self.wfile.write(bytes(1 << 20))
            self.wfile.write(body or b"")

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Lists)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign] - of who hangs up
    p = Pki(f"http://127.0.0.1:{server.server_address[1]}")
    made = {
        "/good.crl": p.crl(p.sub, REVOKED(p)),
        "/old.crl": p.crl(p.sub, days=(-9, -2)),
        "/forged.crl": p.crl(p.sub, signer=p.stranger),
        "/packed.crl": p.crl(p.sub),
        "/junk.crl": b"junk",
        "/endless.crl": b"",
    }
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield p
    server.shutdown()
    server.server_close()


def sites(p: Pki) -> dict[str, Site]:
    low = p.authority("Low", issuer=p.sub)
    private = [p.leaf(issuer=p.strange_sub), p.strange_sub, p.stranger]
    any_cipher = "ssl_ciphers ALL:@SECLEVEL=0;"
    weak = f"ssl_protocols TLSv1.2 TLSv1.3; {any_cipher}"
    return {
        "good": Site([p.good, p.sub]),
        "good2": Site([p.good, p.sub], address="127.0.0.2"),
        "local": Site([p.leaf(names=("localhost",)), p.sub]),
        "expired": Site([p.leaf(days=(-90, -2)), p.sub]),
        "early": Site([p.leaf(days=(2, 92)), p.sub]),
        "self": Site([p.self_signed]),
        "dead": Site([proper(days=(-90, -2), names=("other.lab",))]),
        "private": Site(private),
        "leaf": Site([p.leaf(aia=p.aia)]),
        "clients": Site([p.leaf(purpose=CLIENT_AUTH), p.sub]),
        "misordered": Site([p.leaf(issuer=low), p.sub, low]),
        "extra": Site([p.good, p.sub, p.stranger]),
        "weak": Site([p.leaf(key=p.weak_rsa), p.sub], weak),
        "sha1": Site([p.sha1], weak),
        "old": Site([p.good, p.sub], f"ssl_protocols TLSv1 TLSv1.1 TLSv1.2 TLSv1.3; {any_cipher}"),
        "gap": Site([p.good, p.sub], f"ssl_protocols TLSv1 TLSv1.2; {any_cipher}"),
        "oldest": Site([p.good, p.sub], f"ssl_protocols TLSv1.1; {any_cipher}"),
        "tls12": Site([p.good, p.sub], "ssl_protocols TLSv1.2;"),
        "client": Site([p.good, p.sub], "ssl_verify_client optional_no_ca;"),
        "revoked": Site([REVOKED(p), p.sub]),
        "partial": Site([p.good, p.sub]),
        "partial2": Site([p.good], address="127.0.0.2"),
        "late": Site([p.good, p.sub]),
        "late2": Site([p.leaf(days=(-90, -2)), p.sub], address="127.0.0.2"),
        "differing": Site([p.good, p.sub]),
        "differing2": Site([p.leaf(days=(-40, 50)), p.sub], address="127.0.0.2"),
    }


@pytest.fixture(scope="module")
def ports(pki: Pki, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, int]]:
    """All live servers, by the names that the table has for their ports."""
    good = [pki.good, pki.sub]
    with ExitStack() as stack:
        place = stack.enter_context(directory())
        local = [pki.leaf(names=("127.0.0.1",)), pki.sub]
        identity = Identity(place, "good", good)
        for_address = Identity(place, "local", local)
        found = dict(stack.enter_context(_nginx(pki)))
        listeners = {"mqtt": good, "mqtt_expired": [pki.leaf(days=(-9, -1)), pki.sub]}
        found |= stack.enter_context(tls_servers.mosquitto(listeners))
        tls_database: Any = for_address
        found["postgresql"] = stack.enter_context(postgresql(tls_database)).port
        found["plain_postgresql"] = stack.enter_context(postgresql()).port
        tls_cache: Any = identity
        found["redis"] = stack.enter_context(redis(tls_cache)).port
        found["plain_redis"] = stack.enter_context(redis()).port
        served = server_context(tmp_path_factory.mktemp("peers"), *good)
        demanding = server_context(
            tmp_path_factory.mktemp("demanding"), *good,
            verify_mode=ssl.CERT_REQUIRED, maximum_version=ssl.TLSVersion.TLSv1_2,
        )  # fmt: skip
        peers = {
            "smtp": tls_servers.smtp(served),
            "plain_smtp": tls_servers.smtp(None),
            "busy_smtp": tls_servers.smtp(served, greeting=b"421 mail.lab too busy\r\n"),
            "ldap": tls_servers.ldap(served),
            "long_ldap": tls_servers.ldap(served, long_form=True),
            "plain_ldap": tls_servers.ldap(None),
            "silent": silent,
            "demanding": tls(demanding),
        }
        for name, behaviour in peers.items():
            found[name] = stack.enter_context(Peer(behaviour)).port
        with Peer(silent) as gone:
            found["closed"] = gone.port
        yield found


def _nginx(p: Pki) -> Any:
    """nginx, with the second backends on the ports of the first ones."""
    wanted = sites(p)
    first = {name: free_port() for name in wanted}
    for name, site in wanted.items():
        pair = name[:-1] if name[-1] == "2" and name[:-1] in wanted else name
        wanted[name] = site._replace(port=first[pair])
    return nginx(wanted)


@pytest.fixture(autouse=True)
def two_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name two.lab has two addresses (made): no resolver of this machine can be told so."""
    real = live.lookup

    async def lookup(name: str, *, timeout: float) -> Lookup:
        if name != "two.lab":
            return await real(name, timeout=timeout)
        return Lookup(name=name, addresses=("127.0.0.1", "127.0.0.2"), seconds=0.0)

    monkeypatch.setattr(live, "lookup", lookup)


def found(host: Host, case: Case, ports: Mapping[str, int]) -> list[str]:
    """The findings of all checks, as the table has them."""

    def settled(value: Any) -> Any:
        if isinstance(value, str):
            whole = value.format(**ports) if "{" in value else value
            return int(whole) if value.startswith("{") else whole
        if isinstance(value, Mapping):
            return {key: settled(one) for key, one in value.items()}
        return [settled(one) for one in value] if isinstance(value, list) else value

    watched = case.at if isinstance(case.at, list) else [case.at] if case.at else []
    table = {"certificate.expiry": {"ca_file": "/ca.pem"}}
    config = {"checks": table, "certificates": watched, **case.config}
    told = context(offline=case.offline, **settled(config))
    lines = []
    for check in CHECKS:
        own = settings(told) if check is CertificateExpiry else None
        result = run_check(check(told, own), host)
        assert PASSWORD not in msgspec.json.encode(result).decode()
        names = sorted({_name(one) for one in told.config.certificates}, key=len, reverse=True)
        for finding in result.findings:
            if finding.cause in (NOT_ASKED, NOT_CONFIGURED):  # which exporters say together
                assert len(result.findings) == 1 and finding.status is Status.SKIP
                continue
            subject = finding.subject
            for name in (*names, OWN, f"localhost:{told.config.ports.https}"):
                if subject == name or subject.startswith(f"{name} "):
                    subject = subject.removeprefix(name).strip()
                    break
            kind = subject.replace(" ", "-")
            kind = "ca_file" if kind.startswith("ca_file") else kind
            cause = finding.cause.removeprefix("certificate.")
            assert finding.status is Status.PASS or cause or finding.status is Status.SKIP
            assert (finding.remedy is None) is (finding.status is Status.PASS) or (
                finding.status is Status.SKIP
            ), finding
            word = f"{check.id.removeprefix('certificate.')}/{kind}".rstrip("/")
            lines.append(f"{word}={finding.status}" + (f":{cause}" if cause else ""))
    return sorted(lines)


def _name(watched: Any) -> str:
    from biostudio_doctor import endpoints

    return endpoints.without_user(watched if isinstance(watched, str) else watched.at)


def prepared(make_host: MakeHost, pki: Pki, case: Case) -> Host:
    host = make_host({"/ca.pem": pki.root.pem, **case.tree(pki)})
    for path, mode in case.modes.items():
        os.chmod(host.path(path), mode)
    return host


def test_the_table_is_large_enough() -> None:
    names = [case.name for case in (*FILES, *ENDPOINTS)]
    assert len(names) == len(set(names)) and len(names) >= 60


@pytest.mark.parametrize("case", FILES, ids=lambda case: case.name)
def test_files(case: Case, make_host: MakeHost, pki: Pki) -> None:
    assert found(prepared(make_host, pki, case), case, {}) == sorted(case.expected.split())


@pytest.mark.parametrize("case", ENDPOINTS, ids=lambda case: case.name)
def test_endpoints(case: Case, make_host: MakeHost, pki: Pki, ports: dict[str, int]) -> None:
    assert found(prepared(make_host, pki, case), case, ports) == sorted(case.expected.split())
