"""Which host this is: distribution, kernel, container. Old and broken systems included.

os-release(5) first; where it is missing or says nothing, /etc/redhat-release (CentOS and RHEL up
to 6 have no os-release), /etc/lsb-release (Ubuntu) and /etc/debian_version (which Ubuntu has too).
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from biostudio_doctor.host.mounts import mount_of, parse_mountinfo
from biostudio_doctor.model import Machine

if TYPE_CHECKING:
    from biostudio_doctor.host import Host

_REDHAT_NAMES = {
    "centos": "centos", "red hat": "rhel", "rocky": "rocky", "almalinux": "almalinux",
    "oracle": "ol", "fedora": "fedora", "scientific": "scientific",
}  # fmt: skip
_LSB_NAMES = {
    "ID": "DISTRIB_ID", "VERSION_ID": "DISTRIB_RELEASE", "VERSION_CODENAME": "DISTRIB_CODENAME",
    "PRETTY_NAME": "DISTRIB_DESCRIPTION",
}  # fmt: skip

#: Containers that hold a whole system with an init of its own, in which one installs software.
SYSTEM_CONTAINERS = frozenset({"lxc", "lxc-libvirt", "openvz", "systemd-nspawn"})

#: The namespaces a system boots with have these numbers (include/linux/proc_ns.h).
_FIRST_NAMESPACES = {"pid": 0xEFFFFFFC, "uts": 0xEFFFFFFE, "ipc": 0xEFFFFFFF}


def application_container(machine: Machine) -> str:
    """The application container whose network and files these are; '' where they are the machine's.

    Containers that hold a whole system count as machines.
    """
    return "" if machine.container in SYSTEM_CONTAINERS else machine.container


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
        os_codename=_codename(release),
        os_source=source,
        kernel=kernel,
        architecture=_line(host, "/proc/sys/kernel/arch") or uname.machine,
        container=_container(host),
        wsl="microsoft" in kernel.lower(),
        systemd=host.exists("/run/systemd/system"),
        root=os.geteuid() == 0,
        host_root=host.root,
    )


def _codename(release: Mapping[str, str]) -> str:
    """The code name of the Ubuntu or Debian that a derivative is built on, else its own."""
    names = ("UBUNTU_CODENAME", "DEBIAN_CODENAME", "VERSION_CODENAME")
    return next((release[name] for name in names if release.get(name)), "")


def parse_os_release(text: str) -> dict[str, str]:
    """os-release(5) as a mapping. Lines that are no shell assignments are passed over."""
    values: dict[str, str] = {}
    for line in text.removeprefix("\ufeff").split("\n"):
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


def parse_lsb_release(text: str) -> dict[str, str]:
    """/etc/lsb-release in the words of os-release; {} where it names no distribution."""
    values = parse_os_release(text)
    found = {name: values.get(lsb_name, "") for name, lsb_name in _LSB_NAMES.items()}
    return {**found, "ID": found["ID"].lower()} if _is_id(found["ID"]) else {}


def parse_debian_version(text: str) -> dict[str, str]:
    """/etc/debian_version, such as "10.13" or, before a release, "trixie/sid"."""
    version = text.strip().partition("\n")[0]
    if not re.fullmatch(r"[A-Za-z0-9./_-]{1,40}", version):
        return {}
    key = "VERSION_ID" if version[0].isdecimal() else "VERSION_CODENAME"
    return {"ID": "debian", "PRETTY_NAME": f"Debian {version}", key: version.partition("/")[0]}


def _release(host: Host) -> tuple[dict[str, str], str]:
    for path in ("/etc/os-release", "/usr/lib/os-release"):
        release = parse_os_release(host.read_if_any(path) or "")
        if _is_id(release.get("ID", "")):
            return _with_point_release(host, release), path
    for path, parse in _OLD_FILES.items():
        release = parse(host.read_if_any(path) or "")
        if release:
            return release, path
    return {}, ""


_OLD_FILES: dict[str, Callable[[str], dict[str, str]]] = {
    "/etc/oracle-release": parse_redhat_release,  # beside a redhat-release that says Red Hat
    "/etc/redhat-release": parse_redhat_release,
    "/etc/lsb-release": parse_lsb_release,
    "/etc/debian_version": parse_debian_version,
}


def _is_id(os_id: str) -> bool:
    """Whether this can be an ID as os-release(5) allows it; a few write capitals."""
    return re.fullmatch(r"[A-Za-z0-9._-]{1,40}", os_id) is not None


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
    if _booted_here(host):
        return ""
    if host.exists("/.dockerenv"):
        return "docker"
    if host.exists("/run/.containerenv"):
        return "podman"
    if os.environ.get("KUBERNETES_SERVICE_HOST"):
        return "kubernetes"
    manager = (host.read_if_any("/run/systemd/container") or "").strip()
    environment = host.read_if_any("/proc/1/environ") or ""
    named = re.search(r"(?:^|\0)container=([^\0]+)", environment)
    found = manager or (named[1] if named else "")
    if found:
        return "" if found == "wsl" else found
    groups = host.read_if_any("/proc/1/cgroup") or ""
    marks = {"docker": "docker", "kubepods": "kubernetes", "lxc": "lxc", "containerd": "containerd"}
    return next((name for mark, name in marks.items() if f"/{mark}" in groups), "")


def _booted_here(host: Host) -> bool:
    """Whether we are in the system that booted, whatever marks lie about.

    Virtual machines that are made from a container's image keep its /.dockerenv.
    """
    for name, number in _FIRST_NAMESPACES.items():
        try:
            if host.readlink(f"/proc/self/ns/{name}") != f"{name}:[{number}]":
                return False
        except OSError:
            return False
    root = mount_of("/", parse_mountinfo(host.read_if_any("/proc/self/mountinfo") or ""))
    return root is not None and root.type != "overlay"


def _line(host: Host, path: str) -> str:
    return (host.read_if_any(path) or "").strip().partition("\n")[0]
