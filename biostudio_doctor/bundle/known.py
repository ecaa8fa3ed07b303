"""The secrets that are known beforehand: none may leave, wherever and however it stands."""

import os
from collections.abc import Iterator
from typing import Any, NamedTuple

from msgspec import Struct, structs

from biostudio_doctor import secret
from biostudio_doctor.config import Config, Secret
from biostudio_doctor.host import Host
from biostudio_doctor.host.patience import bounded
from biostudio_doctor.peers import CODE_VARIABLE

_PATIENCE = 3.0  # seconds for all files together
MACHINE_ID = "/etc/machine-id"


class Known(NamedTuple):
    """Secrets, and where others are that could not be read and are found by their form only."""

    literals: tuple[str, ...]
    unread: tuple[str, ...]  # files and variables


def secrets_of(config: Config, host: Host) -> Known:
    """Every literal secret that the configuration points to, and those of the host itself."""
    literals = [os.environ.get(CODE_VARIABLE, "")]
    unread = []
    for name in {one.env for one in _all(config) if one.env}:
        literals.append(os.environ.get(name, ""))
        unread += [] if literals[-1] else [f"the environment variable {name}"]
    files = {one.file for one in _all(config) if one.file}
    calls = {path: _reader(path) for path in sorted(files)}
    for path, content in bounded(host, calls, _PATIENCE, "read").items():
        if isinstance(content, str):
            literals.append(content)
        else:
            unread.append(path)
    literals += [host.read_if_any(MACHINE_ID) or "", *_web_hashes(config, host)]
    told = dict.fromkeys(one.strip("\r\n") for one in literals)
    return Known(tuple(one for one in told if one), tuple(sorted(unread)))


def _reader(path: str) -> Any:
    def read(host: Host) -> str:
        try:
            return secret.raw(Secret(file=path), host).decode("utf-8", "surrogateescape")
        except secret.SecretError as error:
            raise OSError(str(error)) from None

    return read


def _all(data: Any) -> Iterator[Secret]:
    if isinstance(data, Secret):
        yield data
    elif isinstance(data, Struct):
        for item in structs.fields(data):
            yield from _all(getattr(data, item.name))
    elif isinstance(data, tuple | list):
        for item in data:
            yield from _all(item)


def _web_hashes(config: Config, host: Host) -> list[str]:
    """The hashes of the passwords of the daemon's page."""
    if not config.daemon.web_config:
        return []
    text = host.read_if_any(config.daemon.web_config) or ""
    return [word.strip("\"'") for word in text.split() if word.strip("\"'").startswith("$2")]
