"""The services of BioStudio that speak HTTP, MQTT and beanstalk's protocol, on free loopback ports.

mosquitto and beanstalkd are the real ones. BioStudio's images cannot be had here, so nginx stands
for bioproxy, for the app and for the hub behind its proxy: the paths are those that the vendor's
own probes ask for, the bodies are made, the hub's header and reply are those of JupyterHub, and the
error pages say what those of configurable-http-proxy say.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

from tests.lab import servers
from tests.lab.network import free_port

_HUB_PAGE = "<html><title>{code}</title><p>configurable-http-proxy</p></html>"

#: Each server's own part; `{name}` is the port of another one.
_SITES = {
    "front": "location = /app_proxy_status {{ return 200 ok; }}"
    "location = /server_status {{ proxy_pass http://127.0.0.1:{app}; }}",
    "front_alone": "location = /app_proxy_status {{ return 200 ok; }}"
    "location = /server_status {{ proxy_pass http://127.0.0.1:{nobody}; }}",
    "front_redirecting": "return 301 https://studio.example.org$request_uri;",
    "app": "location = /status {{ return 200 ok; }} location = /server_status {{ return 200 ok; }}",
    "app_failing": "return 500;",
    "app_endless": "location ~ . {{ default_type text/plain; alias {place}/long; }}",
    "hub": "location = /hub/api {{ default_type application/json;"
    """ return 200 '{{"version": "4.0.2"}}'; }}""",
    "hub_with_header": "add_header X-JupyterHub-Version 5.2.1 always; return 403;",
    "hub_down": f"error_page 503 @page; return 503; location @page {{{{ internal;"
    f" return 503 '{_HUB_PAGE.format(code=503)}'; }}}}",
    "hub_unregistered": f"return 404 '{_HUB_PAGE.format(code=404)}';",
    "stranger": "location / {{ return 404; }}",
    "guarded": "return 401;",
}
_SECURE = ("front", "front_alone", "app", "hub", "stranger")

_NGINX = """
daemon off;
worker_processes 1;
pid {place}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {place}/t1;
    proxy_temp_path {place}/t2;
    fastcgi_temp_path {place}/t3;
    uwsgi_temp_path {place}/t4;
    scgi_temp_path {place}/t5;
    {sites}
}}
"""


@contextmanager
def web(place: Path, authority: servers.Authority) -> Iterator[SimpleNamespace]:
    """nginx in all its parts; ports by name, those with TLS as `NAME_tls`."""
    names = [*_SITES, *(f"{name}_tls" for name in _SECURE), "nobody"]
    ports = {name: free_port() for name in names}
    (place / "long").write_bytes(b"x" * (1 << 20))
    secure = f"ssl_certificate {authority.certificate}; ssl_certificate_key {authority.key};"
    sites = [
        f"server {{ listen 127.0.0.1:{ports[name]}; {part.format(place=place, **ports)} }}"
        for name, part in _SITES.items()
    ] + [
        f"server {{ listen 127.0.0.1:{ports[f'{name}_tls']} ssl; {secure}"
        f" {_SITES[name].format(place=place, **ports)} }}"
        for name in _SECURE
    ]
    config = place / "nginx.conf"
    config.write_text(_NGINX.format(place=place, sites="\n".join(sites)))
    command = [servers.program("nginx"), "-p", str(place), "-e", "stderr", "-c", str(config)]
    with servers.running(command, ports["front"], log=place / "nginx.log"):
        yield SimpleNamespace(**ports)


@contextmanager
def broker(place: Path, authority: servers.Authority, password: str) -> Iterator[SimpleNamespace]:
    """mosquitto: `tcp` and `ws`; with TLS (`..._tls`); with a login, for lab (`..._guarded`)."""
    users = place / "users"
    subprocess.run(
        ["mosquitto_passwd", "-c", str(users), "lab"],
        input=f"{password}\n{password}\n",
        text=True,
        capture_output=True,
        check=True,
    )
    servers.give(users)
    ways = {"": "allow_anonymous true", "_guarded": f"allow_anonymous false\npassword_file {users}",
            "_tls": f"allow_anonymous true\ncertfile {authority.certificate}\n"
            f"keyfile {authority.key}"}  # fmt: skip
    ports = {f"{kind}{way}": free_port() for kind in ("tcp", "ws") for way in ways}
    listeners = [
        f"listener {ports[f'{kind}{way}']} 127.0.0.1\nprotocol {protocol}\n{options}"
        for kind, protocol in (("tcp", "mqtt"), ("ws", "websockets"))
        for way, options in ways.items()
    ]
    config = place / "mosquitto.conf"
    config.write_text("\n".join(["per_listener_settings true", *listeners, ""]))
    command = [servers.program("mosquitto"), "-c", str(config)]
    with servers.running(command, ports["tcp"], log=place / "mosquitto.log"):
        yield SimpleNamespace(**ports)


@contextmanager
def job_queue(place: Path) -> Iterator[SimpleNamespace]:
    """beanstalkd, and its process."""
    port = free_port()
    command = [servers.program("beanstalkd"), "-l", "127.0.0.1", "-p", str(port)]
    with servers.running(command, port, log=place / "beanstalkd.log") as process:
        yield SimpleNamespace(port=port, process=process)
