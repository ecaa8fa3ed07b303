"""Endpoints as people write them."""

from secrets import token_hex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biostudio_doctor.endpoints import check_watched, is_loopback, parse, public, watched


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("studio.lab:443", "studio.lab", 443),
        (" 192.0.2.1:8443 ", "192.0.2.1", 8443),
        ("[2001:db8::1]:5432", "2001:db8::1", 5432),
        ("[fe80::1%eth0]:443", "fe80::1%eth0", 443),
        ("https://studio.lab", "studio.lab", 443),
        ("HTTPS://studio.lab:4433/dashboard?x=1", "studio.lab", 4433),
        ("https://[::1]/", "::1", 443),
        ("admin:geheim@studio.lab:443", "studio.lab", 443),
    ],
)
def test_understood(text: str, host: str, port: int) -> None:
    assert parse(text) == (host, port)


@pytest.mark.parametrize(
    "text",
    ["", ":443", "studio.lab", "studio.lab:", "studio.lab:0", "studio.lab:65536", "studio.lab:x",
     "studio.lab:\u0664\u0664\u0663", "2001:db8::1", "2001:db8::1:443", "[2001:db8::1]", "[]:443",
     "[2001:db8::1:443", "[::1]443", "certs/tls.crt", "http://studio.lab:80/", "a b:443"],
)  # fmt: skip
def test_not_understood(text: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse(text)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("text", "host", "port", "prelude"),
    [
        ("studio.lab:8443", "studio.lab", 8443, ""),
        ("https://studio.lab/x?y", "studio.lab", 443, ""),
        ("postgresql://u:p@db.lab/x?sslmode=require", "db.lab", 5432, "postgresql"),
        ("Postgres://db.lab:5433", "db.lab", 5433, "postgresql"),
        ("mqtts://[::1]", "::1", 8883, ""),
        ("rediss://cache.lab", "cache.lab", 6379, ""),
        ("smtp://mail.lab", "mail.lab", 25, "smtp"),
        ("ldap://dir.lab", "dir.lab", 389, "ldap"),
        ("ldaps://dir.lab", "dir.lab", 636, ""),
    ],
)
def test_schemes(text: str, host: str, port: int, prelude: str) -> None:
    assert watched(text) == ((host, port), prelude)


@pytest.mark.parametrize(
    ("text", "said"),
    [("http://a", "it is https://"), ("redis://a:1", "it is rediss://"), ("ftp://a", "known are"),
     ("https://", "no host:port"), ("ldap://a:b", "no port"), ("x" * 99 + "://a", "known are")],
)  # fmt: skip
def test_no_way_to_a_certificate(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        watched(text)
    assert len(str(caught.value)) < 200


@given(st.text(max_size=40))
def test_any_text(text: str) -> None:
    try:
        host, port = parse(text)
    except ValueError:
        return
    assert host and 0 < port < 65536


def test_passwords_are_not_shown() -> None:
    for text in ("admin:geheim@studio.lab:443", "https://admin:geh@eim@studio.lab/"):
        assert "geh" not in public(text) and public(text).endswith(text.rpartition("@")[2])


@pytest.mark.parametrize("name", ["/etc/ssl/studio.crt", "studio.lab:443", "https://studio.lab"])
def test_what_can_be_watched(name: str) -> None:
    check_watched(name)


@pytest.mark.parametrize(
    "name", ["", "host", "certs/tls.crt", "/etc/ssl/\0.crt", "admin:{}@studio.lab", "a\0b:443"]
)
def test_what_cannot_be_watched_is_named_without_secrets(name: str) -> None:
    secret = token_hex()
    with pytest.raises(ValueError, match=r"/path/tls\.crt") as caught:
        check_watched(name.replace("{}", secret))
    assert secret not in str(caught.value) and str(caught.value).isprintable()
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True), ("LOCALHOST", True), ("127.0.0.1", True), ("127.9.9.9", True),
        ("::1", True), ("::1%lo", True), ("::ffff:127.0.0.1", True), ("0.0.0.0", False),
        ("::", False), ("10.0.0.1", False), ("::ffff:10.0.0.1", False), ("", False),
        ("localhost.lab", False), ("127.0.0.1.lab", False), ("fe80::1%eth0", False),
    ],
)  # fmt: skip
def test_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


@given(st.text())
def test_loopback_never_raises(host: str) -> None:
    is_loopback(host)
