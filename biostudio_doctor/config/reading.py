"""A configuration file read, and one clear line for whatever may not stand in it."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import structs

from biostudio_doctor.config.values import Settings
from biostudio_doctor.config.whole import Config
from biostudio_doctor.errors import ConfigError

#: Read when no --config is given and it exists.
DEFAULT_FILE = Path("/etc/biostudio-doctor/config.toml")

SettingsT = TypeVar("SettingsT", bound=Settings)


def load(path: Path | None, overrides: Mapping[str, Any] | None = None) -> Config:
    """Read the configuration, or the defaults where no file is named and none is installed.

    `overrides` are keys that the command line sets instead, but for those that are None.

    Raises:
        ConfigError: if a named file is missing, or the file cannot be read or understood.
    """
    if path is None and _is_there(DEFAULT_FILE):
        path = DEFAULT_FILE
    config = parse(_read(path), str(path)) if path else Config()
    told = {key: value for key, value in (overrides or {}).items() if value is not None}
    given = convert(told, Config, "command line")
    return structs.replace(config, **{key: getattr(given, key) for key in told})


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:  # only root may look into the directory
        problem = f"cannot be read: {error.strerror}; run as root, or name another with --config"
        raise ConfigError(str(path), "", problem) from None


def parse(text: str, source: str) -> Config:
    """Understand a configuration text; `source` names it in errors.

    Raises:
        ConfigError: one line with the source, the key and what was expected there.
    """
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(source, "", f"is no valid TOML: {error}") from None
    return convert(data, Config, source)


def convert(data: Any, settings_type: type[SettingsT], source: str, prefix: str = "") -> SettingsT:
    """Fit parsed data to a settings class; `prefix` is the key of the table it came from.

    Raises:
        ConfigError: one line with the source, the key and what was expected there.
    """
    try:
        return msgspec.convert(data, settings_type)
    except msgspec.ValidationError as error:
        from biostudio_doctor.config.errors import explain

        key, problem = explain(str(error), settings_type, data)
        raise ConfigError(
            source, ".".join(part for part in (prefix, key) if part), problem
        ) from None


def _read(path: Path) -> str:
    try:
        if not path.is_file():
            problem = "is no regular file" if path.exists() else "does not exist"
            raise ConfigError(str(path), "", f"the configuration file {problem}")
        return path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(str(path), "", f"is no UTF-8 text (byte {error.start})") from None
    except OSError as error:
        raise ConfigError(str(path), "", f"cannot be read: {error.strerror}") from None
    except ValueError as error:  # a NUL byte in the path
        raise ConfigError(repr(str(path)), "", str(error)) from None
