"""What runtime.engine says of containerd and CRI-O, and in common of whatever engine answers."""

from biostudio_doctor import distribution
from biostudio_doctor.host.containerd import ContainerRuntime
from biostudio_doctor.host.machine import application_container
from biostudio_doctor.model import Finding, Machine, Remedy, Requirement, Status
from biostudio_doctor.requirements import Feature, Requirements, Version
from biostudio_doctor.versions import at_least


def judge_runtime(
    subject: str, runtime: ContainerRuntime, machine: Machine, requirements: Requirements
) -> Finding:
    """Does it answer, and is it new enough?"""
    wanted = requirements.demand("runtime.engine", Feature)
    name, at = runtime.name, f"at {runtime.socket}"
    if runtime.state == "denied":
        return denied(subject, runtime.socket, machine, wanted)
    if runtime.state == "answers":
        version = f" {runtime.version}" if runtime.version else ""
        return judge_version(
            subject,
            f"{name}{version} answers {at}",
            runtime.version,
            requirements.demand("runtime.containerd", Version) if version else None,
            wanted,
            Remedy(f"Upgrade {name}."),
        )
    said = {
        "silent": f"{name} listens {at}, but it does not answer: it hangs.",
        "odd": f"What listens {at} could not be understood: {runtime.detail}.",
        "refused": f"{name} does not run: there is a socket {at}, but nobody listens.",
    }.get(runtime.state, f"{name} is installed, but it does not run.")
    unit = "crio" if name == "CRI-O" else "containerd"
    action = "restart" if runtime.state == "silent" else "enable"
    log = (f"journalctl --no-pager -n 50 -u {unit}",) if machine.systemd else ()
    return Finding(
        Status.ERROR if runtime.state == "odd" else Status.FAIL,
        subject,
        said,
        observed=runtime.state,
        remedy=Remedy(
            f"{'Restart' if action == 'restart' else 'Start'} it. Its log says what is wrong.",
            (*log, *distribution.service(machine, action, unit)),
        ),
        requirement=wanted,
    )


def judge_version(
    subject: str,
    said: str,
    version: str,
    minimum: Version | None,
    wanted: Requirement,
    upgrade: Remedy,
) -> Finding:
    """Pass for an engine that answers, unless its version is too low."""
    if minimum is None or at_least(version, minimum.value) is not False:
        return Finding(Status.PASS, subject, f"{said}.", version, requirement=wanted)
    enough = at_least(version, minimum.floor)
    note = f" {minimum.note}" if minimum.note else ""
    return Finding(
        Status.WARN if enough else Status.FAIL,
        subject,
        f"{said}, but {minimum.value} or later is {'recommended' if enough else 'needed'}.{note}",
        observed=version,
        expected=f"{minimum.value} or later",
        remedy=upgrade,
        requirement=minimum,
    )


def denied(subject: str, socket: str, machine: Machine, wanted: Requirement) -> Finding:
    """An engine that this user may not ask."""
    if machine.root:
        remedy = Remedy(
            "Root may open it unless SELinux or AppArmor denies it; the kernel's log says so.",
            ("dmesg | grep -iE 'apparmor|avc' | tail",),
        )
    else:
        remedy = Remedy(
            "Run biostudio-doctor as root. For Docker it is also enough to be in the group "
            "docker (`usermod -aG docker NAME`, then log in again); its members have the "
            "power of root.",
            ("biostudio-doctor check runtime.engine",),
        )
    return Finding(
        Status.ERROR,
        subject,
        f"{subject} could not be asked: this user may not open {socket}.",
        remedy=remedy,
        requirement=wanted,
    )


def is_inside(machine: Machine) -> bool:
    """Whether the host's engines are out of sight, since we are in an application's container."""
    return bool(application_container(machine))


def unseen(subject: str, machine: Machine, wanted: Requirement) -> Finding:
    """What can be said of engines from within such a container."""
    return Finding(
        Status.ERROR,
        subject,
        f"This runs inside a container ({machine.container}), from which no engine can be seen.",
        remedy=Remedy(
            "Run biostudio-doctor on the host itself, or give the container the host's file "
            "system (docker run -v /:/host:ro ...) and say --host-root /host."
        ),
        requirement=wanted,
    )
