"""Certificates in files and directories, read side by side."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable

from msgspec import Struct

from biostudio_doctor.certificates.facts import CertificateError
from biostudio_doctor.certificates.formats import SIZE_LIMIT
from biostudio_doctor.certificates.private_keys import KeyFacts
from biostudio_doctor.certificates.private_keys import read as read_key
from biostudio_doctor.certificates.watched import Source
from biostudio_doctor.host import Host
from biostudio_doctor.host.patience import bounded

# The names of a mounted Kubernetes secret (kubernetes.io/tls), which bioproxy's volume has as well.
_CERTIFICATE, _KEY, _AUTHORITY = "tls.crt", "tls.key", "ca.crt"


class Found(Struct, kw_only=True):
    """What one file or directory holds. It is no fact: certificates are still in DER."""

    path: str
    kind: str = ""
    certificates: list[bytes] = []
    authorities: list[bytes] = []  # of a secret: who issued it, as those who connect are told
    key: KeyFacts | None = None
    problem: str = ""
    denied: bool = False
    missing: bool = False


def read(host: Host, sources: Iterable[Source], *, seconds: float) -> dict[str, Found]:
    """Read the sources that are files, by their names, waiting `seconds` for all."""
    calls = {source.at: _reader(source) for source in sources if source.is_file}
    outcomes = bounded(host, calls, seconds, "read") if calls else {}
    return {
        name: _unread(name, outcome) if isinstance(outcome, OSError) else outcome
        for name, outcome in outcomes.items()
    }


def _reader(source: Source) -> Callable[[Host], Found]:
    def read_it(host: Host) -> Found:
        try:
            data = host.read_bytes(source.at, SIZE_LIMIT + 1)
        except IsADirectoryError:
            return _directory(host, source)
        except OSError as error:
            if error.errno != errno.EINVAL or not _is_directory(host, source.at):
                raise
            return _directory(host, source)
        return _parsed(host, source, source.at, data)

    return read_it


def _is_directory(host: Host, path: str) -> bool:
    import stat

    return stat.S_ISDIR(host.stat(path).st_mode)


def _directory(host: Host, source: Source) -> Found:
    at = source.at.rstrip("/")
    path = f"{at}/{_CERTIFICATE}"
    try:
        data = host.read_bytes(path, SIZE_LIMIT + 1)
    except FileNotFoundError:
        problem = f"it is a directory without {_CERTIFICATE}; name the certificate file in it"
        return Found(path=path, problem=problem)
    found = _parsed(host, source, path, data)
    if not found.key and host.exists(f"{at}/{_KEY}"):
        found.key = read_key(host, f"{at}/{_KEY}", _password(host, source))
    try:
        authority = host.read_bytes(f"{at}/{_AUTHORITY}", SIZE_LIMIT)
    except OSError:
        return found
    from biostudio_doctor.certificates.containers import authorities

    found.authorities = authorities(authority)
    return found


def _parsed(host: Host, source: Source, path: str, data: bytes) -> Found:
    from biostudio_doctor.certificates.containers import load
    from biostudio_doctor.secret import SecretError

    try:
        password = _password(host, source)
        contents = load(data, path=path, password=password)
    except SecretError as error:
        return Found(path=path, problem=f"of its password: {error}")
    except CertificateError as error:
        return Found(path=path, problem=str(error))
    key = contents.key
    if source.key and (not source.optional or host.exists(source.key)):
        key = read_key(host, source.key, password)
    elif key and path == source.at:
        key = _with_permissions(host, key)
    return Found(
        path=path,
        kind=contents.kind,
        certificates=contents.certificates,
        authorities=contents.authorities,
        key=key,
    )


def _with_permissions(host: Host, key: KeyFacts) -> KeyFacts:
    """A key inside another file is as open as that one; a password protects it besides."""
    import stat

    from msgspec import structs

    try:
        status = host.stat(key.path)
    except OSError:
        return key
    return structs.replace(key, mode=stat.S_IMODE(status.st_mode), uid=status.st_uid)


def _password(host: Host, source: Source) -> str | None:
    from biostudio_doctor.secret import reveal

    return reveal(source.password, host) if source.password else None


def _unread(name: str, error: OSError) -> Found:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return Found(path=name, problem="there is no such file", missing=True)
    return Found(
        path=name,
        problem=f"it cannot be read: {error.strerror or error}",
        denied=isinstance(error, PermissionError),
    )
