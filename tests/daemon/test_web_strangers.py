"""The web process: a browser on this host gives nothing of it to other people's web pages."""

from __future__ import annotations

import secrets
import socket
from pathlib import Path

import bcrypt
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from biostudio_doctor.daemon.web.access import is_foreign, is_here
from tests.lab.web_process import WebProcess, asked, sixty_checks

OWN = socket.gethostname()


def test_reload_is_not_for_the_pages_of_others(web: WebProcess) -> None:
    for headers in ({"sec-fetch-site": "cross-site"}, {"origin": "http://evil.example"}):
        assert httpx.post(f"{web.url}/-/reload", headers=headers).status_code == 403
    assert not web.asked_to_reload(patience=0.3)


@pytest.mark.parametrize(
    ("headers", "foreign"),
    [
        ({}, False),
        ({"sec-fetch-site": "none"}, False),
        ({"sec-fetch-site": "same-origin", "origin": "https://h:1", "host": "h:1"}, False),
        ({"sec-fetch-site": "same-site"}, True),
        ({"sec-fetch-site": "cross-site"}, True),
        ({"origin": "https://h:1", "host": "h:1"}, False),
        ({"origin": "https://h:2", "host": "h:1"}, True),
        ({"origin": "null", "host": "h:1"}, True),
        ({"origin": "null", "host": "null"}, True),
        ({"origin": ""}, True),
    ],
)
def test_who_is_foreign(headers: dict[str, str], foreign: bool) -> None:
    assert is_foreign(Headers(headers)) is foreign


@pytest.mark.parametrize("path", ["/", "/metrics", "/api/v1/report", "/readyz", "/probe"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_name_that_was_led_here_is_not_answered(web: WebProcess, method: str, path: str) -> None:
    """DNS rebinding: the browser believes to be at evil.example, whose name leads to 127.0.0.1."""
    head = f"{method} {path} HTTP/1.1\r\nhost: evil.example:{web.port}\r\nconnection: close\r\n"
    answer = asked(web.port, f"{head}\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 421 ") and b"evil" not in answer
    assert b"daemon.web_config" in answer, "what can be done"


def test_a_name_that_was_led_here_reloads_nothing(web: WebProcess) -> None:
    place = f"evil.example:{web.port}"
    same = {"host": place, "origin": f"http://{place}", "sec-fetch-site": "same-origin"}
    assert httpx.post(f"{web.url}/-/reload", headers=same).status_code == 421
    assert not web.asked_to_reload(patience=0.3)


@pytest.mark.parametrize("path", ["/", "/metrics"])
@pytest.mark.parametrize("hosts", [("localhost", "evil.example"), ("evil.example", "localhost")])
def test_a_second_name_does_not_hide_the_first(
    web: WebProcess, hosts: tuple[str, str], path: str
) -> None:
    head = f"GET {path} HTTP/1.1\r\nhost: {hosts[0]}\r\nhost: {hosts[1]}\r\nconnection: close\r\n"
    assert asked(web.port, f"{head}\r\n".encode()).startswith(b"HTTP/1.1 400 ")


def test_health_is_told_by_any_name(web: WebProcess) -> None:
    for host in ("evil.example", "balancer"):
        assert httpx.get(f"{web.url}/healthz", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:{port}", "[::1]:{port}", OWN])
def test_names_that_can_lead_nowhere_else_are_answered(web: WebProcess, host: str) -> None:
    told = {"host": host.format(port=web.port)}
    for path in ("/metrics", "/", "/readyz"):
        assert httpx.get(web.url + path, headers=told).status_code == 200


def test_on_other_interfaces_any_name_may_be_ours() -> None:
    """Prometheus scrapes by whatever name it was given."""
    with WebProcess(host="0.0.0.0") as web:
        web.show(sixty_checks())
        web.wait_for()
        told = {"host": "studio.example.org:19842"}
        for path in ("/metrics", "/"):
            assert httpx.get(web.url + path, headers=told).status_code == 200


def test_with_logins_any_name_may_be_ours(tmp_path: Path) -> None:
    """A page of a stranger's has none, and its browser does not lend it ours."""
    hashed = bcrypt.hashpw(secrets.token_bytes(8), bcrypt.gensalt(4)).decode()
    (tmp_path / "web.yml").write_text(f"basic_auth_users: {{a: {hashed}}}\n")
    with WebProcess(web_config=str(tmp_path / "web.yml")) as web:
        told = {"host": "studio.example.org"}
        assert httpx.get(f"{web.url}/metrics", headers=told).status_code == 401


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("", True), ("127.0.0.1:19842", True), ("10.0.0.5", True), ("[::1]", True),
        ("[::1]:19842", True), ("LocalHost.:19842", True), ("grafana.localhost", True),
        (OWN.upper(), True), (f"{OWN}:19842", True),
        ("evil.example", False), (f"{OWN}.evil.example", False), ("127.0.0.1.evil.example", False),
        ("localhost.evil.example:19842", False), ("evillocalhost", False),
        ("127.0.0.1@evil.example", False), ("a b", False), ("[evil.example]", False),
    ],
)  # fmt: skip
def test_which_names_are_here(host: str, here: bool) -> None:
    assert is_here(host) is here


@given(st.text())
def test_any_header_is_understood(header: str) -> None:
    assert is_here(header) in (True, False)
    assert is_foreign(Headers(raw=[(b"origin", header.encode())])) in (True, False)
