"""The causes that egress.hosts can name, all of them: evidence, words and remedy of each.

A cause is looked for from top to bottom, and the first whose rule holds is the one: so a host has
one cause, or none where all is well. A rule may take for granted that those before it said no.

The modules hold what the table names, by subject: the rules (what must have been seen, a function
of one way and of the evidence of the whole run), the words that need more than a blank filled in
(`..._seen`), and the remedies.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from biostudio_doctor.model import Machine, Remedy
from biostudio_doctor.probes import wording
from biostudio_doctor.probes.results import Path

from ..egress_facts import Evidence
from . import certificates, connections, http, names, proxies, tls
from .case import Case


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


def _other(case: Case) -> str:
    problem = case.first.failure
    return wording.failed(case.first, problem) if problem else "something is wrong"


# --- The table ------------------------------------------------------------------------------------

CAUSES = (
    # Settings of this host that keep everything from the start.
    Cause("proxy.socks", "SOCKS proxy", proxies.socks_proxy,
          "{variable} {detail}", proxies.ask_for_http_proxy),
    Cause("proxy.bad-setting", "proxy setting", proxies.bad_proxy_setting,
          "the value of {variable} {detail}", proxies.correct_proxy),
    Cause("proxy.needed", "proxy not set", proxies.proxy_needed,
          "nothing is reached directly, and a proxy that this host names is not in force here",
          proxies.set_proxy),
    Cause("tcp.no-route", "no route", connections.no_route,
          "this host has no route to the internet", connections.add_route),
    # Names.
    Cause("dns.no-resolver", "no name server", names.no_resolver,
          "/etc/resolv.conf names no name server", names.name_a_server),
    Cause("dns.bad-resolver", "bad name server", names.bad_resolver,
          names.bad_resolvers_seen, names.mend_resolvers),
    Cause("dns.system", "this system's resolver", names.system_resolver,
          names.knowing_seen, names.mend_system_resolver),
    Cause("dns.servfail", "failing name resolution", names.servfail,
          names.servfail_seen, names.ask_for_upstream),
    Cause("dns.closed", "no service on port 53", names.nothing_listens,
          "nothing listens on port 53 of {servers}", names.start_resolver),
    Cause("dns.refused", "refusing name servers", names.refuses_all,
          "this host is refused an answer by {servers}", names.ask_for_dns),
    Cause("dns.silent", "silent name servers", names.silent_resolver,
          "no answer comes from {servers}", names.ask_for_dns),
    Cause("dns.no-public-names", "no public names", names.no_public_names,
          "no public name at all is known to {servers}", names.ask_for_dns),
    Cause("dns.filtered", "filtered names", names.name_filtered,
          names.filtered_seen, names.ask_for_names),
    Cause("dns.failed", "name resolution", names.unresolved, _other, names.ask_for_dns),
    Cause("dns.hosts-file", "entry in /etc/hosts", names.hosts_entry,
          names.hosts_entry_seen, names.mend_hosts),
    Cause("dns.sinkhole", "sink hole", names.sink_hole,
          names.sink_hole_seen, names.ask_about_sink_hole),
    # Connections.
    Cause("tcp.port", "blocked port", connections.port_blocked,
          connections.port_seen, connections.ask_for_rule),
    Cause("tcp.unreachable", "forbidden by a router", connections.unreachable,
          "a router or firewall answers that no way leads there (ICMP), on {ports}",
          connections.ask_for_rule),
    Cause("tcp.refused", "refused connections", connections.refused,
          "connections to {ports} are refused (TCP reset)", connections.ask_for_rule),
    Cause("tcp.dropped", "dropped packets", connections.dropped,
          connections.dropped_seen, connections.ask_for_rule),
    Cause("tcp.failed", "connections", connections.unconnected, _other, connections.ask_for_rule),
    Cause("tcp.mtu", "large packets lost", connections.large_packets_vanish,
          "small packets pass and large ones vanish on the way (MTU black hole)",
          connections.mend_mtu),
    # Proxies.
    Cause("proxy.unreachable", "unreachable proxy", proxies.proxy_unreachable,
          _other, proxies.ask_about_proxy),
    Cause("proxy.scheme", "https:// for an http:// proxy", proxies.proxy_scheme,
          "{variable} says https://, but {proxy} does not speak TLS", proxies.write_http_scheme),
    Cause("proxy.untrusted", "certificate of the proxy", proxies.proxy_untrusted,
          "the certificate of the proxy {proxy} is not trusted", proxies.trust_proxy),
    Cause("proxy.auth-scheme", "proxy without Basic", proxies.proxy_auth_scheme,
          _other, proxies.ask_for_basic),
    Cause("proxy.auth", "proxy wants a password", proxies.proxy_auth,
          _other, proxies.give_credentials),
    Cause("proxy.upstream", "proxy cannot get out", proxies.proxy_upstream,
          proxies.upstream_seen, proxies.ask_for_proxys_way),
    Cause("proxy.login", "login page of the proxy", proxies.proxy_login,
          "the proxy {proxy} redirects to a page of its own instead of connecting ({detail}), as "
          "where a user must sign in", proxies.sign_in_at_proxy),
    Cause("proxy.busy", "too many requests for the proxy", proxies.proxy_busy,
          "the proxy {proxy} has had too many requests from here ({detail})",
          proxies.wait_for_proxy),
    Cause("proxy.denied", "denied by the proxy", proxies.proxy_denied,
          "the proxy {proxy} refuses these hosts by its policy ({detail})", proxies.ask_proxy_team),
    Cause("proxy.failed", "proxy out of order", proxies.proxy_failed,
          _other, proxies.ask_about_proxy),
    # TLS.
    Cause("tls.clock", "wrong clock", certificates.wrong_clock,
          certificates.clock_seen, certificates.set_clock),
    Cause("tls.expired", "expired certificate", certificates.expired,
          certificates.expired_seen, certificates.tell_owner),
    # Who says in HTTP what he is, behind whatever certificate.
    Cause("http.portal", "captive portal", http.portal, http.portal_seen, http.sign_in),
    Cause("http.block-page", "block page", http.block_page,
          http.block_page_seen, http.ask_web_filter),
    Cause("tls.name", "certificate of another name", certificates.wrong_name,
          certificates.wrong_name_seen, tls.ask_who_answers),
    Cause("tls.chain", "incomplete chain", certificates.intermediate_missing,
          "the certificate comes without that of its issuer, {issuers}",
          certificates.ask_for_intermediate),
    Cause("tls.bundle", "system CA bundle", certificates.bad_bundle,
          "this system does not know public authorities ({issuers}): its bundle is old or broken",
          certificates.update_bundle),
    Cause("tls.intercepted", "intercepted TLS", certificates.intercepted,
          certificates.intercepted_seen, certificates.install_authority),
    Cause("tls.invalid", "invalid certificate", certificates.invalid_certificate,
          "the certificate cannot be accepted: {detail}", tls.ask_who_answers),
    Cause("tls.sni", "filter by name (SNI)", tls.name_cut,
          "TLS is cut as soon as these names are sent (SNI), and not with another name",
          tls.ask_for_passage),
    Cause("tls.old", "old TLS only", tls.old_tls,
          "no safe version of TLS is spoken ({detail})", tls.ask_who_answers),
    Cause("tls.none", "no TLS", tls.no_tls,
          "what answers does not speak TLS ({detail})", tls.ask_who_answers),
    Cause("tls.refused", "refused TLS", tls.tls_refused,
          "the other end refuses the TLS handshake ({detail})", tls.ask_for_passage),
    Cause("tls.cut", "cut TLS", tls.tls_cut, _other, tls.ask_for_passage),
    # HTTP.
    Cause("http.failed", "no HTTP answer", http.no_http, _other, tls.ask_for_passage),
    Cause("http.cdn", "refused by the CDN", http.refused_by_cdn,
          http.cdn_seen, http.ask_the_cdn, warns=True),
    Cause("http.redirect", "blocked redirect", http.redirect_fails,
          http.redirect_seen, http.allow_redirect, warns=True),
    Cause("http.server", "fault of the other end", http.server_error,
          http.server_seen, http.try_later, warns=True),
    Cause("tcp.ipv4", "IPv4 leads nowhere", connections.ipv4_dead,
          "IPv4 gives no connection, while IPv6 does", connections.ask_for_family, warns=True),
    Cause("tcp.ipv6", "IPv6 leads nowhere", connections.ipv6_dead,
          "IPv6 gives no connection, while IPv4 does", connections.ask_for_family, warns=True),
    Cause("tcp.some-addresses", "some addresses blocked", connections.some_addresses_dead,
          connections.some_addresses_seen, connections.ask_for_rule, warns=True),
    Cause("http.slow", "slow downloads", http.slow,
          http.slow_seen, http.find_the_narrow, warns=True),
    # Last, for it stays where the others can be mended.
    Cause("tls.intercepted-trusted", "intercepted TLS, trusted",
          certificates.intercepted_and_trusted, certificates.intercepted_and_trusted_seen,
          certificates.pass_authority_on, warns=True),
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
