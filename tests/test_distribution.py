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
