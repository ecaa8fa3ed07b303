"""What egress.hosts gathers, and the questions that its rules ask of all of it together."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from functools import cached_property

from msgspec import Struct

from biostudio_doctor.certificates import CertificateFacts
from biostudio_doctor.endpoints import is_address
from biostudio_doctor.probes import Phase, Reason
from biostudio_doctor.probes.results import (
    Answer,
    Attempt,
    Download,
    Hop,
    Path,
    SecondLook,
    TlsResult,
)
from biostudio_doctor.requirements import Endpoint, Quantity, Requirements

#: Where no public name leads: this host itself, networks that are not routed on the internet, and
#: the shared space of providers (RFC 6890). The ranges for documentation are not among them.
_NOT_PUBLIC = (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
    "172.16.0.0/12", "192.168.0.0/16", "::/128", "::1/128", "fc00::/7", "fe80::/10",
)  # fmt: skip

_AGREE = 60  # seconds that the clocks of several hosts may differ by

#: Answers of a name server that were meant, unlike silence.
_SAID: tuple[Reason, ...] = ("nxdomain", "refused", "no-address")

#: What a name server that is no good does, in words.
_DOING: Mapping[Reason, str] = {
    "nxdomain": "says that names do not exist",
    "no-address": "gives no addresses",
    "refused": "refuses to answer",
    "servfail": "fails to find names out (SERVFAIL)",
    "unreachable": "cannot be reached",
    "timeout": "does not answer",
}


class EgressFacts(Struct, frozen=True, kw_only=True):
    """The way to every host, and what was tried where it failed."""

    observed_at: datetime  # by this host's clock, UTC
    paths: tuple[Path, ...]
    second_looks: tuple[SecondLook, ...] = ()
    download: Download | None = None
    name_servers: tuple[str, ...] = ()  # of /etc/resolv.conf
    sources: tuple[str, ...] = ()  # our addresses towards the name servers
    other_proxies: tuple[
        str, ...
    ] = ()  # settings that do not count here: "https_proxy in /etc/..."


class Evidence:
    """The facts of one run; each method answers one question."""

    def __init__(
        self, facts: EgressFacts, endpoints: Iterable[Endpoint], requirements: Requirements
    ) -> None:
        self.facts = facts
        throughput = requirements.get("egress.throughput")
        self.throughput = throughput if isinstance(throughput, Quantity) else None
        self.endpoints = {(endpoint.host, endpoint.port): endpoint for endpoint in endpoints}
        self.paths = [path for path in facts.paths if (path.host, path.port) in self.endpoints]
        self._looks = {(look.host, look.port): look for look in facts.second_looks}

    def endpoint(self, path: Path) -> Endpoint:
        """What was asked for."""
        return self.endpoints[path.host, path.port]

    def look(self, path: Path) -> SecondLook:
        """The experiments on a path; an empty one where none was worth while."""
        empty = SecondLook(host=path.host, port=path.port)
        return self._looks.get((path.host, path.port), empty)

    @cached_property
    def direct(self) -> list[Path]:
        """The ways that go through no proxy."""
        return [path for path in self.paths if not (path.route.proxy or path.route.failure)]

    def failed(self, phase: Phase, *reasons: Reason) -> list[Path]:
        """The ways that ended in a phase, for one of these reasons or for any."""
        return [path for path in self.paths if ended(path, phase, *reasons)]

    # --- Names ------------------------------------------------------------------------------------

    def known_elsewhere(self, path: Path) -> bool:
        """Whether a name server gives addresses for a name."""
        return any(answer.addresses for answer in path.answers)

    @cached_property
    def bad_servers(self) -> dict[str, str]:
        """The name servers that fail where another one answers, and what they do."""
        return {server: said for server in self.facts.name_servers if (said := self._bad(server))}

    def _bad(self, server: str) -> str:
        answers = [answer for path in self.paths for answer in path.answers]
        own = [answer for answer in answers if answer.server == server]
        wrong = [
            (answer, path.peer) for path in self.paths for answer in _contradicted(path, server)
        ]
        telling = next((one for one in wrong if _reason(one[0]) in _SAID), None)
        if not telling and wrong and not any(answer.addresses for answer in own):
            telling = wrong[0]
        return f"{_does(telling[0])} (asked for {telling[1]})" if telling else ""

    # --- TLS --------------------------------------------------------------------------------------

    @property
    def verified(self) -> list[Path]:
        """The ways on which a certificate was trusted."""
        return [path for path in self.paths if path.tls and path.tls.verified]

    def issuers(self, paths: Iterable[Path]) -> set[str]:
        """Who issued the certificates that were presented on some ways."""
        return {name for path in paths if (name := issuer(path))}

    def misnamed(self, path: Path) -> bool:
        """Whether the certificate that was presented is for other hosts than this one."""
        leaf = presented(path)
        return leaf is not None and not leaf.covers(path.host)

    def clock_offset(self, path: Path) -> float | None:
        """Seconds that the clock of a host, or else of any, is ahead of this one's."""
        known = (_offset(one, self.look(one)) for one in (path, *self.paths))
        return next((offset for offset in known if offset is not None), None)

    @cached_property
    def agreed_offset(self) -> float | None:
        """The same where several hosts agree on it, to a minute."""
        known = sorted(
            offset for path in self.paths if (offset := _offset(path, self.look(path))) is not None
        )
        if len(known) < 2 or known[-1] - known[0] > _AGREE:
            return None
        return known[len(known) // 2]

    def valid_by_other_clock(self, path: Path) -> bool | None:
        """Whether the certificate is in time by the other end's clock; None if that is unknown."""
        offset, leaf = self.clock_offset(path), presented(path)
        if offset is None or not leaf:
            return None
        try:
            now = self.facts.observed_at + timedelta(seconds=offset)
        except OverflowError:
            return None
        return leaf.not_before <= now <= leaf.not_after

    # --- HTTP -------------------------------------------------------------------------------------

    def is_foreign(self, host: str) -> bool:
        """Whether a host is of no site that is probed."""
        named = {endpoint.domain.lstrip("*.") for endpoint in self.endpoints.values()}
        known = {site(name) for name in (*named, *(path.host for path in self.paths))}
        return site(host) not in known

    def sites_led_to(self, host: str) -> set[str]:
        """The sites whose hosts redirect to a site."""
        return {
            site(path.host)
            for path in self.paths
            if (target := self.redirect_target(path)) and site(target[1]) == site(host)
        }

    def redirect_target(self, path: Path) -> tuple[str, str] | None:
        """Scheme and host that the first answer redirects to, or else that without verification."""
        if path.exchange:
            hops = path.exchange.hops
            return _place(hops[1].url if len(hops) > 1 else path.exchange.left_at)
        return _place(self.look(path).unverified_left_at)

    def first_answer(self, path: Path) -> Hop | None:
        """What the host, or whoever stands in its place, said: without verification if need be."""
        if path.exchange:
            return path.exchange.answer if not path.failure else None
        return self.look(path).unverified


def ended(path: Path, phase: Phase, *reasons: Reason) -> bool:
    """Whether a way ended in a phase, for one of these reasons or for any."""
    problem = path.failure
    return bool(problem and problem.phase == phase and (not reasons or problem.reason in reasons))


def shook_hands(result: TlsResult | None) -> bool:
    """Whether a handshake went as far as a certificate."""
    return result is not None and bool(result.chain)


def presented(path: Path) -> CertificateFacts | None:
    """The certificate that the other end showed."""
    return path.tls.chain[0] if path.tls and path.tls.chain else None


def issuer(path: Path) -> str:
    """Who issued it."""
    leaf = presented(path)
    return (leaf.issuer_name or leaf.issuer) if leaf else ""


def validity(path: Path, when: datetime) -> str:
    """What is wrong with the time of the first certificate that is out of time, in words."""
    for certificate in path.tls.chain if path.tls else ():
        of = "" if certificate is presented(path) else f"'{certificate.name}' above it is "
        if when < certificate.not_before:
            return f"{of}not valid before {certificate.not_before:%Y-%m-%d}"
        if when > certificate.not_after:
            return f"{of}valid until {certificate.not_after:%Y-%m-%d} only"
    return ""


def leads_nowhere_public(path: Path) -> bool:
    """Whether a name has only addresses that no public name has."""
    if not path.lookup or path.route.proxy or _is_local(path.host):
        return False
    found = path.lookup.addresses
    return bool(found) and not any(is_public_address(address) for address in found)


def family_state(path: Path, family: str) -> bool | None:
    """Whether the addresses of a family connect; None if there are none, or no route to them."""
    of_family = [one for one in path.attempts if one.family == family and is_routed(one)]
    return any(not one.failure for one in of_family) if of_family else None


def is_routed(attempt: Attempt) -> bool:
    """Whether this host has a route to an address, from more than an address of the link (fe80::).

    Without one it fails at once, as is normal for a host without IPv6.
    """
    return bool(attempt.source) and not attempt.source.lower().startswith("fe80")


def _place(url: str) -> tuple[str, str] | None:
    """Scheme and host of a URL; None without one."""
    scheme, _, rest = url.partition("://")
    host = rest.partition("/")[0]
    host = host.partition("]")[0].strip("[") if host.startswith("[") else host.partition(":")[0]
    return (scheme, host) if host else None


def site(host: str) -> str:
    """What hosts of one owner mostly have in common: the last two labels of their name."""
    return ".".join(host.lower().rstrip(".").split(".")[-2:])


def _contradicted(path: Path, server: str) -> Iterator[Answer]:
    """A server's failures on questions that another server answers."""
    answered = {one.record for one in path.answers if one.addresses and one.server != server}
    for answer in path.answers:
        empty = answer.record == "AAAA" and _reason(answer) == "no-address"  # some leave IPv6 out
        if answer.server == server and answer.failure and answer.record in answered and not empty:
            yield answer


def _does(answer: Answer) -> str:
    reason = _reason(answer)
    if reason == "refused" and answer.code != "REFUSED":
        return "has nothing that listens on port 53"
    return _DOING.get(reason, "gives no proper answer") if reason else ""


def _reason(answer: Answer) -> Reason | None:
    return answer.failure.reason if answer.failure else None


def _offset(path: Path, look: SecondLook) -> float | None:
    answer = path.exchange.answer if path.exchange else look.unverified
    return answer.clock_offset if answer else None


def is_public_address(address: str) -> bool:
    """Whether a public name may have an address."""
    from ipaddress import ip_address, ip_network

    found = ip_address(address.partition("%")[0])
    return not any(found in ip_network(network) for network in _NOT_PUBLIC)


def _is_local(host: str) -> bool:
    """A name that is this host's by definition (RFC 6761), or an address, which none resolved."""
    return host == "localhost" or host.endswith(".localhost") or is_address(host)
