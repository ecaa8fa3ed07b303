"""Docker Engine, asked through its socket, and Podman where it stands in for it.

The Engine API's /version and /info say what `docker version` and `docker info` do
(docs.docker.com, "Engine API"). Nothing else is asked, and nothing is changed: where systemd holds
the socket and would start the engine at a connection, none is made.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from biostudio_doctor.endpoints import without_user
from biostudio_doctor.host.daemons import Answer, State, http_get
from biostudio_doctor.host.patience import bounded
from biostudio_doctor.host.programs import starts_at_boot

if TYPE_CHECKING:
    from biostudio_doctor.host import Host

SYSTEM_SOCKET = "/var/run/docker.sock"
_PID_FILE = "/run/docker.pid"
_PODMAN_SOCKET = "/run/podman/podman.sock"
_VERSION_TIMEOUT = 3.0  # seconds
_INFO_TIMEOUT = 6.0  # it counts images and containers
_LIVE = ("answers", "silent", "denied", "odd", "asleep")


class Info(Struct, frozen=True, kw_only=True):
    """What an engine says of itself, as far as it concerns BioStudio."""

    storage_driver: str
    backing_filesystem: str = ""
    d_type: bool | None = None  # the file system under it keeps file types in directories
    logging_driver: str = ""
    cgroup_driver: str = ""
    cgroup_version: str = ""
    rootless: bool = False
    userns_remap: bool = False
    runtimes: tuple[str, ...] = ()
    data_root: str = ""
    http_proxy: str = ""  # these three without user name and password
    https_proxy: str = ""
    no_proxy: str = ""
    live_restore: bool = False
    warnings: tuple[str, ...] = ()


class DockerEngine(Struct, frozen=True, kw_only=True):
    """A socket that speaks, or should speak, Docker's API."""

    socket: str
    state: State
    detail: str = ""  # why, unless it answers
    system: bool = False  # the one of the system's service, whichever path leads to it
    podman: bool = False
    version: str = ""
    api_version: str = ""
    containerd_version: str = ""  # of the containerd that it uses
    info: Info | None = None  # None where /info got no answer


class Daemon(Struct, frozen=True, kw_only=True):
    """How the system's own dockerd is set up: its command line and its configuration file."""

    config_file: str  # that is, or would be, read
    config: str = "absent"  # or "read", "denied", "broken"
    problem: str = ""  # what makes it broken
    log_options: tuple[str, ...] | None = None  # names; None where they could not be seen
    runtimes: tuple[str, ...] = ()


def find(host: Host, environment: Mapping[str, str], socket: str | None) -> DockerEngine | None:
    """The engine that commands would reach first: one that lives, else one that is down.

    `socket` is the only one looked at where it is given.
    """
    paths = [socket] if socket else _candidates(host, environment)
    calls = {
        path: partial(_ask, path=path) for path in paths if host.exists(path) or path == socket
    }
    found = bounded(host, calls, _VERSION_TIMEOUT + _INFO_TIMEOUT, "ask")
    engines = [
        engine
        if isinstance(engine, DockerEngine)
        else DockerEngine(socket=path, state="silent", detail="it did not answer in time")
        for path, engine in found.items()
    ]
    live = [engine for engine in engines if engine.state in _LIVE]
    return next(iter(live or engines), None)


def remote(environment: Mapping[str, str]) -> str:
    """DOCKER_HOST where it leads the docker command away from this host's sockets, else ''."""
    value = environment.get("DOCKER_HOST", "").strip()
    return "" if value.startswith("unix://") else without_user(value)


def daemon(host: Host, *, snap: bool) -> Daemon:
    """The settings of the system's dockerd that its API does not tell."""
    options = parse_options(_command_line(host))
    fallback = "/var/snap/docker/current/config/daemon.json" if snap else "/etc/docker/daemon.json"
    path = options.get("config-file", [fallback])[-1]
    given = [option.partition("=")[0] for option in options.get("log-opt", [])]
    try:
        config = parse_config(host.read(path))
    except FileNotFoundError:
        return Daemon(config_file=path, log_options=tuple(given))
    except OSError:
        return Daemon(config_file=path, config="denied", log_options=tuple(given) or None)
    except ValueError as error:
        return Daemon(config_file=path, config="broken", problem=str(error))
    return Daemon(
        config_file=path,
        config="read",
        log_options=(*given, *_names(config.get("log-opts"))),
        runtimes=_names(config.get("runtimes")),
    )


def parse_config(text: str) -> dict[str, object]:
    """daemon.json. Raises ValueError, saying the line, where dockerd would not start with it."""
    import json  # its errors name the line, as msgspec's do not

    try:
        config = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(config, dict):
        raise ValueError("it is no JSON object")
    return config


def parse_options(arguments: list[str]) -> dict[str, list[str]]:
    """The long options of a command line that have a value, as dockerd reads them."""
    options: dict[str, list[str]] = {}
    for argument, following in zip(arguments, [*arguments, ""][1:], strict=True):
        if argument.startswith("--"):
            name, equals, value = argument[2:].partition("=")
            options.setdefault(name, []).append(value if equals else following)
    return options


def parse_info(body: bytes) -> Info:
    """The reply to /info. Raises ValueError where it is none."""
    reply = _decode(body, _InfoReply)
    status = {pair[0]: pair[1] for pair in reply.driver_status or () if len(pair) == 2}
    security = reply.security_options or []
    d_type = status.get("Supports d_type")
    return Info(
        storage_driver=reply.driver,
        backing_filesystem=status.get("Backing Filesystem", ""),
        d_type=None if d_type is None else d_type == "true",
        logging_driver=reply.logging_driver or "",
        cgroup_driver=reply.cgroup_driver or "",
        cgroup_version=reply.cgroup_version or "",
        rootless=any("name=rootless" in option for option in security),
        userns_remap=any("name=userns" in option for option in security),
        runtimes=tuple(sorted(reply.runtimes or ())),
        data_root=reply.docker_root_dir or "",
        http_proxy=without_user(reply.http_proxy or ""),
        https_proxy=without_user(reply.https_proxy or ""),
        no_proxy=reply.no_proxy or "",
        live_restore=reply.live_restore_enabled or False,
        warnings=tuple(reply.warnings or ()),
    )


_ReplyT = TypeVar("_ReplyT")


class _Component(Struct, frozen=True, rename="pascal"):
    name: str = ""
    version: str = ""


class _VersionReply(Struct, frozen=True, rename="pascal"):
    version: str = ""
    api_version: str = ""
    components: list[_Component] | None = None


class _InfoReply(Struct, frozen=True, rename="pascal"):
    driver: str = ""
    driver_status: list[list[str]] | None = None
    logging_driver: str | None = None
    cgroup_driver: str | None = None
    cgroup_version: str | None = None
    security_options: list[str] | None = None
    runtimes: dict[str, msgspec.Raw] | None = None
    docker_root_dir: str | None = None
    http_proxy: str | None = None
    https_proxy: str | None = None
    no_proxy: str | None = None
    live_restore_enabled: bool | None = None
    warnings: list[str] | None = None


def _decode(body: bytes, kind: type[_ReplyT]) -> _ReplyT:
    try:
        return msgspec.json.decode(body, type=kind)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _candidates(host: Host, environment: Mapping[str, str]) -> list[str]:
    """Sockets in the order in which the docker command and an administrator would try them."""
    paths = []
    chosen = environment.get("DOCKER_HOST", "").strip()
    if chosen.startswith("unix://"):
        paths.append(chosen.removeprefix("unix://"))
    paths.append(SYSTEM_SOCKET)
    users = [f"/run/user/{name}" for name in host.listdir_if_any("/run/user")]
    runtime = environment.get("XDG_RUNTIME_DIR", "")
    users = [runtime, *users] if runtime.startswith("/") else users
    paths += [f"{directory}/docker.sock" for directory in users]
    paths += [_PODMAN_SOCKET, *(f"{directory}/podman/podman.sock" for directory in users)]
    by_place: dict[str, str] = {}
    for path in paths:
        by_place.setdefault(host.real_path(path), path)
    return list(by_place.values())


def _ask(host: Host, path: str) -> DockerEngine:
    place = host.real_path(path)
    system, podman = place == host.real_path(SYSTEM_SOCKET), place.endswith("/podman.sock")
    engine = DockerEngine(socket=path, state="asleep", system=system, podman=podman)
    if podman or (system and _asleep(host)):
        return engine
    answer = http_get(host, path, "/version", _VERSION_TIMEOUT)
    if answer.state != "answers":
        return replace(engine, state=answer.state, detail=answer.detail)
    try:
        version = _decode(answer.body, _VersionReply)
    except ValueError:
        return replace(engine, state="odd", detail="what answers there is no Docker API")
    parts = {component.name: component.version for component in version.components or ()}
    info, answer = _info(host, path)
    return replace(
        engine,
        state=answer.state,
        detail=answer.detail,
        podman="Podman Engine" in parts,
        version=version.version,
        api_version=version.api_version,
        containerd_version=parts.get("containerd", ""),
        info=info,
    )


def _info(host: Host, path: str) -> tuple[Info | None, Answer]:
    answer = http_get(host, path, "/info", _INFO_TIMEOUT)
    if answer.state != "answers":
        return None, answer
    try:
        return parse_info(answer.body), answer
    except ValueError:
        return None, Answer("odd", "its answer to /info could not be understood")


def _asleep(host: Host) -> bool:
    """Whether systemd holds the system's socket and no dockerd has taken it over yet."""
    return bool(starts_at_boot(host, "docker.socket")) and not host.exists(_PID_FILE)


def _command_line(host: Host) -> list[str]:
    """How the system's dockerd was started; empty where none runs, or that cannot be seen."""
    number = (host.read_if_any(_PID_FILE) or "").strip()
    if not number.isdecimal():
        return []
    arguments = (host.read_if_any(f"/proc/{number}/cmdline") or "").split("\0")
    return arguments if "dockerd" in os.path.basename(arguments[0]) else []


def _names(table: object) -> tuple[str, ...]:
    return tuple(str(name) for name in table) if isinstance(table, dict) else ()
