"""Which ports BioStudio has, as the configuration has changed what is published."""

from collections.abc import Iterable

from biostudio_doctor.config import Config, ServiceConfig
from biostudio_doctor.requirements import Port


def ports_of(config: Config, published: Iterable[Port]) -> tuple[tuple[str, int], ...]:
    """Service and port of what is published, as the configuration has changed it."""
    return tuple(
        (requirement.service, number)
        for requirement in published
        for number in numbers_of(config, requirement)
    )


def numbers_of(config: Config, requirement: Port) -> tuple[int, ...]:
    """The numbers that a published port has, as the configuration has changed it."""
    changed = _changed(config, requirement.service)
    return (changed,) if changed else (requirement.port, *requirement.also)


def _changed(config: Config, service: str) -> int | None:
    if service in ("http", "https"):
        number: int = getattr(config.ports, service)
        return number
    own = getattr(config.services, service.replace("-", "_"), None)
    return own.port if isinstance(own, ServiceConfig) else None
