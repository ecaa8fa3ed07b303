"""certificate.chain"""

import re
from collections.abc import Iterator
from shlex import quote

from msgspec import Struct

from biostudio_doctor import text
from biostudio_doctor.certificates.chains import Chain
from biostudio_doctor.certificates.watched import Watched
from biostudio_doctor.host import Host
from biostudio_doctor.model import Finding, Remedy, Status
from biostudio_doctor.renewal import INSTALL

from .certificate_watch import CertificateCheck, Seen

_SHOWN = 5
#: What may stand in a command line: an address out of a certificate is somebody else's text.
_PLAIN_URL = re.compile(r"https?://[A-Za-z0-9._~%:/-]{1,300}")


class Held(Struct, frozen=True, kw_only=True):
    """The certificates of one source."""

    name: str
    chain: Chain
    is_set: bool = False  # what holds them has no order
    trusted: bool = False  # OpenSSL has found all of it: it may know more authorities


class CertificateChain(CertificateCheck[Held]):
    """The certificates that belong together.

    A server presents its own certificate, followed by those of the intermediate authorities that
    issued it. The root above them is known to whoever connects, and may be left out or sent along.
    Every certificate in a file, or presented by an endpoint, is told by its place: the server's, an
    intermediate's or a root's, linked by names and verified signatures. Judged apart are whether
    one is missing between the server's and a root, whether they stand in order, and whether some
    do not belong there.

    Why: browsers fetch a missing intermediate themselves and hide the fault; the desktop
    application, curl, conda and notebooks do not, and refuse to connect.

    Mend: put the intermediate certificates after the server's own, in the order in which they
    issued each other, and install the whole on the dashboard under Settings > Update SSL.
    """

    id = "certificate.chain"
    concerns = "certificates that others have issued"
    once = True

    def observe(self, host: Host) -> Seen[Held]:
        return self.seen(host, _held)

    def findings(self, of: tuple[Held, ...]) -> Iterator[Finding]:
        for held in of:
            if held.chain.is_store:
                yield _store(held)
                continue
            if not held.chain.leaf.self_signed:
                yield _completeness(held)
            if not held.is_set:
                yield from _order(held)
            yield from _extra(held)


def _held(watched: Watched) -> Held | None:
    if not watched.chain:
        return None
    return Held(
        name=watched.name,
        chain=watched.chain,
        is_set=watched.kind == "PKCS#7",
        trusted=watched.trust is not None and watched.trust.trusted,
    )


def _completeness(held: Held) -> Finding:
    chain = held.chain
    parts = _parts(chain)
    if chain.is_complete or held.trusted:
        summary = f"The chain of {held.name} leads from '{chain.leaf.name}' to a root."
        return Finding(Status.PASS, held.name, summary, observed=parts)
    issuer = chain.top.issuer
    urls = [url for url in chain.top.issuer_urls if url.lower().startswith(("http:", "https:"))]
    alone = len(chain.path) == 1
    return Finding(
        Status.FAIL if alone and urls else Status.WARN,
        held.name,
        f"The chain of {held.name} ends at '{chain.top.name}': the certificate of its issuer "
        f"'{issuer}' is neither in it nor among the authorities known here.",
        observed=parts,
        expected="every certificate up to a root that is known here",
        remedy=_fetch(urls, issuer),
        cause="certificate.intermediate-missing",
    )


def _fetch(urls: list[str], issuer: str) -> Remedy:
    """How to have the missing certificate."""
    after = (
        f"put it after the server's own certificate, and install both {INSTALL}, or wherever they "
        "are served. If the issuer is a root of your own, name its certificate as ca_file instead"
    )
    plain = [url for url in urls if _PLAIN_URL.fullmatch(url)]
    if not plain:
        return Remedy(f"Ask the issuer ({issuer}) for its intermediate certificate, {after}.")
    convert = "openssl x509 -inform der -in issuer.der -out issuer.pem"
    if plain[0].lower().endswith((".p7c", ".p7b")):  # RFC 5280, 4.2.2.1
        convert = "openssl pkcs7 -inform der -in issuer.der -print_certs -out issuer.pem"
    return Remedy(
        f"Get the issuer's certificate from the address that it names, {after}.",
        (f"curl -fsS -o issuer.der {quote(plain[0])}", convert),
        as_root=False,
    )


def _order(held: Held) -> Iterator[Finding]:
    chain = held.chain
    subject = f"{held.name} order"
    if chain.leaf_at != 0:
        first = chain.certificates[0].name
        yield Finding(
            Status.FAIL,
            subject,
            f"In {held.name} the server's own certificate '{chain.leaf.name}' comes after "
            f"'{first}', but it must be the first.",
            observed=_parts(chain),
            expected="the server's certificate first",
            remedy=_reorder(chain),
            cause="certificate.leaf-not-first",
        )
    elif list(chain.upwards) != sorted(chain.upwards):
        yield Finding(
            Status.WARN,
            subject,
            f"The certificates of {held.name} do not stand in the order in which they issued each "
            "other.",
            observed=_parts(chain),
            expected=text.listing(f"'{chain.certificates[at].name}'" for at in chain.upwards),
            remedy=_reorder(chain),
            cause="certificate.misordered",
        )


def _reorder(chain: Chain) -> Remedy:
    wanted = ", then ".join(f"'{chain.certificates[at].name}'" for at in chain.upwards)
    return Remedy(
        f"Put them in this order: {wanted}. Install them so {INSTALL}, or wherever they are served."
    )


def _extra(held: Held) -> Iterator[Finding]:
    chain = held.chain
    if not chain.unrelated:
        return
    names = [f"'{chain.certificates[at].name}'" for at in chain.unrelated]
    shown = [*names[:_SHOWN], *([f"{len(names) - _SHOWN} more"] if len(names) > _SHOWN else [])]
    yield Finding(
        Status.WARN,
        f"{held.name} extra",
        f"In {held.name} {text.number(len(names), 'certificate')} issued neither the server's "
        f"certificate nor one above it: {text.listing(shown)}.",
        observed=_parts(chain),
        expected="only certificates of the chain",
        remedy=Remedy(
            "Take them out, unless they belong to another way to a root. If one of them should be "
            f"the issuer of '{chain.leaf.name}', it is the wrong one: its issuer is "
            f"'{chain.leaf.issuer}'."
        ),
        cause="certificate.unrelated",
    )


def _store(held: Held) -> Finding:
    count = len(held.chain.certificates)
    return Finding(
        Status.SKIP,
        held.name,
        f"{held.name} holds {count} authorities to trust, and no server's certificate.",
        cause="certificate.authorities",
    )


def _parts(chain: Chain) -> str:
    """Every certificate with its place."""
    shown = [f"{chain.role(at)} '{one.name}'" for at, one in enumerate(chain.certificates[:_SHOWN])]
    more = len(chain.certificates) - _SHOWN
    known = f", below '{chain.anchor}', which is known here" if _is_outside(chain) else ""
    return text.listing([*shown, *([f"{more} more"] if more > 0 else [])]) + known


def _is_outside(chain: Chain) -> bool:
    """The authority above is not in the chain itself."""
    return bool(chain.above) and not chain.top.self_signed
