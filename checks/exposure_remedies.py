"""Ways out of exposure.lan: rules that keep strangers away, or the LAN address alone."""

from __future__ import annotations

from collections.abc import Sequence

from biostudio_doctor.host.addresses import Address
from biostudio_doctor.host.firewall import FirewallFacts
from biostudio_doctor.model import Remedy

from .exposure_reach import Exposure
from .firewall_remedies import lan_address, publish

_MEMCACHED = "memcached, which has no passwords, needs the rules at any address."
_SETTINGS = {
    "redis": "bind in redis.conf",
    "postgresql": "listen_addresses in postgresql.conf",
    "memcached": "-l of memcached",
}


def remedies(
    exposures: Sequence[Exposure],
    own: Sequence[Address],
    firewall: FirewallFacts,
    rules: Remedy,
) -> dict[bool, Remedy]:
    """One for what Docker publishes (True) and one for all else, each for all ports together.

    `rules` close all ports at once. They are of no use where rules close them already, and a port
    is bound to a public address alone; and all there is where it is bound as it should be.
    """
    place = lan_address(own) or "LAN_ADDRESS"
    found = {}
    for published in {one.published for one in exposures}:
        these = [one for one in exposures if one.published is published]
        opened = [one for one in these if _is_open(one, firewall)]
        these = opened or these
        words = [rules.text] if opened else []
        if not opened or any(map(_is_movable, opened)):
            bind = publish(place, these[0].port) if published else _listen(these, place)
            words.append(f"Or {bind}." if opened else f"{bind[0].upper()}{bind[1:]}.")
            if any(one.service == "memcached" for one in these):
                words.append(_MEMCACHED)
        found[published] = Remedy(" ".join(words), rules.commands if opened else ())
    return found


def _is_open(one: Exposure, firewall: FirewallFacts) -> bool:
    """Whether somebody far away gets in where none should, as it is judged."""
    private = one.everywhere or one.service == "memcached"
    kinds = ("public", "private") if private else ("public",)
    return any(one.opened(firewall, kind) for kind in kinds)


def _is_movable(one: Exposure) -> bool:
    """Whether it is bound to more than private addresses."""
    return one.everywhere or any(address.kind == "public" for address in one.where)


def _listen(exposures: Sequence[Exposure], place: str) -> str:
    settings = [_SETTINGS[one.service] for one in exposures if one.service in _SETTINGS]
    which = f" ({'; '.join(dict.fromkeys(settings))})" if settings else ""
    return f"have these services listen at the LAN address alone, {place}{which}"
