"""Some hosts with one cause, and what its words and its remedy need of them.

A remedy is for all hosts that one cause keeps from here, because a network team wants one request
and not twelve. Where someone else must act, it holds the very text to hand on.
"""

from collections.abc import Callable, Sequence
from shlex import quote

from biostudio_doctor import text
from biostudio_doctor.endpoints import Endpoint
from biostudio_doctor.model import Machine
from biostudio_doctor.probes import wording
from biostudio_doctor.probes.results import Path, Proxy

from ..egress_facts import Evidence, issuer

_CLOCK_OFF = 60  # seconds: by less, the times in two logs are still found to be the same
#: The command that looks again.
AGAIN = ("biostudio-doctor check egress.hosts",)


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
    def variable(self) -> str:
        """What names that proxy: https_proxy, or a key of the configuration."""
        return self.first.route.variable

    @property
    def in_environment(self) -> bool:
        """Whether a variable names the proxy, and not the configuration."""
        return self.variable.isidentifier()

    @property
    def proxy_hint(self) -> str:
        """What to try where no proxy is in force."""
        if self.first.route.proxy:
            return ""
        other = self.evidence.facts.other_proxies
        not_in_force = f" Not in force here is {text.listing(other)}." if other else ""
        return (
            " If only a proxy leads out of here, name it: https_proxy=http://HOST:PORT (under sudo "
            f"with --preserve-env=https_proxy,no_proxy).{not_in_force}"
        )

    @property
    def curl(self) -> tuple[str, ...]:
        """The command that tries the first, which names the proxy where curl would not find it."""
        through = self.first.route.proxy
        proxy = f"--proxy {quote(through.url)} " if through and not self.in_environment else ""
        return (f"curl -sSI --max-time 10 {proxy}{quote(self.url)}",)

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
