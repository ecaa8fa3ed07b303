"""The plan of a run: which checks, in which scope, with which settings."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from biostudio_doctor import config as configuration
from biostudio_doctor import registry, requirements
from biostudio_doctor.check import Context
from biostudio_doctor.config import Config, Settings
from biostudio_doctor.errors import ConfigError, DoctorError
from biostudio_doctor.host import Host
from biostudio_doctor.model import Scope
from biostudio_doctor.registry import Plugin
from biostudio_doctor.requirements import Requirements


class Plan(Struct, frozen=True, kw_only=True):
    """Everything that is settled before anything is observed."""

    plugins: tuple[Plugin, ...]
    settings: dict[str, Settings]  # by check id, where the configuration has any
    scope: Scope
    config: Config
    requirements: Requirements
    host_root: str = "/"

    def context(self, host: Host) -> Context:
        """What the checks are told, once the host is known."""
        return Context(
            scope=self.scope,
            machine=host.machine,
            requirements=self.requirements,
            config=self.config,
        )


def make(
    config: Config,
    *,
    source: str = "configuration",
    patterns: tuple[str, ...] = (),
    skip: tuple[str, ...] = (),
    offline: bool = False,
    deep: bool = False,
    host_root: str = "/",
) -> Plan:
    """Choose the checks and resolve their settings; `source` names the configuration in errors.

    Raises:
        DoctorError: if a pattern matches no check, or a setting or profile is wrong.
    """
    known = registry.find(registry.CHECKS)
    chosen = registry.select(known, patterns) if patterns else list(known)
    try:
        left_out = registry.select(known, config.skip)
    except DoctorError as error:
        raise ConfigError(source, "skip", str(error)) from None
    left_out += registry.select(known, skip)
    return Plan(
        plugins=tuple(known[name] for name in chosen if name not in left_out),
        settings=_settings(config.checks, known, source),
        scope=Scope(
            role=config.role,
            phase=config.phase,
            platform=config.platform,
            profile=config.profile,
            offline=offline,
            deep=deep,
        ),
        config=config,
        requirements=requirements.load(config.profile),
        host_root=host_root,
    )


def _settings(
    tables: dict[str, dict[str, Any]], known: Mapping[str, Plugin], source: str
) -> dict[str, Settings]:
    """Read each check's own table; only the checks that have one are imported for it."""
    settings: dict[str, Settings] = {}
    for name, table in tables.items():
        if name not in known:
            registry_hint = f"no check is called '{name}'; `biostudio-doctor list` shows all"
            raise ConfigError(source, f"checks.{name}", registry_hint)
        try:
            check = registry.load_check(known[name])
        except registry.PluginError:
            continue  # the run says so, as that check's error
        settings[name] = configuration.convert(table, check.Settings, source, f"checks.{name}")
    return settings
