"""The network of this host."""

import errno
from collections.abc import Iterator

from biostudio_doctor.collector import MIB, Ask, Collector, Item, Say
from biostudio_doctor.collectors.shared import files, installed
from biostudio_doctor.host import programs
from biostudio_doctor.host.processes import named

_INTERFACES = 16


class NetworkCollector(Collector):
    """The network: addresses, routes, names, firewall, sockets.

    From ip (addresses, routes of all tables, rules, neighbours), ss (who listens, what is
    connected, with names of programs), resolvectl, ethtool for real interfaces; from
    /etc: resolv.conf, nsswitch.conf, hosts; from /proc/1/net: counters. Firewall rules
    from nft, iptables-save and ip6tables-save, each only if its kernel part is loaded already, and
    from ufw and firewall-cmd where these are installed (the latter if firewalld runs).

    Leaves out: keys of VPNs and Wi-Fi, with the configuration files of NetworkManager, netplan,
    WireGuard and the like: what comes of them is in the addresses and routes.
    """

    id = "network"

    def items(self) -> Iterator[Item]:
        """Addresses and routes first."""
        yield Ask(command=("ip", "-d", "-s", "address"), name="addresses.txt")
        yield Ask(command=("ip", "-d", "-j", "address"), name="addresses.json")
        yield Ask(command=("ip", "route", "show", "table", "all"), name="routes.txt")
        yield Ask(command=("ip", "-j", "route", "show", "table", "all"), name="routes.json")
        yield Ask(command=("ip", "-6", "route", "show", "table", "all"), name="routes6.txt")
        yield Ask(command=("ip", "rule"), name="rules.txt")
        yield Ask(command=("ip", "-6", "rule"), name="rules6.txt")
        yield Ask(command=("ip", "neighbour"), name="neighbours.txt", limit=MIB)
        yield Say(tell=self._resolver, name="resolv-conf.txt", source="readlink /etc/resolv.conf")
        yield from files(
            self.host,
            "/etc/resolv.conf", "/run/systemd/resolve/resolv.conf",
            "/run/systemd/resolve/stub-resolv.conf", "/run/NetworkManager/resolv.conf",
            "/run/resolvconf/resolv.conf", "/etc/nsswitch.conf", "/etc/hosts", "/etc/host.conf",
            "/etc/systemd/resolved.conf", "/etc/systemd/resolved.conf.d/*.conf",
            "/proc/1/net/dev", "/proc/1/net/snmp", "/proc/1/net/netstat", "/proc/1/net/sockstat",
            "/proc/1/net/softnet_stat",
            limit=MIB,
        )  # fmt: skip
        yield from installed(
            self.host, Ask(command=("resolvectl", "status", "--no-pager"), name="resolvectl.txt")
        )
        yield Ask(command=("ss", "-s"), name="sockets/summary.txt")
        yield Ask(command=("ss", "-tulpn"), name="sockets/listening.txt")
        yield Ask(command=("ss", "-tan"), name="sockets/tcp.txt", limit=MIB)
        yield from self._firewall()
        if programs.find(self.host, "ethtool"):
            for name in self._real_interfaces():
                yield Ask(command=("ethtool", name), name=f"ethtool/{name}.txt", seconds=5)
                yield Ask(
                    command=("ethtool", "-S", name), name=f"ethtool/{name}-counters.txt", seconds=5
                )

    def _firewall(self) -> Iterator[Item]:
        """A listing makes the kernel load what it is to list, so only what is loaded is listed."""
        modules = self.host.read_if_any("/proc/modules")
        tables = any(
            self.host.read_if_any(f"/proc/net/{family}_tables_names") for family in ("ip", "ip6")
        )
        if modules is None or "nf_tables " in modules or self._is_built_in("nf_tables"):
            command = ("nft", "-a", "list", "ruleset")
            yield Ask(command=command, name="firewall/nft.txt", needs_root=True)
            tables = True
        if tables:
            for program in ("iptables-save", "ip6tables-save"):
                yield Ask(command=(program, "-c"), name=f"firewall/{program}.txt", needs_root=True)
            for program in ("iptables-legacy-save", "ip6tables-legacy-save"):
                if self.host.read_if_any(f"/proc/net/{program.split('tables')[0]}_tables_names"):
                    question = Ask(
                        command=(program, "-c"), name=f"firewall/{program}.txt", needs_root=True
                    )
                    yield from installed(self.host, question)
        yield from files(
            self.host, "/etc/ufw/ufw.conf", "/etc/default/ufw", "/etc/firewalld/firewalld.conf"
        )
        if named(self.host, ("firewalld",)):
            zones = ("firewall-cmd", "--list-all-zones")
            yield Ask(command=zones, name="firewall/firewalld.txt", needs_root=True)
        ufw = Ask(command=("ufw", "status", "verbose"), name="firewall/ufw.txt", needs_root=True)
        yield from installed(self.host, ufw)

    def _resolver(self) -> str:
        """Who writes /etc/resolv.conf is seen by where it leads."""
        try:
            return f"/etc/resolv.conf -> {self.host.readlink('/etc/resolv.conf')}\n"
        except OSError as error:
            is_file = error.errno == errno.EINVAL
            return f"/etc/resolv.conf {'is a file' if is_file else error.strerror}\n"

    def _is_built_in(self, module: str) -> bool:
        kernel = self.surroundings.machine.kernel
        built_in = self.host.read_if_any(f"/lib/modules/{kernel}/modules.builtin")
        return built_in is None or f"/{module}.ko" in built_in

    def _real_interfaces(self) -> list[str]:
        """Those with a device behind them: no bridges, tunnels and ends of containers."""
        return [
            name
            for name in self.host.listdir_if_any("/sys/class/net")
            if self.host.exists(f"/sys/class/net/{name}/device")
        ][:_INTERFACES]
