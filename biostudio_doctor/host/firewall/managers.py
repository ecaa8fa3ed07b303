"""Who writes this host's rules: ufw, firewalld, engines, or the administrator."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from biostudio_doctor.host import programs
from biostudio_doctor.host.firewall.model import Table
from biostudio_doctor.host.firewall.reading import RuleSets

if TYPE_CHECKING:
    from biostudio_doctor.host import Host

_DOCKER_TABLE = "docker-bridges"  # of Docker 29 and later with "firewall-backend": "nftables"
_UFW = re.compile("ufw6?-")
_ZONE = re.compile(r"(?:filter_)?IN_(?!policy)(.+?)(?:_(?:pre|log|deny|allow|post))?$")


def of(table: Table, trail: Sequence[str], *, by_policy: bool) -> str:
    """Whose rules these are, by the names that the managers give to their chains.

    `trail` are the chains that led to the deciding one, `by_policy` says whether it is its policy
    that decided. '' is the administrator's own.
    """
    if table.name == "firewalld" or zone(trail):
        return "firewalld"
    if table.name == _DOCKER_TABLE:
        return "docker"
    # ufw also sets the policies of the chains that iptables has by itself.
    of_base = by_policy and len(trail) == 1 and table.name == "filter"
    if any(_UFW.match(name) for name in (*trail, *(table.chains if of_base else ()))):
        return "ufw"
    return "docker" if any(name.startswith("DOCKER") for name in trail) else ""


def zone(trail: Sequence[str]) -> str:
    """The zone of firewalld that these chains belong to, '' if they are of none."""
    return next((match[1] for name in reversed(trail) if (match := _ZONE.match(name))), "")


def in_force(rules: RuleSets) -> tuple[str, ...]:
    """Who has written rules that are in force."""
    found = []
    if rules.has_chain("ufw6?-user-input"):  # a stopped ufw leaves the other chains, empty
        found.append("ufw")
    if any(table.name == "firewalld" for table in rules.tables) or rules.has_chain(r"IN_public"):
        found.append("firewalld")
    if rules.has_chain("DOCKER") or any(table.name == _DOCKER_TABLE for table in rules.tables):
        found.append("docker")
    if rules.has_chain("KUBE-"):
        found.append("kubernetes")
    others = {
        "nft" if table.tool == "nft" else "iptables"
        for table in rules.tables
        if any(chain.rules or chain.policy == "drop" for chain in table.chains.values())
    }
    return tuple(found or sorted(others))


def idle(host: Host, rules: RuleSets) -> tuple[str, ...]:
    """Those that are set up to filter, which everybody may see, and whose rules are not there.

    Where the rules could not be read this says who is in charge of them.
    """
    enabled = []
    settings = host.read_if_any("/etc/ufw/ufw.conf") or ""
    if re.search(r"^\s*ENABLED\s*=\s*[\"']?yes", settings, re.MULTILINE | re.IGNORECASE):
        enabled.append("ufw")
    if programs.starts_at_boot(host, "firewalld.service"):
        enabled.append("firewalld")
    return tuple(name for name in enabled if name not in in_force(rules))


def docker_filters(host: Host) -> bool:
    """Whether Docker writes rules of its own, as it does unless its configuration forbids it."""
    from biostudio_doctor.host.docker import parse_config

    try:
        return parse_config(host.read("/etc/docker/daemon.json")).get("iptables") is not False
    except (OSError, ValueError):
        return True
