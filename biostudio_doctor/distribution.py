"""Distribution families, so that a remedy's commands work on the host they are read on."""

from biostudio_doctor.model import Machine

#: IDs of os-release by family; a derivative not listed here is placed by its ID_LIKE.
FAMILIES = {
    "debian": ("debian", "ubuntu", "linuxmint", "raspbian", "pop", "devuan"),
    "rhel": ("rhel", "centos", "rocky", "almalinux", "ol", "fedora", "amzn", "scientific"),
    "suse": ("suse", "sles", "sled", "opensuse", "opensuse-leap", "opensuse-tumbleweed"),
    "arch": ("arch", "manjaro"),
    "alpine": ("alpine",),
}

_INSTALL = {
    "debian": "apt-get install -y {}",
    "suse": "zypper install -y {}",
    "arch": "pacman -S --noconfirm {}",
    "alpine": "apk add {}",
}


def family(machine: Machine) -> str:
    """One of FAMILIES, or '' for a distribution that is of none."""
    for name in (machine.os_id, *machine.os_like):
        for group, members in FAMILIES.items():
            if name in members:
                return group
    return ""


def major(machine: Machine) -> int | None:
    """The number before the first dot of the version; None where there is none."""
    first = machine.os_version.partition(".")[0]
    return int(first) if first.isdecimal() else None


def install(machine: Machine, **packages: str) -> tuple[str, ...]:
    """The commands that install a package, named by family (debian="chrony", rhel="chrony").

    Empty for a family that no package was named for: no advice is better than a wrong one.
    """
    group = family(machine)
    if group not in packages:
        return ()
    if group == "rhel":
        old = machine.os_id != "fedora" and (major(machine) or 8) < 8
        return (f"{'yum' if old else 'dnf'} install -y {packages[group]}",)
    command = _INSTALL[group].format(packages[group])
    return ("apt-get update", command) if group == "debian" else (command,)


def service(machine: Machine, action: str, unit: str) -> tuple[str, ...]:
    """The commands for `enable` (and start), `start`, `restart` or `stop` of a service."""
    if machine.systemd or family(machine) != "alpine":
        now = "enable --now" if action == "enable" else action
        return (f"systemctl {now} {unit}",)
    if action == "enable":
        return (f"rc-update add {unit}", f"rc-service {unit} start")
    return (f"rc-service {unit} {action}",)
