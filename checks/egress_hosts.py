"""egress.hosts

Its parts are in the modules beside this one: its settings (egress_targets), what is gathered
(egress_facts) and how (egress_survey), and the table of all causes (egress_causes), each with the
evidence for it and what to do.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from biostudio_doctor import text
from biostudio_doctor.check import Check
from biostudio_doctor.host import Host
from biostudio_doctor.model import Finding, Remedy, Status, Strength, worst
from biostudio_doctor.probes import wording
from biostudio_doctor.probes.results import Path
from biostudio_doctor.requirements import Endpoint, Requirements

from . import egress_targets as targets
from .egress_facts import EgressFacts, Evidence
from .egress_targets import EgressSettings

if TYPE_CHECKING:
    from .egress_causes import Cause
    from .egress_causes.case import Case

#: What does not work while a group of hosts is blocked.
_CONSEQUENCES = {
    "activation": "the licence is not activated",
    "notebooks": "notebooks and upgrades cannot be fetched",
    "packages": "packages cannot be installed",
    "S3": "applications and data cannot be downloaded",
    "image registry": "images cannot be pulled from Docker Hub",
    "sign-in": "nobody can sign in by BioTuring's portal",
    targets.GROUP: "hosts that you added are not available",
}
_NAMED = 3  # hosts that a diagnosis names; of more, the number is told


class EgressHosts(Check[EgressFacts]):
    """BioStudio's hosts on the internet can be reached.

    Goes the whole way to each host, all hosts at once: name resolution (each name server by
    itself, too), TCP on port 443 over IPv4 and IPv6, TLS with the system's authorities, and an HTTP
    request; or, where https_proxy, HTTPS_PROXY, all_proxy or ALL_PROXY names a proxy and NO_PROXY
    does not exempt the host, through that proxy. Where a way ends early, a second look with one
    thing changed tells why: another port, smaller packets, another name, no verification. One
    download of at most 4 MB and 2 s gives a figure for the throughput. The published domains are
    wildcards, which cannot be probed: concrete hosts stand for them. Hosts that not every site
    needs warn instead of failing. docs/egress.md lists the causes that are told apart.

    Why: without these hosts the licence is not activated, and notebooks, packages and applications
    cannot be fetched. Blocked or inspected traffic is the commonest reason for that.

    Mend: hand the text that the diagnosis gives to your network team, or set the proxy variables.
    What sudo runs sees them only with --preserve-env=https_proxy,no_proxy.
    """

    id = "egress.hosts"
    timeout = timedelta(seconds=15)
    network = True
    # One for each published domain.
    requirement_ids = (
        "egress.studio", "egress.anaconda", "egress.repo", "egress.s3-us", "egress.throughput",
    )  # fmt: skip
    Settings = EgressSettings

    async def observe(self, host: Host) -> EgressFacts:
        seconds = self.allowed_seconds
        started = time.monotonic()
        from biostudio_doctor.probes import tcp

        from .egress_one import own_surroundings
        from .egress_survey import Survey

        around = own_surroundings(self.settings, host)
        servers = around.name_servers
        survey = Survey(self._endpoints(self.context.requirements), around)
        observed_at = datetime.now(UTC)
        with host.doing("reach the hosts of the requirements"):
            await survey.run(started, seconds)
        return EgressFacts(
            observed_at=observed_at,
            paths=survey.paths,
            second_looks=survey.second_looks,
            download=survey.download,
            name_servers=servers,
            sources=tuple(
                dict.fromkeys(filter(None, (tcp.source_address(one, 53) for one in servers)))
            ),
            other_proxies=tuple(_other_proxies(host, os.environ)),
        )

    def judge(self, facts: EgressFacts, requirements: Requirements) -> Iterator[Finding]:
        from .egress_causes import cases

        endpoints = self._endpoints(requirements)
        evidence = Evidence(facts, endpoints, requirements)
        judged: set[tuple[str, int]] = set()
        for cause, case in cases(evidence, self.context.machine):
            hosts = [_troubled(evidence.endpoint(path), path, cause, case) for path in case.paths]
            yield _diagnosis(cause, case, hosts)
            yield from hosts
            judged |= {(path.host, path.port) for path in case.paths}
        paths = {(path.host, path.port): path for path in facts.paths}
        for endpoint in endpoints:
            place = (endpoint.host, endpoint.port)
            if place not in paths:
                yield _unprobed(endpoint)
            elif place not in judged:
                yield _reachable(endpoint, paths[place])

    def _endpoints(self, requirements: Requirements) -> list[Endpoint]:
        return targets.chosen(requirements, self.settings.add, self.settings.remove)


def _other_proxies(host: Host, environ: Mapping[str, str]) -> Iterator[str]:
    """Proxy settings that the programs of this environment do not see, or not for HTTPS."""
    from biostudio_doctor.host import proxies

    if environ.get("http_proxy") or environ.get("HTTP_PROXY"):
        yield "http_proxy (which is for http:// only) in this environment"
    found = proxies.look(host, environ)
    engine = [found.engine.setting] if found.engine and found.engine.setting else []
    for setting in (*found.elsewhere, *engine):
        if not environ.get(setting.name):
            yield setting.words


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


def _diagnosis(cause: Cause, case: Case, hosts: Sequence[Finding]) -> Finding:
    """What hosts with one cause have in common; a cause without hosts is a warning."""
    return Finding(
        worst(finding.status for finding in hosts) if hosts else Status.WARN,
        cause.name,
        f"{case.seen[:1].upper()}{case.seen[1:]}{_effect(cause, case)}.",
        observed=text.listing(dict.fromkeys(path.host for path in case.paths)) or "no host",
        remedy=cause.remedy(case),
        cause=cause.word,
    )


def _effect(cause: Cause, case: Case) -> str:
    """Which hosts that concerns, and what does not work without them."""
    if not case.paths:
        return ": programs that ask it fail or wait"
    all_of_them = len(case.evidence.paths)
    number = f"{len(case.paths)} of {all_of_them} hosts"
    names = case.hosts if len(case.paths) <= _NAMED else number
    everywhere = len(case.paths) == all_of_them > 1
    if cause.warns:
        return f" (this concerns {f'all {all_of_them} hosts' if everywhere else names})"
    groups = dict.fromkeys(case.evidence.endpoint(path).group for path in case.paths)
    lost = text.listing(_CONSEQUENCES.get(group, f"{group} is not available") for group in groups)
    if everywhere:
        return f", so none of {all_of_them} hosts can be used: {lost}"
    return f", so {names} cannot be used: {lost}"


def _troubled(endpoint: Endpoint, path: Path, cause: Cause, case: Case) -> Finding:
    """A host with a cause; what to do about it is said once, by the diagnosis."""
    problem = path.failure
    if problem:
        verb = "could not be probed" if path.undetermined else "cannot be reached"
        summary = f"{endpoint.host} {verb}: {wording.failed(path, problem)}."
        observed = f"{problem.phase}: {problem.reason}"
    else:
        summary = f"{endpoint.host} answers, but {case.seen}."
        observed = _said(path)
    return Finding(
        _status(endpoint, path, cause),
        endpoint.host,
        summary,
        observed=", ".join(filter(None, (observed, wording.timings(path), *_deaf(path)))),
        expected=_expected(endpoint),
        requirement=endpoint,
        cause=cause.word,
    )


def _status(endpoint: Endpoint, path: Path, cause: Cause) -> Status:
    if path.undetermined:
        return Status.ERROR
    optional = endpoint.strength is Strength.OPTIONAL
    return Status.WARN if optional or cause.warns else Status.FAIL


def _reachable(endpoint: Endpoint, path: Path) -> Finding:
    through = f" through the proxy {path.route.proxy.url}" if path.route.proxy else ""
    return Finding(
        Status.PASS,
        endpoint.host,
        f"{endpoint.host} answers{through} after {wording.total(path)} ({_said(path)}).",
        observed=", ".join([_said(path), wording.timings(path), *_deaf(path)]),
        expected=_expected(endpoint),
        requirement=endpoint,
    )


def _said(path: Path) -> str:
    return f"HTTP {path.exchange.answer.status}" if path.exchange else "TLS"


def _deaf(path: Path) -> Iterator[str]:
    """The addresses that did not connect, although another one did."""
    if path.failure is None:
        for attempt in path.attempts:
            if attempt.failure:
                yield f"{attempt.address}: {attempt.failure.reason}"
