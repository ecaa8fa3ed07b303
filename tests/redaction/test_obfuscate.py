"""Obfuscation: the same pseudonym everywhere, networks kept together, nothing else touched."""

import hmac
import secrets
import time
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biostudio_doctor.redaction.addresses import Addresses
from biostudio_doctor.redaction.obfuscate import Obfuscator
from biostudio_doctor.redaction.redactor import Redactor

KEY = secrets.token_bytes(32)
ADDRESSES = Addresses(hmac.digest(KEY, b"obfuscate", "sha256"))


def hide(text: str, **options: object) -> tuple[str, Obfuscator]:
    obfuscator = Obfuscator(KEY, **options)  # type: ignore[arg-type]
    redactor = Redactor(KEY, obfuscator=obfuscator)
    return b"".join(redactor.stream([text.encode()], {})).decode(), obfuscator


def v4(text: str) -> str:
    return ".".join(map(str, ADDRESSES.v4(tuple(map(int, text.split("."))))))


def v6(text: str) -> str:
    return str(ADDRESSES.v6(IPv6Address(text)))


@given(st.ip_addresses(v=4), st.ip_addresses(v=4))
def test_no_two_addresses_become_one(one: IPv4Address, other: IPv4Address) -> None:
    assert (v4(str(one)) == v4(str(other))) == (one == other)


@given(st.ip_addresses(v=4), st.integers(0, 255))
def test_a_network_stays_one(one: IPv4Address, last: int) -> None:
    other = str(ip_address(int(one) & 0xFFFFFF00 | last))
    assert v4(str(one)).rpartition(".")[0] == v4(other).rpartition(".")[0]
    assert one.is_private == IPv4Address(v4(str(one))).is_private


@given(st.ip_addresses(v=6), st.integers(0, 2**64 - 1))
def test_so_does_one_of_ipv6(one: IPv6Address, interface: int) -> None:
    other = IPv6Address(int(one) & ~(2**64 - 1) | interface)
    network = ip_network((v6(str(one)), 64), strict=False)
    kept = {one, other} & {IPv6Address("::"), IPv6Address("::1")}
    assert kept or IPv6Address(v6(str(other))) in network


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "0.0.0.0",
        "255.255.255.0",
        "169.254.1.2",
        "224.0.0.1",
        "192.0.2.7",
        "198.51.100.1",
        "203.0.113.9",
        "10.0.0.0",
        "::1",
        "::",
        "fe80::1",
        "ff02::1",
        "2001:db8::1",
    ],
)
def test_what_tells_nothing_of_a_site_stays(address: str) -> None:
    assert hide(f"at {address} it is\n", ips=True)[0] == f"at {address} it is\n"


def test_addresses_in_a_text() -> None:
    text = (
        "10.1.2.3 to 10.1.2.254/24, [2a01:4f8:1:2::5]:443 and "
        "2a01:4f8:1:2:aaaa:bbbb:cccc:dddd, 10.1.2.3:22\n"
    )
    after, obfuscator = hide(text, ips=True)
    assert after == (
        f"{v4('10.1.2.3')} to {v4('10.1.2.254')}/24, [{v6('2a01:4f8:1:2::5')}]:443 and "
        f"{v6('2a01:4f8:1:2:aaaa:bbbb:cccc:dddd')}, {v4('10.1.2.3')}:22\n"
    )
    assert obfuscator.map()["ips"]["10.1.2.3"] == v4("10.1.2.3")
    assert set(obfuscator.map()) == {"ips"}


@pytest.mark.parametrize(
    "before",
    [
        "nameserver ", "DNS Servers: ", "server=", "driver ",  # which end as "ver" does
        "::ffff:", "[::ffff:", "::FFFF:0:", "64:ff9b::", "tcp:",
        "messages-", "node-",
    ],
)  # fmt: skip
def test_what_stands_before_an_address_hides_it_from_nobody(before: str) -> None:
    assert hide(f"{before}10.1.2.3\n", ips=True)[0] == f"{before}{v4('10.1.2.3')}\n"
    assert [*Obfuscator(KEY, ips=True).find(f"{before}10.1.2.3\n".encode())]


@pytest.mark.parametrize(
    "text",
    [
        "version 1.2.3.4",
        "ServerVersion: 1.2.3.4",
        "driver 535.104.05",
        "at 10:20:30",
        "00:1a:2b:3c:4d:5e",
        "std::vector",
        "1.2.3.4.5",
        "999.1.1.1",
        "a::b",
        "sha256:0a1b",
        "pkg-1.2.3.4-1.el9",
        "0::/init.scope",
        "upgrade libx:amd64 1.2.5.1 1.7.4.4",
        "libx 1.2.5.1+dfsg-1",
    ],
)
def test_what_is_no_address_stays(text: str) -> None:
    assert hide(text + "\n", ips=True)[0] == text + "\n"


def test_hosts_with_all_below_their_domains() -> None:
    hosts = ["web01", "web01.corp.lab", "corp.lab"]
    after, obfuscator = hide(
        "web01 db.corp.lab WEB01.corp.lab corp.lab web01x web011 other.lab\n", hosts=hosts
    )
    web, database, web_again, domain, *others = after.split()
    assert web_again == f"{web}.{domain}"
    assert database.endswith(f".{domain}")
    assert others == ["web01x", "web011", "other.lab"]
    assert obfuscator.map()["hosts"]["corp.lab"] == domain


@pytest.mark.parametrize("unit", ["a:", "::", "1.", "1-", "web01.", "corp.lab.", "x.", "f", "."])
def test_no_text_takes_more_than_its_length(unit: str) -> None:
    """600 kB take a second at most, and took half a minute and more."""
    obfuscator = Obfuscator(KEY, hosts=["web01", "corp.lab"], users=["alice"], ips=True)
    began = time.process_time()
    for _ in obfuscator.find((unit * (600_000 // len(unit))).encode()):
        pass
    assert time.process_time() - began < 12


def test_names_that_an_underscore_joins() -> None:
    after, _ = hide("web01_web02_alice x_web01\n", hosts=["web01", "web02"], users=["alice"])
    assert not {"web01", "web02", "alice"} & set(after.replace("_", " ").split())


def test_a_name_within_a_longer_one_is_not_told_twice() -> None:
    text = "a.web01.web02.corp.lab..corp.lab web01.other\n"
    after, obfuscator = hide(text, hosts=["web01", "web02", "corp.lab"])
    whole, domain, other = after.replace("..", " ").split()
    assert whole.endswith(f".{domain}")
    assert other.endswith(".other")
    assert set(obfuscator.map()["hosts"]) == {"a.web01.web02.corp.lab", "corp.lab", "web01"}


def test_vendors_stay() -> None:
    text = "studio.example-vendor.com and a.corp.lab\n"
    after, _ = hide(
        text, hosts=["example-vendor.com", "corp.lab"], keep=["downloads.example-vendor.com"]
    )
    assert after.startswith("studio.example-vendor.com and host-")


def test_the_domain_of_a_host_is_known_with_it() -> None:
    after, _ = hide("other.corp.lab and db.corp.lab, not lab\n", hosts=["db.corp.lab"])
    assert "corp" not in after
    assert after.endswith(", not lab\n")


def test_users() -> None:
    after, _ = hide(
        "/home/alice/x for alice, malice alice2 (alice) password=alice\n", users=["alice"]
    )
    home, _, comma, *others = after.split()
    other = home.split("/")[2]
    assert other.startswith("user-")
    assert comma == f"{other},"
    assert others[:3] == ["malice", "alice2", f"({other})"]
    assert others[3].startswith("password=<redacted:password:")


def test_names_end_where_a_word_goes_on_after_an_underscore() -> None:
    after, _ = hide("/home/alice_old web01_access.log\n", users=["alice"], hosts=["web01"])
    assert "alice" not in after and "web01" not in after and after.endswith("_access.log\n")


def test_the_map_is_told_in_portions_each_once() -> None:
    text = "".join(f"10.1.{n >> 8}.{n & 255}\n" for n in range(1, 20_001))
    _, obfuscator = hide(text, ips=True)
    told: dict[str, str] = {}
    while news := obfuscator.news():
        assert len(news["ips"]) <= 10_000 and not told.keys() & news["ips"].keys()
        told |= news["ips"]
    assert told == obfuscator.map()["ips"] and len(told) > 19_000
    other = Obfuscator(KEY, ips=True)
    other.learn({"ips": told})
    assert other.map()["ips"] == told and not other.news()


def test_what_is_left_is_found_and_what_stands_for_it_is_not() -> None:
    text = "alice@db.corp.lab 10.9.8.7\n"
    after, obfuscator = hide(text, hosts=["corp.lab"], users=["alice"], ips=True)
    redactor = Redactor(KEY, obfuscator=obfuscator)
    assert not list(redactor.scan([after.encode()]))
    kinds = [place.kind for place in redactor.scan([text.encode()])]
    assert kinds == ["user", "host", "address"]


def test_processes_agree_without_talking() -> None:
    options = {"hosts": ["corp.lab"], "users": ["alice"], "ips": True}
    text = "alice@db.corp.lab 10.9.8.7\n"
    assert hide(text, **options)[0] == hide(text, **options)[0]
    other = Redactor(KEY, obfuscator=Obfuscator(secrets.token_bytes(32), **options))  # type: ignore[arg-type]
    assert b"".join(other.stream([text.encode()], {})).decode() != hide(text, **options)[0]


def test_an_address_in_the_place_of_a_host_has_no_domain() -> None:
    text = "127.0.0.1 10.0.0.1"
    said, obfuscator = hide(text, hosts=["127.0.0.1"])
    assert said == text and not list(obfuscator.left(text.encode()))


def test_what_is_no_public_name_stays_none() -> None:
    hosts = ["studio.site.internal", "studio.site.test", "test", "studio.site.example.org"]
    text, made = hide(" ".join(hosts), hosts=hosts)
    internal, ours, _, example = text.split()
    assert internal.endswith(".internal") and "site" not in internal
    assert not ours.endswith("test"), "which is the name of someone here"
    assert not example.endswith("example.org"), "which tells more than that"
    assert not list(made.left(text.encode()))
