"""Reference pages, generated from the code: for `explain`, `config init` and docs/."""

import inspect
from typing import Annotated, Any, get_args, get_origin

import msgspec
from msgspec import Meta, Struct

from biostudio_doctor import requirements
from biostudio_doctor.check import Check
from biostudio_doctor.config import Config, Settings


def check_page(check: type[Check[Any]]) -> str:
    """One check's page, in Markdown that reads well as plain text."""
    title, _, body = (inspect.getdoc(check) or check.id).partition("\n")
    parts = [f"# {check.id}: {title.rstrip('.')}", inspect.cleandoc(body)]
    parts += [_requirements(check), _runs(check), _settings(check)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _requirements(check: type[Check[Any]]) -> str:
    published = requirements.load()
    vendor = requirements.load("vendor-installer")
    lines = []
    for requirement_id in check.requirement_ids:
        found = published.get(requirement_id)
        for requirement in filter(None, (found, vendor.get(requirement_id))):
            if requirement is not found and requirement == found:
                continue
            line = f'- {requirement.strength}: "{requirement.says}" ({requirement.source}, '
            line += f"{requirement.section})"
            line += f". {requirement.note}" if requirement.note else ""
            lines.append(line)
    return "Requirement:\n\n" + "\n".join(lines) if lines else ""


def _runs(check: type[Check[Any]]) -> str:
    words = [f"timeout {check.timeout.total_seconds():g} s",
             f"interval {check.interval.total_seconds():g} s"]  # fmt: skip
    words += [f"phase {' or '.join(check.phases)}"] if len(check.phases) == 1 else []
    words += ["not with --offline"] if check.network else []
    words += ["only with --deep"] if check.deep else []
    return f"Runs: {', '.join(words)}."


def _settings(check: type[Check[Any]]) -> str:
    rows = setting_rows(check.Settings)
    if not rows:
        return ""
    lines = [
        f"- `{name}` (default {default}): {description}" for name, default, description in rows
    ]
    return f'Settings, in the table `[checks."{check.id}"]`:\n\n' + "\n".join(lines)


def setting_rows(settings: type[Struct]) -> list[tuple[str, str, str]]:
    """Name, default as TOML and description of each key of a table."""
    rows = []
    for item in msgspec.structs.fields(settings):
        default = item.default
        if default is msgspec.NODEFAULT and item.default_factory is not msgspec.NODEFAULT:
            default = item.default_factory()
        if isinstance(default, Settings) or _is_repeated_table(item.type):
            continue
        rows.append((item.encode_name, toml_value(default), description(item.type)))
    return rows


def _is_repeated_table(annotation: Any) -> bool:
    return get_origin(annotation) is tuple and _is_table(get_args(annotation)[0])


def _is_table(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Settings)


def description(annotation: Any) -> str:
    """The description in an `Annotated[..., Meta(description=...)]`."""
    if get_origin(annotation) is Annotated:
        for meta in get_args(annotation)[1:]:
            if isinstance(meta, Meta) and meta.description:
                return meta.description
    return ""


def toml_value(value: Any) -> str:
    """A value as TOML writes it; nothing for None, which TOML has not."""
    if value is None or value is msgspec.NODEFAULT:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return msgspec.json.encode(value).decode()
    if isinstance(value, list | tuple):
        return "[" + ", ".join(toml_value(item) for item in value) + "]"
    return "{}" if isinstance(value, dict) else f"{value}"


def schema(model: type[Struct]) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a public Struct."""
    dialect = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": dialect, **msgspec.json.schema(model)}


def config_template() -> str:
    """A configuration file with every key, commented out, its meaning above it."""
    lines = ["# biostudio-doctor: every key with its default. Uncomment what you change.", ""]
    lines += _template_table(Config)
    lines += _template_tables(Config, "")
    lines += [
        "",
        "# Settings of a single check, as `biostudio-doctor explain ID` tells them:",
        '# [checks."certificate.expiry"]',
        "# warn_days = 30",
    ]
    return "\n".join(lines) + "\n"


def _template_tables(settings: type[Struct], prefix: str) -> list[str]:
    """The tables below a table; those that may be given several times are written [[so]]."""
    lines = []
    for item in msgspec.structs.fields(settings):
        repeated = _is_repeated_table(item.type)
        table = get_args(item.type)[0] if repeated else item.type
        if not _is_table(table):
            continue
        name = prefix + item.encode_name
        # What may be repeated is no table until it has a header, so that one is commented out too.
        header = f"# [[{name}]]" if repeated else f"[{name}]"
        lines += ["", f"# {inspect.cleandoc(table.__doc__ or '')}", header]
        lines += _template_table(table) + _template_tables(table, f"{name}.")
    return lines


def _template_table(settings: type[Struct]) -> list[str]:
    lines = []
    for name, default, meaning in setting_rows(settings):
        if default == "{}":
            continue
        lines.append(f"# {meaning}")
        lines.append(f"# {name} = {'...' if default == 'none' else default}")
    return lines
