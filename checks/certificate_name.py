"""certificate.name"""

from collections.abc import Iterator

from msgspec import Struct

from biostudio_doctor import renewal, text
from biostudio_doctor.certificates.names import as_address, as_ascii, matches, readable
from biostudio_doctor.certificates.watched import Watched
from biostudio_doctor.host import Host
from biostudio_doctor.model import Finding, Remedy, Status
from biostudio_doctor.renewal import INSTALL

from .certificate_watch import CertificateCheck, Seen

_SHOWN = 5


class Named(Struct, frozen=True, kw_only=True):
    """One certificate, what it is for, and what it must be for."""

    name: str
    wanted: tuple[str, ...]
    is_given: bool  # the names are configured, and not just how it is reached
    names: tuple[str, ...]
    common_name: str = ""
    self_signed: bool = False


class CertificateName(CertificateCheck[Named]):
    """Certificates that are for the names they are used by.

    The host of an endpoint, or the `server_name` that is configured for it, and the configured
    `domain` for bioproxy's own certificate, are looked up among the alternative names of the
    certificate: a wildcard stands for one label, addresses are compared as such, and names outside
    ASCII by their A-labels (xn--...). The common name does not count: browsers have ignored it for
    years. Of a self-signed certificate with the right common name that is no more than a hint:
    users must click through a warning in any case.

    Why: browsers and programs refuse a certificate for another name, whoever issued it.

    Mend: have a certificate issued for the name that your colleagues use.
    """

    id = "certificate.name"
    concerns = "endpoints, and files with a `server_name` in the configuration"
    once = True

    def observe(self, host: Host) -> Seen[Named]:
        return self.seen(host, _picked)

    def findings(self, of: tuple[Named, ...]) -> Iterator[Finding]:
        for named in of:
            for at, wanted in enumerate(named.wanted):
                subject = f"{named.name} for {wanted}" if at else named.name
                yield _judged(named, subject, wanted)


def _picked(watched: Watched) -> Named | None:
    if not watched.chain or not watched.names or watched.chain.is_store:
        return None
    return Named(
        name=watched.name,
        wanted=tuple(dict.fromkeys(watched.names)),
        is_given=watched.is_file or not _is_local(watched.names[0]),
        names=watched.chain.leaf.names,
        common_name=watched.chain.leaf.common_name,
        self_signed=watched.chain.leaf.self_signed,
    )


def _judged(named: Named, subject: str, wanted: str) -> Finding:
    found = next((name for name in named.names if matches(name, wanted)), "")
    shown = readable(wanted)
    if found:
        return Finding(
            Status.PASS,
            subject,
            f"The certificate of {named.name} is for {shown}.",
            observed=readable(found),
            expected=shown,
        )
    names = [readable(one) for one in named.names[:_SHOWN]]
    more = len(named.names) - _SHOWN
    names += [f"{more} more"] if more > 0 else []
    if not names:
        return _nameless(named, subject, wanted)
    return Finding(
        Status.FAIL if named.is_given else Status.WARN,
        subject,
        f"The certificate of {named.name} is not for {shown}, but for {text.listing(names)}.",
        observed=", ".join(names),
        expected=shown,
        remedy=_mend(named, shown),
        cause="certificate.other-name",
    )


def _nameless(named: Named, subject: str, wanted: str) -> Finding:
    """A self-signed one is refused anyhow, until users click through: that is the same click."""
    trial = named.self_signed and matches(named.common_name, wanted)
    return Finding(
        Status.WARN if trial else Status.FAIL,
        subject,
        f"The certificate of {named.name} has no alternative names, so it is for no host.",
        observed=f"common name '{named.common_name}'" if named.common_name else "no name",
        expected=readable(wanted),
        remedy=_give_names(named, wanted),
        cause="certificate.no-names",
    )


def _give_names(named: Named, wanted: str) -> Remedy:
    ignored = "the common name alone is ignored by browsers and programs"
    if not named.self_signed:
        return Remedy(
            f"Have one issued with {readable(wanted)} as alternative name (subjectAltName): "
            f"{ignored}."
        )
    address = as_address(wanted)
    names, addresses = ((), (str(address),)) if address else ((as_ascii(wanted),), ())
    return Remedy(
        f"Make one with {readable(wanted)} as alternative name (subjectAltName), and install it "
        f"{INSTALL}, or wherever this one is served: {ignored}, so they refuse this one even where "
        "it was added to what they trust.",
        renewal.self_signed(names, addresses),
        as_root=False,
    )


def _mend(named: Named, shown: str) -> Remedy:
    if named.is_given:
        return Remedy(
            f"Have one issued for {shown}; or, if colleagues use another name, correct `domain`, "
            "`server_name` or the endpoint in the configuration."
        )
    return Remedy(
        "If colleagues reach it by another name, name that as server_name beside it: "
        'certificates = [{ at = "...", server_name = "studio.example.org" }]'
    )


def _is_local(name: str) -> bool:
    """A way to reach a server that its certificate need not name."""
    return name == "localhost" or as_address(name) is not None
