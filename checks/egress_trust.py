"""egress.trust

What is said of single programs is in the module beside this one, egress_trust_programs.
"""

import os
from collections.abc import Iterator
from datetime import timedelta
from shlex import quote

from biostudio_doctor import distribution, text
from biostudio_doctor.ca_bundles import WELL_KNOWN, Added, Bundle, SystemStore
from biostudio_doctor.check import Check
from biostudio_doctor.host import Host
from biostudio_doctor.host.trust import TrustFacts, look
from biostudio_doctor.host.units import ENGINES
from biostudio_doctor.model import Finding, Machine, Remedy, Status
from biostudio_doctor.requirements import Requirements

from .egress_trust_programs import BAD, MISSING, held, judge_program, problem

_OLD, _NOT_UPDATED = "trust.old-bundle", "trust.not-updated"
_BUNDLE = "system CA bundle"
_SHOWN = 3  # files that are named; of more, only the number is told


class EgressTrust(Check[TrustFacts]):
    """Programs here verify servers, with authorities that are in order.

    Reads which certificate authorities the system trusts, whether authorities that were added by
    hand reached its bundle, and what curl, pip, conda, the container engine, git and Node.js would
    use by the settings of this shell (REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE, SSL_CERT_FILE,
    SSL_CERT_DIR, PIP_CERT, CONDA_SSL_VERIFY, GIT_SSL_CAINFO, NODE_EXTRA_CA_CERTS ...), of condarc,
    pip.conf and curlrc, and of the engine's service. Nothing is connected to.

    Why: one forgotten variable that names a file which is gone stops every download of that
    program, and an old bundle trusts none of today's hosts. Where verification is switched off, so
    is the protection against packages that someone else slipped in.

    Mend: correct or unset what the finding names. The authority of a proxy that looks into TLS is
    added to the system, and named for conda and pip, which may have lists of their own
    (REQUESTS_CA_BUNDLE=FILE, with the system's bundle as the file). Containers see neither: mount
    the bundle into them and name it there, as in `docker run --volume
    /etc/ssl/certs/ca-certificates.crt:/site-ca.crt:ro --env REQUESTS_CA_BUNDLE=/site-ca.crt --env
    SSL_CERT_FILE=/site-ca.crt ...`, and ask support@bioturing.com which of BioStudio's own programs
    heed it.
    """

    id = "egress.trust"
    interval = timedelta(hours=1)

    def observe(self, host: Host) -> TrustFacts:
        return look(host, os.environ if host.is_local else {})

    def judge(self, facts: TrustFacts, requirements: Requirements) -> Iterator[Finding]:
        machine = self.context.machine
        yield _judge_bundle(facts.store.bundle, machine)
        yield from _judge_added(facts.store, machine)
        if not facts.environment_seen:
            yield Finding(
                Status.SKIP,
                "environment",
                "Variables such as REQUESTS_CA_BUNDLE are unknown here: this is another system's "
                "file tree, not its shell.",
            )
        for program in facts.programs:
            yield judge_program(program, facts.store, machine)
        if not any(program.name in ENGINES for program in facts.programs):
            said = "There is no container engine yet; it will use the system CA bundle."
            yield Finding(Status.SKIP, "engine", said)


# --- The system -----------------------------------------------------------------------------------


def _judge_bundle(bundle: Bundle | None, machine: Machine) -> Finding:
    if bundle is None:
        return Finding(
            Status.FAIL,
            _BUNDLE,
            "This system has no bundle of certificate authorities, so no server can be verified.",
            remedy=Remedy("Install it.", _install(machine)),
            cause=MISSING,
        )
    if not bundle.is_good:
        return _bad_bundle(bundle, machine)
    unknown = sorted(set(WELL_KNOWN.values()) - set(bundle.well_known))
    found = held(bundle)
    said = f"{bundle.path} holds {found}"
    if unknown:
        return Finding(
            Status.WARN,
            _BUNDLE,
            f"{said}, but not {text.listing(unknown)}: it is that of an old system, or was cut "
            "down, and many of today's servers do not verify with it.",
            observed=found,
            remedy=_update(machine),
            cause=_OLD,
        )
    said = f"{said}, the well-known public ones among them."
    return Finding(Status.PASS, _BUNDLE, said, observed=found)


def _bad_bundle(bundle: Bundle, machine: Machine) -> Finding:
    denied = bundle.state == "denied"
    commands = (f"ls -lL {quote(bundle.path)}",) if denied else distribution.rebuild_trust(machine)
    lead = "Make it readable for everyone (mode 644)." if denied else "Write it anew; if that "
    return Finding(
        Status.FAIL,
        _BUNDLE,
        f"The system's bundle of authorities, {bundle.path}, is no good: {problem(bundle)}.",
        observed=bundle.state,
        remedy=Remedy(
            lead if denied else f"{lead}does not help, reinstall the package ca-certificates.",
            commands,
        ),
        cause=BAD,
    )


def _install(machine: Machine) -> tuple[str, ...]:
    name = "ca-certificates"
    suse = "ca-certificates ca-certificates-mozilla"
    return distribution.install(machine, debian=name, rhel=name, suse=suse, arch=name, alpine=name)


def _update(machine: Machine) -> Remedy:
    return Remedy(
        "Bring the public authorities up to date. If the distribution is no longer maintained, its "
        "mirrors may be gone: then take ca-certificates from its archive.",
        distribution.update_trust(machine),
    )


def _judge_added(store: SystemStore, machine: Machine) -> Iterator[Finding]:
    """Authorities that someone added to this system."""
    good = [one for one in store.added if one.in_bundle and not one.expired]
    for one in store.added:
        if one not in good:
            yield _bad_addition(one, machine)
    if good:
        count = text.number(len(good), "authority", "authorities")
        names = _short([one.path for one in good])
        verb = "was" if len(good) == 1 else "were"
        yield Finding(
            Status.PASS,
            "added authorities",
            f"{count} of your own {verb} added to this system and reached its bundle ({names}); "
            "containers do not see that.",
            observed=str(len(good)),
            remedy=_for_containers(store.bundle.path) if store.bundle else None,
        )


def _bad_addition(one: Added, machine: Machine) -> Finding:
    rebuild = distribution.rebuild_trust(machine)
    if one.ignored:
        said = f"{one.path} is passed over: only files whose names end in .crt are taken."
        commands: tuple[str, ...] = (
            f"mv {quote(one.path)} {quote(_with_ending(one.path))}",
            *rebuild,
        )
        remedy, cause = Remedy("If it is an authority in PEM, rename it.", commands), _NOT_UPDATED
    elif one.problem:
        said = f"{one.path} was added as an authority, but is no good: {one.problem}."
        remedy, cause = Remedy("Put the authority's own certificate there, in PEM.", rebuild), BAD
    elif one.expired:
        said = f"The authority in {one.path}, which was added to this system, has expired."
        remedy, cause = Remedy("Ask whoever issued it for its successor.", rebuild), BAD
    else:
        said = f"The authority in {one.path} was never taken into the system's bundle."
        remedy, cause = Remedy("Write the bundle anew.", rebuild), _NOT_UPDATED
    return Finding(Status.WARN, one.path, said, remedy=remedy, cause=cause)


def _with_ending(path: str) -> str:
    stem, dot, ending = path.rpartition(".")
    return f"{stem if dot and ending in ('pem', 'cer', 'cert', 'der') else path}.crt"


def _for_containers(bundle: str) -> Remedy:
    variables = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE")
    return Remedy(
        "A container must be given the bundle: mount it, and name it there. Which of BioStudio's "
        "own programs heed these variables is for support@bioturing.com to say.",
        (
            f"docker run --volume {quote(bundle)}:/site-ca.crt:ro "
            + " ".join(f"--env {name}=/site-ca.crt" for name in variables)
            + " ...",
        ),
    )


def _short(paths: list[str]) -> str:
    more = [f"{len(paths) - _SHOWN} more"] if len(paths) > _SHOWN else []
    return text.listing([*paths[:_SHOWN], *more])
