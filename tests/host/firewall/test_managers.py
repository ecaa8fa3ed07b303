"""ufw, firewalld and plain rules as their own tools write them; and what is advised works."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from biostudio_doctor.checks.ports_firewall import PortsFirewall
from biostudio_doctor.model import Finding, Status
from tests.conftest import context, judge
from tests.host.firewall.test_truth import compare
from tests.lab import engines, walls
from tests.lab.managers import DOCKER_NFT, Docker, Firewalld, Ufw
from tests.lab.walls import PEER, Wall

pytestmark = pytest.mark.skipif(bool(walls.why_not()), reason=str(walls.why_not()))


@pytest.fixture
def ufw(wall: Wall, tmp_path: Path) -> Iterator[Ufw]:
    if not shutil.which("ufw"):
        pytest.skip("needs ufw")
    manager = Ufw(wall, tmp_path)
    yield manager
    manager.close()


@pytest.fixture
def firewalld(wall: Wall, tmp_path: Path) -> Iterator[Firewalld]:
    if not shutil.which("firewalld") or not shutil.which("dbus-daemon"):
        pytest.skip("needs firewalld and dbus-daemon")
    manager = Firewalld(wall, tmp_path)
    yield manager
    manager.close()


def findings(wall: Wall, phase: str = "running", **config: object) -> dict[str, Finding]:
    """What the check says of the server; its peer has an address that the caller has, too."""
    check = PortsFirewall(context(phase=phase, **config))
    return judge(check, wall.look(publish=phase == "preinstall"))


def mended(wall: Wall, sh: Callable[[str], str], subjects: tuple[str, ...]) -> None:
    """The commands of a remedy, run as they stand, let in whom they should."""
    before = findings(wall, nodes=[PEER])
    for subject in subjects:
        finding = before[subject]
        assert finding.status is Status.FAIL and finding.cause.startswith("firewall."), finding
        assert finding.remedy and finding.remedy.commands
        for command in finding.remedy.commands:
            sh(command)
    after = findings(wall, nodes=[PEER])
    assert {after[subject].status for subject in subjects} == {Status.PASS}, after
    compare(wall)
    closed = {found.port for found in wall.look().ports if found.opens("internet") is False}
    assert {5432, 6379} <= closed  # no more than that was opened


def test_ufw(wall: Wall, ufw: Ufw) -> None:
    ufw.sh("ufw deny 443/tcp && ufw allow proto tcp from 10.9.0.0/24 to any port 6379")
    ufw.sh("ufw limit 8080/tcp && ufw reject 5432/tcp && ufw --force enable")
    facts = compare(wall)
    assert facts.managers == ("ufw",)
    assert facts.of(6379).opens("lan") and facts.of(6379).opens("internet") is False
    assert findings(wall)["firewall"].summary == "This host is filtered by ufw."
    own = ("INPUT", "-p", "tcp", "--dport", "80", "-j", "DROP")
    wall.run("iptables", "-I", *own)
    refused = [v for v in wall.look(80).of(80).verdicts if ":" not in v.to]
    assert {v.manager for v in refused} == {""}  # the administrator's own, before those of ufw
    wall.run("iptables", "-D", *own)
    assert findings(wall)["443 (https)"].remedy.commands == ("ufw allow 443/tcp",)  # type: ignore[union-attr]
    mended(wall, ufw.sh, ("80 (http)", "443 (https)", "5432 (postgresql)"))
    ufw.sh("ufw --force disable")
    assert "ufw" not in compare(wall).managers


def test_what_docker_publishes_is_not_guarded_by_ufw(wall: Wall, ufw: Ufw) -> None:
    ufw.sh("ufw --force enable")
    found = findings(wall, phase="preinstall")
    trap = found["ports that Docker publishes"]
    assert trap.status is Status.WARN and "ufw does not guard" in trap.summary
    assert trap.remedy and "biostudio" in trap.remedy.commands[0]
    assert found["443 (https)"].status is Status.PASS
    assert "though ufw" in found["443 (https)"].summary


def test_firewalld(wall: Wall, firewalld: Firewalld) -> None:
    firewalld.sh("firewall-cmd --add-port=8080/tcp")
    facts = compare(wall)
    assert facts.managers == ("firewalld",)
    refused = facts.of(443).verdicts[0]
    assert (refused.manager, refused.zone) == ("firewalld", "public")
    commands = findings(wall)["443 (https)"].remedy.commands  # type: ignore[union-attr]
    assert commands == (
        "firewall-cmd --permanent --zone=public --add-service=https", "firewall-cmd --reload",
    )  # fmt: skip
    mended(wall, firewalld.sh, ("80 (http)", "443 (https)", "5432 (postgresql)"))


def test_rich_rules_of_firewalld(wall: Wall, firewalld: Firewalld) -> None:
    for port in (80, 5432):
        rule = f'rule port port="{port}" protocol="tcp" reject'
        firewalld.sh(f"firewall-cmd --permanent --add-rich-rule='{rule}'")
    firewalld.sh("firewall-cmd --reload")
    mended(wall, firewalld.sh, ("80 (http)", "5432 (postgresql)"))


NFT_INPUT = """table inet guard { chain in { type filter hook input priority 0; policy drop;
    ct state established,related accept
    meta l4proto ipv6-icmp accept
}
}"""
NFT_FORWARD = """
table ip publish { chain pre { type nat hook prerouting priority dstnat;
    tcp dport { 80, 443, 5432 } dnat to 172.17.0.2
}
}
table inet guard { chain forward { type filter hook forward priority 0; policy drop;
    ct state established,related accept
}
chain in { type filter hook input priority 0; policy drop;
    ct state established accept
    meta l4proto ipv6-icmp accept
}
}"""
IPTABLES = """*filter
:INPUT DROP [0:0]
-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
COMMIT
"""


@pytest.mark.parametrize("rules", [NFT_INPUT, NFT_FORWARD], ids=["input", "forward"])
def test_plain_nftables_is_mended(wall: Wall, rules: str) -> None:
    wall.run("nft", "-f", "-", given=rules)
    assert findings(wall)["firewall"].summary == "This host is filtered by rules of nftables."
    mended(wall, lambda command: wall.run("sh", "-c", command), ("80 (http)", "5432 (postgresql)"))


@pytest.mark.parametrize("kind", ["nft", "legacy"])
def test_plain_iptables_is_mended(wall: Wall, kind: str) -> None:
    wall.run(f"iptables-{kind}-restore", given=IPTABLES)
    wall.run(
        f"ip6tables-{kind}-restore",
        given=IPTABLES.replace("COMMIT", "-A INPUT -p ipv6-icmp -j ACCEPT\nCOMMIT"),
    )
    mended(wall, lambda command: wall.run("sh", "-c", command), ("80 (http)", "5432 (postgresql)"))


def test_docker_with_nftables(wall: Wall) -> None:
    wall.run("nft", "-f", "-", given=DOCKER_NFT)
    facts = compare(wall)
    assert facts.managers == ("docker",)
    assert {v.led_to for v in facts.of(80).verdicts if ":" not in v.to} == {"172.17.0.2:5432"}
    refused = [v for v in facts.of(443).verdicts if v.action == "drop"]
    assert {v.manager for v in refused} == {"docker"} and "UNPUBLISHED" in refused[0].by


@pytest.fixture
def own_wall() -> Iterator[Wall]:
    """One whose docker0 may be replaced."""
    wall = Wall()
    yield wall
    wall.close()


def test_docker(own_wall: Wall, tmp_path: Path) -> None:
    if reason := engines.why_not() or ("" if shutil.which("cc") else "needs cc"):
        pytest.skip(reason)
    wall = own_wall
    ufw = Ufw(wall, tmp_path)
    ufw.sh("ufw --force enable")
    promised = wall.look(9080, 9054, 9055, publish=True)
    trap = findings(wall, phase="preinstall", nodes=[PEER])["ports that Docker publishes"]
    docker = Docker(wall)
    try:
        docker.run("9080", "10.9.0.2:9054", "9055")
        facts = compare(wall, 9080, 9054, 9055, 9056)
        assert facts.managers == ("ufw", "docker")
        led = {verdict.led_to for verdict in facts.of(9080).verdicts if verdict.action == "accept"}
        assert led == {"172.17.0.2:8080"}
        for port in (9080, 9054, 9055):  # as it was said they would be, before there was a Docker
            now = [(v.address, v.to, v.action) for v in facts.of(port).verdicts]
            assert now == [(v.address, v.to, v.action) for v in promised.of(port).published]
        assert trap.remedy
        file = str(tmp_path / "lan.nft")
        write = trap.remedy.commands[0].replace("/etc/biostudio-lan.nft", file)
        wall.run("sh", "-c", write.replace("5432", "9055"))
        for _ in range(2):  # as after a restart
            wall.run("nft", "-f", file)
        assert wall.run("nft", "list", "table", "inet", "biostudio").count("drop") == 2
        after = compare(wall, 9080, 9055)
        assert after.of(9080).opens("internet")
        assert after.of(9055).opens("lan") and after.of(9055).opens("internet") is False
        assert after.of(9055).opens("peer")
        refused = [v for v in after.of(9055).verdicts if "biostudio lan" in v.by]
        assert {v.source for v in refused} == {"internet"}
    finally:
        docker.close()
