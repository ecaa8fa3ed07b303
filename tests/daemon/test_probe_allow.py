"""Which targets /probe admits."""

import itertools
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biostudio_doctor.config import Config, convert
from biostudio_doctor.daemon import allow
from biostudio_doctor.daemon.web.modules import MODULES
from biostudio_doctor.errors import ConfigError

LIST = (
    "studio.lab",
    "mail.lab:25",
    "https://web.lab/api",
    "http://plain.lab:8080",
    "10.1.0.0/16",
    "192.0.2.7",
    "[2001:db8::7]:443",
    "2001:db8:1::/48",
    "0.0.0.0/1",
    "bücher.lab:443",
    "127.0.0.1:9842",
    "under_score.lab",
)

#: module, target, and what becomes of it: it is allowed, denied, or no target at all.
TABLE = [
    # names
    ("tcp_connect", "studio.lab:22", "allowed"),
    ("tcp_connect", "STUDIO.Lab:22", "allowed"),
    ("tcp_connect", "studio.lab.:22", "allowed"),
    ("tcp_connect", "studio.lab..:22", "malformed"),
    ("tcp_connect", "\uff53tudio.lab:22", "allowed"),  # a wide s is an s to IDNA
    ("tcp_connect", "studio。lab:22", "allowed"),
    ("tcp_connect", "xstudio.lab:22", "denied"),
    ("tcp_connect", "x.studio.lab:22", "denied"),
    ("tcp_connect", "studio.lab.evil:22", "denied"),
    ("tcp_connect", "studio:22", "denied"),
    ("tcp_connect", "studio.lab", "malformed"),
    ("tcp_connect", "studio.lab:", "malformed"),
    ("tcp_connect", "studio.lab:0", "malformed"),
    ("tcp_connect", "studio.lab:65536", "malformed"),
    ("tcp_connect", "studio.lab:022", "allowed"),
    ("tcp_connect", "studio.lab:٢٢", "malformed"),
    ("tcp_connect", "studio.lab:ssh", "malformed"),
    ("tcp_connect", "studio.lab:22:23", "malformed"),
    ("tcp_connect", "studio.lab:22/evil", "malformed"),
    ("tcp_connect", "under_score.lab:80", "allowed"),
    ("tcp_connect", "xn--bcher-kva.lab:443", "allowed"),
    ("tcp_connect", "BÜCHER.lab:443", "allowed"),
    ("tcp_connect", "bücher.lab:444", "denied"),
    ("tcp_connect", "bu\u0308cher.lab:443", "allowed"),  # composed by IDNA
    ("tcp_connect", "b\u00adücher.lab:443", "malformed"),  # a soft hyphen
    ("tcp_connect", "mail.lab:25", "allowed"),
    ("tcp_connect", "mail.lab:465", "denied"),
    # tricks
    ("tcp_connect", "studio.lab@evil:22", "malformed"),
    ("http_2xx", "http://studio.lab@evil/", "malformed"),
    ("http_2xx", "http://studio.lab:80@evil/", "malformed"),
    ("http_2xx", "http://evil\\@studio.lab/", "malformed"),
    ("http_2xx", "http://studio.lab\\.evil/", "malformed"),
    ("http_2xx", "http://evil#@studio.lab/", "malformed"),
    ("http_2xx", "http://evil?studio.lab", "denied"),
    ("http_2xx", "http://studio.lab%2eevil/", "malformed"),
    ("http_2xx", "http://%73tudio.lab/", "malformed"),
    ("http_2xx", "http://studio.lab%00.evil/", "malformed"),
    ("http_2xx", "http://studio.lab\x00.evil/", "malformed"),
    ("http_2xx", "http://studio.lab\n.evil/", "malformed"),
    ("http_2xx", " http://studio.lab/", "malformed"),
    ("http_2xx", "http:studio.lab", "malformed"),
    ("http_2xx", "http:///studio.lab", "malformed"),
    ("http_2xx", "http://", "malformed"),
    ("http_2xx", "ftp://studio.lab/", "malformed"),
    ("http_2xx", "file:///etc/passwd", "malformed"),
    ("http_2xx", "gopher://studio.lab:25/", "malformed"),
    ("http_2xx", "//studio.lab/", "malformed"),
    # URLs
    ("http_2xx", "studio.lab", "allowed"),
    ("http_2xx", "studio.lab:8080/x?y=z", "allowed"),
    ("http_2xx", "HTTPS://Studio.Lab/", "allowed"),
    ("http_2xx", "https://web.lab/api", "allowed"),
    ("http_2xx", "https://web.lab:443/api/v1?x=/../", "allowed"),
    ("http_2xx", "https://WEB.lab./api/", "allowed"),
    ("http_2xx", "https://web.lab/apix", "denied"),
    ("http_2xx", "https://web.lab/", "denied"),
    ("http_2xx", "https://web.lab/API", "denied"),
    ("http_2xx", "http://web.lab/api", "denied"),
    ("http_2xx", "https://web.lab:444/api", "denied"),
    ("http_2xx", "https://web.lab/api/../admin", "denied"),
    ("http_2xx", "https://web.lab/api/%2e%2e/admin", "denied"),
    ("http_2xx", "https://web.lab/api/%252e%252e/admin", "denied"),
    ("http_2xx", "https://web.lab/api/..;x/admin", "denied"),
    ("http_2xx", "https://web.lab/api/..%2fadmin", "denied"),
    ("http_2xx", "https://web.lab/api%2f..%2fadmin", "denied"),
    ("http_2xx", "https://web.lab/api/..%5cadmin", "denied"),
    ("http_2xx", "http://plain.lab:8080", "allowed"),
    ("http_2xx", "http://plain.lab:8080/any/thing", "allowed"),
    ("http_2xx", "http://plain.lab", "denied"),
    ("tcp_connect", "plain.lab:8080", "denied"),
    ("tls_connect", "web.lab:443", "denied"),
    # addresses
    ("tcp_connect", "10.1.255.255:1", "allowed"),
    ("tcp_connect", "10.1.0.1:65535", "allowed"),
    ("tcp_connect", "192.0.2.7:22", "allowed"),
    ("tcp_connect", "192.0.2.8:22", "denied"),
    ("tcp_connect", "[::ffff:192.0.2.7]:22", "allowed"),
    ("tcp_connect", "[::ffff:c000:207]:22", "allowed"),
    ("tcp_connect", "[::192.0.2.7]:22", "denied"),
    ("tcp_connect", "192.0.2.7.:22", "allowed"),
    ("tcp_connect", "192.0.2.007:22", "malformed"),
    ("tcp_connect", "0300.0.2.7:22", "malformed"),
    ("tcp_connect", "192.519:22", "malformed"),
    ("tcp_connect", "0x0a010001:22", "malformed"),
    ("tcp_connect", "10.1.1:22", "malformed"),
    ("tcp_connect", "167837697:22", "malformed"),
    ("tcp_connect", "10.1.0.0x1:22", "malformed"),
    ("tcp_connect", "10.1.0.256:22", "malformed"),
    ("tcp_connect", "[2001:db8::7]:443", "allowed"),
    ("tcp_connect", "[2001:0DB8:0:0::0007]:443", "allowed"),
    ("tcp_connect", "[2001:db8::7]:80", "denied"),
    ("tcp_connect", "2001:db8::7:443", "malformed"),
    ("tcp_connect", "[2001:db8:1:2::3]:5", "allowed"),
    ("tcp_connect", "[2001:db8:2::3]:5", "denied"),
    ("tcp_connect", "[2001:db8:1::1%eth0]:5", "malformed"),
    ("http_2xx", "http://[2001:db8:1::1]/x", "allowed"),
    ("http_2xx", "http://[2001:db8:1::1%25eth0]/", "malformed"),
    ("http_2xx", "http://0x7f.1/", "malformed"),
    ("http_2xx", "http://2130706433/", "malformed"),
    ("http_2xx", "http://017700000001/", "malformed"),
    ("http_2xx", "http://127.1/", "malformed"),
    # what a wide network does not include
    ("tcp_connect", "8.8.8.8:53", "allowed"),  # 0.0.0.0/1
    ("tcp_connect", "0.0.0.0:9842", "denied"),
    ("tcp_connect", "127.0.0.1:9842", "allowed"),
    ("tcp_connect", "[::ffff:127.0.0.1]:9842", "allowed"),
    ("tcp_connect", "127.0.0.1:22", "denied"),
    ("tcp_connect", "127.0.0.2:9842", "denied"),
    ("tcp_connect", "100.100.100.200:80", "denied"),
    ("http_2xx", "http://127.0.0.1:9842/-/reload", "allowed"),
    ("http_2xx", "http://169.254.169.254/latest/meta-data/", "denied"),
    ("http_2xx", "http://[fd00:ec2::254]/", "denied"),
    ("tcp_connect", "localhost:9842", "denied"),
    # name servers
    ("dns_udp", "10.1.0.53", "allowed"),
    ("dns_udp", "10.1.0.53:5353", "allowed"),
    ("dns_udp", "10.2.0.53", "allowed"),
    ("dns_udp", "192.0.2.53", "denied"),
    ("dns_udp", "[2001:db8:1::53]", "allowed"),
]


def outcome(module: str, target: str, entries: tuple[str, ...]) -> str:
    try:
        allow.check(target)
        question = MODULES[module].understand(target, "name.lab")
    except ValueError:
        return "malformed"
    return "allowed" if allow.Allowed(entries).target(question.target) else "denied"


@pytest.mark.parametrize(("module", "target", "expected"), TABLE)
def test_targets(module: str, target: str, expected: str) -> None:
    assert outcome(module, target, LIST) == expected


@pytest.mark.parametrize(("module", "target", "_expected"), TABLE)
def test_nothing_is_allowed_by_default(module: str, target: str, _expected: str) -> None:
    assert outcome(module, target, ()) != "allowed"


@pytest.mark.parametrize(
    ("entries", "address", "allowed"),
    [
        ((), "192.0.2.1", True),  # an ordinary one
        ((), "10.0.0.1", True),
        ((), "127.0.0.1", False),
        ((), "127.1.2.3", False),
        ((), "0.0.0.0", False),
        ((), "169.254.169.254", False),
        ((), "169.254.1.1", False),
        ((), "168.63.129.16", False),
        ((), "255.255.255.255", False),
        ((), "224.0.0.1", False),
        ((), "::", False),
        ((), "::1", False),
        ((), "fe80::1", False),
        ((), "ff02::1", False),
        ((), "fd00:ec2::254", False),
        ((), "::ffff:169.254.169.254", False),
        ((), "64:ff9b::a9fe:a9fe", False),
        ((), "2002:a9fe:a9fe::1", False),
        ((), "::7f00:1", False),
        ((), "64:ff9b::c000:201", True),
        (("127.0.0.1",), "127.0.0.1", True),
        (("127.0.0.1",), "::ffff:127.0.0.1", True),
        (("127.0.0.1:80",), "127.0.0.1", True),
        (("127.0.0.1:81",), "127.0.0.1", False),
        (("http://127.0.0.1/",), "127.0.0.1", False),
        (("localhost",), "::1", True),
        (("localhost:80",), "127.0.0.1", True),
        (("127.0.0.0/8",), "127.0.0.1", True),
        (("0.0.0.0/0", "::/0"), "127.0.0.1", False),
        (("0.0.0.0/0", "::/0"), "::1", False),
        (("169.254.0.0/16",), "169.254.1.1", True),
        (("169.254.0.0/16",), "169.254.169.254", False),
        (("169.254.169.254",), "169.254.169.254", True),
    ],
)
def test_where_a_name_may_lead(entries: tuple[str, ...], address: str, allowed: bool) -> None:
    assert allow.Allowed(entries).address(ip_address(address), 80) is allowed


@pytest.mark.parametrize(
    "entry",
    ["", "*.lab", "host/path", "10.0.0.1/8", "https://web.lab/?x", "https://user:word@web.lab/",
     "ftp://web.lab", "0x7f.1", "https://web.lab/a/../b", "host:0", "a b", "fe80::1%eth0"],
)  # fmt: skip
def test_bad_entries_are_named(entry: str) -> None:
    with pytest.raises(ConfigError) as caught:
        convert({"daemon": {"probe": {"allow": ["good.lab", entry]}}}, Config, "a.toml")
    assert "daemon.probe" in str(caught.value) and "allow" in str(caught.value)
    assert "word" not in str(caught.value) and "\n" not in str(caught.value)


@given(st.text(max_size=60), st.sampled_from(sorted(MODULES)))
def test_any_target_is_understood_or_refused(target: str, module: str) -> None:
    assert outcome(module, target, ()) in ("malformed", "denied")


HOSTS = ("studio.lab", "evil.lab", "127.0.0.1", "[::1]", "0x7f.1", "evil", "1.1.1.1")
GLUE = (
    "",
    "@",
    "\\",
    "#",
    "?",
    "/",
    ":80",
    "%40",
    "%2f",
    ".",
    "%00",
    ":80@",
    "\\@",
    "//",
    ";",
    "&",
)


@pytest.mark.parametrize("scheme", ["", "http://", "https://", "http:\\\\"])
def test_no_mixture_reaches_another_host(scheme: str) -> None:
    """Whatever is written around a name that is allowed, only that name is ever asked."""
    allowed = allow.Allowed(("studio.lab",))
    for first, glue, second in itertools.product(HOSTS, GLUE, HOSTS):
        target = f"{scheme}{first}{glue}{second}"
        try:
            allow.check(target)
            question = MODULES["http_2xx"].understand(target, "")
        except ValueError:
            continue
        assert question.url is not None
        assert allowed.target(question.target) == (question.url.host == "studio.lab"), target
        assert question.url.userinfo == b""
