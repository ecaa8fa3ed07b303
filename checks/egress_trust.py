"""egress.trust"""

import os
from collections.abc import Iterator
from datetime import timedelta
from shlex import quote

from biostudio_doctor import distribution, text
from biostudio_doctor.ca_bundles import WELL_KNOWN, Added, Bundle, SystemStore
from biostudio_doctor.check import Check
from biostudio_doctor.host import Host
from biostudio_doctor.host.trust import Named, Program, TrustFacts, look
from biostudio_doctor.host.units import ENGINES
from biostudio_doctor.model import Finding, Machine, Remedy, Status
from biostudio_doctor.requirements import Requirements

_MISSING, _BAD, _OFF = "trust.missing-file", "trust.bad-file", "trust.off"
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
            yield _Judge(program, facts.store, machine).finding()
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
            cause=_MISSING,
        )
    if not bundle.is_good:
        return _bad_bundle(bundle, machine)
    unknown = sorted(set(WELL_KNOWN.values()) - set(bundle.well_known))
    held = f"{bundle.path} holds {_held(bundle)}"
    if unknown:
        return Finding(
            Status.WARN,
            _BUNDLE,
            f"{held}, but not {text.listing(unknown)}: it is that of an old system, or was cut "
            "down, and many of today's servers do not verify with it.",
            observed=_held(bundle),
            remedy=_update(machine),
            cause=_OLD,
        )
    said = f"{held}, the well-known public ones among them."
    return Finding(Status.PASS, _BUNDLE, said, observed=_held(bundle))


def _bad_bundle(bundle: Bundle, machine: Machine) -> Finding:
    denied = bundle.state == "denied"
    commands = (f"ls -lL {quote(bundle.path)}",) if denied else distribution.rebuild_trust(machine)
    lead = "Make it readable for everyone (mode 644)." if denied else "Write it anew; if that "
    return Finding(
        Status.FAIL,
        _BUNDLE,
        f"The system's bundle of authorities, {bundle.path}, is no good: {_problem(bundle)}.",
        observed=bundle.state,
        remedy=Remedy(
            lead if denied else f"{lead}does not help, reinstall the package ca-certificates.",
            commands,
        ),
        cause=_BAD,
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
        remedy, cause = Remedy("Put the authority's own certificate there, in PEM.", rebuild), _BAD
    elif one.expired:
        said = f"The authority in {one.path}, which was added to this system, has expired."
        remedy, cause = Remedy("Ask whoever issued it for its successor.", rebuild), _BAD
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


# --- Programs -------------------------------------------------------------------------------------

#: Where a bad file does little harm: what the program does instead.
_FALL_BACK = {
    ("curl", "SSL_CERT_DIR"): "curl goes on with the bundle that it was built for",
    ("node", "NODE_EXTRA_CA_CERTS"): "Node.js goes on with its own authorities only",
}


class _Judge:
    """One program's settings, judged."""

    def __init__(self, program: Program, store: SystemStore, machine: Machine) -> None:
        self._program = program
        self._store = store
        self._machine = machine
        self._subject = "engine" if program.name in ENGINES else program.name
        self._system = store.bundle.path if store.bundle else ""

    def finding(self) -> Finding:
        """The worst that is to be said."""
        program = self._program
        if program.broken:
            return self._file_trouble(Status.FAIL, program.broken[0], "stops at", _BAD)
        if program.off:
            return self._off()
        bad = [one for one in program.uses if not one.bundle.is_good]
        if bad:
            return self._bad(bad[0])
        if program.unread:
            return self._file_trouble(Status.ERROR, program.unread[0], "may go by", "")
        if program.off_for:
            return self._off_for()
        if not program.installed and not (program.uses or program.system):
            return Finding(Status.SKIP, self._subject, _absent(program.name))
        return Finding(Status.PASS, self._subject, self._pass(), observed=self._observed())

    def _file_trouble(self, status: Status, trouble: str, verb: str, cause: str) -> Finding:
        path, _, why = trouble.partition(": ")
        return Finding(
            status,
            self._subject,
            f"{self._program.name} {verb} {path}: {why}.",
            remedy=Remedy("See what stands there, and mend it.", (f"cat {quote(path)}",)),
            cause=cause,
        )

    def _off(self) -> Finding:
        name, setting = self._program.name, self._program.off
        here = f" (unset {setting}, and see where it is set)" if " " not in setting else ""
        value = ", whatever its value" if setting == "GIT_SSL_NO_VERIFY" else ""
        return Finding(
            Status.WARN,
            self._subject,
            f"{name} does not verify servers here: {setting} switches that off{value}.",
            observed="verification is off",
            remedy=Remedy(
                f"Remove {setting}{here}. If connections fail then, have the authority of the "
                "proxy that looks into TLS, and make the system trust it.",
                distribution.trust_authority(self._machine, "site-ca.crt"),
            ),
            cause=_OFF,
        )

    def _off_for(self) -> Finding:
        hosts = text.listing(self._program.off_for)
        return Finding(
            Status.WARN,
            self._subject,
            f"{self._program.name} does not verify {hosts} (trusted-host).",
            observed=f"verification is off for {hosts}",
            remedy=Remedy(
                "Remove trusted-host from pip.conf (or PIP_TRUSTED_HOST), unless that is a server "
                "of your own without TLS.",
                ("pip config list",),
                as_root=False,
            ),
            cause=_OFF,
        )

    def _bad(self, named: Named) -> Finding:
        name, bundle = self._program.name, named.bundle
        if name in ENGINES and bundle.state == "denied":  # root runs it, and may read more
            return self._file_trouble(Status.ERROR, f"{bundle.path}: {bundle.problem}", "uses", "")
        variable = named.setting.partition(" ")[0]
        instead = _FALL_BACK.get((name, variable), "")
        if name in ENGINES and variable.startswith("SSL_CERT"):
            instead = f"{name} goes on with what it finds in the other usual places"
        elif not self._program.installed:
            instead = f"{name} is not installed here, or would verify no server"
        said = f"{named.setting} names {bundle.path} for {name}, but {_problem(bundle)}"
        return Finding(
            Status.WARN if instead else Status.FAIL,
            self._subject,
            f"{said}; {instead}." if instead else f"{said}: {name} can verify no server.",
            observed=f"{bundle.path}: {bundle.state}",
            remedy=self._correct(named),
            cause=_MISSING if bundle.state == "missing" else _BAD,
        )

    def _correct(self, named: Named) -> Remedy:
        setting = named.setting
        good = f", such as {self._system}" if self._system else ""
        lead = f"Correct or remove it: it must be a file of authorities in PEM{good}."
        if " " not in setting:
            lead += " See where it is set, too (~/.bashrc, ~/.profile, /etc/environment)."
            commands = (
                f"grep -n {setting} ~/.bashrc ~/.profile /etc/environment /etc/profile.d/*",
            )
            return Remedy(lead, (*commands, f"unset {setting}"), as_root=False)
        unit = setting.rpartition(" of ")[2]
        if unit.endswith(".service"):
            restart = distribution.service(self._machine, "restart", unit.removesuffix(".service"))
            return Remedy(lead, (f"systemctl cat {unit}", "systemctl daemon-reload", *restart))
        return Remedy(lead)

    def _pass(self) -> str:
        program = self._program
        shown = [one for one in program.uses if not one.setting.startswith("for ")]
        if not program.uses:
            return self._by_itself()
        if not shown:
            return f"{self._by_itself()[:-1]}, and {self._registries()}."
        more = " besides its own" if program.name == "node" else ""
        beside = ""
        if program.overridden:
            verb = "does" if len(program.overridden) == 1 else "do"
            beside = f"; {text.listing(program.overridden)} {verb} not count"
        said = text.listing(f"{self._named(one.bundle)}, by {one.setting}" for one in shown)
        return f"{program.name} {self._uses} {said}{more}{beside}."

    @property
    def _uses(self) -> str:
        return "uses" if self._program.installed else "is not installed here, and would use"

    def _named(self, bundle: Bundle) -> str:
        if bundle.path == self._system:
            return f"the system CA bundle ({bundle.path})"
        known = "" if bundle.well_known or bundle.directory else ", none of them a well-known one"
        return f"{bundle.path} ({_held(bundle)}{known})"

    def _registries(self) -> str:
        names = dict.fromkeys(one.setting.removeprefix("for ") for one in self._program.uses)
        return f"for {text.listing(names)} the authorities in /etc/docker/certs.d"

    def _by_itself(self) -> str:
        name = self._program.name
        system = f"the system CA bundle, {self._system}" if self._system else "a system CA bundle"
        added = any(one.in_bundle for one in self._store.added)
        if name == "conda" and self._program.system:
            return (
                f"conda {self._uses} the system's authorities, by {self._program.system}, though "
                "some versions do not through a proxy."
            )
        if name == "conda":
            lacks = ", without the authorities that were added to this system" if added else ""
            return f"Nothing is set for conda: it uses a list of its own (certifi){lacks}."
        if name == "pip":
            lacks = ", which lacks the added authorities" if added else ""
            return (
                "Nothing is set for pip: from version 24.2 on it uses the system CA bundle, before "
                f"that a list of its own{lacks}."
            )
        return f"{name} {self._uses} {system}, since nothing else is set for it."

    def _observed(self) -> str:
        paths = dict.fromkeys(one.bundle.path for one in self._program.uses)
        return text.listing(paths) or "nothing is set"


def _absent(name: str) -> str:
    inside = " Inside the containers it goes by their own settings." if name == "conda" else ""
    return f"{name} is not installed on this host, and nothing is set for it.{inside}"


def _held(bundle: Bundle) -> str:
    """144 authorities, 4 of them expired."""
    if bundle.directory:
        return text.number(bundle.count, "file of authorities", "files of authorities")
    said = text.number(bundle.count, "authority", "authorities")
    if bundle.expired:
        said += f", {bundle.expired} of them expired"
    return said


def _problem(bundle: Bundle) -> str:
    if bundle.problem:
        return bundle.problem
    return (
        "its certificate has expired" if bundle.count == 1 else "all its certificates have expired"
    )


def _short(paths: list[str]) -> str:
    more = [f"{len(paths) - _SHOWN} more"] if len(paths) > _SHOWN else []
    return text.listing([*paths[:_SHOWN], *more])
