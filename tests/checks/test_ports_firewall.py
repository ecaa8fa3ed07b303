"""ports.firewall, judged on facts; tests/host/firewall has it look at real rules."""

from typing import Any

import pytest
from msgspec import structs

from biostudio_doctor.checks.ports_firewall import PortsFirewall
from biostudio_doctor.host import Host
from biostudio_doctor.host.addresses import Address
from biostudio_doctor.host.firewall import FirewallFacts, PortReach, Verdict
from biostudio_doctor.model import Finding, Machine, Status
from tests.conftest import DEBIAN, MakeHost, context, judge

PORTS = (80, 443, 11121, 11211, 6379, 5432, 18000, 11123, 9001, 1883, 11300)
LAN = Address(interface="eth0", address="10.9.0.2", network="10.9.0.0/24", kind="private")
PUBLIC = Address(interface="eth1", address="203.0.113.2", network="203.0.113.0/24", kind="public")
BY = "the policy of chain inet filter input of nftables"


def verdict(source: str, action: str, **changes: Any) -> Verdict:
    callers = {"lan": "10.9.0.249", "internet": "192.0.43.8", "peer": "10.9.0.7"}
    refused = action in ("drop", "reject")
    found = Verdict(
        source=source,  # type: ignore[arg-type]
        address=callers[source],
        to=LAN.address,
        interface="eth0",
        action=action,  # type: ignore[arg-type]
        by=BY if action != "accept" else "",
        hook="input" if refused else "",
        chain=("inet", "filter", "input") if refused else (),
        program="nft" if refused else "",
    )
    return structs.replace(found, **changes)


def reach(lan: str = "accept", internet: str = "accept", **changes: Any) -> tuple[Verdict, ...]:
    return verdict("lan", lan, **changes), verdict("internet", internet, **changes)


def look(
    verdicts: tuple[Verdict, ...],
    published: tuple[Verdict, ...] | None = None,
    **changes: Any,
) -> FirewallFacts:
    """The same for every port."""
    after = verdicts if published is None else published
    facts = FirewallFacts(
        ports=tuple(PortReach(port=port, verdicts=verdicts, published=after) for port in PORTS),
        managers=("nft",),
        addresses=(LAN,),
    )
    return structs.replace(facts, **changes)


def found(facts: FirewallFacts, machine: Machine = DEBIAN, **config: Any) -> dict[str, Finding]:
    config = {"phase": "running", **config}
    return judge(PortsFirewall(context(machine, **config)), facts)


def test_each_port_of_the_role_has_a_row() -> None:
    every = found(look(reach()))
    assert next(iter(every)) == "firewall" and len(every) == 1 + len(PORTS)
    assert len(found(look(reach()), role="bioproxy")) == 1 + 6
    assert len(found(look(reach()), role="biostudio")) == 1 + 5


def test_ports_are_the_configured_ones() -> None:
    check = PortsFirewall(context(ports={"http": 8081}, services={"redis": {"port": 6380}}))
    subjects = set(judge(check, look(reach())))
    assert {"8081 (http)", "6380 (redis)"} <= subjects and "80 (http)" not in subjects


@pytest.mark.parametrize(
    ("lan", "internet", "status", "words"),
    [
        ("accept", "accept", Status.PASS, "is open"),
        ("drop", "drop", Status.FAIL, f"is closed by {BY}"),
        ("reject", "drop", Status.FAIL, "is closed by"),
        ("accept", "drop", Status.WARN, "beyond this host's own networks"),
        ("drop", "accept", Status.WARN, "in this host's networks"),
        ("unknown", "accept", Status.ERROR, f"could not be told: {BY}"),
        ("accept", "unknown", Status.ERROR, "could not be told"),
    ],
)
def test_the_public_ports(lan: str, internet: str, status: Status, words: str) -> None:
    finding = found(look(reach(lan, internet)))["443 (https)"]
    assert finding.status is status and words in finding.summary
    assert bool(finding.remedy) == (status is not Status.PASS)


def test_a_drop_and_a_rejection_are_told_apart() -> None:
    assert found(look(reach("drop", "drop")))["80 (http)"].cause == "firewall.drop"
    assert found(look(reach("reject", "reject")))["80 (http)"].cause == "firewall.reject"


@pytest.mark.parametrize(
    ("config", "lan", "internet", "status", "words"),
    [
        ({}, "accept", "drop", Status.PASS, "is open to the LAN, closed to others"),
        ({}, "drop", "drop", Status.PASS, "nobody outside this host needs it"),
        ({}, "accept", "accept", Status.PASS, "keep nobody else away"),
        ({"role": "bioproxy"}, "drop", "drop", Status.FAIL, "other machines need it"),
        ({"nodes": ["10.9.0.7"]}, "drop", "drop", Status.FAIL, "other machines need it"),
        ({"role": "bioproxy"}, "accept", "drop", Status.PASS, "open to the LAN"),
        ({}, "unknown", "drop", Status.ERROR, "could not be told"),
        ({}, "accept", "unknown", Status.ERROR, "could not be told"),
    ],
)
def test_the_lan_ports(
    config: dict[str, Any], lan: str, internet: str, status: Status, words: str
) -> None:
    finding = found(look(reach(lan, internet)), **config)["5432 (postgresql)"]
    assert finding.status is status and words in finding.summary


def test_the_lan_is_not_the_network_of_the_provider() -> None:
    """Neighbours at a public address are strangers, where the host has private networks."""
    facts = look(
        (*reach("drop", "drop"), *reach("accept", "drop", to=PUBLIC.address)),
        addresses=(LAN, PUBLIC),
    )
    finding = found(facts, role="bioproxy")["5432 (postgresql)"]
    assert finding.status is Status.FAIL and finding.remedy
    shut = look(
        (*reach("drop", "drop"), *reach("drop", "drop", to=PUBLIC.address)),
        addresses=(LAN, PUBLIC),
    )
    remedy = found(shut, role="bioproxy")["5432 (postgresql)"].remedy
    assert remedy and remedy.commands == (
        "nft insert rule inet filter input ip saddr 10.9.0.0/24 tcp dport 5432 accept",
    )
    alone = structs.replace(shut, addresses=(PUBLIC,))
    remedy = found(alone, role="bioproxy")["5432 (postgresql)"].remedy
    assert remedy and "ip saddr 203.0.113.0/24" in " ".join(remedy.commands)


def test_a_machine_that_is_let_in_is_enough() -> None:
    verdicts = (*reach("drop", "drop"), verdict("peer", "accept"))
    finding = found(look(verdicts), nodes=["10.9.0.7"])["5432 (postgresql)"]
    assert finding.status is Status.PASS and "the other machines of BioStudio" in finding.summary


def test_a_machine_that_is_kept_out_is_named_in_the_command() -> None:
    verdicts = (*reach("accept", "drop"), verdict("peer", "drop"))
    finding = found(look(verdicts), nodes=["10.9.0.7"])["5432 (postgresql)"]
    assert finding.status is Status.FAIL and finding.remedy
    assert finding.remedy.commands == (
        "nft insert rule inet filter input ip saddr 10.9.0.7 tcp dport 5432 accept",
    )


def test_before_docker_the_way_to_the_container_counts() -> None:
    shut = reach("drop", "drop", manager="ufw")
    every = found(look(shut, reach(), managers=("ufw",)), phase="preinstall")
    assert every["443 (https)"].status is Status.PASS
    assert every["443 (https)"].summary == (
        f"Port 443 (https) is open once Docker publishes it, though ufw ({BY}) refuses it to "
        "other programs."
    )
    trap = every["ports that Docker publishes"]
    assert trap.status is Status.WARN and trap.cause == "firewall.bypassed"
    assert "ufw does not guard ports that Docker publishes: 11121," in trap.summary
    assert trap.remedy and "10.9.0.2:5432:5432" in trap.remedy.text
    write, unit, *start = trap.remedy.commands
    assert (
        'iifname "eth0" ip saddr != { 10.9.0.0/24 } ct state new tcp dport { 1883, 5432,' in write
    )
    assert write.endswith(" > /etc/biostudio-lan.nft") and "nft -f /etc/biostudio-lan.nft" in unit
    assert start == ["systemctl daemon-reload", "systemctl enable --now biostudio-lan"]


def test_whom_the_remedy_lets_in() -> None:
    """Every private network of an interface and the configured machines; nobody at public ones."""
    second = structs.replace(LAN, address="172.20.0.5", network="172.20.0.0/16")
    other = structs.replace(PUBLIC, address="2001:db8::2", network="2001:db8::/64")
    bridge = structs.replace(LAN, interface="docker0", network="172.17.0.0/16", guests=True)
    facts = look(reach(to=PUBLIC.address), addresses=(LAN, second, PUBLIC, other, bridge))
    machine = structs.replace(DEBIAN, systemd=False)
    every = found(facts, machine, phase="preinstall", nodes=["10.77.0.1", "node-b"])
    remedy = every["ports for the LAN"].remedy
    assert remedy and remedy.commands[1] == "nft -f /etc/biostudio-lan.nft"
    for rule in (
        'iifname "eth0" ip saddr != { 10.9.0.0/24, 172.20.0.0/16, 10.77.0.1 } ct state new',
        'iifname "eth1" ip saddr != { 10.77.0.1 } ct state new',
        'iifname "eth1" meta nfproto ipv6 ct state new',
    ):
        assert rule in remedy.commands[0]
    assert "docker0" not in remedy.commands[0] and "each start" in remedy.text


def test_no_trap_where_nothing_is_bypassed() -> None:
    for facts in (
        look(reach(), managers=("ufw",)),  # open as it is
        look(reach("drop", "drop"), reach("drop", "drop"), managers=("ufw",)),
        look(reach("drop", "drop"), reach()),  # no guard that one would rely on
        look(reach("drop", "drop"), reach(), managers=("ufw",), docker_filters=False),
    ):
        assert "ports that Docker publishes" not in found(facts, phase="preinstall")
    bypassed = look(reach("drop", "drop"), reach(), managers=("ufw",))
    assert "ports that Docker publishes" not in found(bypassed)  # running: exposure.lan's


def test_a_docker_that_writes_no_rules_is_filtered_as_any_program() -> None:
    facts = look(reach("drop", "drop"), (), docker_filters=False)
    assert found(facts, phase="preinstall")["443 (https)"].status is Status.FAIL


def test_a_lan_port_at_a_public_address_is_a_warning_beforehand() -> None:
    both = (LAN, PUBLIC)
    facts = look(reach(to=PUBLIC.address), addresses=both)
    finding = found(facts, phase="preinstall")["6379 (redis)"]
    assert finding.status is Status.WARN and "to the internet at 203.0.113.2" in finding.summary
    (whole,) = [
        one
        for one in found(facts, phase="preinstall").values()
        if one.cause == finding.cause and one.remedy
    ]
    assert whole.subject == "ports for the LAN" and not finding.remedy
    assert "203.0.113.2 once Docker publishes it: 11121, 11211, 6379," in whole.summary
    private = found(look(reach()), phase="preinstall")["6379 (redis)"]
    assert private.status is Status.PASS and "at private addresses only" in private.summary


def test_pods_have_addresses_of_their_own() -> None:
    every = found(look(reach()), platform="kubernetes")
    assert every["443 (https)"].status is Status.PASS
    assert every["5432 (postgresql)"].status is Status.SKIP
    assert "NetworkPolicies" in every["5432 (postgresql)"].summary


def test_who_is_in_charge() -> None:
    whole = found(look(reach(), managers=("ufw", "docker")))["firewall"]
    assert whole.summary == "This host is filtered by ufw and Docker."
    none = found(look(reach(), managers=()))["firewall"]
    assert none.status is Status.PASS and "No rules" in none.summary
    idle = found(look(reach(), idle=("firewalld",)))["firewall"]
    assert idle.status is Status.WARN and "firewalld is set up to filter" in idle.summary


def test_what_was_not_read_is_told() -> None:
    why = "only root may read its rules"
    unseen = tuple(f"{name}, because {why}" for name in ("nftables", "iptables"))
    every = found(
        look(reach("unknown", "unknown"), unseen=unseen, idle=("ufw",)),
        structs.replace(DEBIAN, root=False),
    )
    assert every["firewall"].status is Status.ERROR
    assert "only root may read its rules; ufw is set up to filter" in every["firewall"].summary
    assert f"read: nftables and iptables, because {why};" in every["firewall"].summary
    assert every["firewall"].remedy and "as root" in every["firewall"].remedy.text
    assert every["80 (http)"].status is Status.ERROR and not every["80 (http)"].remedy
    assert every["80 (http)"].cause == every["firewall"].cause == "firewall.unread"
    missing = found(look(reach("unknown", "unknown"), unseen=unseen, missing="nft"))["firewall"]
    assert missing.remedy and missing.remedy.commands[-1] == "apt-get install -y nftables"


@pytest.mark.parametrize(
    ("changes", "port", "commands"),
    [
        ({"manager": "ufw"}, "80 (http)", ("ufw allow 80/tcp",)),
        ({"manager": "ufw", "by": "rule '-A ufw-user-input -p tcp -m multiport --dports 1:99 "
          "-j DROP'"}, "80 (http)", ("ufw prepend allow 80/tcp",)),
        ({"manager": "ufw", "by": "rule '-A ufw-before-input -p tcp -j DROP' in chain "
          "ufw-before-input of iptables"}, "80 (http)", ("ufw reload",)),
        ({"manager": "firewalld"}, "443 (https)",
         ("firewall-cmd --permanent --add-service=https", "firewall-cmd --reload")),
        ({"program": "iptables-legacy", "chain": ("ip", "filter", "INPUT")}, "80 (http)",
         ("iptables-legacy -I INPUT -p tcp --dport 80 -j ACCEPT",)),
        ({"program": "ip6tables", "chain": ("ip6", "raw", "PREROUTING")}, "80 (http)",
         ("ip6tables -t raw -I PREROUTING -p tcp --dport 80 -j ACCEPT",)),
        ({"program": "iptables", "chain": ("ip", "filter", "FORWARD"), "hook": "forward",
          "manager": "docker"}, "80 (http)",
         ("iptables -I DOCKER-USER -p tcp -m conntrack --ctorigdstport 80 --ctdir ORIGINAL "
          "-j RETURN",
          "mkdir -p /etc/systemd/system/docker.service.d",
          "printf '%s\\n' '[Service]' 'ExecStartPost=-/usr/sbin/iptables -I DOCKER-USER -p tcp -m "
          "conntrack --ctorigdstport 80 --ctdir ORIGINAL -j RETURN' "
          ">> /etc/systemd/system/docker.service.d/biostudio-80.conf")),
        ({"program": "iptables", "chain": ("ip", "filter", "FORWARD"), "hook": "forward"},
         "80 (http)", ("iptables -I FORWARD -p tcp -m conntrack --ctorigdstport 80 --ctdir "
                       "ORIGINAL -j ACCEPT",)),
        ({"hook": "forward"}, "80 (http)",
         ("nft insert rule inet filter input meta l4proto tcp ct original proto-dst 80 accept",)),
        ({"chain": (), "hook": "forward"}, "80 (http)",
         ("echo 'net.ipv4.ip_forward = 1' >> /etc/sysctl.d/90-biostudio.conf",
          "sysctl -p /etc/sysctl.d/90-biostudio.conf")),
        ({"led_to": "10.9.0.2:8080"}, "80 (http)",
         ("nft insert rule inet filter input tcp dport 8080 accept",)),
    ],
)  # fmt: skip
def test_the_tool_in_charge_is_advised(
    changes: dict[str, Any], port: str, commands: tuple[str, ...]
) -> None:
    finding = found(look(reach("drop", "drop", **changes)))[port]
    assert finding.remedy and finding.remedy.commands == commands


def test_another_root_is_skipped(make_host: MakeHost) -> None:
    check = PortsFirewall(context())
    (finding,) = judge(check, check.observe(make_host({}))).values()
    assert finding.status is Status.SKIP and "--host-root" in finding.summary


def test_a_container_sees_but_its_own_network() -> None:
    check = PortsFirewall(context(structs.replace(DEBIAN, container="docker")))
    (finding,) = judge(check, check.observe(Host())).values()
    assert finding.status is Status.SKIP and "network of a container" in finding.summary


def test_a_host_without_a_network_is_called_by_nobody() -> None:
    every = found(look(()))
    assert {every["80 (http)"].status, every["5432 (postgresql)"].status} == {Status.SKIP}


def test_a_host_without_neighbours_is_judged_by_the_others() -> None:
    facts = look((verdict("internet", "drop"),))
    assert found(facts, role="bioproxy")["5432 (postgresql)"].status is Status.FAIL
    assert found(facts)["80 (http)"].status is Status.FAIL


def test_either_port_of_memcached_will_do() -> None:
    facts = look(reach("drop", "drop"))
    half = tuple(
        structs.replace(one, verdicts=reach("accept", "drop")) if one.port == 11211 else one
        for one in facts.ports
    )
    every = found(structs.replace(facts, ports=half), role="bioproxy")
    assert every["11121 (memcached)"].status is every["11211 (memcached)"].status is Status.PASS
    assert "port 11211 that has to serve" in every["11121 (memcached)"].summary
    assert every["6379 (redis)"].status is Status.FAIL
