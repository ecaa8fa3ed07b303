"""The evidence rules of egress.hosts: for each cause, what must have been seen for it.

A rule is a function of one way and of the evidence of the whole run. Rules are asked in the order
of `egress_causes.CAUSES`, so each may take for granted that those before it said no.
"""

import re

from biostudio_doctor.endpoints import is_address
from biostudio_doctor.probes import CUT, Phase, Reason
from biostudio_doctor.probes.results import Hop, Path, SecondLook, TlsResult

from .egress_facts import (
    Evidence,
    ended,
    family_state,
    is_public_address,
    is_routed,
    leads_nowhere_public,
    presented,
    site,
)
from .egress_targets import GROUP as OWN_HOSTS

#: X509_V_ERR_... of openssl-verification-options(1).
_OUT_OF_TIME = (9, 10)
_UNKNOWN_ISSUER = (19, 20, 21)
_OTHER_NAME = (62, 64)

#: Organisations above the certificates of public hosts: whole words of an issuer's name.
_PUBLIC_AUTHORITIES = (
    "actalis", "amazon", "apple inc", "asseco data systems", "baltimore", "buypass", "certainly",
    "certum", "cloudflare", "comodo", "d-trust", "digicert", "entrust", "geotrust", "globalsign",
    "godaddy.com", "google trust services", "harica", "hellenic academic", "identrust",
    "internet security research group", "let's encrypt", "microsoft corporation", "quovadis",
    "rapidssl", "sectigo", "ssl corp", "ssl corporation", "ssl.com", "starfield", "swisssign",
    "symantec", "t-systems", "telia", "teliasonera", "thawte", "trustasia", "usertrust",
    "verisign", "zerossl",
)  # fmt: skip
_ANY_OF_THEM = "|".join(map(re.escape, _PUBLIC_AUTHORITIES))
_PUBLIC = re.compile(rf"(?<![\w.-])(?:{_ANY_OF_THEM})(?![\w-]|\.\w)")
#: Devices that look into TLS, also those that public authorities sell.
_DEVICE = re.compile(r"\b(?:firewall|gateway|inspection|proxy)\b")
_SEVERAL = 3  # issuers: one interceptor has one name, or two

_STALLING: tuple[Phase, ...] = ("tls", "request", "transfer")

#: What pages of web filters say, in lower case; short words would be found on honest pages.
_BLOCK_WORDS = (
    "access blocked", "access denied", "access to this site", "access to the requested",
    "blocked by", "content filter", "err_access_denied", "fortiguard", "has been blocked",
    "cisco umbrella", "internet usage policy", "is blocked", "mcwebgateway", "netskope",
    "opendns", "sophos", "url filter", "web filter", "web gateway", "web page blocked",
    "webfilter", "websense", "zscaler",
)  # fmt: skip
_CDN_HEADERS = ("cf-ray", "x-amz-cf-id")
_CDN = re.compile(r"akamai|amazons3|cloudflare|cloudfront|google|gws|varnish", re.IGNORECASE)
_TOO_MANY, _SIGN_IN_FIRST = 429, 511  # RFC 6585
_START = 60  # characters of a page, before what is of the single request


def no_route(path: Path, evidence: Evidence) -> bool:
    """This host itself knows no way to any of the addresses, or to any name server."""
    if ended(path, "resolve", "unreachable"):
        return bool(path.answers) and not any(answer.source for answer in path.answers)
    return ended(path, "connect", "unreachable") and not any(one.source for one in path.attempts)


# --- Names ----------------------------------------------------------------------------------------


def no_resolver(path: Path, evidence: Evidence) -> bool:
    """/etc/resolv.conf names none."""
    return _unresolved(path, "no-resolver")


def bad_resolver(path: Path, evidence: Evidence) -> bool:
    """The name is not found: one of the name servers knows it, and another one is bad."""
    return system_resolver(path, evidence) and bool(evidence.bad_servers)


def system_resolver(path: Path, evidence: Evidence) -> bool:
    """The name is not found, although a name server knows it, and none is bad."""
    return _unresolved(path) and evidence.known_elsewhere(path)


def servfail(path: Path, evidence: Evidence) -> bool:
    """The resolver could not find the name out."""
    return _unresolved(path, "servfail")


def nothing_listens(path: Path, evidence: Evidence) -> bool:
    """Port 53 itself is closed (ICMP, TCP reset): no server said REFUSED."""
    return _unresolved(path, "refused") and not _says_refused(path)


def refuses_all(path: Path, evidence: Evidence) -> bool:
    """The resolver answers nothing at all to this host."""
    return _unresolved(path, "refused") and all(
        ended(one, "resolve", "refused") and _says_refused(one) for one in evidence.direct
    )


def silent_resolver(path: Path, evidence: Evidence) -> bool:
    """No name server answers."""
    return _unresolved(path, "timeout", "unreachable")


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


def hosts_entry(path: Path, evidence: Evidence) -> bool:
    """A name server gives public addresses, and this system others, which do not work."""
    told = {address for answer in path.answers for address in answer.addresses}
    return sink_hole(path, evidence) and any(is_public_address(address) for address in told)


def sink_hole(path: Path, evidence: Evidence) -> bool:
    """The name leads to no public address, and what is there does not work."""
    return path.failure is not None and leads_nowhere_public(path)


def _unresolved(path: Path, *reasons: Reason) -> bool:
    """Whether the name that was looked up, the host's or its proxy's, was not found."""
    if ended(path, "resolve", *reasons):
        return True
    return ended(path, "proxy", *reasons) and bool(path.lookup and path.lookup.failure)


def _says_refused(path: Path) -> bool:
    return any(answer.code == "REFUSED" for answer in path.answers)


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
    """The proxy is willing, and could not connect to the host (5xx), or still tries to."""
    if ended(path, "proxy", "timeout"):
        return True  # proxy_unreachable said no, so it did connect
    return ended(path, "proxy", "proxy-denied") and _replied(path) >= 500


def proxy_login(path: Path, evidence: Evidence) -> bool:
    """The proxy redirects, as to a page to sign in at."""
    return ended(path, "proxy", "proxy-denied") and _replied(path) // 100 == 3


def proxy_busy(path: Path, evidence: Evidence) -> bool:
    """429: too many requests for the proxy."""
    return ended(path, "proxy", "proxy-denied") and _replied(path) == 429


def _replied(path: Path) -> int:
    return path.reply.status if path.reply else 0


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
    """A certificate of someone else, trusted or not: to trust its issuer would not help."""
    return _untrusted(path, _OTHER_NAME) or (_unknown(path) and evidence.misnamed(path))


def intermediate_missing(path: Path, evidence: Evidence) -> bool:
    """A public authority's certificate comes alone, while others verify."""
    alone = path.tls is not None and len(path.tls.chain) == 1
    return _unknown(path) and is_public(path) and alone and bool(evidence.verified)


def bad_bundle(path: Path, evidence: Evidence) -> bool:
    """The issuer is a public authority by its name, or several hosts have as many issuers."""
    unknown = [one for one in evidence.paths if _unknown(one)]
    several = len(evidence.issuers(unknown)) >= _SEVERAL
    public = is_public(path) and not _issues_everything(unknown, evidence)
    return _unknown(path) and (public or several)


def intercepted(path: Path, evidence: Evidence) -> bool:
    """The issuer is no public authority, or is the only one for unrelated hosts."""
    return _unknown(path)


def intercepted_and_trusted(path: Path, evidence: Evidence) -> bool:
    """The authority above is no public one, and the same for published hosts of several sites."""
    if not _privately_verified(path):
        return False
    sites = {
        site(one.host)
        for one in evidence.paths
        if _privately_verified(one)
        and top_issuer(one) == top_issuer(path)
        and evidence.endpoint(one).group != OWN_HOSTS
    }
    return len(sites) > 1


def _privately_verified(path: Path) -> bool:
    trusted = path.failure is None and path.tls is not None and path.tls.verified
    return trusted and bool(presented(path)) and not is_public(path)


def top_issuer(path: Path) -> str:
    """Who stands above the last certificate that was presented."""
    last = path.tls.chain[-1] if path.tls and path.tls.chain else None
    return (last.issuer_name or last.issuer) if last else ""


def _issues_everything(unknown: list[Path], evidence: Evidence) -> bool:
    """Whether hosts of several sites, and all that show a certificate, have one issuer."""
    unrelated = {site(path.host) for path in unknown}
    return len(unrelated) > 1 and len(evidence.issuers(evidence.paths)) == 1


def invalid_certificate(path: Path, evidence: Evidence) -> bool:
    """A certificate that no client may accept."""
    return ended(path, "tls", "untrusted")


def name_cut(path: Path, evidence: Evidence) -> bool:
    """The handshake is cut each time with this name, and not with another one."""
    if not ended(path, "tls", *CUT):
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


def is_public(path: Path) -> bool:
    """Whether the name of an authority above the certificate is that of a public one."""
    chain = path.tls.chain if path.tls else ()
    return any(
        _PUBLIC.search(one.issuer_name.lower() or one.issuer.lower())
        and not _DEVICE.search(one.issuer.lower())
        for one in chain
    )


# --- HTTP -----------------------------------------------------------------------------------------


def no_http(path: Path, evidence: Evidence) -> bool:
    """TLS stands, and no proper answer comes over it."""
    return path.failure is not None


def portal(path: Path, evidence: Evidence) -> bool:
    """511, or a redirect to a foreign host that no public one makes.

    That is by plain HTTP, to an address, of hosts of several sites to the same one, or by whoever
    has a certificate of another name.
    """
    answer = evidence.first_answer(path)
    if answer and answer.status == _SIGN_IN_FIRST:
        return True
    target = evidence.redirect_target(path)
    if not target or not evidence.is_foreign(target[1]):
        return False
    if is_address(target[1]):
        return not leads_nowhere_public(path)  # as a mirror of your own may
    several = len(evidence.sites_led_to(target[1])) > 1
    return target[0] == "http" or several or wrong_name(path, evidence)


def refused_by_cdn(path: Path, evidence: Evidence) -> bool:
    """429, or a 403 that a content network signs, where not everybody gets one.

    A challenge at a site's front page is for whoever is no browser.
    """
    answer = _answer(path)
    if not answer or answer.status not in (403, _TOO_MANY):
        return False
    if answer.status == _TOO_MANY:
        return True
    endpoint = evidence.endpoint(path)
    challenged = endpoint.path == "/" and answer.headers.get("cf-mitigated") == "challenge"
    return _by_cdn(answer) and not challenged and not endpoint.forbidden


def block_page(path: Path, evidence: Evidence) -> bool:
    """A web filter's page, or HTML where something else is published; no content network's own."""
    answer = evidence.first_answer(path)
    if not answer or answer.status == _TOO_MANY or _by_cdn(answer):
        return False
    if _speaks_of_blocking(answer) or one_answers_for_all(path, evidence):
        return True
    if not path.exchange:
        return False
    last = path.exchange.hops[-1]
    if last is not answer and evidence.is_foreign(last.host) and _speaks_of_blocking(last):
        return True
    file = "." in evidence.endpoint(path).path.rpartition("/")[2]
    return file and answer.status == 200 and _is_html(answer)


def one_answers_for_all(path: Path, evidence: Evidence) -> bool:
    """The very same refusal comes from hosts that have nothing to do with each other."""
    own = _refusal(path)
    same = [
        one.host
        for one in evidence.paths
        if own and _refusal(one) == own and not evidence.endpoint(one).forbidden
    ]
    return len(same) >= _SEVERAL and len({site(host) for host in same}) > 1


def _refusal(path: Path) -> tuple[int, str, str, str] | None:
    """Status, Server, Via and the start of the body; None where they say nothing.

    So it is with content networks, whose errors are all alike.
    """
    answer = _answer(path)
    if not answer or not answer.status:
        return None
    server, via = (answer.headers.get(name, "") for name in ("server", "via"))
    known = "x-amz-request-id" in answer.headers or _CDN.search(f"{server} {via}")
    if known or _by_cdn(answer) or not (answer.status in (401, 403, 407) or answer.status >= 500):
        return None
    start = answer.first.replace(path.host, "")[:_START]
    return (answer.status, server, via, start) if server or via or start else None


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
