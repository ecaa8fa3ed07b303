"""What ports.firewall says and advises: who is in charge, and the commands of each tool."""

from collections.abc import Iterable, Sequence

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
#: Docker keeps what is in DOCKER-USER when it starts anew; a reboot does not.
_DROP_IN = "/etc/systemd/system/docker.service.d"
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


def unseen(facts: FirewallFacts) -> str:
    """What could not be read, each reason once."""
    reasons: dict[str, list[str]] = {}
    for one in facts.unseen:
        subject, _, reason = one.partition(", because ")
        reasons.setdefault(reason, []).append(subject)
    return "; ".join(
        f"{text.listing(subjects)}, because {reason}" for reason, subjects in reasons.items()
    )


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


def _way(port: int, found: Verdict, source: str, machine: Machine) -> tuple[str, tuple[str, ...]]:
    """Words and commands against one refusal; `source` is '' for everybody."""
    if not found.chain:
        words = "Let the kernel forward packets; engines do so when they start."
        return words, distribution.sysctl({"net.ipv4.ip_forward": 1})
    if found.hook in ("forward", "postrouting"):
        return _forward(port, found, source, machine)
    if found.manager == "ufw" and "-before-input" in found.by:  # comes before what ufw is told
        file = "before6.rules" if ":" in found.to else "before.rules"
        return f"Take that rule out of /etc/ufw/{file}.", ("ufw reload",)
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
    words = "Let it pass to the container."
    match = f"-s {source} " if source else ""
    match += f"-p tcp -m conntrack --ctorigdstport {port} --ctdir ORIGINAL"
    if found.manager != "docker":
        where = "" if table == "filter" else f"-t {table} "
        rule = f"{found.program} {where}-I {chain} {match} -j ACCEPT"
        return f"{words} {_KEEP.format('the rules that are loaded at boot')}", (rule,)
    rule = f"{found.program} -I DOCKER-USER {match} -j RETURN"
    if not machine.systemd:
        return f"{words} Have this run after each start of Docker.", (rule,)
    lasting = f"'[Service]' 'ExecStartPost=-/usr/sbin/{rule}' >> {_DROP_IN}/biostudio-{port}.conf"
    return words, (rule, f"mkdir -p {_DROP_IN}", f"printf '%s\\n' {lasting}")


def _ufw(port: int, found: Verdict, source: str) -> str:
    """A rule that refuses more than this port would come first, and one for it is replaced."""
    if source:
        return f"ufw prepend allow proto tcp from {source} to any port {port}"
    wider = "-user-" in found.by and f"-p tcp -m tcp --dport {port} " not in found.by
    return f"ufw {'prepend ' if wider else ''}allow {port}/tcp"


def _firewalld(port: int, found: Verdict, source: str) -> tuple[str, ...]:
    zone = f"--zone={found.zone} " if found.zone else ""
    if f"IN_{found.zone}_deny " in found.by:  # a rich rule, which comes before what is opened
        whom = f' family="ipv{6 if ":" in source else 4}" source address="{source}"'
        rule = (
            f'rule priority="-1"{whom if source else ""} port port="{port}" protocol="tcp" accept'
        )
        what = f"--add-rich-rule='{rule}'"
    elif source:
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
