"""certificate.served"""

from collections.abc import Iterator
from datetime import datetime

from msgspec import Struct

from biostudio_doctor import text
from biostudio_doctor.certificates.names import matches
from biostudio_doctor.certificates.watched import Backend, Watched
from biostudio_doctor.certificates.wording import why
from biostudio_doctor.endpoints import watched as watched_at
from biostudio_doctor.host import Host
from biostudio_doctor.model import Finding, Remedy, Status

from .certificate_watch import CertificateCheck, Seen


class Leaf(Struct, frozen=True, kw_only=True):
    """A server's certificate in a file, or at an endpoint."""

    name: str
    is_file: bool
    sha256: str
    not_before: datetime
    not_after: datetime
    wanted: tuple[str, ...] = ()  # that it must be for, by the configuration
    names: tuple[str, ...] = ()  # that it is for, sorted
    backends: tuple[Backend, ...] = ()


class CertificateServed(CertificateCheck[Leaf]):
    """Certificates on disk that are those being served.

    A file and an endpoint that are both watched belong together where they must be for the same
    name, or are for just the same names: then the same certificate is expected in both. Of a name
    with several addresses, each is asked, and all are expected to serve the same certificate; of
    several, the other checks judge the one that stands worst.

    Why: a certificate that was renewed but not loaded expires all the same, and one of several
    backends that was forgotten fails now and then, for some users only.

    Mend: load the new certificate: on the dashboard under Settings > Update SSL, or by reloading
    the server, on every backend.
    """

    id = "certificate.served"
    concerns = "files with endpoints of the same name, and names with several addresses"

    def observe(self, host: Host) -> Seen[Leaf]:
        return self.seen(host, _picked)

    def findings(self, of: tuple[Leaf, ...]) -> Iterator[Finding]:
        files = [one for one in of if one.is_file]
        endpoints = [one for one in of if not one.is_file]
        for file in files:
            theirs = [one for one in endpoints if _belong_together(file, one)]
            theirs = [one for one in theirs if not _is_of_another(file, one, files)]
            if theirs:
                yield _served(file, theirs)
        for endpoint in endpoints:
            yield from _backends(endpoint)


def _picked(watched: Watched) -> Leaf | None:
    if not watched.chain or watched.chain.is_store:
        return None
    leaf = watched.chain.leaf
    return Leaf(
        name=watched.name,
        is_file=watched.is_file,
        sha256=leaf.sha256,
        not_before=leaf.not_before,
        not_after=leaf.not_after,
        wanted=watched.names,
        names=tuple(sorted(leaf.names)),
        backends=watched.backends,
    )


def _belong_together(file: Leaf, endpoint: Leaf) -> bool:
    wanted = any(matches(one, other) for one in file.wanted for other in endpoint.wanted)
    return wanted or bool(file.names and file.names == endpoint.names)


def _is_of_another(file: Leaf, endpoint: Leaf, files: list[Leaf]) -> bool:
    """Another file is what this endpoint serves, so this one is a copy of old."""
    return endpoint.sha256 != file.sha256 and any(
        one.sha256 == endpoint.sha256 for one in files if one is not file
    )


def _served(file: Leaf, endpoints: list[Leaf]) -> Finding:
    other = next((one for one in endpoints if one.sha256 != file.sha256), None)
    if not other:
        places = text.listing(one.name for one in endpoints)
        summary = f"The certificate in {file.name} is the one being served by {places}."
        return Finding(Status.PASS, file.name, summary)
    dates = f"until {other.not_after:%Y-%m-%d}; in the file until {file.not_after:%Y-%m-%d}"
    if file.not_before > other.not_before:
        return Finding(
            Status.WARN,
            file.name,
            f"The certificate in {file.name} was renewed, but {other.name} still serves the one "
            "before it.",
            observed=f"served {dates}",
            expected="the certificate in the file",
            remedy=Remedy(
                "Load it: on bioproxy's dashboard under Settings > Update SSL, or by reloading "
                "the server that serves it."
            ),
            cause="certificate.not-loaded",
        )
    return Finding(
        Status.WARN,
        file.name,
        f"{other.name} serves another, newer certificate than the one in {file.name}.",
        observed=f"served {dates}",
        expected="the certificate in the file",
        remedy=Remedy(
            "See where that server, or a load balancer before it, has its certificate from; watch "
            "that file, or put the same certificate into both places."
        ),
        cause="certificate.other-served",
    )


def _backends(endpoint: Leaf) -> Iterator[Finding]:
    groups: dict[str, list[Backend]] = {}
    for one in endpoint.backends:
        if one.sha256:
            groups.setdefault(one.sha256, []).append(one)
    answering = sum(len(group) for group in groups.values())
    silent = [one for one in endpoint.backends if not one.sha256 and _matters(endpoint, one)]
    subject = f"{endpoint.name} backends"
    if len(groups) > 1:
        yield _differing(endpoint, subject, groups)
    elif answering > 1 and not silent:
        summary = f"All {answering} addresses of {endpoint.name} serve the same certificate."
        yield Finding(Status.PASS, subject, summary)
    if silent:
        yield _silent(endpoint, subject, silent)


def _matters(endpoint: Leaf, backend: Backend) -> bool:
    """No address of a family that this host has no way to, nor the other one of localhost."""
    away = backend.failure is not None and backend.failure.reason == "unreachable"
    return not away and watched_at(endpoint.name).endpoint.host.lower() != "localhost"


def _silent(endpoint: Leaf, subject: str, silent: list[Backend]) -> Finding:
    shown = [f"{one.address} ({why(one.failure)})" for one in silent]
    verb = "shows" if len(silent) == 1 else "show"
    return Finding(
        Status.WARN,
        subject,
        f"{len(silent)} of the {len(endpoint.backends)} addresses of {endpoint.name} {verb} no "
        f"certificate: {text.listing(shown)}.",
        expected="the same certificate at every address",
        remedy=Remedy(
            "See whether the server at that address runs: whoever is led there waits, or sees an "
            "error. If the address is not yours, correct its entry in DNS."
        ),
        cause="certificate.backend-silent",
    )


def _differing(endpoint: Leaf, subject: str, groups: dict[str, list[Backend]]) -> Finding:
    parts = [
        f"{text.listing(one.address for one in group)} until {group[0].not_after:%Y-%m-%d}"
        for group in groups.values()
    ]
    return Finding(
        Status.WARN,
        subject,
        f"The addresses of {endpoint.name} serve {len(groups)} different certificates.",
        observed="; ".join(parts),
        expected="the same certificate at every address",
        remedy=Remedy(
            "Install the newest one, with its key, on every backend, and reload each. If an "
            "address is not yours, correct its entry in DNS."
        ),
        cause="certificate.backends-differ",
    )
