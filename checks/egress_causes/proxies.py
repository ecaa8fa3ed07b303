"""Proxies that are named wrongly, are not there, or do not let hosts through."""

from shlex import quote

from biostudio_doctor import distribution, text
from biostudio_doctor.model import Remedy
from biostudio_doctor.probes import wording
from biostudio_doctor.probes.results import Path

from ..egress_facts import Evidence, ended
from .case import AGAIN, Case

_ENCODED = "special characters percent-encoded (@ as %40, : as %3A, / as %2F)"


# --- Evidence -------------------------------------------------------------------------------------


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


# --- What was seen --------------------------------------------------------------------------------


def upstream_seen(case: Case) -> str:
    """What the proxy said, or for how long it said nothing."""
    proxy = case.proxy.url
    details = [path.failure.detail for path in case.paths if path.failure and path.reply]
    waited = max(path.seconds.get("proxy", 0) for path in case.paths)
    silence = f"did not answer CONNECT for {wording.duration(waited)}"
    if not details:
        return f"the proxy {proxy} accepts the connection and {silence}: its own DNS or firewall"
    said = text.listing(dict.fromkeys(details))
    also = f", or {silence}" if len(details) < len(case.paths) else ""
    return f"the proxy {proxy} cannot connect to these hosts itself ({said}){also}"


# --- What to do -----------------------------------------------------------------------------------


def set_proxy(case: Case) -> Remedy:
    """A proxy is named elsewhere."""
    other = text.listing(case.evidence.facts.other_proxies)
    return Remedy(
        f"Name the proxy in this environment as well: it is {other}. Under sudo, pass it on with "
        "--preserve-env=https_proxy,no_proxy; what else needs it, such as the container engine, "
        "`biostudio-doctor check egress.proxy` tells.",
        ("export https_proxy=http://HOST:PORT",),
        as_root=False,
    )


def correct_proxy(case: Case) -> Remedy:
    """The setting makes no sense."""
    return Remedy(
        f"Correct {case.variable}: http://HOST:PORT, or http://USER:PASSWORD@HOST:PORT with "
        f"{_ENCODED}.",
        _export(case, "http://HOST:PORT"),
        as_root=False,
    )


def ask_for_http_proxy(case: Case) -> Remedy:
    """SOCKS."""
    return Remedy(
        "conda and docker need more than this variable for a SOCKS proxy. Ask for an HTTP proxy, "
        "or see with a program that speaks SOCKS whether it leads out.",
        case.curl,
        as_root=False,
    )


def write_http_scheme(case: Case) -> Remedy:
    """https:// where http:// is meant."""
    return Remedy(
        f"Write http:// in {case.variable}: it says how the proxy itself is spoken to, and that "
        "is HTTP nearly everywhere, for https:// addresses, too.",
        _export(case, f"http://{case.proxy.host}:{case.proxy.port}"),
        as_root=False,
    )


def give_credentials(case: Case) -> Remedy:
    """407, Basic."""
    if case.proxy.authenticated:
        return Remedy(
            f"Correct the user name and the password in {case.variable}, with {_ENCODED}."
        )
    return Remedy(
        f"Put a user name and a password into {case.variable}: "
        f"http://USER:PASSWORD@HOST:PORT, with {_ENCODED}."
    )


def ask_for_basic(case: Case) -> Remedy:
    """407, without Basic."""
    return Remedy(
        "conda and docker know the scheme Basic only; a helper on this host, such as cntlm or px, "
        "can stand between.\n"
        + case.request(
            f"offer Basic at {case.proxy.url}, or let this host through without a user name"
        )
    )


def ask_proxy_team(case: Case) -> Remedy:
    """403."""
    return Remedy(
        "Whoever runs the proxy must allow these hosts.\n"
        + case.request(f"let {case.here} connect (CONNECT) to these hosts")
    )


def ask_for_proxys_way(case: Case) -> Remedy:
    """The proxy itself does not get out."""
    return Remedy(
        "Whoever runs the proxy must see to its own way out: its DNS, and the firewall before it. "
        f"If {case.proxy.url} is not the proxy of {case.here}, correct {case.variable}.\n"
        + case.request("let the proxy itself resolve and reach these hosts")
    )


def sign_in_at_proxy(case: Case) -> Remedy:
    """A redirect in answer to CONNECT."""
    return Remedy(
        "The proxy wants somebody to sign in by a browser, which a server cannot do: have this "
        "host exempted, or get a user name and a password for it.\n"
        + case.request(f"let {case.here} connect (CONNECT) to these hosts without a login page")
    )


def wait_for_proxy(case: Case) -> Remedy:
    """429 in answer to CONNECT."""
    return Remedy(
        "Try again later; if it lasts, ask whoever runs the proxy for a higher limit.\n"
        + case.request(f"let {case.here} make more connections (CONNECT) to these hosts"),
        AGAIN,
        as_root=False,
    )


def ask_about_proxy(case: Case) -> Remedy:
    """The proxy is not there, or is none."""
    return Remedy(
        f"Correct {case.variable} if {case.proxy.url} is not the proxy of {case.here}; if it "
        "is, whoever runs it must let this host connect.\n"
        + case.request(f"tell which proxy is for {case.here}, or mend this one"),
        _export(case, "http://HOST:PORT"),
        as_root=False,
    )


def trust_proxy(case: Case) -> Remedy:
    """A proxy that is spoken to by TLS."""
    return Remedy(
        f"The proxy {case.proxy.url} itself has this certificate: have its authority, then:",
        distribution.trust_authority(case.machine, "proxy-ca.crt"),
    )


def _export(case: Case, value: str) -> tuple[str, ...]:
    return (f"export {case.variable}={quote(value)}",) if case.in_environment else ()
