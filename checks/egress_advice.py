"""What to do about each cause: the remedies of egress.hosts.

A remedy is for all hosts that one cause keeps from here, because a network team wants one request
and not twelve. Where someone else must act, it holds the very text to hand on.
"""

from collections.abc import Callable, Sequence
from shlex import quote

from biostudio_doctor import distribution, text
from biostudio_doctor.endpoints import Endpoint, is_loopback
from biostudio_doctor.model import Machine, Remedy
from biostudio_doctor.probes import wording
from biostudio_doctor.probes.results import Path, Proxy

from .egress_facts import Evidence, issuer
from .egress_rules import stray

_CLOCK_OFF = 60  # seconds: by less, the times in two logs are still found to be the same
_STUB = "127.0.0.53"  # systemd-resolved, which asks others
_ENCODED = "special characters percent-encoded (@ as %40, : as %3A, / as %2F)"
_AGAIN = ("biostudio-doctor check egress.hosts",)

#: The system's bundle of authorities, by family (distribution.FAMILIES).
_BUNDLES = {
    "rhel": "/etc/pki/tls/certs/ca-bundle.crt",
    "suse": "/etc/ssl/ca-bundle.pem",
}
_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"


class Case:
    """Some hosts, and the one cause that is wrong with all of them."""

    def __init__(
        self,
        paths: Sequence[Path],
        evidence: Evidence,
        machine: Machine,
        words: "Callable[[Case], str]",
    ) -> None:
        self.paths = paths
        self.evidence = evidence
        self.machine = machine
        self.seen = words(self)  # a clause without its full stop

    @property
    def first(self) -> Path:
        """The host that stands for all where one is enough, as in a command."""
        return self.paths[0]

    @property
    def url(self) -> str:
        """Of the first."""
        return f"https://{self.place.removesuffix(':443')}/"

    @property
    def place(self) -> str:
        """host:port of the first."""
        return str(Endpoint(self.first.host, self.first.port))

    @property
    def hosts(self) -> str:
        """All their names."""
        return text.listing(dict.fromkeys(path.host for path in self.paths))

    @property
    def ports(self) -> str:
        """TCP port 443."""
        ports = sorted({path.port for path in self.paths})
        return f"TCP {'port' if len(ports) == 1 else 'ports'} {text.listing(ports)}"

    @property
    def here(self) -> str:
        """This host with the addresses that its packets come from."""
        sources = sorted({one.source for path in self.paths for one in path.attempts if one.source})
        name = self.machine.hostname or "this host"
        known = sources or sorted(self.evidence.facts.sources)
        return f"{name} ({text.listing(known)})" if known else name

    @property
    def proxy(self) -> Proxy:
        """The proxy that they are reached through."""
        through = self.first.route.proxy
        assert through, "this cause is one of proxies"
        return through

    @property
    def servers(self) -> str:
        """The name servers that gave the failure."""
        named = dict.fromkeys(wording.servers(path) for path in self.paths)
        return text.listing(named)

    @property
    def issuers(self) -> str:
        """Who issued the certificates that were shown."""
        names = sorted({issuer(path) for path in self.paths})
        return text.listing(f"'{name}'" for name in names)

    @property
    def _through(self) -> str:
        """The proxy and what it said to CONNECT, where the words do not tell already."""
        path = self.paths[0] if self.paths else None
        if not (path and path.route.proxy) or path.route.proxy.url in self.seen:
            return ""
        said = f"{path.reply.status} {path.reply.phrase}".rstrip() if path.reply else ""
        told = f" (CONNECT: {said})" if said else ""
        return f" through the proxy {path.route.proxy.url}{told}"

    def request(self, wanted: str, *, hosts: bool = True) -> str:
        """The text to hand on: what was seen, from where, to where, when, and what is wanted."""
        when = self.evidence.facts.observed_at.strftime("%Y-%m-%d %H:%M:%S UTC")
        clock = self.evidence.agreed_offset
        if clock is not None and abs(clock) > _CLOCK_OFF:
            when += f" (this host's clock is {off_by(clock)})"
        seen = f"  {when}, from {self.here}{self._through}: {self.seen}."
        lines = ["To hand on:", seen, f"  Please {wanted}."]
        if hosts:
            lines.append(f"  Hosts, by HTTPS ({self.ports}):")
            lines += [f"  - {_place(path)}" for path in self.paths]
        return "\n".join(lines)


def off_by(offset: float) -> str:
    """10 minutes ahead: this host's clock, whose offset is how far others are ahead of it."""
    seconds = abs(offset)
    for unit, name in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.0f} {name} {'behind' if offset > 0 else 'ahead'}"
    return f"{seconds:.0f} seconds {'behind' if offset > 0 else 'ahead'}"


def _place(path: Path) -> str:
    """conda.anaconda.org (203.0.113.20 and 2001:db8::20)."""
    addresses = path.lookup.addresses if path.lookup and not path.route.proxy else ()
    name = path.host if path.port == 443 else str(Endpoint(path.host, path.port))
    return f"{name} ({text.listing(addresses)})" if addresses else name


def _proxy_hint(case: Case) -> str:
    if case.first.route.proxy:
        return ""
    other = case.evidence.facts.other_proxies
    not_in_force = f" Not in force here is {text.listing(other)}." if other else ""
    return (
        " If only a proxy leads out of here, name it: https_proxy=http://HOST:PORT (under sudo "
        f"with --preserve-env=https_proxy,no_proxy).{not_in_force}"
    )


def _try(case: Case) -> tuple[str, ...]:
    return (f"curl -sSI --max-time 10 {_by_proxy(case)}{quote(case.url)}",)


def _by_proxy(case: Case) -> str:
    """curl's option where the proxy is not of the environment, in which curl looks itself."""
    through = case.first.route.proxy
    return f"--proxy {quote(through.url)} " if through and not _in_environment(case) else ""


# --- Names ----------------------------------------------------------------------------------------


def name_a_server(case: Case) -> Remedy:
    """There is none in /etc/resolv.conf."""
    return Remedy(
        "Ask the network team which name servers this host shall use, and enter them where this "
        "system keeps its network settings (netplan, NetworkManager, ifcfg or resolv.conf itself).",
        ("cat /etc/resolv.conf",),
        as_root=False,
    )


def ask_for_dns(case: Case) -> Remedy:
    """The name servers do not answer, or not for public names."""
    servers = text.listing(case.evidence.facts.name_servers) or "the name servers"
    commands = ["cat /etc/resolv.conf", f"getent hosts {quote(case.first.peer)}"]
    proxy = case.first.route.proxy
    names = f"the name of the proxy, {proxy.host}" if proxy else "these public names"
    if _STUB in case.evidence.facts.name_servers:
        commands.insert(1, "resolvectl status")
    return Remedy(
        "See that the name servers of /etc/resolv.conf are the right ones, and have them answer."
        f"{_proxy_hint(case)}\n"
        + case.request(
            f"let {servers} answer this host on port 53, UDP and TCP, for {names}",
        ),
        tuple(commands),
        as_root=False,
    )


def ask_for_names(case: Case) -> Remedy:
    """Some names are kept from here."""
    return Remedy(
        "Other names are found from here, so a DNS filter must let these pass.\n"
        + case.request("let these names be resolved"),
        (f"getent hosts {quote(case.first.host)}",),
        as_root=False,
    )


def ask_for_upstream(case: Case) -> Remedy:
    """SERVFAIL."""
    return Remedy(
        "The name server is reached, but cannot find names out: its way to the internet, or its "
        "DNSSEC validation (a wrong clock breaks that, too), is at fault.\n"
        + case.request("see why the name server fails on these names"),
        (f"getent hosts {quote(case.first.host)}",),
        as_root=False,
    )


def mend_resolvers(case: Case) -> Remedy:
    """One of several name servers is bad."""
    bad = text.listing(case.evidence.bad_servers)
    return Remedy(
        f"Take {bad} out of /etc/resolv.conf (where netplan, NetworkManager or DHCP writes it), or "
        "have it mended: each program that happens to ask it fails or waits.\n"
        + case.request(f"mend {bad} (DNS, port 53), or name another", hosts=bool(case.paths)),
        ("cat /etc/resolv.conf",),
        as_root=False,
    )


def mend_system_resolver(case: Case) -> Remedy:
    """A name server knows the name, and getaddrinfo(3) does not find it."""
    return Remedy(
        "See that the line 'hosts:' of /etc/nsswitch.conf has dns (or resolve). If it has, answers "
        "come late or get lost now and then: look again, and see the options in /etc/resolv.conf "
        "(timeout, attempts).",
        (
            "grep '^hosts' /etc/nsswitch.conf",
            "cat /etc/resolv.conf",
            f"getent hosts {quote(case.first.peer)}",
        ),
        as_root=False,
    )


def start_resolver(case: Case) -> Remedy:
    """Port 53 of a name server is closed."""
    servers = case.evidence.facts.name_servers
    if not servers or not all(map(is_loopback, servers)):
        return ask_for_dns(case)
    if _STUB in servers and case.machine.systemd:
        return Remedy(
            "The resolver of this host itself is not running: start it.",
            distribution.service(case.machine, "restart", "systemd-resolved"),
        )
    return Remedy(
        "The resolver of this host itself is not running: start it, or name another name server "
        "in /etc/resolv.conf.",
        ("cat /etc/resolv.conf", "ss -lnu"),
        as_root=False,
    )


def mend_hosts(case: Case) -> Remedy:
    """This host itself knows better than the name servers."""
    names = sorted({path.host for path in case.paths})
    wanted = " ".join(f"-e {quote(name)}" for name in names)
    return Remedy(
        "Take the entry out of /etc/hosts; if none is there, see which source the line 'hosts:' of "
        "/etc/nsswitch.conf names before dns. If a mirror of your own is meant, it must answer.",
        (f"grep -nF {wanted} /etc/hosts", "grep '^hosts' /etc/nsswitch.conf"),
        as_root=False,
    )


def ask_about_sink_hole(case: Case) -> Remedy:
    """Answers in space that is not public."""
    host = quote(case.first.host)
    return Remedy(
        "A DNS filter answers in the place of these names, or they stand in /etc/hosts; if a "
        "mirror of your own is meant, it must answer.\n"
        + case.request("let these names resolve to their public addresses"),
        (f"getent ahosts {host}", f"grep -F {host} /etc/hosts"),
        as_root=False,
    )


# --- TCP ------------------------------------------------------------------------------------------


def add_route(case: Case) -> Remedy:
    """No route leads out of this host."""
    return Remedy(
        "Give this host a default route by a gateway of its network; the network team knows it."
        f"{_proxy_hint(case)}",
        ("ip route", "ip -6 route"),
        as_root=False,
    )


def ask_for_rule(case: Case) -> Remedy:
    """A firewall stands in the way."""
    return Remedy(
        f"Have a firewall rule made.{_proxy_hint(case)}\n"
        + case.request(
            f"allow {case.ports} outbound from this host to these hosts, by name: their addresses "
            "change",
        ),
        _try(case),
        as_root=False,
    )


def ask_for_family(case: Case) -> Remedy:
    """One of the two address families is blocked."""
    return Remedy(
        "Programs get through by the other family, but some wait or fail first. If IPv6 is not "
        "meant to work here, take this host's IPv6 route away instead.\n"
        + case.request(f"allow {case.ports} outbound in both families, IPv4 and IPv6"),
        ("ip route", "ip -6 route"),
        as_root=False,
    )


def mend_mtu(case: Case) -> Remedy:
    """Large packets vanish."""
    host = quote(case.first.host)
    return Remedy(
        "Find the size that passes, and set it as the MTU of this host's interface, or have it "
        "mended on the way (MSS clamping, or ICMP 'fragmentation needed' let through).\n"
        + case.request("let ICMP 'fragmentation needed' pass, or clamp the TCP MSS"),
        (f"tracepath -n {host}", f"ping -c 3 -M do -s 1472 {host}"),
        as_root=False,
    )


# --- Proxies --------------------------------------------------------------------------------------


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
        f"Correct {_variable(case)}: http://HOST:PORT, or http://USER:PASSWORD@HOST:PORT with "
        f"{_ENCODED}.",
        _export(case, "http://HOST:PORT"),
        as_root=False,
    )


def ask_for_http_proxy(case: Case) -> Remedy:
    """SOCKS."""
    return Remedy(
        "conda and docker need more than this variable for a SOCKS proxy. Ask for an HTTP proxy, "
        "or see with a program that speaks SOCKS whether it leads out.",
        _try(case),
        as_root=False,
    )


def write_http_scheme(case: Case) -> Remedy:
    """https:// where http:// is meant."""
    return Remedy(
        f"Write http:// in {_variable(case)}: it says how the proxy itself is spoken to, and that "
        "is HTTP nearly everywhere, for https:// addresses, too.",
        _export(case, f"http://{case.proxy.host}:{case.proxy.port}"),
        as_root=False,
    )


def give_credentials(case: Case) -> Remedy:
    """407, Basic."""
    if case.proxy.authenticated:
        return Remedy(
            f"Correct the user name and the password in {_variable(case)}, with {_ENCODED}."
        )
    return Remedy(
        f"Put a user name and a password into {_variable(case)}: "
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
        f"If {case.proxy.url} is not the proxy of {case.here}, correct {_variable(case)}.\n"
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
        _AGAIN,
        as_root=False,
    )


def ask_about_proxy(case: Case) -> Remedy:
    """The proxy is not there, or is none."""
    return Remedy(
        f"Correct {_variable(case)} if {case.proxy.url} is not the proxy of {case.here}; if it "
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


def _variable(case: Case) -> str:
    return case.first.route.variable


def _export(case: Case, value: str) -> tuple[str, ...]:
    return (f"export {_variable(case)}={quote(value)}",) if _in_environment(case) else ()


def _in_environment(case: Case) -> bool:
    """Whether a variable names the proxy, and not the configuration."""
    return _variable(case).isidentifier()


# --- TLS ------------------------------------------------------------------------------------------


def install_authority(case: Case) -> Remedy:
    """A device looks into TLS."""
    return Remedy(
        f"Have the certificate of {case.issuers} from the network team, as site-ca.crt in PEM, and "
        f"install it on this host as below. {_beyond_the_host(case)} "
        f"`{_shown(case, '-showcerts')}` shows what is presented.\n"
        + case.request(
            "exempt these hosts from TLS inspection, or give us the certificate of the inspecting "
            "device's authority",
        ),
        distribution.trust_authority(case.machine, "site-ca.crt"),
    )


def pass_authority_on(case: Case) -> Remedy:
    """This host trusts the device already."""
    return Remedy(
        f"{_beyond_the_host(case)} Or have the hosts exempted.\n"
        + case.request("exempt these hosts from TLS inspection"),
        (_shown(case, "-showcerts"),),
        as_root=False,
    )


def _beyond_the_host(case: Case) -> str:
    """What has authorities of its own, and how it is given the host's."""
    bundle = _BUNDLES.get(distribution.family(case.machine), _BUNDLE)
    return (
        f"conda has a list of its own: `conda config --system --set ssl_verify {bundle}`. "
        f"Containers do not see the host's: give them `--volume {bundle}:/site-ca.crt:ro --env "
        "REQUESTS_CA_BUNDLE=/site-ca.crt --env SSL_CERT_FILE=/site-ca.crt`."
    )


def update_bundle(case: Case) -> Remedy:
    """The system's authorities are old or broken."""
    update = distribution.update_trust(case.machine)
    rebuild = distribution.rebuild_trust(case.machine)
    return Remedy(
        "Bring this system's public authorities up to date (package ca-certificates) and write "
        "their bundle anew; `biostudio-doctor check egress.trust` tells what is wrong with it. If "
        "the issuers' names are not to be trusted, a device on the way uses them: ask the network "
        "team.",
        (*update, *rebuild),
    )


def set_clock(case: Case) -> Remedy:
    """This host's clock."""
    return Remedy(
        "Set this host's clock right, and keep it so: `biostudio-doctor check os.time` tells how.",
        ("date -u", "biostudio-doctor check os.time"),
        as_root=False,
    )


def tell_owner(case: Case) -> Remedy:
    """A certificate that is at fault at the other end, or on the way."""
    return Remedy(
        f"The certificate itself is at fault, issued by {case.issuers}. If that is your "
        "site's name, its TLS inspection is out of order; if not, tell support@bioturing.com.\n"
        + case.request("see that nothing on the way replaces these certificates"),
        (_shown(case),),
        as_root=False,
    )


def ask_for_intermediate(case: Case) -> Remedy:
    """The other end sends its own certificate alone."""
    return Remedy(
        f"The other end must send the intermediate certificate of {case.issuers} as well. If no "
        "device of your site answers here, tell support@bioturing.com.\n"
        + case.request(
            "see whether a device on the way answers here, and have it send the whole chain of "
            "certificates"
        ),
        (_shown(case, "-showcerts"),),
        as_root=False,
    )


def _shown(case: Case, *options: str) -> str:
    """The command that shows the certificates, through the proxy if there is one."""
    through = case.first.route.proxy
    by = ("-proxy", quote(str(Endpoint(through.host, through.port)))) if through else ()
    words = ("openssl s_client", *options, *by, "-connect", quote(case.place), "</dev/null")
    return " ".join(words)


def ask_who_answers(case: Case) -> Remedy:
    """Something else answers."""
    return Remedy(
        "Something else answers in the place of these hosts: a captive portal, a block page or "
        "another device.\n"
        + case.request("tell which device answers here, and let these hosts pass unchanged"),
        _try(case),
        as_root=False,
    )


def ask_for_passage(case: Case) -> Remedy:
    """TLS is cut on the way."""
    return Remedy(
        "The connection is allowed, but what is said over it is not let through.\n"
        + case.request(
            "let TLS pass to these hosts (by their names, which firewalls read in SNI), unchanged "
            "and without inspection",
        ),
        _try(case),
        as_root=False,
    )


# --- HTTP -----------------------------------------------------------------------------------------


def sign_in(case: Case) -> Remedy:
    """A captive portal."""
    target = case.evidence.redirect_target(case.first)
    place = f" ({target[0]}://{target[1]}/)" if target else ""
    return Remedy(
        f"Sign this host in at the portal{place}, or have it exempted from it.\n"
        + case.request("let this host out without a portal"),
        _try(case),
        as_root=False,
    )


def ask_web_filter(case: Case) -> Remedy:
    """A block page."""
    return Remedy(
        "A web filter answers in the place of these hosts.\n"
        + case.request("allow these hosts in the web filter"),
        _try(case),
        as_root=False,
    )


def ask_the_cdn(case: Case) -> Remedy:
    """About this site's address."""
    return Remedy(
        "The way is free: no firewall of yours does this. The host's own network turns away your "
        "site's public address, for too many requests or by its terms of use. Ask whoever answers "
        "for that address and for the licence (Anaconda asks larger organisations for one), or "
        "take packages from a mirror.",
        _try(case),
        as_root=False,
    )


def allow_redirect(case: Case) -> Remedy:
    """The target of a redirect is blocked."""
    hops = [hop for path in case.paths if (hop := stray(path, case.evidence))]
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
        _AGAIN,
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
