"""Servers that speak TLS with certificates of the lab's choice: nginx and Mosquitto for real.

The peers that speak SMTP and LDAP as far as STARTTLS are made: no mail server and no directory is
needed to say these few bytes.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.lab.certificates import Made
from tests.lab.network import free_port
from tests.lab.peers import Behaviour, tls
from tests.lab.servers import directory, give, program, running


class Identity:
    """A server's certificate, chain and key as files, named as lab.servers.Authority has them."""

    def __init__(self, place: Path, name: str, chain: Sequence[Made]) -> None:
        self.certificate = place / f"{name}.pem"
        self.key = place / f"{name}.key"
        self.ca_file = self.certificate
        self.certificate.write_bytes(b"".join(one.pem for one in chain))
        self.key.write_bytes(chain[0].key_pem)
        self.key.chmod(0o600)
        for file in (self.certificate, self.key):
            give(file)


class Site(NamedTuple):
    """One HTTPS server of nginx."""

    chain: Sequence[Made]
    directives: str = ""
    address: str = "127.0.0.1"
    port: int | None = None  # a free one without


_NGINX = """
daemon off; worker_processes 1; pid {place}/nginx.pid; error_log {place}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {place}; proxy_temp_path {place}; fastcgi_temp_path {place};
  uwsgi_temp_path {place}; scgi_temp_path {place};
{servers}
}}
"""
_SERVER = """
  server {{
    listen {address}:{port} ssl; ssl_certificate {certificate}; ssl_certificate_key {key};
    {directives}
  }}
"""


@contextmanager
def nginx(sites: Mapping[str, Site]) -> Iterator[dict[str, int]]:
    """One nginx with many HTTPS servers, each on a port of its own; their ports by name."""
    with directory() as place:
        ports = {name: site.port or free_port() for name, site in sites.items()}
        servers = []
        for name, site in sites.items():
            own = Identity(place, name.replace(" ", "-"), site.chain)
            servers.append(
                _SERVER.format(
                    address=site.address, port=ports[name], certificate=own.certificate,
                    key=own.key, directives=site.directives,
                )
            )  # fmt: skip
        file = place / "nginx.conf"
        file.write_text(_NGINX.format(place=place, servers="".join(servers)))
        give(file)
        command = [program("nginx"), "-c", str(file), "-e", f"{place}/error.log"]
        with running(command, next(iter(ports.values())), log=place / "nginx.log"):
            yield ports


@contextmanager
def mosquitto(listeners: Mapping[str, Sequence[Made]]) -> Iterator[dict[str, int]]:
    """One Mosquitto with a TLS listener for each certificate; their ports by name."""
    with directory() as place:
        ports = {name: free_port() for name in listeners}
        lines = ["allow_anonymous true", "persistence false"]
        for name, chain in listeners.items():
            own = Identity(place, name.replace(" ", "-"), chain)
            lines += [f"listener {ports[name]} 127.0.0.1", f"certfile {own.certificate}",
                      f"keyfile {own.key}"]  # fmt: skip
        file = place / "mosquitto.conf"
        file.write_text("\n".join(lines) + "\n")
        give(file)
        command = [program("mosquitto"), "-c", str(file)]
        with running(command, next(iter(ports.values())), log=place / "mosquitto.log"):
            yield ports


# --- Made peers -----------------------------------------------------------------------------------


def smtp(
    context: ssl.SSLContext | None,
    *,
    greeting: bytes = b"220-mail.lab\r\n220 ready\r\n",
    ready: bytes = b"220 go ahead\r\n",
) -> Behaviour:
    """A mail server; without a context it offers no STARTTLS."""

    def serve(connection: socket.socket) -> None:
        connection.sendall(greeting)
        if not _line(connection).upper().startswith(b"EHLO "):
            return
        offer = b"250-STARTTLS\r\n" if context else b""
        connection.sendall(b"250-mail.lab\r\n" + offer + b"250 SIZE 1000\r\n")
        if not context:
            connection.recv(1)
            return
        assert _line(connection) == b"STARTTLS\r\n"
        connection.sendall(ready)
        tls(context)(connection)

    return serve


def ldap(context: ssl.SSLContext | None, *, long_form: bool = False) -> Behaviour:
    """A directory; without a context it refuses StartTLS with the result 52 (unavailable)."""

    def serve(connection: socket.socket) -> None:
        request = connection.recv(31)
        assert request.endswith(b"1.3.6.1.4.1.1466.20037") and request[:2] == b"\x30\x1d"
        code = 0 if context else 52
        result = bytes([0x0A, 1, code, 4, 0, 4, 0])
        message = b"\x02\x01\x01\x78" + bytes([len(result)]) + result
        length = bytes([len(message)])
        if long_form:  # as OpenLDAP and Active Directory write it
            length = b"\x84" + len(message).to_bytes(4, "big")
        connection.sendall(b"\x30" + length + message)
        if context:
            tls(context)(connection)

    return serve


def _line(connection: socket.socket) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        data = connection.recv(1)
        if not data:
            break
        line += data
    return line
