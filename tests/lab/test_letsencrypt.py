"""https.letsencrypt in a small internet: dnsmasq, nginx, squid, nftables and a peer outside."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import tomli_w

from biostudio_doctor.checks.https_letsencrypt import ISSUER
from tests.lab import network
from tests.lab.faults import PROXY, Setting, healthy_proxy, prepare
from tests.lab.listening import Listening, ask, save
from tests.lab.network import CLIENT, CLIENT4, CLIENT6, ROUTER, WORLD, Network
from tests.lab.world import WEB4, World

pytestmark = [
    pytest.mark.skipif(bool(network.why_not()), reason=network.why_not() or ""),
    pytest.mark.skipif(
        not all(map(shutil.which, ("dnsmasq", "nginx", "nft"))),
        reason="needs dnsmasq, nginx and nft",
    ),
]

DOMAIN, ZONE = "biostudio.acme-university.org", "acme-university.org"
#: Of the documentation ranges, which count as public here.
OURS, OURS6 = "198.51.100.7", "2001:db8:5::7"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    tmp_path.chmod(0o755)
    lab = Network(tmp_path)
    try:
        made = prepare(lab)
        made.names.append(ISSUER.host)
        yield made
    finally:
        lab.close()


def caa(name: str, value: str) -> str:
    """A CAA record as a line of dnsmasq.conf."""
    return f"dns-rr={name},257,{bytes((0, 5)).hex()}{(b'issue' + value.encode()).hex()}"


def own_addresses(world: World) -> None:
    """Give the client addresses that the world has a way to."""
    for address, via in ((f"{OURS}/32", CLIENT4), (f"{OURS6}/128", CLIENT6)):
        world.network.run(CLIENT, ["ip", "address", "add", address, "dev", "eth0"])
        world.network.run(ROUTER, ["ip", "route", "add", address, "via", via])


def found(
    world: World, env: dict[str, str] | None = None, port_80_leads_here: bool = False,
    outside: str = "",
) -> dict[str, tuple[str, str]]:  # fmt: skip
    """Status and cause of each finding."""
    file = world.directory / "config.toml"
    https = {"method": "letsencrypt", "port_80_leads_here": port_80_leads_here}
    table = {"https.letsencrypt": {"outside_report": outside}} if outside else {}
    file.write_text(tomli_w.dumps({"domain": DOMAIN, "https": https, "checks": table}))
    done = world.doctor(
        "check", "https.letsencrypt", "--config", str(file), "--output", "json", env=env
    )
    assert done.returncode in (0, 1, 3), done.stderr
    (result,) = json.loads(done.stdout)["results"]
    return {
        finding["subject"]: (finding["status"], finding.get("cause", ""))
        for finding in result["findings"]
    }


def test_all_is_well_as_a_machine_outside_has_proven(world: World, tmp_path: Path) -> None:
    own_addresses(world)
    world.web()
    world.resolver(answers={DOMAIN: [OURS, OURS6]}, options=[caa(ZONE, "letsencrypt.org")])
    listening = Listening(world.network, CLIENT, "--role", "bioproxy")
    done = ask(world.network, WORLD, listening.code, f"bioproxy={OURS}")
    file = save(done, tmp_path / "outside.json")
    assert found(world, outside=file) == dict.fromkeys(
        ("name", "IPv4", "IPv6", "port 80", "CAA", ISSUER.host), ("pass", "")
    )
    world.network.firewall("tcp dport 80 drop")
    done = ask(world.network, WORLD, listening.code, f"bioproxy={OURS}")
    file = save(done, tmp_path / "outside.json")
    assert found(world, outside=file)["port 80"] == ("fail", "https.port-closed")


def test_a_firewall_port_80_a_record_and_an_issuer_that_do_not_fit(world: World) -> None:
    world.network.run(CLIENT, ["ip", "address", "add", f"{OURS}/32", "dev", "eth0"])
    world.web()
    world.network.firewall(f"ip daddr {WEB4} tcp dport 443 drop\nip6 daddr ::/0 tcp dport 443 drop")
    world.resolver(answers={DOMAIN: [OURS, OURS6]}, options=[caa(ZONE, "digicert.com")])
    told = found(world)
    assert told == {
        "name": ("pass", ""),
        "IPv4": ("pass", ""),
        "IPv6": ("fail", "https.ipv6"),
        "port 80": ("error", "https.port-unproven"),
        "CAA": ("fail", "https.caa"),
        ISSUER.host: ("fail", "tcp.dropped"),
    }


def test_behind_nat(world: World) -> None:
    world.web()
    world.resolver(answers={DOMAIN: [OURS]}, options=[caa(DOMAIN, "letsencrypt.org")])
    told = found(world, port_80_leads_here=True)
    assert told["IPv4"] == ("error", "https.behind-nat")
    assert {told[one] for one in ("name", "port 80", "CAA", ISSUER.host)} == {("pass", "")}


@pytest.mark.skipif(not shutil.which("squid"), reason="needs squid")
def test_only_a_proxy_leads_out(world: World) -> None:
    setting = healthy_proxy(world)
    assert setting == Setting({"https_proxy": PROXY})
    world.network.firewall("tcp dport 443 drop")
    assert found(world, {"https_proxy": PROXY})[ISSUER.host] == (
        "fail", "https.issuer-by-proxy",
    )  # fmt: skip


def test_an_inner_view_is_no_proof(world: World) -> None:
    world.web()
    world.resolver(answers={DOMAIN: [CLIENT4]})
    told = found(world)
    assert told["addresses"] == ("error", "https.split-view")
    assert told["CAA"] == ("error", "https.caa-unknown")
