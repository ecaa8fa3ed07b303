"""What egress.trust says of one program: the authorities that it would verify servers with."""

from shlex import quote

from biostudio_doctor import distribution, text
from biostudio_doctor.ca_bundles import Bundle, SystemStore
from biostudio_doctor.host.trust import Named, Program
from biostudio_doctor.host.units import ENGINES
from biostudio_doctor.model import Finding, Machine, Remedy, Status

MISSING, BAD = "trust.missing-file", "trust.bad-file"
_OFF = "trust.off"

#: Where a bad file does little harm: what the program does instead.
_FALL_BACK = {
    ("curl", "SSL_CERT_DIR"): "curl goes on with the bundle that it was built for",
    ("node", "NODE_EXTRA_CA_CERTS"): "Node.js goes on with its own authorities only",
}


def judge_program(program: Program, store: SystemStore, machine: Machine) -> Finding:
    """The worst that is to be said of a program."""
    return _Judge(program, store, machine).finding()


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
            return self._file_trouble(Status.FAIL, program.broken[0], "stops at", BAD)
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
        said = f"{named.setting} names {bundle.path} for {name}, but {problem(bundle)}"
        return Finding(
            Status.WARN if instead else Status.FAIL,
            self._subject,
            f"{said}; {instead}." if instead else f"{said}: {name} can verify no server.",
            observed=f"{bundle.path}: {bundle.state}",
            remedy=self._correct(named),
            cause=MISSING if bundle.state == "missing" else BAD,
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
        return f"{bundle.path} ({held(bundle)}{known})"

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


def held(bundle: Bundle) -> str:
    """144 authorities, 4 of them expired."""
    if bundle.directory:
        return text.number(bundle.count, "file of authorities", "files of authorities")
    said = text.number(bundle.count, "authority", "authorities")
    if bundle.expired:
        said += f", {bundle.expired} of them expired"
    return said


def problem(bundle: Bundle) -> str:
    """Why a bundle is no good."""
    if bundle.problem:
        return bundle.problem
    return (
        "its certificate has expired" if bundle.count == 1 else "all its certificates have expired"
    )
