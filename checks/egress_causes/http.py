"""Answers over HTTP that are not the host's own, or not those of a host in order."""

import re
from shlex import quote

from biostudio_doctor import text
from biostudio_doctor.endpoints import is_address
from biostudio_doctor.model import Remedy
from biostudio_doctor.probes import wording
from biostudio_doctor.probes.results import Hop, Path

from ..egress_facts import Evidence, leads_nowhere_public, site
from .case import AGAIN, Case
from .certificates import wrong_name

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
_TELLING = 1.0  # seconds: an object that has come before says nothing about the line
_SEVERAL = 3  # hosts that give one and the same refusal


# --- Evidence -------------------------------------------------------------------------------------


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
    if _speaks_of_blocking(answer) or _one_answers_for_all(path, evidence):
        return True
    if not path.exchange:
        return False
    last = path.exchange.hops[-1]
    if last is not answer and evidence.is_foreign(last.host) and _speaks_of_blocking(last):
        return True
    file = "." in evidence.endpoint(path).path.rpartition("/")[2]
    return file and answer.status == 200 and _is_html(answer)


def _one_answers_for_all(path: Path, evidence: Evidence) -> bool:
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
    return _stray(path, evidence) is not None


def _stray(path: Path, evidence: Evidence) -> Hop | None:
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


def _answer(path: Path) -> Hop | None:
    return path.exchange.answer if path.exchange and not path.failure else None


def _by_cdn(hop: Hop) -> bool:
    return any(header in hop.headers for header in _CDN_HEADERS)


def _is_html(hop: Hop) -> bool:
    return hop.headers.get("content-type", "").startswith("text/html")


def _speaks_of_blocking(hop: Hop) -> bool:
    words = hop.first.lower()
    return _is_html(hop) and any(phrase in words for phrase in _BLOCK_WORDS)


# --- What was seen --------------------------------------------------------------------------------


def portal_seen(case: Case) -> str:
    """Where it leads to."""
    target = case.evidence.redirect_target(case.first)
    if not target:
        return "a captive portal answers instead (HTTP 511)"
    name = f"[{target[1]}]" if ":" in target[1] else target[1]
    return f"a captive portal or filter answers instead, and redirects to {target[0]}://{name}"


def block_page_seen(case: Case) -> str:
    """Whose page, as far as that is told."""
    answer = case.evidence.first_answer(case.first)
    if not (answer and _one_answers_for_all(case.first, case.evidence)):
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


def cdn_seen(case: Case) -> str:
    """What the content network says."""
    return f"the host's own network answers {_answered(case)}, which is about this site's address"


def redirect_seen(case: Case) -> str:
    """Where the redirect ends."""
    hop = _stray(case.first, case.evidence)
    if not (hop and hop.failure):
        return "a redirect fails"
    return (
        f"the redirect to {hop.host} fails ({wording.PHASES[hop.failure.phase]}: "
        f"{hop.failure.reason})"
    )


def server_seen(case: Case) -> str:
    """What it answers."""
    return f"the other end answers {_answered(case)}, a fault of its own"


def slow_seen(case: Case) -> str:
    """How fast it was, and how fast is recommended."""
    measured, wanted = case.evidence.facts.download, case.evidence.throughput
    if not (measured and wanted):
        return "downloads are slow"
    rate = text.size(measured.length / measured.seconds)
    return f"downloads come at {rate}/s, and {text.size(wanted.value)}/s or more is recommended"


# --- What to do -----------------------------------------------------------------------------------


def sign_in(case: Case) -> Remedy:
    """A captive portal."""
    target = case.evidence.redirect_target(case.first)
    place = f" ({target[0]}://{target[1]}/)" if target else ""
    return Remedy(
        f"Sign this host in at the portal{place}, or have it exempted from it.\n"
        + case.request("let this host out without a portal"),
        case.curl,
        as_root=False,
    )


def ask_web_filter(case: Case) -> Remedy:
    """A block page."""
    return Remedy(
        "A web filter answers in the place of these hosts.\n"
        + case.request("allow these hosts in the web filter"),
        case.curl,
        as_root=False,
    )


def ask_the_cdn(case: Case) -> Remedy:
    """About this site's address."""
    return Remedy(
        "The way is free: no firewall of yours does this. The host's own network turns away your "
        "site's public address, for too many requests or by its terms of use. Ask whoever answers "
        "for that address and for the licence (Anaconda asks larger organisations for one), or "
        "take packages from a mirror.",
        case.curl,
        as_root=False,
    )


def allow_redirect(case: Case) -> Remedy:
    """The target of a redirect is blocked."""
    hops = [hop for path in case.paths if (hop := _stray(path, case.evidence))]
    targets = text.listing(dict.fromkeys(hop.host for hop in hops))
    return Remedy(
        f"{targets} must be allowed together with {case.hosts}.\n"
        + case.request(f"allow TCP port 443 outbound to {targets}", hosts=False),
        (f"curl -sSI --max-time 10 {quote(f'https://{hops[0].host}/')}",),
        as_root=False,
    )


def try_later(case: Case) -> Remedy:
    """A fault of the other end."""
    return Remedy(
        "The way to it is free. Try again later; if it lasts, ask support@bioturing.com, or the "
        "administrator of a proxy in between, whether it is theirs.",
        AGAIN,
        as_root=False,
    )


def find_the_narrow(case: Case) -> Remedy:
    """A slow line."""
    return Remedy(
        "Ask the network team what bandwidth this host has to the internet, and whether a proxy or "
        "filter on the way slows it down; otherwise take images and packages from a mirror.",
        (f"curl -o /dev/null -w '%{{speed_download}} bytes/s\\n' {quote(_object(case))}",),
        as_root=False,
    )


def _object(case: Case) -> str:
    return case.url.removesuffix("/") + case.evidence.endpoint(case.first).path
