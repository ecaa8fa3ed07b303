"""Reads the host's packet filters, as root may: nftables, and iptables of both kinds.

Nothing is loaded for it: a listing makes the kernel load what it is to list, so each filter is
asked only where its kernel module is there already (or is no module).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from biostudio_doctor import text
from biostudio_doctor.host import programs
from biostudio_doctor.host.firewall import iptables, nft
from biostudio_doctor.host.firewall.model import Table

if TYPE_CHECKING:
    from biostudio_doctor.host import Host

_TIMEOUT = 10.0  # seconds; Kubernetes may have written tens of thousands of rules
_PROGRAMS = {"ip": "iptables", "ip6": "ip6tables"}
_OF_NFT = "nf_tables"  # how iptables-save marks what it read from nftables


@dataclass
class RuleSets:
    """All tables that were read, and why others could not be."""

    tables: list[Table] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)
    missing: str = ""  # a program whose absence is the reason

    def has_chain(self, pattern: str) -> bool:
        """Whether there is a chain whose name matches."""
        return any(re.match(pattern, name) for table in self.tables for name in table.chains)


def read(host: Host) -> RuleSets:
    """Read them. What cannot be read is told, never raised."""
    found = RuleSets()
    _read_nft(host, found)
    for family in _PROGRAMS:
        _read_legacy(host, family, found)
    return found


def _read_nft(host: Host, found: RuleSets) -> None:
    if not _is_loaded(host, "nf_tables"):
        return
    if not programs.find(host, "nft"):
        found.missing = "nft"
        found.unseen.append("nftables, because the program nft is not installed")
        _read_translated(host, set(), found)
        return
    import msgspec

    aside = nft.Aside()
    listing = _run(host, ["nft", "-j", "list", "ruleset"], "nftables", found)
    if listing is None:
        return
    try:
        reply = msgspec.json.decode(listing or "{}")
        if nft.needs_words(reply):
            words = _run(host, ["nft", "list", "ruleset"], "nftables", found)
            aside = nft.parse_words(words or "")
        tables, foreign = nft.parse(reply, aside), nft.foreign(reply)
    except (ValueError, RecursionError):
        found.unseen.append("nftables, because what nft said could not be understood")
        return
    found.tables += [table for table in tables if (table.family, table.name) not in foreign]
    if foreign:
        _read_translated(host, foreign, found)
        listed = {(table.family, table.name) for table in found.tables}
        # Better in doubt about a rule than blind for its table.
        found.tables += [
            table for table in tables if (table.family, table.name) in foreign - listed
        ]


def _read_translated(host: Host, wanted: set[tuple[str, str]], found: RuleSets) -> None:
    """Tables that iptables wrote into nftables, from iptables itself; all where none is named."""
    for family, program in _PROGRAMS.items():
        if wanted and family not in {kind for kind, _ in wanted}:
            continue
        command = programs.find(host, f"{program}-nft-save", f"{program}-save")
        listing = _run(host, [command], program, found) if command else None
        if listing is not None and _OF_NFT in listing.partition("\n")[0]:
            found.tables += [
                table
                for table in iptables.parse(listing, family, "iptables")
                if not wanted or (family, table.name) in wanted
            ]


def _read_legacy(host: Host, family: str, found: RuleSets) -> None:
    program = _PROGRAMS[family]
    try:
        if not host.read(f"/proc/net/{family}_tables_names").split():
            return
    except FileNotFoundError:
        return
    except OSError:
        if _is_loaded(host, f"{family}_tables"):
            found.unseen.append(f"{program}, because only root may read its rules")
        return
    command = programs.find(host, f"{program}-legacy-save", f"{program}-save")
    listing = _run(host, [command], program, found) if command else None
    if not command:
        found.unseen.append(f"{program}, because the program {program}-save is not installed")
    elif listing is not None and _OF_NFT in listing.partition("\n")[0]:
        found.unseen.append(f"{program}, because {program}-legacy-save is not installed")
    elif listing is not None:
        found.tables += iptables.parse(listing, family, "iptables-legacy")


def _run(host: Host, command: list[str], subject: str, found: RuleSets) -> str | None:
    try:
        done = host.run(command, timeout=_TIMEOUT)
    except (OSError, TimeoutError) as error:
        reason = str(error) if isinstance(error, TimeoutError) else str(error.strerror)
        found.unseen.append(f"{subject}, because {reason}")
        return None
    if done.returncode == 0:
        return done.stdout
    if not host.machine.root or "ermission" in done.stderr or "not permitted" in done.stderr:
        found.unseen.append(f"{subject}, because only root may read its rules")
    else:
        said = text.printable((done.stderr.strip().splitlines() or ["it failed"])[0])[:120]
        found.unseen.append(f"{subject}, because {command[0]} said: {said}")
    return None


def _is_loaded(host: Host, module: str) -> bool:
    """Whether the kernel has it, or might have it built in."""
    modules = host.read_if_any("/proc/modules")
    if modules is None or re.search(rf"^{module} ", modules, re.MULTILINE):
        return True
    release = host.machine.kernel
    built_in = host.read_if_any(f"/lib/modules/{release}/modules.builtin")
    return built_in is None or f"/{module}.ko" in built_in
