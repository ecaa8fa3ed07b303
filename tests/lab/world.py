"""The world behind the router: resolvers and web servers for the published names.

Each server is the real program: dnsmasq answers names, nginx serves HTTPS. The names' certificates
are signed by the lab's own CA, which the client trusts instead of the system's.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import trustme

from biostudio_doctor import requirements
from tests.lab.network import WORLD, Network

RESOLVER = "203.0.113.53"
RESOLVER2 = "203.0.113.54"
WEB4, WEB6 = "203.0.113.10", "2001:db8:1::10"
#: A second web server, for hosts that are to differ from the others.
ODD4 = "203.0.113.20"

_NGINX = """
daemon off;
master_process off;
user root;
pid {directory}/nginx-{name}.pid;
error_log {directory}/nginx-{name}-error.log;
events {{ worker_connections 512; }}
http {{
  access_log off;
  client_body_temp_path {directory}/nginx-{name}-body;
  proxy_temp_path {directory}/nginx-{name}-proxy;
  fastcgi_temp_path {directory}/nginx-{name}-fastcgi;
  uwsgi_temp_path {directory}/nginx-{name}-uwsgi;
  scgi_temp_path {directory}/nginx-{name}-scgi;
  server {{
    {listen}
    ssl_certificate {certificate};
    ssl_certificate_key {certificate};
    ssl_protocols {protocols};
    ssl_ciphers {ciphers};
    default_type text/plain;
    {body}
  }}
}}
"""


class World:
    """Names, their addresses, and who serves them."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.directory = network.directory
        self.names = sorted({endpoint.host for endpoint in requirements.load().hosts})
        self.authority = trustme.CA(organization_name="Lab Public CA")
        self.ca_file = self._write("lab-ca.pem", self.authority.cert_pem.bytes())
        self.certificate = self.issue("web", self.authority, self.names)
        for address in (RESOLVER, RESOLVER2, WEB4, ODD4):
            self.add_address(address)
        self.add_address(WEB6, 64)

    def add_address(self, address: str, length: int = 24) -> None:
        """Give the world another address."""
        options = ["nodad"] if ":" in address else []
        self.network.run(
            WORLD, ["ip", "address", "add", f"{address}/{length}", "dev", "eth0", *options]
        )

    def issue(
        self, name: str, authority: trustme.CA, names: Iterable[str], **options: object
    ) -> Path:
        """A certificate with its chain and key, in one PEM file."""
        issued = authority.issue_cert(*names, **options)  # type: ignore[arg-type]
        return self._write(f"{name}.pem", issued.private_key_and_cert_chain_pem.bytes())

    def resolver(
        self, address: str = RESOLVER, answers: Mapping[str, Iterable[str]] | None = None,
        options: Iterable[str] = (), ipv6: bool = True,
    ) -> None:  # fmt: skip
        """Start dnsmasq: all names lead to WEB4 and WEB6, but those of `answers` where it says.

        A name without addresses does not exist (NXDOMAIN); `options` are lines of dnsmasq.conf.
        """
        addresses = {name: [WEB4, *([WEB6] if ipv6 else [])] for name in self.names}
        addresses |= {name: list(given) for name, given in (answers or {}).items()}
        hosts = self._write(
            f"hosts-{address}",
            "".join(
                f"{where} {name}\n" for name, given in addresses.items() for where in given
            ).encode(),
        )
        lines = ["no-resolv", "no-hosts", "keep-in-foreground", "bind-interfaces", "user=root"]
        # Every top-level domain is ours, so what is not in the hosts file does not exist.
        lines += [f"listen-address={address}", f"addn-hosts={hosts}", "local=//", "local=/com/"]
        lines += ["local=/org/", "local=/io/", "pid-file=", *options]
        conf = self._write(f"dnsmasq-{address}.conf", "\n".join(lines).encode())
        self.network.start(WORLD, ["dnsmasq", "-C", str(conf)])
        self.network.wait_for(WORLD, address, 53)

    def web(
        self, name: str = "web", *, certificate: Path | None = None,
        addresses: Iterable[str] = (WEB4, WEB6), body: str = 'location / { return 200 "ok\\n"; }',
        protocols: str = "TLSv1.2 TLSv1.3", ciphers: str = "HIGH", plain: bool = True,
    ) -> None:  # fmt: skip
        """Start nginx with HTTPS on 443 (and HTTP on 80) of some addresses."""
        where = [f"[{address}]" if ":" in address else address for address in addresses]
        listen = "".join(f"listen {address}:443 ssl;" for address in where)
        listen += "".join(f"listen {address}:80;" for address in where) if plain else ""
        conf = self._write(
            f"nginx-{name}.conf",
            _NGINX.format(
                directory=self.directory, name=name, listen=listen, body=body,
                certificate=certificate or self.certificate, protocols=protocols, ciphers=ciphers,
            ).encode(),
        )  # fmt: skip
        self.network.start(WORLD, ["nginx", "-c", str(conf), "-e", "stderr"])
        self.network.wait_for(WORLD, where[0].strip("[]"), 443)

    def script(self, where: str, name: str, source: str, *arguments: str) -> None:
        """Start a small server of our own, where no real program misbehaves as wanted."""
        file = self._write(f"{name}.py", source.encode())
        self.network.start(where, [sys.executable, str(file), *arguments])

    def _write(self, name: str, content: bytes) -> Path:
        file = self.directory / name
        file.write_bytes(content)
        return file
