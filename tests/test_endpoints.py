"""Endpoints as people write them."""

from secrets import token_hex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biostudio_doctor.endpoints import (
    check_watched,
    is_loopback,
    parse,
    split_url,
    watched,
    without_user,
)


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
        ("https://admin:g://1@studio.lab", "studio.lab", 443),
        ("https://studio.lab/a@b", "studio.lab", 443),
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


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("admin:{}@studio.lab:443", "studio.lab:443"),
        ("https://admin:{}@eim@studio.lab/", "https://studio.lab/"),
        ("https://admin:{}/1?2#3@studio.lab/x", "https://studio.lab/x"),
        ("https://admin:12/{}@studio.lab", "https://studio.lab"),
        ("https://ad/min:{}@studio.lab", "https://studio.lab"),
        ("https://admin:{}://1@studio.lab", "https://studio.lab"),
        ("admin:{}://1@studio.lab", "studio.lab"),
        ("admin://{}/1@studio.lab", "admin://studio.lab"),
        ("https://{}@studio.lab", "https://studio.lab"),
        (" https://admin:{}@[2001:db8::1]:port", " https://[2001:db8::1]:port"),
        ("redis://:{}@cache.lab:6379/0", "redis://cache.lab:6379/0"),
        ("postgresql://me:{}@one.lab:1,two.lab:2/db", "postgresql://one.lab:1,two.lab:2/db"),
        ("amqp://me:{}@one.lab;amqp://me:{}@two.lab", "amqp://two.lab"),
        ("host=/run user=me password=/{}/@x", "x"),
        ("//me:{}@files.lab/share", "//files.lab/share"),
        ("studio.lab:443", "studio.lab:443"),
        # an @ that ends no user and password
        ("https://studio.lab/a@b", "https://studio.lab/a@b"),
        ("HTTPS://studio.lab?a=@b", "HTTPS://studio.lab?a=@b"),
        ("/etc/ssl/a:b@studio.crt", "/etc/ssl/a:b@studio.crt"),
    ],
)
def test_without_user(text: str, shown: str) -> None:
    secret = token_hex()
    assert without_user(text.replace("{}", secret)) == shown
    assert without_user("https://me:x@studio.lab/", instead="...@") == "https://...@studio.lab/"


_STARTS = ["", "https://", "HTTP://", "redis://", "postgresql+x://", "//", " https://"]
_HOSTS = ["studio.lab", "[2001:db8::1]:443", "studio.lab:port/x?y#z", "one.lab:1,two.lab:2/db", ""]
_PIECES = st.text() | st.lists(st.sampled_from(["://", *":/?#@ 12"])).map("".join)


@given(
    st.sampled_from(_STARTS),
    _PIECES.filter(lambda user: not user.lstrip().startswith("/")),
    st.tuples(_PIECES, _PIECES),
    st.sampled_from(_HOSTS),
)
def test_no_password_survives(start: str, user: str, around: tuple[str, str], host: str) -> None:
    shown = without_user(f"{start}{user}:{'geheim'.join(around)}@{host}")
    assert "geheim" not in shown and shown.endswith(host)


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


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://me:{}/1@studio.lab", "before an @"),
        ("https://me:12/{}@studio.lab", "before an @"),
        ("https://me:{}?@studio.lab", "before an @"),
        ("https://me:{}#@studio.lab", "before an @"),
        ("https://studio.lab:{}", "its host or port"),
        ("https://me:{}@[::1", "its host or port"),
    ],
)
def test_urls_that_programs_understand_otherwise(url: str, said: str) -> None:
    secret = token_hex()
    with pytest.raises(ValueError, match=said) as caught:
        split_url(url.replace("{}", secret))
    assert secret not in str(caught.value)


def test_urls_are_taken_apart_without_user_and_password() -> None:
    parts = split_url("https://me:%2Fx@[2001:db8::1]:8443/talk")
    assert (parts.hostname, parts.port, parts.username) == ("2001:db8::1", 8443, None)
    assert split_url("https://studio.lab/a@b").path == "/a@b"
