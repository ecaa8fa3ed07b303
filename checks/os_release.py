"""os.release"""

from collections.abc import Iterator
from datetime import timedelta

from msgspec import Struct

from biostudio_doctor import distribution, text
from biostudio_doctor.check import Check
from biostudio_doctor.host import Host
from biostudio_doctor.host.machine import SYSTEM_CONTAINERS
from biostudio_doctor.model import Finding, Machine, Remedy, Status
from biostudio_doctor.requirements import Requirements, System

_SOURCES = ("/etc/os-release", "/usr/lib/os-release", "/etc/redhat-release", "/etc/lsb-release",
            "/etc/debian_version")  # fmt: skip


class ReleaseFacts(Struct, frozen=True, kw_only=True):
    """Which distribution this host says it is."""

    os_id: str
    os_like: tuple[str, ...]
    name: str
    version: str
    codename: str
    source: str  # the file that says so; '' where none does
    present: tuple[str, ...]  # which of the files that may say so are there
    lsb_release: bool  # /etc/lsb-release is there
    container: str
    wsl: bool


class OsRelease(Check[ReleaseFacts]):
    """The distribution is one that the document names.

    Looks at /etc/os-release and, on old systems, at /etc/redhat-release, /etc/lsb-release and
    /etc/debian_version. A rebuild or derivative (ID_LIKE) of a named system passes if what it is
    built on is new enough: BioStudio runs in containers, so what counts of the system is its kernel
    and its packages of the container engine, and those are the same.

    In a container of Docker, Podman or Kubernetes the distribution seen is the image's own, so it
    is not judged: mount the host's / at /host and give --host-root /host.

    Why: BioTuring recommends these systems and helps with them; on others the commands of its
    documents differ.

    Mend: install BioStudio on a named system, or ask BioTuring about the one you have.
    """

    id = "os.release"
    interval = timedelta(hours=6)
    requirement_ids = ("os.centos", "os.rhel", "os.debian", "os.ubuntu")

    def observe(self, host: Host) -> ReleaseFacts:
        machine = host.machine
        return ReleaseFacts(
            os_id=machine.os_id,
            os_like=machine.os_like,
            name=machine.os_name or machine.os_id,
            version=machine.os_version,
            codename=machine.os_codename,
            source=machine.os_source,
            present=tuple(path for path in _SOURCES if host.exists(path)),
            lsb_release=host.exists("/etc/lsb-release"),
            container=machine.container,
            wsl=machine.wsl,
        )

    def judge(self, facts: ReleaseFacts, requirements: Requirements) -> Iterator[Finding]:
        if facts.container and facts.container not in SYSTEM_CONTAINERS:
            yield _inside(facts)
            return
        yield _distribution(facts, requirements, self.context.machine)
        if facts.wsl:
            yield _wsl()
        scope = self.context.scope
        if scope.phase == "preinstall" and scope.platform == "docker":
            yield from _installer(facts, self.context.machine)


def _inside(facts: ReleaseFacts) -> Finding:
    return Finding(
        Status.SKIP,
        "distribution",
        f"This runs in a container ({facts.container}) with {facts.name or 'an unknown system'} "
        "inside; the host's own distribution cannot be seen from here.",
        observed=facts.name,
        remedy=Remedy(
            "Run it on the host, or mount the host's / in this container (docker: -v /:/host:ro "
            "--pid=host; Kubernetes: a hostPath volume) and look there:",
            ("biostudio-doctor check --host-root /host",),
            as_root=False,
        ),
    )


def _distribution(facts: ReleaseFacts, requirements: Requirements, machine: Machine) -> Finding:
    if not facts.source:
        return _unknown(facts, machine)
    named = {system.os_id: system for system in requirements.systems}
    if facts.os_id in named:
        system = named[facts.os_id]
        coming = distribution.based_on(facts.os_id, facts.codename)  # testing has no version yet
        return _compared(facts, system, facts.version or coming, f"This is {facts.name}")
    relatives = [named[os_id] for os_id in facts.os_like if os_id in named]
    if relatives:
        return _derivative(facts, relatives)
    names = text.listing([system.name for system in requirements.systems], "or")
    return Finding(
        Status.WARN,
        "distribution",
        f"{facts.name} is none of the systems that the document names: {names}.",
        observed=facts.name,
        expected=names,
        remedy=Remedy(
            "BioStudio runs in containers, so a current container engine may be all that it needs; "
            "ask support@bioturing.com before you rely on it, or use one of the named systems."
        ),
    )


def _unknown(facts: ReleaseFacts, machine: Machine) -> Finding:
    there = text.listing(facts.present, "or")
    problem = f"not by {there}" if facts.present else "/etc/os-release is missing"
    remedy = Remedy(
        "Restore /etc/os-release from the package that it belongs to: base-files on Debian and "
        "Ubuntu, redhat-release, centos-release or the like on the others. See what is there:",
        ("ls -l /etc/os-release /usr/lib/os-release /etc/*release /etc/debian_version",),
        as_root=False,
    )
    if machine.host_root != "/":
        remedy = Remedy(f"See whether the host's file system is really at {machine.host_root}.")
    return Finding(
        Status.ERROR,
        "distribution",
        f"Which distribution this is cannot be told: {problem}.",
        remedy=remedy,
    )


def _derivative(facts: ReleaseFacts, relatives: list[System]) -> Finding:
    """Judge a rebuild of RHEL or a derivative of Debian or Ubuntu by what it is built on."""
    system = next((system for system in relatives if not system.minimum), relatives[0])
    based_on = distribution.based_on(system.os_id, facts.codename)
    said = f"{facts.name} is not named in the document, but says that it is like {system.name}"
    if based_on:
        said += f" {based_on}"
    return _compared(facts, system, based_on, f"{said}, which is")


def _compared(facts: ReleaseFacts, system: System, version: str, said: str) -> Finding:
    enough = system.met_by(version)
    expected = f"any version of {system.name}"
    if system.minimum:
        expected = f"{system.name} {system.minimum} or later"
    unclear = ", in a version that cannot be compared" if enough is None else ""
    remedy = Remedy(
        f"Install BioStudio on {expected}: a new release costs least before the installation."
    )
    return Finding(
        Status.PASS if enough else Status.WARN,
        "distribution",
        f"{said}{unclear}; {expected} is recommended.",
        observed=facts.name,
        expected=expected,
        remedy=None if enough else remedy,
        requirement=system,
    )


def _wsl() -> Finding:
    return Finding(
        Status.WARN,
        "WSL",
        "This is the Windows Subsystem for Linux, which the document does not name: Windows "
        "decides when it runs, and over its memory, disks and ports.",
        observed="Windows Subsystem for Linux",
        remedy=Remedy(
            "Try BioStudio out here if you like, but serve colleagues from a Linux server or a "
            "virtual machine that starts by itself."
        ),
    )


def _installer(facts: ReleaseFacts, machine: Machine) -> Iterator[Finding]:
    """The vendor's script takes whatever has no /etc/lsb-release for a system with yum."""
    if distribution.family(machine) != "debian" or facts.lsb_release:
        return
    yield Finding(
        Status.WARN,
        "installer",
        "The vendor's installation script tells Ubuntu by /etc/lsb-release, which is missing here; "
        "it would take this host for Red Hat and call yum.",
        observed="no /etc/lsb-release",
        expected="/etc/lsb-release",
        remedy=Remedy(
            "If you use that script, start its biocolab/ubuntu.sh yourself instead of letting it "
            "choose. Do not create /etc/lsb-release for it: other programs would believe it too."
        ),
    )
