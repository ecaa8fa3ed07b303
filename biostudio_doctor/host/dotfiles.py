"""Settings of conda, pip and curl for the network: where their files are, and the few keys we need.

None of them is read as a whole: they may hold tokens and passwords, and what is not asked for by
name is not looked at. Values are as they stand there, with the secrets in them; who keeps or shows
one strips it first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from biostudio_doctor.host import Host

#: From a text to its settings and what could not be read of them.
Parse = Callable[[str], tuple[dict[str, str], str]]

_YAML = (".yml", ".yaml")
_UNREAD = "in a form that this tool does not read"


class DotFile(NamedTuple):
    """A settings file that exists."""

    path: str
    values: Mapping[str, str]
    problem: str = ""  # why it, or a part of it, could not be read
    broken: bool = False  # its program cannot read it either


def home(environ: Mapping[str, str]) -> str:
    """The home directory of whoever runs this, root's where that is not known."""
    return environ.get("HOME", "").rstrip("/") or "/root"


# --- conda ----------------------------------------------------------------------------------------


def condarcs(host: Host, environ: Mapping[str, str], root: str) -> list[DotFile]:
    """Those that exist, in the order in which conda reads them: a later one goes before.

    `root` is where conda itself is installed, '' if it is nowhere (docs.conda.io, "Searching for
    .condarc").
    """
    paths = list(_condarc_paths(host, environ, root))
    return list(_read_all(host, paths, parse_condarc))


def parse_condarc(text: str) -> tuple[dict[str, str], str]:
    """`ssl_verify` and `proxy_servers` ("proxy_servers.https"), and what could not be read.

    This is no YAML parser: it reads the plain one-line forms that conda itself writes, and says so
    where it meets another.
    """
    values: dict[str, str] = {}
    problems: list[str] = []
    table = ""
    for line in text.splitlines():
        found = _KEY.fullmatch(line)
        if not found or line.lstrip().startswith("#"):
            continue
        indent, name, value = found["indent"], found["name"].strip("\"'"), _scalar(found["value"])
        if not indent:
            table = name
        key = name if not indent else f"{table}.{name}"
        if key == "verify_ssl":  # an older name
            key = "ssl_verify"
        if key != "ssl_verify" and not key.startswith("proxy_servers"):
            continue
        if value is None:
            problems.append(f"{key} stands there {_UNREAD}")
        elif value:
            values[key] = value
    return values, ", ".join(dict.fromkeys(problems))


_KEY = re.compile(
    r"(?P<indent>[ ]*)(?P<name>\"[^\"]*\"|'[^']*'|[^\s:#\"'-][^\s:#]*(?:://[^\s:]+)?)\s*:"
    r"(?P<value>\s.*)?"
)


def _scalar(text: str | None) -> str | None:
    """A plain or quoted value without its comment; None for anything else."""
    text = (text or "").strip()
    quoted = re.fullmatch(r"\"([^\"\\]*)\"\s*(?:#.*)?|'([^']*)'\s*(?:#.*)?", text)
    if quoted:
        return quoted[1] or quoted[2] or ""
    plain = re.split(r"(?:^|\s)#", text, maxsplit=1)[0].strip()
    return None if plain[:1] and plain[0] in "[{&*!|>\"'%@`" else plain


def _condarc_paths(host: Host, environ: Mapping[str, str], root: str) -> Iterator[str]:
    user = home(environ)
    prefix = environ.get("CONDA_PREFIX", "").rstrip("/")
    config = environ.get("XDG_CONFIG_HOME", "").rstrip("/") or f"{user}/.config"
    for place in filter(None, ("/etc/conda", "/var/lib/conda", root, f"{config}/conda",
                               f"{user}/.conda")):  # fmt: skip
        yield from _condarcs_in(host, place)
    yield f"{user}/.condarc"
    if prefix:
        yield from _condarcs_in(host, prefix)
    if environ.get("CONDARC"):
        yield environ["CONDARC"]


def _condarcs_in(host: Host, place: str) -> Iterator[str]:
    yield from (f"{place}/.condarc", f"{place}/condarc")
    for name in host.listdir_if_any(f"{place}/condarc.d"):
        if name.endswith(_YAML):
            yield f"{place}/condarc.d/{name}"


# --- pip ------------------------------------------------------------------------------------------


def pip_files(host: Host, environ: Mapping[str, str]) -> list[DotFile]:
    """Those that exist, in the order in which pip reads them: a later one goes before.

    pip.pypa.io, "Configuration"; PIP_CONFIG_FILE replaces the user's own.
    """
    user, named = home(environ), environ.get("PIP_CONFIG_FILE", "")
    if named == "/dev/null":  # os.devnull: no file at all
        return []
    config = environ.get("XDG_CONFIG_HOME", "").rstrip("/") or f"{user}/.config"
    shared = [place for place in environ.get("XDG_CONFIG_DIRS", "").split(":") if place]
    paths = [f"{place}/pip/pip.conf" for place in shared or ["/etc/xdg"]]
    paths.append("/etc/pip.conf")
    if not (named and host.exists(named)):
        paths += [f"{user}/.pip/pip.conf", f"{config}/pip/pip.conf"]
    if environ.get("VIRTUAL_ENV"):
        paths.append(f"{environ['VIRTUAL_ENV'].rstrip('/')}/pip.conf")
    return list(_read_all(host, [*paths, *([named] if named else [])], parse_pip))


def parse_pip(text: str) -> tuple[dict[str, str], str]:
    """`cert`, `proxy` and `trusted-host` as `pip install` sees them.

    Raises:
        ValueError: where pip itself stops at it; nothing of the file is repeated.
    """
    import configparser

    parser = configparser.RawConfigParser()
    try:
        parser.read_string(text)
    except configparser.Error as error:
        line = getattr(error, "lineno", None) or next(iter(getattr(error, "errors", ())), [0])[0]
        raise ValueError(f"it is no valid INI file (line {line})") from None
    values: dict[str, str] = {}
    for section in ("global", "install"):
        if parser.has_section(section):
            values |= {
                key.replace("_", "-"): value.strip()
                for key, value in parser.items(section)
                if key.replace("_", "-") in ("cert", "proxy", "trusted-host") and value.strip()
            }
    return values, ""


# --- curl -----------------------------------------------------------------------------------------


def curlrc(host: Host, environ: Mapping[str, str]) -> DotFile | None:
    """The one that curl reads, the first of several (curl(1), --config)."""
    user, config = home(environ), environ.get("XDG_CONFIG_HOME", "")
    places = [environ.get("CURL_HOME", ""), f"{config}/curlrc" if config else "", user]
    paths = [path if path.endswith("/curlrc") else f"{path}/.curlrc" for path in places if path]
    paths.append(f"{user}/.config/curlrc")
    return next(_read_all(host, paths, parse_curlrc), None)


def parse_curlrc(text: str) -> tuple[dict[str, str], str]:
    """`insecure` (with the value "on"), `cacert`, `capath` and `proxy`."""
    values: dict[str, str] = {}
    for line in text.splitlines():
        found = re.fullmatch(r"\s*(-{0,2})([A-Za-z0-9-]+)(?:\s*[=:]\s*|\s+|$)(.*)", line)
        if not found:
            continue
        dashes, name, value = found.groups()
        if dashes == "-":
            name = {"k": "insecure", "x": "proxy"}.get(name, "")
        if name in ("insecure", "no-insecure"):
            values["insecure"] = "on" if name == "insecure" else ""
        elif name in ("cacert", "capath", "proxy"):
            quoted = re.match(r'"((?:[^"\\]|\\.)*)"', value)
            values[name] = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else value.split(" ")[0]
    return {name: value for name, value in values.items() if value}, ""


def _read_all(host: Host, paths: list[str], parse: Parse) -> Iterator[DotFile]:
    for path in dict.fromkeys(paths):
        if not host.exists(path):
            continue
        try:
            values, problem = parse(host.read(path))
        except OSError as error:
            yield DotFile(path, {}, f"it cannot be read ({error.strerror})")
        except ValueError as error:  # its words are ours
            yield DotFile(path, {}, str(error), broken=True)
        else:
            yield DotFile(path, values, problem)
