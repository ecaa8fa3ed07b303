"""The modules of /probe: one way each of asking a target, by the blackbox exporter's names.

A module connects only to addresses that `Probe.resolve` has let through, and never looks a name up
a second time.
"""

import re
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import NamedTuple

import anyio
import httpx
from anyio.abc import ByteStream
from anyio.streams.tls import TLSAttribute, TLSStream

from biostudio_doctor.daemon.allow import host_of, place
from biostudio_doctor.daemon.web.asking import Probe, Question
from biostudio_doctor.daemon.web.asking_http import a_url, http_2xx
from biostudio_doctor.daemon.web.asking_icmp import a_host, icmp
from biostudio_doctor.daemon.web.measured import Measured
from biostudio_doctor.probes import Failure, dns, tcp, tls
from biostudio_doctor.probes.failures import ProbeError, failure

_BANNER_LIMIT = 16384  # bytes until the line that is waited for

_SSH = re.compile(rb"SSH-2\.0-")
_SSH_GREETING = b"SSH-2.0-biostudio_doctor\r\n"  # so that the server logs who called


class Module(NamedTuple):
    """One way of asking."""

    understand: Callable[[str, str], Question]  # target and name; ValueError says what is wrong
    ask: Callable[[Probe, float], Awaitable[bool]]  # within so many seconds; True is success


# --- TCP, with TLS or a banner --------------------------------------------------------------------


def _a_port(text: str, _name: str) -> Question:
    return Question(place(text))


async def _found(probe: Probe) -> tuple[str, int]:
    """Where to connect to. The metric is one that the blackbox exporter has for all of these."""
    probe.measured.zero("probe_failed_due_to_regex")
    target = probe.question.target
    address, _ = await probe.resolve(target)
    return address, target.port


async def _tcp_connect(probe: Probe, seconds: float) -> bool:
    """Does it take a connection?"""
    address, port = await _found(probe)
    (attempt,) = await tcp.probe([address], port, timeout=seconds)
    if attempt.failure:
        raise ProbeError(attempt.failure)
    return True


async def _tls_connect(probe: Probe, seconds: float) -> bool:
    """Does it shake hands, with a certificate that verifies?"""
    address, port = await _found(probe)
    stream = await tcp.connect(address, port, timeout=seconds)
    probe.phase = "tls"
    try:
        secured = await TLSStream.wrap(
            stream,
            hostname=probe.question.target.host,
            ssl_context=tls.verifying_context(),
            standard_compatible=False,
        )
        peer = secured.extra(TLSAttribute.ssl_object)
        probe.measured.tls(peer)
    finally:
        await anyio.aclose_forcefully(stream)
    return True


async def _ssh_banner(probe: Probe, seconds: float) -> bool:
    """Does it greet as SSH 2.0 does (RFC 4253, 4.2)?"""
    address, port = await _found(probe)
    stream = await tcp.connect(address, port, timeout=seconds)
    probe.phase = "request"
    try:
        if not await _greets(stream):
            probe.measured.set("probe_failed_due_to_regex", 1)
            raise ProbeError(Failure("request", "bad-response", "it does not greet as SSH 2.0"))
        await stream.send(_SSH_GREETING)
    finally:
        await anyio.aclose_forcefully(stream)
    return True


async def _greets(stream: ByteStream) -> bool:
    """Whether a line with the greeting comes before the end, and within the limit."""
    heard = b""
    while len(heard) <= _BANNER_LIMIT:
        try:
            heard += await stream.receive()
        except anyio.EndOfStream:
            return any(map(_SSH.match, heard.splitlines()))
        whole = heard.rpartition(b"\n")[0]
        if any(map(_SSH.match, whole.splitlines())):
            return True
    return False


# --- DNS ------------------------------------------------------------------------------------------


def _a_name_server(text: str, name: str) -> Question:
    if not name:
        raise ValueError("name is missing: the name that the name server shall be asked for")
    return Question(place(text, 53), name=host_of(name))


async def _dns(probe: Probe, seconds: float, *, over_tcp: bool) -> bool:
    """Does a name server answer a question for A with NOERROR?"""
    measured = probe.measured
    measured.zero(
        "probe_dns_query_succeeded", "probe_dns_answer_rrs", "probe_dns_authority_rrs",
        "probe_dns_additional_rrs",
    )  # fmt: skip
    for phase in ("resolve", "connect", "request"):
        measured.set("probe_dns_duration_seconds", 0, phase)
    target = probe.question.target
    address, took = await probe.resolve(target)
    measured.set("probe_dns_duration_seconds", took, "resolve")
    probe.phase = "request"
    started = time.perf_counter()
    try:
        reply, _ = await dns.question(
            probe.question.name, "A", address, timeout=seconds, port=target.port, over_tcp=over_tcp
        )
    except dns.UNANSWERED as error:
        raise ProbeError(dns.unanswered(error)) from None
    finally:
        measured.set("probe_dns_duration_seconds", time.perf_counter() - started, "request")
    measured.set("probe_dns_query_succeeded", 1)
    for section, records in (
        ("answer", reply.answer),
        ("authority", reply.authority),
        ("additional", reply.additional),
    ):
        measured.set(f"probe_dns_{section}_rrs", sum(len(rrset) for rrset in records))
    failed = dns.verdict(reply)[2]
    if failed:
        raise ProbeError(failed)
    return True


#: By the names of the blackbox exporter's example, as far as they are offered.
MODULES: dict[str, Module] = {
    "http_2xx": Module(a_url, http_2xx),
    "tcp_connect": Module(_a_port, _tcp_connect),
    "tls_connect": Module(_a_port, _tls_connect),
    "ssh_banner": Module(_a_port, _ssh_banner),
    "dns_udp": Module(_a_name_server, partial(_dns, over_tcp=False)),
    "dns_tcp": Module(_a_name_server, partial(_dns, over_tcp=True)),
    "icmp": Module(a_host, icmp),
}


async def run(module: Module, probe: Probe, seconds: float) -> Measured:
    """Ask within so many seconds. Nothing that a peer or the network does is raised."""
    started = time.perf_counter()
    succeeded = False
    try:
        with anyio.fail_after(seconds):
            succeeded = await module.ask(probe, seconds)
    except (httpx.RemoteProtocolError, httpx.InvalidURL, httpx.CookieConflict, UnicodeError):
        probe.measured.failure(Failure(probe.phase, "bad-response"))
    except Exception as error:  # httpx and the streams pass on whatever there is
        probe.measured.failure(failure(probe.phase, error))
    else:
        if not succeeded:
            probe.measured.failure(Failure("request", "bad-response"))
    probe.measured.set("probe_success", succeeded)
    probe.measured.set("probe_duration_seconds", time.perf_counter() - started)
    return probe.measured
