"""The evidence rules of egress.hosts: for each cause, what must have been seen for it.

A rule is a function of one way and of the evidence of the whole run. Rules are asked in the order
of `egress_causes.CAUSES`, so each may take for granted that those before it said no.
"""

from biostudio_doctor.probes import Phase, Reason
from biostudio_doctor.probes.results import Hop, Path, SecondLook, TlsResult

from .egress_facts import (
    Evidence,
    ended,
    family_state,
    is_routed,
    issuer,
    leads_nowhere_public,
    redirect_target,
)

#: X509_V_ERR_... of openssl-verification-options(1).
_OUT_OF_TIME = (9, 10)
_UNKNOWN_ISSUER = (19, 20, 21)
_OTHER_NAME = (62, 64)

#: Organisations above the certificates of public hosts, as they stand in an issuer's name.
_PUBLIC_AUTHORITIES = (
    "actalis", "amazon", "apple", "baltimore", "buypass", "certainly", "certum", "cloudflare",
    "comodo", "d-trust", "digicert", "entrust", "geotrust", "globalsign", "godaddy",
    "google trust services", "harica", "hellenic academic", "identrust",
    "internet security research group", "let's encrypt", "microsoft corporation", "quovadis",
    "rapidssl", "sectigo", "ssl corporation", "ssl.com", "starfield", "swisssign", "symantec",
    "t-systems", "telia", "thawte", "trustasia", "usertrust", "verisign", "zerossl",
)  # fmt: skip
_SEVERAL = 3  # issuers: one interceptor has one name, or two

_CUT: tuple[Reason, ...] = ("timeout", "reset", "closed", "tls-alert")
_STALLING: tuple[Phase, ...] = ("tls", "request", "transfer")

#: What pages of web filters say, in lower case; short words would be found on honest pages.
_BLOCK_WORDS = (
    "access blocked", "access denied", "access to this site", "access to the requested",
    "blocked by", "content filter", "err_access_denied", "fortiguard", "has been blocked",
    "cisco umbrella", "internet usage policy", "is blocked", "mcwebgateway", "netskope",
    "opendns", "sophos", "url filter", "web filter", "web gateway", "web page blocked",
    "webfilter", "websense", "zscaler",
)  # fmt: skip
_CDN_HEADERS = ("cf-ray", "x-amz-cf-id", "x-amz-request-id")


def no_route(path: Path, evidence: Evidence) -> bool:
    """This host itself knows no way to any of the addresses, or to any name server."""
    if ended(path, "resolve", "unreachable"):
        return bool(path.answers) and not any(answer.source for answer in path.answers)
    return ended(path, "connect", "unreachable") and not any(one.source for one in path.attempts)


# --- Names ----------------------------------------------------------------------------------------


def no_resolver(path: Path, evidence: Evidence) -> bool:
    """/etc/resolv.conf names none."""
    return ended(path, "resolve", "no-resolver")


def bad_resolver(path: Path, evidence: Evidence) -> bool:
    """The name is not found, although one of the name servers knows it."""
    return ended(path, "resolve") and evidence.known_elsewhere(path)


def servfail(path: Path, evidence: Evidence) -> bool:
    """The resolver could not find the name out."""
    return ended(path, "resolve", "servfail")


def refuses_all(path: Path, evidence: Evidence) -> bool:
    """The resolver answers nothing at all to this host."""
    return ended(path, "resolve", "refused") and _all_fail(evidence, "resolve", "refused")


def silent_resolver(path: Path, evidence: Evidence) -> bool:
    """No name server answers."""
    return ended(path, "resolve", "timeout", "unreachable")


def no_public_names(path: Path, evidence: Evidence) -> bool:
    """No name exists for the resolver: it knows those of the site only."""
    reasons: tuple[Reason, ...] = ("nxdomain", "no-address")
    several = len(evidence.direct) > 1
    return ended(path, "resolve", *reasons) and several and _all_fail(evidence, "resolve", *reasons)


def name_filtered(path: Path, evidence: Evidence) -> bool:
    """Other names exist."""
    return ended(path, "resolve", "nxdomain", "no-address", "refused") or ended(
        path, "connect", "no-address"
    )


def unresolved(path: Path, evidence: Evidence) -> bool:
    """Any other trouble with the name."""
    return ended(path, "resolve")


def sink_hole(path: Path, evidence: Evidence) -> bool:
    """The name leads to no public address, and what is there does not work."""
    return path.failure is not None and leads_nowhere_public(path)


def _all_fail(evidence: Evidence, phase: Phase, *reasons: Reason) -> bool:
    return all(ended(path, phase, *reasons) for path in evidence.direct)


# --- TCP ------------------------------------------------------------------------------------------


def port_blocked(path: Path, evidence: Evidence) -> bool:
    """The same addresses connect on another port."""
    return ended(path, "connect") and any(
        not attempt.failure for attempt in evidence.look(path).other_port
    )


def unreachable(path: Path, evidence: Evidence) -> bool:
    """An ICMP answer says so; or silence beside others' ICMP answers.

    Routers send only some of these a second (RFC 1812, 4.3.2.8), so that many hosts that are
    forbidden at once are mostly or partly met with silence.
    """
    if not ended(path, "connect", "timeout"):
        return ended(path, "connect", "unreachable")
    told = len(evidence.failed("connect", "unreachable"))
    none_connects = all(ended(one, "connect") for one in evidence.direct)
    return bool(told) and (none_connects or told > 3 * len(evidence.failed("connect", "timeout")))


def refused(path: Path, evidence: Evidence) -> bool:
    """A TCP reset, from the host or from a firewall that speaks for it."""
    return ended(path, "connect", "refused", "reset")


def dropped(path: Path, evidence: Evidence) -> bool:
    """Silence."""
    return ended(path, "connect", "timeout")


def unconnected(path: Path, evidence: Evidence) -> bool:
    """Any other trouble with the connection."""
    return ended(path, "connect")


def large_packets_vanish(path: Path, evidence: Evidence) -> bool:
    """It stalls, and passes in small segments.

    Splitting the first message also gets past simple filters by name; so where another name passes
    as well, other hosts must not have shown that large packets come through.
    """
    look = evidence.look(path)
    if not (any(ended(path, phase, "timeout") for phase in _STALLING) and _passed(look)):
        return False
    others_pass = any(one.tls and one.tls.chain for one in evidence.direct if one is not path)
    return not (_shook_hands(look.other_name) and others_pass)


def _passed(look: SecondLook) -> bool:
    hop = look.small_segments
    return hop is not None and (not hop.failure or hop.failure.reason == "untrusted")


def _shook_hands(result: TlsResult | None) -> bool:
    return result is not None and bool(result.chain)


def ipv4_dead(path: Path, evidence: Evidence) -> bool:
    """IPv6 connects, and IPv4, to which there is a route, does not, the second time either."""
    again = evidence.look(path).again
    return _one_family_dead(path, "IPv4", "IPv6") and any(one.failure for one in again)


def ipv6_dead(path: Path, evidence: Evidence) -> bool:
    """IPv4 connects, and IPv6, to which there is a route, is silent.

    Where it is refused, programs turn to IPv4 at once, and nobody waits.
    """
    return _one_family_dead(path, "IPv6", "IPv4") and _silent_twice(path, evidence)


def _one_family_dead(path: Path, dead: str, alive: str) -> bool:
    states = family_state(path, dead), family_state(path, alive)
    return _direct_success(path) and states == (False, True)


def some_addresses_dead(path: Path, evidence: Evidence) -> bool:
    """Of the addresses of one family some connect, and others are silent."""
    dual = False in (family_state(path, "IPv4"), family_state(path, "IPv6"))
    return _direct_success(path) and not dual and _silent_twice(path, evidence)


def _silent_twice(path: Path, evidence: Evidence) -> bool:
    """Whether an address gave no connection, and was silent the second time, too."""
    return any(
        one.failure and one.failure.reason in ("timeout", "unreachable") and is_routed(one)
        for one in evidence.look(path).again
    )


def _direct_success(path: Path) -> bool:
    return path.failure is None and path.route.proxy is None


# --- Proxies --------------------------------------------------------------------------------------


def proxy_needed(path: Path, evidence: Evidence) -> bool:
    """Nothing can be connected to directly, and some setting here names a proxy."""
    dead = all(ended(one, "resolve") or ended(one, "connect") for one in evidence.paths)
    return dead and bool(evidence.facts.other_proxies)


def socks_proxy(path: Path, evidence: Evidence) -> bool:
    """A setting that other programs may understand."""
    return path.undetermined


def bad_proxy_setting(path: Path, evidence: Evidence) -> bool:
    """The setting makes no sense."""
    return ended(path, "proxy", "bad-proxy")


def proxy_unreachable(path: Path, evidence: Evidence) -> bool:
    """The proxy's name is not found, or none of its addresses connects."""
    return ended(path, "proxy") and all(attempt.failure for attempt in path.attempts)


def proxy_scheme(path: Path, evidence: Evidence) -> bool:
    """The setting says https://, and the proxy does not speak TLS."""
    return ended(path, "proxy", "tls-protocol")


def proxy_untrusted(path: Path, evidence: Evidence) -> bool:
    """The certificate of the proxy itself does not verify."""
    return ended(path, "proxy", "untrusted")


def proxy_auth_scheme(path: Path, evidence: Evidence) -> bool:
    """407, and none of the schemes that are offered is Basic."""
    schemes = path.reply.schemes if path.reply else ()
    basic = any(scheme.lower() == "basic" for scheme in schemes)
    return ended(path, "proxy", "proxy-auth") and bool(schemes) and not basic


def proxy_auth(path: Path, evidence: Evidence) -> bool:
    """407."""
    return ended(path, "proxy", "proxy-auth")


def proxy_upstream(path: Path, evidence: Evidence) -> bool:
    """The proxy is willing, and could not connect to the host (5xx)."""
    return ended(path, "proxy", "proxy-denied") and path.reply is not None and (
        path.reply.status >= 500
    )  # fmt: skip


def proxy_denied(path: Path, evidence: Evidence) -> bool:
    """The proxy refuses this host."""
    return ended(path, "proxy", "proxy-denied")


def proxy_failed(path: Path, evidence: Evidence) -> bool:
    """The proxy accepts the connection and does not do what a proxy does."""
    return ended(path, "proxy")


# --- TLS ------------------------------------------------------------------------------------------


def wrong_clock(path: Path, evidence: Evidence) -> bool:
    """Out of time by our clock, and in time by the other end's.

    Where no clock can be asked: several authorities' certificates are out of time at once, and none
    is in time.
    """
    if not _untrusted(path, _OUT_OF_TIME):
        return False
    in_time = evidence.valid_by_other_clock(path)
    if in_time is not None:
        return in_time
    late = [one for one in evidence.paths if _untrusted(one, _OUT_OF_TIME)]
    return not evidence.verified and len(evidence.issuers(late)) > 1


def expired(path: Path, evidence: Evidence) -> bool:
    """Out of time, and our clock is right as far as is known."""
    return _untrusted(path, _OUT_OF_TIME)


def wrong_name(path: Path, evidence: Evidence) -> bool:
    """A trusted certificate, of someone else."""
    return _untrusted(path, _OTHER_NAME)


def intermediate_missing(path: Path, evidence: Evidence) -> bool:
    """A public authority's certificate comes alone, while others verify."""
    alone = path.tls is not None and len(path.tls.chain) == 1
    return _unknown(path) and _is_public(path) and alone and bool(evidence.verified)


def bad_bundle(path: Path, evidence: Evidence) -> bool:
    """The issuer is a public authority by its name, or several hosts have as many issuers."""
    unknown = [one for one in evidence.paths if _unknown(one)]
    several = len(evidence.issuers(unknown)) >= _SEVERAL
    return _unknown(path) and (_is_public(path) or several)


def intercepted(path: Path, evidence: Evidence) -> bool:
    """The issuer is no public authority."""
    return _unknown(path)


def invalid_certificate(path: Path, evidence: Evidence) -> bool:
    """A certificate that no client may accept."""
    return ended(path, "tls", "untrusted")


def name_cut(path: Path, evidence: Evidence) -> bool:
    """The handshake is cut each time with this name, and not with another one."""
    if not ended(path, "tls", *_CUT):
        return False
    look = evidence.look(path)
    answered = look.other_name is not None and (
        _shook_hands(look.other_name)
        or (ended_with_alert(look.other_name) and not ended(path, "tls", "tls-alert"))
    )
    return answered and look.same_name is not None and not _shook_hands(look.same_name)


def ended_with_alert(result: TlsResult) -> bool:
    """Whether the other end answered, if only to refuse."""
    return result.failure is not None and result.failure.reason == "tls-alert"


def old_tls(path: Path, evidence: Evidence) -> bool:
    """A handshake succeeds only with versions or ciphers that are no longer safe."""
    return ended(path, "tls", "tls-protocol") and path.tls is not None and bool(path.tls.version)


def no_tls(path: Path, evidence: Evidence) -> bool:
    """What answers speaks no TLS."""
    return ended(path, "tls", "tls-protocol", "bad-response", "too-large")


def tls_refused(path: Path, evidence: Evidence) -> bool:
    """The other end ends the handshake by an alert."""
    return ended(path, "tls", "tls-alert")


def tls_cut(path: Path, evidence: Evidence) -> bool:
    """The handshake ends, and no experiment tells why."""
    return ended(path, "tls")


def _untrusted(path: Path, codes: tuple[int, ...]) -> bool:
    return ended(path, "tls", "untrusted") and path.tls is not None and (
        path.tls.verify_code in codes
    )  # fmt: skip


def _unknown(path: Path) -> bool:
    return _untrusted(path, _UNKNOWN_ISSUER)


def _is_public(path: Path) -> bool:
    name = issuer(path).lower()
    return any(authority in name for authority in _PUBLIC_AUTHORITIES)


# --- HTTP -----------------------------------------------------------------------------------------


def no_http(path: Path, evidence: Evidence) -> bool:
    """TLS stands, and no proper answer comes over it."""
    return path.failure is not None


def portal(path: Path, evidence: Evidence) -> bool:
    """A redirect to a foreign host by plain HTTP, or of hosts of several sites to the same one."""
    target = redirect_target(path)
    if not target or not evidence.is_foreign(target[1]):
        return False
    return target[0] == "http" or len(evidence.sites_led_to(target[1])) > 1


def refused_by_cdn(path: Path, evidence: Evidence) -> bool:
    """429, or a 403 that a content network signs, where not everybody gets one.

    A challenge at a site's front page is for whoever is no browser.
    """
    answer = _answer(path)
    if not answer or answer.status not in (403, 429):
        return False
    if answer.status == 429:
        return True
    endpoint = evidence.endpoint(path)
    challenged = endpoint.path == "/" and answer.headers.get("cf-mitigated") == "challenge"
    return _by_cdn(answer) and not challenged and not endpoint.forbidden


def block_page(path: Path, evidence: Evidence) -> bool:
    """A web filter's page, or HTML where something else is published; no content network's own."""
    answer = _answer(path)
    if not (path.exchange and answer) or _by_cdn(answer):
        return False
    if _speaks_of_blocking(answer):
        return True
    last = path.exchange.hops[-1]
    if last is not answer and evidence.is_foreign(last.host) and _speaks_of_blocking(last):
        return True
    file = "." in evidence.endpoint(path).path.rpartition("/")[2]
    return file and answer.status == 200 and _is_html(answer)


def redirect_fails(path: Path, evidence: Evidence) -> bool:
    """It redirects to a host that fails, and that has no finding of its own."""
    return stray(path, evidence) is not None


def stray(path: Path, evidence: Evidence) -> Hop | None:
    """The hop of a redirect that failed at a host which is not probed by itself."""
    probed = {one.host for one in evidence.paths}
    hops = path.exchange.hops[1:] if path.exchange else ()
    return next((hop for hop in hops if hop.failure and hop.host not in probed), None)


def server_error(path: Path, evidence: Evidence) -> bool:
    """5xx."""
    answer = _answer(path)
    return answer is not None and (answer.status or 0) >= 500


def slow(path: Path, evidence: Evidence) -> bool:
    """The download from this host was slower than is recommended, and long enough to tell."""
    measured = evidence.facts.download
    wanted = evidence.throughput
    if not (measured and wanted) or measured.host != path.host:
        return False
    return measured.seconds >= _TELLING and measured.length / measured.seconds < wanted.value


_TELLING = 1.0  # seconds: an object that has come before says nothing about the line


def _answer(path: Path) -> Hop | None:
    return path.exchange.answer if path.exchange and not path.failure else None


def _by_cdn(hop: Hop) -> bool:
    return any(header in hop.headers for header in _CDN_HEADERS)


def _is_html(hop: Hop) -> bool:
    return hop.headers.get("content-type", "").startswith("text/html")


def _speaks_of_blocking(hop: Hop) -> bool:
    words = hop.first.lower()
    return _is_html(hop) and any(phrase in words for phrase in _BLOCK_WORDS)
