"""The causes of egress.hosts, each by the evidence for it and by its nearest neighbour's."""

import re
from collections.abc import Iterator
from pathlib import Path as File
from typing import Any

import pytest
from msgspec import structs

from biostudio_doctor.checks.egress_causes import BY_WORD, CAUSES, cases, diagnose
from biostudio_doctor.checks.egress_facts import EgressFacts, site
from biostudio_doctor.probes import Failure
from biostudio_doctor.probes.results import Download, Path, Route, TlsResult
from biostudio_doctor.requirements import Quantity
from tests.conftest import DEBIAN
from tests.lab.paths import (
    OURS4,
    SERVER,
    SERVER2,
    V4,
    V6,
    answer,
    attempt,
    certificate,
    cut,
    endpoint,
    evidence,
    facts,
    hop,
    look,
    lookup,
    proxied,
    reached,
    shaken,
    unconnected,
    unresolved,
    untrusted,
)

GOOD = reached("b.other")
TWO = {"name_servers": (SERVER, SERVER2)}
DEAF6 = (attempt(V4), attempt(V6, "timeout"))
DEAF4 = (attempt(V4, "timeout"), attempt(V6))
ALERT = TlsResult(server_name="b.lab", failure=Failure("tls", "tls-alert", "unknown name"))
SILENT = TlsResult(server_name="a.lab", failure=Failure("tls", "timeout"))
SLOW = Quantity(
    id="egress.throughput", strength="recommended", section="x", says="x", value=1e5, floor=0,
    unit="bytes per second",
)  # type: ignore[arg-type]  # fmt: skip
HTML = {"content-type": "text/html; charset=utf-8"}


def leading_to(path: Path, *addresses: str) -> Path:
    return structs.replace(path, lookup=lookup(path.host, *addresses))


def setting(reason: str) -> EgressFacts:
    failure = Failure("proxy", reason, "makes no sense")  # type: ignore[arg-type]
    route = Route(variable="https_proxy", failure=failure)
    return facts(Path(host="a.lab", port=443, route=route, failure=failure))


def with_offset(path: Path, seconds: float) -> dict[str, Any]:
    return {"second_looks": (look(path.host, unverified=hop(path.host, clock_offset=seconds)),)}


def stalled(**found: Any) -> EgressFacts:
    return facts(cut("a.lab"), GOOD, second_looks=(look("a.lab", **found),))


DAY = 86400.0
EXPIRED = untrusted("a.lab", 10, certificate(days=-10))

#: What was seen, and the cause of the first host; '' where it has none.
TABLE: dict[str, tuple[EgressFacts, str]] = {
    # names
    "none configured": (facts(unresolved("a.lab", "no-resolver"), name_servers=()),
                        "dns.no-resolver"),
    "silent": (facts(unresolved("a.lab", "timeout")), "dns.silent"),
    "unreachable": (facts(unresolved("a.lab", "unreachable")), "dns.silent"),
    "no route to a name server": (
        facts(unresolved("a.lab", "unreachable", answer(SERVER, "unreachable", source=""))),
        "tcp.no-route"),
    "servfail": (facts(unresolved("a.lab", "servfail")), "dns.servfail"),
    "refused to all": (facts(unresolved("a.lab", "refused")), "dns.refused"),
    "refused for one": (facts(unresolved("a.lab", "refused"), GOOD), "dns.filtered"),
    "one name": (facts(unresolved("a.lab", "nxdomain"), GOOD), "dns.filtered"),
    "one name, empty answer": (facts(unresolved("a.lab", "no-address"), GOOD), "dns.filtered"),
    "all names": (facts(unresolved("a.lab", "nxdomain"), unresolved("b.lab", "no-address")),
                  "dns.no-public-names"),
    "the only name": (facts(unresolved("a.lab", "nxdomain")), "dns.filtered"),
    "the first of two denies it": (
        facts(unresolved("a.lab", "nxdomain", answer(SERVER, "nxdomain"), answer(SERVER2)), **TWO),
        "dns.bad-resolver"),
    "who knows": (facts(unresolved("a.lab", "other")), "dns.failed"),
    "sink hole": (facts(leading_to(unconnected("a.lab", "refused"), "0.0.0.0"), GOOD),
                  "dns.sinkhole"),
    "private": (facts(leading_to(unconnected("a.lab"), "10.6.6.6"), GOOD), "dns.sinkhole"),
    "private, with a strange certificate": (
        facts(leading_to(untrusted("a.lab", 18), "100.64.1.1"), GOOD), "dns.sinkhole"),
    "private, but it works": (facts(leading_to(reached("a.lab"), "192.168.7.7")), ""),
    "private and public": (facts(leading_to(unconnected("a.lab"), "10.6.6.6", V4)), "tcp.dropped"),
    "for documentation": (facts(leading_to(unconnected("a.lab"), "203.0.113.9", "2001:db8::9")),
                          "tcp.dropped"),
    "local by its name": (facts(leading_to(unconnected("localhost", "refused"), "127.0.0.1")),
                          "tcp.refused"),
    "local by its address": (facts(leading_to(unconnected("127.0.0.1", "refused"), "127.0.0.1")),
                             "tcp.refused"),
    # connections
    "refused": (facts(unconnected("a.lab", "refused")), "tcp.refused"),
    "dropped": (facts(unconnected("a.lab"), GOOD), "tcp.dropped"),
    "other": (facts(unconnected("a.lab", "other", "too odd")), "tcp.failed"),
    "prohibited": (facts(unconnected("a.lab", "unreachable", "No route to host")),
                   "tcp.unreachable"),
    "no route": (facts(unconnected("a.lab", "unreachable", "Network is unreachable",
                                   attempt(V4, "unreachable", source=""))), "tcp.no-route"),
    "silent beside prohibited": (facts(unconnected("a.lab"), unconnected("b.lab", "unreachable")),
                                 "tcp.unreachable"),
    "silent beside few prohibited": (
        facts(unconnected("a.lab"), unconnected("b.lab", "unreachable"), GOOD), "tcp.dropped"),
    "silent beside many prohibited": (
        facts(unconnected("a.lab"), *(unconnected(f"{n}.lab", "unreachable") for n in range(4)),
              GOOD), "tcp.unreachable"),
    "port 80 is open": (
        facts(unconnected("a.lab"), second_looks=(look("a.lab", other_port=(attempt(),)),)),
        "tcp.port"),
    "port 80 is no better": (
        facts(unconnected("a.lab"),
              second_looks=(look("a.lab", other_port=(attempt(V4, "timeout"),)),)), "tcp.dropped"),
    "IPv6 is silent": (
        facts(reached("a.lab", attempts=DEAF6),
              second_looks=(look("a.lab", again=(attempt(V6, "timeout"),)),)), "tcp.ipv6"),
    "IPv6 was unlucky once": (
        facts(reached("a.lab", attempts=DEAF6),
              second_looks=(look("a.lab", again=(attempt(V6),)),)), ""),
    "IPv6 is refused at once": (
        facts(reached("a.lab", attempts=(attempt(V4), attempt(V6, "refused"))),
              second_looks=(look("a.lab", again=(attempt(V6, "refused"),)),)), ""),
    "no IPv6 here": (
        facts(reached("a.lab", attempts=(attempt(V4), attempt(V6, "unreachable", source="")))), ""),
    "IPv6 of this link only": (
        facts(reached("a.lab", attempts=(attempt(V4), attempt(V6, "timeout", source="fe80::1"))),
              second_looks=(
                  look("a.lab", again=(attempt(V6, "timeout", source="fe80::1"),)),)), ""),
    "no IPv4 here": (
        facts(reached("a.lab", attempts=(attempt(V4, "unreachable", source=""), attempt(V6))),
              second_looks=(
                  look("a.lab", again=(attempt(V4, "unreachable", source=""),)),)), ""),
    "IPv4 is silent": (
        facts(reached("a.lab", attempts=DEAF4),
              second_looks=(look("a.lab", again=(attempt(V4, "timeout"),)),)), "tcp.ipv4"),
    "one of two addresses": (
        facts(reached("a.lab", attempts=(attempt(V4), attempt("192.0.2.8", "timeout"))),
              second_looks=(look("a.lab", again=(attempt("192.0.2.8", "timeout"),)),)),
        "tcp.some-addresses"),
    # large packets and filters
    "passes in small segments": (stalled(small_segments=hop("a.lab"), other_name=SILENT,
                                         same_name=SILENT), "tcp.mtu"),
    "in small segments, untrusted": (
        stalled(small_segments=hop("a.lab", None, failure=Failure("tls", "untrusted")),
                other_name=SILENT, same_name=SILENT), "tcp.mtu"),
    "passes either way while others pass": (
        stalled(small_segments=hop("a.lab"), other_name=shaken(), same_name=SILENT), "tls.sni"),
    "passes either way while none passes": (
        facts(cut("a.lab"), second_looks=(
            look("a.lab", small_segments=hop("a.lab"), other_name=shaken(), same_name=SILENT),)),
        "tcp.mtu"),
    "large answers stall": (
        facts(cut("a.lab", phase="request"),
              second_looks=(look("a.lab", small_segments=hop("a.lab")),)), "tcp.mtu"),
    "stalls anyway": (
        stalled(small_segments=hop("a.lab", None, failure=Failure("tls", "timeout")),
                other_name=SILENT, same_name=SILENT), "tls.cut"),
    "another name passes": (
        facts(cut("a.lab", "reset"), GOOD,
              second_looks=(look("a.lab", other_name=shaken(), same_name=SILENT),)), "tls.sni"),
    "another name is answered": (
        facts(cut("a.lab", "reset"), GOOD,
              second_looks=(look("a.lab", other_name=ALERT, same_name=SILENT),)), "tls.sni"),
    "it was cut once only": (
        facts(cut("a.lab", "reset"), GOOD,
              second_looks=(look("a.lab", other_name=shaken(), same_name=shaken("a.lab")),)),
        "tls.cut"),
    "any name is refused": (
        facts(cut("a.lab", "tls-alert"), second_looks=(
            look("a.lab", other_name=ALERT, same_name=ALERT),)), "tls.refused"),
    # proxies
    "needed": (facts(unconnected("a.lab"), unresolved("b.lab", "timeout"),
                     other_proxies=("https_proxy in /etc/environment",)), "proxy.needed"),
    "not needed by all": (facts(unconnected("a.lab"), GOOD, other_proxies=("x in /y",)),
                          "tcp.dropped"),
    "socks": (setting("other"), "proxy.socks"),
    "nonsense": (setting("bad-proxy"), "proxy.bad-setting"),
    "proxy silent": (facts(proxied("a.lab", "timeout", connects=False)), "proxy.unreachable"),
    "proxy hangs": (facts(proxied("a.lab", "timeout")), "proxy.failed"),
    "https:// to it": (facts(proxied("a.lab", "tls-protocol", scheme="https")), "proxy.scheme"),
    "its certificate": (facts(proxied("a.lab", "untrusted", scheme="https")), "proxy.untrusted"),
    "407 Basic": (facts(proxied("a.lab", "proxy-auth", 407, ("Negotiate", "Basic"))), "proxy.auth"),
    "407 untold": (facts(proxied("a.lab", "proxy-auth", 407)), "proxy.auth"),
    "407 others": (facts(proxied("a.lab", "proxy-auth", 407, ("Negotiate", "NTLM"))),
                   "proxy.auth-scheme"),
    "403": (facts(proxied("a.lab", "proxy-denied", 403)), "proxy.denied"),
    "503": (facts(proxied("a.lab", "proxy-denied", 503)), "proxy.upstream"),
    # certificates
    "expired for both clocks": (facts(EXPIRED, GOOD, **with_offset(EXPIRED, 2)), "tls.expired"),
    "expired by this clock": (facts(EXPIRED, **with_offset(EXPIRED, -20 * DAY)), "tls.clock"),
    "another host knows the time": (
        facts(EXPIRED, reached("b.lab", hop("b.lab", clock_offset=-20 * DAY))), "tls.clock"),
    "all are expired": (
        facts(EXPIRED, untrusted("b.lab", 10, certificate("Another CA", days=-3))), "tls.clock"),
    "all of one issuer are expired": (
        facts(EXPIRED, untrusted("b.lab", 10, certificate(days=-3))), "tls.expired"),
    "another name": (facts(untrusted("a.lab", 62)), "tls.name"),
    "a private issuer": (facts(untrusted("a.lab", 20), GOOD), "tls.intercepted"),
    "a private issuer everywhere": (facts(untrusted("a.lab", 19), untrusted("b.other", 19)),
                                    "tls.intercepted"),
    "a public issuer": (
        facts(untrusted("a.lab", 20, certificate("DigiCert Inc"), certificate("DigiCert Inc"))),
        "tls.bundle"),
    "several issuers": (
        facts(*(untrusted(f"{name}.lab", 20, certificate(f"Trust {name}")) for name in "abc")),
        "tls.bundle"),
    "no intermediate": (facts(untrusted("a.lab", 20, certificate("Let's Encrypt")), GOOD),
                        "tls.chain"),
    "self-signed": (facts(untrusted("a.lab", 18), GOOD), "tls.invalid"),
    "TLS 1.0": (facts(cut("a.lab", "tls-protocol", version="TLSv1")), "tls.old"),
    "no TLS": (facts(cut("a.lab", "tls-protocol", detail="no TLS: it says 'SSH'")), "tls.none"),
    # HTTP
    "no answer": (facts(cut("a.lab", "closed", "request")), "http.failed"),
    "portal": (facts(reached("a.lab", left_at="http://portal.hotel/in")), "http.portal"),
    "its own front page": (facts(reached("a.lab", left_at="http://www.a.lab/")), ""),
    "one foreign redirect": (facts(reached("a.lab", hop("cdn.example"))), ""),
    "a foreign redirect of all": (
        facts(reached("a.lab", hop("in.example")), reached("b.other", hop("in.example"))),
        "http.portal"),
    "redirect that fails": (
        facts(reached("a.lab", hop("c.lab", None, failure=Failure("connect", "timeout")))),
        "http.redirect"),
    "redirect to a host that fails by itself": (
        facts(reached("a.lab", hop("c.lab", None, failure=Failure("connect", "timeout"))),
              unconnected("c.lab")), ""),
    "a block page": (
        facts(reached("a.lab", hop("a.lab", 403, headers=HTML, first="<title>Web Filter</title>"))),
        "http.block-page"),
    "a block page elsewhere": (
        facts(reached("a.lab", hop("block.example", headers=HTML, first="FortiGuard"))),
        "http.block-page"),
    "an honest page": (
        facts(reached("a.lab", hop("a.lab", headers=HTML, first="<title>Packages</title>"))), ""),
    "403 of the CDN": (
        facts(reached("a.lab", hop("a.lab", 403, headers={"cf-ray": "1", **HTML},
                                   first="Access denied"))), "http.cdn"),
    "a challenge at the front page": (
        facts(reached("a.lab", hop("a.lab", 403, headers={"cf-ray": "1",
                                                           "cf-mitigated": "challenge"}))), ""),
    "429": (facts(reached("a.lab", hop("a.lab", 429))), "http.cdn"),
    "403 without more": (facts(reached("a.lab", hop("a.lab", 403))), ""),
    "502": (facts(reached("a.lab", hop("a.lab", 502))), "http.server"),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLE)
def test_the_cause_of_what_was_seen(name: str) -> None:
    gathered, wanted = TABLE[name]
    first = gathered.paths[0]
    found = {cause.word for cause, paths in diagnose(evidence(gathered)).items() if first in paths}
    assert found == ({wanted} if wanted else set())


def test_every_cause_is_in_the_table_and_has_words_and_a_remedy() -> None:
    seen = set()
    for gathered, _ in TABLE.values():
        for cause, case in cases(evidence(gathered), DEBIAN):
            remedy = cause.remedy(case)
            assert case.seen and not case.seen.endswith(".") and "{" not in case.seen
            assert "None" not in case.seen + remedy.text and remedy.text
            seen.add(cause.word)
    assert seen == set(BY_WORD) - {"http.slow"}
    assert len(BY_WORD) == len(CAUSES) == len({cause.name for cause in CAUSES})


# --- Name servers that fail beside good ones ------------------------------------------------------


def with_answers(host: str, *answers: Any) -> Path:
    return structs.replace(reached(host), answers=answers)


SILENT2 = answer(SERVER2, "timeout")


@pytest.mark.parametrize(
    ("paths", "bad"),
    [
        ((with_answers("a.lab", answer(SERVER), SILENT2),), "does not answer"),
        ((with_answers("a.lab", answer(SERVER), SILENT2),
          with_answers("b.lab", answer(SERVER), answer(SERVER2))), ""),  # one loss is no silence
        ((with_answers("a.lab", answer(SERVER), answer(SERVER2, "nxdomain")),
          with_answers("b.lab", answer(SERVER), answer(SERVER2))), "names do not exist"),
        ((with_answers("a.lab", answer(SERVER), answer(SERVER2, "refused")),), "refuses"),
        ((with_answers("a.lab", answer(SERVER), answer(SERVER2, "servfail")),), "SERVFAIL"),
        ((with_answers("a.lab", answer(SERVER), answer(SERVER2, "no-address")),), "no addresses"),
        ((with_answers("a.lab", answer(SERVER, record="AAAA"),
                       answer(SERVER2, "no-address", "AAAA")),), ""),  # it may leave IPv6 out
        ((with_answers("a.lab", answer(SERVER, "timeout"), SILENT2),), ""),  # none is better
    ],
)  # fmt: skip
def test_a_bad_name_server_beside_a_good_one(paths: tuple[Path, ...], bad: str) -> None:
    seen = evidence(facts(*paths, **TWO))
    found = diagnose(seen)
    assert [cause.word for cause in found] == (["dns.bad-resolver"] if bad else [])
    for cause, case in cases(seen, DEBIAN):
        assert (
            f"{SERVER2} " in case.seen and bad in case.seen and SERVER2 in cause.remedy(case).text
        )


# --- Throughput -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("length", "seconds", "slow"),
    [(100_000, 2.0, True), (100_000, 0.9, False), (220_000, 2.0, False), (0, 2.0, True),
     (0, 0.0, False)],
)  # fmt: skip
def test_a_download_is_slow_only_if_it_took_long_enough_to_tell(
    length: int, seconds: float, slow: bool
) -> None:
    measured = Download(host="a.lab", connections=4, length=length, seconds=seconds)
    seen = evidence(facts(reached("a.lab"), GOOD, download=measured), (), SLOW)
    found = list(cases(seen, DEBIAN))
    assert [cause.word for cause, _ in found] == (["http.slow"] if slow else [])
    for cause, case in found:
        assert "/s, and 100 kB/s or more is" in case.seen
        assert "https://a.lab/" in cause.remedy(case).commands[0]


# --- Expectations of single hosts -----------------------------------------------------------------


def test_a_403_that_everybody_gets_says_nothing() -> None:
    headers = {"cf-ray": "1", **HTML}
    path = reached("a.lab", hop("a.lab", 403, headers=headers, first="Access denied"))
    (cause,) = diagnose(evidence(facts(path)))
    assert cause.word == "http.cdn"
    assert not diagnose(evidence(facts(path), [endpoint("a.lab", forbidden=True)]))


def test_html_in_the_place_of_a_file_is_no_file() -> None:
    path = reached("a.lab", hop("a.lab", headers=HTML, first="Welcome"))
    assert not diagnose(evidence(facts(path), [endpoint("a.lab", path="/docs/")]))
    (cause,) = diagnose(evidence(facts(path), [endpoint("a.lab", path="/x/adm.png")]))
    assert cause.word == "http.block-page"


@pytest.mark.parametrize(
    ("host", "wanted"),
    [("cdn.Bioturing.com.", "bioturing.com"), ("localhost", "localhost"), ("", "")],
)
def test_sites(host: str, wanted: str) -> None:
    assert site(host) == wanted


# --- The text to hand on --------------------------------------------------------------------------


def lines(*paths: Path) -> Iterator[str]:
    ((cause, case),) = cases(evidence(facts(*paths, GOOD)), DEBIAN)
    yield from cause.remedy(case).text.splitlines()


def test_the_text_to_hand_on_has_all_that_a_network_team_asks_for() -> None:
    text = list(lines(unconnected("a.lab"), structs.replace(unconnected("b.lab"), port=8443)))
    at = text.index("To hand on:")
    assert text[at + 1] == (
        f"  2026-11-24 12:00:00 UTC, from lab ({OURS4}): no answer comes from TCP ports 443 and "
        "8443, as if a firewall drops the packets."
    )
    assert text[at + 2].startswith("  Please allow TCP ports 443 and 8443 outbound from this host")
    assert text[at + 3 :] == [
        "  Hosts, by HTTPS (TCP ports 443 and 8443):", f"  - a.lab ({V4})",
        f"  - b.lab:8443 ({V4})",
    ]  # fmt: skip


def test_where_nothing_was_connected_to_our_address_is_that_towards_the_name_servers() -> None:
    text = list(lines(unresolved("a.lab", "nxdomain")))
    assert f"from lab ({OURS4}): these names are denied by {SERVER}" in text[2]


def test_what_a_peer_says_cannot_become_a_command() -> None:
    evil = hop("x$(reboot)", None, failure=Failure("connect", "timeout"))
    ((cause, case),) = cases(evidence(facts(reached("a.lab", evil))), DEBIAN)
    assert cause.word == "http.redirect"
    assert cause.remedy(case).commands == ("curl -sSI --max-time 10 'https://x$(reboot)/'",)


def test_the_page_explains_every_cause_and_no_other() -> None:
    page = (File(__file__).parents[2] / "docs/egress.md").read_text()
    tables = "\n".join(line.split("|")[1] for line in page.splitlines() if line.startswith("| `"))
    assert set(re.findall(r"`([a-z]+\.[a-z0-9-]+)`", tables)) == set(BY_WORD)
