"""TLS and logins by web-config.yml."""

from __future__ import annotations

import base64
import contextlib
import secrets
import socket
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import bcrypt
import httpx
import psutil
import pytest
import trustme
import yaml
from hypothesis import given
from hypothesis import strategies as st

from biostudio_doctor.daemon.messages import Reloaded
from biostudio_doctor.daemon.web import access, security
from biostudio_doctor.errors import ConfigError
from tests.lab.timing import PATIENCE, wait_until
from tests.lab.web_process import WebProcess, sixty_checks

PASSWORD = secrets.token_hex(16)


def hashed(password: str, rounds: int = 4) -> str:
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(rounds)).decode()


def written(directory: Path, **settings: Any) -> str:
    path = directory / "web-config.yml"
    path.write_text(yaml.safe_dump(settings))
    return str(path)


class Tls:
    """A certificate of the lab's authority, in files beside web-config.yml."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.authority = trustme.CA()
        self.issue()
        self.authority.cert_pem.write_to_path(directory / "ca.crt")

    def issue(self) -> None:
        made = self.authority.issue_cert("127.0.0.1")
        made.cert_chain_pems[0].write_to_path(self.directory / "tls.crt")
        made.private_key_pem.write_to_path(self.directory / "tls.key")

    def trusting(self, client: str = "") -> ssl.SSLContext:
        made = ssl.create_default_context()
        self.authority.configure_trust(made)
        if client:
            self.authority.issue_cert(client).configure_cert(made)
        return made

    @property
    def settings(self) -> dict[str, Any]:
        return {"cert_file": "tls.crt", "key_file": "tls.key"}


@pytest.fixture
def tls(tmp_path: Path) -> Tls:
    return Tls(tmp_path)


def test_everything_but_health_wants_a_login(tmp_path: Path) -> None:
    # As htpasswd has it: $2y$ is $2b$.
    users = {"alice": hashed(PASSWORD).replace("$2b$", "$2y$")}
    with WebProcess(web_config=written(tmp_path, basic_auth_users=users)) as web:
        web.show(sixty_checks())
        web.wait_for(auth=("alice", PASSWORD))
        assert httpx.get(f"{web.url}/healthz").status_code == 200
        for path in ("/", "/metrics", "/readyz", "/api/v1/report", "/probe", "/nothing"):
            answer = httpx.get(web.url + path)
            assert answer.status_code == 401, path
            assert answer.headers["www-authenticate"].startswith("Basic realm=")
            assert len(answer.content) < 100
        assert httpx.post(f"{web.url}/-/reload").status_code == 401
        wrong = [("alice", "wrong"), ("bob", PASSWORD), ("", PASSWORD), ("alice", "")]
        for user, password in (*wrong, ("alice", "x" * 100)):
            assert httpx.get(f"{web.url}/metrics", auth=(user, password)).status_code == 401
        for header in ("Bearer x", "Basic", "Basic !!", "Basic Og==", "Basic /w=="):
            given = {"authorization": header}
            assert httpx.get(f"{web.url}/metrics", headers=given).status_code == 401
        assert PASSWORD not in web.log


@pytest.mark.parametrize("content", ["", "# soon\n", "---\n"])
def test_a_file_that_is_being_written_opens_nothing(tmp_path: Path, content: str) -> None:
    path = Path(written(tmp_path, basic_auth_users={"alice": hashed(PASSWORD)}))
    with WebProcess(web_config=str(path)) as web:
        web.show(sixty_checks())
        web.wait_for(auth=("alice", PASSWORD))
        path.write_text(content)

        def told() -> bool:
            assert httpx.get(f"{web.url}/metrics").status_code == 401
            return "is empty" in web.log

        wait_until(told)
        assert httpx.get(f"{web.url}/metrics").status_code == 401
    path.write_text("{}")
    assert security.load(str(path)) == security.WebConfig()


def test_a_right_password_is_verified_once(tmp_path: Path) -> None:
    users = {"alice": hashed(PASSWORD, 11)}
    with WebProcess(web_config=written(tmp_path, basic_auth_users=users)) as web:
        web.show(sixty_checks())
        web.wait_for(auth=("alice", PASSWORD))
        before = psutil.Process(web.process.pid).cpu_times().user
        with httpx.Client(auth=("alice", PASSWORD)) as client:
            assert {client.get(f"{web.url}/metrics").status_code for _ in range(50)} == {200}
        spent = psutil.Process(web.process.pid).cpu_times().user - before
        assert spent < 1.5  # 50 verifications take 5 s and more


def test_guessing_passwords_holds_nobody_up(tmp_path: Path) -> None:
    users = {"alice": hashed(PASSWORD, 11)}
    with WebProcess(web_config=written(tmp_path, basic_auth_users=users)) as web:
        web.show(sixty_checks())
        web.wait_for(auth=("alice", PASSWORD))

        def guess(number: int) -> int:
            url = f"{web.url}/metrics"
            return httpx.get(url, auth=("alice", f"guess {number}"), timeout=60).status_code

        with ThreadPoolExecutor(40) as threads:
            guesses = [threads.submit(guess, number) for number in range(40)]
            time.sleep(0.2)
            assert httpx.get(f"{web.url}/metrics", auth=("alice", PASSWORD)).status_code == 200
            assert not all(one.done() for one in guesses)
            assert {one.result() for one in guesses} <= {401, 429}


def test_a_changed_password_is_heeded_and_a_broken_file_is_not(tmp_path: Path) -> None:
    path = written(tmp_path, basic_auth_users={"alice": hashed(PASSWORD)})
    with WebProcess(web_config=path) as web:
        web.show(sixty_checks())
        web.wait_for(auth=("alice", PASSWORD))

        def in_force(value: str, password: str) -> bool:
            scraped = web.wait_for(auth=("alice", password)).text
            return f"\nbiostudio_doctor_web_config_in_force {value}\n" in scraped

        Path(path).write_text("basic_auth_users: [")
        wait_until(lambda: "is no valid YAML: line 1" in web.log)
        assert httpx.get(f"{web.url}/metrics").status_code == 401
        assert httpx.get(f"{web.url}/metrics", auth=("alice", PASSWORD)).status_code == 200
        assert web.log.count("is no valid YAML: line 1") == 1
        wait_until(lambda: in_force("0.0", PASSWORD))
        with ThreadPoolExecutor(1) as thread:
            asked = thread.submit(
                httpx.post, f"{web.url}/-/reload", auth=("alice", PASSWORD), timeout=60
            )
            assert web.asked_to_reload(Reloaded())
            assert asked.result().status_code == 400
            assert "is no valid YAML" in asked.result().text
        written(tmp_path, basic_auth_users={"alice": hashed("another")})
        wait_until(lambda: in_force("1.0", "another"))
        assert httpx.get(f"{web.url}/metrics", auth=("alice", PASSWORD)).status_code == 401


def test_tls_and_a_renewed_certificate(tls: Tls, tmp_path: Path) -> None:
    with WebProcess(web_config=written(tmp_path, tls_server_config=tls.settings)) as web:
        web.show(sixty_checks())
        url = f"https://127.0.0.1:{web.port}/metrics"
        kept = httpx.Client(verify=tls.trusting())
        with pytest.raises(httpx.TransportError):
            httpx.get(f"http://127.0.0.1:{web.port}/metrics")
        assert kept.get(url).status_code in (200, 503)

        def serial() -> str:
            return ssl.get_server_certificate(("127.0.0.1", web.port))

        before = serial()
        tls.issue()
        wait_until(lambda: serial() != before, "the new certificate")
        assert httpx.get(url, verify=tls.trusting()).status_code == 200
        assert kept.get(url).status_code == 200  # this connection has seen nothing of it
        (tmp_path / "tls.crt").write_text("no certificate")
        wait_until(lambda: "cert_file: cannot be used" in web.log)
        assert httpx.get(url, verify=tls.trusting()).status_code == 200
        kept.close()


def test_client_certificates(tls: Tls, tmp_path: Path) -> None:
    settings = {
        **tls.settings,
        "client_auth_type": "RequireAndVerifyClientCert",
        "client_ca_file": "ca.crt",
        "client_allowed_sans": ["prometheus.lab"],
        "min_version": "TLS12",
        "max_version": "TLS12",
        "cipher_suites": ["TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"],
        "curve_preferences": ["CurveP256"],
    }
    with WebProcess(web_config=written(tmp_path, tls_server_config=settings)) as web:
        web.show(sixty_checks())
        url = f"https://127.0.0.1:{web.port}/metrics"
        answer = httpx.get(url, verify=tls.trusting("prometheus.lab"))
        assert answer.status_code in (200, 503)
        for stranger in ("", "other.lab"):
            with pytest.raises(httpx.TransportError):
                httpx.get(url, verify=tls.trusting(stranger))
        assert web.log == ""  # whoever knocks writes nothing into it
        with pytest.raises(httpx.TransportError):
            httpx.get(url, verify=Tls(tmp_path / "..").trusting("prometheus.lab"))


def test_silent_connections_do_not_keep_tls_from_others(tls: Tls, tmp_path: Path) -> None:
    path = written(tmp_path, tls_server_config=tls.settings)
    patched = "import biostudio_doctor.daemon.web.protocol as p; p.HEAD_TIMEOUT = 5\n"
    with WebProcess(before=patched, web_config=path) as web, contextlib.ExitStack() as stack:
        web.show(sixty_checks())
        silent = [
            stack.enter_context(socket.create_connection(("127.0.0.1", web.port), PATIENCE))
            for _ in range(100)
        ]
        url = f"https://127.0.0.1:{web.port}/readyz"
        assert httpx.get(url, verify=tls.trusting(), timeout=4).status_code in (200, 503)
        for sock in silent:
            with contextlib.suppress(ConnectionResetError):
                assert sock.recv(1) == b""
        assert web.log == ""


def test_headers_of_the_file_take_the_place_of_ours(tmp_path: Path) -> None:
    headers = {"Strict-Transport-Security": "max-age=1", "X-Frame-Options": "sameorigin"}
    path = written(tmp_path, http_server_config={"http2": False, "headers": headers})
    with WebProcess(web_config=path) as web:
        web.show(sixty_checks())
        answer = web.wait_for("/")
        assert answer.headers.get_list("x-frame-options") == ["sameorigin"]
        assert answer.headers["strict-transport-security"] == "max-age=1"
        assert "sha256-" in answer.headers["content-security-policy"]


def test_nothing_is_served_where_the_file_is_wrong(tmp_path: Path) -> None:
    path = written(tmp_path, basic_auth_user={"alice": "x"})
    with (
        pytest.raises(AssertionError, match="did you mean 'basic_auth_users'"),
        WebProcess(web_config=path),
    ):
        pass


_TLS = "tls_server_config: {cert_file: x, key_file: y"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[", "is no valid YAML: line 1"),
        ("a: &a [*a]", "unknown key"),
        ("- 1", "expected a table, got a list"),
        ("\x00", "is no valid YAML"),
        ("[" * 5000, "nested too deeply"),
        ("!!python/object/apply:os.system [ls]", "is no valid YAML: line 1: could not determine"),
        ("basic_auth_users: {alice: plain}", "htpasswd -nBC 10 alice"),
        ("basic_auth_users: {alice: 1}", "basic_auth_users"),
        ("tls_server_config: {cert_file: x}", "key_file"),
        (f"{_TLS}}}", "cert_file: cannot be read: No such file"),
        ("tls_server_config: {cert: x, key: y}", "unknown key"),
        (f"{_TLS}, client_auth_type: RequestClientCert}}", "VerifyClientCertIfGiven"),
        (f"{_TLS}, client_auth_type: RequireAndVerifyClientCert}}", "client_ca_file"),
        (f"{_TLS}, client_ca_file: z}}", "NoClientCert"),
        (f"{_TLS}, client_allowed_sans: [a]}}", "RequireAndVerify"),
        (f"{_TLS}, min_version: SSL30}}", "'TLS12'"),
        (f"{_TLS}, cipher_suites: [TLS_NULL]}}", "TLS_NULL"),
        (f"{_TLS}, curve_preferences: [a]}}", "CurveP256"),
        ("rate_limit: {interval: 1s, burst: 2}", "unknown key"),
        ("http_server_config: {headers: {X-Frame-Options: maybe}}", "X-Frame-Options"),
        ('http_server_config: {headers: {X-XSS-Protection: "a\\r\\nb: c"}}', "one line"),
        ("http_server_config: {headers: {Server: x}}", "unknown key"),
    ],
)
def test_what_is_wrong_is_one_clear_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "web.yml"
    path.write_text(text)
    with pytest.raises(ConfigError) as raised:
        security.load(str(path))
    line = str(raised.value)
    assert line.startswith(f"{path}: ")
    assert said in line
    assert "\n" not in line
    assert "plain" not in line


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        security.load(str(tmp_path / "none.yml"))
    assert security.load(None) == security.WebConfig()


def test_a_key_that_is_another_certificates(tls: Tls, tmp_path: Path) -> None:
    path = written(tmp_path, tls_server_config=tls.settings)
    tls.authority.issue_cert("x").private_key_pem.write_to_path(tmp_path / "tls.key")
    with pytest.raises(ConfigError, match="cannot be used: key values mismatch"):
        security.load(path)


def test_openssl_knows_all_suites() -> None:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.set_ciphers("ALL:@SECLEVEL=0")
    known = {cipher["name"] for cipher in made.get_ciphers()}
    suites = [
        f"TLS_{exchange}_WITH_{cipher}"
        for exchange in ("ECDHE_RSA", "ECDHE_ECDSA")
        for cipher in security._CIPHERS
        if cipher not in ("AES_128_CBC_SHA256",)
    ]
    assert {security.openssl_name(suite) for suite in suites} <= known
    assert security.openssl_name("TLS_AES_128_GCM_SHA256") == ""


@given(st.binary())
def test_any_file_is_understood_or_refused(data: bytes) -> None:
    try:
        security._parse(data, "file")
    except ConfigError as error:
        assert "\n" not in str(error)


@given(st.text() | st.binary().map(lambda data: "Basic " + base64.b64encode(data).decode()))
def test_any_authorization_is_understood(header: str) -> None:
    user, password = access._credentials(header)
    assert isinstance(user, str)
    assert isinstance(password, bytes)
