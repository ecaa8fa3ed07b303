"""Commands of remedies work on the distribution that they are shown on."""

import pytest
from msgspec import structs

from biostudio_doctor import distribution
from biostudio_doctor.model import Machine
from tests.conftest import DEBIAN

CENTOS_6 = structs.replace(DEBIAN, os_id="centos", os_version="6.5", systemd=False)
DEVUAN = structs.replace(DEBIAN, systemd=False)
ALPINE = structs.replace(DEBIAN, os_id="alpine", os_version="3.20", systemd=False)


@pytest.mark.parametrize(
    ("machine", "action", "commands"),
    [
        (DEBIAN, "enable", ("systemctl enable --now x",)),
        (DEBIAN, "disable", ("systemctl disable --now x",)),
        (DEBIAN, "restart", ("systemctl restart x",)),
        (DEVUAN, "start", ("service x start",)),
        (DEVUAN, "enable", ("update-rc.d x enable", "service x start")),
        (CENTOS_6, "enable", ("chkconfig x on", "service x start")),
        (CENTOS_6, "disable", ("chkconfig x off", "service x stop")),
        (CENTOS_6, "restart", ("service x restart",)),
        (ALPINE, "enable", ("rc-update add x", "rc-service x start")),
        (ALPINE, "disable", ("rc-update del x", "rc-service x stop")),
        (Machine(hostname="lab", os_id="void"), "enable", ()),  # runit, as it happens
    ],
)
def test_services(machine: Machine, action: str, commands: tuple[str, ...]) -> None:
    assert distribution.service(machine, action, "x") == commands


@pytest.mark.parametrize(
    ("os_id", "codename", "version"),
    [("ubuntu", "jammy", "22.04"), ("debian", "forky", "14"), ("debian", "jammy", ""),
     ("rhel", "", "")],
)  # fmt: skip
def test_versions_by_code_name(os_id: str, codename: str, version: str) -> None:
    assert distribution.based_on(os_id, codename) == version


@pytest.mark.parametrize(
    ("os_id", "version", "update", "rebuild"),
    [
        ("debian", "12", "apt-get install -y ca-certificates", "update-ca-certificates"),
        ("ubuntu", "18.04", "apt-get install -y ca-certificates", "update-ca-certificates"),
        ("centos", "7", "yum update -y ca-certificates", "update-ca-trust extract"),
        ("rocky", "9", "dnf update -y ca-certificates", "update-ca-trust extract"),
        ("fedora", "7", "dnf update -y ca-certificates", "update-ca-trust extract"),
        ("sles", "15", "zypper update -y ca-certificates-mozilla", "update-ca-certificates"),
        ("alpine", "3.20", "apk add --upgrade ca-certificates", "update-ca-certificates"),
        ("arch", "", "pacman -Syu", "update-ca-trust"),
    ],
)
def test_authorities(os_id: str, version: str, update: str, rebuild: str) -> None:
    machine = structs.replace(DEBIAN, os_id=os_id, os_like=(), os_version=version)
    assert distribution.update_trust(machine)[-1] == update
    assert distribution.rebuild_trust(machine) == (rebuild,)
    added = distribution.trust_authority(machine, "site-ca.crt")
    assert "site-ca.crt" in " ".join(added) and (os_id == "arch" or added[-1] == rebuild)


def test_no_commands_for_an_unknown_distribution() -> None:
    machine = structs.replace(DEBIAN, os_id="plan9", os_like=())
    assert distribution.update_trust(machine) == distribution.rebuild_trust(machine) == ()
    assert distribution.trust_authority(machine, "site-ca.crt") == ()
