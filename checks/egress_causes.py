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
from .egress_facts import Evidence, presented, validity


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
    return f"DNS leads to {_no_public_address(case)}"


def _hosts_entry(case: Case) -> str:
    return (
        f"this host's own /etc/hosts (or what else /etc/nsswitch.conf names) leads to "
        f"{_no_public_address(case)}; the name servers give other addresses"
    )


def _no_public_address(case: Case) -> str:
    found = dict.fromkeys(
        address for path in case.paths if path.lookup for address in path.lookup.addresses
    )
    connected = any(not attempt.failure for path in case.paths for attempt in path.attempts)
    problem = case.first.failure
    if connected and problem and problem.phase != "connect":
        end = f"{wording.PHASES[problem.phase]} fails there"
    else:
        end = "something answers there, but not all is well" if connected else "nothing works there"
    which = "which are no public addresses" if len(found) > 1 else "which is no public address"
    return f"{text.listing(found)}, {which}, and {end}"


def _servfail(case: Case) -> str:
    told = next((one.extended[0] for one in case.first.answers if one.extended), "")
    return f"{case.servers} could not find names out (SERVFAIL{f': {told}' if told else ''})"


def _bad_resolvers(case: Case) -> str:
    bad = case.evidence.bad_servers
    said = text.listing(f"{server} {does}" for server, does in bad.items())
    return f"of the name servers in /etc/resolv.conf {said}, while another one answers"


def _knowing(case: Case) -> str:
    knowing = dict.fromkeys(
        answer.server for path in case.paths for answer in path.answers if answer.addresses
    )
    some = len({path.peer for path in case.paths}) > 1
    names, them = ("these names", "them") if some else ("the name", "it")
    return (
        f"{text.listing(knowing)} {'know' if len(knowing) > 1 else 'knows'} {names}, but this "
        f"system's own resolver does not find {them}"
    )


def _filtered(case: Case) -> str:
    reasons = (path.failure.reason for path in case.paths if path.failure)
    codes = dict.fromkeys(_CODES[reason] for reason in reasons)
    others = any(one.lookup and one.lookup.addresses for one in case.evidence.direct)
    found = ", while others are found" if others else ""
    return f"these names are denied by {case.servers} ({text.listing(codes)}){found}"


#: How a name server denies a name, in its own terms.
_CODES: Mapping[str, str] = {
    "nxdomain": "NXDOMAIN",
    "no-address": "an answer without addresses",
    "refused": "REFUSED",
}


def _dropped(case: Case) -> str:
    waited = max((one.seconds for path in case.paths for one in path.attempts), default=0)
    return (
        f"no answer comes from {case.ports} within {wording.duration(waited)}, as if a firewall "
        "drops the packets"
    )


def _some_addresses(case: Case) -> str:
    tried = [one for path in case.paths for one in path.attempts]
    dead = dict.fromkeys(one.address for one in tried if one.failure)
    alive = dict.fromkeys(one.address for one in tried if not one.failure)
    return (
        "only some of the addresses of a name connect, so downloads fail by chance: no answer "
        f"comes from {text.listing(dead)}, while {text.listing(alive)} "
        f"{'connects' if len(alive) == 1 else 'connect'}"
    )


def _port(case: Case) -> str:
    other = case.evidence.look(case.first).tried_port
    return f"{case.ports} is blocked, while port {other} of the same addresses connects"


def _clock(case: Case) -> str:
    offset = case.evidence.clock_offset(case.first)
    if not offset:
        return "this host's clock is wrong: no certificate is in time by it"
    side = "behind" if offset > 0 else "ahead of"
    return f"this host's clock is {advice.off_by(offset).rpartition(' ')[0]} {side} the servers'"


def _expired(case: Case) -> str:
    when = validity(case.first, case.evidence.facts.observed_at)
    known = f"issued by {case.issuers}{f'; {when}' if when else ''}"
    return f"the certificate is out of time ({known})"


def _wrong_name(case: Case) -> str:
    leaf = presented(case.first)
    return f"a certificate of another name is presented ('{leaf.name if leaf else '?'}')"


def _intercepted(case: Case) -> str:
    unrelated = len({case.evidence.endpoint(path).domain for path in case.paths}) > 1
    of = "unrelated hosts" if unrelated else "the host"
    public = rules.is_public(case.first)
    why = "and by no one else" if public else "which is no public authority"
    return f"TLS is intercepted: the certificates of {of} are issued by {case.issuers}, {why}"


def _intercepted_and_trusted(case: Case) -> str:
    return (
        f"TLS is intercepted by '{rules.top_issuer(case.first)}', which this host trusts; conda "
        "and containers do not know it by themselves"
    )


def _upstream(case: Case) -> str:
    proxy = case.proxy.url
    details = [path.failure.detail for path in case.paths if path.failure and path.reply]
    waited = max(path.seconds.get("proxy", 0) for path in case.paths)
    silence = f"did not answer CONNECT for {wording.duration(waited)}"
    if not details:
        return f"the proxy {proxy} accepts the connection and {silence}: its own DNS or firewall"
    said = text.listing(dict.fromkeys(details))
    also = f", or {silence}" if len(details) < len(case.paths) else ""
    return f"the proxy {proxy} cannot connect to these hosts itself ({said}){also}"


def _portal(case: Case) -> str:
    target = case.evidence.redirect_target(case.first)
    if not target:
        return "a captive portal answers instead (HTTP 511)"
    name = f"[{target[1]}]" if ":" in target[1] else target[1]
    return f"a captive portal or filter answers instead, and redirects to {target[0]}://{name}"


def _block_page(case: Case) -> str:
    answer = case.evidence.first_answer(case.first)
    if not (answer and rules.one_answers_for_all(case.first, case.evidence)):
        return "a page of a web filter comes instead of the content"
    told = {"Server": answer.headers.get("server"), "Via": answer.headers.get("via")}
    signs = "".join(f", {name}: {value}" for name, value in told.items() if value)
    return (
        f"something in between answers for unrelated hosts, with one and the same HTTP "
        f"{answer.status}{signs}"
    )


def _answered(case: Case) -> str:
    answer = case.first.exchange.answer if case.first.exchange else None
    return f"HTTP {answer.status} {answer.phrase}".rstrip() if answer else "an error"


def _cdn(case: Case) -> str:
    return f"the host's own network answers {_answered(case)}, which is about this site's address"


def _redirect(case: Case) -> str:
    hop = rules.stray(case.first, case.evidence)
    if not (hop and hop.failure):
        return "a redirect fails"
    return (
        f"the redirect to {hop.host} fails ({wording.PHASES[hop.failure.phase]}: "
        f"{hop.failure.reason})"
    )


def _server(case: Case) -> str:
    return f"the other end answers {_answered(case)}, a fault of its own"


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
    Cause("dns.system", "this system's resolver", rules.system_resolver,
          _knowing, advice.mend_system_resolver),
    Cause("dns.servfail", "failing name resolution", rules.servfail,
          _servfail, advice.ask_for_upstream),
    Cause("dns.closed", "no service on port 53", rules.nothing_listens,
          "nothing listens on port 53 of {servers}", advice.start_resolver),
    Cause("dns.refused", "refusing name servers", rules.refuses_all,
          "this host is refused an answer by {servers}", advice.ask_for_dns),
    Cause("dns.silent", "silent name servers", rules.silent_resolver,
          "no answer comes from {servers}", advice.ask_for_dns),
    Cause("dns.no-public-names", "no public names", rules.no_public_names,
          "no public name at all is known to {servers}", advice.ask_for_dns),
    Cause("dns.filtered", "filtered names", rules.name_filtered,
          _filtered, advice.ask_for_names),
    Cause("dns.failed", "name resolution", rules.unresolved, _other, advice.ask_for_dns),
    Cause("dns.hosts-file", "entry in /etc/hosts", rules.hosts_entry,
          _hosts_entry, advice.mend_hosts),
    Cause("dns.sinkhole", "sink hole", rules.sink_hole, _sink_hole, advice.ask_about_sink_hole),
    # Connections.
    Cause("tcp.port", "blocked port", rules.port_blocked, _port, advice.ask_for_rule),
    Cause("tcp.unreachable", "forbidden by a router", rules.unreachable,
          "a router or firewall answers that no way leads there (ICMP), on {ports}",
          advice.ask_for_rule),
    Cause("tcp.refused", "refused connections", rules.refused,
          "connections to {ports} are refused (TCP reset)", advice.ask_for_rule),
    Cause("tcp.dropped", "dropped packets", rules.dropped,
          _dropped, advice.ask_for_rule),
    Cause("tcp.failed", "connections", rules.unconnected, _other, advice.ask_for_rule),
    Cause("tcp.mtu", "large packets lost", rules.large_packets_vanish,
          "small packets pass and large ones vanish on the way (MTU black hole)", advice.mend_mtu),
    # Proxies.
    Cause("proxy.unreachable", "unreachable proxy", rules.proxy_unreachable,
          _other, advice.ask_about_proxy),
    Cause("proxy.scheme", "https:// for an http:// proxy", rules.proxy_scheme,
          "{variable} says https://, but {proxy} does not speak TLS", advice.write_http_scheme),
    Cause("proxy.untrusted", "certificate of the proxy", rules.proxy_untrusted,
          "the certificate of the proxy {proxy} is not trusted", advice.trust_proxy),
    Cause("proxy.auth-scheme", "proxy without Basic", rules.proxy_auth_scheme,
          _other, advice.ask_for_basic),
    Cause("proxy.auth", "proxy wants a password", rules.proxy_auth,
          _other, advice.give_credentials),
    Cause("proxy.upstream", "proxy cannot get out", rules.proxy_upstream,
          _upstream, advice.ask_for_proxys_way),
    Cause("proxy.login", "login page of the proxy", rules.proxy_login,
          "the proxy {proxy} redirects to a page of its own instead of connecting ({detail}), as "
          "where a user must sign in", advice.sign_in_at_proxy),
    Cause("proxy.busy", "too many requests for the proxy", rules.proxy_busy,
          "the proxy {proxy} has had too many requests from here ({detail})",
          advice.wait_for_proxy),
    Cause("proxy.denied", "denied by the proxy", rules.proxy_denied,
          "the proxy {proxy} refuses these hosts by its policy ({detail})", advice.ask_proxy_team),
    Cause("proxy.failed", "proxy out of order", rules.proxy_failed,
          _other, advice.ask_about_proxy),
    # TLS.
    Cause("tls.clock", "wrong clock", rules.wrong_clock, _clock, advice.set_clock),
    Cause("tls.expired", "expired certificate", rules.expired, _expired, advice.tell_owner),
    # Who says in HTTP what he is, behind whatever certificate.
    Cause("http.portal", "captive portal", rules.portal, _portal, advice.sign_in),
    Cause("http.block-page", "block page", rules.block_page, _block_page, advice.ask_web_filter),
    Cause("tls.name", "certificate of another name", rules.wrong_name,
          _wrong_name, advice.ask_who_answers),
    Cause("tls.chain", "incomplete chain", rules.intermediate_missing,
          "the certificate comes without that of its issuer, {issuers}",
          advice.ask_for_intermediate),
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
    Cause("http.cdn", "refused by the CDN", rules.refused_by_cdn,
          _cdn, advice.ask_the_cdn, warns=True),
    Cause("http.redirect", "blocked redirect", rules.redirect_fails,
          _redirect, advice.allow_redirect, warns=True),
    Cause("http.server", "fault of the other end", rules.server_error,
          _server, advice.try_later, warns=True),
    Cause("tcp.ipv4", "IPv4 leads nowhere", rules.ipv4_dead,
          "IPv4 gives no connection, while IPv6 does", advice.ask_for_family, warns=True),
    Cause("tcp.ipv6", "IPv6 leads nowhere", rules.ipv6_dead,
          "IPv6 gives no connection, while IPv4 does", advice.ask_for_family, warns=True),
    Cause("tcp.some-addresses", "some addresses blocked", rules.some_addresses_dead,
          _some_addresses, advice.ask_for_rule, warns=True),
    Cause("http.slow", "slow downloads", rules.slow, _slow, advice.find_the_narrow, warns=True),
    # Last, for it stays where the others can be mended.
    Cause("tls.intercepted-trusted", "intercepted TLS, trusted", rules.intercepted_and_trusted,
          _intercepted_and_trusted, advice.pass_authority_on, warns=True),
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
