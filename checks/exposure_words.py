"""Words of exposure.lan: what a port's place and rules mean, and the ways out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from biostudio_doctor import text
from biostudio_doctor.host.addresses import Address
from biostudio_doctor.host.firewall import FirewallFacts
from biostudio_doctor.model import Finding, Remedy, Status
from biostudio_doctor.services import Answer

from .exposure_reach import Exposure

_EXPECTED = "reached from the LAN only"
_LISTEN = Remedy("List what listens on this host, and at which addresses.", ("ss -ltnp",))
_AS_ROOT = Remedy(
    "Run biostudio-doctor as root: only root may read the rules of the packet filters.",
    ("biostudio-doctor check exposure.lan --phase running",),
)
_UNUSED = "exposure.unused"
_TRAPS = ("ufw", "firewalld")


def judged(
    one: Exposure,
    firewall: FirewallFacts,
    answer: Answer | None,
    ways_out: Mapping[bool, Remedy],
) -> Finding:
    """Whether the outside reaches this port."""
    if one.problem:
        said = f"Where port {one.subject} is bound could not be told: {one.problem}"
        return _finding(Status.ERROR, one, said, "", _LISTEN, "exposure.unseen")
    if not one.is_bound:
        said = f"Nothing listens on port {one.subject}, so nobody reaches it"
        return _finding(Status.SKIP, one, said, "not bound", cause=_UNUSED)
    if not one.where:
        if one.everywhere:
            said = f"Port {one.subject} is bound to all addresses, of which no other network is"
            return _finding(Status.PASS, one, f"{said} reached", "all addresses")
        return _finding(
            Status.PASS, one, f"Port {one.subject} is bound to loopback only", "loopback"
        )
    open_to_all = one.service == "memcached" and not (answer and answer.anonymous is False)
    return _reached(one, firewall, open_to_all, ways_out[one.published])


def unused(exposures: Sequence[Exposure]) -> Iterator[Finding]:
    """Speaks for several ports on which nothing listens."""
    free = [one for one in exposures if not (one.is_bound or one.problem)]
    if len(free) > 1:
        yield Finding(
            Status.SKIP,
            "unused ports",
            f"Nothing listens on {text.number(len(free), 'port')} for the LAN, so nobody reaches "
            "them.",
            expected=_EXPECTED,
            remedy=Remedy("Where BioStudio should answer, services.* say why it does not."),
            cause=_UNUSED,
        )


def _reached(one: Exposure, firewall: FirewallFacts, open_to_all: bool, way_out: Remedy) -> Finding:
    public = one.opened(firewall, "public")
    if public:
        said = f"Port {one.subject} is open to the internet at {_list(public)}: {_bound(one)}, and "
        said += f"no rule of this host closes it{_trap(one, firewall)}"
        return _finding(Status.FAIL, one, said, _at(one), way_out, "exposure.public")
    untold = one.untold(firewall, "public")
    if not untold and (one.everywhere or open_to_all):
        untold = one.untold(firewall, "private")
    if untold:
        return _untold(one, firewall, untold)
    inside = one.opened(firewall, "private")
    if open_to_all and inside:
        said = f"memcached has no passwords, and no rule of this host restricts port {one.port} at "
        said += f"{_list(inside)}: whoever reaches this host reads and writes all that is in it"
        return _finding(
            Status.FAIL, one, f"{said}{_trap(one, firewall)}", _at(one), way_out, "exposure.open"
        )
    if one.everywhere and inside:
        said = f"Port {one.subject} is bound to all addresses, and no rule of this host restricts "
        said += f"it: whoever reaches this host reaches it{_trap(one, firewall)}"
        return _finding(Status.WARN, one, said, _at(one), way_out, "exposure.unrestricted")
    if not one.everywhere and any(address.kind == "public" for address in one.where):
        said = f"Port {one.subject} is bound to a public address, {_bound_to(one)}; only this "
        said += f"host's rules keep the outside away{_refusal(one)}"
        return _finding(Status.WARN, one, said, _at(one), way_out, "exposure.public")
    return _finding(Status.PASS, one, f"Port {one.subject} is {_safe(one)}", _at(one))


def mapped(exposures: Sequence[Exposure], own: Sequence[Address]) -> Iterator[Finding]:
    """What cannot be seen from here, where that may matter."""
    public = any(address.kind == "public" for address in own)
    if not public and any(one.where for one in exposures):
        yield Finding(
            Status.SKIP,
            "mapped addresses",
            "This host has no public address of its own; one that a router or a cloud maps to it, "
            "and filters in front of it, cannot be seen from here.",
        )


def _untold(one: Exposure, firewall: FirewallFacts, untold: Sequence[Address]) -> Finding:
    verdicts = [one.stranger(address) for address in untold]
    why = firewall.problem or next((found.by for found in verdicts if found and found.by), "")
    said = f"Port {one.subject}: {_bound(one)}, and whether the outside gets there cannot be told"
    by_root = bool(firewall.unseen) and "root" in " ".join(firewall.unseen)
    remedy = _AS_ROOT
    if not by_root:
        missing = f"Install {firewall.missing}, which lists" if firewall.missing else "Look at"
        remedy = Remedy(
            f"{missing} the rules, and see whether they let others than the LAN in. Or try it from "
            f"outside: the port must not open.",
            ("nft list ruleset", "iptables-save"),
        )
    return _finding(
        Status.ERROR, one, f"{said}{f': {why}' if why else ''}", _at(one), remedy, "exposure.unseen"
    )


def _safe(one: Exposure) -> str:
    """Why the outside does not get there."""
    if one.everywhere:
        if any(one.stranger(address) for address in one.where):
            return f"bound to all addresses; this host's rules keep the outside away{_refusal(one)}"
        return "bound to all addresses, but no way leads here from outside"
    return f"bound to {_bound_to(one)}, which is not reached from the internet"


def _refusal(one: Exposure) -> str:
    verdicts = [one.stranger(address) for address in one.where]
    words = next((found.by for found in verdicts if found and found.by), "")
    return f" ({words})" if words else ""


def _bound(one: Exposure) -> str:
    if one.everywhere:
        whose = f" (by the container {one.container.name})" if one.container else ""
        return f"it is bound to all addresses{whose}"
    return f"it is bound to {_bound_to(one)}"


def _bound_to(one: Exposure) -> str:
    return _list(one.where)


def _list(addresses: Sequence[Address]) -> str:
    return text.listing(address.address for address in addresses)


def _at(one: Exposure) -> str:
    if one.everywhere:
        return "all addresses"
    return text.listing([*one.loopback, *(address.address for address in one.where)])


def _trap(one: Exposure, firewall: FirewallFacts) -> str:
    """What many believe to protect it, and does not."""
    believed = [name for name in _TRAPS if name in firewall.managers]
    led = any(found and found.led_to for found in map(one.stranger, one.where))
    if not (led and believed):
        return ""
    return f". {text.listing(believed)} does not hold for it, since Docker publishes it"


def _finding(
    status: Status,
    one: Exposure,
    said: str,
    observed: str,
    remedy: Remedy | None = None,
    cause: str = "",
) -> Finding:
    return Finding(
        status,
        one.subject,
        f"{said}.",
        observed=observed,
        expected=_EXPECTED,
        remedy=remedy,
        requirement=one.requirement,
        cause=cause,
    )
