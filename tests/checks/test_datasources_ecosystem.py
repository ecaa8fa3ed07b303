"""datasources.ecosystem, on nginx that stands for BBrowserX and Talk2Data, and on odd peers.

Those products cannot be had here: the health path is that of the vendor's chart, the bodies are
made.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from biostudio_doctor.checks.datasources_ecosystem import (
    AskedServer,
    DatasourcesEcosystem,
    EcosystemFacts,
)
from biostudio_doctor.host import Host
from biostudio_doctor.model import Finding, Status
from biostudio_doctor.services import Answer, ecosystem
from tests.conftest import MakeHost, context, judge, observed
from tests.lab import servers
from tests.lab.certificates import make
from tests.lab.network import free_port
from tests.lab.peers import Peer, endless, saying, server_context, silent, tls
from tests.lab.timing import within

_SITES = {
    "versioned": "location = /btstatus { default_type application/json; "
    """return 200 '{"status": "ok", "version": "3.1.17"}'; }""",
    "speechless": "location = /btstatus { return 200 ok; }",
    "below": "location = /talk/btstatus { return 200 ok; } location / { return 500; }",
    "guarded": "return 401;",
    "stranger": "location = / { return 200 hello; } location / { return 404; }",
    "login": "return 302 /login;",
    "upgrading": "return 301 https://studio.example.org$request_uri;",
    "behind": "return 502;",
}

_NGINX = """
daemon off; worker_processes 1; pid {place}/nginx.pid; error_log stderr; events {{}}
http {{
    access_log off; client_body_temp_path {place}/1; proxy_temp_path {place}/2;
    fastcgi_temp_path {place}/3; uwsgi_temp_path {place}/4; scgi_temp_path {place}/5;
    ssl_certificate {authority.certificate}; ssl_certificate_key {authority.key};
    {sites}
}}
"""


@pytest.fixture(scope="module")
def web() -> Iterator[SimpleNamespace]:
    """The port of each site: plain by its name, with TLS as NAME_tls; and the authority."""
    with servers.directory() as place:
        authority = servers.Authority(place)
        ports = {name: free_port() for site in _SITES for name in (site, f"{site}_tls")}
        sites = "\n".join(
            f"server {{ listen 127.0.0.1:{ports[name]}{way}; {part} }}"
            for site, part in _SITES.items()
            for name, way in ((site, ""), (f"{site}_tls", " ssl"))
        )
        config = place / "nginx.conf"
        config.write_text(_NGINX.format(place=place, authority=authority, sites=sites))
        command = [servers.program("nginx"), "-p", str(place), "-e", "stderr", "-c", str(config)]
        with servers.running(command, ports["versioned"], log=place / "log"):
            yield SimpleNamespace(**ports, ca_file=str(authority.ca_file))


def found(host: Host, *sources: dict[str, Any], **config: Any) -> dict[str, Finding]:
    check = DatasourcesEcosystem(context(datasources={"ecosystem": list(sources)}, **config))
    carried = msgspec.json.decode(msgspec.json.encode(observed(check, host)), type=EcosystemFacts)
    seen = judge(check, carried)
    for finding in seen.values():
        assert finding.status is Status.PASS or finding.remedy
    return seen


def ask(url: str, **source: Any) -> Finding:
    (finding,) = found(Host(), {"url": url, **source}, timeout=3).values()
    return finding


def secure(web: SimpleNamespace, site: str, path: str = "", **source: Any) -> Finding:
    url = f"https://127.0.0.1:{getattr(web, f'{site}_tls')}{path}"
    return ask(url, ca_file=web.ca_file, **source)


def test_without_one_nothing_is_asked_or_imported() -> None:
    program = (
        "import sys; from biostudio_doctor.host import Host\n"
        "from biostudio_doctor.checks.datasources_ecosystem import DatasourcesEcosystem as C\n"
        "from tests.conftest import context\n"
        "check = C(context()); facts = check.observe(Host())\n"
        "(f,) = check.judge(facts, check.context.requirements)\n"
        "assert f.status == 'skip', f\n"
        "sys.exit(' '.join({'httpx', 'ssl', 'anyio', 'asyncio'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_healthy_ones(web: SimpleNamespace) -> None:
    good = secure(web, "versioned")
    assert good.status is Status.PASS and good.subject.startswith("BBrowserX https://127.0.0.1:")
    assert "BBrowserX 3.1.17 answers at" in good.summary
    assert "its certificate is trusted here and has" in good.summary
    assert "HTTP 200" in good.observed and "TLSv1." in good.observed
    other = secure(web, "speechless", product="talk2data")
    assert other.status is Status.PASS and "Talk2Data answers at" in other.summary
    below = secure(web, "below", "/talk/?token=hush")
    assert below.status is Status.PASS and below.subject.endswith("/talk")
    assert "hush" not in repr(below)
    guarded = secure(web, "guarded")
    assert guarded.status is Status.PASS and "wants to know who asks" in guarded.summary
    login = secure(web, "login")
    assert login.status is Status.PASS and "redirects to https://127.0.0.1" in login.summary
    for anything in (guarded, login):
        assert anything.summary.startswith("What should be BBrowserX answers at")


def test_what_is_not_well(web: SimpleNamespace) -> None:
    behind = secure(web, "behind")
    assert (behind.status, behind.cause) == (Status.FAIL, "datasource.unwell")
    assert "HTTP 502" in behind.summary
    stranger = secure(web, "stranger")
    assert (stranger.status, stranger.cause) == (Status.WARN, "datasource.another-server")
    assert "An HTTP server (nginx" in stranger.summary


def test_trust(web: SimpleNamespace) -> None:
    unknown = ask(f"https://127.0.0.1:{web.versioned_tls}")
    assert (unknown.status, unknown.cause) == (Status.FAIL, "datasource.untrusted")
    assert "issuer is not known" in unknown.summary and "ca_file" in str(unknown.remedy)
    assert "certificate until" in unknown.observed
    missing = ask(f"https://127.0.0.1:{web.versioned_tls}", ca_file="/nowhere.pem")
    assert (missing.status, missing.cause) == (Status.ERROR, "datasource.ca-file")
    assert "/nowhere.pem: No such file" in missing.summary and "ca_file" in str(missing.remedy)


def test_without_tls(web: SimpleNamespace) -> None:
    plain = ask(f"http://127.0.0.1:{web.versioned}")
    assert (plain.status, plain.cause) == (Status.WARN, "datasource.readable-on-the-way")
    assert "BBrowserX 3.1.17" in plain.summary and "can read along" in plain.summary
    upgrading = ask(f"http://127.0.0.1:{web.upgrading}")
    assert upgrading.status is Status.WARN
    assert "redirects to https://studio.example.org/btstatus" in upgrading.summary


def test_tls_the_other_way_round(web: SimpleNamespace) -> None:
    plain = ask(f"https://127.0.0.1:{web.versioned}")
    assert (plain.status, plain.cause) == (Status.FAIL, "datasource.plain")
    wrapped = ask(f"http://127.0.0.1:{web.versioned_tls}")
    assert (wrapped.status, wrapped.cause) == (Status.FAIL, "datasource.tls")
    assert "https://" in str(wrapped.remedy)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_others_at_that_port(scheme: str, tmp_path: Path) -> None:
    assert ask(f"{scheme}://127.0.0.1:{free_port()}").cause == "datasource.refused"
    for behaviour, cause in (
        (saying(b"SSH-2.0-OpenSSH_9.2\r\n", first=True), "foreign"),
        (silent, "silent"),
        (saying(b"", first=True), "closed"),
        (endless(b"\xff" * 4096), "foreign"),
    ):
        with Peer(behaviour) as peer, within(3):
            finding = ask(f"{scheme}://127.0.0.1:{peer.port}")
        assert (finding.status, finding.cause) == (Status.FAIL, f"datasource.{cause}")
    lost = ask(f"{scheme}://nowhere.invalid")
    assert lost.cause == "datasource.unreachable" and "no such name" in lost.summary


def test_a_server_that_shakes_hands_and_hangs(tmp_path: Path) -> None:
    with Peer(tls(server_context(tmp_path, make(names=("127.0.0.1",))))) as peer:
        finding = ask(f"https://127.0.0.1:{peer.port}")
    assert finding.status is Status.FAIL
    assert finding.cause in ("datasource.unwell", "datasource.silent")


def test_urls_that_are_none_and_secrets_in_them(make_host: MakeHost) -> None:
    seen = found(
        make_host({}),
        {"url": "https://admin:hush@"},
        {"url": "http://db.lab:99999/?key=hush"},
        {"url": "https://[::1"},
        {"url": "https://admin:hush/1@db.lab"},  # which is a port that is none
        {"url": "https://admin:12/hush@db.lab"},  # ... and one that is
        {"url": "https://admin:hush://1@db.lab"},
        {"url": "https://\N{ACCOUNT OF}:hush@db.lab"},
        timeout=1,
    )
    assert [finding.status for finding in seen.values()] == [Status.ERROR] * 7
    assert "hush" not in repr(seen)
    with Peer(silent) as peer:
        (named,) = found(
            make_host({}), {"url": f"http://admin:hush@127.0.0.1:{peer.port}/"}, timeout=1
        ).values()
    assert named.status is Status.FAIL and "hush" not in repr(named)


@pytest.mark.parametrize(
    ("days", "lifetime", "cause"),
    [(200, 365, ""), (20, 365, "certificate-ends"), (29, 90, ""), (3, 6, ""),
     (1, 6, "certificate-ends")],
)  # fmt: skip
def test_certificates_that_end(days: float, lifetime: float, cause: str) -> None:
    answer = Answer(
        host="bb.lab", port=443, state="healthy",
        told={"status": 200, "known": True, "left_at": "", "tls": "TLSv1.3", "days": days,
              "lifetime_days": lifetime, "until": "2027-01-01"},
    )  # fmt: skip
    facts = EcosystemFacts((AskedServer(url="https://bb.lab", product="BBrowserX", answer=answer),))
    (finding,) = judge(DatasourcesEcosystem(context()), facts).values()
    assert finding.cause == (f"datasource.{cause}" if cause else "")


def test_urls() -> None:
    place = ecosystem.parse("https://user:hush@[2001:db8::1]:8443/talk/")
    assert (place.host, place.port, place.url) == (
        "2001:db8::1", 8443, "https://[2001:db8::1]:8443/talk",
    )  # fmt: skip
    assert ecosystem.parse("http://bb.lab").url == "http://bb.lab"
