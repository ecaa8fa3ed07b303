"""egress.hosts"""

import os
import time
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Annotated

from msgspec import Meta, Struct

from biostudio_doctor.check import Check
from biostudio_doctor.config import AbsolutePath, Settings
from biostudio_doctor.host import Host
from biostudio_doctor.model import Finding, Remedy, Status, Strength
from biostudio_doctor.probes import Failure, wording
from biostudio_doctor.probes.results import Hop, Path
from biostudio_doctor.requirements import Endpoint, Requirements

from .egress_advice import Advice

_SHARE = 0.8  # of the check's timeout for the probes, so that each host has its finding in time


class EgressSettings(Settings, frozen=True, kw_only=True):
    """Settings of egress.hosts."""

    ca_file: Annotated[
        AbsolutePath | None,
        Meta(
            description="PEM file of authorities to trust besides the system's, such as that of a "
            "proxy which looks into TLS."
        ),
    ] = None


class EgressFacts(Struct, frozen=True, kw_only=True):
    """The way to every host."""

    paths: tuple[Path, ...]
    name_servers: tuple[str, ...]  # of /etc/resolv.conf
    other_proxies: tuple[str, ...]  # settings that do not count here: "https_proxy in /etc/..."


class EgressHosts(Check[EgressFacts]):
    """BioStudio's hosts on the internet can be reached.

    Goes the whole way to each host, all hosts at once: name resolution, TCP on port 443, TLS with
    the system's authorities, and an HTTP request; or, where https_proxy, HTTPS_PROXY, all_proxy or
    ALL_PROXY names a proxy and NO_PROXY does not exempt the host, through that proxy. Each phase is
    timed. The published domains are wildcards, which cannot be probed: concrete hosts stand for
    them. Hosts that not every site needs warn instead of failing.

    Why: without these hosts the licence is not activated, and notebooks, packages and applications
    cannot be fetched. Blocked or inspected traffic is the commonest reason for that.

    Mend: hand the rule that the finding gives to your network team, or set the proxy variables.
    What sudo runs sees them only with --preserve-env=https_proxy,no_proxy.
    """

    id = "egress.hosts"
    timeout = timedelta(seconds=15)
    network = True
    # One for each published domain.
    requirement_ids = ("egress.studio", "egress.anaconda", "egress.repo", "egress.s3-us")
    Settings = EgressSettings

    async def observe(self, host: Host) -> EgressFacts:
        import anyio

        deadline = time.monotonic() + _SHARE * self._seconds()
        from biostudio_doctor.probes import dns, path, tls

        ca_file = self.settings.ca_file and host.path(self.settings.ca_file)
        tls.verifying_context(ca_file)  # raises now if the file is no good
        around = path.Surroundings(os.environ, dns.name_servers(host), ca_file)
        found: dict[str, Path] = {}

        async def go(endpoint: Endpoint) -> None:
            target = path.Target(host=endpoint.host, port=endpoint.port, path=endpoint.path)
            left = deadline - time.monotonic()
            found[endpoint.id] = await path.probe(target, around, timeout=left)

        with host.doing("reach the hosts of the requirements"):
            async with anyio.create_task_group() as tasks:
                for endpoint in self.context.requirements.hosts:
                    tasks.start_soon(go, endpoint)
        return EgressFacts(
            paths=tuple(found[endpoint.id] for endpoint in self.context.requirements.hosts),
            name_servers=around.name_servers,
            other_proxies=tuple(_other_proxies(host, os.environ)),
        )

    def judge(self, facts: EgressFacts, requirements: Requirements) -> Iterator[Finding]:
        paths = {(path.host, path.port): path for path in facts.paths}
        advice = Advice(self.context.machine, facts.paths, facts.name_servers, facts.other_proxies)
        remedies = advice.remedies()
        for endpoint in requirements.hosts:
            path = paths.get((endpoint.host, endpoint.port))
            if not path:
                yield _unprobed(endpoint)
            elif path.failure:
                yield _unreachable(endpoint, path, path.failure, remedies)
            else:
                yield _reachable(endpoint, path, {probed.host for probed in facts.paths})

    def _seconds(self) -> float:
        return self.context.config.timeout or self.timeout.total_seconds()


def _other_proxies(host: Host, environ: Mapping[str, str]) -> Iterator[str]:
    """Proxy settings that the programs of this environment do not see, or not for HTTPS."""
    if environ.get("http_proxy") or environ.get("HTTP_PROXY"):
        yield "http_proxy (which is for http:// only) in this environment"
    for line in (host.read_if_any("/etc/environment") or "").splitlines():
        name = line.strip().removeprefix("export ").partition("=")[0].strip()
        if name.lower() in ("https_proxy", "all_proxy") and not environ.get(name):
            yield f"{name} in /etc/environment"


# --- Findings -------------------------------------------------------------------------------------


def _expected(endpoint: Endpoint) -> str:
    return f"reachable by HTTPS on TCP port {endpoint.port}"


def _unprobed(endpoint: Endpoint) -> Finding:
    return Finding(
        Status.ERROR,
        endpoint.host,
        f"{endpoint.host} is not among the hosts that were probed.",
        expected=_expected(endpoint),
        remedy=Remedy(
            "Probe again with this version.", ("biostudio-doctor check egress.hosts",), False
        ),
        requirement=endpoint,
    )


def _unreachable(
    endpoint: Endpoint, path: Path, problem: Failure, remedies: Mapping[tuple[str, int], Remedy]
) -> Finding:
    if problem.phase == "proxy" and problem.reason == "other" and not path.route.proxy:
        status, verb = Status.ERROR, "could not be probed"
    else:
        optional = endpoint.strength is Strength.OPTIONAL
        status, verb = Status.WARN if optional else Status.FAIL, "cannot be reached"
    return Finding(
        status,
        endpoint.host,
        f"{endpoint.host} ({endpoint.purpose}) {verb}: {wording.failed(path, problem)}.",
        observed=", ".join(filter(None, (f"{problem.phase}: {problem.reason}",
                                         wording.timings(path)))),
        expected=_expected(endpoint),
        remedy=remedies[path.host, path.port],
        requirement=endpoint,
    )  # fmt: skip


def _reachable(endpoint: Endpoint, path: Path, probed: set[str]) -> Finding:
    answer = path.exchange.answer if path.exchange else None
    said = f"HTTP {answer.status}" if answer else "TLS"
    through = f" through the proxy {path.route.proxy.url}" if path.route.proxy else ""
    summary = f"{endpoint.host} answers{through} after {wording.total(path)} ({said})."
    status, remedy = Status.PASS, None
    stray = _stray(path, probed)
    if answer and (answer.status or 0) >= 500:
        status, remedy = Status.WARN, _TRY_LATER
        summary = (
            f"{endpoint.host} can be reached{through}, but answers {said} {answer.phrase}".rstrip()
        )
        summary += ", a fault of the other end."
    elif stray and stray.failure:
        status, remedy = Status.WARN, _allow_redirect(endpoint, stray)
        summary = (
            f"{endpoint.host} can be reached, but it redirects to {stray.host}, which cannot: "
        )
        summary += f"{wording.PHASES[stray.failure.phase]} failed ({stray.failure.reason})."
    return Finding(
        status,
        endpoint.host,
        summary,
        observed=", ".join([said, wording.timings(path), *_deaf(path)]),
        expected=_expected(endpoint),
        remedy=remedy,
        requirement=endpoint,
    )


def _deaf(path: Path) -> Iterator[str]:
    """The addresses that did not connect, although another one did."""
    for attempt in path.attempts:
        if attempt.failure:
            yield f"{attempt.address}: {attempt.failure.reason}"


def _stray(path: Path, probed: set[str]) -> Hop | None:
    """The hop of a redirect that failed at a host which has no finding of its own."""
    hops = path.exchange.hops[1:] if path.exchange else ()
    return next((hop for hop in hops if hop.failure and hop.host not in probed), None)


_TRY_LATER = Remedy(
    "The way to it is free. Try again later; if it lasts, ask support@bioturing.com, or the "
    "administrator of a proxy in between, whether it is theirs.",
    ("biostudio-doctor check egress.hosts",),
    as_root=False,
)


def _allow_redirect(endpoint: Endpoint, stray: Hop) -> Remedy:
    return Remedy(f"Have {stray.host} (TCP port 443) allowed together with {endpoint.host}.")
