"""/probe: asks a target of the list, and answers as the Prometheus blackbox exporter does."""

import math
from functools import lru_cache

from prometheus_client import generate_latest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from biostudio_doctor.config import ProbeConfig
from biostudio_doctor.daemon import allow
from biostudio_doctor.daemon.web.asking import Lookups, Probe
from biostudio_doctor.daemon.web.modules import MODULES, run

AT_ONCE = 64  # probes; who comes then is sent away
_HEADROOM = 0.5  # seconds of Prometheus's patience that are left to answer in
_TEXT = "text/plain; version=0.0.4; charset=utf-8"

_allowed = lru_cache(maxsize=1)(allow.Allowed)


class _Prober:
    """Counts the probes that run."""

    def __init__(self) -> None:
        self._running = 0
        self._lookups = Lookups()

    async def answer(self, request: Request, config: ProbeConfig) -> Response:
        try:
            given = _parameters(request)
            module = MODULES[given["module"]]
            question = module.understand(given["target"], given["name"])
            seconds = _seconds(request, config)
        except ValueError as error:
            return _refusal(400, str(error))
        allowed = _allowed(config.allow)
        if not allowed.target(question.target):
            return _refusal(403, "the target is not among those in daemon.probe.allow")
        if self._running >= AT_ONCE:
            return _refusal(503, f"{AT_ONCE} probes are running already")
        self._running += 1
        try:
            measured = await run(module, Probe(question, allowed, self._lookups), seconds)
        finally:
            self._running -= 1
        return Response(generate_latest(measured), headers={"Content-Type": _TEXT})


_PROBER = _Prober()


async def probe(request: Request) -> Response:
    """Answer `GET /probe?module=…&target=…`, by the configuration in force."""
    snapshot = request.app.state.doctor.snapshot
    if snapshot is None:
        return _refusal(503, "Nothing is known yet.")
    return await answer(request, snapshot.config.daemon.probe)


async def answer(request: Request, config: ProbeConfig) -> Response:
    """Answer a request for a probe, by a configuration.

    400 where the question makes no sense, 403 where the list does not admit the target, 503 where
    too many probes run; else 200 with `probe_success` 1 or 0, as the blackbox exporter has it.
    """
    return await _PROBER.answer(request, config)


def _parameters(request: Request) -> dict[str, str]:
    """Module, target and name, each given once at most.

    Raises:
        ValueError: one line that says what is wrong.
    """
    given = {"module": "http_2xx", "target": "", "name": ""}
    for name in (*given, "hostname"):
        values = request.query_params.getlist(name)
        if len(values) > 1:
            raise ValueError(f"{name} is given more than once")
        if values and values[0]:
            given[name] = values[0]
    if given["module"] not in MODULES:
        raise ValueError(f"there is no such module; there are {', '.join(MODULES)}")
    if "hostname" in given:
        raise ValueError("hostname is not offered; write the name in target")
    if not given["target"]:
        raise ValueError("target is missing")
    allow.check(given["target"])
    return given


def _seconds(request: Request, config: ProbeConfig) -> float:
    """How long the probe may take: shorter than Prometheus waits for the answer.

    Raises:
        ValueError: if Prometheus's header is no number of seconds.
    """
    told = request.headers.get("X-Prometheus-Scrape-Timeout-Seconds")
    if told is None:
        return config.timeout
    try:
        patience = float(told)
    except ValueError:
        patience = math.nan
    if not 0 < patience < math.inf:
        raise ValueError("X-Prometheus-Scrape-Timeout-Seconds is no number of seconds")
    return min(config.timeout, max(patience - _HEADROOM, patience / 2))


def _refusal(status: int, reason: str) -> Response:
    return PlainTextResponse(f"{reason}\n", status)
