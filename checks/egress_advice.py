"""What to do about hosts that cannot be reached: the remedies of egress.hosts.

Hosts that fail for one cause share one remedy, which names them all: a network team wants one rule
and not twelve requests.
"""

from collections.abc import Sequence

from biostudio_doctor import distribution, text
from biostudio_doctor.model import Machine, Remedy
from biostudio_doctor.probes import Failure, wording
from biostudio_doctor.probes.results import Path

#: X509_V_ERR_... (openssl-verification-options(1)): whoever issued the certificate is not known
#: here, so the issuer's own certificate may be installed.
_UNKNOWN_ISSUER = (18, 19, 20, 21)
_OUT_OF_TIME = (9, 10)

_STUB = "127.0.0.53"  # systemd-resolved, which asks others

_SET_PROXY = (
    "If only a proxy leads out of here, name it: https_proxy=http://HOST:PORT (under sudo with "
    "--preserve-env=https_proxy,no_proxy)."
)


class Advice:
    """All remedies of one run."""

    def __init__(
        self,
        machine: Machine,
        paths: Sequence[Path],
        name_servers: Sequence[str],
        other_proxies: Sequence[str],
    ) -> None:
        self._machine = machine
        self._paths = paths
        self._name_servers = name_servers
        self._other_proxies = other_proxies

    def remedies(self) -> dict[tuple[str, int], Remedy]:
        """The remedy for each host and port that failed."""
        phases = {path.failure.phase if path.failure else None for path in self._paths}
        everywhere = len(self._paths) > 1 and len(phases) == 1
        groups: dict[tuple[str, ...], list[Path]] = {}
        for path in self._paths:
            if path.failure:
                groups.setdefault(_cause(path, path.failure, everywhere), []).append(path)
        found: dict[tuple[str, int], Remedy] = {}
        for group in groups.values():
            remedy = self._remedy(group, everywhere)
            found |= {(path.host, path.port): remedy for path in group}
        return found

    def _remedy(self, group: list[Path], everywhere: bool) -> Remedy:
        problem = group[0].failure
        assert problem, "a group is of failures"
        if problem.phase == "resolve":
            return self._resolve_all(group) if everywhere else self._resolve(group)
        if problem.phase == "connect":
            return self._connect_all(group) if everywhere else self._connect(group)
        if problem.phase == "proxy":
            return self._proxy(group, problem)
        if problem.reason == "untrusted":
            return self._untrusted(group, everywhere)
        return self._meddled(group, everywhere)

    # --- Names and connections --------------------------------------------------------------------

    def _resolve_all(self, group: list[Path]) -> Remedy:
        servers = text.listing(self._name_servers) or "none"
        commands = ["cat /etc/resolv.conf", f"getent hosts {group[0].host}"]
        if _STUB in self._name_servers:
            commands.insert(1, "resolvectl status")
        return Remedy(
            "No host is resolved, so this is about name resolution as a whole and not about single "
            f"hosts: the name servers of /etc/resolv.conf ({servers}) must be the right ones and "
            f"answer this host on port 53, UDP and TCP. {self._proxy_hint()}",
            tuple(commands),
            as_root=False,
        )

    def _resolve(self, group: list[Path]) -> Remedy:
        asked = text.listing(dict.fromkeys(wording.servers(path) for path in group))
        return Remedy(
            f"Other hosts are resolved from here, so ask the network team why {asked} does not "
            f"resolve {_hosts(group)}: a DNS filter must let these names pass.",
            tuple(f"getent hosts {path.host}" for path in group[:1]),
            as_root=False,
        )

    def _connect_all(self, group: list[Path]) -> Remedy:
        return Remedy(
            "No host can be connected to, so this is about the way out as a whole and not about "
            "single hosts: a default route, a gateway or one firewall rule is missing. "
            f"{self._rule(group)} {self._proxy_hint()}",
            ("ip route",),
            as_root=False,
        )

    def _connect(self, group: list[Path]) -> Remedy:
        return Remedy(
            f"Ask the network team for this rule. {self._rule(group)} Hosts must be allowed by "
            f"name, since their addresses change. {self._proxy_hint()}"
        )

    def _rule(self, group: list[Path]) -> str:
        ports = text.listing(sorted({path.port for path in group}))
        return f"Allow outbound, TCP port {ports}, from {self._here(group)} to {_hosts(group)}."

    def _here(self, group: list[Path]) -> str:
        sources = sorted({hop.source for path in group for hop in path.attempts if hop.source})
        name = self._machine.hostname or "this host"
        return f"{name} ({text.listing(sources)})" if sources else name

    def _proxy_hint(self) -> str:
        if not self._other_proxies:
            return _SET_PROXY
        return f"{_SET_PROXY} Not in force here is {text.listing(self._other_proxies)}."

    # --- Proxies ----------------------------------------------------------------------------------

    def _proxy(self, group: list[Path], problem: Failure) -> Remedy:
        path = group[0]
        variable, through = path.route.variable, path.route.proxy
        correct = (f"export {variable}=http://HOST:PORT",)
        if not through and problem.reason == "other":
            return Remedy(
                "conda and docker need more than this variable for a SOCKS proxy. Ask for an HTTP "
                "proxy, or see with a program that speaks SOCKS whether it leads out.",
                (f"curl -sSI https://{path.host}/",),
                as_root=False,
            )
        if not through:
            return Remedy(
                f"Correct {variable}: http://HOST:PORT, or http://USER:PASSWORD@HOST:PORT with "
                "special characters percent-encoded.",
                correct,
                as_root=False,
            )
        if problem.reason == "tls-protocol":
            return Remedy(
                f"Write http:// in {variable}: it says how the proxy itself is spoken to, and that "
                "is HTTP nearly everywhere, for https:// addresses, too.",
                (f"export {variable}=http://{through.host}:{through.port}",),
                as_root=False,
            )
        if problem.reason == "proxy-auth":
            return Remedy(_credentials(path, variable))
        if problem.reason == "proxy-denied":
            return Remedy(
                f"Ask whoever runs the proxy {through.url} to let {self._here(group)} connect "
                f"(CONNECT, port {path.port}) to {_hosts(group)}."
            )
        if problem.reason == "untrusted":
            return Remedy(
                f"The proxy {through.url} itself has this certificate: have its authority, then:",
                distribution.trust_authority(self._machine, "proxy-ca.crt"),
            )
        return Remedy(
            f"Ask the network team whether {through.url} is the right proxy for "
            f"{self._here(group)}, and correct {variable} if it is not.",
            correct,
            as_root=False,
        )

    # --- TLS and HTTP -----------------------------------------------------------------------------

    def _untrusted(self, group: list[Path], everywhere: bool) -> Remedy:
        code = group[0].tls.verify_code if group[0].tls else 0
        hosts = _hosts(group)
        if code in _OUT_OF_TIME:
            return Remedy(
                f"See first whether this host's clock is right. If it is, the certificate of "
                f"{hosts} is at fault: tell whoever inspects the traffic here, or the vendor.",
                ("date -u",),
                as_root=False,
            )
        if code not in _UNKNOWN_ISSUER:
            return Remedy(
                f"Something else answers in the place of {hosts}. Ask the network team which "
                "device that is, and to let these hosts pass unchanged."
            )
        bundle = "Otherwise this host's bundle of authorities is missing or very old: install the "
        return Remedy(
            "Most often a device of your site looks into TLS. Ask the network team to let "
            f"{hosts} pass unchanged, or for the device's authority, to be installed as below, and "
            "for conda (ssl_verify) and in the containers as well. "
            + (f"{bundle}package ca-certificates." if everywhere else ""),
            distribution.trust_authority(self._machine, "site-ca.crt"),
        )

    def _meddled(self, group: list[Path], everywhere: bool) -> Remedy:
        """The connection stands, and what is said over it does not get through."""
        about = "TLS as a whole" if everywhere else "these hosts"
        return Remedy(
            f"The connection is allowed, but what is said over it is not let through: ask the "
            f"network team whether a device filters or inspects {about}. "
            f"{self._rule(group)} Nothing on the way may change or end it."
        )


def _cause(path: Path, problem: Failure, everywhere: bool) -> tuple[str, ...]:
    """What hosts with one remedy have in common."""
    if everywhere and problem.phase in ("resolve", "connect"):
        return (problem.phase,)
    code = path.tls.verify_code if path.tls else 0
    return (problem.phase, problem.reason, str(code))


def _hosts(group: Sequence[Path]) -> str:
    return text.listing(path.host for path in group)


def _credentials(path: Path, variable: str) -> str:
    schemes = path.reply.schemes if path.reply else ()
    through = path.route.proxy
    if schemes and not any(scheme.lower() == "basic" for scheme in schemes):
        return (
            f"conda and docker know the scheme Basic only, and this proxy offers "
            f"{text.listing(schemes)}: ask whoever runs it for Basic, or to let this host through "
            "without a user name."
        )
    if through and through.authenticated:
        return (
            f"Correct the user name and the password in {variable}; special characters must be "
            "percent-encoded (@ as %40, : as %3A, / as %2F)."
        )
    return (
        f"Put a user name and a password into {variable}: http://USER:PASSWORD@HOST:PORT, with "
        "special characters percent-encoded (@ as %40, : as %3A, / as %2F)."
    )
