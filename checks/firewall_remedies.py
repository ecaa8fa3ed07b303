"""Ways to keep strangers from the ports of the LAN, whoever listens there and whoever filters."""

from collections.abc import Iterable, Sequence
from ipaddress import ip_address, ip_network

from biostudio_doctor import distribution
from biostudio_doctor.check import Context
from biostudio_doctor.config import Config
from biostudio_doctor.host.addresses import Address
from biostudio_doctor.model import Remedy

_RULES, _UNIT = "/etc/biostudio-lan.nft", "biostudio-lan"


def restrict(context: Context, addresses: Sequence[Address], ports: Iterable[int]) -> Remedy:
    """How to keep everybody but the LAN away from these ports of this host.

    By a table of nftables of its own, since that holds for programs, for what Docker publishes
    (with either of its backends) and for both IP versions, and is there before Docker is. It comes
    after connection tracking (-200), so that answers pass, and before destination NAT (-100), so
    that the port is the called one. The table is written anew as a whole: `ports` are all that the
    role keeps on the LAN, or else those left out would be opened again.
    """
    peers = machines(context.config)
    lines = (
        "table inet biostudio",
        "delete table inet biostudio",  # or the rules would be there twice after a restart
        "table inet biostudio { chain lan {",
        "type filter hook prerouting priority -150; policy accept;",
        *(
            _rule(interface, ipv6, _insiders(interface, ipv6, addresses, peers), sorted(ports))
            for interface, ipv6 in _doors(addresses)
        ),
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
        "Keep all but your own networks away from the ports for the LAN with a table of nftables "
        "(package nftables): it holds for what Docker publishes too, where ufw and firewalld do "
        "not. If machines of BioStudio are in other networks, name them in `nodes` of the "
        "configuration by their addresses first, so that the rules let them in."
    )
    write, load = _written(lines, _RULES), f"nft -f {_RULES}"
    if not context.machine.systemd:
        return Remedy(
            f"{words} Have the last command run at each start of the host.", (write, load)
        )
    return Remedy(
        words,
        (
            write,
            _written(unit, f"/etc/systemd/system/{_UNIT}.service"),
            "systemctl daemon-reload",
            *distribution.service(context.machine, "enable", _UNIT),
        ),
    )


def machines(config: Config) -> tuple[str, ...]:
    """The other machines of BioStudio, as far as the configuration names them."""
    return (*config.nodes, *([config.bioproxy] if config.bioproxy else []))


def lan_address(addresses: Iterable[Address]) -> str:
    """This host's address for the LAN, as it stands before a port; '' if it has none."""
    private = [one for one in addresses if one.kind == "private" and not one.guests]
    if not private:
        return ""
    found = min(private, key=lambda one: one.is_ipv6)
    return f"[{found.address}]" if found.is_ipv6 else found.address


def publish(address: str, port: int) -> str:
    """The other way, for what Docker publishes: a sentence without its capital and full stop."""
    return (
        "make the container with these ports published on the LAN address alone, as in docker run "
        f"-p {address}:{port}:{port} instead of -p {port}:{port}"
    )


def _doors(addresses: Iterable[Address]) -> list[tuple[str, bool]]:
    """The interfaces by which others come, each with its IP versions (is it IPv6?)."""
    return list(
        dict.fromkeys(
            (one.interface, one.is_ipv6)
            for one in addresses
            if one.kind in ("private", "public") and not one.guests
        )
    )


def _insiders(
    interface: str, ipv6: bool, addresses: Iterable[Address], peers: Iterable[str]
) -> list[str]:
    """Whom to let in there: private networks, and machines that are named by their addresses."""
    networks = [
        one.network
        for one in addresses
        if (one.interface, one.is_ipv6, one.kind) == (interface, ipv6, "private")
    ]
    near = [ip_network(network) for network in networks]
    for peer in peers:
        try:
            address = ip_address(peer.partition("%")[0])
        except ValueError:  # a name
            continue
        wanted = (address.version == 6) == ipv6 and not address.is_loopback
        if wanted and not any(address in network for network in near):
            networks.append(str(address))
    return list(dict.fromkeys(networks))


def _rule(interface: str, ipv6: bool, insiders: Sequence[str], ports: Sequence[int]) -> str:
    whom = f"{'ip6' if ipv6 else 'ip'} saddr != {{ {', '.join(insiders)} }}"
    if not insiders:
        whom = f"meta nfproto ipv{6 if ipv6 else 4}"
    listed = ", ".join(map(str, ports))
    return f'iifname "{interface}" {whom} ct state new tcp dport {{ {listed} }} drop;'


def _written(lines: Iterable[str], file: str) -> str:
    quoted = " ".join(f"'{line}'" for line in lines)
    return f"printf '%s\\n' {quoted} > {file}"
