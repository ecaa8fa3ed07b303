"""How a certificate is renewed, by how it was made (Setup HTTPS workflow of the document)."""

import re

from biostudio_doctor import text
from biostudio_doctor.certificates import CertificateFacts
from biostudio_doctor.model import Remedy

INSTALL = "on bioproxy's dashboard under Settings > Update SSL"

_DAYS = 397  # what browsers still accept of a certificate

#: What may stand in a command line: a name out of a certificate is somebody else's text.
_PLAIN_NAME = re.compile(r"[A-Za-z0-9*_][A-Za-z0-9._-]{0,62}")
_PLAIN_ADDRESS = re.compile(r"[0-9a-fA-F.:]+")


def renewal(certificate: CertificateFacts) -> Remedy:
    """What to do about a certificate that has expired or soon will."""
    if certificate.self_signed:
        return Remedy(
            f"Make a new self-signed certificate and install it {INSTALL}, or wherever this one "
            "is served.",
            self_signed(certificate.dns_names, certificate.ip_addresses),
            as_root=False,
        )
    if "let's encrypt" in certificate.issuer_name.lower().replace("\u2019", "'"):
        return Remedy(
            f"It comes from Let's Encrypt, whose renewal has not worked. If bioproxy obtained it: "
            "its domain must be public and its port 80 reachable from the internet; look into the "
            f"log of the container for the reason, then renew it {INSTALL}. If certbot or another "
            "program obtained it, look into the log of that one."
        )
    issuer = certificate.issuer_name or certificate.issuer or "its issuer"
    return Remedy(
        f"Renew it with its issuer ({issuer}). Install the new certificate, followed by its "
        f"intermediate certificates, and its key, {INSTALL}, or wherever this one is served."
    )


def chain_renewal(certificate: CertificateFacts) -> Remedy:
    """What to do about another certificate of a chain: the server's own may well be good."""
    where = f" (it names {text.listing(certificate.issuer_urls)})" * bool(certificate.issuer_urls)
    return Remedy(
        f"Ask the issuer ({certificate.issuer_name or certificate.issuer}) for the current chain"
        f"{where}, put it after the server's own certificate, and install both {INSTALL}, or "
        "wherever they are served."
    )


def self_signed(dns_names: tuple[str, ...], ip_addresses: tuple[str, ...]) -> tuple[str, ...]:
    """The commands that make a self-signed certificate and its key in the current directory.

    They work with every OpenSSL from 1.0.1 on (`-addext` came with 1.1.1 only).
    """
    names = [name for name in dns_names if _PLAIN_NAME.fullmatch(name)]
    addresses = [address for address in ip_addresses if _PLAIN_ADDRESS.fullmatch(address)]
    if not names and not addresses:
        names = ["studio.example.org"]
    alternatives = ",".join(
        [f"DNS:{name}" for name in names] + [f"IP:{address}" for address in addresses]
    )
    config = (
        r"[req]\nprompt=no\ndistinguished_name=dn\nx509_extensions=v3\n"
        rf"[dn]\nCN={(names + addresses)[0]}\n[v3]\nsubjectAltName={alternatives}\n"
    )
    return (
        "umask 077",
        f"printf '{config}' > new-tls.cnf",
        f"openssl req -x509 -newkey rsa:2048 -sha256 -nodes -days {_DAYS} -config new-tls.cnf "
        "-keyout new-tls.key -out new-tls.crt",
    )
