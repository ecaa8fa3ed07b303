"""The proxies that files of shells, package managers and docker name, each in its own syntax.

Values are as they stand there, with user names and passwords; whoever calls this strips them.
"""

import re

import msgspec
from msgspec import Struct

from biostudio_doctor.host.machine import parse_os_release

#: For whom they count: http_proxy for http:// addresses, the other two for https:// ones.
VARIABLES = ("https_proxy", "http_proxy", "all_proxy")

_ASSIGNMENT = re.compile(
    r"(?:^|[\s;&])((?:https?|all)_proxy)=(\"[^\"\n]*\"|'[^'\n]*'|[^\s;#]*)", re.IGNORECASE
)
#: Strings come before comments, since an address has slashes in it.
_APT_TOKEN = re.compile(
    r"\"([^\"\n]*)\"|//[^\n]*|/\*.*?\*/|#[^\n]*|([{};])|([^\s{};\"]+)", re.DOTALL
)
_CONFIG_KEYS = ("httpsProxy", "httpProxy", "allProxy")  # of docker's config.json


def parse_shell(text: str) -> dict[str, str]:
    """The proxy variables that a shell's file, or /etc/environment, sets; the last one counts."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        if not line.lstrip().startswith("#"):
            found |= {name: value.strip("\"'") for name, value in _ASSIGNMENT.findall(line)}
    return {name: value for name, value in found.items() if value}


def parse_apt(text: str) -> dict[str, str]:
    """Acquire::http::Proxy and Acquire::https::Proxy of an apt.conf(5), in braces or in one."""
    found: dict[str, str] = {}
    scopes: list[str] = []
    words: list[str] = []
    for quoted, mark, word in (match.groups("") for match in _APT_TOKEN.finditer(text)):
        if word:
            words.append(word)
        elif mark == "{":
            scopes.append(words[0] if words else "")
            words = []
        elif mark:
            if mark == "}" and scopes:
                scopes.pop()
            words = []
        elif words:
            name = "::".join([*filter(None, scopes), words[0]])
            if name.lower() in ("acquire::http::proxy", "acquire::https::proxy"):
                found[name] = quoted
            words = []
    return {
        name: value for name, value in found.items() if value.lower() not in ("", "direct", "false")
    }


def parse_dnf(text: str) -> dict[str, str]:
    """`proxy` of the section [main] of dnf.conf(5) or yum.conf(5)."""
    import configparser

    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(text)
    except configparser.Error:
        return {}
    value = parser.get("main", "proxy", fallback="") or ""
    return {} if value.lower() in ("", "_none_") else {"proxy": value}


def parse_sysconfig(text: str) -> dict[str, str]:
    """SUSE's /etc/sysconfig/proxy, which zypper and login shells go by."""
    values = parse_os_release(text)
    if values.get("PROXY_ENABLED", "").lower() != "yes":
        return {}
    names = [name.upper() for name in VARIABLES]
    return {name: values[name] for name in names if values.get(name)}


def parse_docker_config(text: str) -> dict[str, str]:
    """The proxies of a config.json (docs.docker.com, "Configure Docker CLI to use a proxy")."""
    try:
        tables = msgspec.json.decode(text, type=_DockerConfig).proxies or {}
    except (ValueError, RecursionError):
        return {}
    found: dict[str, str] = {}
    for table in tables.values():
        found |= {key: value for key, value in table.items() if key in _CONFIG_KEYS and value}
    return {key: str(value) for key, value in found.items()}


class _DockerConfig(Struct, frozen=True):
    proxies: dict[str, dict[str, str | None]] | None = None
