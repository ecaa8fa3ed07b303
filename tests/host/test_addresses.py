"""The host's own addresses, and what kind each one is."""

import pytest

from biostudio_doctor.host import Host, addresses
from biostudio_doctor.host.routes import default_interfaces
from tests.conftest import MakeHost


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("127.0.0.1", "loopback"), ("::1", "loopback"), ("10.1.2.3", "private"),
        ("172.31.255.255", "private"), ("172.32.0.1", "public"), ("192.168.0.1", "private"),
        ("100.64.0.1", "private"), ("100.128.0.1", "public"), ("169.254.1.1", "link-local"),
        ("fe80::1%eth0", "link-local"), ("fd00::1", "private"), ("2001:db8::1", "public"),
        ("203.0.113.1", "public"), ("8.8.8.8", "public"), ("::ffff:10.0.0.1", "private"),
    ],
)  # fmt: skip
def test_kinds(address: str, kind: str) -> None:
    assert addresses.kind(address) == kind


def test_own_addresses() -> None:
    found = {one.address: one for one in addresses.own(Host())}
    loopback = found["127.0.0.1"]
    assert (loopback.interface, loopback.network, loopback.kind) == (
        "lo", "127.0.0.0/8", "loopback",
    )  # fmt: skip
    assert all("%" not in address for address in found)


def test_another_root_has_none_to_tell(make_host: MakeHost) -> None:
    with pytest.raises(OSError):
        addresses.own(make_host({}))


def test_default_routes() -> None:
    table = (
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
        "eth0\t00000000\t0102000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
        "eth1\t0002000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
        "tun0\t00000000\t00000000\t0001\t0\t0\t0\t00000080\t0\t0\t0\n"
    )
    nothing = "0" * 32
    table6 = (
        f"{nothing} 00 {nothing} 00 fe80{'0' * 28} 00000400 00000001 00000000 00000003 eth2\n"
        f"{nothing} 00 {nothing} 00 {nothing} ffffffff 00000001 00000000 00200200       lo\n"
        f"fd{'0' * 30} 40 {nothing} 00 {nothing} 00000100 00000001 00000000 00000001 eth3\n"
    )
    assert default_interfaces(table, table6) == ({"eth0"}, {"eth2"})
    assert default_interfaces("", "no table\n") == (set(), set())
