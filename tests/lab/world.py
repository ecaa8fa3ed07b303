"""The world behind the router: resolvers and web servers for the published names.

Each server is the real program: dnsmasq answers names, nginx serves HTTPS. The names' certificates
are signed by the lab's own authorities, which the client trusts instead of the system's.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme

from biostudio_doctor import requirements
from tests.lab.network import CLIENT, WORLD, Network

RESOLVER = "203.0.113.53"
RESOLVER2 = "203.0.113.54"
WEB4, WEB6 = "203.0.113.10", "2001:db8:1::10"
#: A second web server, for hosts that are to differ from the others.
ODD4 = "203.0.113.20"

_SERVER = """
  server {{
    server_name {names};
    {listen}
    ssl_certificate {certificate};
    ssl_certificate_key {certificate};
    {body}
  }}
"""
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
  ssl_protocols {protocols};
  ssl_ciphers {ciphers};
  default_type text/plain;
  {servers}
}}
"""


OK = 'location / { return 200 "ok\\n"; }'

#: Who issues for whom, as on the internet; each is a separate authority of the lab.
AUTHORITIES = {
    "Let's Encrypt": ("bioturing.com",),
    "Google Trust Services": ("anaconda.org", "anaconda.com"),
    "Amazon": ("amazonaws.com",),
    "Sectigo Limited": ("",),  # all others
}


class World:
    """Names, their addresses, and who serves them."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.directory = network.directory
        self.names = sorted({endpoint.host for endpoint in requirements.load().hosts})
        self.authorities = {name: trustme.CA(organization_name=name) for name in AUTHORITIES}
        self.trust_store(self.authorities.values())
        for address in (RESOLVER, RESOLVER2, WEB4, ODD4):
            self.add_address(address)
        self.add_address(WEB6, 64)

    def trust_store(self, authorities: Iterable[trustme.CA]) -> None:
        """What the client finds at /etc/ssl/certs instead of this system's authorities."""
        (self.directory / "certs").mkdir(exist_ok=True)
        bundle = b"".join(authority.cert_pem.bytes() for authority in authorities)
        self._write("certs/ca-certificates.crt", bundle)

    def authority_of(self, name: str) -> trustme.CA:
        """Who issued the certificate of a host."""
        return next(
            self.authorities[authority]
            for authority, domains in AUTHORITIES.items()
            if any(name.endswith(domain) for domain in domains)
        )

    def doctor(
        self, *arguments: str, env: Mapping[str, str] | None = None, before: Sequence[str] = ()
    ) -> subprocess.CompletedProcess[str]:
        """Run biostudio-doctor on the client, which trusts the lab's authorities only.

        `before` is a command that is to run it, such as faketime.
        """
        return self._on_client(["-m", "biostudio_doctor", *arguments], env, before)

    def python(self, program: str, *arguments: str) -> str:
        """Run a program in Python there, and give what it prints."""
        done = self._on_client(["-c", program, *arguments])
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _on_client(
        self,
        arguments: Sequence[str],
        env: Mapping[str, str] | None = None,
        before: Sequence[str] = (),
    ) -> subprocess.CompletedProcess[str]:
        certs = str(self.directory / "certs")
        script = 'mount --bind "$0" /etc/ssl/certs && exec "$@"'
        clean = {k: v for k, v in os.environ.items() if "proxy" not in k.lower()}
        return self.network.run(
            CLIENT,
            ["sh", "-c", script, certs, *before, sys.executable, *arguments],
            check=False,
            env={**clean, **(env or {})},
        )

    def add_address(self, address: str, length: int = 24) -> None:
        """Give the world another address."""
        options = ["nodad"] if ":" in address else []
        self.network.run(
            WORLD, ["ip", "address", "add", f"{address}/{length}", "dev", "eth0", *options]
        )

    def issue(self, name: str, authority: trustme.CA, names: Iterable[str]) -> Path:
        """A certificate of one year with its chain and key, in one PEM file."""
        issued = authority.issue_cert(*names, not_after=datetime.now(UTC) + timedelta(days=365))
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
        self, name: str = "web", *, addresses: Iterable[str] = (WEB4, WEB6),
        body: str = OK, bodies: Mapping[str, str] | None = None,
        certificate: Path | None = None, protocols: str = "TLSv1.2 TLSv1.3", ciphers: str = "HIGH",
    ) -> None:  # fmt: skip
        """Start nginx with HTTPS on 443 and HTTP on 80 of some addresses.

        `body` is what stands in the server's block, `bodies` what stands there for single hosts.
        One certificate for all, or each host's own where none is given.
        """
        where = [f"[{address}]" if ":" in address else address for address in addresses]
        listen = " ".join(f"listen {address}:443 ssl; listen {address}:80;" for address in where)
        groups: dict[tuple[str, str], list[str]] = {}
        for host in self.names:
            authority = self.authority_of(host)
            signed = self._certificate(authority) if certificate is None else certificate
            text = (bodies or {}).get(host, body)
            groups.setdefault((str(signed), text), []).append(host)
        servers = "".join(
            _SERVER.format(names=" ".join(hosts), listen=listen, certificate=signed, body=text)
            for (signed, text), hosts in groups.items()
        )
        conf = self._write(
            f"nginx-{name}.conf",
            _NGINX.format(
                directory=self.directory, name=name, servers=servers,
                protocols=protocols, ciphers=ciphers,
            ).encode(),
        )  # fmt: skip
        self.network.start(WORLD, ["nginx", "-c", str(conf), "-e", "stderr"])
        self.network.wait_for(WORLD, where[0].strip("[]"), 443)

    def _certificate(self, authority: trustme.CA) -> Path:
        names = [name for name in self.names if self.authority_of(name) is authority]
        file = self.directory / f"web-{id(authority)}.pem"
        if not file.exists():
            self.issue(file.stem, authority, names)
        return file

    def script(self, where: str, name: str, source: str, *arguments: str) -> None:
        """Start a small server of our own, where no real program misbehaves as wanted."""
        file = self._write(f"{name}.py", source.encode())
        self.network.start(where, [sys.executable, str(file), *arguments])

    def _write(self, name: str, content: bytes) -> Path:
        file = self.directory / name
        file.write_bytes(content)
        return file
