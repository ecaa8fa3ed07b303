"""What is said of a certificate that was not had, and of a connection that ended early."""

from __future__ import annotations

from biostudio_doctor import endpoints
from biostudio_doctor.certificates.watched import Watched
from biostudio_doctor.model import Finding, Machine, Remedy, Status
from biostudio_doctor.probes import Failure
from biostudio_doctor.probes.results import TlsResult

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


_CAUSES = {"resolve": "no-name", "connect": "no-connection"}
_STARTTLS = {"postgresql": "postgres", "smtp": "smtp", "ldap": "ldap"}  # of openssl-s_client(1)


def unread(watched: Watched, machine: Machine) -> Finding:
    """The finding that stands for a certificate where none was had."""
    if watched.is_file:
        return Finding(
            Status.ERROR,
            watched.name,
            f"No certificate could be read from {watched.path or watched.name}: {watched.problem}.",
            remedy=_unread_remedy(watched, machine),
            cause="certificate.unread",
        )
    if not watched.tls:
        return Finding(
            Status.SKIP,
            watched.name,
            f"{watched.name} was not asked for its certificate: --offline was given.",
            cause="certificate.offline",
        )
    failure = _failure(watched.tls)
    return Finding(
        Status.ERROR,
        watched.name,
        f"No certificate could be had from {watched.name}: {_cause(failure)}.",
        remedy=_unreachable_remedy(watched.name, failure),
        cause=f"certificate.{_CAUSES.get(failure.phase, 'no-tls')}",
    )


def unreached(watched: Watched) -> str:
    """Why no certificate was had from an endpoint, as a clause."""
    return _cause(_failure(watched.tls)) if watched.tls else "it was not asked"


def _failure(tls: TlsResult) -> Failure:
    return tls.failure or Failure("tls", "bad-response", tls.unread)


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
    if "password" in watched.problem:
        return Remedy(
            "Name where its password is beside it in the configuration: "
            'certificates = [{ at = "...", password = { file = "/path" } }]'
        )
    return Remedy("Put a certificate in PEM or DER there, or correct the configuration.")


def _unreachable_remedy(name: str, failure: Failure) -> Remedy:
    from shlex import quote

    endpoint, prelude = endpoints.watched(name)
    if failure.phase == "resolve":
        return Remedy(
            "Correct the name in the configuration (`certificates` or `domain`), or its entry in "
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
    elif prelude:
        words = "See whether TLS is turned on in the server's configuration, and what its log says."
    else:
        words = "See whether that port speaks TLS from the start, and what the server's log says."
    starttls = f" -starttls {_STARTTLS[prelude]}" if prelude else ""
    command = f"openssl s_client -connect {place}{starttls} < /dev/null"
    return Remedy(words, (command,), as_root=False)
