"""What ports.firewall says and advises: who is in charge, and the commands of each tool."""

from collections.abc import Iterable, Sequence
from ipaddress import ip_address, ip_network

from biostudio_doctor import distribution, text
from biostudio_doctor.host.addresses import Address
from biostudio_doctor.host.firewall import FirewallFacts, PortReach, Verdict
from biostudio_doctor.model import Finding, Machine, Remedy, Status

OPEN = "firewall.open"  # the cause of which one finding speaks for all ports
_NAMES = {
    "docker": "Docker",
    "kubernetes": "Kubernetes",
    "nft": "rules of nftables",
    "iptables": "rules of iptables",
}
_COMMAND_LIMIT = 6  # a remedy is read, not scrolled
#: firewalld has services for these; their ports it knows by name.
_SERVICES = {80: "http", 443: "https"}
_RULES, _UNIT = "/etc/biostudio-lan.nft", "biostudio-lan"
_BOOT = "Have a service run that after docker.service, since it does not outlast a restart."
_KEEP = "Add it to {} as well, since it does not outlast a restart."


def in_charge(facts: FirewallFacts) -> tuple[str, str]:
    """Who writes the rules, as (the end of) a sentence, and shortly."""
    if facts.unseen:
        idle = text.listing(facts.idle)
        return (f"; {idle} is set up to filter", idle) if idle else ("", "")
    if not facts.managers:
        return "No rules of nftables or iptables filter on this host", "no rules"
    named = text.listing(_NAMES.get(name, name) for name in facts.managers)
    return f"This host is filtered by {named}", text.listing(facts.managers)


def unread(facts: FirewallFacts, machine: Machine) -> Remedy:
    """How to have all rules read."""
    if facts.missing:
        commands = distribution.install(
            machine, debian="nftables", rhel="nftables", suse="nftables", arch="nftables",
            alpine="nftables",
        )  # fmt: skip
        words = "Install the program nft, which lists the rules of every tool. It changes none."
        return Remedy(words, commands)
    if machine.root:
        return Remedy("List the rules by hand to see what is wrong.", ("nft list ruleset",))
    return Remedy("Run the check as root.", ("biostudio-doctor check ports.firewall",))


def refuser(verdict: Verdict) -> str:
    """Who refuses it, with the rule."""
    manager = {"docker": "a rule for Docker's containers"}.get(verdict.manager, verdict.manager)
    return f"{manager} ({verdict.by})" if manager else verdict.by


def bypassed(reach: PortReach) -> bool:
    """Whether strangers are refused by the rules for programs, and not by those for containers."""
    closed_now = {
        (found.address, found.to)
        for found in reach.verdicts
        if found.source == "internet" and found.action in ("drop", "reject")
    }
    return any(
        found.action == "accept" and (found.address, found.to) in closed_now
        for found in reach.published
    )


def exposed(ports: Sequence[int], address: str, once: str, remedy: Remedy) -> Finding:
    """Speaks for all ports that are for the LAN only, and open to everybody."""
    said = f"Ports for the LAN only would be open to the internet at {address}{once}"
    return Finding(
        Status.WARN,
        "ports for the LAN",
        f"{said}: {text.listing(ports)}.",
        observed="open to all",
        expected="open to the LAN only",
        remedy=remedy,
        cause=OPEN,
    )


def trap(guards: Sequence[str], ports: Sequence[int], remedy: Remedy) -> Finding:
    """Docker leads past a firewall that is there."""
    names = text.listing(guards)
    verb = "does" if len(guards) == 1 else "do"
    said = (
        f"{names} {verb} not guard ports that Docker publishes: "
        f"{text.listing(ports)} will be open to whoever reaches this host"
    )
    return Finding(
        Status.WARN,
        "ports that Docker publishes",
        f"{said}.",
        observed=f"{names} in front of programs of this host only",
        expected="LAN ports closed to others",
        remedy=remedy,
        cause="firewall.bypassed",
    )


def allow(port: int, refused: Sequence[Verdict], facts: FirewallFacts, machine: Machine) -> Remedy:
    """How to let these callers in, by the tool whose rule refuses them."""
    words: list[str] = []
    commands: list[str] = []
    everybody = any(found.source == "internet" for found in refused)
    for found in refused:
        sources = "" if everybody else _source(found, facts.addresses)
        word, some = _way(port, found, sources, machine)
        words += [word] if word not in words else []
        commands += [command for command in some if command not in commands]
    return Remedy(" ".join(words), tuple(commands[:_COMMAND_LIMIT]))


def restrict(facts: FirewallFacts, ports: Iterable[int], machine: Machine) -> Remedy:
    """How to keep everybody but the LAN away from these ports, whoever listens there.

    By a table of nftables of its own, since that holds for programs, for what Docker publishes and
    for both IP versions, and is there before Docker is. It comes after connection tracking (-200),
    so that answers pass, and before destination NAT (-100), so that the port is the called one.
    """
    rules = [
        _rule(interface, ipv6, _insiders(interface, ipv6, facts), sorted(ports))
        for interface, ipv6 in _doors(facts.addresses)
    ]
    lines = (
        "table inet biostudio",
        "delete table inet biostudio",  # or the rules would be there twice after a restart
        "table inet biostudio { chain lan {",
        "type filter hook prerouting priority -150; policy accept;",
        *rules,
        "}",
        "}",
    )
    unit = (
        "[Unit]",
        "After=nftables.service",
        "PartOf=nftables.service",  # which throws all rules away when it starts
        "[Service]",
        "Type=oneshot",
        "RemainAfterExit=yes",
        f"ExecStart=/usr/sbin/nft -f {_RULES}",
        "[Install]",
        "WantedBy=multi-user.target",
    )
    words = (
        "Keep all but your own networks away from them with a table of nftables: it holds for "
        "what Docker publishes too, where ufw and firewalld do not. Add to it the networks of "
        "other machines of BioStudio, if they are elsewhere."
    )
    commands = [_written(lines, _RULES), f"nft -f {_RULES}"]
    if machine.systemd:
        service = distribution.service(machine, "enable", _UNIT)
        commands = [
            commands[0],
            _written(unit, f"/etc/systemd/system/{_UNIT}.service"),
            "systemctl daemon-reload",
            *service,
        ]
    else:
        words += " Have the last command run at each start of the host."
    private = [one for one in facts.addresses if one.kind == "private" and not one.guests]
    if private:
        lan = next((one for one in private if not one.is_ipv6), private[0])
        bracketed = f"[{lan.address}]" if lan.is_ipv6 else lan.address
        words += (
            " Or publish these ports on the LAN address alone, such as docker run "
            f"-p {bracketed}:5432:5432."
        )
    return Remedy(words, tuple(commands))


def _doors(addresses: Iterable[Address]) -> list[tuple[str, bool]]:
    """The interfaces by which others come, each with its IP versions (is it IPv6?)."""
    return list(
        dict.fromkeys(
            (one.interface, one.is_ipv6)
            for one in addresses
            if one.kind in ("private", "public") and not one.guests
        )
    )


def _insiders(interface: str, ipv6: bool, facts: FirewallFacts) -> list[str]:
    """Whom to let in there: private networks, and the machines that the configuration names."""
    networks = [
        one.network
        for one in facts.addresses
        if (one.interface, one.is_ipv6, one.kind) == (interface, ipv6, "private")
    ]
    peers = (
        found.address
        for reach in facts.ports
        for found in reach.verdicts
        if found.source == "peer" and (":" in found.address) == ipv6
    )
    near = [ip_network(network) for network in networks]
    far = [peer for peer in peers if not any(ip_address(peer) in network for network in near)]
    return list(dict.fromkeys((*networks, *far)))


def _rule(interface: str, ipv6: bool, insiders: Sequence[str], ports: Sequence[int]) -> str:
    whom = f"{'ip6' if ipv6 else 'ip'} saddr != {{ {', '.join(insiders)} }}"
    if not insiders:
        whom = f"meta nfproto ipv{6 if ipv6 else 4}"
    listed = ", ".join(map(str, ports))
    return f'iifname "{interface}" {whom} ct state new tcp dport {{ {listed} }} drop;'


def _written(lines: Iterable[str], file: str) -> str:
    quoted = " ".join(f"'{line}'" for line in lines)
    return f"printf '%s\\n' {quoted} > {file}"


def _way(port: int, found: Verdict, source: str, machine: Machine) -> tuple[str, tuple[str, ...]]:
    """Words and commands against one refusal; `source` is '' for everybody."""
    if not found.chain:
        words = "Let the kernel forward packets; engines do so when they start."
        return words, distribution.sysctl({"net.ipv4.ip_forward": 1})
    if found.hook in ("forward", "postrouting"):
        return _forward(port, found, source, machine)
    if found.manager == "ufw":
        return "Allow it in ufw.", (_ufw(port, found, source),)
    if found.manager == "firewalld":
        return "Allow it in firewalld.", _firewalld(port, found, source)
    family, table, chain = found.chain
    if found.program == "nft":
        match = f"{_family(source)} saddr {source} " if source else ""
        rule = (
            f"nft insert rule {family} {table} {chain} {match}tcp dport {_seen(port, found)} accept"
        )
        return f"Let it in. {_KEEP.format(_nft_file(machine))}", (rule,)
    where = "" if table == "filter" else f"-t {table} "
    match = f"-s {source} " if source else ""
    rule = f"{found.program} {where}-I {chain} {match}-p tcp --dport {_seen(port, found)} -j ACCEPT"
    return f"Let it in. {_KEEP.format('the rules that are loaded at boot')}", (rule,)


def _forward(
    port: int, found: Verdict, source: str, machine: Machine
) -> tuple[str, tuple[str, ...]]:
    """Against a refusal of what is led on to a container."""
    family, table, chain = found.chain
    if found.manager == "firewalld":
        words = "firewalld refuses what is led to containers: have Docker set up its zone again."
        return words, ("firewall-cmd --reload", *distribution.service(machine, "restart", "docker"))
    if found.program == "nft":
        match = f"{_family(source)} saddr {source} " if source else ""
        rule = (
            f"nft insert rule {family} {table} {chain} {match}meta l4proto tcp "
            f"ct original proto-dst {port} accept"
        )
        return f"Let it pass to the container. {_KEEP.format(_nft_file(machine))}", (rule,)
    match = f"-s {source} " if source else ""
    place, verdict = (chain, "ACCEPT")
    if found.manager == "docker":
        place, verdict = "DOCKER-USER", "RETURN"
    where = "" if table == "filter" else f"-t {table} "
    rule = (
        f"{found.program} {where}-I {place} {match}-p tcp -m conntrack --ctorigdstport {port} "
        f"--ctdir ORIGINAL -j {verdict}"
    )
    return f"Let it pass to the container. {_BOOT}", (rule,)


def _ufw(port: int, found: Verdict, source: str) -> str:
    """A rule that refuses more than this port would come first, and one for it is replaced."""
    if source:
        return f"ufw prepend allow proto tcp from {source} to any port {port}"
    wider = "-user-" in found.by and f"-p tcp -m tcp --dport {port} " not in found.by
    return f"ufw {'prepend ' if wider else ''}allow {port}/tcp"


def _firewalld(port: int, found: Verdict, source: str) -> tuple[str, ...]:
    zone = f"--zone={found.zone} " if found.zone else ""
    if source:
        rule = (
            f'rule family="ipv{6 if ":" in source else 4}" source address="{source}" '
            f'port port="{port}" protocol="tcp" accept'
        )
        what = f"--add-rich-rule='{rule}'"
    else:
        service = _SERVICES.get(port)
        what = f"--add-service={service}" if service else f"--add-port={port}/tcp"
    return f"firewall-cmd --permanent {zone}{what}", "firewall-cmd --reload"


def _source(found: Verdict, addresses: Iterable[Address]) -> str:
    """Whom to let in: a machine by its address, neighbours by their network."""
    if found.source == "peer":
        return found.address
    return next((one.network for one in addresses if one.address == found.to), found.address)


def _seen(port: int, found: Verdict) -> int:
    """The port that rules for this host see, where it was led to another one before."""
    led = found.led_to.rpartition(":")[2]
    return int(led) if led else port


def _family(source: str) -> str:
    return "ip6" if ":" in source else "ip"


def _nft_file(machine: Machine) -> str:
    red_hat = distribution.family(machine) == "rhel"
    return "/etc/sysconfig/nftables.conf" if red_hat else "/etc/nftables.conf"
