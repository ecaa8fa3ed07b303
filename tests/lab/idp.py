"""Identity providers of the lab: a real one for OpenID Connect, and documents served over HTTPS."""

from __future__ import annotations

import base64
import json
import logging
import ssl
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path
from time import time
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.lab.certificates import Made, proper
from tests.lab.peers import Peer, server_context
from tests.lab.web import read_head

SAML2 = "urn:oasis:names:tc:SAML:2.0"
POST, REDIRECT = f"{SAML2}:bindings:HTTP-POST", f"{SAML2}:bindings:HTTP-Redirect"


class Trust(NamedTuple):
    """What serves a site at 127.0.0.1, and who issued its certificate."""

    context: ssl.SSLContext
    ca_file: str
    root: Made


def trust(place: Path) -> Trust:
    """An authority, and a certificate of it; their files are in `place`."""
    root = proper("Lab Root", ca=True, names=())
    context = server_context(place, proper(names=("127.0.0.1",), issuer=root))
    (place / "ca.pem").write_bytes(root.pem)
    return Trust(context, str(place / "ca.pem"), root)


class Reply(NamedTuple):
    """What is answered to one path."""

    body: bytes = b""
    status: str = "200 OK"
    headers: tuple[str, ...] = ()
    clock: float = 0.0  # seconds that its Date is ahead


class Site:
    """Documents by path, over TLS; what was asked for is in `requests`."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.replies: dict[str, Reply] = {}
        self.requests: list[str] = []
        self._context = context
        self.peer = Peer(self._serve)
        self.url = f"https://127.0.0.1:{self.peer.port}"

    def _serve(self, connection: Any) -> None:
        with self._context.wrap_socket(connection, server_side=True) as secured:
            head = read_head(secured)
            if not head:
                return
            path = head.split(b" ")[1].decode()
            self.requests.append(path)
            reply = self.replies.get(path.partition("?")[0], Reply(status="404 Not Found"))
            lines = (
                f"HTTP/1.1 {reply.status}", f"Content-Length: {len(reply.body)}",
                f"Date: {formatdate(time() + reply.clock, usegmt=True)}", "Connection: close",
                *reply.headers,
            )  # fmt: skip
            secured.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + reply.body)

    def json(self, path: str, document: object, **more: Any) -> None:
        self.replies[path] = Reply(json.dumps(document).encode(), **more)


@contextmanager
def site(context: ssl.SSLContext) -> Iterator[Site]:
    served = Site(context)
    with served.peer:
        yield served


@contextmanager
def mock_provider(context: ssl.SSLContext) -> Iterator[str]:
    """The package oidc-provider-mock over HTTPS; its issuer."""
    with warnings.catch_warnings(record=True):  # it uses what authlib's version 2 will lack
        from oidc_provider_mock import app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", 0, app(), threaded=True, ssl_context=context)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


# --- Documents ------------------------------------------------------------------------------------


def discovery(at: str, **changes: Any) -> dict[str, Any]:
    """A good discovery document; a member that is changed to None is left out."""
    document = {
        "issuer": at,
        "authorization_endpoint": f"{at}/authorize",
        "token_endpoint": f"{at}/token",
        "userinfo_endpoint": f"{at}/userinfo",
        "jwks_uri": f"{at}/keys",
        "response_types_supported": ["code", "id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        **changes,
    }
    return {name: value for name, value in document.items() if value is not None}


def _number(value: int) -> str:
    data = value.to_bytes((value.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def rsa_key(bits: int = 2048, **changes: Any) -> dict[str, Any]:
    numbers = rsa.generate_private_key(65537, bits).public_key().public_numbers()
    return {"kty": "RSA", "kid": "lab", "n": _number(numbers.n), "e": _number(numbers.e), **changes}


def ec_key(**changes: Any) -> dict[str, Any]:
    numbers = ec.generate_private_key(ec.SECP256R1()).public_key().public_numbers()
    return {"kty": "EC", "kid": "curve", "crv": "P-256", "x": _number(numbers.x),
            "y": _number(numbers.y), **changes}  # fmt: skip


def key_descriptor(made: Made | bytes, use: str = ' use="signing"') -> str:
    der = made if isinstance(made, bytes) else made.der
    return (
        f'<md:KeyDescriptor{use}><ds:KeyInfo xmlns:ds="http://www.w3.org/2000/09/xmldsig#">'
        f"<ds:X509Data><ds:X509Certificate>\n{base64.encodebytes(der).decode()}"
        "</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>"
    )


def sign_on(location: str, binding: str = REDIRECT) -> str:
    return f'<md:SingleSignOnService Binding="{binding}" Location="{location}"/>'


def entity(
    keys: str = "",
    *,
    id: str = "https://idp.lab/saml",
    services: str | None = None,
    attributes: str = "",
    inner: str = "",
    protocols: str = f"{SAML2}:protocol",
) -> str:
    """One identity provider, without an XML declaration."""
    if services is None:
        services = sign_on("https://idp.lab/sso") + sign_on("https://idp.lab/sso", POST)
    return (
        f'<md:EntityDescriptor xmlns:md="{SAML2}:metadata" entityID="{id}"{attributes}>{inner}'
        f'<md:IDPSSODescriptor protocolSupportEnumeration="{protocols}">{keys}{services}'
        "</md:IDPSSODescriptor></md:EntityDescriptor>"
    )


def service(id: str = "https://studio.lab/saml") -> str:
    """A service provider, as BioStudio itself is one."""
    return (
        f'<md:EntityDescriptor xmlns:md="{SAML2}:metadata" entityID="{id}">'
        f'<md:SPSSODescriptor protocolSupportEnumeration="{SAML2}:protocol">'
        f'<md:AssertionConsumerService Binding="{POST}" Location="https://studio.lab/acs" '
        'index="0"/></md:SPSSODescriptor></md:EntityDescriptor>'
    )


def entities(*members: str, attributes: str = "") -> str:
    inner = "".join(members)
    return (
        f'<md:EntitiesDescriptor xmlns:md="{SAML2}:metadata"{attributes}>{inner}'
        "</md:EntitiesDescriptor>"
    )


SIGNATURE = '<ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#"/>'


def write(path: Path, text: str | bytes) -> str:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return str(path)
