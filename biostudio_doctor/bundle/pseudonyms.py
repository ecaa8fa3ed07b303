"""--obfuscate: whose names are replaced, and the private map that tells them back."""

import re
from collections.abc import Iterator, Sequence

import msgspec

from biostudio_doctor import requirements
from biostudio_doctor.config import Config
from biostudio_doctor.host import Host
from biostudio_doctor.redaction.obfuscate import Obfuscator

_DOMAIN_NAME = re.compile(r"(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z][A-Za-z0-9-]{0,62}")
_FIRST_USER = 1000  # as login.defs has it; below are the system's own
_NOBODY = 65534


def obfuscator(kinds: Sequence[str], key: bytes, host: Host, config: Config) -> Obfuscator | None:
    """What replaces some of hosts, ips and users; None where none is to be replaced."""
    if not kinds:
        return None
    return Obfuscator(
        key,
        hosts=_hosts(host, config) if "hosts" in kinds else (),
        users=_users(host) if "users" in kinds else (),
        ips="ips" in kinds,
        keep=[endpoint.host for endpoint in requirements.load().hosts],
    )


def _hosts(host: Host, config: Config) -> Iterator[str]:
    yield host.machine.hostname
    yield host.machine.hostname.partition(".")[0]
    yield (host.read_if_any("/etc/hostname") or "").strip()
    for line in (host.read_if_any("/etc/hosts") or "").splitlines():
        yield from line.partition("#")[0].split()[1:]
    for line in (host.read_if_any("/etc/resolv.conf") or "").splitlines():
        if line.startswith(("search ", "domain ")):
            yield from line.split()[1:]
    yield from (config.domain or "", config.bioproxy or "", *config.nodes)
    yield from (one.partition("=")[2] for one in config.peers)
    for text in _texts(msgspec.to_builtins(config)):
        yield from _DOMAIN_NAME.findall(text)


def _texts(data: object) -> Iterator[str]:
    if isinstance(data, str) and not data.startswith("/"):
        yield data.partition("://")[2] or data
    elif isinstance(data, dict):
        for key, value in data.items():
            if key not in ("redaction", "checks"):
                yield from _texts(value)
    elif isinstance(data, list | tuple):
        for value in data:
            yield from _texts(value)


def _users(host: Host) -> Iterator[str]:
    for line in (host.read_if_any("/etc/passwd") or "").splitlines():
        name, _, rest = line.partition(":")
        uid = rest.split(":")[1:2]
        if uid and uid[0].isdigit() and _FIRST_USER <= int(uid[0]) != _NOBODY:
            yield name
