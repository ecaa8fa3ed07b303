"""The requirements as data: `requirements.toml`, read, checked and resolved for one profile."""

import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from biostudio_doctor.errors import ConfigError
from biostudio_doctor.model import Requirement, Status
from biostudio_doctor.versions import at_least

PUBLISHED = "published"
DATA_FILE = Path(__file__).with_name("requirements.toml")


class System(Requirement, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An operating system the document names; `minimum` is '' where any version will do."""

    os_id: str
    name: str
    minimum: str

    def met_by(self, version: str) -> bool | None:
        """Whether this version of the system will do; None where that cannot be told."""
        return at_least(version, self.minimum) if self.minimum else True


class Quantity(Requirement, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An amount in `unit`: less than `value` is a warning, less than `floor` a failure."""

    value: float
    floor: float
    unit: str
    floor_says: str = "our estimate of what it takes to start at all"

    def shortfall(self, amount: float) -> Status:
        """How bad an amount below `value` is."""
        return Status.WARN if amount >= self.floor else Status.FAIL

    def in_words(self, status: Status, show: Callable[[float], str]) -> str:
        """What is recommended; of a failure also the least that will do, and who says so."""
        recommended = f"{show(self.value)} or more are recommended"
        if status is not Status.FAIL:
            return recommended
        least = f"{show(self.floor)} are the least ({self.floor_says})"
        return least if self.floor == self.value else f"{recommended}, and {least}"


class Version(Requirement, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A version: lower than `value` is a warning, lower than `floor` a failure.

    `backport` is a build of RHEL, such as 3.10.0-514, from which on its old version will do too.
    """

    value: str
    floor: str
    backport: str = ""


class Driver(Version, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A version of NVIDIA's driver; some older branches (first numbers) will do as well."""

    branches: tuple[int, ...] = ()
    data_center_branches: tuple[int, ...] = ()  # that will do for data centre GPUs only


class Choice(Requirement, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of several names."""

    accepted: tuple[str, ...]


class Limit(Requirement, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An amount in `unit` from above: more than `value` is a warning, than `ceiling` a failure."""

    value: float
    ceiling: float
    unit: str
    ceiling_says: str = "our estimate of what it takes to work at all"

    def excess(self, amount: float) -> Status:
        """How bad an amount above `value` is."""
        return Status.WARN if amount <= self.ceiling else Status.FAIL


class Feature(Requirement, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something that must be there, without an amount."""


class Endpoint(Requirement, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A host that must be reached from here by HTTPS."""

    host: str
    domain: str
    group: str
    purpose: str
    path: str = "/"
    port: int = 443
    forbidden: bool = False  # everybody is answered 403 at this path, so that says nothing


class Port(Requirement, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A TCP port that one of the two images serves."""

    port: int
    service: str
    image: Literal["bioproxy", "biostudio"]
    reach: Literal["public", "lan"]
    also: tuple[int, ...] = ()
    changeable: bool = False
    alternatives: tuple[int, ...] = ()


KINDS: Mapping[str, type[Requirement]] = {
    "systems": System,
    "quantities": Quantity,
    "limits": Limit,
    "versions": Version,
    "drivers": Driver,
    "choices": Choice,
    "features": Feature,
    "hosts": Endpoint,
    "ports": Port,
}


KindT = TypeVar("KindT", bound=Requirement)


class Requirements:
    """All demands of one profile, by id or by kind."""

    def __init__(self, profile: str, entries: Mapping[str, Requirement]) -> None:
        self.profile = profile
        self._entries = entries

    def __iter__(self) -> Iterator[Requirement]:
        return iter(self._entries.values())

    def get(self, requirement_id: str) -> Requirement | None:
        """The requirement with this id, or None: a profile need not demand everything."""
        return self._entries.get(requirement_id)

    def demand(self, requirement_id: str, kind: type[KindT]) -> KindT:
        """The requirement of this kind with this id.

        Raises:
            KeyError: if this profile demands no such thing.
        """
        found = self._entries[requirement_id]
        if not isinstance(found, kind):
            raise KeyError(requirement_id)
        return found

    @property
    def systems(self) -> list[System]:
        """The operating systems that are named."""
        return [entry for entry in self if isinstance(entry, System)]

    @property
    def hosts(self) -> list[Endpoint]:
        """The hosts that must be reached."""
        return [entry for entry in self if isinstance(entry, Endpoint)]

    def ports(self, role: str) -> list[Port]:
        """The ports that a machine of this role serves (one of model.ROLES)."""
        ports = [entry for entry in self if isinstance(entry, Port)]
        return [port for port in ports if role in ("all-in-one", port.image)]


def load(profile: str = PUBLISHED, data_file: Path = DATA_FILE) -> Requirements:
    """Read the data file and resolve one profile of it.

    Raises:
        ConfigError: if the profile is unknown or the file is not what it must be.
    """
    try:
        data = tomllib.loads(data_file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(str(data_file), "", str(error)) from None
    profiles = data["profiles"]
    if profile not in profiles:
        raise ConfigError("", "profile", f"'{profile}' is unknown; known: {', '.join(profiles)}")
    document = data["document"]
    entries = _entries(data, document["title"], data_file)
    entries |= _entries(profiles[profile], profiles[profile]["title"], data_file)
    return Requirements(profile, entries)


def _entries(table: Mapping[str, Any], source: str, data_file: Path) -> dict[str, Requirement]:
    found: dict[str, Requirement] = {}
    for kind, requirement_type in KINDS.items():
        for entry in table.get(kind, ()):
            try:
                requirement = msgspec.convert({"source": source, **entry}, requirement_type)
            except msgspec.ValidationError as error:
                key = f"{kind}.{entry.get('id', '?')}"
                raise ConfigError(str(data_file), key, str(error)) from None
            found[requirement.id] = requirement
    return found
