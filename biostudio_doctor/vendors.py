"""Docker Engine and NVIDIA's driver and container toolkit: how each distribution gets them.

The commands are those of the vendors' own installation pages (docs.docker.com/engine/install;
docs.nvidia.com, "Installing the NVIDIA Container Toolkit"), or of the distribution where it carries
the software itself. No commands stand here for a system that neither supports.
"""

from biostudio_doctor.distribution import family, install, major, service
from biostudio_doctor.model import Machine, Remedy

DOCKER_PAGE = "https://docs.docker.com/engine/install/"
DRIVER_PAGE = "https://docs.nvidia.com/datacenter/tesla/driver-installation-guide/"
TOOLKIT_PAGE = (
    "https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/install-guide.html"
)
_DOCKER = "https://download.docker.com/linux"
_TOOLKIT = "https://nvidia.github.io/libnvidia-container"
_KEYRING = "/usr/share/keyrings/nvidia-container-toolkit-keyring.gpg"
_DNF5_FEDORA = 41  # the first Fedora whose dnf is version 5
_OLD_DEBIAN = 12  # an earlier one's docker.io is older than 20.10.10
_ARCHIVED_DEBIAN = 11  # earlier ones were taken off the mirrors, so that apt-get update fails


def docker_engine(machine: Machine) -> Remedy:
    """Install Docker Engine and start it, now and at every boot."""
    commands, note = _docker_commands(machine)
    if not commands:
        return Remedy(f"{note} Docker's own page is {DOCKER_PAGE}".strip())
    return Remedy(
        f"Install Docker Engine. {note}".strip(),
        (*commands, *service(machine, "enable", "docker")),
    )


def container_toolkit(machine: Machine, runtime: str) -> Remedy:
    """Install NVIDIA's container toolkit and tell an engine, "docker" or "containerd", of it."""
    if _is_archived(machine):
        words = f"{_archived(machine)} NVIDIA's repository serves the NVIDIA Container Toolkit."
        return Remedy(f"{words} Its page is {TOOLKIT_PAGE}")
    commands = _toolkit_commands(machine)
    if not commands:
        return Remedy(f"Install the NVIDIA Container Toolkit as its page says: {TOOLKIT_PAGE}")
    return Remedy(
        "Install the NVIDIA Container Toolkit from NVIDIA's repository, then tell the engine; its "
        "restart stops running containers.",
        (*commands, *configure_toolkit(machine, runtime)),
    )


def configure_toolkit(machine: Machine, runtime: str) -> tuple[str, ...]:
    """Tell an engine of the installed toolkit; restarting the engine ends running containers."""
    return (
        f"nvidia-ctk runtime configure --runtime={runtime}",
        *service(machine, "restart", runtime),
    )


def nvidia_driver(machine: Machine, lead: str) -> Remedy:
    """Install or renew NVIDIA's driver; `lead` is the sentence before the commands."""
    if machine.os_id == "ubuntu":
        commands = install(machine, debian="ubuntu-drivers-common")
        return Remedy(f"{lead} Then reboot.", (*commands, "ubuntu-drivers install", "reboot"))
    if _is_archived(machine):
        words = f"{_archived(machine)} the driver is in the components contrib and non-free."
        return Remedy(f"{lead} {words}")
    if machine.os_id == "debian":
        packages = "linux-headers-amd64 nvidia-driver firmware-misc-nonfree"
        return Remedy(
            f"{lead} On Debian it is in the components contrib and non-free (and "
            "non-free-firmware), which must stand in /etc/apt/sources.list. Then reboot.",
            (*install(machine, debian=packages), "reboot"),
        )
    return Remedy(f"{lead} NVIDIA's page has the steps for this distribution: {DRIVER_PAGE}")


def _is_archived(machine: Machine) -> bool:
    version = major(machine)
    return machine.os_id == "debian" and version is not None and version < _ARCHIVED_DEBIAN


def _archived(machine: Machine) -> str:
    """Why there are no commands for a release that is gone from the mirrors."""
    return (
        f"{machine.os_name or 'This release'} gets no updates any more, and its package mirrors "
        "are gone (only archive.debian.org still has it): move to Debian 12 or later, where"
    )


def _docker_commands(machine: Machine) -> tuple[tuple[str, ...], str]:
    group, version = family(machine), major(machine)
    if group == "rhel":
        return _docker_rhel(machine, version)
    if _is_archived(machine):
        return (), f"{_archived(machine)} Docker Engine is in the distribution (docker.io)."
    if machine.os_id == "debian" and version is not None and version < _OLD_DEBIAN:
        return _docker_old_debian(machine)
    note = {
        "debian": "The distribution's own package docker.io will do; Docker's repository has a "
        f"newer one ({DOCKER_PAGE}).",
        "suse": "On SLES it is in the Containers module (SUSEConnect -l shows how to add it).",
        "alpine": "It is in the repository community, which must stand in /etc/apk/repositories.",
    }.get(group, "")
    found = install(machine, debian="docker.io", suse="docker", arch="docker", alpine="docker")
    return found, note or ("" if found else "Install Docker Engine or containerd.")


def _docker_rhel(machine: Machine, version: int | None) -> tuple[tuple[str, ...], str]:
    packages = "docker-ce docker-ce-cli containerd.io"
    if machine.os_id == "amzn":
        if version is None or version < 2022:
            return (), "Amazon Linux 2 and earlier get no updates any more: move to a later one."
        return install(machine, rhel="docker"), ""
    if machine.os_id != "fedora" and version is not None and version < 8:
        return (), (
            f"Neither the distribution nor Docker maintains anything for {machine.os_name or 'it'}"
            " any more, and its package mirrors are gone: move to release 8 or later, where "
            "Docker Engine is installed from Docker's repository."
        )
    repository = {"fedora": "fedora", "rhel": "rhel"}.get(machine.os_id, "centos")
    url = f"{_DOCKER}/{repository}/docker-ce.repo"
    if machine.os_id == "fedora" and (version or _DNF5_FEDORA) >= _DNF5_FEDORA:
        add = f"dnf config-manager addrepo --from-repofile={url}"
    else:
        add = f"dnf config-manager --add-repo {url}"
    commands = ("dnf install -y dnf-plugins-core", add, f"dnf install -y {packages}")
    return commands, (
        "It conflicts with the packages podman-docker and runc: if dnf says so, remove them first "
        "(dnf remove podman-docker runc), or podman with them on RHEL."
    )


def _docker_old_debian(machine: Machine) -> tuple[tuple[str, ...], str]:
    if not machine.os_codename:
        return (), "Install Docker Engine from Docker's repository."
    key, url = "/etc/apt/keyrings/docker.asc", f"{_DOCKER}/debian"
    line = f"deb [signed-by={key}] {url} {machine.os_codename} stable"
    return (
        *install(machine, debian="ca-certificates curl"),
        "install -m 0755 -d /etc/apt/keyrings",
        f"curl -fsSL {url}/gpg -o {key}",
        f"echo '{line}' > /etc/apt/sources.list.d/docker.list",
        *install(machine, debian="docker-ce docker-ce-cli containerd.io"),
    ), "This release's own package docker.io is too old; these steps use Docker's repository."


def _toolkit_commands(machine: Machine) -> tuple[str, ...]:
    """NVIDIA's generic repositories: those named after a distribution lack newer releases."""
    name, group = "nvidia-container-toolkit", family(machine)
    listed, repository = f"{_TOOLKIT}/stable/deb/{name}.list", f"{_TOOLKIT}/stable/rpm/{name}.repo"
    if group == "debian":
        signed = f"s#deb https://#deb [signed-by={_KEYRING}] https://#"
        return (
            *install(machine, debian="ca-certificates curl gnupg"),
            f"curl -fsSL {_TOOLKIT}/gpgkey | gpg --dearmor -o {_KEYRING}",
            f"curl -fsSL {listed} | sed '{signed}' > /etc/apt/sources.list.d/{name}.list",
            *install(machine, debian=name),
        )
    if group == "rhel":
        add = f"curl -fsSL {repository} -o /etc/yum.repos.d/{name}.repo"
        return (add, *install(machine, rhel=name))
    if group == "suse":
        return (
            f"zypper addrepo {repository}",
            f"zypper --gpg-auto-import-keys install -y {name}",
        )
    return install(machine, arch=name)
