"""What a metric is before it has values, and how values become one: absent where unknown."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Literal, NamedTuple

from msgspec import Struct

from biostudio_doctor import text

from ..reading import known

Kind = Literal["gauge", "counter", "info"]

_LABEL_LIMIT = 120  # characters of a label's value; most dashboards show fewer


class Family(Struct, frozen=True):
    """A metric: its name, its labels, and what it says. An `info` has the value 1."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    help: str


#: One value of a metric, with the values of its labels in the family's order. What is no finite
#: number is unknown, and leaves no series; booleans are 1 and 0.
Sample = tuple[Family, tuple[object, ...], object]


class Group:
    """The metrics of one subject, in the order in which they are exposed and documented."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.families: list[Family] = []

    def gauge(self, name: str, *labels: str, says: str, of: str = "") -> Family:
        """A value that goes up and down; `of` names the checks whose last run it is from."""
        return self._add(name, "gauge", labels, says, of)

    def counter(self, name: str, *labels: str, says: str, of: str = "") -> Family:
        """A number of events, whose name ends with _total."""
        return self._add(name, "counter", labels, says, of)

    def info(self, name: str, *labels: str, says: str, of: str = "") -> Family:
        """Words, as labels; its name ends with _info."""
        return self._add(name, "info", labels, says, of)

    def _add(self, name: str, kind: Kind, labels: tuple[str, ...], says: str, of: str) -> Family:
        aged = f"{says} As old as the last run of {of}." if of else says
        family = Family(f"biostudio_{name}", kind, labels, aged)
        self.families.append(family)
        return family


class Series(NamedTuple):
    """The values of some metrics: name of the metric -> values of its labels -> value."""

    values: dict[str, dict[tuple[str, ...], float]]

    def add(self, samples: Iterable[Sample]) -> None:
        """Take values on. The first one of a series counts: a second is no error."""
        for family, labels, value in samples:
            number = known(value)
            if number is not None:
                of_family = self.values.setdefault(family.name, {})
                of_family.setdefault(tuple(map(label, labels)), number)

    def merge(self, other: Series) -> None:
        """Take all of another's values on."""
        for name, values in other.values.items():
            self.values[name] = values | self.values.get(name, {})


def label(value: object) -> str:
    """A label's value: one line of bounded length, which still tells long ones apart."""
    words = "" if value is None else " ".join(str(value).split())
    if not words.isprintable():
        words = text.printable(words)
    if len(words) <= _LABEL_LIMIT:
        return words
    mark = hashlib.sha256(words.encode()).hexdigest()[:8]
    return f"{words[: _LABEL_LIMIT - 9]}~{mark}"
