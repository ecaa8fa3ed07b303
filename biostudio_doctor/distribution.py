"""Distribution families, so that a remedy's commands work on the host they are read on."""

from collections.abc import Mapping

from biostudio_doctor.model import Machine

#: IDs of os-release by family; a derivative not listed here is placed by its ID_LIKE.
FAMILIES = {
    "debian": ("debian", "ubuntu", "linuxmint", "raspbian", "pop", "devuan"),
    "rhel": ("rhel", "centos", "rocky", "almalinux", "ol", "fedora", "amzn", "scientific"),
    "suse": ("suse", "sles", "sled", "opensuse", "opensuse-leap", "opensuse-tumbleweed"),
    "arch": ("arch", "manjaro"),
    "alpine": ("alpine",),
}

_VERSIONS = {
    "debian": {
        "wheezy": "7", "jessie": "8", "stretch": "9", "buster": "10", "bullseye": "11",
        "bookworm": "12", "trixie": "13", "forky": "14",
    },
    "ubuntu": {
        "trusty": "14.04", "xenial": "16.04", "bionic": "18.04", "focal": "20.04",
        "jammy": "22.04", "noble": "24.04", "resolute": "26.04",
    },
}  # fmt: skip

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


def based_on(os_id: str, codename: str) -> str:
    """The version of "debian" or "ubuntu" with this code name, '' if it has none such."""
    return _VERSIONS.get(os_id, {}).get(codename, "")


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
    """The commands to `start`, `restart` or `stop` a service.

    `enable` and `disable` start or stop it too, and see to it that it stays so. Empty for a system
    of no known family that runs no systemd.
    """
    group = "" if machine.systemd else family(machine)
    if group == "alpine":
        control, lasting = f"rc-service {unit}", {"enable": "add", "disable": "del"}
        last = f"rc-update {lasting.get(action)} {unit}"
    elif group == "rhel" and (major(machine) or 7) < 7:
        control, lasting = f"service {unit}", {"enable": "on", "disable": "off"}
        last = f"chkconfig {unit} {lasting.get(action)}"
    elif group == "debian":  # Devuan, WSL and other systems that run no systemd
        control, lasting = f"service {unit}", {"enable": "enable", "disable": "disable"}
        last = f"update-rc.d {unit} {lasting.get(action)}"
    elif not machine.systemd and not group:
        return ()
    else:
        now = f"{action} --now" if action in ("enable", "disable") else action
        return (f"systemctl {now} {unit}",)
    if action not in lasting:
        return (f"{control} {action}",)
    return (last, f"{control} {'start' if action == 'enable' else 'stop'}")


def sysctl(parameters: Mapping[str, int]) -> tuple[str, ...]:
    """The commands that set kernel parameters now and after every reboot, on any distribution."""
    file = "/etc/sysctl.d/90-biostudio.conf"
    lines = (f"echo '{name} = {value}' >> {file}" for name, value in parameters.items())
    return (*lines, f"sysctl -p {file}")


def trust_authority(machine: Machine, file: str) -> tuple[str, ...]:
    """The commands that make the system trust an authority's certificate, in PEM, named *.crt."""
    group = family(machine)
    rebuild = rebuild_trust(machine)
    if group in ("debian", "alpine"):
        return (f"cp {file} /usr/local/share/ca-certificates/", *rebuild)
    if group == "rhel":
        old = machine.os_id != "fedora" and (major(machine) or 7) < 7
        enable = ("update-ca-trust force-enable",) if old else ()
        return (*enable, f"cp {file} /etc/pki/ca-trust/source/anchors/", *rebuild)
    if group == "suse":
        return (f"cp {file} /etc/pki/trust/anchors/", *rebuild)
    return (f"trust anchor --store {file}",) if group == "arch" else ()


def rebuild_trust(machine: Machine) -> tuple[str, ...]:
    """The command that writes the system's bundle of authorities anew, local ones included."""
    group = family(machine)
    if group in ("debian", "alpine", "suse"):
        return ("update-ca-certificates",)
    return {"rhel": ("update-ca-trust extract",), "arch": ("update-ca-trust",)}.get(group, ())


def update_trust(machine: Machine) -> tuple[str, ...]:
    """The commands that bring the distribution's public authorities up to date."""
    group = family(machine)
    if group == "rhel":
        old = machine.os_id != "fedora" and (major(machine) or 8) < 8
        return (f"{'yum' if old else 'dnf'} update -y ca-certificates",)
    if group == "suse":
        return ("zypper refresh", "zypper update -y ca-certificates-mozilla")
    if group == "alpine":
        return ("apk update", "apk add --upgrade ca-certificates")
    if group == "arch":  # which supports no update of single packages
        return ("pacman -Syu",)
    return install(machine, debian="ca-certificates")


def who_listens(machine: Machine, port: int) -> tuple[str, ...]:
    """The command that shows who listens; Alpine comes with netstat, all others with ss."""
    if family(machine) == "alpine":
        return (f"netstat -ltnp | grep ':{port} '",)
    return (f"ss -ltnp 'sport = :{port}'",)
