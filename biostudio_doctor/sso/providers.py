"""Identity providers that the document names, with what they publish: see sso_providers.toml."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import msgspec
from msgspec import Struct

from biostudio_doctor import endpoints

DATA_FILE = Path(__file__).parent.with_name("sso_providers.toml")

#: A host name, and what a tenant of AzureAD may be: a name, a number (UUID), or a domain.
_DOMAIN = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})+")
_WORD = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*")
_PATTERNS = {"domain": _DOMAIN, "tenant": _WORD}
_LIMIT = 253

#: Other names that people use.
_ALIASES = {"azure": "azuread", "entra": "azuread", "microsoft": "azuread", "x": "twitter"}


class Preset(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One provider as the data file has it; {parameter} is still to be put in."""

    title: str
    server: tuple[str, ...]
    browser: tuple[str, ...]
    source: str
    former: tuple[str, ...] = ()
    discovery: str = ""
    issuer: str = ""
    parameter: str = ""  # "domain" or "tenant"; '' where there is nothing to say
    default: str = ""


class Provider(Struct, frozen=True, kw_only=True):
    """One provider with all its addresses."""

    name: str  # as in the configuration, such as azuread=contoso.com
    title: str
    server: tuple[str, ...]  # what the BioStudio host asks
    browser: tuple[str, ...]  # what users' browsers open
    former: tuple[str, ...] = ()  # what the host may ask instead
    discovery: str = ""
    issuer: str = ""  # '*' stands for one part of a path


def load() -> dict[str, Preset]:
    """All that are known, by name."""
    return msgspec.convert(tomllib.loads(DATA_FILE.read_text("utf-8")), dict[str, Preset])


def find(text: str) -> Provider:
    """Understand NAME or NAME=VALUE, such as github or okta=example.okta.com.

    Raises:
        ValueError: one line that says what is wrong, and what is known.
    """
    presets, shown = load(), repr(endpoints.without_user(text))
    name, separator, value = (part.strip() for part in text.partition("="))
    name = name.lower()
    preset = presets.get(_ALIASES.get(name, name))
    if not preset:
        raise ValueError(f"{shown} is unknown; known are {', '.join(map(_usage, presets.items()))}")
    wanted = preset.parameter
    if separator and not wanted:
        raise ValueError(f"{shown}: {name} takes no value after its name")
    value = value or preset.default
    if wanted and not (len(value) <= _LIMIT and _PATTERNS[wanted].fullmatch(value)):
        raise ValueError(f"{shown}: expected {name}={wanted.upper()}, {_EXAMPLES[wanted]}")

    def filled(urls: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(url.replace("{parameter}", value) for url in urls)

    return Provider(
        name=text.strip(),
        title=preset.title + (f" {value}" if wanted and value != preset.default else ""),
        server=filled(preset.server),
        browser=filled(preset.browser),
        former=filled(preset.former),
        discovery=filled((preset.discovery,))[0],
        issuer=filled((preset.issuer,))[0],
    )


_EXAMPLES = {
    "domain": "such as okta=example.okta.com (name a custom authorization server under "
    "[[sso.oidc]])",
    "tenant": "such as azuread=contoso.onmicrosoft.com",
}


def _usage(item: tuple[str, Preset]) -> str:
    name, preset = item
    if not preset.parameter:
        return name
    word = f"={preset.parameter.upper()}"
    return f"{name}[{word}]" if preset.default else f"{name}{word}"


def is_issuer(pattern: str, issuer: str) -> bool:
    """Whether an issuer is the one of a preset."""
    parts = (re.escape(part) for part in pattern.split("*"))
    return re.fullmatch("[^/]+".join(parts), issuer) is not None
