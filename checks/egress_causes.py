"""The causes that egress.hosts can name, all of them: evidence, words and remedy of each.

A cause is looked for from top to bottom, and the first whose rule holds is the one: so a host has
one cause, or none where all is well.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from biostudio_doctor import text
from biostudio_doctor.model import Machine, Remedy
from biostudio_doctor.probes import wording
from biostudio_doctor.probes.results import Path

from . import egress_advice as advice
from . import egress_rules as rules
from .egress_advice import Case
from .egress_facts import Evidence, presented, redirect_target


class Cause(NamedTuple):
    """One row of the table."""

    word: str  # stable: it stands in reports and metrics
    name: str  # for a person
    rule: Callable[[Path, Evidence], bool]
    seen: str | Callable[[Case], str]  # a clause, for the diagnosis and the network team
    remedy: Callable[[Case], Remedy]
    warns: bool = False  # the hosts are reached all the same

    def words(self, case: Case) -> str:
        """What was seen of these hosts."""
        if callable(self.seen):
            return self.seen(case)
        path = case.first
        return self.seen.format(
            ports=case.ports,
            servers=case.servers,
            issuers=case.issuers,
            variable=path.route.variable,
            proxy=path.route.proxy.url if path.route.proxy else "",
            detail=path.failure.detail if path.failure else "",
        )


# --- Words that need more than a blank filled in --------------------------------------------------


def _sink_hole(case: Case) -> str:
    found = dict.fromkeys(
        address for path in case.paths if path.lookup for address in path.lookup.addresses
    )
    return (
        f"DNS leads to {text.listing(found)}, which is no public address, and nothing works there"
    )


def _servfail(case: Case) -> str:
    told = next((one.extended[0] for one in case.first.answers if one.extended), "")
    return f"{case.servers} could not find names out (SERVFAIL{f': {told}' if told else ''})"


def _bad_resolvers(case: Case) -> str:
    bad = case.evidence.bad_servers
    said = text.listing(f"{server} {does}" for server, does in bad.items())
    return f"of the name servers in /etc/resolv.conf {said}, while another one answers"


def _port(case: Case) -> str:
    other = case.evidence.look(case.first).tried_port
    return f"{case.ports} is blocked, while port {other} of the same addresses connects"


def _clock(case: Case) -> str:
    offset = case.evidence.clock_offset(case.first)
    if not offset:
        return "this host's clock is wrong: no certificate is in time by it"
    days, hours = abs(offset) / 86400, abs(offset) / 3600
    wrong = f"{days:.0f} days" if days >= 2 else f"{hours:.0f} hours"
    return f"this host's clock is {wrong} {'behind' if offset > 0 else 'ahead'} of the servers'"


def _expired(case: Case) -> str:
    leaf = presented(case.first)
    last = f", valid until {leaf.not_after:%Y-%m-%d}" if leaf else ""
    return f"the certificate is out of time (issued by {case.issuers}{last})"


def _wrong_name(case: Case) -> str:
    leaf = presented(case.first)
    return f"a certificate of another name is presented ('{leaf.name if leaf else '?'}')"


def _intercepted(case: Case) -> str:
    unrelated = len({case.evidence.endpoint(path).domain for path in case.paths}) > 1
    of = "unrelated hosts" if unrelated else "the host"
    return (
        f"TLS is intercepted: the certificates of {of} are issued by {case.issuers}, which is no "
        "public authority"
    )


def _proxy_away(case: Case) -> str:
    problem = case.first.failure
    return wording.failed(case.first, problem) if problem else ""


def _portal(case: Case) -> str:
    target = redirect_target(case.first)
    where = f"{target[0]}://{target[1]}" if target else "elsewhere"
    return f"a captive portal answers instead, and redirects to {where}"


def _cdn(case: Case) -> str:
    answer = case.first.exchange.answer if case.first.exchange else None
    said = f"HTTP {answer.status} {answer.phrase}".rstrip() if answer else "a refusal"
    return f"the host's own network answers {said}, which is about this site's address"


def _redirect(case: Case) -> str:
    hop = rules.stray(case.first, case.evidence)
    if not (hop and hop.failure):
        return "a redirect fails"
    return (
        f"the redirect to {hop.host} fails ({wording.PHASES[hop.failure.phase]}: "
        f"{hop.failure.reason})"
    )


def _server(case: Case) -> str:
    answer = case.first.exchange.answer if case.first.exchange else None
    said = f"HTTP {answer.status} {answer.phrase}".rstrip() if answer else "an error"
    return f"the other end answers {said}, a fault of its own"


def _slow(case: Case) -> str:
    measured, wanted = case.evidence.facts.download, case.evidence.throughput
    if not (measured and wanted):
        return "downloads are slow"
    rate = text.size(measured.length / measured.seconds)
    return f"downloads come at {rate}/s, and {text.size(wanted.value)}/s or more is recommended"


def _other(case: Case) -> str:
    problem = case.first.failure
    return wording.failed(case.first, problem) if problem else "something is wrong"


# --- The table ------------------------------------------------------------------------------------

CAUSES = (
    # Settings of this host that keep everything from the start.
    Cause("proxy.socks", "SOCKS proxy", rules.socks_proxy,
          "{variable} {detail}", advice.ask_for_http_proxy),
    Cause("proxy.bad-setting", "proxy setting", rules.bad_proxy_setting,
          "the value of {variable} {detail}", advice.correct_proxy),
    Cause("proxy.needed", "proxy not set", rules.proxy_needed,
          "nothing is reached directly, and a proxy that this host names is not in force here",
          advice.set_proxy),
    Cause("tcp.no-route", "no route", rules.no_route,
          "this host has no route to the internet", advice.add_route),
    # Names.
    Cause("dns.no-resolver", "no name server", rules.no_resolver,
          "/etc/resolv.conf names no name server", advice.name_a_server),
    Cause("dns.bad-resolver", "bad name server", rules.bad_resolver,
          _bad_resolvers, advice.mend_resolvers),
    Cause("dns.servfail", "failing name resolution", rules.servfail,
          _servfail, advice.ask_for_upstream),
    Cause("dns.refused", "refusing name servers", rules.refuses_all,
          "this host is refused an answer by {servers}", advice.ask_for_dns),
    Cause("dns.silent", "silent name servers", rules.silent_resolver,
          "no answer comes from {servers}", advice.ask_for_dns),
    Cause("dns.no-public-names", "no public names", rules.no_public_names,
          "no public name at all is known to {servers}", advice.ask_for_dns),
    Cause("dns.filtered", "filtered names", rules.name_filtered,
          "these names are denied by {servers}, while others are found", advice.ask_for_names),
    Cause("dns.failed", "name resolution", rules.unresolved, _other, advice.ask_for_dns),
    Cause("dns.sinkhole", "sink hole", rules.sink_hole, _sink_hole, advice.ask_about_sink_hole),
    # Connections.
    Cause("tcp.port", "blocked port", rules.port_blocked, _port, advice.ask_for_rule),
    Cause("tcp.unreachable", "forbidden by a router", rules.unreachable,
          "a router or firewall answers that no way leads there (ICMP), on {ports}",
          advice.ask_for_rule),
    Cause("tcp.refused", "refused connections", rules.refused,
          "connections to {ports} are refused (TCP reset)", advice.ask_for_rule),
    Cause("tcp.dropped", "dropped packets", rules.dropped,
          "no answer comes from {ports}, as if a firewall drops the packets", advice.ask_for_rule),
    Cause("tcp.failed", "connections", rules.unconnected, _other, advice.ask_for_rule),
    Cause("tcp.mtu", "large packets lost", rules.large_packets_vanish,
          "small packets pass and large ones vanish on the way (MTU black hole)", advice.mend_mtu),
    # Proxies.
    Cause("proxy.unreachable", "unreachable proxy", rules.proxy_unreachable,
          _proxy_away, advice.ask_about_proxy),
    Cause("proxy.scheme", "https:// for an http:// proxy", rules.proxy_scheme,
          "{variable} says https://, but {proxy} does not speak TLS", advice.write_http_scheme),
    Cause("proxy.untrusted", "certificate of the proxy", rules.proxy_untrusted,
          "the certificate of the proxy {proxy} is not trusted", advice.trust_proxy),
    Cause("proxy.auth-scheme", "proxy without Basic", rules.proxy_auth_scheme,
          _proxy_away, advice.ask_for_basic),
    Cause("proxy.auth", "proxy wants a password", rules.proxy_auth,
          _proxy_away, advice.give_credentials),
    Cause("proxy.upstream", "proxy cannot get out", rules.proxy_upstream,
          "the proxy {proxy} cannot connect to these hosts itself ({detail})",
          advice.ask_proxy_team),
    Cause("proxy.denied", "denied by the proxy", rules.proxy_denied,
          "the proxy {proxy} refuses these hosts by its policy ({detail})", advice.ask_proxy_team),
    Cause("proxy.failed", "proxy out of order", rules.proxy_failed,
          _proxy_away, advice.ask_about_proxy),
    # TLS.
    Cause("tls.clock", "wrong clock", rules.wrong_clock, _clock, advice.set_clock),
    Cause("tls.expired", "expired certificate", rules.expired, _expired, advice.tell_owner),
    Cause("tls.name", "certificate of another name", rules.wrong_name,
          _wrong_name, advice.ask_who_answers),
    Cause("tls.chain", "incomplete chain", rules.intermediate_missing,
          "the certificate comes without that of its issuer, {issuers}", advice.tell_owner),
    Cause("tls.bundle", "system CA bundle", rules.bad_bundle,
          "this system does not know public authorities ({issuers}): its bundle is old or broken",
          advice.update_bundle),
    Cause("tls.intercepted", "intercepted TLS", rules.intercepted,
          _intercepted, advice.install_authority),
    Cause("tls.invalid", "invalid certificate", rules.invalid_certificate,
          "the certificate cannot be accepted: {detail}", advice.ask_who_answers),
    Cause("tls.sni", "filter by name (SNI)", rules.name_cut,
          "TLS is cut as soon as these names are sent (SNI), and not with another name",
          advice.ask_for_passage),
    Cause("tls.old", "old TLS only", rules.old_tls,
          "no safe version of TLS is spoken ({detail})", advice.ask_who_answers),
    Cause("tls.none", "no TLS", rules.no_tls,
          "what answers does not speak TLS ({detail})", advice.ask_who_answers),
    Cause("tls.refused", "refused TLS", rules.tls_refused,
          "the other end refuses the TLS handshake ({detail})", advice.ask_for_passage),
    Cause("tls.cut", "cut TLS", rules.tls_cut, _other, advice.ask_for_passage),
    # HTTP.
    Cause("http.failed", "no HTTP answer", rules.no_http, _other, advice.ask_for_passage),
    Cause("http.portal", "captive portal", rules.portal, _portal, advice.sign_in),
    Cause("http.cdn", "refused by the CDN", rules.refused_by_cdn,
          _cdn, advice.ask_the_cdn, warns=True),
    Cause("http.block-page", "block page", rules.block_page,
          "a page of a web filter comes instead of the content", advice.ask_web_filter),
    Cause("http.redirect", "blocked redirect", rules.redirect_fails,
          _redirect, advice.allow_redirect, warns=True),
    Cause("http.server", "fault of the other end", rules.server_error,
          _server, advice.try_later, warns=True),
    Cause("tcp.ipv4", "IPv4 leads nowhere", rules.ipv4_dead,
          "IPv4 gives no connection, while IPv6 does", advice.ask_for_family, warns=True),
    Cause("tcp.ipv6", "IPv6 leads nowhere", rules.ipv6_dead,
          "IPv6 gives no connection, while IPv4 does", advice.ask_for_family, warns=True),
    Cause("tcp.some-addresses", "some addresses blocked", rules.some_addresses_dead,
          "only some of the addresses of a name connect, so downloads fail by chance",
          advice.ask_for_rule, warns=True),
    Cause("http.slow", "slow downloads", rules.slow, _slow, advice.find_the_narrow, warns=True),
)  # fmt: skip

BY_WORD: Mapping[str, Cause] = {cause.word: cause for cause in CAUSES}
_BAD_RESOLVER = BY_WORD["dns.bad-resolver"]


def diagnose(evidence: Evidence) -> dict[Cause, list[Path]]:
    """The hosts of each cause, in the order of the table; a cause may be without hosts."""
    found: dict[Cause, list[Path]] = {}
    for path in evidence.paths:
        cause = next((cause for cause in CAUSES if cause.rule(path, evidence)), None)
        if cause:
            found.setdefault(cause, []).append(path)
    if evidence.bad_servers:
        found.setdefault(_BAD_RESOLVER, [])
    return {cause: found[cause] for cause in CAUSES if cause in found}


def cases(evidence: Evidence, machine: Machine) -> Iterator[tuple[Cause, Case]]:
    """Each cause with its hosts, its words and what its remedy needs."""
    for cause, paths in diagnose(evidence).items():
        yield cause, Case(paths, evidence, machine, cause.words)
