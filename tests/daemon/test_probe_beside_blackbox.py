"""/probe and Debian's blackbox exporter, asked the same of the same servers."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import anyio
import dns.message
import dns.rcode
import dns.rrset
import httpx
import pytest

from biostudio_doctor.probes import tls_contexts
from tests.daemon.probing import BLACKBOX, ask, blackbox, names, samples, value, why
from tests.lab.certificates import Made, make
from tests.lab.filesystems import let_all_in
from tests.lab.names import name_server
from tests.lab.network import free_port
from tests.lab.peers import Peer, reset, saying, silent
from tests.lab.tls_servers import Site, nginx

_NAMES = ("localhost", "127.0.0.1")
_DIRECTIVES = """
    listen 127.0.0.1:{plain};
    location = / {{ return 200 "hello"; }}
    location = /none {{ return 204; }}
    location = /missing {{ return 404; }}
    location = /broken {{ return 503; }}
    location = /away {{ return 302 /; }}
    location = /round {{ return 302 /round; }}
    location = /secure {{ return 301 https://127.0.0.1:{tls}/; }}
    location = /file {{ root {place}; }}
"""


class Servers(NamedTuple):
    """What is asked."""

    ports: dict[str, int]
    blackbox: str


@pytest.fixture(scope="module")
def authority() -> Made:
    return make("lab authority", ca=True)


def answer(query: dns.message.Message) -> bytes:
    reply = dns.message.make_response(query)
    if str(query.question[0].name) == "studio.lab.":
        reply.answer.append(
            dns.rrset.from_text("studio.lab.", 60, "IN", "A", "192.0.2.1", "192.0.2.2")
        )
    else:
        reply.set_rcode(dns.rcode.NXDOMAIN)
    return reply.to_wire()


def refuse(query: dns.message.Message) -> bytes:
    reply = dns.message.make_response(query)
    reply.set_rcode(dns.rcode.REFUSED)
    return reply.to_wire()


@pytest.fixture(scope="module")
def servers(authority: Made, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    if not BLACKBOX:
        pytest.skip("needs prometheus-blackbox-exporter, which tests/run installs")
    place = tmp_path_factory.mktemp("web")
    place.joinpath("file").write_text("x" * 3000)
    let_all_in(place)
    plain, secure = free_port(), free_port()
    directives = _DIRECTIVES.format(plain=plain, tls=secure, place=place)
    good = make("localhost", issuer=authority, names=_NAMES)
    old = make("localhost", issuer=authority, names=_NAMES, days=(-30, -1))
    sites = {
        "good": Site([good, authority], directives, port=secure),
        "expired": Site([old, authority]),
        "stranger": Site([make("localhost", names=_NAMES)]),
        "other name": Site([make("else.lab", issuer=authority, names=("else.lab",))]),
    }
    with (
        nginx(sites) as secured,
        Peer(silent) as quiet,
        Peer(reset) as rude,
        Peer(saying(b"SSH-2.0-lab\r\n", first=True)) as ssh,
        Peer(saying(b"one\r\nSSH-2.0-lab\r\n", first=True)) as wordy,
        Peer(saying(b"220 mail\r\n", first=True)) as mail,
        name_server(answer) as names_port,
        name_server(refuse) as refusing,
        blackbox(authority.pem) as url,
    ):
        ports = {**secured, "plain": plain, "quiet": quiet.port, "rude": rude.port, "ssh": ssh.port,
                  "wordy": wordy.port, "mail": mail.port, "names": names_port,
                  "refusing": refusing, "nobody": free_port()}  # fmt: skip
        yield Servers(ports, url)


@pytest.fixture(autouse=True)
def trust(authority: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The system's store is the lab's authority; contexts are kept for a process, so anew."""
    file = tmp_path / "authority.pem"
    file.write_bytes(authority.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    tls_contexts.verifying_context.cache_clear()
    yield
    tls_contexts.verifying_context.cache_clear()


CASES = [
    ("http_2xx", "127.0.0.1:{plain}", 1),
    ("http_2xx", "http://127.0.0.1:{plain}/none", 1),
    ("http_2xx", "http://127.0.0.1:{plain}/file", 1),
    ("http_2xx", "http://127.0.0.1:{plain}/missing", 0),
    ("http_2xx", "http://127.0.0.1:{plain}/broken", 0),
    ("http_2xx", "http://127.0.0.1:{plain}/away", 1),
    ("http_2xx", "http://127.0.0.1:{plain}/round", 0),
    ("http_2xx", "http://127.0.0.1:{plain}/secure", 1),
    ("http_2xx", "https://127.0.0.1:{good}/", 1),
    ("http_2xx", "https://127.0.0.1:{expired}/", 0),
    ("http_2xx", "https://127.0.0.1:{stranger}/", 0),
    ("http_2xx", "https://127.0.0.1:{other name}/", 0),
    ("http_2xx", "http://127.0.0.1:{nobody}/", 0),
    ("http_2xx", "http://127.0.0.1:{rude}/", 0),
    ("http_2xx", "http://127.0.0.1:{mail}/", 0),
    ("http_2xx", "http://nowhere.invalid/", 0),
    ("tcp_connect", "127.0.0.1:{plain}", 1),
    ("tcp_connect", "127.0.0.1:{nobody}", 0),
    ("tcp_connect", "localhost:{plain}", None),  # by the IPv6 address first, as there is none
    ("tcp_connect", "nowhere.invalid:80", 0),
    ("tls_connect", "127.0.0.1:{good}", 1),
    ("tls_connect", "127.0.0.1:{expired}", 0),
    ("tls_connect", "127.0.0.1:{plain}", 0),
    ("ssh_banner", "127.0.0.1:{ssh}", 1),
    ("ssh_banner", "127.0.0.1:{wordy}", 1),
    ("ssh_banner", "127.0.0.1:{mail}", 0),
    ("ssh_banner", "127.0.0.1:{quiet}", 0),
    ("dns_udp", "127.0.0.1:{names}", 1),
    ("dns_tcp", "127.0.0.1:{names}", 1),
    ("dns_udp", "127.0.0.1:{refusing}", 0),
    ("dns_udp", "127.0.0.1:{nobody}", 0),
    ("dns_tcp", "127.0.0.1:{nobody}", 0),
]

#: Compared by value; the others are durations.
_EQUAL = (
    "probe_success", "probe_http_status_code", "probe_http_ssl", "probe_http_version",
    "probe_http_redirects", "probe_http_content_length", "probe_http_uncompressed_body_length",
    "probe_http_last_modified_timestamp_seconds", "probe_ip_protocol", "probe_ip_addr_hash",
    "probe_ssl_earliest_cert_expiry", "probe_ssl_last_chain_expiry_timestamp_seconds",
    "probe_tls_version_info", "probe_dns_answer_rrs", "probe_dns_authority_rrs",
    "probe_dns_additional_rrs", "probe_dns_query_succeeded", "probe_failed_due_to_regex",
)  # fmt: skip

#: That newer exporters have, and Debian's does not.
_NEWER = {"probe_tls_cipher_info"}


@pytest.mark.parametrize(("module", "target", "success"), CASES)
def test_the_same(servers: Servers, module: str, target: str, success: int | None) -> None:
    target = target.format_map(servers.ports)
    theirs = httpx.get(servers.blackbox, params={"module": module, "target": target}).text
    allowed = ("127.0.0.1", "localhost", "nowhere.invalid")
    response = anyio.run(lambda: ask(target, module, *allowed, timeout=3, name="studio.lab"))
    ours = response.text
    assert response.status_code == 200, ours
    assert names(ours) - _NEWER == names(theirs) - _NEWER
    told = {key: value for key, value in samples(theirs).items() if key[0] in _EQUAL}
    own = {key: value for key, value in samples(ours).items() if key[0] in _EQUAL}
    assert own == told
    assert success in (None, value(ours, "probe_success"))
    phases = [key for key in samples(theirs) if key[0].endswith("_duration_seconds")]
    assert set(phases) <= set(samples(ours))


@pytest.mark.parametrize(
    ("module", "target"),
    [
        ("http_2xx", "https://127.0.0.1:{good}/away"),
        ("tcp_connect", "127.0.0.1:{nobody}"),
        ("dns_udp", "127.0.0.1:{names}"),
    ],
)
def test_promtool_has_nothing_against_it(servers: Servers, module: str, target: str) -> None:
    promtool = shutil.which("promtool")
    if not promtool:
        pytest.skip("needs promtool, which tests/run installs with Prometheus")
    place = target.format_map(servers.ports)
    page = anyio.run(lambda: ask(place, module, "127.0.0.1", name="studio.lab")).text
    done = subprocess.run(
        [promtool, "check", "metrics"], input=page, text=True, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("module", "target", "reason"),
    [
        ("http_2xx", "https://127.0.0.1:{expired}/", ("tls", "untrusted")),
        ("http_2xx", "https://127.0.0.1:{stranger}/", ("tls", "untrusted")),
        ("http_2xx", "https://127.0.0.1:{other name}/", ("tls", "untrusted")),
        ("http_2xx", "https://127.0.0.1:{mail}/", ("tls", "tls-protocol")),
        ("http_2xx", "http://127.0.0.1:{nobody}/", ("connect", "refused")),
        ("http_2xx", "http://127.0.0.1:{mail}/", ("request", "bad-response")),
        ("http_2xx", "http://127.0.0.1:{rude}/", ("request", "reset")),
        ("http_2xx", "http://127.0.0.1:{plain}/missing", ("request", "bad-response")),
        ("tls_connect", "127.0.0.1:{expired}", ("tls", "untrusted")),
        ("tcp_connect", "127.0.0.1:{nobody}", ("connect", "refused")),
        ("dns_udp", "127.0.0.1:{refusing}", ("resolve", "refused")),
    ],
)
def test_why_it_failed(servers: Servers, module: str, target: str, reason: tuple[str, str]) -> None:
    place = target.format_map(servers.ports)
    page = anyio.run(lambda: ask(place, module, "127.0.0.1", name="studio.lab")).text
    assert why(page) == reason


def test_the_certificate_is_told(servers: Servers) -> None:
    target = f"127.0.0.1:{servers.ports['good']}"
    page = anyio.run(lambda: ask(target, "tls_connect", "127.0.0.1")).text
    (labels,) = [dict(key[1]) for key in samples(page) if key[0] == "probe_ssl_last_chain_info"]
    assert labels["subject"] == "CN=localhost" and labels["issuer"] == "CN=lab authority"
    assert labels["subjectalternative"] == "localhost"
    assert value(page, "probe_tls_version_info", version="TLS 1.2") == 1
