"""Which host this is: distribution, kernel, container. Old and broken systems included.

os-release(5) first; where it is missing or says nothing, /etc/redhat-release (CentOS and RHEL up
to 6 have no os-release) and /etc/debian_version.
"""

from __future__ import annotations

import os
import re
import shlex
from typing import TYPE_CHECKING

from biostudio_doctor.model import Machine

if TYPE_CHECKING:
    from biostudio_doctor.host import Host

_REDHAT_NAMES = {
    "centos": "centos", "red hat": "rhel", "rocky": "rocky", "almalinux": "almalinux",
    "oracle": "ol", "fedora": "fedora", "scientific": "scientific",
}  # fmt: skip


def identify(host: Host) -> Machine:
    """Read the host's identity; what cannot be read is ''."""
    release, source = _release(host)
    uname = os.uname()
    kernel = _line(host, "/proc/sys/kernel/osrelease") or (uname.release if host.is_local else "")
    hostname = _line(host, "/proc/sys/kernel/hostname") or _line(host, "/etc/hostname")
    return Machine(
        hostname=hostname or (uname.nodename if host.is_local else ""),
        os_id=release.get("ID", "").lower(),
        os_like=tuple(release.get("ID_LIKE", "").lower().split()),
        os_name=release.get("PRETTY_NAME") or release.get("NAME", ""),
        os_version=release.get("VERSION_ID", ""),
        os_codename=release.get("VERSION_CODENAME", ""),
        os_source=source,
        kernel=kernel,
        architecture=_line(host, "/proc/sys/kernel/arch") or uname.machine,
        container=_container(host),
        wsl="microsoft" in kernel.lower(),
        systemd=host.exists("/run/systemd/system"),
        root=os.geteuid() == 0,
        host_root=host.root,
    )


def parse_os_release(text: str) -> dict[str, str]:
    """os-release(5) as a mapping. Lines that are no shell assignments are passed over."""
    values: dict[str, str] = {}
    for line in text.splitlines():
        name, equals, value = line.strip().partition("=")
        if not equals or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            continue
        try:
            words = shlex.split(value)
        except ValueError:  # no closing quotation
            words = [value.strip("\"' ")]
        values[name] = " ".join(words)
    return values


def parse_redhat_release(text: str) -> dict[str, str]:
    """A line such as "CentOS release 6.5 (Final)" in the words of os-release."""
    line = text.strip().partition("\n")[0]
    version = re.search(r"release\s+(\d+(?:\.\d+)*)", line, re.IGNORECASE)
    names = [os_id for name, os_id in _REDHAT_NAMES.items() if name in line.lower()]
    if not (version and names):
        return {}
    return {
        "ID": names[0],
        "ID_LIKE": "rhel fedora",
        "PRETTY_NAME": line,
        "VERSION_ID": version[1],
    }


def _release(host: Host) -> tuple[dict[str, str], str]:
    for path in ("/etc/os-release", "/usr/lib/os-release"):
        release = parse_os_release(host.read_if_any(path) or "")
        if release.get("ID"):
            return _with_point_release(host, release), path
    release = parse_redhat_release(host.read_if_any("/etc/redhat-release") or "")
    if release:
        return release, "/etc/redhat-release"
    version = (host.read_if_any("/etc/debian_version") or "").strip()
    if version:
        release = {"ID": "debian", "PRETTY_NAME": f"Debian {version}", "VERSION_ID": version}
        return release, "/etc/debian_version"
    return {}, ""


def _with_point_release(host: Host, release: dict[str, str]) -> dict[str, str]:
    """CentOS says only "7" in os-release; its point release stands in /etc/redhat-release."""
    if release["ID"] == "centos" and "." not in release.get("VERSION_ID", ""):
        exact = parse_redhat_release(host.read_if_any("/etc/redhat-release") or "")
        version = exact.get("VERSION_ID", "")
        if version.startswith(release.get("VERSION_ID", "") + "."):
            return {**release, "VERSION_ID": version}
    return release


def _container(host: Host) -> str:
    """The container technology that the host view itself is inside of, '' for none."""
    if not host.is_local:  # /.dockerenv and PID 1's environment there are the host's own
        return ""
    if host.exists("/.dockerenv"):
        return "docker"
    if host.exists("/run/.containerenv"):
        return "podman"
    if os.environ.get("KUBERNETES_SERVICE_HOST"):
        return "kubernetes"
    manager = (host.read_if_any("/run/systemd/container") or "").strip()
    if manager:
        return manager
    first = host.read_if_any("/proc/1/environ") or ""
    found = re.search(r"(?:^|\0)container=([^\0]*)", first)
    if found:
        return found[1] or "container"
    groups = host.read_if_any("/proc/1/cgroup") or ""
    marks = {"docker": "docker", "kubepods": "kubernetes", "lxc": "lxc", "containerd": "containerd"}
    return next((name for mark, name in marks.items() if f"/{mark}" in groups), "")


def _line(host: Host, path: str) -> str:
    return (host.read_if_any(path) or "").strip().partition("\n")[0]
