"""The causes of egress.hosts, each by the evidence for it and by its nearest neighbour's."""

import re
from collections.abc import Iterator
from pathlib import Path as File
from typing import Any

import pytest
from msgspec import structs

from biostudio_doctor import checks
from biostudio_doctor.checks.egress_causes import BY_WORD, CAUSES, cases, diagnose
from biostudio_doctor.checks.egress_facts import EgressFacts, site
from biostudio_doctor.model import Machine, Remedy
from biostudio_doctor.probes import Failure, Reason
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
PRIVATE = structs.replace(answer(SERVER), addresses=("10.6.6.7",))
REFUSED = answer(SERVER, "refused", code="REFUSED")
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


def with_answers(path: Path, *answers: Any) -> Path:
    return structs.replace(path, answers=answers)


def nameless(reason: Reason) -> Path:
    """The way of a proxy whose own name is not found."""
    path = proxied("a.lab", reason)
    found = unresolved("proxy.lab", reason)
    return structs.replace(path, lookup=found.lookup, answers=found.answers, attempts=())


def setting(reason: str) -> EgressFacts:
    failure = Failure("proxy", reason, "makes no sense")  # type: ignore[arg-type]
    route = Route(variable="https_proxy", failure=failure)
    return facts(Path(host="a.lab", port=443, route=route, failure=failure))


def with_offset(path: Path, seconds: float) -> dict[str, Any]:
    return {"second_looks": (look(path.host, unverified=hop(path.host, clock_offset=seconds)),)}


def stalled(**found: Any) -> EgressFacts:
    return facts(cut("a.lab"), GOOD, second_looks=(look("a.lab", **found),))


def by(issuer: str, *hosts: str) -> list[Path]:
    return [untrusted(host, 20, *[certificate(issuer, host)] * 2) for host in hosts]


def trusted(issuer: str, *hosts: str) -> list[Path]:
    def tls(host: str) -> TlsResult:
        return structs.replace(shaken(host), chain=(certificate(issuer, host),))

    return [structs.replace(reached(host), tls=tls(host)) for host in hosts]


def refusing(status: int, *hosts: str, server: str = "Device") -> list[Path]:
    headers = {"server": server, "via": "1.1 box"}
    return [reached(one, hop(one, status, headers=headers, first=f"No {one}")) for one in hosts]


DAY = 86400.0
BOX = certificate("Box Inc.", "box.corp")
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
    "refused to all": (facts(unresolved("a.lab", "refused", REFUSED)), "dns.refused"),
    "refused for one": (facts(unresolved("a.lab", "refused", REFUSED), GOOD), "dns.filtered"),
    "port 53 is closed": (facts(unresolved("a.lab", "refused")), "dns.closed"),
    "the system does not find what its only server knows": (
        facts(unresolved("a.lab", "nxdomain", answer(SERVER))), "dns.system"),
    "the system does not find what both servers know": (
        facts(unresolved("a.lab", "timeout", answer(SERVER), answer(SERVER2)), **TWO),
        "dns.system"),
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
    "private, but public by the name server": (
        facts(leading_to(with_answers(unconnected("a.lab"), answer(SERVER)),
                         "10.6.6.6")), "dns.hosts-file"),
    "private, by the name server, too": (
        facts(leading_to(with_answers(unconnected("a.lab"), PRIVATE),
                         "10.6.6.6")), "dns.sinkhole"),
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
    "proxy hangs": (facts(proxied("a.lab", "timeout")), "proxy.upstream"),
    "proxy closes": (facts(proxied("a.lab", "closed")), "proxy.failed"),
    "its name is not found": (facts(nameless("nxdomain")), "proxy.unreachable"),
    "its name finds no answer": (facts(nameless("timeout")), "dns.silent"),
    "its name makes the resolver fail": (facts(nameless("servfail")), "dns.servfail"),
    "its name is asked for at a closed port": (facts(nameless("refused")), "dns.closed"),
    "302": (facts(proxied("a.lab", "proxy-denied", 302)), "proxy.login"),
    "429 of the proxy": (facts(proxied("a.lab", "proxy-denied", 429)), "proxy.busy"),
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
    "another name, by an unknown issuer": (facts(untrusted("a.lab", 20, BOX), GOOD), "tls.name"),
    "a box that redirects": (
        facts(untrusted("a.lab", 20, BOX), GOOD, second_looks=(
            look("a.lab", unverified=hop("a.lab", 302), unverified_left_at="https://box.corp/"),)),
        "http.portal"),
    "an interceptor that passes a redirect on": (
        facts(untrusted("a.lab", 20), GOOD, second_looks=(
            look("a.lab", unverified=hop("a.lab", 302), unverified_left_at="https://cdn.example/"),
            )), "tls.intercepted"),
    "a box that redirects to its login by HTTP": (
        facts(untrusted("a.lab", 20), GOOD, second_looks=(
            look("a.lab", unverified=hop("a.lab", 302), unverified_left_at="http://box.corp/"),)),
        "http.portal"),
    "a block page behind an unknown issuer": (
        facts(untrusted("a.lab", 20), GOOD, second_looks=(
            look("a.lab", unverified=hop("a.lab", 403, headers=HTML, first="Web Filter")),)),
        "http.block-page"),
    "a private issuer": (facts(untrusted("a.lab", 20), GOOD), "tls.intercepted"),
    "a private issuer everywhere": (facts(untrusted("a.lab", 19), untrusted("b.other", 19)),
                                    "tls.intercepted"),
    "a public issuer": (
        facts(untrusted("a.lab", 20, certificate("DigiCert Inc"), certificate("DigiCert Inc"))),
        "tls.bundle"),
    "a public issuer of everything": (
        facts(*by("Sectigo Limited", "a.lab", "b.other")),
        "tls.intercepted"),
    "a public issuer beside another": (
        facts(*by("Sectigo Limited", "a.lab"), *by("DigiCert Inc", "b.other")), "tls.bundle"),
    "a device of a public authority": (
        facts(*by("Cloudflare, Inc., CN=Gateway CA", "a.lab"), GOOD), "tls.intercepted"),
    "a hospital by its name": (
        facts(*by("ssl.community-hospital.org", "a.lab"), GOOD), "tls.intercepted"),
    "trusted interception": (facts(*trusted("Site CA", "a.lab", "b.other")),
                             "tls.intercepted-trusted"),
    "trusted interception of one site": (
        facts(*trusted("Site CA", "a.x.lab", "b.x.lab"), GOOD), ""),
    "a mirror by a private issuer": (facts(*trusted("Site CA", "a.lab"), GOOD), ""),
    "several issuers": (
        facts(*(untrusted(f"{name}.lab", 20, certificate(f"Trust {name}", f"{name}.lab"))
                for name in "abc")),
        "tls.bundle"),
    "no intermediate": (facts(untrusted("a.lab", 20, certificate("Let's Encrypt")), GOOD),
                        "tls.chain"),
    "self-signed": (facts(untrusted("a.lab", 18), GOOD), "tls.invalid"),
    "TLS 1.0": (facts(cut("a.lab", "tls-protocol", version="TLSv1")), "tls.old"),
    "no TLS": (facts(cut("a.lab", "tls-protocol", detail="no TLS: it says 'SSH'")), "tls.none"),
    # HTTP
    "no answer": (facts(cut("a.lab", "closed", "request")), "http.failed"),
    "portal": (facts(reached("a.lab", left_at="http://portal.hotel/in")), "http.portal"),
    "511": (facts(reached("a.lab", hop("a.lab", 511))), "http.portal"),
    "a redirect to an address": (
        facts(reached("a.lab", hop("10.0.0.1", None, failure=Failure("tls", "untrusted")))),
        "http.portal"),
    "a mirror that redirects to an address": (
        facts(leading_to(reached("a.lab", hop("10.0.0.1")), "10.0.0.2")), ""),
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
    "403 of S3": (
        facts(reached("a.lab", hop("a.lab", 403, headers={"x-amz-request-id": "1"}))), ""),
    "429": (facts(reached("a.lab", hop("a.lab", 429))), "http.cdn"),
    "429 in the words of a filter": (
        facts(reached("a.lab", hop("a.lab", 429, headers=HTML, first="Access denied"))),
        "http.cdn"),
    "403 without more": (facts(reached("a.lab", hop("a.lab", 403))), ""),
    "403 from one device for all": (facts(*refusing(403, "a.lab", "b.lab", "c.other")),
                                    "http.block-page"),
    "503 from one device for all": (facts(*refusing(503, "a.lab", "b.lab", "c.other")),
                                    "http.block-page"),
    "403 from two": (facts(*refusing(403, "a.lab", "c.other")), ""),
    "403 from one site": (facts(*refusing(403, "a.x.lab", "b.x.lab", "c.x.lab")), ""),
    "403 from each by itself": (
        facts(*refusing(403, "a.lab"), *refusing(403, "b.lab", server="nginx"),
              *refusing(403, "c.other", server="Apache")), ""),
    "503 of one CDN": (
        facts(*refusing(503, "a.lab", "b.lab", "c.other", server="cloudflare")), "http.server"),
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


def answered(host: str, *answers: Any) -> Path:
    return with_answers(reached(host), *answers)


SILENT2 = answer(SERVER2, "timeout")


@pytest.mark.parametrize(
    ("paths", "bad"),
    [
        ((answered("a.lab", answer(SERVER), SILENT2),), "does not answer"),
        ((answered("a.lab", answer(SERVER), SILENT2),
          answered("b.lab", answer(SERVER), answer(SERVER2))), ""),  # one loss is no silence
        ((answered("a.lab", answer(SERVER), answer(SERVER2, "nxdomain")),
          answered("b.lab", answer(SERVER), answer(SERVER2))), "names do not exist"),
        ((answered("a.lab", answer(SERVER),
                   answer(SERVER2, "refused", code="REFUSED")),), "refuses"),
        ((answered("a.lab", answer(SERVER), answer(SERVER2, "servfail")),), "SERVFAIL"),
        ((answered("a.lab", answer(SERVER), answer(SERVER2, "no-address")),), "no addresses"),
        ((answered("a.lab", answer(SERVER, record="AAAA"),
                       answer(SERVER2, "no-address", "AAAA")),), ""),  # it may leave IPv6 out
        ((answered("a.lab", answer(SERVER, "timeout"), SILENT2),), ""),  # none is better
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
        assert "(asked for a.lab)" in case.seen


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


# --- Interception that this host trusts -----------------------------------------------------------


def test_a_device_that_is_trusted_needs_steps_for_conda_and_containers_and_none_for_the_host() -> (
    None
):
    ((cause, case),) = cases(evidence(facts(*trusted("Site CA", "a.lab", "b.other"))), DEBIAN)
    remedy = cause.remedy(case)
    assert cause.warns and "TLS is intercepted by 'Site CA', which this host trusts" in case.seen
    assert "ssl_verify /etc/ssl/certs/ca-certificates.crt" in remedy.text
    assert "REQUESTS_CA_BUNDLE" in remedy.text
    assert not any("update-ca" in command for command in remedy.commands)


def test_mirrors_of_your_own_may_share_a_private_issuer() -> None:
    own = [endpoint(host, group="your own hosts") for host in ("a.lab", "b.other")]
    assert not diagnose(evidence(facts(*trusted("Site CA", "a.lab", "b.other")), own))


def test_who_answers_for_all_is_known_by_its_headers() -> None:
    seen = evidence(facts(*refusing(403, "a.lab", "b.lab", "c.other")))
    ((_, case),) = cases(seen, DEBIAN)
    assert "one and the same HTTP 403, Server: Device, Via: 1.1 box" in case.seen


def test_hosts_that_forbid_everybody_are_no_sign_of_a_device() -> None:
    hosts = "a.lab", "b.lab", "c.other"
    forbidding = [endpoint(host, forbidden=True) for host in hosts]
    assert not diagnose(evidence(facts(*refusing(403, *hosts)), forbidding))


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
        "8443 within 100 ms, as if a firewall drops the packets."
    )
    assert text[at + 2].startswith("  Please allow TCP ports 443 and 8443 outbound from this host")
    assert text[at + 3 :] == [
        "  Hosts, by HTTPS (TCP ports 443 and 8443):", f"  - a.lab ({V4})",
        f"  - b.lab:8443 ({V4})",
    ]  # fmt: skip


def test_where_nothing_was_connected_to_our_address_is_that_towards_the_name_servers() -> None:
    said = list(lines(unresolved("a.lab", "nxdomain")))[2]
    assert f"from lab ({OURS4}): these names are denied by {SERVER} (NXDOMAIN), while" in said


def remedy_of(word: str, gathered: EgressFacts, machine: Machine = DEBIAN) -> tuple[str, Remedy]:
    """What was seen of a cause, and what to do."""
    found = {cause.word: (cause, case) for cause, case in cases(evidence(gathered), machine)}
    cause, case = found[word]
    return case.seen, cause.remedy(case)


def test_the_request_names_the_proxy_that_was_gone_through() -> None:
    path = proxied("a.lab", "untrusted", 200)
    path = structs.replace(untrusted("a.lab", 20), route=path.route, reply=path.reply)
    _, remedy = remedy_of("tls.intercepted", facts(path, GOOD))
    assert f"from lab ({OURS4}) through the proxy http://proxy.lab:3128 (CONNECT: 200 No)" in (
        remedy.text
    )
    assert "s_client -showcerts -proxy proxy.lab:3128 -connect a.lab:443 </dev/null" in remedy.text
    _, denied = remedy_of("proxy.denied", facts(proxied("a.lab", "proxy-denied", 403)))
    assert denied.text.count("http://proxy.lab:3128") == 1


@pytest.mark.parametrize(
    ("offsets", "told"),
    [((-600, -601), "12:00:00 UTC (this host's clock is 10 minutes ahead), from"),
     ((90, 91), "(this host's clock is 91 seconds behind), from"), ((0, 600), "UTC, from"),
     ((-600,), "UTC, from"), ((30, 31), "UTC, from")],
)  # fmt: skip
def test_the_request_says_by_how_much_its_time_is_wrong(
    offsets: tuple[float, ...], told: str
) -> None:
    hosts = (f"h{number}.lab" for number in range(len(offsets)))
    answers = zip(hosts, offsets, strict=True)
    known = (reached(host, hop(host, clock_offset=offset)) for host, offset in answers)
    _, remedy = remedy_of("tcp.dropped", facts(unconnected("a.lab"), *known))
    assert told in remedy.text


@pytest.mark.parametrize(
    ("code", "days", "told"),
    [(9, 400, "not valid before 2026-12-29"), (10, -10, "valid until 2026-11-14 only")],
)
def test_a_certificate_out_of_time_says_from_when_or_until_when(
    code: int, days: float, told: str
) -> None:
    path = untrusted("a.lab", code, certificate(days=days))
    seen, remedy = remedy_of("tls.expired", facts(path, GOOD, **with_offset(path, 0)))
    assert told in seen and "ended" not in seen + remedy.text


def test_an_incomplete_chain_is_no_matter_of_time() -> None:
    path = untrusted("a.lab", 20, certificate("Let's Encrypt"))
    _, remedy = remedy_of("tls.chain", facts(path, GOOD))
    assert "must send the intermediate certificate of 'Let's Encrypt'" in remedy.text
    assert "2027" not in remedy.text and "ended" not in remedy.text


def test_a_proxy_that_does_not_get_out_is_not_told_to_be_the_wrong_one() -> None:
    waiting = structs.replace(proxied("a.lab", "timeout"), seconds={"proxy": 4.0})
    seen, remedy = remedy_of("proxy.upstream", facts(waiting))
    assert "accepts the connection and did not answer CONNECT for 4.0 s: its own DNS" in seen
    assert "- a.lab" in remedy.text and not remedy.commands
    both = facts(proxied("b.lab", "proxy-denied", 503), waiting)
    assert "itself (503 No), or did not answer CONNECT" in remedy_of("proxy.upstream", both)[0]


def test_what_this_host_does_by_itself_is_no_matter_for_the_network_team() -> None:
    path = with_answers(unconnected("a.lab"), answer(SERVER))
    seen, remedy = remedy_of("dns.hosts-file", facts(leading_to(path, "10.6.6.6")))
    assert "/etc/hosts" in seen and "nothing works there" in seen
    assert "grep -nF -e a.lab /etc/hosts" in remedy.commands and "To hand on" not in remedy.text
    system = facts(unresolved("a.lab", "nxdomain", answer(SERVER)))
    seen, remedy = remedy_of("dns.system", system)
    assert seen.startswith(f"{SERVER} knows the name, but this system's own resolver")
    assert "grep '^hosts' /etc/nsswitch.conf" in remedy.commands
    assert "To hand on" not in remedy.text


def test_a_sink_hole_where_something_answers_is_not_one_where_nothing_works() -> None:
    path = leading_to(untrusted("a.lab", 18), "10.6.6.6")
    seen, _ = remedy_of("dns.sinkhole", facts(path, GOOD))
    assert seen.endswith("and the TLS handshake fails there")


def test_this_host_s_own_resolver_is_started_and_another_one_asked_for() -> None:
    stub = unresolved("a.lab", "refused", answer("127.0.0.53", "refused"))
    gathered = facts(stub, name_servers=("127.0.0.53",))
    systemd = structs.replace(DEBIAN, systemd=True)
    seen, remedy = remedy_of("dns.closed", gathered, systemd)
    assert seen == "nothing listens on port 53 of 127.0.0.53"
    assert remedy.commands == ("systemctl restart systemd-resolved",)
    assert "To hand on" not in remedy.text
    bare = structs.replace(DEBIAN, systemd=False)
    _, remedy = remedy_of("dns.closed", gathered, bare)
    assert remedy.commands == ("cat /etc/resolv.conf", "ss -lnu")
    assert "To hand on" not in remedy.text
    _, remedy = remedy_of("dns.closed", facts(unresolved("a.lab", "refused")), systemd)
    assert f"let {SERVER} answer this host on port 53" in remedy.text


def test_a_silent_name_server_is_asked_for_the_name_of_the_proxy() -> None:
    seen, remedy = remedy_of("dns.silent", facts(nameless("timeout")))
    assert seen == f"no answer comes from {SERVER}"
    assert "for the name of the proxy, proxy.lab" in remedy.text
    assert "getent hosts proxy.lab" in remedy.commands


def test_which_address_is_dead_and_which_is_not() -> None:
    gathered, word = TABLE["one of two addresses"]
    seen, _ = remedy_of(word, gathered)
    assert seen.endswith(f"no answer comes from 192.0.2.8, while {V4} connects")


def test_what_a_peer_says_cannot_become_a_command() -> None:
    evil = hop("x$(reboot)", None, failure=Failure("connect", "timeout"))
    ((cause, case),) = cases(evidence(facts(reached("a.lab", evil))), DEBIAN)
    assert cause.word == "http.redirect"
    assert cause.remedy(case).commands == ("curl -sSI --max-time 10 'https://x$(reboot)/'",)


def test_the_page_explains_every_cause_and_no_other() -> None:
    page = (File(__file__).parents[2] / "docs/egress.md").read_text()
    tables = "\n".join(line.split("|")[1] for line in page.splitlines() if line.startswith("| `"))
    explained = re.findall(r"`([a-z]+\.[a-z0-9-]+)`", tables)
    assert set(explained) == set(BY_WORD) | set_by(
        "proxy", "proxy_engine", "trust", "trust_programs"
    )
    assert len(explained) == len(set(explained))


def set_by(*modules: str) -> set[str]:
    """The causes in the source of some checks of this host's own settings."""
    (room,) = checks.__path__
    sources = "".join((File(room) / f"egress_{name}.py").read_text() for name in modules)
    return set(re.findall(r'"((?:proxy|trust)\.[a-z-]+)"', sources))
