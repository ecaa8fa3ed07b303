"""https.letsencrypt: names, CAA records from real answers, addresses, port 80 and the issuer."""

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path as File
from typing import Any

import dns.message
import dns.rcode
import dns.rrset
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from biostudio_doctor import config as configuration
from biostudio_doctor.checks import https_letsencrypt as module
from biostudio_doctor.checks.https_letsencrypt import HttpsLetsencrypt, LetsencryptSettings
from biostudio_doctor.checks.https_letsencrypt_caa import permission
from biostudio_doctor.checks.https_letsencrypt_facts import LetsencryptFacts, Outside, read_report
from biostudio_doctor.checks.https_letsencrypt_name import examine
from biostudio_doctor.errors import ConfigError
from biostudio_doctor.host.addresses import Address, kind
from biostudio_doctor.model import NOT_CONFIGURED, Finding, Result, Status
from biostudio_doctor.peers.facts import Knock, PeersFacts, Place, Proof, Visit
from biostudio_doctor.probes import Failure, caa
from biostudio_doctor.probes.results import Answer, Caa, CaaAnswer, Path, Proxy, Route
from tests.conftest import MakeHost, context, judge, report
from tests.lab.names import DnsReply, name_server
from tests.lab.network import free_port
from tests.lab.paths import facts as egress_facts
from tests.lab.paths import reached, unconnected

DOMAIN = "biostudio.acme-university.org"
OURS, ELSEWHERE, LAN = "198.51.100.7", "203.0.113.9", "10.0.0.5"
OURS6, ELSEWHERE6 = "2001:db8:5::7", "2001:db8:9::9"
ISSUER = "acme-v02.api.letsencrypt.org"


def check(
    settings: LetsencryptSettings | None = None, *, domain: str | None = DOMAIN,
    ports: Mapping[str, int] | None = None, **https: Any,
) -> HttpsLetsencrypt:  # fmt: skip
    https = {"method": "letsencrypt", **https}
    return HttpsLetsencrypt(
        context(domain=domain, https=https, ports=dict(ports or {})),
        settings or LetsencryptSettings(),
    )


OUTER = LetsencryptSettings(name_server="192.0.2.53")


def own(*addresses: str, guests: bool = False) -> tuple[Address, ...]:
    return tuple(
        Address(interface="eth0", address=one, network=one, kind=kind(one), guests=guests)
        for one in addresses
    )


def answers(*addresses: str, reason: str = "no-address", **others: Any) -> tuple[Answer, ...]:
    """Of one server, for A and AAAA; `reason` is why there is none of a kind."""
    found = {
        "A": tuple(one for one in addresses if ":" not in one),
        "AAAA": tuple(one for one in addresses if ":" in one),
    }
    return tuple(
        Answer(
            server="192.0.2.53",
            record=record,  # type: ignore[arg-type]
            seconds=0.01,
            addresses=given,
            failure=None if given else Failure("resolve", reason),  # type: ignore[arg-type]
            **others,
        )
        for record, given in found.items()
    )


def gathered(*addresses: str, ours: tuple[str, ...] = (OURS,), **others: Any) -> LetsencryptFacts:
    none = (CaaAnswer(name=DOMAIN, server="192.0.2.53", code="NOERROR"),)
    return msgspec.structs.replace(
        LetsencryptFacts(
            name=DOMAIN,
            servers=("192.0.2.53",),
            answers=answers(*addresses),
            caa=none,
            own=own(*ours),
            direct=egress_facts(reached(ISSUER)),
        ),
        **others,
    )


# --- Whether it is asked at all -------------------------------------------------------------------


@pytest.mark.parametrize("method", [None, "bought", "self-signed"])
def test_it_is_asked_only_by_choice(method: str | None, make_host: MakeHost) -> None:
    asked = check(method=method)
    facts = asked.observe(make_host({}))
    assert isinstance(facts, LetsencryptFacts)
    (finding,) = judge(asked, facts).values()
    assert (finding.status, finding.cause) == (Status.SKIP, NOT_CONFIGURED)


def test_a_domain_is_needed(make_host: MakeHost) -> None:
    asked = check(domain=None)
    (finding,) = judge(asked, asked.observe(make_host({}))).values()
    assert (finding.status, finding.cause) == (Status.FAIL, "https.no-domain")


def test_bad_settings_are_one_line() -> None:
    for table in ({"public_addresses": ["here"]}, {"method": "magic"}):
        with pytest.raises(ConfigError):
            configuration.convert({"https": table}, configuration.Config, "test")
    with pytest.raises(ConfigError, match="expected an IP address"):
        configuration.convert({"name_server": "dns.lab"}, LetsencryptSettings, "test")


# --- Names ----------------------------------------------------------------------------------------

NAMES = {
    DOMAIN: "",
    "acme-university.edu": "",
    "BioStudio.Acme-University.EDU.": "",
    "b\u00fccher.acme-university.edu": "",
    "xn--bcher-kva.acme-university.edu": "",
    "\u751f\u7269.acme-university.cn": "",
    "1.acme-university.edu": "",
    "192.0.2.7": "https.address",
    "2001:db8::7": "https.address",
    "[2001:db8::7]": "https.address",
    "*.acme-university.edu": "https.wildcard",
    "bio*.acme-university.edu": "https.wildcard",
    "https://biostudio.acme-university.edu": "https.no-name",
    "biostudio.acme-university.edu:443": "https.no-name",
    "biostudio.acme-university.edu/": "https.no-name",
    "bio_studio.acme-university.edu": "https.no-name",
    "-bio.acme-university.edu": "https.no-name",
    "bio..acme-university.edu": "https.no-name",
    f"{'a' * 64}.acme-university.edu": "https.no-name",
    f"{'a.' * 126}edu": "https.no-name",
    "bio studio.edu": "https.no-name",
    "xn--0.acme-university.edu": "https.no-name",
    "10.0.0.256": "https.no-name",
    "": "https.no-name",
    "biostudio": "https.not-public",
    "localhost": "https.not-public",
    "biostudio.local": "https.not-public",
    "biostudio.lan": "https.not-public",
    "biostudio.corp": "https.not-public",
    "biostudio.acme.internal": "https.not-public",
    "biostudio.home.arpa": "https.not-public",
    "biostudio.test": "https.not-public",
    "biostudio.example.com": "https.not-public",
    "biostudio.invalid": "https.not-public",
    "biostudio.onion": "https.not-public",
    "biostudio.localdomain": "https.not-public",
    "local.acme-university.edu": "",
    "mylan.edu": "",
}


@pytest.mark.parametrize("domain", NAMES)
def test_names(domain: str) -> None:
    found = examine(domain)
    assert found.cause == NAMES[domain], found
    assert bool(found.problem) == bool(found.cause)
    assert found.cause or found.ascii.isascii()


@given(st.text(max_size=80))
def test_no_name_raises(domain: str) -> None:
    found = examine(domain)
    assert found.problem or found.ascii


def test_a_name_that_cannot_be_ends_it(make_host: MakeHost) -> None:
    asked = check(domain="*.acme-university.edu")
    (finding,) = judge(asked, asked.observe(make_host({}))).values()
    assert finding.status is Status.FAIL and "DNS-01" in finding.summary


# --- CAA: what a name server really says ----------------------------------------------------------

TREE = "a.b.acme.org"
LE, OTHER = '0 issue "letsencrypt.org"', '0 issue "digicert.com"'
ACCOUNT = "accounturi=https://acme-v02.api.letsencrypt.org/acme/acct/1"

#: Records by name, or an RCODE in their place; what comes out, and where it was found.
TREES: dict[str, tuple[dict[str, tuple[str, ...] | str], str, str]] = {
    "no record anywhere": ({}, "free", ""),
    "names above that do not exist": ({"b.acme.org": "NXDOMAIN"}, "free", ""),
    "at the name": ({TREE: (LE,)}, "permitted", TREE),
    "at its parent": ({"b.acme.org": (LE,)}, "permitted", "b.acme.org"),
    "at the domain": ({"acme.org": (LE,)}, "permitted", "acme.org"),
    "at the top": ({"org": (OTHER,)}, "forbidden", "org"),
    "another issuer": ({TREE: (OTHER,)}, "forbidden", TREE),
    "the nearest counts, for": ({TREE: (LE,), "acme.org": (OTHER,)}, "permitted", TREE),
    "the nearest counts, against": ({TREE: (OTHER,), "acme.org": (LE,)}, "forbidden", TREE),
    "one of several": ({"acme.org": (OTHER, LE)}, "permitted", "acme.org"),
    "nobody": ({"acme.org": ('0 issue ";"',)}, "forbidden", "acme.org"),
    "nobody, empty": ({"acme.org": ('0 issue ""',)}, "forbidden", "acme.org"),
    "nobody but one": ({"acme.org": ('0 issue ";"', LE)}, "permitted", "acme.org"),
    "iodef only": ({"acme.org": ('0 iodef "mailto:x@acme.org"',)}, "free", "acme.org"),
    "iodef below hides what is above": (
        {TREE: ('0 iodef "mailto:x@acme.org"',), "acme.org": (OTHER,)}, "free", TREE),
    "wildcards only": ({"acme.org": ('0 issuewild ";"',)}, "free", "acme.org"),
    "wildcards do not help": (
        {"acme.org": (OTHER, '0 issuewild "letsencrypt.org"')}, "forbidden", "acme.org"),
    "wildcards do not harm": ({"acme.org": (LE, '0 issuewild ";"')}, "permitted", "acme.org"),
    "the tag in capitals": ({"acme.org": ('0 ISSUE "letsencrypt.org"',)}, "permitted", "acme.org"),
    "the issuer in capitals": (
        {"acme.org": ('0 issue "LetsEncrypt.org"',)}, "spelling", "acme.org"),
    "critical and known": ({"acme.org": ('128 issue "letsencrypt.org"',)}, "permitted", "acme.org"),
    "critical and unknown": ({"acme.org": (LE, '128 tbs "x"')}, "critical", "acme.org"),
    "critical, for mail": ({"acme.org": (LE, '128 issuemail ";"')}, "permitted", "acme.org"),
    "critical by the wrong bit": ({"acme.org": (LE, '1 tbs "x"')}, "critical", "acme.org"),
    "unknown": ({"acme.org": (LE, '0 issuemail ";"')}, "permitted", "acme.org"),
    "unknown only": ({"acme.org": ('0 issuemail ";"',)}, "free", "acme.org"),
    "blanks and a semicolon": ({"acme.org": ('0 issue " letsencrypt.org ; "',)}, "permitted",
                               "acme.org"),
    "by HTTP-01": (
        {"acme.org": ('0 issue "letsencrypt.org; validationmethods=dns-01,http-01"',)},
        "permitted", "acme.org"),
    "by DNS-01 only": (
        {"acme.org": ('0 issue "letsencrypt.org; validationmethods=dns-01"',)},
        "method", "acme.org"),
    "for an account": ({"acme.org": (f'0 issue "letsencrypt.org; {ACCOUNT}"',)}, "account",
                       "acme.org"),
    "for an account, by DNS-01": (
        {"acme.org": (f'0 issue "letsencrypt.org;{ACCOUNT};validationmethods=dns-01"',)},
        "method", "acme.org"),
    "for an account or for all": (
        {"acme.org": (f'0 issue "letsencrypt.org; {ACCOUNT}"', LE)}, "permitted", "acme.org"),
    "for two accounts in one": (
        {"acme.org": (f'0 issue "letsencrypt.org; {ACCOUNT}; {ACCOUNT}"',)},
        "forbidden", "acme.org"),
    "an unknown parameter": ({"acme.org": ('0 issue "letsencrypt.org; policy=ev"',)}, "permitted",
                             "acme.org"),
    "a malformed parameter": ({"acme.org": ('0 issue "letsencrypt.org; http-01"',)}, "forbidden",
                              "acme.org"),
    "malformed": ({"acme.org": ('0 issue "letsencrypt.org http-01"',)}, "forbidden", "acme.org"),
    "another name that ends so": ({"acme.org": ('0 issue "notletsencrypt.org"',)}, "forbidden",
                                  "acme.org"),
    "an alias with records": ({TREE: ("-> elsewhere.net",), "elsewhere.net": (OTHER,)},
                              "forbidden", TREE),
    "an alias without": ({TREE: ("-> elsewhere.net",), "acme.org": (LE,), "net": (OTHER,)},
                         "permitted", "acme.org"),
    "SERVFAIL at the name": ({TREE: "SERVFAIL", "acme.org": (LE,)}, "failed", TREE),
    "SERVFAIL on the way": ({"b.acme.org": "SERVFAIL", "acme.org": (LE,)}, "failed", "b.acme.org"),
    "SERVFAIL above what counts": ({TREE: (LE,), "acme.org": "SERVFAIL"}, "permitted", TREE),
    "REFUSED": ({"acme.org": "REFUSED"}, "failed", "acme.org"),
}  # fmt: skip


def zone(tree: Mapping[str, tuple[str, ...] | str]) -> DnsReply:
    def reply(query: dns.message.Message) -> bytes:
        response = dns.message.make_response(query)
        name = query.question[0].name.to_text().rstrip(".").lower()
        for _ in range(4):
            told = tree.get(name, ())
            if isinstance(told, str):
                response.set_rcode(dns.rcode.from_text(told))
            elif told and told[0].startswith("-> "):
                target = told[0][3:]
                response.answer.append(
                    dns.rrset.from_text(f"{name}.", 60, "IN", "CNAME", f"{target}.")
                )
                name = target
                continue
            elif told:
                response.answer.append(dns.rrset.from_text(f"{name}.", 60, "IN", "CAA", *told))
            break
        return response.to_wire(max_size=65535)

    return reply


def climb(reply: DnsReply, timeout: float = 1) -> tuple[CaaAnswer, ...]:
    with name_server(reply) as port:
        return asyncio.run(caa.climb(TREE, ("127.0.0.1",), timeout=timeout, port=port))


@pytest.mark.parametrize("name", TREES)
def test_trees_of_caa_records(name: str) -> None:
    tree, wanted, where = TREES[name]
    found = permission(climb(zone(tree)))
    assert (found.answer, found.name) == (wanted, where), found


def test_the_trees_are_many() -> None:
    assert len(TREES) >= 20


def malformed(query: dns.message.Message) -> bytes:
    """A tag with a byte in it that no tag has."""
    name = query.question[0].name.to_text().rstrip(".")
    return (zone({name: (LE,)})(query) or b"").replace(b"issue", b"is\xffue")


@pytest.mark.parametrize(
    "reply", [lambda query: None, lambda query: b"GET / HTTP/1.1", malformed],
    ids=["silence", "no DNS", "malformed"],
)  # fmt: skip
def test_garbage_and_silence_are_no_permission(reply: DnsReply) -> None:
    assert permission(climb(reply, 0.3)).answer == "failed"


def test_thousands_of_records_are_cut_short() -> None:
    tree = {TREE: tuple(f'0 issue "ca{number}.org"' for number in range(900))}
    assert all(len(one.records) <= 64 for one in climb(zone(tree)))


def test_no_server_is_no_permission() -> None:
    assert permission(()).answer == "failed"


@given(st.text(max_size=60))
def test_no_value_raises(value: str) -> None:
    record = Caa(0, "issue", value)
    permission((CaaAnswer(name="acme.org", server="::1", records=(record,)),))


def about_caa(answer: CaaAnswer, **others: Any) -> Finding:
    return judge(check(), gathered(OURS, caa=(answer,), **others))["CAA"]


def test_caa_findings_say_what_to_do() -> None:
    def said(*values: str) -> Finding:
        records = tuple(Caa(0, "issue", value) for value in values)
        return about_caa(CaaAnswer(name="acme.org", server="::1", records=records))

    assert said("letsencrypt.org").status is Status.PASS
    forbidden = said("digicert.com")
    assert (forbidden.status, forbidden.cause) == (Status.FAIL, "https.caa")
    assert forbidden.remedy and 'acme.org. CAA 0 issue "letsencrypt.org"' in forbidden.remedy.text
    assert forbidden.observed == '0 issue "digicert.com"'
    assert said(f"letsencrypt.org; {ACCOUNT}").status is Status.WARN
    assert said("letsencrypt.org; validationmethods=dns-01").cause == "https.caa-method"
    failed = Failure("resolve", "servfail", "SERVFAIL")
    broken = about_caa(
        CaaAnswer(name="acme.org", server="::1", failure=failed, extended=("DNSSEC Bogus",))
    )
    assert (broken.status, broken.cause) == (Status.FAIL, "https.caa-servfail")
    assert "DNSSEC Bogus" in broken.summary
    silent = about_caa(
        CaaAnswer(name="acme.org", server="::1", failure=Failure("resolve", "timeout"))
    )
    assert (silent.status, silent.cause) == (Status.ERROR, "https.caa-unknown")


def test_what_an_inner_name_server_does_not_show_is_not_permitted() -> None:
    """A server inside that has no record says nothing of the public DNS."""
    found = judge(check(), gathered(LAN))["CAA"]
    assert (found.status, found.cause) == (Status.ERROR, "https.caa-unknown")


# --- Addresses ------------------------------------------------------------------------------------

ADDRESSES: dict[str, tuple[LetsencryptFacts, dict[str, Any], dict[str, tuple[str, str]]]] = {
    "this host's own": (gathered(OURS), {}, {"IPv4": ("pass", "")}),
    "both families": (gathered(OURS, OURS6, ours=(OURS, OURS6)), {},
                      {"IPv4": ("pass", ""), "IPv6": ("pass", "")}),
    "IPv6 only": (gathered(OURS6, ours=(OURS6,)), {}, {"IPv6": ("pass", "")}),
    "elsewhere": (gathered(ELSEWHERE), {}, {"IPv4": ("fail", "https.elsewhere")}),
    "here and elsewhere": (gathered(OURS, ELSEWHERE), {}, {"IPv4": ("fail", "https.elsewhere")}),
    "elsewhere, as stated": (gathered(ELSEWHERE), {"public_addresses": [ELSEWHERE]},
                             {"IPv4": ("pass", "")}),
    "behind NAT": (gathered(ELSEWHERE, ours=(LAN,)), {}, {"IPv4": ("error", "https.behind-nat")}),
    "behind NAT, as stated": (gathered(ELSEWHERE, ours=(LAN,)), {"public_addresses": [ELSEWHERE]},
                              {"IPv4": ("pass", "")}),
    "behind NAT, stated otherwise": (gathered(ELSEWHERE, ours=(LAN,)), {"public_addresses": [OURS]},
                                     {"IPv4": ("fail", "https.elsewhere")}),
    "IPv6 that this host has not": (gathered(OURS, ELSEWHERE6), {},
                                    {"IPv4": ("pass", ""), "IPv6": ("fail", "https.ipv6")}),
    "IPv6 with link addresses only": (gathered(OURS, ELSEWHERE6, ours=(OURS, "fe80::1", "fd00::1")),
                                      {}, {"IPv4": ("pass", ""), "IPv6": ("fail", "https.ipv6")}),
    "IPv6 elsewhere": (gathered(OURS, ELSEWHERE6, ours=(OURS, OURS6)), {},
                       {"IPv4": ("pass", ""), "IPv6": ("fail", "https.elsewhere")}),
    "IPv6, stated in another notation": (
        gathered(OURS, ELSEWHERE6), {"public_addresses": ["2001:0DB8:9:0:0:0:0:9"]},
        {"IPv4": ("pass", ""), "IPv6": ("pass", "")}),
    "both families behind a load balancer": (
        gathered(ELSEWHERE, ELSEWHERE6, ours=(LAN,)), {},
        {"IPv4": ("error", "https.behind-nat"), "IPv6": ("error", "https.behind-nat")}),
    "only one of them stated": (
        gathered(ELSEWHERE, ELSEWHERE6, ours=(LAN,)), {"public_addresses": [ELSEWHERE]},
        {"IPv4": ("pass", ""), "IPv6": ("fail", "https.ipv6")}),
    "addresses of guests do not count": (
        gathered(OURS, own=own(OURS, guests=True)), {}, {"IPv4": ("error", "https.behind-nat")}),
    "our own are unknown": (
        gathered(OURS, OURS6, own=(), own_unknown="not permitted"), {},
        {"IPv4": ("error", "https.behind-nat"), "IPv6": ("error", "https.behind-nat")}),
    "private only": (gathered(LAN), {}, {"addresses": ("error", "https.split-view")}),
    "private only, from outside": (gathered(LAN), {"outer": True},
                                   {"addresses": ("fail", "https.private-address")}),
    "loopback only, from outside": (gathered("127.0.0.1", "::1"), {"outer": True},
                                    {"addresses": ("fail", "https.private-address")}),
    "private, too": (gathered(OURS, LAN), {},
                     {"IPv4": ("pass", ""), "IPv4 private": ("warn", "https.private-too")}),
    "no such name": (gathered(answers=answers(reason="nxdomain")), {},
                     {"addresses": ("error", "https.no-address")}),
    "no such name, from outside": (gathered(answers=answers(reason="nxdomain")), {"outer": True},
                                   {"addresses": ("fail", "https.no-address")}),
    "no address": (gathered(), {"outer": True}, {"addresses": ("fail", "https.no-address")}),
    "SERVFAIL": (gathered(answers=answers(reason="servfail", extended=("DNSSEC Bogus",))), {},
                 {"addresses": ("fail", "https.dns-servfail")}),
    "silence": (gathered(answers=answers(reason="timeout")), {},
                {"addresses": ("error", "https.dns-unknown")}),
    "no server": (gathered(answers=(), servers=()), {},
                  {"addresses": ("error", "https.dns-unknown")}),
}  # fmt: skip


@pytest.mark.parametrize("name", ADDRESSES)
def test_addresses(name: str) -> None:
    facts, https, wanted = ADDRESSES[name]
    settings = OUTER if https.get("outer") else None
    asked = check(settings, **{key: https[key] for key in https if key != "outer"})
    found = judge(asked, facts)
    rest = {"name", "port 80", "CAA", ISSUER}
    told = {
        subject: (str(finding.status), finding.cause)
        for subject, finding in found.items()
        if subject not in rest
    }
    assert told == wanted
    for finding in found.values():
        assert finding.status is Status.PASS or finding.remedy, finding
        assert finding.summary.endswith(".") and "None" not in finding.summary


def test_an_alias_is_named() -> None:
    facts = gathered(answers=answers(OURS, aliases=("front.acme.org",)))
    assert "by way of the alias front.acme.org" in judge(check(), facts)["IPv4"].summary


def test_the_first_failure_tells_of_the_limits() -> None:
    found = judge(check(ports={"http": 8080}), gathered(ELSEWHERE))
    told = [one for one in found.values() if one.remedy and "five failed" in one.remedy.text]
    assert told == [found["IPv4"]]


# --- Port 80 --------------------------------------------------------------------------------------


def port_80(
    outside: Outside | None = None, stated: bool = False, http: int = 80
) -> tuple[Status, str]:
    asked = check(port_80_leads_here=stated, ports={"http": http})
    finding = judge(asked, gathered(OURS, outside=outside))["port 80"]
    assert finding.status is Status.PASS or finding.remedy
    return finding.status, finding.cause


def seen(port: int = 80, client: str = ELSEWHERE, cell: str = "open 12 ms") -> Outside:
    return Outside(hostname="far", when=datetime(2026, 11, 20, tzinfo=UTC), address=OURS,
                   client=client, arrived_at=port, cell=cell)  # fmt: skip


def test_port_80() -> None:
    assert port_80() == (Status.ERROR, "https.port-unproven")
    assert port_80(stated=True) == (Status.PASS, "")
    assert port_80(http=8080) == (Status.FAIL, "https.port")
    assert port_80(http=8080, stated=True) == (Status.PASS, "")
    assert port_80(seen()) == (Status.PASS, "")
    assert port_80(seen(8080), http=8080) == (Status.PASS, "")
    assert port_80(seen(8080)) == (Status.FAIL, "https.port-closed")
    assert port_80(seen(0, "", "filtered"), stated=True) == (Status.FAIL, "https.port-closed")
    assert port_80(seen(client=LAN)) == (Status.ERROR, "https.port-unproven")
    assert port_80(Outside(problem="it is old")) == (Status.ERROR, "https.outside-report")


def peers_report(file: File, *knocks: Knock, address: str = OURS, name: str = OURS) -> None:
    visit = Visit(role="bioproxy", name=name, address=address, knocks=knocks)
    observed = msgspec.to_builtins(PeersFacts(hostname="far", visits=(visit,)))
    result = Result(
        id="ports.peers", title="", status=Status.PASS, findings=(), observation=observed
    )
    file.write_bytes(msgspec.json.encode(report(results=(result,))))


def knock(port: int = 80, arrived: int | None = 80) -> Knock:
    proof = arrived and Proof(
        role="bioproxy", client=Place(ELSEWHERE, 40000), listener=Place(LAN, arrived), ports=(80,)
    )
    return Knock(port=port, service="http", proof=proof or None)


def test_a_report_from_outside(make_host: MakeHost, tmp_path: File) -> None:
    host, file = make_host({}), tmp_path / "root/outside.json"
    wanted = frozenset({OURS, DOMAIN})

    def read() -> Outside:
        return read_report(host, "/outside.json", wanted)

    assert "cannot be read" in read().problem
    peers_report(file, knock(443, 443), knock())
    found = read()
    assert (found.problem, found.arrived_at, found.client) == ("", 80, ELSEWHERE)
    assert found.hostname == "far" and found.when and found.cell.startswith("open")
    peers_report(file, knock(80, None))
    assert read().arrived_at == 0 and not read().problem
    peers_report(file, knock(), address="192.0.2.99", name=DOMAIN.upper())
    assert read().arrived_at == 80
    for other in ((knock(443, 443),), ()):
        peers_report(file, *other)
        assert "says nothing of port 80" in read().problem
    peers_report(file, knock(), address="192.0.2.99", name="other")
    assert "says nothing of port 80" in read().problem
    for broken in (b"", b"{}", b"\xff", b"[" * 100000, msgspec.json.encode(report(Status.PASS))):
        file.write_bytes(broken)
        assert read().problem


@given(st.text(max_size=40))
def test_a_report_with_any_address_raises_nothing(address: str) -> None:
    data = json.dumps({"role": "bioproxy", "client": {"address": address, "port": 1},
                       "listener": {"address": address, "port": 80}, "ports": [80]})  # fmt: skip
    proof = msgspec.json.decode(data, type=Proof)
    visit = Visit(role="bioproxy", name=OURS, address=OURS,
                  knocks=(Knock(port=80, service="http", proof=proof),))  # fmt: skip
    from biostudio_doctor.checks.https_letsencrypt_facts import _port_80

    now = datetime(2026, 11, 20, tzinfo=UTC)
    found = _port_80(PeersFacts(hostname="h", visits=(visit,)), frozenset({OURS}), now, "/x")
    judge(check(), gathered(OURS, outside=found))


# --- The issuer -----------------------------------------------------------------------------------

PROXIED = Route(
    variable="https_proxy", proxy=Proxy(scheme="http", host="proxy.acme.org", port=3128)
)


def issuer(direct: Path, by_proxy: Path | None = None) -> Finding:
    facts = gathered(
        OURS,
        direct=egress_facts(direct),
        by_proxy=egress_facts(by_proxy) if by_proxy else None,
    )
    return judge(check(), facts)[ISSUER]


def test_the_issuer() -> None:
    assert issuer(reached(ISSUER)).status is Status.PASS
    blocked = unconnected(ISSUER)
    alone = issuer(blocked)
    assert (alone.status, alone.cause) == (Status.FAIL, "tcp.dropped")
    proxied = msgspec.structs.replace(reached(ISSUER), route=PROXIED)
    only = issuer(blocked, proxied)
    assert (only.status, only.cause) == (Status.FAIL, "https.issuer-by-proxy")
    assert "http://proxy.acme.org:3128" in only.summary
    assert "bioproxy must have no proxy" in only.summary
    assert issuer(reached(ISSUER), proxied).status is Status.PASS
    both = issuer(blocked, msgspec.structs.replace(blocked, route=PROXIED))
    assert both.cause == "tcp.dropped"


def test_a_proxy_that_cannot_be_used_hides_nothing_else(
    make_host: MakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = msgspec.structs.replace(module.ISSUER, host="127.0.0.1", port=free_port())
    monkeypatch.setattr(module, "ISSUER", here)
    for unusable in ({"proxy_login_file": "/nowhere"}, {"ca_file": "/nowhere"}):
        table = {"egress.hosts": {"proxy": "http://127.0.0.1:9", **unusable}}
        asked = HttpsLetsencrypt(
            context(
                domain=DOMAIN, https={"method": "letsencrypt"}, timeout=3, checks=table,
            ),
            LetsencryptSettings(),
        )  # fmt: skip
        facts: Any = asked.observe(make_host({"/etc/resolv.conf": ""}))
        found = asyncio.run(facts)
        assert found.direct and not found.by_proxy
        assert judge(asked, found)["name"].status is Status.PASS


def test_facts_are_carried_by_a_bundle() -> None:
    facts = gathered(OURS, outside=seen(), caa=(CaaAnswer(name="a", server="b"),))
    assert msgspec.json.decode(msgspec.json.encode(facts), type=LetsencryptFacts) == facts
