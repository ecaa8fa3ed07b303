"""Plug-ins, found through entry points. The engine knows checks and exporters by no other way.

The name of an entry point is the id of the check or the name of the exporter, so that selecting
needs no import, and a plug-in that cannot be imported is still known by name.
"""

import functools
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

from biostudio_doctor.check import OFFLINE, Check, other_phase
from biostudio_doctor.errors import DoctorError
from biostudio_doctor.model import Scope

CHECKS = "biostudio_doctor.checks"
#: Checks may be listed in one of these instead, to be left unimported by a run that asks no such
#: check: start-up counts.
RUNNING = f"{CHECKS}.running"  # asked in the phase running only
NETWORK = f"{CHECKS}.network"  # leave the host
EXPORTERS = "biostudio_doctor.exporters"
COLLECTORS = "biostudio_doctor.collectors"


_SHOWS_ALL = {
    "check": "`biostudio-doctor list` shows all",
    "collector": "`biostudio-doctor bundle --dry-run` shows all",
}

ClassT = TypeVar("ClassT")


class PluginError(Exception):
    """A plug-in that cannot be used, and why."""


class Plugin:
    """An entry point that was found; `load` imports it."""

    def __init__(self, name: str, entries: list[EntryPoint]) -> None:
        self.name = name
        self._entries = entries

    def unasked(self, scope: Scope) -> str | None:
        """Why the check is not asked in a run of this scope, as far as its group tells."""
        groups = {entry.group for entry in self._entries}
        if groups == {RUNNING} and scope.phase != "running":
            return other_phase(("running",), scope)
        return OFFLINE if groups == {NETWORK} and scope.offline else None

    def contradicts(self, check: type[Check[Any]]) -> bool:
        """Whether the check is listed in a group that it does not belong to."""
        groups = {entry.group for entry in self._entries}
        return (RUNNING in groups and check.phases != ("running",)) or (
            NETWORK in groups and not check.network
        )

    @property
    def package(self) -> str:
        """The distribution or distributions that provide it."""
        names = {entry.dist.name if entry.dist else "?" for entry in self._entries}
        return " and ".join(sorted(names))

    @property
    def is_built_in(self) -> bool:
        """It is ours alone."""
        return all(entry.value.startswith("biostudio_doctor.") for entry in self._entries)

    def load(self) -> Any:
        """Import it.

        Raises:
            PluginError: if several packages provide this name, or the import fails in any way.
        """
        if len({entry.value for entry in self._entries}) > 1:
            raise PluginError(f"'{self.name}' is provided more than once, by {self.package}")
        try:
            return self._entries[0].load()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # an import may even call sys.exit
            raise PluginError(
                f"the plug-in '{self.name}' of the package {self.package} cannot be imported: "
                f"{describe(error)}"
            ) from error


def family(check_id: str) -> str:
    """Checks of one family import the same modules, and may share what they observe."""
    return check_id.partition(".")[0]


def describe(error: BaseException) -> str:
    """An exception in one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


@functools.cache
def find(group: str) -> Mapping[str, Plugin]:
    """All plug-ins of a group, by name, in the order their packages list them."""
    installed = entry_points()
    groups = (CHECKS, RUNNING, NETWORK) if group == CHECKS else (group,)
    found: dict[str, list[EntryPoint]] = {}
    for one in groups:
        for entry in installed.select(group=one):
            found.setdefault(entry.name, []).append(entry)
    return {name: Plugin(name, entries) for name, entries in found.items()}


def load_class(plugin: Plugin, base: type[ClassT]) -> type[ClassT]:
    """Import the class that a plug-in is.

    Raises:
        PluginError: if it cannot be imported, derives from another base or has another id.
    """
    found = plugin.load()
    if not (isinstance(found, type) and issubclass(found, base)):
        raise PluginError(
            f"the plug-in '{plugin.name}' of the package {plugin.package} is no {base.__name__}"
        )
    if getattr(found, "id", None) != plugin.name:
        raise PluginError(
            f"the plug-in '{plugin.name}' of the package {plugin.package} calls itself "
            f"{getattr(found, 'id', None)!r}"
        )
    return found


def load_check(plugin: Plugin) -> type[Check[Any]]:
    """Import a check's class.

    Raises:
        PluginError: as `load_class`, or if it is listed in a group that it does not belong to.
    """
    check = load_class(plugin, Check)
    if plugin.contradicts(check):
        raise PluginError(
            f"the plug-in '{plugin.name}' of the package {plugin.package} is listed in an "
            "entry-point group that its phases or its need of the network contradict"
        )
    return check


def select(known: Iterable[str], patterns: Iterable[str], noun: str = "check") -> list[str]:
    """The names that match any of the patterns (ids, globs, or a group such as "os").

    Raises:
        DoctorError: if a pattern matches nothing.
    """
    known = list(known)
    chosen: set[str] = set()
    for pattern in patterns:
        matched = [
            name for name in known if fnmatchcase(name, pattern) or name.startswith(pattern + ".")
        ]
        if not matched:
            import difflib

            close = difflib.get_close_matches(pattern, known, n=1)
            hint = f"did you mean '{close[0]}'?" if close else _SHOWS_ALL[noun]
            raise DoctorError(f"no {noun} matches '{pattern}'; {hint}")
        chosen.update(matched)
    return [name for name in known if name in chosen]
