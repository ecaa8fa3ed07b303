"""What the rules are said to do is what the kernel does: compared with real connections."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from biostudio_doctor.host.firewall.facts import FirewallFacts
from tests.lab import walls
from tests.lab.walls import PORTS, Wall

pytestmark = pytest.mark.skipif(bool(walls.why_not()), reason=str(walls.why_not()))


def compare(wall: Wall, *ports: int) -> FirewallFacts:
    """Every verdict is what happens."""
    facts = wall.look(*ports)
    assert not facts.problem and not facts.unseen
    verdicts = [(reach.port, verdict) for reach in facts.ports for verdict in reach.verdicts]
    assert len(verdicts) == len(ports or PORTS) * 5  # LAN, far away and a peer by IPv4; two by IPv6
    real = wall.call([(verdict.address, verdict.to, port) for port, verdict in verdicts])
    for (port, verdict), happened in zip(verdicts, real, strict=True):
        if verdict.action == "reject" and ":" in verdict.address:
            # The caller's kernel gets the ICMPv6 message, and goes on trying all the same.
            assert happened != "accept", (port, verdict)
            continue
        assert verdict.action == happened, (port, verdict)
    return facts


NFT = {
    "no rules": "",
    "policy drop, one port open": """
        table inet filter { chain input { type filter hook input priority 0; policy drop;
            ct state established,related accept
            iif lo accept
            meta l4proto ipv6-icmp accept
            tcp dport 443 accept
        }
        }""",
    "LAN only by source": """
        table inet filter { chain input { type filter hook input priority filter; policy accept;
            ip saddr 10.9.0.0/24 tcp dport { 5432, 6379 } accept
            ip6 saddr fd09::/64 tcp dport { 5432, 6379 } accept
            tcp dport { 5432, 6379 } drop
        }
        }""",
    "reject in three ways": """
        table inet filter { chain input { type filter hook input priority 0;
            tcp dport 80 reject with tcp reset
            tcp dport 443 reject with icmpx admin-prohibited
            tcp dport 5432 reject
        }
        }""",
    "ranges and negation": """
        table inet filter { chain input { type filter hook input priority 0;
            tcp dport != 80-443 ip saddr != 10.9.0.0/24 drop
            tcp dport > 8000 ip6 daddr fd09::2 reject
        }
        }""",
    "named sets, with intervals and concatenations": """
        table inet filter {
            set lan { type ipv4_addr; flags interval; elements = { 10.9.0.0-10.9.0.200, 10.1.1.1 }
            }
            set pairs { type ipv4_addr . inet_service; flags interval
                elements = { 10.9.0.7 . 5432, 10.9.0.0/24 . 80-443 }
            }
            chain input { type filter hook input priority 0; policy drop;
                meta nfproto ipv6 tcp dport 80 accept
                meta nfproto ipv6 meta l4proto tcp drop
                ip saddr @lan tcp dport 6379 accept
                ip saddr . tcp dport @pairs accept
            }
        }""",
    "verdict maps": """
        table inet filter {
            map services { type inet_service : verdict
                elements = { 80 : accept, 443 : jump strict, 5432 : goto closed }
            }
            chain strict { ip saddr 10.9.0.7 accept
            }
            chain closed { ip saddr 10.9.0.249 return
                reject with tcp reset
            }
            chain input { type filter hook input priority 0; policy drop;
                icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-advert } accept
                tcp dport vmap @services
                tcp dport 6379 ip saddr vmap { 10.9.0.7 : accept, 10.9.0.0-10.9.0.6 : drop }
                tcp dport { 5432, 6379 } accept
            }
        }""",
    "a chain accepts, the next refuses": """
        table inet first { chain input { type filter hook input priority -10; tcp dport 80 accept
        }
        }
        table ip second { chain input { type filter hook input priority 10; tcp dport 80 drop
        }
        }""",
    "the order of priorities, and of hooks": """
        table inet late { chain input { type filter hook input priority 50; tcp dport 80 drop
        }
        }
        table inet early { chain pre { type filter hook prerouting priority raw;
            tcp dport 80 reject with tcp reset
            tcp dport 443 drop
        }
        }""",
    "interfaces": """
        table inet filter { chain input { type filter hook input priority 0; policy drop;
            meta l4proto ipv6-icmp accept
            iifname "docker*" accept
            iifname { "eth*", "wlan0" } tcp dport 80 accept
            iif eth0 tcp dport 443 accept
            iifname != "eth0" accept
        }
        }""",
    "states, flags and status": """
        table inet filter { chain input { type filter hook input priority 0;
            ct state vmap { established : accept, related : accept, invalid : drop }
            tcp dport 80 ct state != new accept
            tcp dport 80 tcp flags & (fin|syn|rst|ack) == syn drop
            tcp dport 443 tcp flags != syn drop
            tcp dport 5432 ct state { new, untracked } reject
            tcp dport 6379 ct status dnat accept
            tcp dport 6379 ct direction original drop
        }
        }""",
    "marks": """
        table inet filter {
            chain pre { type filter hook prerouting priority mangle;
                tcp dport 80 meta mark set 0x5
                tcp dport 443 meta mark set mark or 0x10
                tcp dport 5432 ct mark set 0x7
                tcp dport 5432 meta mark set ct mark
            }
            chain input { type filter hook input priority 0;
                meta mark 5 drop
                meta mark & 0xf0 == 0x10 drop
                ct mark 7 meta mark 7 reject
            }
        }""",
    "a mark is set by who comes first, not by who is listed first": """
        table inet later { chain input { type filter hook input priority 10; meta mark 1 drop
        }
        }
        table inet sooner { chain input { type filter hook input priority -10;
            tcp dport 80 meta mark set 1
        }
        }""",
    "before connections are tracked": """
        table inet filter { chain pre { type filter hook prerouting priority raw;
            ct state invalid tcp dport 80 drop
            ct state new tcp dport 443 drop
        }
        }""",
    "not tracked": """
        table inet filter {
            chain pre { type filter hook prerouting priority raw; tcp dport 80 notrack
            }
            chain out { type filter hook output priority raw; tcp sport 80 notrack
            }
            chain input { type filter hook input priority 0; policy drop;
                meta l4proto ipv6-icmp accept
                ct state established accept
                ct state untracked accept
                ct state new tcp dport 443 accept
            }
        }""",
    "redirected to another port": """
        table inet nat { chain pre { type nat hook prerouting priority dstnat;
            tcp dport 80 redirect to :8080
        }
        }
        table inet filter { chain input { type filter hook input priority 0;
            tcp dport 8080 ct status dnat accept
            tcp dport { 80, 8080 } drop
            meta l4proto tcp ct original proto-dst 443 drop
        }
        }""",
    "led to a container, which input does not see": """
        table ip nat { chain pre { type nat hook prerouting priority dstnat;
            fib daddr type local tcp dport 80 dnat to 172.17.0.2:8080
            tcp dport 443 dnat to 172.17.0.2
        }
        }
        table inet filter { chain input { type filter hook input priority 0;
            meta l4proto tcp drop
        }
        }""",
    "led to a container, and forward refuses": """
        table ip nat { chain pre { type nat hook prerouting priority dstnat;
            tcp dport { 80, 443, 5432 } dnat to 172.17.0.2
            tcp dport 6379 dnat to 172.17.0.2:80
        }
        }
        table inet filter { chain forward { type filter hook forward priority 0; policy drop;
            ct state established,related accept
            oifname "docker0" tcp dport 443 accept
            meta l4proto tcp ct original proto-dst 6379 ct status dnat accept
            ip daddr 172.17.0.2 tcp dport 5432 reject with tcp reset
        }
        }""",
    "a map says where to": """
        table ip nat { chain pre { type nat hook prerouting priority dstnat;
            dnat to tcp dport map { 80 : 172.17.0.2, 443 : 10.9.0.2 }
        }
        }
        table inet filter { chain forward { type filter hook forward priority 0; policy drop;
            ct state established accept
        }
        }""",
    "the first mapping counts": """
        table ip one { chain pre { type nat hook prerouting priority -110;
            tcp dport 80 redirect to :8080
        }
        }
        table ip two { chain pre { type nat hook prerouting priority dstnat;
            tcp dport { 8080, 443 } dnat to 172.17.0.2:6379
        }
        }
        table ip filter { chain f { type filter hook forward priority 0; policy drop;
        }
        }""",
    "limits that one call does not reach": """
        table inet filter {
            set seen { type ipv4_addr; flags dynamic,timeout; timeout 60s; size 100
            }
            chain input { type filter hook input priority 0; policy drop;
                meta l4proto ipv6-icmp accept
                ct state established accept
                tcp dport 443 limit rate over 1000/second drop
                tcp dport 443 ct count over 1000 drop
                tcp dport 443 limit rate 1000/second accept
                tcp dport 80 counter log prefix "web " accept comment "the web"
            }
        }""",
    "limits for each caller": """
        table inet filter {
            set rates { type ipv4_addr; flags dynamic,timeout; timeout 60s; size 100
            }
            set slow { type ipv4_addr; flags dynamic,timeout; timeout 60s; size 100
            }
            set counts { type ipv4_addr; flags dynamic; size 100
            }
            chain input { type filter hook input priority 0; policy drop;
                meta l4proto ipv6-icmp accept
                ct state established accept
                tcp dport 80 add @rates { ip saddr limit rate over 1000/second } drop
                tcp dport 443 add @counts { ip saddr ct count over 1000 } reject
                tcp dport 5432 meter calls { ip saddr limit rate over 1000/second } drop
                tcp dport 6379 update @slow { ip saddr limit rate 1000/second } accept
                tcp dport { 80, 443, 5432 } accept
            }
        }""",
    "sets of those who called before": """
        table inet filter {
            set banned { type ipv4_addr; flags dynamic,timeout; timeout 60s; size 100
                elements = { 10.9.0.7 }
            }
            set knocked { type ipv4_addr; flags dynamic,timeout; timeout 60s; size 100
            }
            chain input { type filter hook input priority 0; policy accept;
                ip saddr @banned drop
                tcp dport 23 add @banned { ip saddr } drop
                tcp dport 7000 add @knocked { ip saddr } drop
                tcp dport 443 ip saddr != @knocked reject
            }
        }""",
    "fragments": """
        table ip filter { chain input { type filter hook input priority 0;
            ip frag-off & 0x1fff != 0 drop
            ip frag-off & 0x4000 == 0 reject
        }
        }""",
    "masks and prefixes": """
        table inet filter { chain input { type filter hook input priority 0;
            ip saddr & 0.0.0.255 == 0.0.0.7 tcp dport 80 drop
            ip6 saddr & ::ffff == ::fff9 tcp dport 80 reject
            ip6 saddr 2001:500::/32 tcp dport 443 drop
            ip daddr != 10.9.0.2 drop
            ip protocol != tcp accept
            ip protocol { tcp, udp } th dport 5432 drop
            ip6 nexthdr tcp tcp dport 5432 drop
            tcp sport 1024-65535 tcp dport 6379 drop
            tcp sport < 1024 tcp dport 8080 drop
        }
        }""",
    "the route back": """
        table inet filter { chain pre { type filter hook prerouting priority raw;
            fib saddr . iif oif missing drop
            fib daddr type { broadcast, multicast } drop
            fib daddr . iif type != local tcp dport 80 drop
            fib daddr type local tcp dport 443 drop
            meta pkttype != host drop
        }
        }""",
    "dormant tables do nothing": """
        table inet filter { flags dormant
            chain input { type filter hook input priority 0; policy drop;
            }
        }
        table inet other { chain input { type filter hook input priority 0;
            tcp dport 80 drop
        }
        }""",
    "ingress": """
        table netdev early { chain in { type filter hook ingress device "eth0" priority 0;
            ip saddr 192.0.43.8 tcp dport 80 drop
            ip6 saddr 2001:500:88:200::8 tcp dport 443 drop
        }
        }""",
    "goto leaves for good": """
        table inet filter {
            chain side { tcp dport 80 return
                tcp dport 443 accept
            }
            chain middle { goto side
                tcp dport 80 accept
            }
            chain input { type filter hook input priority 0; policy drop;
                meta l4proto ipv6-icmp accept
                ct state established accept
                jump middle
                tcp dport { 80, 5432 } ip saddr 10.9.0.0/24 accept
            }
        }""",
    "interface and address together": """
        table inet filter { chain input { type filter hook input priority 0; policy drop;
            meta l4proto ipv6-icmp accept
            ct state established accept
            iifname . ip saddr vmap { "eth0" . 10.9.0.0/25 : accept, "lo" . 10.9.0.128/25 : accept }
            iifname . tcp dport { "eth0" . 80, "lo" . 443 } accept
        }
        }""",
}  # fmt: skip


@pytest.mark.parametrize("rules", NFT.values(), ids=NFT)
def test_nftables(wall: Wall, rules: str) -> None:
    wall.run("nft", "-f", "-", given=rules)
    compare(wall)


BASIC = """*filter
:INPUT {policy} [0:0]
:FORWARD {policy} [0:0]
:OUTPUT ACCEPT [0:0]
{chains}-A INPUT -i lo -j ACCEPT
-A INPUT -p ipv6-icmp -j ACCEPT
-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
{rules}
COMMIT
"""
#: Rules of the filter table, for both IP versions, after those in BASIC; chains named first.
IPTABLES = {
    "open ports": ("DROP", "", "-A INPUT -p tcp -m tcp --dport 80 -j ACCEPT"),
    "several ports": (
        "DROP", "",
        "-A INPUT -p tcp -m multiport --dports 80,443,6000:6400 -m conntrack --ctstate NEW "
        "-j ACCEPT",
    ),
    "rejects": (
        "ACCEPT", "",
        "-A INPUT -p tcp -m tcp --dport 80 -j REJECT --reject-with tcp-reset\n"
        "-A INPUT -p tcp -m tcp --dport 443 -j REJECT\n"
        "-A INPUT -p tcp -m tcp ! --dport 5432 -m comment --comment \"- not \\\"this\\\" -j DROP\" "
        "-j DROP",
    ),
    "own chains": (
        "DROP", ":WEB - [0:0]\n:LAN - [0:0]\n",
        "-A INPUT -p tcp -m multiport --dports 80,443 -j WEB\n"
        "-A INPUT -p tcp -m tcp --dport 5432 -g LAN\n"
        "-A INPUT -p tcp -m tcp --dport 80 -j ACCEPT\n"
        "-A WEB -p tcp -m tcp --dport 80 -j RETURN\n"
        "-A WEB -j REJECT\n"
        "-A LAN ! -i eth+ -j ACCEPT\n",
    ),
    "marks": (
        "ACCEPT", "",
        "-A INPUT -p tcp -m tcp --dport 80 -j MARK --set-xmark 0x4/0xff\n"
        "-A INPUT -p tcp -m tcp --dport 443 -j MARK --set-xmark 0x8000/0x8000\n"
        "-A INPUT -m mark --mark 0x4/0xf -j DROP\n"
        "-A INPUT -m mark --mark 0x8000/0x8000 -j REJECT\n",
    ),
    "what one call does not reach": (
        "DROP", "",
        "-A INPUT -p tcp -m tcp --dport 80 -m connlimit --connlimit-above 500 -j DROP\n"
        "-A INPUT -p tcp -m tcp --dport 80 -m limit --limit 900/sec --limit-burst 100 -j ACCEPT\n"
        "-A INPUT -p tcp -m tcp --dport 443 --tcp-flags FIN,SYN,RST,ACK SYN -j ACCEPT\n"
        "-A INPUT -p tcp -m tcp --dport 5432 -m addrtype --dst-type LOCAL -j ACCEPT\n"
        "-A INPUT -p tcp -m tcp --dport 6379 -m pkttype --pkt-type broadcast -j ACCEPT\n"
        "-A INPUT -m addrtype --dst-type MULTICAST -j DROP\n",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", ["nft", "legacy"])
@pytest.mark.parametrize("rules", IPTABLES.values(), ids=IPTABLES)
def test_iptables(wall: Wall, rules: tuple[str, str, str], kind: str) -> None:
    policy, chains, lines = rules
    for program in ("iptables", "ip6tables"):
        given = BASIC.format(policy=policy, chains=chains, rules=lines)
        given = given if program == "ip6tables" else given.replace("ipv6-icmp", "icmp")
        wall.run(f"{program}-{kind}-restore", given=given)
    facts = compare(wall)
    assert facts.managers == ("iptables",)
    refused = [v for reach in facts.ports for v in reach.verdicts if v.action != "accept"]
    suffix = "-legacy" if kind == "legacy" else ""
    assert {v.program for v in refused} == {f"iptables{suffix}", f"ip6tables{suffix}"}


#: Whole listings of IPv4's, with addresses in them.
IPTABLES4 = {
    "from the LAN only": """*filter
:INPUT ACCEPT [0:0]
-A INPUT -s 10.9.0.0/24 -p tcp -m tcp --dport 5432 -j ACCEPT
-A INPUT ! -s 10.9.0.7/32 -p tcp -m tcp --dport 6379 -j DROP
-A INPUT -p tcp -m tcp --dport 5432 -j DROP
-A INPUT -p tcp -m tcp --dport 80 -m iprange --src-range 10.9.0.100-10.9.0.250 -j REJECT
-A INPUT -d 10.9.0.2/32 -p tcp -m tcp --dport 443 -j DROP
COMMIT
""",
    "as Docker publishes": """*nat
:PREROUTING ACCEPT [0:0]
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A DOCKER -i docker0 -j RETURN
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 80 -j DNAT --to-destination 172.17.0.2:8080
-A DOCKER -d 10.9.0.2/32 ! -i docker0 -p tcp --dport 443 -j DNAT --to-destination 172.17.0.2
-A DOCKER -d 127.0.0.1/32 -p tcp -m tcp --dport 6379 -j DNAT --to-destination 172.17.0.2
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 5432 -j DNAT --to-destination 172.17.0.2:5432
COMMIT
*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:DOCKER - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -o docker0 -j DOCKER
-A FORWARD -i docker0 ! -o docker0 -j ACCEPT
-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 8080 -j ACCEPT
-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 443 -j ACCEPT
-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 5432 -j ACCEPT
-A DOCKER-USER ! -s 10.9.0.0/24 -m conntrack --ctorigdstport 5432 --ctdir ORIGINAL -j DROP
-A DOCKER-USER -j RETURN
COMMIT
""",
    "raw, mangle and redirection": """*raw
:PREROUTING ACCEPT [0:0]
-A PREROUTING -p tcp -m tcp --dport 443 -j DROP
-A PREROUTING -p tcp -m tcp --dport 8080 -j CT --notrack
COMMIT
*mangle
:PREROUTING ACCEPT [0:0]
-A PREROUTING -s 192.0.43.8/32 -p tcp -m tcp --dport 6379 -j DROP
-A PREROUTING -p tcp -m tcp --dport 5432 -j CONNMARK --set-xmark 0x9/0xffffffff
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
-A PREROUTING -p tcp -m tcp --dport 80 -j REDIRECT --to-ports 5432
COMMIT
*filter
:INPUT ACCEPT [0:0]
-A INPUT -m connmark --mark 0x9 -j DROP
-A INPUT -m conntrack --ctstate DNAT -m conntrack --ctorigdstport 80 -s 10.9.0.0/24 -j ACCEPT
-A INPUT -p tcp -m conntrack --ctstate DNAT -j REJECT --reject-with tcp-reset
-A INPUT -m conntrack --ctstate UNTRACKED -j ACCEPT
COMMIT
""",
}  # fmt: skip


@pytest.mark.parametrize("kind", ["nft", "legacy"])
@pytest.mark.parametrize("rules", IPTABLES4.values(), ids=IPTABLES4)
def test_iptables_with_addresses(wall: Wall, rules: str, kind: str) -> None:
    wall.run(f"iptables-{kind}-restore", given=rules)
    compare(wall)


PORT_SETS = ("80", "443", "{ 80, 5432 }", "1-1023", "!= 443", "> 5000", "@web")
SOURCES = ("ip saddr 10.9.0.0/24", "ip saddr != 10.9.0.7", "ip6 saddr fd09::/64", "ip saddr @near",
           "ip6 daddr fd09::2", "iifname eth*", 'iifname "lo"', "ct state new", "ct state invalid",
           "meta mark 1", "fib daddr type local", "meta nfproto ipv6", "")  # fmt: skip
VERDICTS = ("accept", "drop", "return", "jump one", "goto two", "meta mark set 1", "counter")
rule = st.tuples(st.sampled_from(SOURCES), st.sampled_from(PORT_SETS), st.sampled_from(VERDICTS))
some_rules = st.lists(rule, max_size=4)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    chains=st.tuples(some_rules, some_rules, some_rules, some_rules),
    policy=st.sampled_from(["accept", "drop"]),
    hook=st.sampled_from(["prerouting", "input"]),
    first=st.sampled_from([-300, -150]),  # before and after connections are tracked
)
def test_whatever_the_rules_are(
    wall: Wall, chains: tuple[list[tuple[str, str, str]], ...], policy: str, hook: str, first: int
) -> None:
    def lines(rules: list[tuple[str, str, str]], *without: str) -> str:
        return "\n".join(
            f"{source} tcp dport {ports} {verdict}"
            for source, ports, verdict in rules
            if verdict not in without
        )

    two, one, early, last = chains
    wall.run("nft", "-f", "-", given=f"""flush ruleset
table inet lab {{
    set web {{ type inet_service; elements = {{ 80, 443, 8080 }}
    }}
    set near {{ type ipv4_addr; flags interval; elements = {{ 10.9.0.0-10.9.0.8 }}
    }}
    chain two {{ {lines(two, "jump one", "goto two")}
    }}
    chain one {{ {lines(one, "jump one")}
    }}
    chain early {{ type filter hook {hook} priority {first}; policy accept;
        {lines(early)}
    }}
    chain last {{ type filter hook input priority 10; policy {policy};
        meta l4proto ipv6-icmp accept
        ct state established accept
        {lines(last)}
    }}
}}""")  # fmt: skip
    compare(wall)
