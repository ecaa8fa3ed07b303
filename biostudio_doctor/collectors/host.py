"""The operating system of this host."""

from collections.abc import Iterator

from biostudio_doctor.collector import MIB, Ask, Collector, Item, Say
from biostudio_doctor.collectors.shared import files, installed
from biostudio_doctor.host.processes import named

#: Of systemd's services those that BioStudio stands on.
_SERVICES = (
    "docker.service", "snap.docker.dockerd.service", "containerd.service", "crio.service",
    "kubelet.service", "k3s.service", "k3s-agent.service", "rke2-server.service",
    "rke2-agent.service", "nvidia-persistenced.service", "nvidia-fabricmanager.service",
    "nvidia-cdi-refresh.service", "biostudio-doctor.service", "chrony.service", "chronyd.service",
    "systemd-timesyncd.service", "firewalld.service", "ufw.service",
)  # fmt: skip
_PROPERTIES = (
    "Id", "LoadState", "UnitFileState", "ActiveState", "SubState", "Result", "ExecMainStatus",
    "ActiveEnterTimestamp", "InactiveEnterTimestamp", "NRestarts", "MemoryCurrent", "TasksCurrent",
    "TasksMax", "LimitNOFILE", "LimitNPROC", "LimitMEMLOCK", "FragmentPath", "DropInPaths",
)  # fmt: skip
#: Kernel settings that containers, databases, notebooks or many connections stumble over.
_SETTINGS = (
    "fs.aio-max-nr", "fs.aio-nr", "fs.file-max", "fs.file-nr", "fs.inotify.max_user_instances",
    "fs.inotify.max_user_watches", "fs.nr_open", "kernel.keys.maxkeys", "kernel.panic",
    "kernel.pid_max", "kernel.sched_rt_runtime_us", "kernel.shmall", "kernel.shmmax", "kernel.sem",
    "kernel.tainted", "kernel.threads-max", "kernel.unprivileged_userns_clone",
    "kernel.yama.ptrace_scope", "net.bridge.bridge-nf-call-iptables", "net.core.somaxconn",
    "net.core.netdev_max_backlog", "net.core.rmem_max", "net.core.wmem_max",
    "net.ipv4.conf.all.forwarding", "net.ipv4.conf.all.rp_filter", "net.ipv4.ip_forward",
    "net.ipv4.ip_local_port_range", "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_max_syn_backlog", "net.ipv4.tcp_mtu_probing", "net.ipv6.conf.all.disable_ipv6",
    "net.ipv6.conf.all.forwarding", "net.netfilter.nf_conntrack_count",
    "net.netfilter.nf_conntrack_max", "user.max_user_namespaces", "vm.dirty_background_ratio",
    "vm.dirty_ratio", "vm.max_map_count", "vm.min_free_kbytes", "vm.nr_hugepages",
    "vm.overcommit_memory", "vm.overcommit_ratio", "vm.panic_on_oom", "vm.swappiness",
)  # fmt: skip


class HostCollector(Collector):
    """The operating system: CPU, memory, limits, packages, services, clock.

    From /etc: os-release and the like, the kernel's settings (sysctl), limits, modprobe, the
    configuration of the time service. From /proc and /sys: command line, CPUs, memory, swap,
    pressure, modules, control groups, AppArmor and SELinux. From programs: lscpu, systemctl,
    timedatectl, chronyc or ntpq, sestatus, and the packages by dpkg-query, rpm or apk.

    Leaves out: the environment of services, /etc/shadow and users, and keys of chrony and NTP.
    """

    id = "host"

    def items(self) -> Iterator[Item]:
        """Files first: they cost nothing."""
        yield from files(
            self.host,
            "/etc/os-release", "/usr/lib/os-release", "/etc/lsb-release", "/etc/redhat-release",
            "/etc/debian_version", "/proc/version", "/proc/cmdline", "/proc/uptime",
            "/proc/loadavg", "/proc/meminfo", "/proc/swaps", "/proc/vmstat", "/proc/cpuinfo",
            "/proc/pressure/*", "/proc/1/limits", "/proc/modules", "/proc/cgroups",
            "/proc/1/cgroup", "/sys/fs/cgroup/cgroup.controllers",
            "/sys/kernel/mm/transparent_hugepage/enabled", "/sys/fs/selinux/enforce",
            "/etc/selinux/config", "/sys/module/apparmor/parameters/enabled",
            "/sys/kernel/security/apparmor/profiles",
            "/etc/sysctl.conf", "/etc/sysctl.d/*.conf", "/etc/security/limits.conf",
            "/etc/security/limits.d/*.conf", "/etc/modprobe.d/*.conf", "/etc/chrony.conf",
            "/etc/chrony/chrony.conf", "/etc/chrony.d/*.conf", "/etc/chrony/conf.d/*.conf",
            "/etc/chrony/sources.d/*.sources", "/etc/ntp.conf", "/etc/systemd/timesyncd.conf",
            "/etc/systemd/timesyncd.conf.d/*.conf",
            "/var/run/reboot-required.pkgs", "/run/reboot-required.pkgs",
            limit=MIB,
        )  # fmt: skip
        yield Say(tell=self._settings, name="sysctl.txt", source="/proc/sys")
        yield Ask(command=("uname", "-a"), name="uname.txt")
        yield from installed(self.host, Ask(command=("lscpu",), name="lscpu.txt"))
        if self.surroundings.machine.systemd:
            yield from self._services()
        if named(self.host, ("chronyd",)):
            for what in ("tracking", "sources"):
                chronyc = ("chronyc", "-n", what)
                yield Ask(command=chronyc, name=f"time/chrony-{what}.txt", seconds=5)
        yield from installed(
            self.host,
            Ask(command=("ntpq", "-pn"), name="time/ntpq.txt", seconds=5),
            Ask(command=("sestatus",), name="sestatus.txt"),
        )
        yield from list(
            installed(
                self.host,
                Ask(command=("rpm", "-qa", "--last"), name="packages.txt", seconds=20),
                Ask(command=("dpkg-query", "-W"), name="packages.txt"),
                Ask(command=("apk", "info", "-v"), name="packages.txt"),
            )
        )[:1]

    def _services(self) -> Iterator[Ask]:
        listing = ("systemctl", "list-units", "--no-pager", "--plain")
        yield Ask(command=(*listing, "--failed"), name="services/failed.txt")
        yield Ask(command=(*listing, "--type=service"), name="services/all.txt")
        properties = f"--property={','.join(_PROPERTIES)}"
        yield Ask(
            command=("systemctl", "show", "--no-pager", properties, *_SERVICES),
            name="services/biostudio-needs.txt",
        )
        yield Ask(command=("timedatectl", "status", "--no-pager"), name="time/timedatectl.txt")

    def _settings(self) -> str:
        values = (
            (name, self.host.read_if_any(f"/proc/sys/{name.replace('.', '/')}"))
            for name in _SETTINGS
        )
        return "".join(f"{name} = {' '.join(value.split())}\n" for name, value in values if value)
