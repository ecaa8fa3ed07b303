"""Certificates that are watched: files and endpoints, by the names that the configuration has.

Each is looked at by itself, side by side, and what went wrong with one is told beside the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct, structs

from biostudio_doctor import endpoints
from biostudio_doctor.certificates import SIZE_LIMIT, CertificateError, CertificateFacts, read
from biostudio_doctor.host import Host
from biostudio_doctor.host.patience import bounded
from biostudio_doctor.model import Finding, Machine, Remedy, Status
from biostudio_doctor.probes import Failure
from biostudio_doctor.probes.results import TlsResult


class Watched(Struct, frozen=True, kw_only=True):
    """One certificate that is watched, with its chain."""

    name: str  # as configured, without user and password
    is_file: bool = False
    read: tuple[CertificateFacts, ...] = ()  # from a file
    tls: TlsResult | None = None  # from an endpoint; None where it was not asked
    problem: str = ""  # of a file: why nothing was read
    denied: bool = False  # this user may not read the file

    @property
    def chain(self) -> tuple[CertificateFacts, ...]:
        """Its own certificate first; empty where none was had."""
        return self.tls.chain if self.tls else self.read


def is_file(name: str) -> bool:
    """Files are named by their whole path."""
    return name.startswith("/")


def read_files(host: Host, paths: Iterable[str], *, seconds: float) -> dict[str, Watched]:
    """Read certificate files, waiting `seconds` for all; those that do not exist are left out."""
    contents = bounded(host, {path: _reader(path) for path in paths}, seconds, "read")
    return {
        path: _file(path, content)
        for path, content in contents.items()
        if not isinstance(content, FileNotFoundError | NotADirectoryError)
    }


def missing(path: str) -> Watched:
    """A file that is not there."""
    return Watched(name=path, is_file=True, problem="there is no such file")


def unasked(name: str) -> Watched:
    """An endpoint that is not asked yet."""
    return Watched(name=name)


async def ask_endpoints(
    watched: Sequence[Watched], *, ca_file: str | None, seconds: float
) -> tuple[Watched, ...]:
    """Shake hands with every endpoint at once, `seconds` for each; the others stay as they are.

    Raises:
        OSError: if `ca_file` cannot be read or holds no certificate.
    """
    import anyio

    seen = list(watched)

    async def look(index: int) -> None:
        seen[index] = await _ask(watched[index], ca_file, seconds)

    async with anyio.create_task_group() as tasks:
        for index, one in enumerate(watched):
            if not one.is_file:
                tasks.start_soon(look, index)
    return tuple(seen)


async def _ask(watched: Watched, ca_file: str | None, seconds: float) -> Watched:
    from biostudio_doctor.probes import tls
    from biostudio_doctor.probes.direct import Dialler

    endpoint = endpoints.parse(watched.name)
    dial = Dialler(endpoint.host, endpoint.port, timeout=seconds)
    result = await tls.probe(dial, endpoint.host, timeout=seconds, ca_file=ca_file)
    return structs.replace(watched, tls=result)


def _reader(path: str) -> Callable[[Host], bytes]:
    def read_it(host: Host) -> bytes:
        return host.read_bytes(path, SIZE_LIMIT + 1)

    return read_it


def _file(path: str, content: bytes | OSError) -> Watched:
    if isinstance(content, IsADirectoryError):
        problem = "it is a directory; name the certificate file in it"
        return Watched(name=path, is_file=True, problem=problem)
    if isinstance(content, OSError):
        problem = f"it cannot be read: {content.strerror or content}"
        denied = isinstance(content, PermissionError)
        return Watched(name=path, is_file=True, problem=problem, denied=denied)
    try:
        return Watched(name=path, is_file=True, read=read(content))
    except CertificateError as error:
        return Watched(name=path, is_file=True, problem=str(error))


# --- In words ------------------------------------------------------------------------------------

_PHASES = {
    "resolve": "its name could not be resolved",
    "connect": "connecting failed",
    "tls": "the TLS handshake failed",
}
_REASONS = {
    "timeout": "nothing came back in time",
    "refused": "the port is closed",
    "reset": "the connection was cut",
    "closed": "the other side hung up",
    "unreachable": "no route leads there",
    "nxdomain": "the name does not exist",
    "no-address": "the name has no address",
    "servfail": "the name servers could not answer",
}


def unread(watched: Watched, machine: Machine) -> Finding:
    """The finding that stands for a certificate where none was had."""
    if watched.is_file:
        return Finding(
            Status.ERROR,
            watched.name,
            f"No certificate could be read from {watched.name}: {watched.problem}.",
            remedy=_unread_remedy(watched, machine),
        )
    if not watched.tls:
        summary = f"{watched.name} was not asked for its certificate: --offline was given."
        return Finding(Status.SKIP, watched.name, summary)
    failure = watched.tls.failure or Failure("tls", "bad-response", watched.tls.unread)
    return Finding(
        Status.ERROR,
        watched.name,
        f"No certificate could be had from {watched.name}: {_cause(failure)}.",
        remedy=_unreachable_remedy(watched.name, failure),
    )


def _cause(failure: Failure) -> str:
    return f"{_PHASES.get(failure.phase, failure.phase)} ({why(failure)})"


def why(failure: Failure | None) -> str:
    """Why a connection ended early, as a clause."""
    if failure is None:
        return "for no known reason"
    if failure.reason == "tls-alert":
        return f"it ended the handshake with the alert '{failure.detail}'"
    return _REASONS.get(failure.reason) or failure.detail or failure.reason


def _unread_remedy(watched: Watched, machine: Machine) -> Remedy:
    if watched.denied and not machine.root:
        return Remedy("Run biostudio-doctor as root, which may read it.")
    return Remedy("Put a certificate in PEM or DER there, or correct the configuration.")


def _unreachable_remedy(name: str, failure: Failure) -> Remedy:
    from shlex import quote

    endpoint = endpoints.parse(name)
    if failure.phase == "resolve":
        return Remedy(
            "Correct the name in the list `certificates` of the configuration, or its entry in "
            "DNS or /etc/hosts.",
            (f"getent hosts {quote(endpoint.host)}",),
            as_root=False,
        )
    place = quote(str(endpoint))
    if failure.phase == "connect":
        words = (
            "See whether the service runs and listens on that port, and whether a firewall lets "
            "this host through."
        )
    else:
        words = "See whether that port speaks TLS from the start, and what the server's log says."
    return Remedy(words, (f"openssl s_client -connect {place} < /dev/null",), as_root=False)
