"""Log files of the system."""

from collections.abc import Iterator

from biostudio_doctor.collector import Collector, Item
from biostudio_doctor.collectors.shared import files

_NAMES = ("syslog", "messages", "kern.log", "daemon.log", "dmesg", "boot.log", "cloud-init.log")
_OTHERS = (
    "/var/log/dpkg.log", "/var/log/apt/history.log", "/var/log/dnf.rpm.log", "/var/log/yum.log",
    "/var/log/zypp/history",
)  # fmt: skip


class SyslogCollector(Collector):
    """Log files of the system: syslog, kernel, package changes.

    From /var/log: syslog, messages, kern.log, daemon.log, dmesg, boot.log and cloud-init.log with
    their rotated and compressed ones, as far as they were changed within the time that was asked
    for, and what package managers say they did.

    Leaves out: auth.log, secure, audit, btmp, wtmp and lastlog, which tell who logged in and what
    was run with sudo; cloud-init's user data.
    """

    id = "syslog"

    def items(self) -> Iterator[Item]:
        """The current ones before the rotated ones."""
        current = (f"/var/log/{name}" for name in _NAMES)
        yield from files(self.host, *current, within=True)
        yield from files(self.host, *_OTHERS, within=True, limit=1 << 19)
        for name in _NAMES:
            yield from files(self.host, f"/var/log/{name}[.-]*", within=True, newest=6)
