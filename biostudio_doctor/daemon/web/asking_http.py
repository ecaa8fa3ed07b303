"""The module http_2xx of /probe: a GET, redirects included, each held against the list."""

from datetime import UTC
from email.utils import parsedate_to_datetime

import httpx
from anyio.abc import ByteStream

from biostudio_doctor.daemon.allow import PORTS, Target, host_of, scheme_of
from biostudio_doctor.daemon.web.asking import Probe, Question
from biostudio_doctor.daemon.web.measured import Measured
from biostudio_doctor.probes import Failure, Phase, http, tcp, tls
from biostudio_doctor.probes.failures import ProbeError, failure

_REDIRECTS = 10  # as the blackbox exporter
_BODY_LIMIT = 10 << 20  # bytes of a body; they are counted and thrown away

#: The phases of `probe_http_duration_seconds`, by our own names.
_PHASES: dict[Phase, str] = {
    "connect": "connect",
    "tls": "tls",
    "request": "processing",
    "transfer": "transfer",
}


def _of_url(url: httpx.URL) -> Target:
    """What a URL asks for.

    Raises:
        ValueError: if it is no proper URL of HTTP.
    """
    if url.scheme not in PORTS or url.userinfo:
        raise ValueError("it is no plain URL of http or https")
    port = PORTS[url.scheme] if url.port is None else url.port
    if not 0 < port < 65536:
        raise ValueError("it has no proper port")
    path = url.raw_path.partition(b"?")[0].decode("ascii")
    return Target(
        host=host_of(url.raw_host.decode("ascii")), port=port, scheme=url.scheme, path=path
    )


def a_url(text: str, _name: str) -> Question:
    """Understand a URL; http:// may be left out.

    Raises:
        ValueError: one line that says what is wrong.
    """
    try:
        url = httpx.URL(text if scheme_of(text) else f"http://{text}")
    except httpx.InvalidURL:
        raise ValueError("it is no proper URL") from None
    target = _of_url(url)
    return Question(target, url.copy_with(host=target.host, fragment=None))


async def http_2xx(probe: Probe, seconds: float) -> bool:
    """GET a URL and follow its redirects as far as the list admits them: is it a 2xx?"""
    measured = probe.measured
    measured.zero(
        "probe_failed_due_to_regex", "probe_http_status_code", "probe_http_ssl",
        "probe_http_version", "probe_http_redirects", "probe_http_content_length",
        "probe_http_uncompressed_body_length",
    )  # fmt: skip
    for phase in ("resolve", *_PHASES.values()):
        measured.set("probe_http_duration_seconds", 0, phase)
    target, address = probe.question.target, ""
    trace = http.Trace()

    async def dial(_host: str, _port: int) -> ByteStream:
        try:
            return await tcp.connect(address, target.port, timeout=seconds)
        except OSError as error:  # httpcore would cut its cause off
            raise ProbeError(failure("connect", error)) from None

    context = tls.verifying_context(None, ("http/1.1",))
    try:
        async with httpx.AsyncClient(
            transport=http.Transport(dial, context), trust_env=False, timeout=seconds
        ) as client:
            request = client.build_request(
                "GET",
                probe.question.url or "",
                headers=http.OUR_HEADERS,
                extensions={"trace": trace},
            )
            for redirects in range(_REDIRECTS + 1):
                if redirects:
                    target = _redirected(request.url, probe)
                address, took = await probe.resolve(target, first=not redirects)
                measured.add("probe_http_duration_seconds", took, "resolve")
                response = await client.send(request, stream=True)
                _answered(measured, response)
                if response.next_request is None:
                    await _read_body(measured, response)
                    return response.is_success
                measured.set("probe_http_redirects", redirects + 1)
                await response.aclose()
                request = response.next_request
            raise ProbeError(Failure("request", "too-large", "too many redirects"))
    finally:
        if probe.phase != "resolve":
            probe.phase = trace.phase
        for known, spent in trace.seconds.items():
            measured.set("probe_http_duration_seconds", spent, _PHASES[known])


def _redirected(url: httpx.URL, probe: Probe) -> Target:
    """What a redirect leads to.

    Raises:
        ProbeError: if the list does not admit it.
    """
    try:
        target = _of_url(url)
    except ValueError:
        raise ProbeError(Failure("request", "bad-response", "no proper redirect")) from None
    if not probe.allowed.target(target):
        raise ProbeError(Failure("request", "not-allowed"))
    return target


def _answered(measured: Measured, response: httpx.Response) -> None:
    """What the head of an answer tells; that of a later one takes its place."""
    measured.set("probe_http_status_code", response.status_code)
    version = response.http_version.removeprefix("HTTP/")
    measured.set("probe_http_version", {"1.0": 1.0, "1.1": 1.1}.get(version, 0.0))
    announced = response.headers.get("content-length", "")
    known = announced.isascii() and announced.isdigit() and len(announced) < 19
    bodiless = response.status_code in (204, 304)
    measured.set("probe_http_content_length", int(announced) if known else 0 if bodiless else -1)
    peer = response.extensions["network_stream"].get_extra_info("ssl_object")
    measured.set("probe_http_ssl", 1 if peer else 0)
    if peer:
        measured.tls(peer)
    try:
        modified = parsedate_to_datetime(response.headers.get("last-modified", ""))
        seconds = modified.replace(tzinfo=modified.tzinfo or UTC).timestamp()
        measured.set("probe_http_last_modified_timestamp_seconds", seconds)
    except (ValueError, TypeError, OverflowError):
        pass  # it does not say


async def _read_body(measured: Measured, response: httpx.Response) -> None:
    """Count the bytes of a body.

    Raises:
        ProbeError: if they are too many.
    """
    length = 0
    async for chunk in response.aiter_raw():
        length += len(chunk)
        measured.set("probe_http_uncompressed_body_length", length)
        if length > _BODY_LIMIT:
            raise ProbeError(Failure("transfer", "too-large", "the body is too long"))
