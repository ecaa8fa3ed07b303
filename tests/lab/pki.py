"""A public key infrastructure of the lab: a root that is trusted, and what is issued below it."""

from __future__ import annotations

import base64
import json
import subprocess
import tempfile
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import pkcs7, pkcs12

from tests.lab.certificates import Made, make, proper

PEM, DER = serialization.Encoding.PEM, serialization.Encoding.DER
DAY = timedelta(days=1)


class Pki:
    """Certificates of all kinds; what is costly to make is made once."""

    aia = "http://pki.lab/sub.crt"

    def __init__(self, lists_at: str = "http://127.0.0.1:1") -> None:
        self.lists_at = lists_at  # where revocation lists are served

    @cached_property
    def root(self) -> Made:
        return proper("Lab Root", ca=True, names=(), days=(-400, 4000))

    @cached_property
    def sub(self) -> Made:
        return self.authority("Lab Sub")

    @cached_property
    def stranger(self) -> Made:
        """A root that nobody trusts."""
        return proper("Other Root", ca=True, names=(), days=(-400, 4000))

    @cached_property
    def strange_sub(self) -> Made:
        return self.authority("Other Sub", issuer=self.stranger)

    @cached_property
    def old_root(self) -> Made:
        """A root that has expired."""
        return proper("Old Root", ca=True, names=(), days=(-400, -1))

    @cached_property
    def crossed(self) -> Made:
        """The root as another one signed it, expired: ISRG Root X1 below DST Root CA X3 in 2021."""
        return proper(
            "Lab Root", issuer=self.stranger, ca=True, names=(), key=self.root.key, days=(-90, -1)
        )

    @cached_property
    def good(self) -> Made:
        return self.leaf()

    @cached_property
    def self_signed(self) -> Made:
        return proper("studio.lab")

    @cached_property
    def rsa(self) -> Any:
        return rsa.generate_private_key(65537, 2048)

    @cached_property
    def weak_rsa(self) -> Any:
        return rsa.generate_private_key(65537, 1024)

    def authority(self, name: str, *, issuer: Made | None = None, **options: Any) -> Made:
        options = {"days": (-300, 2000), **options}
        return proper(name, issuer=issuer or self.root, ca=True, names=(), **options)

    def leaf(self, *, issuer: Made | None = None, **options: Any) -> Made:
        return proper(issuer=issuer or self.sub, **options)

    def chain(self, **options: Any) -> bytes:
        """A server's certificate and its intermediate."""
        return self.leaf(**options).pem + self.sub.pem

    # --- Ways to keep them ---

    def p7(self, encoding: Any, *chain: Made) -> bytes:
        return pkcs7.serialize_certificates([one.certificate for one in chain], encoding)

    def p12(self, password: str, *chain: Made, key: Any = None) -> bytes:
        encryption: Any = serialization.NoEncryption()
        if password:
            encryption = serialization.BestAvailableEncryption(password.encode())
        return pkcs12.serialize_key_and_certificates(
            b"studio", key or chain[0].key, chain[0].certificate,
            [one.certificate for one in chain[1:]], encryption,
        )  # fmt: skip

    def secret(self, made: Made, *chain: Made, key: bytes | None = None, **changes: Any) -> bytes:
        """A Kubernetes secret, as kubectl prints it."""
        parts = {
            "tls.crt": made.pem + b"".join(one.pem for one in chain),
            "tls.key": key or made.key_pem,
        }
        data = {name: base64.b64encode(value).decode() for name, value in parts.items()}
        manifest = {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "data": data}
        return json.dumps(manifest | changes).encode()

    def locked_key(self, made: Made, password: str) -> bytes:
        return bytes(
            made.key.private_bytes(
                PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.BestAvailableEncryption(password.encode()),
            )
        )

    # --- What no honest library makes any more ---

    @cached_property
    def sha1(self) -> Made:
        """Signed with SHA-1, by the program openssl: cryptography does it no more."""
        with tempfile.TemporaryDirectory() as name:
            place = Path(name)
            request = x509.CertificateSigningRequestBuilder(self.good.certificate.subject)
            signed_request = request.sign(self.rsa, hashes.SHA256())
            (place / "leaf.csr").write_bytes(signed_request.public_bytes(PEM))
            (place / "root.pem").write_bytes(self.root.pem)
            (place / "root.key").write_bytes(self.root.key_pem)
            (place / "ext").write_text("subjectAltName=DNS:studio.lab\n")
            command = (
                "openssl x509 -req -in leaf.csr -CA root.pem -CAkey root.key -set_serial 7 -sha1 "
                "-days 90 -extfile ext -out out.pem"
            )
            subprocess.run(command.split(), cwd=place, check=True, capture_output=True)
            signed = x509.load_pem_x509_certificate((place / "out.pem").read_bytes())
        return Made(signed, self.rsa)

    # --- Revocation ---

    def crl(
        self,
        issuer: Made,
        *revoked: Made,
        days: tuple[float, float] = (-1, 6),
        signer: Made | None = None,
    ) -> bytes:
        now = datetime.now(UTC)
        builder = x509.CertificateRevocationListBuilder(
            issuer.certificate.subject, now + days[0] * DAY, now + days[1] * DAY
        )
        for one in revoked:
            entry = x509.RevokedCertificateBuilder(
                one.certificate.serial_number, now - DAY,
                [x509.Extension(x509.CRLReason.oid, False,
                                x509.CRLReason(x509.ReasonFlags.key_compromise))],
            ).build()  # fmt: skip
            builder = builder.add_revoked_certificate(entry)
        return builder.sign((signer or issuer).key, hashes.SHA256()).public_bytes(DER)


def edwards() -> Any:
    return ed25519.Ed25519PrivateKey.generate()


def curve(bits: int) -> Any:
    return ec.generate_private_key({224: ec.SECP224R1(), 384: ec.SECP384R1()}[bits])


__all__ = ["DER", "PEM", "Made", "Pki", "curve", "edwards", "make", "proper"]
