"""certificate.tls"""

from collections.abc import Iterator

from msgspec import Struct

from biostudio_doctor.certificates.watched import Watched
from biostudio_doctor.certificates.wording import why
from biostudio_doctor.host import Host
from biostudio_doctor.model import Finding, Remedy, Status
from biostudio_doctor.probes.results import TlsResult

from .certificate_watch import CertificateCheck, Seen

_CURRENT = ("TLSv1.3", "TLSv1.2")
_ALLOW = Remedy(
    "Allow TLS 1.2 and 1.3 with current ciphers, and nothing older, in the configuration of that "
    "server (nginx: ssl_protocols TLSv1.2 TLSv1.3; haproxy: ssl-min-ver TLSv1.2)."
)


class Spoken(Struct, frozen=True, kw_only=True):
    """What one endpoint speaks."""

    name: str
    tls: TlsResult
    oldest_version: str | None = ""  # of TLS 1.0 and 1.1; None where it was not tried


class CertificateTls(CertificateCheck[Spoken]):
    """The versions of TLS that are offered.

    Every watched endpoint is asked for the best version that it speaks, and by a further handshake
    whether it still agrees to TLS 1.0 or 1.1 (RFC 8996 has done away with both), as far as this
    host's OpenSSL can speak them.

    Why: browsers and programs refuse a server without TLS 1.2 or 1.3, and auditors one that still
    offers the older ones.

    Mend: allow TLS 1.2 and 1.3, and nothing older, in the configuration of that server.
    """

    id = "certificate.tls"
    concerns = "endpoints"

    def observe(self, host: Host) -> Seen[Spoken]:
        return self.seen(host, _picked)

    def findings(self, of: tuple[Spoken, ...]) -> Iterator[Finding]:
        for one in of:
            yield _judged(one)


def _picked(watched: Watched) -> Spoken | None:
    if not watched.tls:
        return None
    return Spoken(name=watched.name, tls=watched.tls, oldest_version=watched.oldest_version)


def _judged(one: Spoken) -> Finding:
    best = _readable(one.tls.version)
    if one.tls.version and one.tls.version not in _CURRENT:
        return Finding(
            Status.FAIL,
            one.name,
            f"{one.name} speaks neither TLS 1.2 nor 1.3: {best} is the best that it offers.",
            observed=f"{best} with {one.tls.cipher}",
            expected="TLS 1.2 or 1.3",
            remedy=_ALLOW,
            cause="certificate.old-tls-only",
        )
    failure = one.tls.failure
    if failure and failure.reason != "untrusted":
        return Finding(
            Status.WARN,
            one.name,
            f"No safe connection to {one.name} can be made: {why(failure)}.",
            expected="TLS 1.2 or 1.3",
            remedy=Remedy(
                "Browsers will not connect either, unless the server only asked for a client "
                f"certificate. {_ALLOW.text}"
            ),
            cause="certificate.handshake",
        )
    if one.oldest_version:
        old = _readable(one.oldest_version)
        return Finding(
            Status.WARN,
            one.name,
            f"{one.name} still offers {old}, which is no longer safe.",
            observed=f"{best} down to {old}",
            expected="TLS 1.2 and 1.3 only",
            remedy=_ALLOW,
            cause="certificate.old-tls",
        )
    untried = "; TLS 1.0 and 1.1 were not tried" if one.oldest_version is None else ""
    return Finding(
        Status.PASS,
        one.name,
        f"{one.name} speaks {best or 'TLS'}.",
        observed=f"{best} with {one.tls.cipher}{untried}",
        expected="TLS 1.2 or 1.3, and nothing older",
    )


def _readable(version: str) -> str:
    """OpenSSL's names of versions for people: TLSv1.2 is TLS 1.2, and TLSv1 is TLS 1.0."""
    return {"TLSv1": "TLS 1.0"}.get(version, version.replace("v", " "))
