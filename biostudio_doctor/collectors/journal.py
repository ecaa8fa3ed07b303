"""The journal of systemd."""

from collections.abc import Iterator
from datetime import timedelta

from biostudio_doctor.collector import Ask, Collector, Item, Window
from biostudio_doctor.collectors.shared import output
from biostudio_doctor.host import Host, programs

#: Whose messages are taken whole, as long as they are in the journal. By file.
UNITS = {
    "docker": ("docker.service", "docker.socket", "snap.docker.dockerd.service"),
    "containerd": ("containerd.service", "crio.service"),
    "kubernetes": (
        "kubelet.service", "k3s.service", "k3s-agent.service", "rke2-server.service",
        "rke2-agent.service", "snap.microk8s.daemon-kubelite.service", "k0scontroller.service",
        "k0sworker.service",
    ),
    "biostudio-doctor": ("biostudio-doctor.service",),
    "nvidia": (
        "nvidia-persistenced.service", "nvidia-fabricmanager.service", "nvidia-cdi-refresh.service",
    ),
    "network": (
        "systemd-networkd.service", "NetworkManager.service", "networking.service",
        "firewalld.service", "ufw.service", "nftables.service",
    ),
    "resolved": ("systemd-resolved.service", "dnsmasq.service", "nscd.service", "sssd.service"),
    "time": (
        "chrony.service", "chronyd.service", "systemd-timesyncd.service", "ntp.service",
        "ntpd.service", "ntpsec.service",
    ),
    "storage": (
        "nfs-server.service", "rpcbind.service", "glusterd.service", "autofs.service",
        "multipathd.service", "smartd.service", "smartmontools.service",
    ),
    "front": ("nginx.service", "haproxy.service", "apache2.service", "httpd.service"),
}  # fmt: skip


class JournalCollector(Collector):
    """The journal: services that BioStudio needs, and every warning.

    From journalctl, within the time that was asked for: one file for each group of services
    (docker, containerd, kubernetes, nvidia, network, resolved, time, storage, front, and
    biostudio-doctor, this tool's own daemon), one for all messages of the priority warning and
    worse, and the list of boots. Kernel messages are in `kernel`.

    Leaves out: what other services and users say below a warning, such as sudo's commands.
    """

    id = "journal"
    timeout = timedelta(seconds=45)

    def why_not(self) -> str | None:
        """Without a journal."""
        if not programs.find(self.host, "journalctl"):
            return "there is no journalctl here"
        if not is_kept(self.host):
            return "no journal is kept here (neither in /var/log/journal nor in /run/log/journal)"
        return None

    def items(self) -> Iterator[Item]:
        """Warnings first."""
        window = self.surroundings.window
        yield asked("warnings.log", 15, *journalctl(window, "--priority=warning"))
        known = self._known()
        for name, units in UNITS.items():
            if known and not known.intersection(units):
                continue
            chosen = (f"--unit={unit}" for unit in units)
            yield asked(f"{name}.log", 8, *journalctl(window, *chosen))
        quiet = ("journalctl", "--no-pager", "--quiet")
        yield asked("boots.txt", 10, *quiet, "--list-boots")
        yield asked("disk-usage.txt", 10, *quiet, "--disk-usage")

    def _known(self) -> set[str]:
        """The units that the journal has anything of; empty if it does not tell."""
        try:
            listed = output(self.host, ("journalctl", "--field=_SYSTEMD_UNIT"), 5)
        except OSError:
            return set()
        return set(listed.split())


def is_kept(host: Host) -> bool:
    """Whether there is a journal, on the disk or in memory."""
    return any(host.listdir_if_any(f"/{where}/log/journal") for where in ("var", "run"))


def asked(name: str, seconds: float, *command: str) -> Ask:
    """A question to journalctl, which leaves out a damaged file with a word, and succeeds."""
    return Ask(command=command, name=name, seconds=seconds, whole_if_silent=True)


def journalctl(window: Window, *choice: str) -> tuple[str, ...]:
    """The command for the messages of a time.

    Not with --lines: beside --since it gives the first ones (systemd 252), and the last ones tell
    most. Of too many the engine keeps both.
    """
    return (
        "journalctl", "--no-pager", "--quiet", "--output=short-iso-precise",
        f"--since={window.since:%Y-%m-%d %H:%M:%S} UTC",
        f"--until={window.until:%Y-%m-%d %H:%M:%S} UTC",
        *choice,
    )  # fmt: skip
