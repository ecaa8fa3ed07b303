"""The configuration file: what may stand in it, and one clear line for whatever may not.

The classes are the reference: their descriptions become `config init` and docs/configuration.md.
"""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import msgspec
from msgspec import Meta, Struct, field, structs

from biostudio_doctor.errors import ConfigError

Role = Literal["all-in-one", "bioproxy", "biostudio"]
Phase = Literal["preinstall", "running"]
Platform = Literal["docker", "kubernetes"]

ROLES: tuple[str, ...] = get_args(Role)
PHASES: tuple[str, ...] = get_args(Phase)
PLATFORMS: tuple[str, ...] = get_args(Platform)

#: Read when no --config is given and it exists.
DEFAULT_FILE = Path("/etc/biostudio-doctor/config.toml")

AbsolutePath = Annotated[str, Meta(pattern=r"^/[^\x00]*$")]
PortNumber = Annotated[int, Meta(ge=1, le=65535)]


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the configuration. A check's own settings derive from it."""


class StorageConfig(Settings, frozen=True, kw_only=True):
    """Where the three storage tiers are, or will be. They need not exist yet."""

    app: Annotated[
        AbsolutePath | None, Meta(description="APP-STORAGE, mounted at /appdata in BioStudio.")
    ] = None
    metadata: Annotated[
        AbsolutePath | None, Meta(description="METADATA-STORAGE, for bioproxy's databases.")
    ] = None
    user: Annotated[
        AbsolutePath | None, Meta(description="USER-STORAGE, mounted at /home in BioStudio.")
    ] = None


class PortsConfig(Settings, frozen=True, kw_only=True):
    """The two ports that the document lets you change."""

    http: Annotated[PortNumber, Meta(description="The port of the HTTP front.")] = 80
    https: Annotated[PortNumber, Meta(description="The port of the HTTPS front.")] = 443


class Config(Settings, frozen=True, kw_only=True):
    """Everything a configuration file may say."""

    role: Annotated[Role, Meta(description="What this machine will run.")] = "all-in-one"
    phase: Annotated[
        Phase, Meta(description="Before the installation, or with the services running.")
    ] = "preinstall"
    platform: Annotated[Platform, Meta(description="What the containers run on.")] = "docker"
    profile: Annotated[
        str, Meta(description="Which requirements: 'published' or 'vendor-installer'.")
    ] = "published"
    timeout: Annotated[
        Annotated[float, Meta(gt=0, le=86400)] | None,
        Meta(description="Seconds that any check may take, instead of its own timeout."),
    ] = None
    skip: Annotated[
        tuple[str, ...], Meta(description="Checks to leave out, by id or glob such as 'gpu.*'.")
    ] = ()
    storage: StorageConfig = field(default_factory=StorageConfig)
    ports: PortsConfig = field(default_factory=PortsConfig)
    certificates: Annotated[
        tuple[str, ...],
        Meta(description="Certificates to watch: files (/path/tls.crt) or endpoints (host:443)."),
    ] = ()
    checks: Annotated[
        dict[str, dict[str, Any]],
        Meta(description="Settings of single checks; `explain ID` tells what each one has."),
    ] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.certificates:
            from biostudio_doctor import endpoints

            for watched in self.certificates:
                try:
                    endpoints.check_watched(watched)
                except ValueError as error:
                    raise ValueError(f"certificates: {error}") from None


def load(path: Path | None, overrides: Mapping[str, Any] | None = None) -> Config:
    """Read the configuration, or the defaults where no file is named and none is installed.

    `overrides` are keys that the command line sets instead.

    Raises:
        ConfigError: if a named file is missing, or the file cannot be read or understood.
    """
    if path is None and _is_there(DEFAULT_FILE):
        path = DEFAULT_FILE
    config = parse(_read(path), str(path)) if path else Config()
    given = convert(overrides or {}, Config, "command line")
    return structs.replace(config, **{key: getattr(given, key) for key in overrides or {}})


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


SettingsT = TypeVar("SettingsT", bound=Settings)


def convert(data: Any, settings_type: type[SettingsT], source: str, prefix: str = "") -> SettingsT:
    """Fit parsed data to a settings class; `prefix` is the key of the table it came from.

    Raises:
        ConfigError: one line with the source, the key and what was expected there.
    """
    try:
        return msgspec.convert(data, settings_type)
    except msgspec.ValidationError as error:
        key, problem = _explain(str(error), settings_type, data)
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


_WORDS = {
    "str": "a text", "int": "a whole number", "float": "a number", "bool": "true or false",
    "object": "a table", "array": "a list", "null": "nothing", "datetime": "a date",
}  # fmt: skip


def _explain(message: str, settings_type: type[Struct], data: Any) -> tuple[str, str]:
    """Turn msgspec's message into a key and a sentence for a person."""
    problem, _, where = message.partition(" - at ")
    key = re.sub(r"\[(?:\.\.\.|(\d+))\]", r"[\1]", where.strip("`").removeprefix("$").lstrip("."))
    key = key.replace("[]", "").replace("`", "")
    unknown = re.match(r"Object contains unknown field `(.*)`", problem, re.DOTALL)
    if unknown:
        return _unknown_key(unknown[1], key, settings_type)
    if problem.startswith("Invalid enum value"):
        options = _options(settings_type, key)
        return key, f"expected {options}, not {_value(data, key)!r}"
    problem = re.sub(r"`([^`]*)`", lambda found: _plain(found[1]), problem)
    problem = re.sub(r"matching regex '\^/.*'", "starting with '/', without NUL bytes", problem)
    return key, problem[:1].lower() + problem[1:]


def _unknown_key(name: str, table: str, settings_type: type[Struct]) -> tuple[str, str]:
    known = _fields(settings_type, table)
    import difflib

    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean '{close[0]}'?" if close else f"known here: {', '.join(known) or 'none'}"
    return (f"{table}.{name}" if table else name), f"unknown key; {hint}"


def _fields(settings_type: Any, table: str) -> list[str]:
    for part in filter(None, table.split(".")):
        for item in msgspec.structs.fields(settings_type):
            if item.encode_name == part:
                settings_type = item.type
    return [item.encode_name for item in msgspec.structs.fields(settings_type)]


def _plain(types: str) -> str:
    """Names of types, such as "str | null", as words; TOML has no null that one could write."""
    names = [name for name in types.split(" | ") if name != "null" or types == "null"]
    return " or ".join(_WORDS.get(name, name) for name in names)


def _options(settings_type: type[Struct], key: str) -> str:
    """The values that an enumerated key may have."""
    annotation: Any = next(
        (item.type for item in msgspec.structs.fields(settings_type) if item.encode_name == key),
        None,
    )
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    values = get_args(annotation) if get_origin(annotation) is Literal else ()
    return " or ".join(f"'{value}'" for value in values) or "another value"


def _value(data: Any, key: str) -> Any:
    for part in key.split("."):
        data = data.get(part, "") if isinstance(data, dict) else ""
    return data
