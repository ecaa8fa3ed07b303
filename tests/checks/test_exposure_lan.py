"""exposure.lan: real servers and packet filters in network namespaces, and facts alone."""

import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from secrets import token_hex
from typing import Any

import msgspec
import pytest
from msgspec import structs

from biostudio_doctor.checks.exposure_lan import ExposureFacts, ExposureLan
from biostudio_doctor.checks.ports_firewall import PortsFirewall
from biostudio_doctor.host import Host
from biostudio_doctor.host.addresses import Address, kind
from biostudio_doctor.host.containers import Container
from biostudio_doctor.host.firewall import FirewallFacts, PortReach, Verdict
from biostudio_doctor.host.ports import Listener, PortTable, PortUse
from biostudio_doctor.model import Finding, Status
from biostudio_doctor.services import Answer
from tests.conftest import DEBIAN, context, judge
from tests.lab import servers
from tests.lab.cluster import HERE, HERE4, LAN4, OUTSIDE, OUTSIDE4, PUBLIC4, Cluster
from tests.lab.managers import DOCKER_NFT
from tests.lab.network import why_not
from tests.lab.servers import program

LAN_ONLY = f"ip saddr {LAN4} tcp dport 5432-11300 accept\niifname wan tcp dport 5432-11300 drop"
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
BIOPROXY = 'role = "bioproxy"\n'


@pytest.fixture(scope="module")
def site() -> Iterator[Cluster]:
    """This host with a neighbour, a container, and the internet behind another interface."""
    if reason := why_not():
        pytest.skip(reason)
    with servers.directory() as directory:
        cluster = Cluster(directory, "neighbour", "box")
        try:
            _docker0(cluster)
            yield cluster
        finally:
            cluster.close()


def _docker0(site: Cluster) -> None:
    for command in (
        "ip link add docker0 type bridge",
        "ip address add 172.17.0.1/16 dev docker0",
        "ip link set docker0 up",
        "ip link set to-box master docker0",
        "sysctl -qw net.ipv4.ip_forward=1",
    ):
        site.run(HERE, command.split())
    for command in (
        "ip address flush dev eth0",
        "ip address add 172.17.0.2/16 dev eth0",
        "ip route add default via 172.17.0.1",
    ):
        site.run("box", command.split())


@pytest.fixture(autouse=True)
def tidy(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "site" in request.fixturenames:
        site: Cluster = request.getfixturevalue("site")
        site.clear()
        site.run(HERE, ["ip", "address", "flush", "dev", "wan"])
        site.run(HERE, ["ip", "route", "flush", "default"])


def public(site: Cluster) -> None:
    """Give this host a public address, and a way out."""
    site.run(HERE, ["ip", "address", "add", f"{PUBLIC4}/24", "dev", "wan"])
    site.run(HERE, ["ip", "route", "replace", "default", "via", OUTSIDE4, "dev", "wan"])


def way_out(site: Cluster) -> None:
    """A default route through the LAN, and no public address."""
    site.run(HERE, ["ip", "route", "replace", "default", "via", site.address["neighbour"]])


def redis(
    site: Cluster, bind: str = "* -::*", *options: str, at: str = HERE, port: int = 6379
) -> None:
    command = [program("redis-server"), "--save", "", "--dir", str(site.directory)]
    command += ["--protected-mode", "no", "--bind", *bind.split(), *options]
    site.start(at, [*command, "--port", str(port)], port)


def memcached(site: Cluster, address: str = "0.0.0.0") -> None:
    site.start(HERE, [program("memcached"), "-u", "nobody", "-l", address], 11211)


def look(site: Cluster, config: str = BIOPROXY, *wrapper: str) -> dict[str, dict[str, Any]]:
    result = site.doctor(HERE, "exposure.lan", config, *wrapper)
    findings = {finding["subject"]: finding for finding in result["findings"]}
    assert len(findings) == len(result["findings"])
    return findings


def gets_in(site: Cluster, name: str, address: str, port: int = 6379) -> bool:
    """Whether a connection is really made."""
    command = ["timeout", "1", "bash", "-c", f"exec 3<>/dev/tcp/{address}/{port}"]
    return site.run(name, command, check=False).returncode == 0


def follow(site: Cluster, finding: dict[str, Any]) -> None:
    """Do what a remedy says, twice; only its file is another one."""
    commands = finding["remedy"]["commands"]
    assert commands
    for command in (*commands, *commands):
        own = command.replace("/etc/", f"{site.directory}/")
        site.run(HERE, ["bash", "-c", own])


def test_nothing_listens(site: Cluster) -> None:
    findings = look(site)
    assert {finding["status"] for finding in findings.values()} == {"skip"}
    assert set(findings) == {
        "unused ports", "11121 (memcached)", "6379 (redis)", "5432 (postgresql)",
    }  # fmt: skip


def test_loopback_only_passes(site: Cluster) -> None:
    redis(site, "127.0.0.1 -::1")
    memcached(site, "127.0.0.1")
    public(site)
    findings = look(site)
    assert findings["6379 (redis)"]["status"] == "pass"
    assert "loopback only" in findings["6379 (redis)"]["summary"]
    assert findings["11211 (memcached)"]["status"] == "pass"
    password = findings["6379 (redis): password"]  # whoever may use this host gets in
    assert password["status"] == "fail" and "who may use this host" in password["summary"]


def test_all_addresses_of_a_public_host_without_rules_fail(site: Cluster) -> None:
    redis(site)
    public(site)
    assert gets_in(site, OUTSIDE, PUBLIC4)
    finding = look(site)["6379 (redis)"]
    assert (finding["status"], finding["cause"]) == ("fail", "exposure.public")
    assert f"open to the internet at {PUBLIC4}" in finding["summary"]
    assert "bind in redis.conf" in finding["remedy"]["text"]
    follow(site, finding)
    assert not gets_in(site, OUTSIDE, PUBLIC4) and gets_in(site, "neighbour", HERE4)
    assert gets_in(site, HERE, PUBLIC4)
    assert look(site)["6379 (redis)"]["status"] == "pass"


@pytest.mark.parametrize("action", ["drop", "reject with tcp reset", "accept"])
def test_rules_are_followed(site: Cluster, action: str) -> None:
    redis(site)
    public(site)
    site.firewall(HERE, f"iifname wan tcp dport 6379 {action}")
    assert gets_in(site, OUTSIDE, PUBLIC4) is (action == "accept")
    assert look(site)["6379 (redis)"]["status"] == ("fail" if action == "accept" else "pass")


def test_rules_that_let_only_the_lan_in(site: Cluster) -> None:
    redis(site)
    memcached(site)
    public(site)
    site.firewall(HERE, LAN_ONLY)
    findings = look(site)
    assert {findings["6379 (redis)"]["status"], findings["11211 (memcached)"]["status"]} == {"pass"}
    assert "keep the outside away" in findings["6379 (redis)"]["summary"]


@pytest.mark.parametrize(
    "rules",
    [
        ("nft", "add table inet lab"),
        ("iptables-nft", "-A INPUT -p tcp --dport 22 -j ACCEPT"),
        ("iptables-legacy", "-A INPUT -p tcp --dport 22 -j ACCEPT"),
    ],
    ids=["nft", "iptables-nft", "iptables-legacy"],
)
def test_the_remedy_works_beside_other_rules(site: Cluster, rules: tuple[str, str]) -> None:
    redis(site)
    memcached(site)
    public(site)
    program, words = rules
    site.run(HERE, [program, *words.split()])
    try:
        follow(site, look(site)["6379 (redis)"])
        _closed_to_strangers(site)
    finally:
        if program == "iptables-legacy":
            site.run(HERE, [program, "-F"])


def _closed_to_strangers(site: Cluster) -> None:
    assert not gets_in(site, OUTSIDE, PUBLIC4) and gets_in(site, "neighbour", HERE4)
    assert not gets_in(site, OUTSIDE, PUBLIC4, 11211)
    assert look(site)["11211 (memcached)"]["status"] == "pass"


def test_a_public_address_alone_is_never_well(site: Cluster) -> None:
    public(site)
    redis(site, PUBLIC4)
    finding = look(site)["6379 (redis)"]
    assert finding["status"] == "fail" and f"bound to {PUBLIC4}" in finding["summary"]
    site.firewall(HERE, LAN_ONLY)
    finding = look(site)["6379 (redis)"]
    assert finding["status"] == "warn" and "only this host's rules" in finding["summary"]


def test_an_address_with_a_label_is_its_interface_s(site: Cluster) -> None:
    """As keepalived and ifcfg-eth0:1 give them; rules know the interface alone."""
    add = ["ip", "address", "add", f"{PUBLIC4}/24", "dev", "wan", "label", "wan:1"]
    site.run(HERE, add)
    redis(site)
    finding = look(site)["6379 (redis)"]
    assert finding["status"] == "fail"
    assert "wan:1" not in " ".join(finding["remedy"]["commands"])
    site.firewall(HERE, LAN_ONLY)
    assert look(site)["6379 (redis)"]["status"] == "pass"


def test_an_interface_without_a_carrier_counts(site: Cluster) -> None:
    public(site)
    redis(site)
    site.run(OUTSIDE, ["ip", "link", "set", "eth0", "down"])
    try:
        assert look(site)["6379 (redis)"]["status"] == "fail"
    finally:
        site.run(OUTSIDE, ["ip", "link", "set", "eth0", "up"])


def test_all_addresses_without_a_public_one_warn_unless_restricted(site: Cluster) -> None:
    redis(site)
    memcached(site)
    way_out(site)
    findings = look(site)
    assert findings["6379 (redis)"]["status"] == "warn"
    assert "whoever reaches this host reaches it" in findings["6379 (redis)"]["summary"]
    assert findings["11211 (memcached)"]["status"] == "fail"  # it has no passwords
    assert "a cloud maps to it" in findings["mapped addresses"]["summary"]
    follow(site, findings["6379 (redis)"])
    assert gets_in(site, "neighbour", HERE4)
    findings = look(site)
    assert findings["6379 (redis)"]["status"] == "pass"
    assert findings["11211 (memcached)"]["status"] == "pass"


def test_a_private_address_alone_passes_but_not_for_memcached(site: Cluster) -> None:
    redis(site, HERE4)
    memcached(site, HERE4)
    public(site)
    findings = look(site)
    assert findings["6379 (redis)"]["status"] == "pass"
    assert findings["11211 (memcached)"]["status"] == "pass"  # no way leads there from outside
    way_out(site)
    findings = look(site)
    assert findings["6379 (redis)"]["status"] == "pass"
    assert findings["11211 (memcached)"]["status"] == "fail"


def test_a_public_ipv6_address_counts(site: Cluster) -> None:
    redis(site, "::")
    site.run(HERE, ["ip", "address", "add", "2001:db8::1/64", "dev", "wan", "nodad"])
    finding = look(site)["6379 (redis)"]
    assert finding["status"] == "fail" and "2001:db8::1" in finding["summary"]
    follow(site, finding)
    assert look(site)["6379 (redis)"]["status"] == "pass"


def test_without_root_nothing_passes_that_depends_on_rules(site: Cluster) -> None:
    redis(site)
    public(site)
    site.firewall(HERE, LAN_ONLY)
    finding = look(site, BIOPROXY, *NOBODY)["6379 (redis)"]
    assert (finding["status"], finding["cause"]) == ("error", "exposure.unseen")
    assert "as root" in finding["remedy"]["text"]


DOCKER = """
*nat
:PREROUTING ACCEPT
:OUTPUT ACCEPT
:DOCKER -
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 6379 -j DNAT --to-destination 172.17.0.2:6380
COMMIT
*filter
:INPUT DROP
:FORWARD DROP
:DOCKER -
:DOCKER-USER -
-A INPUT -i lo -j ACCEPT
-A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT
-A FORWARD -j DOCKER-USER
-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -o docker0 -j DOCKER
-A FORWARD -i docker0 ! -o docker0 -j ACCEPT
-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 6380 -j ACCEPT
-A DOCKER-USER -j RETURN
COMMIT
"""


#: The same of Docker 29 with nftables, and a chain for input that drops everything.
SHUT = """
table inet shut { chain in { type filter hook input priority 0; policy drop;
    iifname lo accept
    ct state established,related accept
}
}
"""
DOCKER_NFT_REDIS = (
    DOCKER_NFT.replace("dport 80 counter dnat", "dport 6379 counter dnat")
    .replace("172.17.0.2:5432", "172.17.0.2:6380")
    .replace("172.17.0.2 tcp dport 5432", "172.17.0.2 tcp dport 6380")
)


@pytest.mark.parametrize(
    ("restore", "rules"),
    [(("iptables-restore",), DOCKER), (("nft", "-f", "-"), DOCKER_NFT_REDIS + SHUT)],
    ids=["iptables", "nftables"],
)
def test_what_docker_publishes_passes_by_the_chain_input_and_the_remedy_holds(
    site: Cluster, restore: Sequence[str], rules: str
) -> None:
    """Rules as Docker 20.10 and 29 write them (userland-proxy off): nobody is seen to listen."""
    redis(site, at="box", port=6380)
    public(site)
    site.run(HERE, restore, input=rules)
    assert gets_in(site, OUTSIDE, PUBLIC4)  # although INPUT drops everything
    findings = look(site)
    finding = findings["6379 (redis)"]
    assert finding["status"] == "fail", finding
    assert findings["6379 (redis): password"]["status"] == "fail"
    assert "-p 10.78.0.1:6379:6379" in finding["remedy"]["text"]
    follow(site, finding)
    assert not gets_in(site, OUTSIDE, PUBLIC4) and gets_in(site, "neighbour", HERE4)
    assert look(site)["6379 (redis)"]["status"] == "pass"


@pytest.fixture(scope="module")
def cluster_of_postgresql(site: Cluster) -> Path:
    """What images begin with: trust on loopback, and by a line of ours from elsewhere."""
    data = site.directory / "pg"
    options = ["-U", "postgres", "-A", "trust", "-N", "-E", "UTF8", "--no-locale"]
    command = servers.unprivileged([program("initdb"), "-D", str(data), *options])
    subprocess.run(command, check=True, capture_output=True, cwd=site.directory)
    return data


@pytest.mark.parametrize(("method", "status"), [("trust", "fail"), ("scram-sha-256", "pass")])
def test_postgresql_is_asked_at_an_address_that_others_use(
    site: Cluster, cluster_of_postgresql: Path, method: str, status: str
) -> None:
    data = cluster_of_postgresql
    hba = data / "pg_hba.conf"
    hba.write_text(
        "host all all 127.0.0.1/32 trust\nhost all all ::1/128 trust\n"
        f"host all all 0.0.0.0/0 {method}\n"
    )
    command = [program("postgres"), "-D", str(data), "-k", str(site.directory), "-h", "*"]
    site.start(HERE, servers.unprivileged(command), 5432)
    way_out(site)
    findings = look(site)
    assert findings["5432 (postgresql)"]["status"] == "warn"
    password = findings["5432 (postgresql): password"]
    assert password["status"] == status, password
    assert HERE4 in password["summary"]


def test_redis_that_wants_a_password_passes(site: Cluster) -> None:
    secret = servers.give(site.directory) / "redis-lan.conf"
    secret.write_text(f"requirepass {token_hex(12)}\n")
    command = [program("redis-server"), str(secret), "--save", "", "--bind", "0.0.0.0"]
    site.start(HERE, command, 6379)
    assert look(site)["6379 (redis): password"]["status"] == "pass"


def test_redis_in_protected_mode_is_told(site: Cluster) -> None:
    redis(site, "* -::*", "--protected-mode", "yes")
    password = look(site)["6379 (redis): password"]
    assert password["status"] == "warn" and "protected mode" in password["summary"]


def test_something_else_on_the_port_is_no_answer(site: Cluster) -> None:
    site.serve(HERE, {6379: "SSH-2.0-OpenSSH_9.2", 5432: None})
    findings = look(site)
    assert findings["6379 (redis): password"]["status"] == "error"
    assert findings["5432 (postgresql): password"]["status"] == "error"


def test_the_ports_of_biostudio_are_looked_at_likewise(site: Cluster) -> None:
    site.serve(HERE, {11123: None, 18000: None})
    public(site)
    findings = look(site, 'role = "biostudio"\n')
    assert {findings[f"{name}"]["status"] for name in ("11123 (app)", "18000 (workspace)")} == {
        "fail"
    }
    assert findings["1883 (mqtt-tcp)"]["status"] == "skip"


# --- From facts alone -----------------------------------------------------------------------------


def address(name: str, interface: str = "eth0", network: str = "") -> Address:
    return Address(
        interface=interface, address=name, network=network or f"{name}/24", kind=kind(name)
    )


PRIVATE, GLOBAL = address("10.0.0.5", network="10.0.0.0/24"), address("198.51.100.7", "eth1")


def facts(
    *bound: str,
    internet: Any = "accept",
    own: Sequence[Address] = (PRIVATE, GLOBAL),
    port: int = 6379,
    answer: Answer | None = None,
    container: Container | None = None,
    led_to: str = "",
    **rules: Any,
) -> ExposureFacts:
    """One port bound to some addresses, and what becomes of somebody far away who calls."""
    verdicts = tuple(
        Verdict(
            source="internet", address="192.0.43.8", to=one.address, interface=one.interface,
            action=internet, led_to=led_to,
        )
        for one in own
        if internet
    )  # fmt: skip
    listeners = tuple(Listener(address=one, user="root", process=None) for one in bound)
    return ExposureFacts(
        table=PortTable(
            ports=(PortUse(port=port, listeners=listeners, container=container),),
            listening=(port,),
        ),
        firewall=FirewallFacts(ports=(PortReach(port=port, verdicts=verdicts),), **rules),
        addresses=tuple(own),
        answers=(answer,) if answer else (),
    )


def test_ports_that_nobody_uses_share_one_diagnosis() -> None:
    nobody = ExposureFacts(table=PortTable(ports=(), listening=()), firewall=FirewallFacts())
    first, *rest = judged(nobody).values()
    assert (first.subject, first.status) == ("unused ports", Status.SKIP)
    assert "Nothing listens on 3 ports for the LAN" in first.summary
    assert {(one.cause, one.remedy, one.status) for one in rest} == {
        (first.cause, None, Status.SKIP)
    }


def judged(found: ExposureFacts, **config: Any) -> dict[str, Finding]:
    return judge(ExposureLan(context(phase="running", role="bioproxy", **config)), found)


@pytest.mark.parametrize(
    ("bound", "internet", "own", "status"),
    [
        (["127.0.0.1"], "accept", [PRIVATE, GLOBAL], "pass"),
        (["::1", "127.0.0.1"], "accept", [PRIVATE, GLOBAL], "pass"),
        (["0.0.0.0"], "accept", [PRIVATE, GLOBAL], "fail"),
        (["::"], "accept", [PRIVATE, GLOBAL], "fail"),
        (["0.0.0.0"], "drop", [PRIVATE, GLOBAL], "pass"),
        (["0.0.0.0"], "unknown", [PRIVATE, GLOBAL], "error"),
        (["0.0.0.0"], "", [PRIVATE, GLOBAL], "error"),  # of a public address it is always asked
        (["198.51.100.7"], "accept", [PRIVATE, GLOBAL], "fail"),
        (["198.51.100.7"], "reject", [PRIVATE, GLOBAL], "warn"),
        (["::ffff:198.51.100.7"], "accept", [PRIVATE, GLOBAL], "fail"),
        (["10.0.0.5"], "accept", [PRIVATE, GLOBAL], "pass"),
        (["10.0.0.5"], "unknown", [PRIVATE, GLOBAL], "pass"),
        (["0.0.0.0"], "accept", [PRIVATE], "warn"),
        (["0.0.0.0"], "drop", [PRIVATE], "pass"),
        (["0.0.0.0"], "", [PRIVATE], "pass"),  # no default route
        (["0.0.0.0"], "unknown", [PRIVATE], "error"),
        (["0.0.0.0"], "accept", [], "pass"),  # a host without any network
        (["203.0.113.9"], "accept", [PRIVATE], "error"),  # none of this host's addresses
        ([], "accept", [PRIVATE, GLOBAL], "skip"),
    ],
)
def test_verdicts(bound: list[str], internet: str, own: list[Address], status: str) -> None:
    found = judged(facts(*bound, internet=internet, own=own))["6379 (redis)"]
    assert found.status == status, found
    assert (found.remedy is None) is (status in ("pass", "skip"))


def test_rules_that_could_not_be_read_are_never_taken_for_none() -> None:
    found = judged(facts("0.0.0.0", problem="rules are asked of the kernel"))["6379 (redis)"]
    assert found.status is Status.ERROR and "rules are asked of the kernel" in found.summary
    found = judged(facts("127.0.0.1", problem="rules are asked of the kernel"))["6379 (redis)"]
    assert found.status is Status.PASS


def test_what_docker_publishes_in_spite_of_ufw_is_told() -> None:
    container = Container(id="a", name="bioproxy", image="bioturing/bioproxy", ports=(6379,))
    found = judged(
        facts("0.0.0.0", container=container, led_to="172.17.0.2:6379", managers=("ufw", "docker"))
    )["6379 (redis)"]
    assert found.status is Status.FAIL
    assert "ufw does not hold for it, since Docker publishes it" in found.summary
    assert "by the container bioproxy" in found.summary
    assert found.remedy and "-p 10.0.0.5:6379:6379" in found.remedy.text


def test_all_ports_for_the_lan_are_closed_together() -> None:
    """The table is written anew as a whole: it would open those that another run has closed."""
    found = judged(facts("0.0.0.0"))["6379 (redis)"]
    assert found.remedy and found.remedy.commands[-1] == "systemctl enable --now biostudio-lan"
    rules = found.remedy.commands[0]
    for whom in ('"eth0" ip saddr != { 10.0.0.0/24 }', '"eth1" meta nfproto ipv4'):
        assert f"iifname {whom} ct state new tcp dport {{ 5432, 6379, 11121, 11211 }} drop" in rules


def test_ports_firewall_and_exposure_lan_advise_the_same_table() -> None:
    own = context(phase="preinstall", role="bioproxy", nodes=["10.7.0.9"])
    reach = Verdict(
        source="internet", address="192.0.43.8", to=GLOBAL.address, interface="eth1",
        action="accept",
    )  # fmt: skip
    rules = FirewallFacts(
        ports=(PortReach(port=6379, verdicts=(reach,), published=(reach,)),),
        addresses=(PRIVATE, GLOBAL),
    )
    before = judge(PortsFirewall(own), rules)["ports for the LAN"].remedy
    after = judged(facts("0.0.0.0"), nodes=["10.7.0.9"])["6379 (redis)"].remedy
    assert before and after and before.commands == after.commands


def test_machines_in_other_networks_are_let_in() -> None:
    nodes = ["10.1.0.8", "10.0.0.9", "198.51.100.8", "node-b", "2001:db8::8", "127.0.0.1"]
    found = judged(facts("0.0.0.0", own=[PRIVATE]), nodes=nodes)["6379 (redis)"]
    assert (
        found.remedy
        and "ip saddr != { 10.0.0.0/24, 10.1.0.8, 198.51.100.8 } ct" in (found.remedy.commands[0])
    )
    found = judged(facts("0.0.0.0", own=[GLOBAL]), nodes=nodes)["6379 (redis)"]
    assert found.remedy and "ip saddr != { 10.1.0.8, 10.0.0.9," in found.remedy.commands[0]


def test_rules_are_not_advised_where_they_close_it_already() -> None:
    """It is bound to a public address alone, and only that is to be mended."""
    found = judged(facts("198.51.100.7", internet="drop"))["6379 (redis)"]
    assert found.remedy and not found.remedy.commands
    assert found.remedy.text.startswith("Have these services listen at the LAN address alone, 10.")


@pytest.mark.parametrize(
    ("anonymous", "internet", "status"),
    [(True, "accept", "fail"), (True, "drop", "pass"), (True, "unknown", "error"),
     (False, "accept", "pass"), (None, "accept", "fail"), (True, "", "pass")],
)  # fmt: skip
def test_memcached_has_no_passwords(anonymous: bool | None, internet: str, status: str) -> None:
    answer = Answer(host="10.0.0.5", port=11211, state="healthy", anonymous=anonymous)
    found = judged(facts("10.0.0.5", internet=internet, own=[PRIVATE], port=11211, answer=answer))[
        "11211 (memcached)"
    ]
    assert found.status == status


def test_memcached_is_not_helped_by_another_address() -> None:
    """It would be told the same again, once it is bound as the remedy says."""
    rules = "needs the rules at any address"
    found = judged(facts("0.0.0.0", own=[PRIVATE], port=11211))["11211 (memcached)"]
    assert found.remedy and rules in found.remedy.text
    found = judged(facts("10.0.0.5", own=[PRIVATE], port=11211))["11211 (memcached)"]
    assert found.remedy and "Or have" not in found.remedy.text and found.remedy.commands
    found = judged(facts("0.0.0.0"))["6379 (redis)"]
    assert found.remedy and rules not in found.remedy.text


def test_another_root_and_a_container_are_not_the_host(tmp_path: Path) -> None:
    check = ExposureLan(context(phase="running"))
    (tmp_path / "proc/1/net").mkdir(parents=True)
    row = "   0: 00000000:18EB 00000000:0000 0A 0:0 0:0 0 0 0 1 1 0 100 0 0 10 0\n"
    (tmp_path / "proc/1/net/tcp").write_text(row)
    observed = check.observe(Host(str(tmp_path)))
    assert isinstance(observed, ExposureFacts)
    found = judge(check, observed)
    assert found["6379 (redis)"].status is Status.ERROR
    assert found["5432 (postgresql)"].status is Status.SKIP  # nothing listens
    inside = ExposureLan(context(structs.replace(DEBIAN, container="docker"), phase="running"))
    observed = inside.observe(Host())
    assert isinstance(observed, ExposureFacts)
    (finding,) = inside.judge(observed, inside.context.requirements)
    assert finding.status is Status.SKIP


def test_facts_survive_a_bundle() -> None:
    found = facts("0.0.0.0", answer=Answer(host="h", port=6379, state="healthy"))
    assert msgspec.json.decode(msgspec.json.encode(found), type=ExposureFacts) == found
