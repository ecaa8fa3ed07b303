"""os.time"""

from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta, Struct

from biostudio_doctor import distribution, text
from biostudio_doctor.check import Check
from biostudio_doctor.config import Settings
from biostudio_doctor.host import Host
from biostudio_doctor.host.clock import (
    KernelClock,
    Tracking,
    hardware_clock_is_local,
    kernel_clock,
    parse_tracking,
    time_zone,
    timedated_clock,
)
from biostudio_doctor.host.hypervisor import hypervisor
from biostudio_doctor.host.processes import named
from biostudio_doctor.host.programs import find
from biostudio_doctor.model import Finding, Machine, Remedy, Status
from biostudio_doctor.requirements import Requirements

#: Who sets the clock, by the name that the kernel has for the process.
_DAEMONS = {
    "chronyd": "chronyd", "systemd-timesyn": "systemd-timesyncd", "ntpd": "ntpd",
    "phc2sys": "phc2sys",
}  # fmt: skip


class TimeFacts(Struct, frozen=True, kw_only=True):
    """How well the clock is kept."""

    kernel: KernelClock | None = None
    kernel_problem: str = ""
    daemons: tuple[str, ...] = ()  # that run
    tracking: Tracking | None = None  # by chronyd
    tracking_problem: str = ""
    installed: tuple[str, ...] = ()  # daemons that are, and that remedies know
    hardware_local: bool | None = None
    zone: str = "UTC"
    zone_missing: bool = False  # /etc/localtime leads nowhere
    hypervisor: str = ""
    container: str = ""
    wsl: bool = False


class TimeSettings(Settings, frozen=True, kw_only=True):
    """How far the clock may be off."""

    warn_seconds: Annotated[
        float, Meta(gt=0, description="Warn if the clock is off by more than this.")
    ] = 1.0
    fail_seconds: Annotated[
        float, Meta(gt=0, description="Fail if the clock is off by more than this.")
    ] = 300.0


class OsTime(Check[TimeFacts]):
    """The clock is kept right.

    Asks chronyd, where it runs, whether it follows a time server and how far the clock is off;
    else the kernel, which the other daemons tell (adjtimex(2), as `timedatectl` does). Looks at
    the hardware clock and the time zone too.

    Daemons keep clocks right to milliseconds, so more than a second means that none does. From five
    minutes on, sign-ons fail: Kerberos (RFC 4120) and most checks of SAML and OpenID Connect allow
    no more.

    Why: with a wrong clock certificates and tokens are refused as expired or not yet valid, and
    the logs of several machines cannot be put in order.

    Mend: let one daemon (chrony, systemd-timesyncd or ntpd) keep the clock.
    """

    id = "os.time"
    Settings = TimeSettings

    def observe(self, host: Host) -> TimeFacts:
        machine = host.machine
        kernel, kernel_problem = _ask_kernel(host)
        daemons = tuple(sorted({_DAEMONS[name] for name in named(host, _DAEMONS).values()}))
        tracking, tracking_problem = _ask_chrony(host) if "chronyd" in daemons else (None, "")
        return TimeFacts(
            kernel=kernel,
            kernel_problem=kernel_problem,
            daemons=daemons,
            tracking=tracking,
            tracking_problem=tracking_problem,
            installed=_installed(host),
            hardware_local=hardware_clock_is_local(host),
            zone=(zone := time_zone(host)),
            zone_missing=zone != "UTC" and not host.exists("/etc/localtime"),
            hypervisor=hypervisor(host),
            container=machine.container,
            wsl=machine.wsl,
        )

    def judge(self, facts: TimeFacts, requirements: Requirements) -> Iterator[Finding]:
        machine = self.context.machine
        yield _synchronisation(facts, machine)
        yield _offset(facts, self.settings, machine)
        if len(facts.daemons) > 1:
            yield _quarrel(facts, machine)
        if facts.hardware_local is not None:
            yield _hardware(facts.hardware_local, machine)
        yield _zone(facts, machine)


def _ask_kernel(host: Host) -> tuple[KernelClock | None, str]:
    if not host.is_this_kernel:
        return None, f"{host.root} is not the file system of the machine that runs"
    try:
        return kernel_clock(), ""
    except OSError as error:
        problem = f"{error.filename}: {error.strerror}"
    try:
        return timedated_clock(host), ""
    except (OSError, ValueError):  # TimeoutError is one
        return None, problem


def _ask_chrony(host: Host) -> tuple[Tracking | None, str]:
    try:
        answer = host.run(["chronyc", "-n", "-c", "tracking"], timeout=3)
        if answer.returncode:
            return None, f"chronyc says: {' '.join(answer.stdout.split())[:80]}"
        return parse_tracking(answer.stdout), ""
    except OSError as error:
        return None, f"chronyc: {error.strerror or error}"
    except ValueError as error:
        return None, str(error)


def _installed(host: Host) -> tuple[str, ...]:
    programs = {
        "systemd-timesyncd": find(
            host, "systemd-timesyncd", also=("/usr/lib/systemd", "/lib/systemd")
        ),
        "chronyd": find(host, "chronyd"),
        "ntpd": find(host, "ntpd"),
    }
    return tuple(name for name, path in programs.items() if path)


def _synchronisation(facts: TimeFacts, machine: Machine) -> Finding:
    status, said, remedy = _kept(facts, machine)
    return Finding(
        status,
        "synchronisation",
        said,
        observed="synchronised" if status is Status.PASS else "not known to be synchronised",
        expected="synchronised",
        remedy=remedy,
    )


def _kept(facts: TimeFacts, machine: Machine) -> tuple[Status, str, Remedy | None]:
    """Whether somebody keeps the clock. chronyd knows better than the kernel, if it answers.

    The kernel learns it from chronyd only with the directive rtcsync.
    """
    daemons = text.listing(facts.daemons)
    if facts.tracking:
        return _tracked(facts.tracking, machine)
    if facts.kernel and facts.kernel.synchronised:
        by = f" by {daemons}" if facts.daemons else ""
        return Status.PASS, f"The clock is synchronised{by}.", None
    if facts.tracking_problem or (facts.daemons and not facts.kernel):
        problem = facts.tracking_problem or facts.kernel_problem
        said = f"{daemons} runs, but whether the clock is synchronised was not told ({problem})."
        return Status.ERROR, said, _ask_again(facts, machine)
    if not facts.kernel:
        said = f"Whether the clock is synchronised cannot be told ({facts.kernel_problem})."
        return Status.ERROR, said, Remedy("Run this on the machine itself.")
    if facts.daemons:
        said = f"{daemons} runs, but the clock is not synchronised (yet)."
        return Status.WARN, said, _no_server(facts.daemons[0], machine)
    return _unkept(facts, machine)


def _tracked(tracking: Tracking, machine: Machine) -> tuple[Status, str, Remedy | None]:
    if not tracking.synchronised:
        said = "chronyd runs, but follows no time server (yet)."
        return Status.WARN, said, _no_server("chronyd", machine)
    if not tracking.reference:
        said = "chronyd runs, but follows this host's own clock, as its directive `local` allows."
        return Status.WARN, said, _no_server("chronyd", machine)
    return (
        Status.PASS,
        f"chronyd keeps the clock by {tracking.reference}, stratum {tracking.stratum}.",
        None,
    )


def _unkept(facts: TimeFacts, machine: Machine) -> tuple[Status, str, Remedy | None]:
    said = "Nothing is seen to keep the clock: no chronyd, systemd-timesyncd or ntpd runs."
    if facts.container:
        said = "The kernel's clock is not synchronised, as far as can be seen from a container."
        return Status.WARN, said, Remedy("Let a daemon keep the clock of the host; look there.")
    if facts.wsl:
        mend = "Windows sets this clock, and may not after a sleep. Take over Windows' time now:"
        return Status.WARN, said, Remedy(mend, ("hwclock --hctosys",))
    mend = "Let a daemon keep the clock."
    if facts.hypervisor:
        mend += " A virtual machine needs one too: its clock stands still while it is paused."
    return Status.WARN, said, Remedy(mend, _start(facts.installed, machine))


def _start(installed: tuple[str, ...], machine: Machine) -> tuple[str, ...]:
    """The commands that set a daemon to work: one that is there, else chrony."""
    if "systemd-timesyncd" in installed and machine.systemd:
        return ("timedatectl set-ntp true",)
    if "chronyd" in installed or "ntpd" in installed:
        daemon = "chronyd" if "chronyd" in installed else "ntpd"
        return distribution.service(machine, "enable", _unit(daemon, machine))
    old = distribution.family(machine) == "rhel" and (distribution.major(machine) or 7) < 7
    package = "ntp" if old else "chrony"
    packages = distribution.install(
        machine, debian="chrony", rhel=package, suse="chrony", arch="chrony", alpine="chrony"
    )
    unit = "ntpd" if old else _unit("chronyd", machine)
    return (*packages, *distribution.service(machine, "enable", unit)) if packages else ()


def _unit(daemon: str, machine: Machine) -> str:
    if distribution.family(machine) != "debian":
        return daemon
    return {"chronyd": "chrony", "ntpd": "ntp"}.get(daemon, daemon)


def _no_server(daemon: str, machine: Machine) -> Remedy:
    debian_like = distribution.family(machine) in ("debian", "alpine")
    files = {
        "chronyd": "/etc/chrony/chrony.conf" if debian_like else "/etc/chrony.conf",
        "systemd-timesyncd": "/etc/systemd/timesyncd.conf",
        "ntpd": "/etc/ntp.conf",
    }
    asked = {
        "chronyd": "chronyc -n sources",
        "systemd-timesyncd": "timedatectl timesync-status",
        "ntpd": "ntpq -pn",
    }
    where = f" in {files[daemon]}" if daemon in files else ""
    return Remedy(
        f"Its time servers must be reachable by UDP port 123. Behind a firewall, name your own "
        f"site's server{where} and restart the service. See what it makes of them:",
        (asked[daemon],) if daemon in asked else (),
        as_root=False,
    )


def _ask_again(facts: TimeFacts, machine: Machine) -> Remedy:
    commands = ("timedatectl",) if machine.systemd else ()
    if "chronyd" in facts.daemons:
        commands = ("chronyc -n tracking",)
    return Remedy("Ask it on the host itself.", commands, as_root=False)


def _offset(facts: TimeFacts, settings: TimeSettings, machine: Machine) -> Finding:
    """How far the clock is off, by whoever keeps it."""
    known: Tracking | KernelClock | None = facts.tracking or facts.kernel
    own = facts.tracking and not facts.tracking.reference
    if not known or not known.synchronised or known.offset is None or own:
        return Finding(
            Status.SKIP, "offset", "How far the clock is off is not known: nothing here can tell."
        )
    off = abs(known.offset)
    status = Status.PASS
    if off > settings.warn_seconds:
        status = Status.FAIL if off > settings.fail_seconds else Status.WARN
    effect = "; tokens and certificates may be refused" if status is Status.FAIL else ""
    return Finding(
        status,
        "offset",
        f"The clock is off by {_seconds(off)}{effect}.",
        observed=f"{off:.6f} s",
        expected=f"no more than {settings.warn_seconds:g} s",
        remedy=None if status is Status.PASS else _step(facts, machine),
    )


def _seconds(seconds: float) -> str:
    if seconds < 1:
        return f"{seconds * 1000:.3f} ms"
    return f"{seconds:.1f} s"


def _step(facts: TimeFacts, machine: Machine) -> Remedy:
    mend = "Set the clock at once, before databases run that a jump in time would confuse."
    if "chronyd" in facts.daemons:
        return Remedy(mend, ("chronyc makestep",))
    daemon = facts.daemons[0] if facts.daemons else ""
    commands = distribution.service(machine, "restart", _unit(daemon, machine)) if daemon else ()
    return Remedy(mend, commands)


def _quarrel(facts: TimeFacts, machine: Machine) -> Finding:
    keep, *others = facts.daemons
    commands: list[str] = []
    for daemon in others:
        commands += distribution.service(machine, "disable", _unit(daemon, machine))
    return Finding(
        Status.WARN,
        "daemons",
        f"{text.listing(facts.daemons)} run at the same time and pull the clock to and fro.",
        observed=text.listing(facts.daemons),
        expected="one of them",
        remedy=Remedy(f"Keep one of them, such as {keep}:", tuple(commands)),
    )


def _hardware(local: bool, machine: Machine) -> Finding:
    if not local:
        said = "The hardware clock is in UTC."
        return Finding(Status.PASS, "hardware clock", said, observed="UTC", expected="UTC")
    set_utc = "timedatectl set-local-rtc 0" if machine.systemd else "hwclock -w -u"
    return Finding(
        Status.WARN,
        "hardware clock",
        "The hardware clock is in local time, which is off by an hour after a change to or from "
        "summer time.",
        observed="local time",
        expected="UTC",
        remedy=Remedy("Keep the hardware clock in UTC:", (set_utc,)),
    )


def _zone(facts: TimeFacts, machine: Machine) -> Finding:
    if not facts.zone_missing:
        zone = facts.zone or "set, but without a name"
        said = f"The time zone is {zone}; containers use UTC unless told otherwise."
        return Finding(Status.PASS, "time zone", said, observed=facts.zone)
    packages = distribution.install(
        machine, debian="tzdata", rhel="tzdata", suse="timezone", arch="tzdata", alpine="tzdata"
    )
    return Finding(
        Status.WARN,
        "time zone",
        f"The time zone is set to {facts.zone}, but its file is missing, so UTC is used.",
        observed=facts.zone,
        remedy=Remedy("Install the files of the time zones:", packages),
    )
