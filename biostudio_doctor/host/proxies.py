"""Every place of a host that may name a proxy, read without asking any proxy.

User names and passwords are stripped where a value is read; what is handed on has none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING

from msgspec import Struct

from biostudio_doctor.host import docker, dotfiles, units
from biostudio_doctor.host.proxy_files import (
    VARIABLES,
    parse_apt,
    parse_dnf,
    parse_docker_config,
    parse_shell,
    parse_sysconfig,
)
from biostudio_doctor.host.routes import parse_routes

if TYPE_CHECKING:
    from biostudio_doctor.host import Host

THIS_ENVIRONMENT = "this environment"

_ADDRESSES = 8  # of this host that are looked at
_SHELL_FILES = ("/etc/profile", "/etc/bash.bashrc", "/etc/bashrc")
_USER_FILES = (".profile", ".bash_profile", ".bashrc")


class Setting(Struct, frozen=True, kw_only=True):
    """One proxy, as one place names it."""

    name: str  # as it is called there: HTTPS_PROXY, Acquire::http::Proxy
    place: str  # a file, or THIS_ENVIRONMENT
    url: str = ""  # scheme, host and port; '' where it makes no sense or is put together by a shell
    authenticated: bool = False  # with a user name
    socks: bool = False
    problem: str = ""  # why it makes no sense, in words that follow the name

    @property
    def words(self) -> str:
        """HTTPS_PROXY in /etc/environment (http://proxy:3128)."""
        return f"{self.name} in {self.place}" + (f" ({self.url})" if self.url else "")


class Reach(Struct, frozen=True, kw_only=True):
    """An address of this host, and who would go to it through the proxy."""

    address: str
    proxied_by: tuple[str, ...] = ()
    by_range: bool = False  # exempt as a part of a range (CIDR) only


class EngineProxy(Struct, frozen=True, kw_only=True):
    """The proxy of a container engine."""

    name: str  # dockerd or containerd
    unit: str
    setting: Setting | None = None  # by its files
    running: str | None = None  # its own word: '' for none, None if it was not asked
    unread: tuple[str, ...] = ()  # files of the unit that this user may not read


class ProxyFacts(Struct, frozen=True, kw_only=True):
    """All proxy settings of a host."""

    environment_seen: bool  # False where another machine's file system was looked at
    by_sudo: bool = False
    environment: tuple[Setting, ...] = ()
    contradictions: tuple[str, ...] = ()  # lower-case names whose two cases have different values
    no_proxy: str = ""
    reaches: tuple[Reach, ...] = ()
    elsewhere: tuple[Setting, ...] = ()
    for_containers: tuple[Setting, ...] = ()  # that the docker command hands to containers
    engine: EngineProxy | None = None

    @property
    def exempt(self) -> tuple[str, ...]:
        """The entries of no_proxy, without what no program could match, such as a line end."""
        entries = (entry.strip() for entry in self.no_proxy.split(","))
        return tuple(entry for entry in entries if entry and entry.isprintable())

    @property
    def in_force(self) -> Setting | None:
        """What counts for https:// here, as for curl and Python.

        Lower case goes before upper case, even where it is empty.
        """
        by_name = {setting.name: setting for setting in self.environment}
        for variable in ("https_proxy", "all_proxy"):
            emptied = variable in self.contradictions and variable not in by_name
            found = by_name.get(variable) or by_name.get(variable.upper())
            if found and not emptied:
                return found
        return None


def look(host: Host, environ: Mapping[str, str]) -> ProxyFacts:
    """Read all of them; `environ` is that of whoever will run the programs."""
    own = tuple(_environment(environ))
    elsewhere = tuple(others(host, environ))
    containers = tuple(_docker_config(host, environ))
    engine = _engine(host, environ, ask=any((own, elsewhere, containers)))
    return ProxyFacts(
        environment_seen=host.is_local or bool(environ),
        by_sudo="SUDO_USER" in environ,
        environment=own,
        contradictions=tuple(_contradictions(environ)),
        no_proxy=environ.get("no_proxy") or environ.get("NO_PROXY") or "",
        reaches=tuple(_reaches(host, environ)) if own else (),
        elsewhere=elsewhere,
        for_containers=containers,
        engine=engine,
    )


def others(host: Host, environ: Mapping[str, str]) -> Iterator[Setting]:
    """The proxies that are named outside this environment, for shells and for single programs."""
    for path in ("/etc/environment", *_SHELL_FILES, *_profiles(host)):
        yield from _of_shell(path, host.read_if_any(path) or "")
    for name in _USER_FILES:
        path = f"{dotfiles.home(environ)}/{name}"
        yield from _of_shell(path, host.read_if_any(path) or "")
    yield from _of_packages(host)
    yield from _of_programs(host, environ)


def setting(name: str, place: str, value: str) -> Setting:
    """What a value means, without the secrets in it."""
    from biostudio_doctor.probes import proxy

    if "$" in value:
        return Setting(name=name, place=place)
    try:
        found = proxy.parse(value)
    except proxy.UnsupportedProxyError as error:
        return Setting(name=name, place=place, problem=str(error), socks=True)
    except ValueError as error:  # its words are ours, and repeat nothing of the value
        return Setting(name=name, place=place, problem=str(error))
    return Setting(name=name, place=place, url=found.url, authenticated=found.authenticated)


# --- This environment -----------------------------------------------------------------------------


def _environment(environ: Mapping[str, str]) -> Iterator[Setting]:
    for variable in VARIABLES:
        for name in (variable, variable.upper()):
            if environ.get(name):
                yield setting(name, THIS_ENVIRONMENT, environ[name])


def _contradictions(environ: Mapping[str, str]) -> Iterator[str]:
    for name in (*VARIABLES, "no_proxy"):
        if name in environ and environ.get(name.upper(), environ[name]) != environ[name]:
            yield name


def _reaches(host: Host, environ: Mapping[str, str]) -> Iterator[Reach]:
    """Who would go to this very host through the proxy, for all its names and addresses."""
    from biostudio_doctor.probes import proxy

    listed = (environ.get("no_proxy", ""), environ.get("NO_PROXY", ""))
    plain = [",".join(part for part in one.split(",") if "/" not in part) for one in listed]
    without_ranges = {**environ, "no_proxy": plain[0], "NO_PROXY": plain[1]}
    without_ranges = {name: value for name, value in without_ranges.items() if name in environ}
    for address in ("localhost", "127.0.0.1", *own_addresses(host)):
        exempt, plainly = (
            [name for name, exempts in proxy.ROUTERS.items() if exempts(variables, address, 80)]
            for variables in (environ, without_ranges)
        )
        by_range = "curl" in exempt and "curl" not in plainly
        if by_range and _curl_knows_no_ranges(host):
            exempt.remove("curl")
        proxied_by = tuple(name for name in proxy.ROUTERS if name not in exempt)
        yield Reach(address=address, proxied_by=proxied_by, by_range=by_range)


def _curl_knows_no_ranges(host: Host) -> bool:
    """Whether curl here is older than 7.86 (CURLOPT_NOPROXY(3)); asked only if it matters."""
    try:
        said = host.run(["curl", "--version"], timeout=2).stdout
    except OSError:  # there is none here, or it cannot be asked
        return False
    version = re.match(r"curl (\d+)\.(\d+)", said)
    return version is not None and (int(version[1]), int(version[2])) < (7, 86)


def own_addresses(host: Host) -> list[str]:
    """The IPv4 addresses of this host on its networks, without those of container engines."""
    routes = parse_routes(host.read_if_any(f"{host.process}/net/route") or "")
    engines = [IPv4Network(route.network) for route in routes if route.of_engine]
    table = host.read_if_any(f"{host.process}/net/fib_trie") or ""
    return [
        address
        for address in parse_local_addresses(table)
        if not any(IPv4Address(address) in network for network in engines)
    ][:_ADDRESSES]


def parse_local_addresses(table: str) -> list[str]:
    """The addresses that /proc/net/fib_trie calls LOCAL, without loopback and link-local ones."""
    found: dict[str, None] = {}
    for match in re.finditer(r"\|-- ([0-9.]{7,15})\n\s+/32 host LOCAL", table):
        try:
            address = IPv4Address(match[1])
        except ValueError:
            continue
        if not (address.is_loopback or address.is_link_local):
            found[str(address)] = None
    return list(found)


# --- Files ----------------------------------------------------------------------------------------


def _of_shell(path: str, text: str) -> Iterator[Setting]:
    for name, value in parse_shell(text).items():
        yield setting(name, path, value)


def _profiles(host: Host) -> Iterator[str]:
    for name in host.listdir_if_any("/etc/profile.d"):
        if name.endswith(".sh"):
            yield f"/etc/profile.d/{name}"


def _of_packages(host: Host) -> Iterator[Setting]:
    apt = [f"/etc/apt/apt.conf.d/{name}" for name in host.listdir_if_any("/etc/apt/apt.conf.d")]
    readers: dict[str, Callable[[str], dict[str, str]]] = {
        **dict.fromkeys([*apt, "/etc/apt/apt.conf"], parse_apt),
        "/etc/dnf/dnf.conf": parse_dnf,
        "/etc/yum.conf": parse_dnf,
        "/etc/sysconfig/proxy": parse_sysconfig,
    }
    seen = set()
    for path, parse in readers.items():
        place = host.real_path(path)  # yum.conf is a link to dnf.conf
        if place in seen:
            continue
        seen.add(place)
        for name, value in parse(host.read_if_any(path) or "").items():
            yield setting(name, path, value)


def _of_programs(host: Host, environ: Mapping[str, str]) -> Iterator[Setting]:
    given = {name: value for name, value in environ.items() if value}
    root = given.get("CONDA_EXE", "").rpartition("/bin/")[0]
    for file in dotfiles.condarcs(host, given, root):
        for name, value in file.values.items():
            if name.startswith("proxy_servers."):
                yield setting(name, file.path, value)
    curl = dotfiles.curlrc(host, given)
    for file in [*dotfiles.pip_files(host, given), *([curl] if curl else [])]:
        if "proxy" in file.values:
            yield setting("proxy", file.path, file.values["proxy"])


def _docker_config(host: Host, environ: Mapping[str, str]) -> Iterator[Setting]:
    """What the docker command puts into the environment of every container it makes."""
    directory = environ.get("DOCKER_CONFIG") or f"{dotfiles.home(environ)}/.docker"
    path = f"{directory}/config.json"
    for name, value in parse_docker_config(host.read_if_any(path) or "").items():
        yield setting(name, path, value)


# --- Engines --------------------------------------------------------------------------------------


def _engine(host: Host, environ: Mapping[str, str], *, ask: bool) -> EngineProxy | None:
    """The engine that pulls images here; it is asked itself only where there is some proxy."""
    engine = units.engine(host)
    if engine is None:
        return None
    name, unit = engine
    found = _daemon_setting(host, unit) if name == "dockerd" else None
    found = found or _unit_setting(host, unit)
    return EngineProxy(
        name=name,
        unit=unit,
        setting=found,
        running=_running(host, environ) if name == "dockerd" and (ask or found) else None,
        unread=tuple(units.unreadable(host, unit)),
    )


def _daemon_setting(host: Host, unit: str) -> Setting | None:
    """daemon.json goes before the environment (docs.docker.com, "Daemon proxy configuration")."""
    path = docker.daemon(host, snap=unit.startswith("snap.")).config_file
    try:
        proxies = docker.parse_config(host.read(path)).get("proxies")
    except (OSError, ValueError):
        return None
    value = proxies.get("https-proxy") if isinstance(proxies, dict) else None
    return setting("https-proxy", path, value) if isinstance(value, str) and value else None


def _unit_setting(host: Host, unit: str) -> Setting | None:
    """Go takes HTTPS_PROXY first, its lower case next, and ALL_PROXY never."""
    names = ("HTTPS_PROXY", "https_proxy")
    found = units.environment(host, unit, names)
    if not units.exists(host, unit):
        for path in ("/etc/default/docker", "/etc/conf.d/docker", "/etc/sysconfig/docker"):
            found |= parse_shell(host.read_if_any(path) or "")
    return next((setting(name, unit, found[name]) for name in names if found.get(name)), None)


def _running(host: Host, environ: Mapping[str, str]) -> str | None:
    engine = docker.find(host, environ, None)
    if engine is None or engine.info is None or not engine.system:
        return None
    value = engine.info.https_proxy
    return (setting("", "", value).url or value) if value else ""
