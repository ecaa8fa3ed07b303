"""What is wrong with a configuration, in words for a person."""

import re
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
from msgspec import Struct

from biostudio_doctor.config.values import Secret

_WORDS = {
    "str": "a text", "int": "a whole number", "float": "a number", "bool": "true or false",
    "object": "a table", "array": "a list", "null": "nothing", "datetime": "a date",
}  # fmt: skip


def explain(message: str, settings_type: type[Struct], data: Any) -> tuple[str, str]:
    """Turn msgspec's message into a key and a sentence for a person, values of secrets left out."""
    problem, _, where = message.partition(" - at ")
    key = re.sub(r"\[(?:\.\.\.|(\d+))\]", r"[\1]", where.strip("`").removeprefix("$").lstrip("."))
    key = key.replace("[]", "").replace("`", "")
    unknown = re.match(r"Object contains unknown field `(.*)`", problem, re.DOTALL)
    if unknown:
        return _unknown_key(unknown[1], key, settings_type)
    if _type_at(settings_type, key) is Secret and problem.startswith("Expected"):
        return key, 'expected { file = "/path" } or { env = "NAME" }, never the secret itself'
    if problem.startswith("Invalid enum value"):
        options = _options(settings_type, key)
        return key, f"expected {options}, not {_value(data, key)!r}"
    problem = re.sub(r"`([^`]*)`", lambda found: _plain(found[1]), problem)
    problem = re.sub(r"matching regex '\^(\w+)s\?.*'", r"starting with \1:// or \1s://", problem)
    problem = re.sub(r"matching regex '\^/.*'", "starting with '/', without NUL bytes", problem)
    return key, problem[:1].lower() + problem[1:]


def _unknown_key(name: str, table: str, settings_type: type[Struct]) -> tuple[str, str]:
    known = _fields(settings_type, table)
    import difflib

    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean '{close[0]}'?" if close else f"known here: {', '.join(known) or 'none'}"
    return (f"{table}.{name}" if table else name), f"unknown key; {hint}"


def _fields(settings_type: type[Struct], table: str) -> list[str]:
    """The keys that a table may have."""
    found = _type_at(settings_type, table)
    is_table = isinstance(found, type) and issubclass(found, Struct)
    return [item.encode_name for item in msgspec.structs.fields(found)] if is_table else []


def _type_at(settings_type: type[Struct], key: str) -> Any:
    """What stands at a key such as `datasources.nfs[0].server`, without None and constraints."""
    found: Any = settings_type
    for part in filter(None, re.sub(r"\[\d*\]", "", key).split(".")):
        is_table = isinstance(found, type) and issubclass(found, Struct)
        fields = msgspec.structs.fields(found) if is_table else ()
        found = next((_bare(item.type) for item in fields if item.encode_name == part), None)
    return found


def _bare(annotation: Any) -> Any:
    """The type itself: of an optional or annotated one, or of the members of a list."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Annotated, tuple):
        return _bare(arguments[0])
    if origin in (Union, UnionType):
        return _bare(next(one for one in arguments if one is not NoneType))
    return annotation


def _plain(types: str) -> str:
    """Names of types, such as "str | null", as words; TOML has no null that one could write."""
    names = [name for name in types.split(" | ") if name != "null" or types == "null"]
    return " or ".join(_WORDS.get(name, name) for name in names)


def _options(settings_type: type[Struct], key: str) -> str:
    """The values that an enumerated key may have."""
    annotation = _type_at(settings_type, key)
    values = get_args(annotation) if get_origin(annotation) is Literal else ()
    return " or ".join(f"'{value}'" for value in values) or "another value"


def _value(data: Any, key: str) -> Any:
    for part in re.findall(r"[^.\[\]]+", key):
        if isinstance(data, list) and part.isdigit():
            data = data[int(part)]
        else:
            data = data.get(part, "") if isinstance(data, dict) else ""
    return data
