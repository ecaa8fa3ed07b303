"""certificate.key"""

from collections.abc import Iterator
from shlex import quote

from msgspec import Struct

from biostudio_doctor import text
from biostudio_doctor.certificates.chains import Chain
from biostudio_doctor.certificates.facts import BROKEN_HASHES, CertificateFacts
from biostudio_doctor.certificates.private_keys import KeyFacts
from biostudio_doctor.certificates.watched import Watched
from biostudio_doctor.host import Host
from biostudio_doctor.model import Finding, Machine, Remedy, Status
from biostudio_doctor.renewal import INSTALL

from .certificate_watch import CertificateCheck, Seen

_LEAST_BITS = {"RSA": 2048, "EC": 256}  # CA/Browser Forum Baseline Requirements, 6.1.5
_UNUSUAL = ("Ed25519", "Ed448")  # good keys, which no browser takes for TLS (BR 6.1.5 has none)
_OTHERS = 0o006  # read and write
_GROUP_WRITES = 0o020


class Keyed(Struct, frozen=True, kw_only=True):
    """A certificate and what is known of its key."""

    name: str
    chain: Chain
    key: KeyFacts | None = None


class CertificateKey(CertificateCheck[Keyed]):
    """Keys that are strong, belong to their certificates, and are kept to few.

    The public keys and signatures of the server's certificate and of those above it are judged by
    what browsers accept: RSA from 2048 bits, elliptic curves from 256, no SHA-1 or MD5. A root's
    own signature does not count. Where the private key is known (named as `key`, or beside the
    certificate as tls.key, or in one file with it), its public half is compared with the
    certificate, and the permissions of its file are looked at. Nothing else of it is kept.

    Why: a server does not start with a key of another certificate, and whoever can read the key can
    pass for the server.

    Mend: install the key that belongs to the certificate, and let only its owner read it.
    """

    id = "certificate.key"
    concerns = "servers' certificates, and no bundles of authorities"

    def observe(self, host: Host) -> Seen[Keyed]:
        return self.seen(host, _picked)

    def findings(self, of: tuple[Keyed, ...]) -> Iterator[Finding]:
        for keyed in of:
            wrong = [*_strength(keyed), *_signatures(keyed)]
            beside = list(_file(keyed, keyed.key, self.context.machine)) if keyed.key else []
            yield from wrong or [_fine(keyed, None if beside else keyed.key)]
            yield from beside


def _picked(watched: Watched) -> Keyed | None:
    if not watched.chain or watched.chain.is_store:
        return None
    return Keyed(name=watched.name, chain=watched.chain, key=watched.key)


def _fine(keyed: Keyed, key: KeyFacts | None) -> Finding:
    """What is right, in one; `key` if its file is."""
    summary = f"The key of the certificate of {keyed.name} is strong enough"
    if key:
        file = "" if key.path == keyed.name else f", {key.path},"
        summary += f", and the private key{file} belongs to it"
        summary += " and is closed to others" if key.mode is not None else ""
    mode = f"; file with mode {key.mode:04o}" if key and key.mode is not None else ""
    observed = f"{_described(keyed.chain.leaf)}{mode}"
    return Finding(Status.PASS, keyed.name, f"{summary}.", observed=observed)


def _file(keyed: Keyed, key: KeyFacts, machine: Machine) -> Iterator[Finding]:
    yield from _match(keyed.name, keyed.chain.leaf, key, machine)
    yield from _permissions(keyed.name, key)


def _path(chain: Chain) -> list[CertificateFacts]:
    return [chain.certificates[at] for at in chain.path]


def _strength(keyed: Keyed) -> Iterator[Finding]:
    weak = [one for one in _path(keyed.chain) if _is_weak(one)]
    leaf = keyed.chain.leaf
    if not weak and leaf.key_type in _UNUSUAL:
        yield Finding(
            Status.WARN,
            keyed.name,
            f"Browsers do not accept the key of the certificate of {keyed.name}: it is "
            f"{leaf.key_type}.",
            observed=leaf.key_type,
            expected="RSA or an elliptic curve (ECDSA)",
            remedy=_renew(True, "an RSA or ECDSA key"),
            cause="certificate.unusual-key",
        )
    if not weak:
        return
    worst = weak[0]
    yield Finding(
        Status.FAIL,
        keyed.name,
        f"The key of '{worst.name}' in {keyed.name} is too weak: {_described(worst)}.",
        observed=_described(worst),
        expected="RSA of 2048 bits or more, or an elliptic curve of 256 or more",
        remedy=_renew(worst is leaf, "a stronger key"),
        cause="certificate.weak-key",
    )


def _is_weak(certificate: CertificateFacts) -> bool:
    kind, bits = certificate.key_type, certificate.key_bits
    if kind == "DSA":
        return True
    return bits is not None and bits < _LEAST_BITS.get(kind, 0)


def _signatures(keyed: Keyed) -> Iterator[Finding]:
    for one in _path(keyed.chain):
        if one.self_signed and one is not keyed.chain.leaf:
            continue
        if one.signature_hash in BROKEN_HASHES:
            yield Finding(
                Status.FAIL,
                f"{keyed.name} signature",
                f"The signature of '{one.name}' in {keyed.name} is too weak: it uses "
                f"{text.hash_name(one.signature_hash)}.",
                observed=one.signature_hash,
                expected="sha256 or better",
                remedy=_renew(one is keyed.chain.leaf, "a SHA-256 signature"),
                cause="certificate.weak-signature",
            )
            return


def _renew(own: bool, what: str) -> Remedy:
    if own:
        return Remedy(f"Have a certificate with {what} issued, and install it {INSTALL}.")
    return Remedy(f"Ask the issuer for a chain with {what}, and install it {INSTALL}.")


def _match(name: str, leaf: CertificateFacts, key: KeyFacts, machine: Machine) -> Iterator[Finding]:
    subject = f"{name} key"
    if key.trouble:
        yield _unknown(subject, name, key, machine)
        return
    if key.public_sha256 == leaf.key_sha256:
        return
    yield Finding(
        Status.FAIL,
        subject,
        f"The private key in {key.path} is not that of the certificate '{leaf.name}' of {name}.",
        observed="two different public keys",
        expected="the key that the certificate was issued for",
        remedy=Remedy(
            "Install the key that was made with the request for this certificate. If it is lost, "
            f"make a new key and have the certificate issued anew, and install both {INSTALL}."
        ),
        cause="certificate.other-key",
    )


def _unknown(subject: str, name: str, key: KeyFacts, machine: Machine) -> Finding:
    remedy = Remedy("Correct `key` beside the certificate in the configuration, or the file.")
    if key.trouble == "locked":
        remedy = Remedy(
            "Name where its password is as `password` beside the certificate in the configuration. "
            "bioproxy takes a key without a password only."
        )
    elif key.trouble == "denied" and not machine.root:
        remedy = Remedy("Run biostudio-doctor as root, which may read it.")
    return Finding(
        Status.ERROR,
        subject,
        f"Whether the private key in {key.path} belongs to the certificate of {name} is not known: "
        f"{key.problem}.",
        remedy=remedy,
        cause=f"certificate.key-{key.trouble}",
    )


def _permissions(name: str, key: KeyFacts) -> Iterator[Finding]:
    if key.mode is None:
        return
    open_bits = key.mode & (_GROUP_WRITES if key.sheltered else _OTHERS | _GROUP_WRITES)
    subject = f"{name} key file"
    if not open_bits:
        return
    verb = "read" if open_bits & 0o004 else "change"
    who = "every user of this host" if open_bits & _OTHERS else "its whole group"
    yield Finding(
        Status.WARN,
        subject,
        f"The private key in {key.path} is open to too many: {who} may {verb} it.",
        observed=f"mode {key.mode:04o}",
        expected="mode 0600, or 0640 for a group of servers",
        remedy=Remedy(
            "Let nobody but its owner and its group read it. If others had an account here "
            "meanwhile, have the certificate issued anew with a new key.",
            (f"chmod g-w,o-rwx {quote(key.path)}",),
        ),
        cause="certificate.key-open",
    )


def _described(certificate: CertificateFacts) -> str:
    bits = f" of {certificate.key_bits} bits" if certificate.key_bits else ""
    return f"{certificate.key_type or 'a key of unknown kind'}{bits}"
