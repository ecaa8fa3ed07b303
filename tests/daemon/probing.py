"""/probe as a test asks it: through the ASGI application, and the blackbox exporter beside it."""

import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import anyio
import httpx
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from biostudio_doctor.config import ProbeConfig
from biostudio_doctor.daemon.web import probe
from tests.lab.network import free_port
from tests.lab.servers import directory, give, running

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def application(*allow: str, timeout: float = 5.0) -> Starlette:
    """Nothing but /probe."""
    config = ProbeConfig(allow=allow, timeout=timeout)

    async def endpoint(request: Request) -> Response:
        return await probe.answer(request, config)

    return Starlette(routes=[Route("/probe", endpoint)])


@asynccontextmanager
async def client(*allow: str, timeout: float = 5.0) -> AsyncIterator[httpx.AsyncClient]:
    """Asks the application without a network between."""
    transport = httpx.ASGITransport(application(*allow, timeout=timeout))
    async with httpx.AsyncClient(transport=transport, base_url="http://doctor") as asking:
        yield asking


async def ask(
    target: str, module: str, *allow: str, timeout: float = 5.0, name: str = ""
) -> httpx.Response:
    """One probe."""
    async with client(*allow, timeout=timeout) as asking:
        parameters = {"target": target, "module": module, "name": name}
        return await asking.get("/probe", params=parameters)


def samples(text: str) -> Samples:
    """What a page of metrics says, by name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def names(text: str) -> set[str]:
    """The names of the metrics, but for our own."""
    return {name for name, _ in samples(text) if name.startswith("probe_")}


def why(text: str) -> tuple[str, str]:
    """The phase and the reason of a failure."""
    (labels,) = [dict(key[1]) for key in samples(text) if key[0] == "biostudio_target_failure_info"]
    return labels["phase"], labels["reason"]


def value(text: str, name: str, **labels: str) -> float:
    return samples(text)[name, tuple(sorted(labels.items()))]


BLACKBOX = shutil.which("prometheus-blackbox-exporter")
_MODULES = """
modules:
  http_2xx: {{prober: http, timeout: 3s, http: {{tls_config: {{ca_file: {ca}}}}}}}
  icmp: {{prober: icmp, timeout: 3s}}
  tcp_connect: {{prober: tcp, timeout: 3s}}
  tls_connect: {{prober: tcp, timeout: 3s, tcp: {{tls: true, tls_config: {{ca_file: {ca}}}}}}}
  ssh_banner: {{prober: tcp, timeout: 3s, tcp: {{query_response: [{{expect: "^SSH-2.0-"}},
    {{send: "SSH-2.0-blackbox"}}]}}}}
  dns_udp: {{prober: dns, timeout: 3s, dns: {{query_name: studio.lab, query_type: A}}}}
  dns_tcp: {{prober: dns, timeout: 3s,
    dns: {{query_name: studio.lab, query_type: A, transport_protocol: tcp}}}}
"""


@contextmanager
def blackbox(authority: bytes) -> Iterator[str]:
    """Debian's blackbox exporter with our modules; its URL."""
    with directory() as place:
        ca, config, port = place / "ca.pem", place / "blackbox.yml", free_port()
        ca.write_bytes(authority)
        config.write_text(_MODULES.format(ca=ca))
        for file in (ca, config):
            give(file)
        command = [
            str(BLACKBOX), f"--config.file={config}", f"--web.listen-address=127.0.0.1:{port}"
        ]  # fmt: skip
        with running(command, port, log=Path(place) / "blackbox.log"):
            yield f"http://127.0.0.1:{port}/probe"


def asked(
    target: str, module: str, *allow: str, timeout: float = 20.0, name: str = ""
) -> httpx.Response:
    """What `ask` gives, without an event loop of one's own."""
    return anyio.run(lambda: ask(target, module, *allow, timeout=timeout, name=name))
