"""os.kernel"""

import re
from collections.abc import Iterator
from datetime import timedelta

from msgspec import Struct

from biostudio_doctor import distribution
from biostudio_doctor.check import Check
from biostudio_doctor.host import Host
from biostudio_doctor.model import Finding, Machine, Remedy, Status
from biostudio_doctor.requirements import Requirements, System, Version
from biostudio_doctor.versions import at_least, numbers

#: The images' architecture, and the others of 64 bits that engines run on.
_NATIVE = "x86_64"
_OTHERS = ("aarch64", "ppc64le", "s390x", "riscv64", "loongarch64")
_RHEL_BUILD = re.compile(r"(?P<version>[0-9.]+)-(?P<build>[0-9]{1,9})\b.*\.el[0-9]")
_WSL1 = re.compile(r"4\.4\.0-[0-9]+-Microsoft")


class KernelFacts(Struct, frozen=True, kw_only=True):
    """The kernel that runs."""

    release: str  # as `uname -r` prints it; '' where it cannot be seen
    architecture: str
    os_id: str
    os_name: str
    os_version: str
    container: str


class OsKernel(Check[KernelFacts]):
    """The kernel can run a current container engine.

    Compares the kernel that runs (`uname -r`) with what Docker Engine and containerd need, and its
    architecture with that of the images. A container has no kernel of its own, so in a container
    this is the host's.

    Why: the containers need an engine, and a current engine needs this kernel. CentOS 6.5 meets the
    published line for distributions, and its kernel 2.6.32 cannot run any engine of today.

    Mend: update the kernel and reboot, or install a newer release of the distribution.
    """

    id = "os.kernel"
    interval = timedelta(hours=6)
    requirement_ids = ("os.kernel", "os.architecture")

    def observe(self, host: Host) -> KernelFacts:
        machine = host.machine
        return KernelFacts(
            release=machine.kernel,
            architecture=machine.architecture,
            os_id=machine.os_id,
            os_name=machine.os_name,
            os_version=machine.os_version,
            container=machine.container,
        )

    def judge(self, facts: KernelFacts, requirements: Requirements) -> Iterator[Finding]:
        wanted = requirements.demand("os.kernel", Version)
        yield _kernel(facts, wanted, requirements.systems, self.context.machine)
        yield _architecture(facts, requirements)


def _kernel(
    facts: KernelFacts, wanted: Version, systems: list[System], machine: Machine
) -> Finding:
    if not numbers(facts.release):
        return _unseen(facts, machine)
    if _WSL1.match(facts.release):
        return _wsl1(facts, wanted)
    this = f"Linux {facts.release}" + (" (of the host)" if facts.container else "")
    if _is_new_enough(facts.release, wanted):
        said, status = f"{this} can run a current container engine.", Status.PASS
    elif at_least(facts.release, wanted.floor):
        said = (
            f"{this} can run a container engine, but not overlay2, its storage driver: that needs "
            f"{wanted.value}, or {wanted.backport} of Red Hat and CentOS."
        )
        status = Status.WARN
    else:
        said = f"{_published(facts, systems)}{this} is too old for any current container engine, "
        said += f"which needs {wanted.floor} or later."
        status = Status.FAIL
    return Finding(
        status,
        "kernel",
        said,
        observed=facts.release,
        expected=f"{wanted.value} or later",
        remedy=None if status is Status.PASS else _newer(facts, wanted, machine),
        requirement=wanted,
    )


def _is_new_enough(release: str, wanted: Version) -> bool:
    """overlay2 was carried back to RHEL's old version, which keeps its number and counts builds."""
    if at_least(release, wanted.value):
        return True
    here, backport = _RHEL_BUILD.match(release), wanted.backport.partition("-")
    if not here or here["version"] != backport[0]:
        return False
    return int(here["build"]) >= int(backport[2])


def _published(facts: KernelFacts, systems: list[System]) -> str:
    """That the distribution itself meets the document's line, which is the riddle of CentOS 6."""
    for system in systems:
        if system.os_id == facts.os_id and system.met_by(facts.os_version):
            return f'{facts.os_name} meets the document\'s "{system.says}", but its '
    return ""


def _newer(facts: KernelFacts, wanted: Version, machine: Machine) -> Remedy:
    if facts.container:
        return Remedy("The kernel is that of the host: renew it there.")
    if distribution.family(machine) == "rhel" and distribution.major(machine) == 7:
        mirror = " CentOS 7 has left the mirrors: point its repositories at vault.centos.org first."
        return Remedy(
            f"The kernel of the later minor releases ({wanted.backport} and up) will do: update it "
            "and reboot." + (mirror if facts.os_id == "centos" else ""),
            ("yum update -y kernel", "reboot"),
        )
    return Remedy(
        "Install a newer release of the system, such as Debian 13, Ubuntu 24.04, or release 9 of "
        "Red Hat Enterprise Linux, Rocky Linux or AlmaLinux."
    )


def _wsl1(facts: KernelFacts, wanted: Version) -> Finding:
    return Finding(
        Status.FAIL,
        "kernel",
        "This is the first Windows Subsystem for Linux, which imitates a kernel and cannot run "
        "containers.",
        observed=facts.release,
        expected=f"{wanted.value} or later",
        remedy=Remedy(
            "Convert it to WSL 2, in a command prompt of Windows (`wsl --list` shows the name):",
            ("wsl --set-version NAME 2",),
            as_root=False,
        ),
        requirement=wanted,
    )


def _unseen(facts: KernelFacts, machine: Machine) -> Finding:
    where = "/proc" if machine.host_root == "/" else f"{machine.host_root}/proc"
    return Finding(
        Status.ERROR,
        "kernel",
        f'The version of the kernel cannot be told from "{facts.release}".'
        if facts.release
        else "The version of the kernel cannot be seen.",
        observed=facts.release,
        remedy=Remedy(
            f"{where} is where it is read: is the host's /proc mounted there? See what it says:",
            (f"cat {where}/sys/kernel/osrelease",),
            as_root=False,
        ),
    )


def _architecture(facts: KernelFacts, requirements: Requirements) -> Finding:
    status, said, remedy = _fitness(facts.architecture)
    return Finding(
        status,
        "architecture",
        said,
        observed=facts.architecture,
        expected=_NATIVE,
        remedy=remedy,
        requirement=requirements.get("os.architecture"),
    )


def _fitness(name: str) -> tuple[Status, str, Remedy | None]:
    if name == _NATIVE:
        return Status.PASS, f"The system is {name}, which the engines and the images run on.", None
    if name in _OTHERS:
        said = f"The system is {name}; images of BioStudio are known for {_NATIVE} only."
        mend = f"Use a machine with an {_NATIVE} processor (Intel or AMD), or ask "
        return Status.WARN, said, Remedy(f"{mend}support@bioturing.com for images for this one.")
    mend = f"Install a 64-bit ({_NATIVE}) system. The processor can run one if this prints `lm`:"
    return (
        Status.FAIL,
        f"The system is {name or 'of an unknown architecture'}; container engines need 64 bits.",
        Remedy(mend, ("grep -o -w -m1 lm /proc/cpuinfo",), as_root=False),
    )
