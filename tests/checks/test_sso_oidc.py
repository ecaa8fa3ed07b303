"""sso.oidc, on the package oidc-provider-mock and on documents that a lab server has over HTTPS."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from biostudio_doctor.checks.sso_oidc import OidcFacts, SsoOidc
from biostudio_doctor.model import Finding, Status
from tests.conftest import context, judge, observed
from tests.lab import idp
from tests.lab.certificates import proper
from tests.lab.idp import Reply, Site, Trust
from tests.lab.peers import Peer, endless, saying, server_context, silent, tls
from tests.lab.timing import within
from tests.lab.web import https_without_end, squid

OK = Status.PASS

pytestmark = pytest.mark.usefixtures("no_proxy")


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Trust:
    return idp.trust(tmp_path_factory.mktemp("idp"))


@pytest.fixture
def site(trusted: Trust) -> Iterator[Site]:
    with idp.site(trusted.context) as served:
        served.json("/.well-known/openid-configuration", idp.discovery(served.url))
        served.json("/keys", {"keys": [RSA]})
        yield served


RSA = idp.rsa_key()
_NONE = "x/.well-known/y"  # is not asked


def ask(trusted: Trust | None, issuer: str, **more: Any) -> dict[str, Finding]:
    """The findings by what follows the issuer: '' is the discovery document."""
    config = {name: more.pop(name) for name in ("domain", "ports", "timeout", "checks")
              if name in more}  # fmt: skip
    provider = {"issuer": issuer, "ca_file": trusted.ca_file if trusted else None, **more}
    check = SsoOidc(context(sso={"oidc": [provider]}, **{"timeout": 4, **config}))
    facts = observed(check)
    encoded = msgspec.json.encode(facts)
    assert b"hush" not in encoded
    carried = msgspec.json.decode(encoded, type=OidcFacts)
    found = judge(check, carried)
    for finding in found.values():
        assert finding.status in (OK, Status.SKIP) or finding.remedy, finding
        assert finding.summary.endswith((".", ".'"))
    return {subject.removeprefix(issuer).strip(): one for subject, one in found.items()}


def changed(trusted: Trust, site: Site, **changes: Any) -> dict[str, Finding]:
    site.json("/.well-known/openid-configuration", idp.discovery(site.url, **changes))
    return ask(trusted, site.url)


def test_without_one_nothing_is_asked_or_imported() -> None:
    program = (
        "import sys; from biostudio_doctor.host import Host\n"
        "from biostudio_doctor.checks.sso_oidc import SsoOidc\n"
        "from biostudio_doctor.checks.sso_saml import SsoSaml\n"
        "from biostudio_doctor.checks.sso_ldap import SsoLdap\n"
        "from biostudio_doctor.checks.sso_providers import SsoProviders\n"
        "from tests.conftest import context\n"
        "for kind in (SsoOidc, SsoSaml, SsoLdap, SsoProviders):\n"
        "    check = kind(context()); (f,) = check.judge(check.observe(Host()), None)\n"
        "    assert (f.status, f.cause) == ('skip', 'scope.not-configured'), f\n"
        "    assert 'in the configuration: ' in f.remedy.text, f\n"
        "heavy = {'httpx', 'ssl', 'anyio', 'asyncio', 'cryptography', 'joserfc', 'defusedxml'}\n"
        "sys.exit(' '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_real_provider(trusted: Trust) -> None:
    with idp.mock_provider(trusted.context) as issuer:
        found = ask(
            trusted, issuer, domain="studio.lab", redirect_uri="https://studio.lab/callback"
        )
    assert {subject: one.status for subject, one in found.items()} == dict.fromkeys(
        ["", "issuer", "members", "endpoints", "keys", "code flow", "clock", "token endpoint",
         "redirect URI"], OK,
    )  # fmt: skip
    assert "RSA of 2048 bits" in found["keys"].summary
    assert "cannot be seen from here" in found["redirect URI"].summary


def test_what_is_asked_for(trusted: Trust, site: Site) -> None:
    found = ask(trusted, site.url)
    assert {one.status for one in found.values()} == {OK, Status.SKIP}
    assert set(site.requests) == {"/.well-known/openid-configuration", "/keys", "/token"}
    assert found["token endpoint"].summary.endswith("answers: HTTP 404 to a request without "
                                                    "parameters.")  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "subject", "status", "cause", "words"),
    [
        ({"issuer": "https://other.lab"}, "issuer", "fail", "other-issuer", "https://other.lab"),
        ({"issuer": None}, "issuer", "fail", "other-issuer", "names no issuer"),
        ({"issuer": 7}, "issuer", "fail", "other-issuer", "names no issuer"),
        ({"issuer": "https://l.lab/{tenantid}/v2.0"}, "issuer", "fail", "other-issuer", "tenantid"),
        ({"jwks_uri": None}, "keys", "fail", "no-keys", "does not say where its keys are"),
        ({"jwks_uri": None}, "members", "fail", "members", "jwks_uri is missing"),
        ({"token_endpoint": None}, "members", "fail", "members", "token_endpoint is missing"),
        ({"token_endpoint": ["x"]}, "members", "fail", "members", "of a wrong type"),
        ({"subject_types_supported": None}, "members", "warn", "members", "subject_types"),
        ({"response_types_supported": "code"}, "members", "warn", "members", "of a wrong type"),
        ({"authorization_endpoint": "http://idp.lab/a"}, "endpoints", "fail", "not-https",
         "authorization_endpoint (http://idp.lab/a)"),
        ({"jwks_uri": "http://idp.lab/keys"}, "keys", "fail", "address", "https://"),
        ({"token_endpoint": "https://127.0.0.1:1/t"}, "token endpoint", "fail", "no-connection",
         "refused"),
        ({"token_endpoint": "https://nowhere.invalid/t"}, "token endpoint", "fail", "no-name",
         "does not exist"),
        ({"response_types_supported": ["id_token"]}, "code flow", "fail", "no-code-flow", "code"),
        ({"grant_types_supported": ["implicit"]}, "code flow", "fail", "no-code-flow", "code"),
        ({"response_types_supported": None}, "code flow", "skip", "", "does not say"),
        ({"id_token_signing_alg_values_supported": ["ES256"]}, "keys", "fail", "no-keys",
         "None of the keys"),
    ],
)  # fmt: skip
def test_discovery(
    trusted: Trust, site: Site, changes: Any, subject: str, status: str, cause: str, words: str
) -> None:
    finding = changed(trusted, site, **changes)[subject]
    assert (finding.status, finding.cause) == (status, f"sso.{cause}" if cause else "")
    assert words in finding.summary + finding.observed + str(finding.remedy)


def test_issuers_to_the_letter(trusted: Trust, site: Site) -> None:
    slashed = changed(trusted, site, issuer=f"{site.url}/")["issuer"]
    assert slashed.status is Status.FAIL and "with a slash at its end" in slashed.summary
    bare = ask(trusted, f"{site.url}/")["issuer"]
    assert bare.status is OK
    capital = changed(trusted, site, issuer=site.url.replace("https", "HTTPS"))["issuer"]
    assert "with other capital letters" in capital.summary
    blank = changed(trusted, site, issuer=f"{site.url} ")["issuer"]
    assert blank.status is Status.FAIL


@pytest.mark.parametrize(
    ("reply", "cause", "words"),
    [
        (Reply(status="404 Not Found"), "not-found", "HTTP 404"),
        (Reply(status="400 Bad Request", body=b"{}"), "not-found", "HTTP 400"),
        (Reply(status="401 Unauthorized"), "denied", "HTTP 401"),
        (Reply(status="403 Forbidden", body=b"<html>"), "denied", "HTTP 403"),
        (Reply(status="503 Busy"), "provider-fails", "HTTP 503"),
        (Reply(status="511 Sign In"), "captive-portal", "captive portal"),
        (
            Reply(status="302 Found", headers=("Location: https://portal.invalid/login",)),
            "redirected",
            "portal.invalid/login",
        ),
        (
            Reply(status="302 Found", headers=("Location: http://portal.invalid/login",)),
            "redirected",
            "http://portal.invalid/login",
        ),
        (Reply(b"<!DOCTYPE html><title>Sign in</title>"), "html", "HTML page"),
        (Reply(b"  <html><body>blocked"), "html", "HTML page"),
        (Reply(b""), "empty", "is empty"),
        (Reply(b"<?xml version='1.0'?><a/>"), "no-json", "XML"),
        (Reply(b"hello"), "no-discovery", "no JSON"),
        (Reply(b"[1]"), "no-discovery", "no object"),
        (Reply(b"{" + b" " * 600_000 + b"}"), "too-large", "larger"),
    ],
    ids=lambda value: str(value)[:20],
)
@pytest.mark.parametrize("which", ["discovery", "keys"])
def test_what_comes_instead(
    trusted: Trust, site: Site, reply: Reply, cause: str, words: str, which: str
) -> None:
    at = "/keys" if which == "keys" else "/.well-known/openid-configuration"
    site.replies[at] = reply
    found = ask(trusted, site.url)
    finding = found["keys" if which == "keys" else ""]
    if which == "keys":
        cause = {"no-discovery": "no-keys"}.get(cause, cause)
    assert (finding.status, finding.cause) == (Status.FAIL, f"sso.{cause}")
    assert words in finding.summary
    if which == "discovery":
        assert set(found) == {"", "redirect URI"}


@pytest.mark.parametrize(
    ("keys", "status", "cause", "words"),
    [
        ([RSA, idp.ec_key()], "pass", "", "2 keys"),
        ([RSA, idp.rsa_key(use="enc")], "pass", "", "1 key "),
        ([RSA, idp.rsa_key(1024, kid="old")], "warn", "odd-keys", "'old': RSA of 1024 bits"),
        ([], "fail", "no-keys", "there is none"),
        ([idp.rsa_key(use="enc")], "fail", "no-keys", "for 'enc'"),
        ([idp.rsa_key(1024)], "fail", "no-keys", "too short"),
        ([{"kty": "oct", "k": "AAAA"}], "fail", "private-key", "private half"),
        ([RSA, {**idp.ec_key(), "d": "c2VjcmV0"}], "fail", "private-key", "private half"),
        ([idp.ec_key()], "fail", "no-keys", "it says RS256, and has keys for ES256"),
        (7, "fail", "no-keys", "no list `keys`"),
    ],
)
def test_keys(trusted: Trust, site: Site, keys: Any, status: str, cause: str, words: str) -> None:
    site.json("/keys", {"keys": keys})
    finding = ask(trusted, site.url)["keys"]
    assert (finding.status, finding.cause) == (status, f"sso.{cause}" if cause else "")
    assert words in finding.summary and "c2VjcmV0" not in repr(finding)


@pytest.mark.parametrize(
    ("ahead", "status", "words"),
    [(10, "pass", "agree"), (-50, "pass", "agree"), (140, "warn", "2 minutes behind"),
     (-140, "warn", "2 minutes ahead of"), (920, "fail", "15 minutes behind")],
)  # fmt: skip
def test_clocks(trusted: Trust, site: Site, ahead: float, status: str, words: str) -> None:
    for path in ("/.well-known/openid-configuration", "/keys"):
        site.replies[path] = site.replies[path]._replace(clock=ahead)
    site.replies["/token"] = Reply(status="405 Not Allowed", clock=ahead)
    finding = ask(trusted, site.url)["clock"]
    assert finding.status == status and words in finding.summary


def test_a_document_out_of_a_cache_is_no_wrong_clock(trusted: Trust, site: Site) -> None:
    path = "/.well-known/openid-configuration"
    site.replies[path] = site.replies[path]._replace(clock=-3600)
    assert ask(trusted, site.url)["clock"].status is OK


@pytest.mark.parametrize(
    ("uri", "config", "words"),
    [
        ("https://studio.lab/cb", {"domain": "studio.lab"}, ""),
        ("https://STUDIO.lab/cb", {"domain": "studio.lab"}, ""),
        ("https://xn--bcher-kva.lab/cb", {"domain": "b\u00fccher.lab"}, ""),
        ("https://studio.lab:443/cb", {"domain": "studio.lab"}, ""),
        ("https://studio.lab:4433/cb", {"domain": "studio.lab", "ports": {"https": 4433}}, ""),
        ("http://localhost/cb", {"domain": "localhost"}, ""),
        ("https://studio.lab./cb", {"domain": "studio.lab"}, "a dot stands after"),
        ("https://studio.lab/cb ", {"domain": "studio.lab"}, "blanks"),
        ("https://other.lab/cb", {"domain": "studio.lab"}, "its host is other.lab"),
        ("https://10.0.0.1/cb", {"domain": "studio.lab"}, "its host is 10.0.0.1"),
        # a Cyrillic letter that looks like an i
        ("https://stud\u0456o.lab/cb", {"domain": "studio.lab"}, "(in DNS xn--studo-q2e.lab), and"),
        ("http://studio.lab/cb", {"domain": "studio.lab"}, "begins with http://"),
        ("https://studio.lab:8443/cb", {"domain": "studio.lab"}, "its port is 8443"),
        ("https://studio.lab/cb#x", {"domain": "studio.lab"}, "has a '#'"),
        ("https://*.lab/cb", {"domain": "studio.lab"}, "has a '*'"),
        ("https://me:hush@studio.lab/cb", {"domain": "studio.lab"}, "user name"),
        ("studio.lab/cb", {"domain": "studio.lab"}, "no https:// URL"),
        ("https://[::1/cb", {"domain": "studio.lab"}, "no valid URL"),
        ("https://studio.lab:99999/cb", {}, "no valid URL"),
    ],
)
def test_redirect_uris(uri: str, config: Any, words: str) -> None:
    found = ask(None, _NONE, redirect_uri=uri, **config)["redirect URI"]
    assert found.status is (Status.FAIL if words else OK)
    assert words in found.summary and "hush" not in repr(found)


def test_nothing_of_what_is_published_is_kept_as_it_is(trusted: Trust, site: Site) -> None:
    """A private half stands in the first bytes of a key set; `ask` looks for the word."""
    site.json("/keys", {"keys": [{"d": "hush", **RSA}]})
    found = ask(trusted, site.url)["keys"]
    assert (found.status, found.cause) == (Status.FAIL, "sso.private-key")


def test_redirect_uris_that_cannot_be_compared() -> None:
    without = ask(None, _NONE)["redirect URI"]
    assert (without.status, without.cause) == (Status.SKIP, "sso.no-redirect-uri")
    nameless = ask(None, _NONE, redirect_uri="https://studio.lab/cb")["redirect URI"]
    assert (nameless.status, nameless.cause) == (Status.SKIP, "sso.no-domain")


@pytest.mark.parametrize(
    ("issuer", "words"),
    [
        ("https://idp.lab/.well-known/openid-configuration", "leave out /.well-known"),
        ("https://idp.lab?x=1", "no '?'"),
        (" https://idp.lab", "blanks"),
    ],
)
def test_issuers_that_are_none(issuer: str, words: str) -> None:
    (first, _) = ask(None, issuer).values()
    assert (first.status, first.cause) == (Status.ERROR, "sso.configuration")
    assert words in first.summary


@pytest.mark.parametrize(
    "issuer", ["http://idp.lab", "idp.lab", "https://", "https://idp.lab:0", "https://a:hush@idp.lab",
               "https://a:b/hush@idp.lab", "https://a:1/hush@idp.lab", "https://idp.lab:99999",
               "https://idp..lab"],
)  # fmt: skip
def test_addresses_that_are_none(issuer: str) -> None:
    first, _ = ask(None, issuer).values()
    assert (first.status, first.cause) == (Status.FAIL, "sso.address"), first
    assert "hush" not in repr(first)


def test_trust(trusted: Trust, site: Site) -> None:
    found = ask(None, site.url)[""]
    assert (found.status, found.cause) == (Status.FAIL, "sso.untrusted")
    assert "ca_file under [[sso.oidc]]" in str(found.remedy)
    by_egress = ask(None, site.url, checks={"egress.hosts": {"ca_file": trusted.ca_file}})
    assert by_egress[""].status is OK
    missing = ask(trusted._replace(ca_file="/nowhere.pem"), site.url)[""]
    assert missing.status is Status.ERROR and "/nowhere.pem" in missing.summary


def test_peers_that_are_no_provider(trusted: Trust, tmp_path: Path) -> None:
    broken = server_context(tmp_path, proper(names=("127.0.0.1",)))
    for behaviour, cause in (
        (saying(b"SSH-2.0-x\r\n", first=True), "no-tls"),
        (silent, "no-tls"),
        (endless(b"\xff" * 4096), "no-tls"),
        (tls(trusted.context), "no-http"),
        (tls(broken), "untrusted"),
    ):
        with Peer(behaviour) as peer, within(3):
            found = ask(trusted, f"https://127.0.0.1:{peer.port}", timeout=3)[""]
        assert (found.status, found.cause) == (Status.FAIL, f"sso.{cause}"), found


def test_a_document_without_an_end(trusted: Trust, site: Site) -> None:
    path = "/.well-known/openid-configuration"
    site.replies[path] = site.replies[path]._replace(headers=("X: y",))
    body = site.replies[path].body
    site.replies[path] = Reply(body[:20], headers=("Content-Length: 99999",))
    found = ask(trusted, site.url)[""]
    assert found.status is Status.FAIL and found.cause == "sso.no-http"


def test_a_flood_is_not_read_to_its_end(trusted: Trust) -> None:
    """What ends it is the size: time would be up much later."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{"
    with Peer(https_without_end(trusted.context, head, b" " * 65536)) as peer, within(1):
        found = ask(trusted, f"https://127.0.0.1:{peer.port}", timeout=60)[""]
    assert (found.status, found.cause) == (Status.FAIL, "sso.too-large")


def test_through_a_proxy(trusted: Trust, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host's own name for this, since some programs never use a proxy for 127.0.0.1."""
    with squid("http_access allow all") as proxy:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.port}")
        found = ask(trusted, site.url)
        assert found[""].status is OK and found["keys"].status is OK
    with squid("http_access deny all") as proxy:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.port}")
        denied = ask(trusted, site.url)[""]
        assert (denied.status, denied.cause) == (Status.FAIL, "sso.proxy")
        assert "NO_PROXY" in str(denied.remedy) and "egress.proxy" in str(denied.remedy)


def test_one_that_hangs_holds_up_no_other(trusted: Trust, site: Site) -> None:
    with Peer(silent) as peer:
        providers = [
            {"issuer": f"https://127.0.0.1:{peer.port}", "ca_file": trusted.ca_file},
            {"issuer": site.url, "ca_file": trusted.ca_file},
        ]
        check = SsoOidc(context(sso={"oidc": providers}, timeout=3))
        with within(3):
            found = judge(check, observed(check))
    assert found[f"https://127.0.0.1:{peer.port}"].status is Status.FAIL
    assert found[site.url].status is OK and found[f"{site.url} keys"].status is OK


def test_without_the_library(trusted: Trust, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "joserfc.jwk", None)
    found = ask(trusted, site.url)["keys"]
    assert (found.status, found.cause) == (Status.ERROR, "sso.no-library")
    assert "biostudio-doctor[sso]" in str(found.remedy)
