"""The installation steps fit the distribution, or there are none."""

import subprocess

import pytest
from msgspec import structs

from biostudio_doctor import vendors
from biostudio_doctor.model import Machine
from tests.conftest import DEBIAN


def machine(os_id: str, version: str, like: str = "", codename: str = "") -> Machine:
    return structs.replace(
        DEBIAN,
        os_id=os_id,
        os_version=version,
        os_like=tuple(like.split()),
        os_codename=codename,
        os_name=f"{os_id} {version}",
    )


MACHINES = {
    "debian 12": DEBIAN,
    "debian 10": machine("debian", "10", codename="buster"),
    "debian 11": machine("debian", "11", codename="bullseye"),
    "ubuntu": machine("ubuntu", "24.04", "debian", "noble"),
    "mint": machine("linuxmint", "22", "ubuntu debian", "wilma"),
    "rhel 9": machine("rhel", "9.4", "fedora"),
    "rocky 8": machine("rocky", "8.10", "rhel centos fedora"),
    "centos 7": machine("centos", "7.9", "rhel fedora"),
    "fedora 40": machine("fedora", "40"),
    "fedora 42": machine("fedora", "42"),
    "amazon": machine("amzn", "2023", "fedora"),
    "sles": machine("sles", "15.6", "suse"),
    "arch": machine("arch", ""),
    "alpine": machine("alpine", "3.20"),
    "unknown": machine("plan9", "4"),
}
_NO_TOOLKIT = ("alpine", "debian 10", "unknown")
_DOCKER_CE = "install -y docker-ce docker-ce-cli containerd.io"


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("debian 12", "apt-get install -y docker.io"),
        ("ubuntu", "apt-get install -y docker.io"),
        ("mint", "apt-get install -y docker.io"),
        ("debian 11", f"apt-get {_DOCKER_CE}"),
        ("rhel 9", "dnf config-manager --add-repo https://download.docker.com/linux/rhel/"),
        ("rocky 8", "dnf config-manager --add-repo https://download.docker.com/linux/centos/"),
        ("rocky 8", f"dnf {_DOCKER_CE}"),
        ("fedora 40", "dnf config-manager --add-repo https://download.docker.com/linux/fedora/"),
        (
            "fedora 42",
            "dnf config-manager addrepo --from-repofile=https://download.docker.com/linux/",
        ),
        ("amazon", "dnf install -y docker"),
        ("sles", "zypper install -y docker"),
        ("arch", "pacman -S --noconfirm docker"),
        ("alpine", "apk add docker"),
    ],
)
def test_docker_is_installed_and_started(name: str, command: str) -> None:
    commands = vendors.docker_engine(MACHINES[name]).commands
    assert any(each.startswith(command) for each in commands), commands
    assert commands[-1].endswith(("enable --now docker", "rc-service docker start"))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("centos 7", "move to release 8 or later"),
        ("debian 10", "only archive.debian.org still has it"),
        ("unknown", vendors.DOCKER_PAGE),
    ],
)
def test_no_commands_are_better_than_wrong_ones(name: str, said: str) -> None:
    remedy = vendors.docker_engine(MACHINES[name])
    assert not remedy.commands and said in remedy.text


@pytest.mark.parametrize("name", [name for name in MACHINES if name not in _NO_TOOLKIT])
def test_the_toolkit_comes_from_no_repository_of_one_distribution(name: str) -> None:
    commands = vendors.container_toolkit(MACHINES[name], "docker").commands
    assert any("nvidia-container-toolkit" in each for each in commands)
    assert commands[-2:] == (
        "nvidia-ctk runtime configure --runtime=docker",
        "systemctl restart docker",
    )
    assert not any("$distribution" in each or "ubuntu" in each for each in commands)


@pytest.mark.parametrize("name", _NO_TOOLKIT)
def test_where_nvidia_has_no_toolkit(name: str) -> None:
    remedy = vendors.container_toolkit(MACHINES[name], "docker")
    assert not remedy.commands and vendors.TOOLKIT_PAGE in remedy.text


def test_no_driver_from_mirrors_that_are_gone() -> None:
    remedy = vendors.nvidia_driver(MACHINES["debian 10"], "Install NVIDIA's driver.")
    assert not remedy.commands and "archive.debian.org" in remedy.text
    assert vendors.nvidia_driver(MACHINES["debian 11"], "").commands


@pytest.mark.parametrize("name", MACHINES)
def test_every_step_is_one_that_a_shell_can_read(name: str) -> None:
    remedies = (
        vendors.docker_engine(MACHINES[name]),
        vendors.container_toolkit(MACHINES[name], "containerd"),
        vendors.nvidia_driver(MACHINES[name], "Install NVIDIA's driver."),
    )
    for remedy in remedies:
        assert remedy.text.endswith((".", "/", ".html"))
        script = "\n".join(remedy.commands)
        done = subprocess.run(
            ["sh", "-n"], input=script, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


def test_the_apt_source_that_is_written_is_signed() -> None:
    """The sed of the steps, on the lines that NVIDIA's file has."""
    listed = (
        "deb https://nvidia.github.io/libnvidia-container/stable/deb/$(ARCH) /\n#deb https://x\n"
    )
    step = next(
        each for each in vendors.container_toolkit(DEBIAN, "docker").commands if "| sed" in each
    )
    sed = step.partition("| ")[2].partition(" >")[0]
    done = subprocess.run(
        ["sh", "-c", sed], input=listed, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[0].startswith("deb [signed-by=/usr/share/keyrings/nvidia")
