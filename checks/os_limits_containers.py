"""What os.limits says of what containers need of the kernel: control groups, swap, confinement."""

import re
import shlex

from biostudio_doctor import distribution, text
from biostudio_doctor.host.confinement import Confinement
from biostudio_doctor.model import Finding, Machine, Remedy, Status
from biostudio_doctor.versions import at_least

#: Kubernetes' documentation, "About cgroup v2": the kernel that it asks for.
_CGROUP2_KERNEL = "5.8"


def unseen(subject: str, what: str, machine: Machine) -> Finding:
    """A part of the system that could not be looked at."""
    proc = "/proc" if machine.host_root == "/" else f"{machine.host_root}/proc"
    return Finding(
        Status.ERROR,
        subject,
        f"{what} cannot be read.",
        remedy=Remedy(
            f"{proc} must be the host's own /proc, and readable. See what is there:",
            (f"ls {proc}/sys/kernel {proc}/swaps {proc}/1/mountinfo",),
        ),
    )


def cgroups(version: str, platform: str, machine: Machine) -> Finding:
    """Whether their version is one that the platform runs on."""
    subject = "control groups"
    if version == "v2":
        return Finding(Status.PASS, subject, "Control groups are version 2.", observed=version)
    if not version:
        return unseen(subject, "The version of control groups", machine)
    if version == "none":
        said = "No control groups are mounted; container engines need them."
        mend = "Start the system with systemd, or mount them (on Alpine: the service cgroups)."
        commands = distribution.service(machine, "enable", "cgroups")
        alpine = distribution.family(machine) == "alpine"
        return Finding(Status.FAIL, subject, said, remedy=Remedy(mend, commands if alpine else ()))
    name = "version 1" if version == "v1" else "version 1, with version 2 beside it"
    if platform == "kubernetes":
        said = f"Control groups are {name}; Kubernetes 1.35 and later do not start on it."
        return Finding(
            Status.WARN, subject, said, observed=version, expected="v2", remedy=_unify(machine)
        )
    said = (
        f"Control groups are {name}, which Docker still runs on, though version 2 has replaced it."
    )
    return Finding(Status.PASS, subject, said, observed=version)


def _unify(machine: Machine) -> Remedy:
    """Switch to version 2, where the kernel is ready for it."""
    if not at_least(machine.kernel, _CGROUP2_KERNEL):
        return Remedy(
            f"Kubernetes asks for Linux {_CGROUP2_KERNEL} or later with version 2: install a newer "
            "release of the system, or stay with Kubernetes 1.34."
        )
    if machine.container:
        return Remedy("The host sets the version for its containers too: switch it there.")
    if machine.wsl:
        return Remedy(
            "Write kernelCommandLine = cgroup_no_v1=all below [wsl2] in the file .wslconfig of "
            "your Windows home directory, then run wsl --shutdown in Windows."
        )
    if not machine.systemd:
        return Remedy(
            "Have the init system mount version 2 only, and reboot (OpenRC: "
            'rc_cgroup_mode="unified" in /etc/rc.conf).'
        )
    option = "systemd.unified_cgroup_hierarchy=1"
    if distribution.family(machine) == "rhel":
        commands = (f"grubby --update-kernel=ALL --args={option}", "reboot")
        return Remedy("Let systemd use version 2; this needs a reboot.", commands)
    text_ = f"Add {option} to GRUB_CMDLINE_LINUX in /etc/default/grub, then write it and reboot."
    debian = distribution.family(machine) == "debian"
    return Remedy(text_, ("update-grub", "reboot") if debian else ())


def kubelet_swap(swap: int | None, machine: Machine) -> Finding:
    """Whether swap keeps the kubelet from starting; how full it is, memory.available says."""
    if swap is None:
        return unseen("swap", "The table of swap areas", machine)
    if not swap:
        said = "There is no swap that would keep the kubelet from starting."
        return Finding(Status.PASS, "swap", said, observed="none", expected="none")
    return Finding(
        Status.WARN,
        "swap",
        f"There are {text.both_sizes(swap)} of swap; the kubelet does not start with it unless it "
        "is configured to.",
        observed=text.size(swap),
        expected="none",
        remedy=Remedy(
            "Turn swap off, and take its line out of /etc/fstab, or set failSwapOn: false in the "
            "kubelet's configuration.",
            ("swapoff -a",),
        ),
    )


def selinux(found: Confinement, directories: list[str]) -> Finding:
    """Whether containers may touch the directories that they are given."""
    subject = "SELinux"
    if found.selinux == "absent":
        return Finding(Status.SKIP, subject, "SELinux is not active here.", observed="absent")
    if found.selinux == "permissive" or not found.selinux_docker:
        does = "enforces" if found.selinux == "enforcing" else "only records"
        said = f"SELinux {does}; Docker is not told to use it, so containers are left alone."
        return Finding(Status.PASS, subject, said, observed=found.selinux)
    commands: list[str] = []
    for directory in directories:
        commands += [
            f"semanage fcontext -a -t container_file_t {shlex.quote(_as_regex(directory))}",
            f"restorecon -R {shlex.quote(directory)}",
        ]
    return Finding(
        Status.WARN,
        subject,
        "SELinux enforces and Docker uses it, so containers may touch only directories that are "
        "labelled for them.",
        observed=found.selinux,
        expected="directories labelled container_file_t",
        remedy=Remedy(
            "Label the directories that the containers are given, or mount them with the option "
            ":z. semanage is in the package policycoreutils-python-utils.",
            tuple(commands),
        ),
    )


def _as_regex(directory: str) -> str:
    """A directory and all below it, as semanage-fcontext(8) wants it."""
    return re.sub(r"([][\\.^$*+?(){}|])", r"\\\1", directory) + "(/.*)?"


def apparmor(found: Confinement, machine: Machine, *, in_image: bool) -> Finding:
    """Whether Docker can start containers under it."""
    subject = "AppArmor"
    if not found.apparmor:
        return Finding(Status.SKIP, subject, "AppArmor is not active here.", observed="absent")
    if found.apparmor_parser or in_image:
        said = "AppArmor is active; bioproxy is started without a profile, so it is not restricted."
        return Finding(Status.PASS, subject, said, observed="active")
    return Finding(
        Status.WARN,
        subject,
        "AppArmor is active, but its program apparmor_parser is missing; Docker before 23.0.1 "
        "cannot start any container then.",
        observed="active, without apparmor_parser",
        expected="apparmor_parser",
        remedy=Remedy(
            "Install AppArmor's programs:",
            distribution.install(
                machine,
                debian="apparmor",
                suse="apparmor-parser",
                arch="apparmor",
                alpine="apparmor",
            ),
        ),
    )
