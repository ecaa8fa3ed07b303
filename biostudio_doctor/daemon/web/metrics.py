"""/metrics: made once for each snapshot, and then given to all who ask from memory."""

import functools
import logging
import time
import zlib
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics import exposition as openmetrics

from biostudio_doctor import registry
from biostudio_doctor.daemon.messages import Snapshot
from biostudio_doctor.daemon.web.state import State
from biostudio_doctor.exporter import Style
from biostudio_doctor.model import Report

#: By the exporter's name: what it is called in HTTP.
TYPES = {
    "prometheus": "text/plain; version=0.0.4; charset=utf-8",
    "openmetrics": "application/openmetrics-text; version=1.0.0; charset=utf-8",
}
_AGE = 1.0  # seconds for which the figures of this process are good
_EOF = b"# EOF\n"  # with which OpenMetrics ends
_log = logging.getLogger("web.metrics")  # its name is the event's


class Metrics:
    """The pages of one exporter."""

    def __init__(self, exporter: str, state: State) -> None:
        self._exporter = exporter
        self._state = state
        self._succeeded = True
        self._process = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self._process)
        self._process.register(self)
        self._snapshot: Snapshot | None = None
        self._body = b""
        self._pages: dict[bool, bytes] = {}  # by whether compressed
        self._compressor = _compressor()
        self._made_at = float("-inf")

    def page(self, snapshot: Snapshot, compressed: bool) -> bytes:
        """The metrics of this snapshot, and of this process."""
        now = time.monotonic()
        if snapshot is not self._snapshot:
            self._snapshot = snapshot
            self._body = self._render(snapshot.report)
            self._compressor = _compressor()
            self._start = self._compressor.compress(self._body)
            self._pages.clear()
        elif now - self._made_at >= _AGE:
            self._pages.clear()
        if not self._pages:
            self._made_at = now
            self._tail = self._figures()
        if compressed not in self._pages:
            self._pages[compressed] = self._compressed() if compressed else self._body + self._tail
        return self._pages[compressed]

    def collect(self) -> Iterator[Metric]:
        """What only this process knows of itself, among its figures."""
        yield GaugeMetricFamily(
            "biostudio_doctor_exporter_success",
            "Whether the metrics of the checks could be made from the last results.",
            value=self._succeeded,
        )
        yield GaugeMetricFamily(
            "biostudio_doctor_web_config_in_force",
            "1 if TLS and logins are as web_config says, 0 if it is wrong and they stay as before.",
            value=not self._state.web_config_problem,
        )

    def _compressed(self) -> bytes:
        """Only what changes is compressed anew: the long beginning stays as it is."""
        compressor = self._compressor.copy()
        return self._start + compressor.compress(self._tail) + compressor.flush()

    def _render(self, report: Report) -> bytes:
        """What the exporter makes of it; if it fails, the figures of this process are left."""
        try:
            plugin = registry.find(registry.EXPORTERS)[self._exporter]
            text: str = plugin.load()(report, Style())
            self._succeeded = True
            return text.encode().removesuffix(_EOF)
        except Exception as error:
            if self._succeeded:
                _log.error("exporter %s failed: %s", self._exporter, registry.describe(error))
            self._succeeded = False
            return b""

    def _figures(self) -> bytes:
        make = openmetrics.generate_latest if self._exporter == "openmetrics" else generate_latest
        figures: bytes = make(self._process)
        return figures


@functools.lru_cache(64)
def choose(accept: str) -> str:
    """The exporter for a header Accept of HTTP (RFC 9110, 12.5.1): OpenMetrics only by name."""
    qualities = _qualities(accept)
    wanted = qualities.get("application/openmetrics-text", 0.0)
    plain = _first(qualities, "text/plain", "text/*", "*/*")
    return "openmetrics" if wanted and wanted >= plain else "prometheus"


@functools.lru_cache(64)
def takes_gzip(accept_encoding: str) -> bool:
    """Whether a header Accept-Encoding of HTTP (RFC 9110, 12.5.3) allows gzip."""
    return _first(_qualities(accept_encoding), "gzip", "x-gzip", "*") > 0


def _qualities(header: str) -> dict[str, float]:
    """What a header names, each with its quality value."""
    qualities: dict[str, float] = {}
    for one in header[:1000].lower().split(","):
        name, *parameters = (part.strip() for part in one.split(";"))
        qualities[name] = max(qualities.get(name, 0.0), _quality(parameters))
    return qualities


def _first(qualities: dict[str, float], *names: str) -> float:
    """The quality value of the first of these, the most specific, that is named; else 0."""
    return next((qualities[name] for name in names if name in qualities), 0.0)


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0


def _compressor() -> "zlib._Compress":
    return zlib.compressobj(6, zlib.DEFLATED, zlib.MAX_WBITS | 16)  # 16 asks for gzip
