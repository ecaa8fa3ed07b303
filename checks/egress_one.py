"""One host, reached as egress.hosts reaches it, and a short verdict without experiments.

For checks that depend on a single host: they share the settings of egress.hosts and its table of
causes, and leave what to do about a cause to it.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from biostudio_doctor import config as configuration
from biostudio_doctor.check import Context, ObservationError
from biostudio_doctor.host import Host
from biostudio_doctor.model import Machine, Remedy, Status
from biostudio_doctor.probes import wording
from biostudio_doctor.requirements import Endpoint, Requirements

from .egress_facts import EgressFacts, Evidence
from .egress_targets import EgressSettings, proxy_value

if TYPE_CHECKING:
    from biostudio_doctor.probes.path import Surroundings

_CHECK = "egress.hosts"
_SHARE = 0.85  # of a check's time


class Verdict(NamedTuple):
    """What became of the way to a host."""

    status: Status
    said: str  # a clause: what failed, or the answer
    observed: str
    cause: str = ""  # a word of egress.hosts; '' where all is well


def settings(context: Context) -> EgressSettings:
    """Those of egress.hosts."""
    table = context.config.checks.get(_CHECK, {})
    return configuration.convert(table, EgressSettings, "configuration", f"checks.{_CHECK}")


def surroundings(told: EgressSettings, host: Host, ca_file: str | None = None) -> Surroundings:
    """This host's ways out, as egress.hosts is told them; `ca_file` goes before its own.

    Raises:
        OSError: if a file of authorities, or of the proxy's login, cannot be used; it names it.
    """
    from biostudio_doctor.probes import dns, path, tls

    ca_file = ca_file or told.ca_file
    trusted = host.path(ca_file) if ca_file else None
    tls.verifying_context(trusted)  # raises now if the file is no good
    servers = dns.name_servers(host)
    login = host.read(told.proxy_login_file, 4096) if told.proxy_login_file else ""
    proxy = proxy_value(told.proxy, login, os.environ)
    return path.Surroundings(os.environ, servers, trusted, proxy)


def own_surroundings(told: EgressSettings, host: Host) -> Surroundings:
    """The same, for checks that have nothing to say where that fails.

    Raises:
        ObservationError: if a file that the configuration names cannot be used.
    """
    try:
        return surroundings(told, host)
    except OSError as error:
        for key in ("ca_file", "proxy_login_file"):
            given = getattr(told, key)
            if given and error.filename == host.path(given):
                raise ObservationError(
                    f"{bad_file(error, given)}.",
                    Remedy(
                        f'Correct {key} in the table [checks."{_CHECK}"] of the configuration, or '
                        "let whoever runs biostudio-doctor read that file."
                    ),
                ) from None
        raise


def bad_file(error: OSError, given: str = "") -> str:
    """Why a file of authorities, or of the proxy's login, cannot be used."""
    return f"{given or error.filename} cannot be used ({error.strerror})"


def direct(host: Host) -> Surroundings:
    """The way without proxies and authorities of one's own."""
    from biostudio_doctor.probes import dns, path

    return path.Surroundings({}, dns.name_servers(host))


async def look(endpoint: Endpoint, around: Surroundings, *, timeout: float) -> EgressFacts:
    """Go the way."""
    from biostudio_doctor.probes import path

    target = path.Target(host=endpoint.host, port=endpoint.port, path=endpoint.path)
    observed_at = datetime.now(UTC)
    found = await path.probe(target, around, timeout=_SHARE * timeout)
    return EgressFacts(observed_at=observed_at, paths=(found,), name_servers=around.name_servers)


def verdict(
    facts: EgressFacts, endpoint: Endpoint, machine: Machine, requirements: Requirements
) -> Verdict:
    """What the way to this one host shows."""
    from .egress_causes import cases

    evidence = Evidence(facts, [endpoint], requirements)
    if not evidence.paths:
        return Verdict(Status.ERROR, "it was not looked at", "", "egress.unprobed")
    (found,) = evidence.paths
    answer = found.exchange.answer if found.exchange else None
    said = f"HTTP {answer.status}" if answer else ""
    observed = ", ".join(filter(None, (said, wording.timings(found))))
    cause, case = next(
        ((cause, case) for cause, case in cases(evidence, machine) if case.paths), (None, None)
    )
    if not (cause and case):
        return Verdict(Status.PASS, said, observed)
    if found.failure:
        status = Status.ERROR if found.undetermined else Status.FAIL
        problem = f"{found.failure.phase}: {found.failure.reason}"
        return Verdict(
            status, wording.failed(found, found.failure), f"{problem}, {observed}".rstrip(", "),
            cause.word,
        )  # fmt: skip
    return Verdict(Status.WARN if cause.warns else Status.FAIL, case.seen, observed, cause.word)
