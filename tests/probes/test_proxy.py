"""Proxy settings: what curl, conda and docker make of them, and what a real squid says."""

import asyncio
import secrets
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from biostudio_doctor.probes import proxy, tcp
from biostudio_doctor.probes.failures import ProbeError
from biostudio_doctor.probes.results import Proxy, Reply
from biostudio_doctor.probes.tls import verifying_context
from tests.lab.certificates import make
from tests.lab.network import free_port
from tests.lab.peers import Behaviour, Peer, endless, reset, saying, silent
from tests.lab.web import Squid, squid

HOST = "studio.bioturing.com"
needs_squid = pytest.mark.skipif(not shutil.which("squid"), reason="needs squid")


# --- Which proxy ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "variable", "url"),
    [
        ({}, "", None),
        ({"HTTPS_PROXY": "http://proxy:3128"}, "HTTPS_PROXY", "http://proxy:3128"),
        ({"https_proxy": "http://one:1", "HTTPS_PROXY": "http://two:2"}, "https_proxy",
         "http://one:1"),
        ({"https_proxy": "", "HTTPS_PROXY": "http://two:2"}, "", None),  # so curl and Python
        ({"ALL_PROXY": "http://all:8080"}, "ALL_PROXY", "http://all:8080"),
        ({"all_proxy": "http://all:1", "HTTPS_PROXY": "http://two:2"}, "HTTPS_PROXY",
         "http://two:2"),
        ({"HTTP_PROXY": "http://plain:1", "http_proxy": "http://plain:1"}, "", None),
        ({"HTTPS_PROXY": "proxy.corp:3128"}, "HTTPS_PROXY", "http://proxy.corp:3128"),
        ({"HTTPS_PROXY": "proxy.corp"}, "HTTPS_PROXY", "http://proxy.corp:80"),
        ({"HTTPS_PROXY": "https://proxy.corp/"}, "HTTPS_PROXY", "https://proxy.corp:443"),
        ({"HTTPS_PROXY": "HTTP://Proxy.Corp:3128"}, "HTTPS_PROXY", "http://proxy.corp:3128"),
        ({"HTTPS_PROXY": "http://[2001:db8::1]:3128"}, "HTTPS_PROXY", "http://[2001:db8::1]:3128"),
        ({"HTTPS_PROXY": "http://[fe80::1%eth0]:1"}, "HTTPS_PROXY", "http://[fe80::1%eth0]:1"),
        ({"HTTPS_PROXY": "http://10.0.0.1:3128"}, "HTTPS_PROXY", "http://10.0.0.1:3128"),
        ({"HTTPS_PROXY": "http://my_proxy-2.lab.:1"}, "HTTPS_PROXY", "http://my_proxy-2.lab:1"),
        ({"HTTPS_PROXY": "http://bücher.lab:1"}, "HTTPS_PROXY", "http://bücher.lab:1"),
    ],
)  # fmt: skip
def test_the_variable_in_force(environ: dict[str, str], variable: str, url: str | None) -> None:
    route = proxy.route(environ, HOST, 443)
    assert (route.variable, route.proxy and route.proxy.url, route.failure) == (variable, url, None)


def test_both_cases_that_differ_are_told() -> None:
    environ = {"https_proxy": "http://one:1", "HTTPS_PROXY": "http://two:2"}
    assert proxy.route(environ, HOST, 443).contradicted_by == "HTTPS_PROXY"
    environ["HTTPS_PROXY"] = environ["https_proxy"]
    assert proxy.route(environ, HOST, 443).contradicted_by == ""


NO_HOST_NAME = "names neither a host name nor an IP address"
MALFORMED = {
    "http://": "names no host",
    "http://:3128": "names no host",
    "://proxy:3128": "begins with neither http:// nor https://",
    "ftp://proxy:3128": "begins with neither http:// nor https://",
    "http:/proxy:3128": "is no valid URL",
    "https//proxy:3128": "is no valid URL",
    "http://proxy:70000": "has no valid port number",
    "http://proxy:0": "has no valid port number",
    "http://proxy:-1": "has no valid port number",
    "http://proxy:port": "has no valid port number",
    "http://[::1": "is no valid URL",
    "http://pro xy:3128": "contains blanks or control characters",
    " http://proxy:3128": "contains blanks or control characters",
    "http://proxy:3128\n": "contains blanks or control characters",
    "http://pro\x1b[31mxy": "contains blanks or control characters",
    "http://pro\udcffxy": "contains blanks or control characters",
    "http://pro℀xy:3128": "is no valid URL",
    "http://proxy;reboot;:3128": NO_HOST_NAME,
    "proxy;reboot;": NO_HOST_NAME,
    "http://$(reboot):3128": NO_HOST_NAME,
    "http://`reboot`": NO_HOST_NAME,
    "http://[fe80::1%;reboot;]:3128": NO_HOST_NAME,
    "http://pro'xy:3128": NO_HOST_NAME,
    "http://-proxy:3128": NO_HOST_NAME,
    "http://proxy..lab:3128": NO_HOST_NAME,
    "http://pro%20xy:3128": NO_HOST_NAME,
    f"http://{'x' * 64}.lab:3128": NO_HOST_NAME,
    "http://user:12345/6@proxy:3128": "has '/', '?' or '#' in the user name or password",
    "socks5://proxy:1080": "names a SOCKS proxy",
    "socks5h://": "names a SOCKS proxy",
}


@pytest.mark.parametrize(("value", "said"), MALFORMED.items())
def test_malformed_values_are_explained(value: str, said: str) -> None:
    route = proxy.route({"HTTPS_PROXY": value}, HOST, 443)
    assert route.proxy is None and route.failure and route.failure.phase == "proxy"
    assert route.failure.detail.startswith(said)
    assert route.failure.reason == ("other" if value.startswith("socks") else "bad-proxy")


@pytest.mark.parametrize(
    "template",
    ["http://us/er:{}@proxy:3128", "http://user:pa#{}@proxy:3128", "http://user:{}@", "user:{}",
     "http://user:12/{}@proxy:3128", "http://user:{}@proxy:port", "http://u:{}@pro xy",
     "ftp://user:{}@proxy", "http://user:x@{}@proxy:3128", "http://user:{}@proxy;x"],
)  # fmt: skip
def test_a_password_is_never_repeated(template: str) -> None:
    secret = secrets.token_hex(8)
    route = proxy.route({"https_proxy": template.format(secret)}, HOST, 443)
    assert secret not in repr(route)


@given(st.text(max_size=60) | st.from_regex(r"(https?|socks5)?:?/{0,3}[a-z@:.\[\]0-9%]{0,20}"))
@example("http://[fe80::1%25eth0]:1")
def test_any_value_is_a_route(value: str) -> None:
    route = proxy.route({"https_proxy": value}, HOST, 443)
    assert not value or (route.proxy is None) != (route.failure is None)
    secret = proxy.authorization(value)
    assert secret is None or secret.isascii()


def test_credentials() -> None:
    assert proxy.authorization("http://proxy:3128") is None
    assert proxy.authorization("http://user:pass@proxy:3128") == "Basic dXNlcjpwYXNz"
    assert proxy.authorization("user:pass@proxy") == "Basic dXNlcjpwYXNz"
    assert proxy.authorization("http://a%40b:%2F@proxy") == "Basic YUBiOi8="
    assert proxy.parse("http://user:pass@proxy:3128").authenticated


# --- NO_PROXY -------------------------------------------------------------------------------------

ALL, NONE = {"curl", "conda", "docker"}, set[str]()


@pytest.mark.parametrize(
    ("no_proxy", "host", "exempt_for"),
    [
        ("", HOST, NONE),
        ("bioturing.com", HOST, ALL),
        ("bioturing.com", "bioturing.com", ALL),
        ("BioTuring.COM", "Studio.bioturing.com", ALL),
        ("example.com , studio.bioturing.com", HOST, ALL),
        (",,bioturing.com,", HOST, ALL),
        ("*", HOST, ALL),
        ("*,localhost", HOST, {"docker"}),
        (".bioturing.com", HOST, ALL),
        (".bioturing.com", "bioturing.com", {"curl", "conda"}),
        ("*.bioturing.com", HOST, {"docker"}),
        ("uring.com", HOST, {"conda"}),  # no whole label
        ("studio.bioturing.com:443", HOST, {"conda", "docker"}),
        ("studio.bioturing.com:80", HOST, NONE),
        ("a.org b.org,bioturing.com", HOST, {"conda", "docker"}),
        ("example.com bioturing.com", HOST, NONE),  # blanks instead of commas
        ("10.0.0.0/8", "10.1.2.3", ALL),
        ("10.0.0.0/8", "11.1.2.3", NONE),
        ("10.0.0.0/8", HOST, NONE),  # nobody resolves the name for this
        ("10.1.2.3", "10.1.2.3", ALL),
        ("2001:db8::/32", "2001:db8::5", {"curl", "docker"}),
        ("[2001:db8::5]", "2001:db8::5", {"docker"}),
        ("[2001:db8::5]:443", "2001:db8::5", {"docker"}),
        ("10.0.0.0/99,[::,:::,/", "10.1.2.3", NONE),
        ("", "localhost", {"docker"}),
        ("", "127.0.0.1", {"docker"}),
    ],
)  # fmt: skip
def test_no_proxy(no_proxy: str, host: str, exempt_for: set[str]) -> None:
    environ = {"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": no_proxy}
    route = proxy.route(environ, host, 443)
    assert set(route.exempt_for) == exempt_for
    assert (route.proxy is None) == (exempt_for == ALL)


ENTRIES = st.lists(
    st.sampled_from(["bioturing.com", ".bioturing.com", "*", "x.org", "10.0.0.0/8", "studio."])
    | st.text(max_size=12),
    max_size=4,
)


@given(ENTRIES, st.sampled_from([HOST, "bioturing.com", "10.1.2.3", "::1", "localhost"]))
def test_conda_exempts_whatever_python_does(entries: list[str], host: str) -> None:
    no_proxy = ",".join(entries)
    environ = {"https_proxy": "http://proxy:3128", "no_proxy": no_proxy}
    route = proxy.route(environ, host, 443)
    if ":" not in host and urllib.request.proxy_bypass_environment(  # type: ignore[attr-defined]
        f"{host}:443", {"no": no_proxy}
    ):
        assert "conda" in route.exempt_for


@pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")
@pytest.mark.parametrize(
    "no_proxy",
    ["127.0.0.1", "127.0.0.0/8", "127.0.0.1:443", "10.0.0.1,127.0.0.1", "*", "*,a", ".0.0.1", ""],
)
def test_curl_itself_agrees(no_proxy: str) -> None:
    """curl is asked for a host that refuses, by a proxy that refuses: its words tell which."""
    version = subprocess.run(["curl", "--version"], capture_output=True, text=True, check=True)
    if tuple(map(int, version.stdout.split()[1].split(".")[:2])) < (7, 86):
        pytest.skip("this curl is older than 7.86 and knows no CIDR")
    environ = {"https_proxy": f"http://localhost:{free_port()}", "no_proxy": no_proxy}
    url = f"https://127.0.0.1:{free_port()}/"
    done = subprocess.run(
        ["curl", "-sS", "-m", "5", url], env=environ, capture_output=True, text=True, check=False
    )
    assert "connect to" in done.stderr
    direct = "connect to 127.0.0.1" in done.stderr
    assert direct == ("curl" in proxy.route(environ, "127.0.0.1", 443).exempt_for)


# --- CONNECT --------------------------------------------------------------------------------------


def ask(port: int, *, setting: str = "", scheme: str = "http", ca_file: str | None = None,
        target: tuple[str, int] = ("localhost", 443)) -> Reply:  # fmt: skip
    async def connect() -> Reply:
        stream = await tcp.connect("127.0.0.1", port, timeout=2)
        async with stream:
            _, reply = await proxy.connect(
                stream,
                Proxy(scheme=scheme, host="localhost", port=port),
                *target,
                secret=proxy.authorization(setting),
                context=verifying_context(ca_file),
            )
            return reply

    async def in_time() -> Reply:
        return await asyncio.wait_for(connect(), 3)

    return asyncio.run(in_time())


class Real(NamedTuple):
    """A squid, and what its user must know."""

    squid: Squid
    password: str
    ca_file: str
    target: tuple[str, int]  # a server behind it


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Real]:
    """Lets the user `lab` through, but nobody to port 8."""
    password = secrets.token_hex(8)
    authority = make("Lab Root", ca=True)
    certificate = make("localhost", issuer=authority, names=("localhost",))
    ca_file = tmp_path_factory.mktemp("squid") / "ca.pem"
    ca_file.write_bytes(authority.pem)
    rules = (
        "acl port_8 port 8\nacl known proxy_auth REQUIRED\n"
        "http_access deny port_8\nhttp_access allow known\nhttp_access deny all"
    )
    with (
        Peer(silent) as peer,
        squid(rules, f"lab {password}", certificate.key_pem + certificate.pem) as running,
    ):
        yield Real(running, password, str(ca_file), ("127.0.0.1", peer.port))


@needs_squid
def test_squid_opens_a_tunnel(real: Real) -> None:
    reply = ask(
        real.squid.port,
        setting=f"http://lab:{real.password}@localhost",
        target=real.target,
    )
    assert reply.status == 200 and reply.seconds > 0 and reply.schemes == ()


@needs_squid
def test_squid_over_tls(real: Real) -> None:
    setting = f"https://lab:{real.password}@localhost"
    target = real.target
    secured = ask(
        real.squid.tls_port, setting=setting, scheme="https", ca_file=real.ca_file, target=target
    )
    assert secured.status == 200
    with pytest.raises(ProbeError) as untrusted:
        ask(real.squid.tls_port, setting=setting, scheme="https", target=target)
    assert untrusted.value.failure.reason == "untrusted"


@needs_squid
@pytest.mark.parametrize("setting", ["", "http://lab:wrong@localhost"])
def test_squid_wants_a_password(real: Real, setting: str) -> None:
    reply = ask(real.squid.port, setting=setting)
    assert reply.status == 407 and reply.schemes == ("Basic",) and "squid" in reply.server


@needs_squid
def test_squid_forbids(real: Real) -> None:
    reply = ask(
        real.squid.port, setting=f"http://lab:{real.password}@localhost", target=("localhost", 8)
    )
    assert (reply.status, reply.phrase) == (403, "Forbidden")


@needs_squid
def test_squid_cannot_connect_itself(real: Real) -> None:
    reply = ask(
        real.squid.port,
        setting=f"http://lab:{real.password}@localhost",
        target=("127.0.0.1", free_port()),
    )
    assert reply.status == 503


def test_all_schemes_are_told() -> None:
    answer = b"HTTP/1.1 407 No\r\nProxy-Authenticate: Negotiate\r\nProxy-Authenticate: NTLM\r\n"
    with Peer(saying(answer + b'Proxy-Authenticate: Basic realm="x"\r\n\r\n')) as peer:
        assert ask(peer.port).schemes == ("Negotiate", "NTLM", "Basic")


HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("behaviour", "scheme", "reason"),
    [
        (saying(b"SSH-2.0-OpenSSH_9.2\r\n"), "http", "bad-response"),
        (saying(b"\x00" * 100), "http", "bad-response"),
        (saying(b""), "http", "closed"),
        (saying(HEAD), "http", "closed"),
        (reset, "http", "reset"),
        (endless(HEAD + b"X-Y: " + b"z" * 60000), "http", "bad-response"),
        (saying(HEAD + b"\r\n"), "https", "tls-protocol"),
        (saying(b""), "https", "closed"),
    ],
)
def test_what_is_no_proxy(behaviour: Behaviour, scheme: str, reason: str) -> None:
    with Peer(behaviour) as peer, pytest.raises(ProbeError) as caught:
        ask(peer.port, scheme=scheme)
    assert (caught.value.failure.phase, caught.value.failure.reason) == ("proxy", reason)


@given(st.binary(max_size=200))
def test_no_bytes_of_a_proxy_break_it(data: bytes) -> None:
    with Peer(saying(data)) as peer:
        try:
            assert ask(peer.port).status
        except ProbeError as error:
            assert error.failure.phase == "proxy"
